// What can go wrong with the disk, at the call of a test: crash, failed sync, flipped bit.

package mem

// Crash is the end of the process or a loss of power, which differ only in chance. Of the records that were not
// synced a prefix of random length is kept; the one behind it may be torn: cut off at a random byte, or complete in
// length with a hole of zeros. The engine that was open is dead: all its methods, and those of its snapshots and
// iterators, answer engine.ErrClosed. Open finds what is left.
func (d *Disk) Crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.disown()
	lost := d.durable + d.rng.IntN(len(d.records)-d.durable+1) // the first record that is lost
	var torn []byte
	if lost < len(d.records) && d.rng.IntN(2) == 0 {
		torn = d.tear(d.records[lost])
	}
	d.truncate(lost)
	if len(torn) > 0 {
		d.records = append(d.records, torn)
		d.stats.BytesUsed += int64(len(torn))
	}
}

// FailSync lets the next sync fail with err, once. What was to be synced stays where it is, not durable: a later
// sync that succeeds would not make up for it on a real disk, so the engine must not try.
func (d *Disk) FailSync(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncErr = err
}

// FlipBit flips one random bit of what is stored and tells whether there was any. A flip in a value that the open
// engine reads is found by Get and iterators; every flip in a durable record is found by the next Open.
func (d *Disk) FlipBit() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stats.BytesUsed == 0 {
		return false
	}
	at := d.rng.Int64N(d.stats.BytesUsed)
	bit := byte(1) << d.rng.IntN(8)
	for _, rec := range d.records {
		if at < int64(len(rec)) {
			rec[at] ^= bit
			return true
		}
		at -= int64(len(rec))
	}
	return false
}

// tear returns what arrived of a record whose write was cut short.
func (d *Disk) tear(rec []byte) []byte {
	if d.rng.IntN(2) == 0 {
		return rec[:d.rng.IntN(len(rec))]
	}
	torn := append([]byte{}, rec...)
	from := d.rng.IntN(len(torn))
	clear(torn[from : from+1+d.rng.IntN(len(torn)-from)])
	return torn
}

func (d *Disk) disown() {
	if d.owner != nil {
		d.owner.dead = true
		d.owner = nil
	}
}

// The ledger: what was applied at each index, by whoever did so first, and what the data must be then. Every replica is
// held against it.

package sim

import (
	"tinykv/kv/command"
	"tinykv/kv/engine"
	"tinykv/raft"
)

// ledger applies every entry once more, by itself.
type ledger struct {
	first   uint64 // index of pages[0]
	pages   []page
	data    pairs
	fates   map[uint32]fate     // by value
	swaps   map[uint32]*attempt // whose write was asked for, by value
	values  map[string]uint32   // that are there, by column family and key
	acked   uint64              // the last index of which a client was told that it is applied
	leaders map[uint64]uint64   // term -> store
}

// page is what is known of one index.
type page struct {
	term  uint64
	entry uint64 // hash
	sum   uint64 // of all data after it
	allow uint64 // up to where it allows logs to be cut; 0: it does not
}

// fate is what became of a value that somebody put.
type fate struct {
	index        uint64 // where it was applied; 0: nowhere
	acknowledged bool
	refused      bool // its caller was told that it will never take effect
}

// pairs are all pairs of a store, by column family and key, as the sum of their hashes and one by one.
type pairs struct {
	hashes map[string]uint64
	sum    uint64
}

func newLedger() ledger {
	return ledger{data: newPairs(), fates: map[uint32]fate{}, leaders: map[uint64]uint64{},
		swaps: map[uint32]*attempt{}, values: map[string]uint32{}}
}

func newPairs() pairs { return pairs{hashes: map[string]uint64{}} }

func hashBytes(h uint64, b []byte) uint64 {
	for _, x := range b {
		h = (h ^ uint64(x)) * fnvPrime
	}
	return mix(h, uint64(len(b)))
}

func placeName(cf engine.CF, key []byte) string { return string(append([]byte{byte(cf)}, key...)) }

func (d *pairs) set(cf engine.CF, key, value []byte) {
	name := placeName(cf, key)
	d.remove(name)
	h := hashBytes(hashBytes(mix(fnvOffset, uint64(cf)), key), value)
	d.hashes[name] = h
	d.sum += h
}

func (d *pairs) remove(name string) {
	if h, ok := d.hashes[name]; ok {
		d.sum -= h
		delete(d.hashes, name)
	}
}

// apply applies the operations of a batch, but for the store's own.
func (d *pairs) apply(b *engine.Batch) {
	for op := range b.Ops() {
		switch {
		case op.CF == engine.Meta:
		case op.Kind == engine.OpPut:
			d.set(op.CF, op.Key, op.Value)
		case op.Kind == engine.OpDelete:
			d.remove(placeName(op.CF, op.Key))
		case op.Kind == engine.OpDeleteRange:
			low, high := placeName(op.CF, op.Key), placeName(op.CF, op.Value)
			for name := range d.hashes {
				if name[0] == byte(op.CF) && name >= low && (len(op.Value) == 0 || name < high) {
					d.remove(name)
				}
			}
		}
	}
}

// leads checks that a term has one leader.
func (l *ledger) leads(p *process, term uint64) {
	if other, ok := l.leaders[term]; ok && other != p.id {
		p.c.fail("election-safety", "stores %d and %d lead term %d", other, p.id, term)
	}
	l.leaders[term] = p.id
}

// begin sets the place before the first entry, which all bootstrapped stores share.
func (l *ledger) begin(applied uint64) {
	if l.pages == nil {
		l.first = applied
		l.pages = []page{{}}
	}
}

// sumAt returns the sum of all data after an index, if it is known.
func (l *ledger) sumAt(index uint64) (uint64, bool) {
	if index < l.first || index-l.first >= uint64(len(l.pages)) {
		return 0, false
	}
	return l.pages[index-l.first].sum, true
}

// allows is up to where an entry that was applied allows logs to be cut.
func (l *ledger) allows(index uint64) uint64 { return l.pages[index-l.first].allow }

// enter enters an entry that a store applies: the next one, or one that must be equal to what is known.
func (l *ledger) enter(p *process, e *raft.Entry) {
	h := hashBytes(mix(mix(fnvOffset, e.Term), uint64(e.Type)), e.Data)
	at := e.Index - l.first
	switch {
	case at < uint64(len(l.pages)):
		if known := l.pages[at]; known.term != e.Term || known.entry != h {
			p.c.fail("state-machine-safety", "store %d applies %s, another store applied something else of term %d there", p.id,
				p.c.describeEntry(e), known.term)
		}
		return
	case at > uint64(len(l.pages)):
		p.c.fail("apply-order", "store %d applies entry %d, and nobody has applied the one before", p.id, e.Index)
	}
	p.checkQuorum(e)
	new := page{term: e.Term, entry: h}
	if e.Type == raft.EntryNormal && len(e.Data) > 0 {
		decoded, err := command.Decode(e.Data)
		if err != nil {
			p.c.fail("disk", "store %d applies entry %d: %v", p.id, e.Index, err)
		}
		switch d := decoded.(type) {
		case command.Write:
			l.perform(p, e, &d)
		case command.CompactLog:
			new.allow = d.Index
		}
	}
	new.sum = l.data.sum
	l.pages = append(l.pages, new)
}

// perform applies a write. One of another version of the region has no effect.
func (l *ledger) perform(p *process, e *raft.Entry, w *command.Write) {
	if w.Epoch.Version != firstVersion {
		return
	}
	for op := range w.Batch.Ops() {
		if n, ok := valueOf(op.Value); ok && op.Kind == engine.OpPut {
			l.checkSwap(p, n, &op, e.Index)
			l.applied(p, n, e.Index)
		}
	}
	l.data.apply(w.Batch)
	l.note(w.Batch)
}

// applied enters the fate of a value.
func (l *ledger) applied(p *process, n uint32, index uint64) {
	known := l.fates[n]
	if known.refused {
		p.c.fail("refused-applied", "%s is applied at %d, but its caller was told that it will never be", valueName(n), index)
	}
	if known.index != 0 && known.index != index {
		p.c.fail("applied-once", "%s is applied at %d and at %d", valueName(n), known.index, index)
	}
	known.index = index
	l.fates[n] = known
}

// checkSwap checks that between what a swap has read and what it writes, nothing else was written.
func (l *ledger) checkSwap(p *process, n uint32, op *engine.Op, index uint64) {
	a := l.swaps[n]
	if a == nil {
		return
	}
	if there := l.values[placeName(op.CF, op.Key)]; there != a.old {
		p.c.fail("swap-atomic", "%s: it has read %s, and when it is applied at %d, %s is there", p.c.describeCall(a),
			valueName(a.old), index, valueName(there))
	}
}

// note enters which values are there after a batch.
func (l *ledger) note(b *engine.Batch) {
	for op := range b.Ops() {
		n, _ := valueOf(op.Value)
		if op.Kind == engine.OpPut {
			l.values[placeName(op.CF, op.Key)] = n
		}
	}
	for name := range l.values {
		if _, there := l.data.hashes[name]; !there {
			delete(l.values, name)
		}
	}
}

// checkQuorum checks, when an entry is applied for the first time anywhere, that it is durable on a majority: on stores that
// are up for certain, on others perhaps; and nobody knows what was on a disk that rots.
func (p *process) checkQuorum(e *raft.Entry) {
	c := p.c
	if c.opts.Spares > 0 {
		return
	}
	copies := 0
	for _, q := range c.processes {
		if last := q.durable.last; q.core == nil {
			if last.Index >= e.Index && last.Term >= e.Term {
				copies++
			}
			continue
		}
		term, err := q.raftLog.Term(firstRegion, e.Index)
		if err == raft.ErrCompacted || err != nil && q.rotten || err == nil && term == e.Term && q.durable.last.Index >= e.Index {
			copies++
		}
	}
	if copies <= len(c.processes)/2 {
		c.fail("durable-quorum", "entry %d of term %d was applied with %d durable copies", e.Index, e.Term, copies)
	}
}

// checkStreams : each stream keeps a state of the engine alive.
func (p *process) checkStreams() {
	sending := 0
	for _, s := range p.streams {
		if s.from == p {
			sending++
		}
	}
	if limit := p.c.limits.MaxSnapshots; sending > limit {
		p.c.fail("bounded", "store %d sends %d snapshots at once, the limit is %d", p.id, sending, limit)
	}
}

// mirror is what a process's data store holds, kept up to date beside it.
type mirror struct {
	there     bool   // there is a peer with data
	member    bool   // and it was not removed, as far as it knows
	applied   uint64 // index
	data      pairs
	truncated uint64 // of the log, the furthest seen in this life
	allowed   uint64 // up to where it may be cut, by what was applied in this life

	installing bool // its data is in between
}

// readMirror reads all that is in a data store: after a start, after a snapshot was installed, and at the end.
func (p *process) readMirror() {
	applied, there, member := p.readState()
	p.mirror.there, p.mirror.member, p.mirror.applied, p.mirror.data = there, member, applied.Index, newPairs()
	s, err := p.engine.Snapshot()
	if err != nil {
		p.c.fail("disk", "store %d: %v", p.id, err)
	}
	defer s.Close()
	for _, cf := range userCFs {
		it, err := s.Iterator(cf, engine.IterOptions{})
		if err != nil {
			p.c.fail("disk", "store %d: %v", p.id, err)
		}
		for ok := it.First(); ok; ok = it.Next() {
			p.mirror.data.set(cf, it.Key(), it.Value())
		}
		if err := it.Close(); err != nil && !p.rotten {
			p.c.fail("disk", "store %d: %v", p.id, err)
		}
	}
	switch {
	case p.mirror.installing:
	case there:
		p.c.ledger.begin(p.mirror.applied)
		p.compare()
	default:
		p.left()
	}
}

// compare holds a store's data against the ledger.
func (p *process) compare() {
	want, known := p.c.ledger.sumAt(p.mirror.applied)
	switch {
	case !known:
		p.c.fail("apply-order", "store %d has applied %d, which nobody had applied before", p.id, p.mirror.applied)
	case want != p.mirror.data.sum && !p.rotten:
		p.c.fail("replicas-equal", "store %d has applied %d, and its data is not what that makes", p.id, p.mirror.applied)
	}
}

// checkApplied looks at what a store wrote to its data: the entries up to the position that it wrote with them, each
// once, in order, and nothing else.
func (p *process) checkApplied(b *engine.Batch) {
	before := p.mirror.applied
	applied, there, member := p.readState()
	p.mirror.data.apply(b)
	p.mirror.applied, p.mirror.member = applied.Index, member
	if !there {
		p.left()
		return
	}
	if !p.mirror.there || applied.Index < before {
		p.c.fail("apply-order", "store %d has applied %d, and now %d", p.id, before, applied.Index)
	}
	for next := before + 1; next <= applied.Index; {
		entries, err := p.raftLog.Entries(firstRegion, next, applied.Index+1, everything)
		if err != nil {
			if p.rotten {
				return
			}
			p.c.fail("log-kept", "store %d applies entries %d to %d, and its log does not have them: %v", p.id, next,
				applied.Index, err)
		}
		for i := range entries {
			p.c.ledger.enter(p, &entries[i])
			p.mirror.allowed = max(p.mirror.allowed, p.c.ledger.allows(entries[i].Index))
		}
		next += uint64(len(entries))
	}
	p.compare()
}

// left is a store whose peer was removed: it must not keep any data.
func (p *process) left() {
	if p.mirror.there {
		p.c.saw("peer buried")
	}
	p.mirror.there, p.mirror.member, p.mirror.applied, p.mirror.allowed = false, false, 0, 0
	if len(p.mirror.data.hashes) > 0 {
		p.c.fail("data-removed", "store %d has no peer any more, and %d pairs", p.id, len(p.mirror.data.hashes))
	}
	p.durable.applied = 0
}

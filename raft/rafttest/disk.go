package rafttest

import "tinykv/raft"

// Disk is the durable state of one node. Writes are ordered, as the contract of package raft wants, but until they are
// synced a crash may lose any suffix of them, and the hard state of the last one that it keeps.
//
//	live     what the running node reads: every write
//	durable  what is certain to survive: synced writes
type Disk struct {
	live     *raft.MemoryStorage
	durable  *raft.MemoryStorage
	unsynced []raft.Ready // writes of live that durable does not have

	app app // the application's state, as of its last flush
}

// app is the application: a hash chain over all that was applied, and the configuration.
type app struct {
	applied uint64
	chain   uint64
	conf    raft.ConfState
}

func newDisk(conf raft.ConfState) *Disk {
	d := &Disk{live: raft.NewMemoryStorage(), durable: raft.NewMemoryStorage()}
	if len(conf.Voters) > 0 {
		d.live.Bootstrap(conf)
		d.durable.Bootstrap(conf)
		d.app = app{applied: 1, conf: conf}
	}
	return d
}

// InitialState implements raft.Storage: the configuration is the application's, as of the index it has flushed.
func (d *Disk) InitialState() (raft.HardState, raft.ConfState, error) {
	hard, conf, err := d.live.InitialState()
	if d.app.applied > 0 {
		conf = d.app.conf
	}
	return hard, conf, err
}

// Entries implements raft.Storage.
func (d *Disk) Entries(lo, hi, maxBytes uint64) ([]raft.Entry, error) {
	return d.live.Entries(lo, hi, maxBytes)
}

// Term implements raft.Storage.
func (d *Disk) Term(index uint64) (uint64, error) { return d.live.Term(index) }

// FirstIndex implements raft.Storage.
func (d *Disk) FirstIndex() (uint64, error) { return d.live.FirstIndex() }

// LastIndex implements raft.Storage.
func (d *Disk) LastIndex() (uint64, error) { return d.live.LastIndex() }

// Snapshot implements raft.Storage.
func (d *Disk) Snapshot() (raft.Snapshot, error) { return d.live.Snapshot() }

// write takes the write of a Ready, without making it durable.
func (d *Disk) write(rd *raft.Ready) error {
	if rd.Snapshot == nil && len(rd.Entries) == 0 && rd.HardState.IsEmpty() {
		return nil
	}
	d.unsynced = append(d.unsynced, raft.Ready{Snapshot: rd.Snapshot, Entries: rd.Entries, HardState: rd.HardState})
	return writeTo(d.live, rd)
}

func writeTo(s *raft.MemoryStorage, rd *raft.Ready) error {
	if rd.Snapshot != nil {
		if err := s.ApplySnapshot(*rd.Snapshot); err != nil {
			return err
		}
	}
	if !rd.HardState.IsEmpty() {
		s.SetHardState(rd.HardState)
	}
	return s.Append(rd.Entries)
}

// sync makes the n oldest writes durable. A snapshot that was received is the application's state at once: the two are
// installed together.
func (d *Disk) sync(n int) error {
	for i := range d.unsynced[:n] {
		if err := writeTo(d.durable, &d.unsynced[i]); err != nil {
			return err
		}
		if s := d.unsynced[i].Snapshot; s != nil {
			d.app = appOf(s)
		}
	}
	d.unsynced = append(d.unsynced[:0], d.unsynced[n:]...)
	return nil
}

// crash loses a suffix of what was not synced. It reports how many writes were lost.
func (d *Disk) crash(crash *Crash) (lost int, err error) {
	kept := min(crash.Keep, len(d.unsynced))
	lost = len(d.unsynced) - kept
	if err := d.sync(kept); err != nil {
		return 0, err
	}
	if lost > 0 && crash.Torn {
		if err := d.tear(); err != nil {
			return 0, err
		}
	}
	d.unsynced = nil
	d.live = d.durable.Clone()
	return lost, nil
}

// tear leaves the first half of the oldest lost write: a store that cannot write atomically writes the snapshot, then
// the entries, then the hard state, and the contract allows to lose the end of that.
func (d *Disk) tear() error {
	half := raft.Ready{Snapshot: d.unsynced[0].Snapshot, Entries: d.unsynced[0].Entries}
	d.unsynced[0] = half
	return d.sync(1)
}

// flushApp makes the application's state durable, takes a snapshot of it and compacts the log behind it, keeping some
// entries for followers that lag a little.
func (d *Disk) flushApp(a app, keep uint64) error {
	d.app = a
	for _, s := range []*raft.MemoryStorage{d.live, d.durable} {
		snap, _ := s.Snapshot()
		last, _ := s.LastIndex()
		if a.applied <= snap.Metadata.Index || a.applied > last {
			continue
		}
		if err := s.CreateSnapshot(a.applied, a.conf, encodeChain(a.chain)); err != nil {
			return err
		}
		first, _ := s.FirstIndex()
		if a.applied > keep && a.applied-keep >= first {
			if err := s.Compact(a.applied - keep); err != nil {
				return err
			}
		}
	}
	return nil
}

func appOf(s *raft.Snapshot) app {
	return app{applied: s.Metadata.Index, chain: decodeChain(s.Data), conf: s.Metadata.ConfState}
}

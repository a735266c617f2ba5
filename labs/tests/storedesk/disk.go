// Disks of which a test says what a crash leaves, and engines that are watched.

package storedesk

import (
	"math/rand/v2"

	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
)

// Keep says what a crash leaves of what was written and not synced.
type Keep uint8

const (
	// LoseUnsynced : nothing of it. The power failed.
	LoseUnsynced Keep = iota
	// KeepAll : all of it. The process was killed, the machine goes on.
	KeepAll
	// KeepSome : a part of it, drawn from the store's own source; the last record may be torn.
	KeepSome

	// quarter is for sources that are no disk's: see chance.
	quarter
)

func (k Keep) String() string {
	return [...]string{"loses what was not synced", "loses nothing that was written", "may lose what was not synced"}[k]
}

// Disk is a disk in memory.
type Disk struct {
	*mem.Disk
	chance *chance
}

// NewDisk makes an empty disk. The seed decides what KeepSome keeps.
func NewDisk(seed uint64) *Disk {
	c := newChance(seed, 0)
	return &Disk{mem.NewDisk(rand.New(c), mem.Options{}), c}
}

// Crash is the end of whoever used the disk.
func (d *Disk) Crash(keep Keep) {
	d.chance.keep = keep
	d.Disk.Crash()
}

// Mount opens an engine on the disk.
func (d *Disk) Mount() (*Engine, error) {
	e, err := mem.Open(d.Disk)
	if err != nil {
		return nil, err
	}
	return &Engine{Engine: e}, nil
}

// chance is a source of randomness that turns into what a test wants. Timeouts of elections come from such sources, too: a
// store with quarter draws shorter ones than all that draw the longest.
type chance struct {
	*rand.PCG
	keep Keep
}

func newChance(id, what uint64) *chance { return &chance{PCG: rand.NewPCG(id, what), keep: KeepSome} }

// Uint64 returns a number that rand.IntN takes for the least, for the greatest, for one in between, or for any.
func (c *chance) Uint64() uint64 {
	switch c.keep {
	case LoseUnsynced:
		return 1 << 32
	case KeepAll:
		return 1<<64 - 1
	case quarter:
		return 1<<62 + 1<<30
	}
	return c.PCG.Uint64()
}

// Engine is an engine that is watched: it counts what is opened and closed, fails when it is told to, and its iterators
// overwrite what they returned as soon as they move.
type Engine struct {
	engine.Engine
	Snapshots     int // taken so far
	OpenSnapshots int // of them, not closed yet
	OpenIterators int

	FailSnapshot error // what Snapshot answers, if it is set
	FailRead     error // what Get answers, and iterators say in place of their next pair
}

// Snapshot implements engine.Engine.
func (e *Engine) Snapshot() (engine.Snapshot, error) {
	if e.FailSnapshot != nil {
		return nil, e.FailSnapshot
	}
	s, err := e.Engine.Snapshot()
	if err != nil {
		return nil, err
	}
	e.Snapshots++
	e.OpenSnapshots++
	return &watchedSnapshot{s, e}, nil
}

type watchedSnapshot struct {
	engine.Snapshot
	e *Engine
}

func (s *watchedSnapshot) Get(cf engine.CF, key []byte) ([]byte, error) {
	if s.e.FailRead != nil {
		return nil, s.e.FailRead
	}
	return s.Snapshot.Get(cf, key)
}

func (s *watchedSnapshot) Iterator(cf engine.CF, opts engine.IterOptions) (engine.Iterator, error) {
	it, err := s.Snapshot.Iterator(cf, opts)
	if err != nil {
		return nil, err
	}
	s.e.OpenIterators++
	return &watchedIterator{Iterator: it, e: s.e}, nil
}

func (s *watchedSnapshot) Close() error {
	err := s.Snapshot.Close()
	if err == nil {
		s.e.OpenSnapshots--
	}
	return err
}

// watchedIterator hands out slices of its own, which it spoils when it moves, as iterators of engines on disk may.
type watchedIterator struct {
	engine.Iterator
	e          *Engine
	key, value []byte
	err        error
	closed     bool
}

func (it *watchedIterator) land(ok bool) bool {
	for _, p := range [][]byte{it.key, it.value} {
		for i := range p {
			p[i] = '?'
		}
	}
	it.key, it.value = nil, nil
	if ok && it.e.FailRead != nil {
		it.err = it.e.FailRead
		return false
	}
	if ok {
		it.key = append([]byte{}, it.Iterator.Key()...)
		it.value = append([]byte{}, it.Iterator.Value()...)
	}
	return ok
}

func (it *watchedIterator) First() bool            { return it.land(it.Iterator.First()) }
func (it *watchedIterator) Last() bool             { return it.land(it.Iterator.Last()) }
func (it *watchedIterator) SeekGE(key []byte) bool { return it.land(it.Iterator.SeekGE(key)) }
func (it *watchedIterator) SeekLT(key []byte) bool { return it.land(it.Iterator.SeekLT(key)) }
func (it *watchedIterator) Next() bool             { return it.land(it.Iterator.Next()) }
func (it *watchedIterator) Prev() bool             { return it.land(it.Iterator.Prev()) }
func (it *watchedIterator) Valid() bool            { return it.err == nil && it.Iterator.Valid() }
func (it *watchedIterator) Key() []byte            { return it.key }
func (it *watchedIterator) Value() []byte          { return it.value }

func (it *watchedIterator) Err() error {
	if it.err != nil {
		return it.err
	}
	return it.Iterator.Err()
}

func (it *watchedIterator) Close() error {
	it.land(false)
	if !it.closed {
		it.closed = true
		it.e.OpenIterators--
	}
	if err := it.Iterator.Close(); it.err == nil {
		return err
	}
	return it.err
}

// Callers: who waits for an answer of the loop, and the snapshots that readers share.

package replicated

import (
	"sync/atomic"

	"tinykv/kv/engine"
	"tinykv/kv/region"
)

// caller waits for one answer. Who moves its state on from waiting decides what becomes of it.
type caller struct {
	reads bool // it wants a snapshot with the answer
	state atomic.Uint32
	done  chan answer // has room for the one
}

const (
	waiting  uint32 = iota
	answered        // the answer is in done, or about to be
	gone            // the caller has left and takes no answer
)

// answer is what a caller gets.
type answer struct {
	err      error
	term     uint64
	snapshot engine.Snapshot // of a read without an error; the caller's to Close
}

func newCaller(reads bool) *caller { return &caller{reads: reads, done: make(chan answer, 1)} }

// claim makes sure that the caller takes an answer. False: it has left.
func (c *caller) claim() bool { return c.state.CompareAndSwap(waiting, answered) }

// leave makes sure that the caller gets no answer. False: one is there, or about to be.
func (c *caller) leave() bool { return c.state.CompareAndSwap(waiting, gone) }

// sharedSnapshot is an engine snapshot that several readers got: those whose reads were confirmed together. The last one
// that closes it closes it for good.
type sharedSnapshot struct {
	engine.Snapshot
	readers atomic.Int64
}

// reader is one reader's hold on a shared snapshot.
type reader struct {
	*sharedSnapshot
	closed atomic.Bool
}

func (s *sharedSnapshot) share() engine.Snapshot {
	s.readers.Add(1)
	return &reader{sharedSnapshot: s}
}

// release gives up one hold.
func (s *sharedSnapshot) release() error {
	if s.readers.Add(-1) == 0 {
		return s.Snapshot.Close()
	}
	return nil
}

// Close implements engine.Snapshot.
func (r *reader) Close() error {
	if !r.closed.CompareAndSwap(false, true) {
		return engine.ErrClosed
	}
	return r.release()
}

// regionSnapshot is what a request gets to see: the keys of its region, and the term in which they were read.
type regionSnapshot struct {
	engine.Snapshot
	region region.Region
	term   uint64
}

// Term is the term in which this peer led when the snapshot was confirmed: who decides on what is read demands it of the
// write that follows.
func (s *regionSnapshot) Term() uint64 { return s.term }

// Get implements engine.Snapshot. A key outside of the region is region.KeyNotInRegionError, and not a key without a
// value: this store may hold old data of it, or none.
func (s *regionSnapshot) Get(cf engine.CF, key []byte) ([]byte, error) {
	if !s.region.Range.Contains(key) {
		return nil, &region.KeyNotInRegionError{Key: key, RegionID: s.region.ID, Range: s.region.Range}
	}
	return s.Snapshot.Get(cf, key)
}

// Iterator implements engine.Snapshot: it walks only what is in the region.
func (s *regionSnapshot) Iterator(cf engine.CF, opts engine.IterOptions) (engine.Iterator, error) {
	within := s.region.Range.Intersect(region.Range{Start: opts.Lower, End: opts.Upper})
	return s.Snapshot.Iterator(cf, engine.IterOptions{Lower: within.Start, Upper: within.End})
}

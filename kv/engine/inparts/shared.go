// Snapshots of the state before: one of the inner engine's, which several readers share.

package inparts

import (
	"sync/atomic"

	"tinykv/kv/engine"
)

// shared is a snapshot with several holds on it. The last one that is given up closes it. An iterator that a reader
// forgets to close is closed with it, and not before.
type shared struct {
	snap  engine.Snapshot
	holds atomic.Int64
}

// share makes a snapshot one with one hold.
func share(snap engine.Snapshot) *shared {
	s := &shared{snap: snap}
	s.holds.Add(1)
	return s
}

func (s *shared) release() error {
	if s.holds.Add(-1) == 0 {
		return s.snap.Close()
	}
	return nil
}

// reader adds a hold. The caller has one, or knows of one that is not given up meanwhile.
func (s *shared) reader() engine.Snapshot {
	s.holds.Add(1)
	return &reader{shared: s}
}

// reader is one reader's hold.
type reader struct {
	*shared
	closed atomic.Bool
}

// Get implements engine.Snapshot.
func (r *reader) Get(cf engine.CF, key []byte) ([]byte, error) {
	if r.closed.Load() {
		return nil, engine.ErrClosed
	}
	return r.snap.Get(cf, key)
}

// Iterator implements engine.Snapshot.
func (r *reader) Iterator(cf engine.CF, opts engine.IterOptions) (engine.Iterator, error) {
	if r.closed.Load() {
		return nil, engine.ErrClosed
	}
	return r.snap.Iterator(cf, opts)
}

// Close implements engine.Snapshot.
func (r *reader) Close() error {
	if !r.closed.CompareAndSwap(false, true) {
		return engine.ErrClosed
	}
	return r.release()
}

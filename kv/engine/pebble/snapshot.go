// Snapshots: consistent reading.

package pebble

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"tinykv/kv/engine"
)

type snapshot struct {
	e *Engine

	// mu lets many read and one close: pebble panics on a read of a closed snapshot.
	mu        sync.RWMutex
	snap      *pebble.Snapshot // nil once closed
	iterators map[*iterator]struct{}
	itersMu   sync.Mutex // guards iterators where mu is only held for reading
}

// Snapshot implements engine.Engine.
func (e *Engine) Snapshot() (engine.Snapshot, error) {
	if err := e.gate.Enter(); err != nil {
		return nil, err
	}
	return &snapshot{e: e, snap: e.db.NewSnapshot(), iterators: map[*iterator]struct{}{}}, nil
}

// Get implements engine.Snapshot.
func (s *snapshot) Get(cf engine.CF, key []byte) ([]byte, error) {
	if err := checkCF(cf); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.snap == nil {
		return nil, engine.ErrClosed
	}
	value, closer, err := s.snap.Get(encodeKey(cf, key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, engine.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("get key %q of %v: %w", key, cf, readError(err))
	}
	value = append([]byte{}, value...)
	return value, closer.Close()
}

// Iterator implements engine.Snapshot.
func (s *snapshot) Iterator(cf engine.CF, opts engine.IterOptions) (engine.Iterator, error) {
	if err := checkCF(cf); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.snap == nil {
		return nil, engine.ErrClosed
	}
	it := &iterator{s: s, cf: cf}
	if lower, upper, ok := encodeRange(cf, opts.Lower, opts.Upper); ok {
		iter, err := s.snap.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
		if err != nil {
			return nil, fmt.Errorf("iterate over %v: %w", cf, readError(err))
		}
		it.iter = iter
	}
	s.itersMu.Lock()
	s.iterators[it] = struct{}{}
	s.itersMu.Unlock()
	return it, nil
}

// Close implements engine.Snapshot.
func (s *snapshot) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.snap == nil {
		return engine.ErrClosed
	}
	for it := range s.iterators { // forgotten ones: pebble would keep files for them
		it.abandon()
	}
	err := s.snap.Close()
	s.snap = nil
	s.e.gate.Leave()
	return err
}

func (s *snapshot) forget(it *iterator) {
	s.itersMu.Lock()
	defer s.itersMu.Unlock()
	delete(s.iterators, it)
}

// readError puts pebble's corruption into the engine's words.
func readError(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %v", engine.ErrCorrupt, err)
	}
	return err
}

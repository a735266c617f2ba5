// Snapshots: reading at a sequence number.

package mem

import (
	"bytes"
	"fmt"
	"slices"

	"tinykv/kv/engine"
)

type snapshot struct {
	e   *Engine
	seq uint64

	// What follows is guarded by disk.mu.
	closed bool
}

// Snapshot implements engine.Engine.
func (e *Engine) Snapshot() (engine.Snapshot, error) {
	if err := e.gate.Enter(); err != nil {
		return nil, err
	}
	e.disk.mu.Lock()
	defer e.disk.mu.Unlock()
	if e.dead {
		e.gate.Leave()
		return nil, engine.ErrClosed
	}
	e.snapshots = append(e.snapshots, e.seq) // sequence numbers only grow: it stays sorted
	return &snapshot{e: e, seq: e.seq}, nil
}

// Get implements engine.Snapshot.
func (s *snapshot) Get(cf engine.CF, key []byte) ([]byte, error) {
	if !cf.Valid() {
		return nil, fmt.Errorf("%w: %v", engine.ErrUnknownCF, cf)
	}
	s.e.disk.mu.RLock()
	defer s.e.disk.mu.RUnlock()
	if err := s.usable(); err != nil {
		return nil, err
	}
	v := s.e.versions.newest(cf, key, s.seq)
	if v == nil || v.deleted {
		return nil, engine.ErrNotFound
	}
	return v.read()
}

// Iterator implements engine.Snapshot.
func (s *snapshot) Iterator(cf engine.CF, opts engine.IterOptions) (engine.Iterator, error) {
	if !cf.Valid() {
		return nil, fmt.Errorf("%w: %v", engine.ErrUnknownCF, cf)
	}
	s.e.disk.mu.RLock()
	defer s.e.disk.mu.RUnlock()
	if err := s.usable(); err != nil {
		return nil, err
	}
	return &iterator{s: s, cf: cf, lower: bytes.Clone(opts.Lower), upper: bytes.Clone(opts.Upper)}, nil
}

// Close implements engine.Snapshot. What only this snapshot could see is dropped.
func (s *snapshot) Close() error {
	s.e.disk.mu.Lock()
	defer s.e.disk.mu.Unlock()
	if s.closed {
		return engine.ErrClosed
	}
	s.closed = true
	at, _ := slices.BinarySearch(s.e.snapshots, s.seq)
	s.e.snapshots = slices.Delete(s.e.snapshots, at, at+1)
	s.e.versions.collect(s.e.oldest())
	s.e.gate.Leave()
	return nil
}

// usable needs disk.mu.
func (s *snapshot) usable() error {
	if s.closed || s.e.dead {
		return engine.ErrClosed
	}
	return nil
}

// read returns a copy of the value. It needs disk.mu, as the value lies in a record on the disk.
func (v *version) read() ([]byte, error) {
	if !v.intact() {
		return nil, fmt.Errorf("read key %q of %v: %w: its value fails the checksum", v.key, v.cf, engine.ErrCorrupt)
	}
	return append([]byte{}, v.value...), nil
}

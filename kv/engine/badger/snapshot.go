//go:build cgo

// Snapshots: a read-only transaction of badger's.

package badger

import (
	"bytes"
	"sync"

	"github.com/Connor1996/badger"

	"tinykv/kv/engine"
)

// snapshot implements engine.Snapshot.
type snapshot struct {
	e *Engine

	// mu is held for reading by whoever uses txn and for writing by Close, as badger panics on use after it.
	mu  sync.RWMutex
	txn *badger.Txn // nil once closed

	itersMu sync.Mutex
	iters   map[*iterator]struct{} // the open ones
}

// Snapshot implements engine.Engine.
func (e *Engine) Snapshot() (engine.Snapshot, error) {
	if err := e.gate.Enter(); err != nil {
		return nil, err
	}
	return &snapshot{e: e, txn: e.db.NewTransaction(false), iters: map[*iterator]struct{}{}}, nil
}

// Get implements engine.Snapshot. It uses an iterator, because the point get of a badger transaction looks at the newest table that
// has any version of the key: for an old snapshot that version may be too new, and the right one is missed.
func (s *snapshot) Get(cf engine.CF, key []byte) ([]byte, error) {
	if err := checkCF(cf); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.txn == nil {
		return nil, engine.ErrClosed
	}
	return getByIterator(s.txn, encodeKey(cf, key))
}

// getByIterator returns a copy of the value of an encoded key in txn, unsealed and never nil. Errors: engine.ErrNotFound,
// engine.ErrCorrupt.
func getByIterator(txn *badger.Txn, key []byte) ([]byte, error) {
	it := txn.NewIterator(badger.IteratorOptions{StartKey: key, EndKey: append(bytes.Clone(key), 0)})
	defer it.Close()
	it.Seek(key)
	if !it.Valid() || !bytes.Equal(it.Item().Key(), key) {
		return nil, engine.ErrNotFound
	}
	stored, err := it.Item().Value()
	if err != nil {
		return nil, err
	}
	value, err := unseal(key, stored)
	if err != nil {
		return nil, err
	}
	return append([]byte{}, value...), nil
}

// Iterator implements engine.Snapshot.
func (s *snapshot) Iterator(cf engine.CF, opts engine.IterOptions) (engine.Iterator, error) {
	if err := checkCF(cf); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.txn == nil {
		return nil, engine.ErrClosed
	}
	it := &iterator{s: s, cf: cf}
	it.lower, it.upper = encodeRange(cf, opts.Lower, opts.Upper)
	s.itersMu.Lock()
	defer s.itersMu.Unlock()
	s.iters[it] = struct{}{}
	return it, nil
}

// Close implements engine.Snapshot.
func (s *snapshot) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.txn == nil {
		return engine.ErrClosed
	}
	for it := range s.iters { // forgotten ones: badger panics on a transaction that is discarded under its iterators
		it.stop(engine.ErrClosed)
	}
	s.txn.Discard()
	s.txn = nil
	s.e.gate.Leave()
	return nil
}

func (s *snapshot) forget(it *iterator) {
	s.itersMu.Lock()
	defer s.itersMu.Unlock()
	delete(s.iters, it)
}

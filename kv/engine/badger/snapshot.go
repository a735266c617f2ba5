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

// Snapshot implements engine.Engine. It enters the gate, which the snapshot's Close leaves again: so the engine's
// Close waits for its readers, and a snapshot that comes too late is engine.ErrClosed. The view is a transaction of
// badger's that only reads: it sees what was committed before it began, and nothing later.
func (e *Engine) Snapshot() (engine.Snapshot, error) {
	if err := e.gate.Enter(); err != nil {
		return nil, err
	}
	return &snapshot{e: e, txn: e.db.NewTransaction(false), iters: map[*iterator]struct{}{}}, nil
}

// Get implements engine.Snapshot. It refuses an unknown column family (see checkCF) and a closed snapshot, holds mu
// for reading as long as it uses txn, and leaves the search to getByIterator.
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

// getByIterator returns a copy of the value of an encoded key as txn sees it, unsealed (see [unseal]) and never
// nil. It seeks with an iterator of its own, which it closes, because the point get of a badger transaction looks
// at the newest table that has any version of the key: for an old snapshot that version may be too new, and the
// right one is missed. StartKey and EndKey of badger.IteratorOptions let badger skip tables outside of them, but do
// not bound the walk. They are not needed here; if they are set, mind that EndKey is exclusive: key itself would
// skip its own table, and nothing would be found; use key + 0x00. Errors: engine.ErrNotFound if there is no pair
// with exactly this key; engine.ErrCorrupt; badger's own.
func getByIterator(txn *badger.Txn, key []byte) ([]byte, error) {
	it := txn.NewIterator(badger.IteratorOptions{}) // bounds cost a search in every table before the search
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

// Iterator implements engine.Snapshot. It refuses what Get refuses. The iterator starts unpositioned, with both of
// its bounds encoded (see encodeRange), so that no walk leaves its column family, and without an iterator of
// badger's: the first move makes one. It is kept in iters, where Close finds it if it is forgotten.
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

// Close implements engine.Snapshot. It holds mu for writing. Iterators that are still open are stopped with
// engine.ErrClosed (see iterator.stop) before txn is discarded, because badger panics on a transaction that is
// discarded under its iterators. Then txn is nil, and the gate is left, once. Error: engine.ErrClosed if it was
// closed before.
func (s *snapshot) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.txn == nil {
		return engine.ErrClosed
	}
	for it := range s.iters { // the forgotten ones
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

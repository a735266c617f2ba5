//go:build cgo

// How much a range takes.

package badger

import (
	"bytes"

	"github.com/Connor1996/badger"

	"tinykv/kv/engine"
)

// sizeWalkBytes is where ApproximateSize stops: far above any region, so that a mistaken question can't cost a walk
// over everything.
const sizeWalkBytes = 1 << 30

// ApproximateSize implements engine.Engine. Badger has no cheap estimate that is safe beside its compactions, so
// this adds up keys and stored values by a walk over the range, at some millions of pairs a second, and answers
// sizeWalkBytes for anything larger than that.
func (e *Engine) ApproximateSize(cf engine.CF, start, end []byte) (uint64, error) {
	if err := e.gate.Enter(); err != nil {
		return 0, err
	}
	defer e.gate.Leave()
	if err := checkCF(cf); err != nil {
		return 0, err
	}
	lower, upper := encodeRange(cf, start, end)
	txn := e.db.NewTransaction(false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{StartKey: lower, EndKey: upper})
	defer it.Close()
	var size uint64
	for it.Seek(lower); it.Valid() && bytes.Compare(it.Item().Key(), upper) < 0; it.Next() {
		if size += uint64(it.Item().EstimatedSize()); size > sizeWalkBytes {
			return sizeWalkBytes, nil
		}
	}
	return size, nil
}

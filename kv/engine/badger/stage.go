//go:build cgo

// Staging: the operations of a batch become the pending writes of one badger transaction.

package badger

import (
	"bytes"
	"fmt"

	"github.com/Connor1996/badger"

	"tinykv/kv/engine"
)

// stageBatch puts all operations of b into txn, in their order, where they wait for the commit: keys encoded (see
// encodeKey), values sealed (see [seal]). A later operation on a key replaces an earlier one, in the same batch
// too. Badger keeps the slices that it is given until the commit, and changes them: every key and value it gets
// must be a new slice.
//
// An error of stageRangeDelete is handed on as it is. After an error the caller discards txn.
func stageBatch(txn *badger.Txn, b *engine.Batch) error {
	for op := range b.Ops() {
		var err error
		switch op.Kind {
		case engine.OpPut:
			key := encodeKey(op.CF, op.Key)
			err = txn.Set(key, seal(key, op.Value))
		case engine.OpDelete:
			err = txn.Delete(encodeKey(op.CF, op.Key))
		case engine.OpDeleteRange:
			err = stageRangeDelete(txn, op.CF, op.Key, op.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stageRangeDelete adds to txn a delete for every key of cf in [start, end) that txn sees: those in the store, and
// those that txn is about to write. An empty end means "to the last key"; an inverted range deletes nothing. Badger
// has no cheaper way.
//
// It walks with an iterator of txn that has no StartKey and no EndKey: with them badger panics when txn has pending
// writes.
//
// A transaction must stay small enough for badger: when the encoded keys and engine.OpOverhead for each sum up to
// more than engine.MaxBatchSize, the answer is engine.ErrTooLarge, and memory never holds more than that.
func stageRangeDelete(txn *badger.Txn, cf engine.CF, start, end []byte) error {
	lower, upper := encodeRange(cf, start, end)
	it := txn.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	size := 0
	var keys [][]byte
	for it.Seek(lower); it.Valid(); it.Next() {
		key := it.Item().KeyCopy(nil)
		if bytes.Compare(key, upper) >= 0 {
			break
		}
		if size += len(key) + engine.OpOverhead; size > engine.MaxBatchSize {
			return fmt.Errorf("%w: the range [%q, %q) of %v holds too many keys to delete at once, delete it in parts",
				engine.ErrTooLarge, start, end, cf)
		}
		keys = append(keys, key)
	}
	for _, key := range keys {
		if err := txn.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

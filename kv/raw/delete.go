// Removing pairs: Delete, BatchDelete, DeleteRange.

package raw

import "tinykv/kv/engine"

// Delete returns the batch that removes key. A key without a pair is fine.
// Errors: ErrEmptyKey, ErrKeyTooLarge.
func Delete(cf engine.CF, key []byte) (*engine.Batch, error) {
	return BatchDelete(cf, [][]byte{key})
}

// BatchDelete returns the one batch that removes all keys.
// Errors: ErrEmptyKey, ErrKeyTooLarge for any of the keys, and then there is no batch.
func BatchDelete(cf engine.CF, keys [][]byte) (*engine.Batch, error) {
	batch := &engine.Batch{}
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return nil, err
		}
		batch.Delete(cf, key)
	}
	return batch, nil
}

// DeleteRange returns the batch that removes every key k with start <= k < end. An empty start means "from the first
// key", an empty end "to the last key". start == end removes nothing.
// Errors: ErrInvertedRange, ErrKeyTooLarge.
func DeleteRange(cf engine.CF, start, end []byte) (*engine.Batch, error) {
	if err := checkRange(start, end); err != nil {
		return nil, err
	}
	batch := &engine.Batch{}
	batch.DeleteRange(cf, start, end)
	return batch, nil
}

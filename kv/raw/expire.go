// Getting rid of what has expired. Nobody sees these pairs any more, so there is no hurry: a sweep goes through a
// column family in small steps, and each step is a look without latches and a removal with them.

package raw

import (
	"bytes"
	"fmt"

	"tinykv/kv/engine"
)

// FindExpired looks at no more than most pairs from the key start on and returns the keys of those that have expired.
// next is where to go on, or nil when the end was reached. The keys may be rewritten before anyone acts on them: see
// DeleteExpired. Errors: those of the snapshot.
func FindExpired(snap engine.Snapshot, cf engine.CF, start []byte, most int, now uint64,
) (keys [][]byte, next []byte, err error) {
	it, err := snap.Iterator(cf, engine.IterOptions{Lower: start})
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if closeErr := it.Close(); err == nil {
			err = closeErr
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		if most == 0 {
			return keys, bytes.Clone(it.Key()), nil
		}
		most--
		_, at, err := decodeValue(it.Value())
		if err != nil {
			return nil, nil, fmt.Errorf("key %s: %w", quote(it.Key()), err)
		}
		if expired(at, now) {
			keys = append(keys, bytes.Clone(it.Key()))
		}
	}
	return keys, nil, nil
}

// DeleteExpired returns the batch that removes those of the keys that are expired in this snapshot. A key that was
// written anew since it was found is left alone, provided that no one writes it from before the snapshot is taken
// until the batch is written: the caller sees to it.
// Errors: ErrEmptyKey, ErrKeyTooLarge; those of the snapshot.
func DeleteExpired(snap engine.Snapshot, cf engine.CF, keys [][]byte, now uint64) (*engine.Batch, error) {
	batch := &engine.Batch{}
	for _, key := range keys {
		_, seen, err := Get(snap, cf, key, now)
		if err != nil {
			return nil, err
		}
		if !seen {
			batch.Delete(cf, key)
		}
	}
	return batch, nil
}

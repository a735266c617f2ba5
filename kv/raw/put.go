// Writing pairs: Put, BatchPut.

package raw

import (
	"fmt"

	"tinykv/kv/engine"
)

// Put returns the batch that sets key to value. The pair is gone ttl seconds after now, or stays for ever if ttl is
// NoTTL; the time to live of an earlier pair of this key plays no part. An empty value is legal.
// Errors: ErrEmptyKey, ErrKeyTooLarge, ErrValueTooLarge, ErrBadTTL.
func Put(cf engine.CF, key, value []byte, ttl, now uint64) (*engine.Batch, error) {
	batch := &engine.Batch{}
	if err := addPut(batch, cf, key, value, ttl, now); err != nil {
		return nil, err
	}
	return batch, nil
}

// BatchPut returns the one batch that sets all pairs. If a key is given twice, the later pair wins. ttls is empty (no
// pair expires), or has one time to live for all pairs, or one for each (see ttlOf).
// Errors: ErrEmptyKey, ErrKeyTooLarge, ErrValueTooLarge, ErrBadTTL for any of the pairs, and then there is no batch.
func BatchPut(cf engine.CF, pairs []Pair, ttls []uint64, now uint64) (*engine.Batch, error) {
	if len(ttls) > 1 && len(ttls) != len(pairs) {
		return nil, fmt.Errorf("%w: %d of them for %d pairs, give none, one, or one for each",
			ErrBadTTL, len(ttls), len(pairs))
	}
	batch := &engine.Batch{}
	for i, pair := range pairs {
		if err := addPut(batch, cf, pair.Key, pair.Value, ttlOf(i, ttls), now); err != nil {
			return nil, err
		}
	}
	return batch, nil
}

// ttlOf is the time to live of pair i, by the rule of BatchPut.
func ttlOf(i int, ttls []uint64) uint64 {
	switch len(ttls) {
	case 0:
		return NoTTL
	case 1:
		return ttls[0]
	default:
		return ttls[i]
	}
}

// addPut checks one pair (see checkPair) and adds it to the batch in its stored form: the value together with the
// second at which the pair expires (see [expiry], encodeValue). With an error the batch is as it was.
// Errors: ErrEmptyKey, ErrKeyTooLarge, ErrValueTooLarge, ErrBadTTL.
func addPut(batch *engine.Batch, cf engine.CF, key, value []byte, ttl, now uint64) error {
	if err := checkPair(key, value); err != nil {
		return err
	}
	at, err := expiry(ttl, now)
	if err != nil {
		return err
	}
	batch.Put(cf, key, encodeValue(value, at))
	return nil
}

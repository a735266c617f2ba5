// Reading by key: Get, BatchGet, TTL.

package raw

import (
	"errors"
	"fmt"

	"tinykv/kv/engine"
)

// Pair is a key and its value, as a client knows them.
type Pair struct {
	Key, Value []byte
}

// Get returns the value of key. found is false if the key has no pair, or one that has expired; that is not an error.
// An empty value is found, and is []byte{}. The value belongs to the caller.
// Errors: ErrEmptyKey, ErrKeyTooLarge; those of the snapshot.
func Get(snap engine.Snapshot, cf engine.CF, key []byte, now uint64) (value []byte, found bool, err error) {
	value, _, found, err = lookUp(snap, cf, key, now)
	return value, found, err
}

// BatchGet returns the pairs of those keys that have one, in the order in which the keys are given; a key that is given
// twice is answered twice. All values are of the one snapshot, and their sum is bounded (see result.add).
// Errors: ErrEmptyKey, ErrKeyTooLarge for any of the keys, and then there is no result; ErrResultTooLarge; those of the
// snapshot.
func BatchGet(snap engine.Snapshot, cf engine.CF, keys [][]byte, now uint64) ([]Pair, error) {
	var found result
	for _, key := range keys {
		value, exists, err := Get(snap, cf, key, now)
		if err != nil {
			return nil, err
		}
		if !exists {
			continue
		}
		if err := found.add(key, value); err != nil {
			return nil, err
		}
	}
	return found.pairs, nil
}

// TTL returns how many seconds of its time to live a pair has left: NoTTL if it never expires, and at least 1
// otherwise, because a pair with none left is not found.
// Errors: ErrEmptyKey, ErrKeyTooLarge; those of the snapshot.
func TTL(snap engine.Snapshot, cf engine.CF, key []byte, now uint64) (ttl uint64, found bool, err error) {
	_, at, found, err := lookUp(snap, cf, key, now)
	if err != nil || !found || at == never {
		return NoTTL, found, err
	}
	return at - now, true, nil
}

// lookUp reads one pair: its value, and the second at which it expires, or never. found is false, and there is no
// error, if the key has no pair or one that has expired by now. It checks the key (checkKey) before it asks the
// snapshot, and takes apart what is stored (decodeValue). The value belongs to the caller.
// Errors: ErrEmptyKey, ErrKeyTooLarge; all of the snapshot's but engine.ErrNotFound; engine.ErrCorrupt.
func lookUp(snap engine.Snapshot, cf engine.CF, key []byte, now uint64,
) (value []byte, at uint64, found bool, err error) {
	if err := checkKey(key); err != nil {
		return nil, 0, false, err
	}
	stored, err := snap.Get(cf, key)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, 0, false, nil
	}
	if err != nil {
		return nil, 0, false, err
	}
	value, at, err = decodeValue(stored)
	if err != nil {
		return nil, 0, false, fmt.Errorf("key %s: %w", quote(key), err)
	}
	if expired(at, now) {
		return nil, 0, false, nil
	}
	return value, at, true, nil
}

// result collects the pairs of an answer and keeps it below MaxResultSize.
type result struct {
	pairs []Pair
	bytes int
}

func (r *result) add(key, value []byte) error {
	r.bytes += len(key) + len(value)
	if r.bytes > MaxResultSize {
		return fmt.Errorf("%w: more than %d MiB, ask for fewer pairs", ErrResultTooLarge, MaxResultSize>>20)
	}
	r.pairs = append(r.pairs, Pair{key, value})
	return nil
}

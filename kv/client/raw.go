// The raw API, one key at a time.

package client

import (
	"context"
	"fmt"
	"time"

	"tinykv/kv/region/regionpb"
	"tinykv/proto/kvrpcpb"
)

// Raw reads and writes plain keys and values, without transactions.
type Raw struct {
	c  *Client
	cf string
}

// Raw returns the raw API on the column family "default".
func (c *Client) Raw() Raw { return Raw{c: c} }

// CF returns the same API on another column family: "default", "lock" or "write".
func (r Raw) CF(name string) Raw { return Raw{c: r.c, cf: name} }

// Pair is a key with its value, and in writes its time to live.
type Pair struct {
	Key, Value []byte
	TTL        time.Duration // 0: for ever; otherwise at least a second; fractions of a second are rounded up
}

// Get returns the value of key, and whether there is one. An empty value is a value.
func (r Raw) Get(ctx context.Context, key []byte) (value []byte, found bool, err error) {
	ctx, cancel := r.c.bound(ctx)
	defer cancel()
	what := "get " + quoteKey(key)
	res, _, err := r.c.ask(ctx, what, reads, r.c.atKey(key), func(_ located, kv *kvrpcpb.Context) request {
		return rawGet(&kvrpcpb.RawGetRequest{Context: kv, Key: key, Cf: r.cf})
	})
	if err != nil {
		return nil, false, err
	}
	got := res.(*kvrpcpb.RawGetResponse)
	if err := refused(what, got.GetError()); err != nil || got.GetNotFound() {
		return nil, false, err
	}
	return nonNil(got.GetValue()), true, nil
}

// Put sets key to value, for ever.
func (r Raw) Put(ctx context.Context, key, value []byte) error {
	return r.PutTTL(ctx, key, value, 0)
}

// PutTTL sets key to value for a time; 0 is for ever.
func (r Raw) PutTTL(ctx context.Context, key, value []byte, ttl time.Duration) error {
	ctx, cancel := r.c.bound(ctx)
	defer cancel()
	what := "put " + quoteKey(key)
	seconds, err := ttlSeconds(ttl)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	res, _, err := r.c.ask(ctx, what, writes, r.c.atKey(key), func(_ located, kv *kvrpcpb.Context) request {
		return rawPut(&kvrpcpb.RawPutRequest{Context: kv, Key: key, Value: value, Cf: r.cf, Ttl: seconds})
	})
	if err != nil {
		return err
	}
	return refused(what, res.(*kvrpcpb.RawPutResponse).GetError())
}

// Delete removes key. It is no error if there is no value.
func (r Raw) Delete(ctx context.Context, key []byte) error {
	ctx, cancel := r.c.bound(ctx)
	defer cancel()
	what := "delete " + quoteKey(key)
	res, _, err := r.c.ask(ctx, what, writes, r.c.atKey(key), func(_ located, kv *kvrpcpb.Context) request {
		return rawDelete(&kvrpcpb.RawDeleteRequest{Context: kv, Key: key, Cf: r.cf})
	})
	if err != nil {
		return err
	}
	return refused(what, res.(*kvrpcpb.RawDeleteResponse).GetError())
}

// TTL returns how long key will live: 0 if for ever. False: it has no value.
func (r Raw) TTL(ctx context.Context, key []byte) (ttl time.Duration, found bool, err error) {
	ctx, cancel := r.c.bound(ctx)
	defer cancel()
	what := "get the time to live of " + quoteKey(key)
	res, _, err := r.c.ask(ctx, what, reads, r.c.atKey(key), func(_ located, kv *kvrpcpb.Context) request {
		return rawGetKeyTTL(&kvrpcpb.RawGetKeyTTLRequest{Context: kv, Key: key, Cf: r.cf})
	})
	if err != nil {
		return 0, false, err
	}
	got := res.(*kvrpcpb.RawGetKeyTTLResponse)
	if err := refused(what, got.GetError()); err != nil || got.GetNotFound() {
		return 0, false, err
	}
	return time.Duration(got.GetTtl()) * time.Second, true, nil
}

// Swap says what CompareAndSwap is to write, and under which condition.
type Swap struct {
	Key []byte
	// With ExpectAbsent the key must have no value, and Expected plays no part; otherwise its value must equal
	// Expected.
	ExpectAbsent bool
	Expected     []byte
	Value        []byte
	TTL          time.Duration // of the new value; 0: for ever
}

// Swapped says what CompareAndSwap found and did.
type Swapped struct {
	Succeed  bool
	Existed  bool   // the key had a value before
	Previous []byte // that value
}

// CompareAndSwap writes a value if the present one is as expected, in one step.
func (r Raw) CompareAndSwap(ctx context.Context, s Swap) (Swapped, error) {
	ctx, cancel := r.c.bound(ctx)
	defer cancel()
	what := "compare and swap " + quoteKey(s.Key)
	seconds, err := ttlSeconds(s.TTL)
	if err != nil {
		return Swapped{}, fmt.Errorf("%s: %w", what, err)
	}
	res, _, err := r.c.ask(ctx, what, writes, r.c.atKey(s.Key), func(_ located, kv *kvrpcpb.Context) request {
		return rawCompareAndSwap(&kvrpcpb.RawCASRequest{
			Context: kv, Key: s.Key, Value: s.Value, PreviousNotExist: s.ExpectAbsent, PreviousValue: s.Expected,
			Cf: r.cf, Ttl: seconds,
		})
	})
	if err != nil {
		return Swapped{}, err
	}
	got := res.(*kvrpcpb.RawCASResponse)
	if err := refused(what, got.GetError()); err != nil {
		return Swapped{}, err
	}
	swapped := Swapped{Succeed: got.GetSucceed(), Existed: !got.GetPreviousNotExist()}
	if swapped.Existed {
		swapped.Previous = nonNil(got.GetPreviousValue())
	}
	return swapped, nil
}

// refused is the error of an answer that carries one.
func refused(what, text string) error {
	if text == "" {
		return nil
	}
	if regionpb.IsUndetermined(text) {
		return fmt.Errorf("%s: %w: the store says %s", what, ErrUndetermined, text)
	}
	return fmt.Errorf("%s: %w: %s", what, ErrRefused, text)
}

// ttlSeconds turns a duration into the protocol's unit. A positive one never becomes 0, which would be for ever.
func ttlSeconds(ttl time.Duration) (uint64, error) {
	if ttl < 0 {
		return 0, fmt.Errorf("%w: a time to live of %v", ErrRefused, ttl)
	}
	return uint64((ttl + time.Second - 1) / time.Second), nil
}

// nonNil gives back the empty value that the wire has lost.
func nonNil(value []byte) []byte {
	if value == nil {
		return []byte{}
	}
	return value
}

// quoteKey shows a key in an error's text: all of it, or the beginning and the length.
func quoteKey(key []byte) string {
	const most = 60
	if len(key) > most {
		return fmt.Sprintf("%q... (%d bytes)", key[:most], len(key))
	}
	return fmt.Sprintf("%q", key)
}

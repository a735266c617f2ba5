// The raw API, many keys at a time.

package client

import (
	"context"
	"fmt"

	"tinykv/proto/kvrpcpb"
)

// BatchGet returns the values of keys, in their order. Nil means that a key has none; an empty value is not nil.
// The parts for different regions are read at different moments.
func (r Raw) BatchGet(ctx context.Context, keys [][]byte) ([][]byte, error) {
	ctx, cancel := r.c.bound(ctx)
	defer cancel()
	what := fmt.Sprintf("get %d keys", len(keys))
	found := map[string][]byte{}
	err := run(ctx, r.c, job[[]byte]{
		what: what, effect: reads, key: self, size: length,
		build: func(keys [][]byte) builder {
			return func(_ located, kv *kvrpcpb.Context) request {
				return rawBatchGet(&kvrpcpb.RawBatchGetRequest{Context: kv, Keys: keys, Cf: r.cf})
			}
		},
		done: func(_ [][]byte, res response) error {
			for _, p := range res.(*kvrpcpb.RawBatchGetResponse).GetPairs() {
				if err := keyError(p.GetError()); err != nil {
					return err
				}
				found[string(p.GetKey())] = nonNil(p.GetValue())
			}
			return nil
		},
	}, distinct(keys, self))
	if err != nil {
		return nil, err
	}
	values := make([][]byte, len(keys))
	for i, k := range keys {
		values[i] = found[string(k)]
	}
	return values, nil
}

// BatchPut writes pairs. Of several with the same key the last counts. The pairs of one region are written in
// portions of at most 512 pairs or a MiB; each portion is atomic, the whole is not.
func (r Raw) BatchPut(ctx context.Context, pairs []Pair) error {
	ctx, cancel := r.c.bound(ctx)
	defer cancel()
	what := fmt.Sprintf("put %d pairs", len(pairs))
	for _, p := range pairs {
		if _, err := ttlSeconds(p.TTL); err != nil {
			return fmt.Errorf("%s: key %s: %w", what, quoteKey(p.Key), err)
		}
	}
	return run(ctx, r.c, job[Pair]{
		what: what, effect: writes, key: keyOf, size: func(p Pair) int { return len(p.Key) + len(p.Value) },
		build: func(pairs []Pair) builder {
			return func(_ located, kv *kvrpcpb.Context) request { return rawBatchPut(batchPut(kv, r.cf, pairs)) }
		},
		done: func(_ []Pair, res response) error { return refusedPart(res.(*kvrpcpb.RawBatchPutResponse).GetError()) },
	}, distinct(pairs, keyOf))
}

func batchPut(kv *kvrpcpb.Context, cf string, pairs []Pair) *kvrpcpb.RawBatchPutRequest {
	req := &kvrpcpb.RawBatchPutRequest{Context: kv, Cf: cf}
	mortal := false
	for _, p := range pairs {
		seconds, _ := ttlSeconds(p.TTL)
		mortal = mortal || seconds > 0
		req.Pairs = append(req.Pairs, &kvrpcpb.KvPair{Key: p.Key, Value: p.Value})
		req.Ttls = append(req.Ttls, seconds)
	}
	if !mortal {
		req.Ttls = nil
	}
	return req
}

// BatchDelete removes keys, in portions as BatchPut.
func (r Raw) BatchDelete(ctx context.Context, keys [][]byte) error {
	ctx, cancel := r.c.bound(ctx)
	defer cancel()
	return run(ctx, r.c, job[[]byte]{
		what: fmt.Sprintf("delete %d keys", len(keys)), effect: writes, key: self, size: length,
		build: func(keys [][]byte) builder {
			return func(_ located, kv *kvrpcpb.Context) request {
				return rawBatchDelete(&kvrpcpb.RawBatchDeleteRequest{Context: kv, Keys: keys, Cf: r.cf})
			}
		},
		done: func(_ [][]byte, res response) error {
			return refusedPart(res.(*kvrpcpb.RawBatchDeleteResponse).GetError())
		},
	}, distinct(keys, self))
}

func self(key []byte) []byte { return key }
func length(key []byte) int  { return len(key) }
func keyOf(p Pair) []byte    { return p.Key }

// distinct keeps the last item of each key, as if they were written in order.
func distinct[T any](items []T, key func(T) []byte) []T {
	last := make(map[string]int, len(items))
	for i, item := range items {
		last[string(key(item))] = i
	}
	kept := make([]T, 0, len(last))
	for i, item := range items {
		if last[string(key(item))] == i {
			kept = append(kept, item)
		}
	}
	return kept
}

func refusedPart(text string) error {
	if text == "" {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrRefused, text)
}

// keyError is the error that a pair of an answer carries.
func keyError(e *kvrpcpb.KeyError) error {
	switch {
	case e == nil:
		return nil
	case e.GetAbort() != "":
		return refusedPart(e.GetAbort())
	}
	return refusedPart(e.String())
}

// Plans against a model that deletes key by key.

package inparts

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"tinykv/kv/engine"
)

// apply carries out a batch on a map of one family.
func apply(pairs map[string]string, b *engine.Batch) {
	for op := range b.Ops() {
		switch op.Kind {
		case engine.OpPut:
			pairs[string(op.Key)] = string(op.Value)
		case engine.OpDelete:
			delete(pairs, string(op.Key))
		case engine.OpDeleteRange:
			remove(pairs, span{op.Key, op.Value})
		}
	}
}

func remove(pairs map[string]string, s span) {
	maps.DeleteFunc(pairs, func(key, _ string) bool {
		return key >= string(s.start) && (len(s.end) == 0 || key < string(s.end))
	})
}

func TestAPlanHasTheOutcomeOfItsBatch(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 0))
	key := func() []byte { return fmt.Appendf(nil, "%02d", random.IntN(30)) }
	bound := func() []byte {
		if random.IntN(6) == 0 {
			return nil
		}
		return key()
	}
	for round := range 3000 {
		b := &engine.Batch{}
		for range random.IntN(12) {
			switch random.IntN(4) {
			case 0:
				b.Delete(engine.Default, key())
			case 1:
				b.DeleteRange(engine.Default, bound(), bound())
			default:
				b.Put(engine.Default, key(), fmt.Append(nil, round))
			}
		}
		want, got := map[string]string{}, map[string]string{}
		for range 20 {
			want[string(key())] = "old"
		}
		maps.Copy(got, want)
		apply(want, b)
		rest, gone := plan(b)
		for i, s := range gone[engine.Default] {
			remove(got, s)
			if next := i + 1; next < len(gone[engine.Default]) && s.reaches(gone[engine.Default][next].start) {
				t.Fatalf("the ranges %q overlap, touch, or are not in order", gone[engine.Default])
			}
		}
		apply(got, rest)
		if !maps.Equal(got, want) || rest.Size() > b.Size() || deletesRange(rest) {
			t.Fatalf("batch %v: plan %v and %q make %v, want %v", b, rest, gone[engine.Default], got, want)
		}
	}
}

func TestAPlanKeepsFamiliesApart(t *testing.T) {
	b := &engine.Batch{}
	for _, cf := range engine.CFs {
		b.Put(cf, []byte("k"), []byte("v"))
	}
	b.DeleteRange(engine.Lock, nil, nil)
	rest, gone := plan(b)
	for op := range rest.Ops() {
		if op.CF == engine.Lock || !bytes.Equal(op.Value, []byte("v")) {
			t.Errorf("operation %v is left", op)
		}
	}
	if rest.Len() != len(engine.CFs)-1 || len(gone[engine.Lock]) != 1 || len(gone[engine.Default]) != 0 {
		t.Errorf("%d operations are left, and %q is gone", rest.Len(), gone)
	}
}

// What a batch deletes, and what is left of it: decided without an engine.

package inparts

import (
	"bytes"
	"slices"
	"sort"

	"tinykv/kv/engine"
)

// plan splits a batch in two: gone, the ranges that it deletes, by column family; and rest, those of its other
// operations, in their order, that none of the ranges behind them undoes. To delete gone and then write rest has the same
// outcome as the batch.
func plan(b *engine.Batch) (rest *engine.Batch, gone []spans) {
	gone = make([]spans, len(engine.CFs))
	var kept []engine.Op
	for _, op := range slices.Backward(slices.Collect(b.Ops())) {
		switch {
		case op.Kind == engine.OpDeleteRange:
			gone[op.CF] = gone[op.CF].with(span{op.Key, op.Value})
		case !gone[op.CF].has(op.Key):
			kept = append(kept, op)
		}
	}
	rest = &engine.Batch{}
	rest.Grow(len(kept))
	for _, op := range slices.Backward(kept) {
		rest.Take(op)
	}
	return rest, gone
}

// span is a range of keys, from start to before end. An empty end is no bound.
type span struct{ start, end []byte }

func (s span) isEmpty() bool { return len(s.end) > 0 && bytes.Compare(s.start, s.end) >= 0 }

// reaches tells whether the span goes on up to a key, or beyond.
func (s span) reaches(key []byte) bool { return len(s.end) == 0 || bytes.Compare(s.end, key) >= 0 }

// spans are in order, and neither overlap nor touch.
type spans []span

// has tells whether a key is in one of them.
func (s spans) has(key []byte) bool {
	after := sort.Search(len(s), func(i int) bool { return bytes.Compare(s[i].start, key) > 0 })
	if after == 0 {
		return false
	}
	last := s[after-1]
	return len(last.end) == 0 || bytes.Compare(key, last.end) < 0
}

// with returns the spans and one more, merged with those that it overlaps or touches.
func (s spans) with(added span) spans {
	if added.isEmpty() {
		return s
	}
	from := sort.Search(len(s), func(i int) bool { return s[i].reaches(added.start) })
	to := from
	for to < len(s) && added.reaches(s[to].start) {
		to++
	}
	if from < to {
		if first := s[from]; bytes.Compare(first.start, added.start) < 0 {
			added.start = first.start
		}
		if last := s[to-1]; len(added.end) > 0 && last.reaches(added.end) {
			added.end = last.end
		}
	}
	return slices.Replace(s, from, to, added)
}

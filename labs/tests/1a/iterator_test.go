// Iterators: every pair once, in order, in both directions, and every seek and turn on the pair of the contract.

package stage1a_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"tinykv/kv/engine"
	"tinykv/labs/tests/explain"
)

// shelf has the pairs b d f h, with pairs of the same and of other keys in the neighbouring families.
func shelf(t *testing.T, rule explain.Rule) (*desk, *view) {
	d := open(t, rule)
	d.write(
		put(engine.Lock, "b", "2"), put(engine.Lock, "d", "4"), put(engine.Lock, "f", "6"), put(engine.Lock, "h", "8"),
		put(engine.Default, "c", "d"), put(engine.Default, "z", "d"), put(engine.Write, "a", "w"), put(engine.Write, "g",
			"w"),
	)
	// Deleted and overwritten keys are not met.
	d.write(put(engine.Lock, "c", "x"), put(engine.Lock, "e", "x"), put(engine.Lock, "f", "x"), put(engine.Lock, "i", "x"))
	d.write(del(engine.Lock, "c"), del(engine.Lock, "e"), put(engine.Lock, "f", "6"), del(engine.Lock, "i"))
	return d, d.snapshot()
}

func TestIteratorYieldsItsRange(t *testing.T) {
	_, s := shelf(t, exactly)
	b, d, f, h := pair{"b", "2"}, pair{"d", "4"}, pair{"f", "6"}, pair{"h", "8"}
	for _, c := range []struct {
		lower, upper string
		want         []pair
	}{
		{"", "", []pair{b, d, f, h}},
		{"b", "h", []pair{b, d, f}}, // Lower belongs to the range, Upper does not
		{"b", "h\x00", []pair{b, d, f, h}},
		{"b\x00", "h", []pair{d, f}},
		{"c", "g", []pair{d, f}},
		{"", "f", []pair{b, d}},
		{"f", "", []pair{f, h}},
		{"d", "d\x00", []pair{d}},
		{"e", "f", nil},
		{"d", "d", nil},
		{"h", "b", nil}, // inverted
		{"i", "", nil},
		{"", "a", nil},
		{"\xff\xff", "", nil},
	} {
		s.holds(engine.Lock, c.lower, c.upper, c.want...)
	}
}

func TestReverseIteration(t *testing.T) {
	d := open(t, exactly)
	var want []pair
	for i := range 150 {
		key := fmt.Sprintf("%03d", i)
		d.write(put(engine.Lock, key, "old"))
		if i%3 == 0 {
			d.write(del(engine.Lock, key))
		} else {
			d.write(put(engine.Lock, key, key))
			want = append(want, pair{key, key})
		}
	}
	s := d.snapshot()
	w := s.iterator(engine.Lock, "010", "140")
	at := len(want) - 1
	for want[at].k >= "140" {
		at--
	}
	for ok := w.last(); ok; ok = w.prev() {
		w.at(ok, want[at].k, want[at].v)
		at--
	}
	if want[at+1].k < "010" || want[at].k >= "010" {
		d.broken("the walk ends at the first key that is >= \"010\"", fmt.Sprintf("it ended behind %q", want[at+1].k))
	}
	w.off(w.it.Valid())
	w.close()
}

func TestSeeksLand(t *testing.T) {
	_, s := shelf(t, landing)
	val := map[string]string{"b": "2", "d": "4", "f": "6", "h": "8"}
	for _, r := range []struct{ lower, upper string }{{"", ""}, {"c", "h"}, {"d", "f\x00"}, {"e", "f"}, {"g", "c"},
		{"d", ""}, {"", "f"}} {
		w := s.iterator(engine.Lock, r.lower, r.upper)
		for _, key := range []string{"", "a", "b", "b\x00", "c", "d", "e", "f", "f\x00", "g", "h", "h\x00", "z", "\xff",
			"\xff\xff\xff"} {
			ge, lt := "", ""
			for _, k := range []string{"b", "d", "f", "h"} {
				if k < r.lower || (r.upper != "" && k >= r.upper) {
					continue
				}
				if k >= key && ge == "" {
					ge = k
				}
				if k < key {
					lt = k
				}
			}
			if moved := w.seekGE(key); ge != "" {
				w.at(moved, ge, val[ge])
			} else {
				w.off(moved)
			}
			if moved := w.seekLT(key); lt != "" {
				w.at(moved, lt, val[lt])
			} else {
				w.off(moved)
			}
		}
		w.close()
	}
}

func TestSeekThenWalk(t *testing.T) {
	_, s := shelf(t, landing)
	w := s.iterator(engine.Lock, "", "")
	w.at(w.seekGE("c"), "d", "4")
	w.at(w.next(), "f", "6")
	w.at(w.next(), "h", "8")
	w.off(w.next())
	w.at(w.seekLT("f"), "d", "4")
	w.at(w.prev(), "b", "2")
	w.off(w.prev())
	w.at(w.seekGE("h"), "h", "8")
	w.off(w.next())
	w.at(w.seekGE("b"), "b", "2") // an iterator that ran off can be used again
	w.at(w.next(), "d", "4")
	w.off(w.seekGE("i"))
	w.at(w.seekLT("z"), "h", "8")
	w.off(w.seekLT("b"))
	w.at(w.first(), "b", "2")
	w.close()
}

func TestIteratorTurnsAround(t *testing.T) {
	_, s := shelf(t, landing)
	w := s.iterator(engine.Lock, "", "")
	w.at(w.first(), "b", "2")
	w.at(w.next(), "d", "4")
	w.at(w.prev(), "b", "2")
	w.at(w.next(), "d", "4")
	w.at(w.next(), "f", "6")
	w.at(w.prev(), "d", "4")
	w.at(w.prev(), "b", "2")
	w.at(w.seekGE("f"), "f", "6")
	w.at(w.prev(), "d", "4")
	w.at(w.seekLT("f"), "d", "4")
	w.at(w.next(), "f", "6")
	w.at(w.last(), "h", "8")
	w.at(w.prev(), "f", "6")
	w.at(w.next(), "h", "8")
	w.close()

	// The same at the bounds, where the neighbour exists but does not belong to the range.
	w = s.iterator(engine.Lock, "c", "h")
	w.at(w.first(), "d", "4")
	w.off(w.prev())
	w.at(w.next(), "d", "4")
	w.at(w.last(), "f", "6")
	w.off(w.next())
	w.at(w.prev(), "f", "6")
	w.close()
}

func TestIteratorAtItsEnds(t *testing.T) {
	_, s := shelf(t, landing)
	for _, r := range []struct{ lower, upper, first, last string }{{"", "", "b", "h"}, {"c", "g", "d", "f"}, {"d",
		"d\x00", "d", "d"}} {
		val := map[string]string{"b": "2", "d": "4", "f": "6", "h": "8"}
		w := s.iterator(engine.Lock, r.lower, r.upper)
		w.off(w.it.Valid()) // unpositioned
		w.at(w.next(), r.first, val[r.first])
		w.close()
		w = s.iterator(engine.Lock, r.lower, r.upper)
		w.at(w.prev(), r.last, val[r.last])
		w.at(w.last(), r.last, val[r.last])
		w.off(w.next())
		w.off(w.next()) // at the high end it stays
		w.off(w.next())
		w.at(w.prev(), r.last, val[r.last])
		w.at(w.first(), r.first, val[r.first])
		w.off(w.prev())
		w.off(w.prev()) // at the low end it stays
		w.at(w.next(), r.first, val[r.first])
		w.off(w.seekGE("i")) // a seek runs off as well
		w.at(w.prev(), r.last, val[r.last])
		w.off(w.seekLT("a"))
		w.at(w.next(), r.first, val[r.first])
		w.close()
	}
	// An empty range has no ends to come back from.
	w := s.iterator(engine.Lock, "e", "f")
	for range 2 {
		w.off(w.next())
		w.off(w.prev())
		w.off(w.first())
		w.off(w.last())
	}
	w.close()
}

func TestIteratorsDoNotDisturbEachOther(t *testing.T) {
	_, s := shelf(t, exactly)
	lock, write := s.iterator(engine.Lock, "", ""), s.iterator(engine.Write, "", "")
	back := s.iterator(engine.Lock, "", "g")
	lock.at(lock.first(), "b", "2")
	write.at(write.first(), "a", "w")
	back.at(back.last(), "f", "6")
	lock.at(lock.next(), "d", "4")
	back.at(back.prev(), "d", "4")
	write.at(write.next(), "g", "w")
	s.has(engine.Lock, "h", "8")
	lock.at(lock.next(), "f", "6")
	back.at(back.prev(), "b", "2")
	write.off(write.next())
	back.close()
	lock.at(lock.next(), "h", "8")
	write.at(write.prev(), "g", "w")
	lock.close()
	write.at(write.prev(), "a", "w")
	write.close()
}

// TestIteratorWalksAtRandom compares a long random walk with one over a sorted list.
func TestIteratorWalksAtRandom(t *testing.T) {
	for _, seed := range explain.Seeds(4) {
		rng := rand.New(rand.NewPCG(seed, 1))
		d := open(t, landing)
		d.notes = []string{explain.Replay(t, "1a", seed)}
		d.done = nil
		m := newModel()
		for range 40 {
			op := put(engine.CFs[rng.IntN(3)], randomKey(rng), fmt.Sprint(rng.IntN(100)))
			if rng.IntN(4) == 0 {
				op.Kind, op.Value = engine.OpDelete, nil
			}
			d.write(op)
			m.apply(op)
		}
		s := d.snapshot()
		for range 12 {
			cf := engine.CFs[rng.IntN(3)]
			lower, upper := randomBound(rng), randomBound(rng)
			list := m.pairs(cf, lower, upper)
			d.done = []string{fmt.Sprintf("%v holds %s", cf, pairs(m.pairs(cf, "", ""), 3))}
			w := s.iterator(cf, lower, upper)
			at := -1 // index in list; -1 and len(list) are the two ends
			unpositioned := true
			for range 25 {
				var moved bool
				switch k := randomKey(rng); rng.IntN(8) {
				case 0:
					moved, at = w.first(), 0
				case 1:
					moved, at = w.last(), len(list)-1
				case 2:
					moved = w.seekGE(k)
					at = 0
					for at < len(list) && list[at].k < k {
						at++
					}
				case 3:
					moved = w.seekLT(k)
					at = len(list) - 1
					for at >= 0 && list[at].k >= k {
						at--
					}
				case 4, 5:
					moved = w.next()
					at = min(at+1, len(list))
				default:
					moved = w.prev()
					if unpositioned {
						at = len(list)
					}
					at = max(at-1, -1)
				}
				unpositioned = false
				if len(list) == 0 || at < 0 || at >= len(list) {
					w.off(moved)
					if len(list) == 0 {
						break // which end it is at is told apart only by a list that has pairs
					}
				} else {
					w.at(moved, list[at].k, list[at].v)
				}
			}
			w.close()
		}
		s.close()
		d.close()
	}
}

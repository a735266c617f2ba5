// Cases about iterators: order, bounds, positions, seeks, life time of slices.

package enginetest

import (
	"fmt"
	"strings"

	"tinykv/kv/engine"
)

var iteratorCases = []Case{
	{"iterate", "an iterator walks the pairs in the order of their keys, in both directions", func(w *world) {
		w.wantPairs(engine.Default)
		w.write(engine.Buffered, put("c", "3"), put("a", "1"), put("d", "4"), put("b", "2"))
		w.write(engine.Buffered, del("d"), put("b", "two"))
		w.wantPairs(engine.Default, "a=1", "b=two", "c=3")
	}},
	{"iterate_bounds", "an iterator stays in [Lower, Upper)", func(w *world) {
		w.write(engine.Buffered, put("a", ""), put("b", ""), put("bb", ""), put("c", ""), put("d", ""))
		s := w.snapshot()
		for _, c := range []struct{ lower, upper, want string }{
			{"", "", "a b bb c d"}, {"b", "", "b bb c d"}, {"", "c", "a b bb"}, {"b", "c", "b bb"}, {"b\x00",
				"c\x00", "bb c"},
			{"a", "b", "a"}, {"e", "", ""}, {"", "a", ""}, {"bba", "bbb", ""}, {"", "zzz", "a b bb c d"},
		} {
			want := strings.Fields(c.want)
			for i := range want {
				want[i] += "="
			}
			s.wantPairs(engine.Default, bounds(c.lower, c.upper), want...)
		}
	}},
	{"iterate_empty_range", "an inverted or empty range holds no pairs", func(w *world) {
		w.write(engine.Buffered, put("a", ""), put("b", ""), put("c", ""))
		s := w.snapshot()
		for _, b := range []engine.IterOptions{bounds("c", "a"), bounds("b", "b"), bounds("b", "a\xff"),
			bounds("z", "y")} {
			s.wantPairs(engine.Default, b)
			it := s.iterator(engine.Default, b)
			for _, key := range []string{"", "a", "b", "c", "zz"} {
				w.did("it.SeekGE(%q), it.SeekLT(%q)", key, key)
				if it.SeekGE([]byte(key)) || it.SeekLT([]byte(key)) {
					w.fail("false: the range is empty", show(string(it.Key())))
				}
			}
		}
	}},
	{"iterate_seek",
		"SeekGE goes to the first key >= k, SeekLT to the last < k, both within the bounds", func(w *world) {
			w.write(engine.Buffered, put("b", ""), put("d", ""), put("f", ""), put("h", ""), put("j", ""))
			s := w.snapshot()
			for _, c := range []struct{ lower, upper, key, ge, lt string }{
				{"", "", "d", "d", "b"}, {"", "", "c", "d", "b"}, {"", "", "d\x00", "f", "d"}, {"", "", "a", "b", ""},
				{"", "", "k", "", "j"},
				{"", "", "", "b", ""}, {"d", "h", "a", "d", ""}, {"d", "h", "d", "d", ""}, {"d", "h", "e", "f", "d"},
				{"d", "h", "g", "", "f"},
				{"d", "h", "h", "", "f"}, {"d", "h", "z", "", "f"}, {"c", "i", "d", "d", ""}, {"d", "h", "", "d", ""},
			} {
				it := s.iterator(engine.Default, bounds(c.lower, c.upper))
				w.wantAt(it, fmt.Sprintf("it.SeekGE(%q)", c.key), it.SeekGE([]byte(c.key)), c.ge)
				w.wantAt(it, fmt.Sprintf("it.SeekLT(%q)", c.key), it.SeekLT([]byte(c.key)), c.lt)
				w.wantAt(it, fmt.Sprintf("it.SeekGE(%q)", c.key), it.SeekGE([]byte(c.key)), c.ge)
			}
		}},
	{"iterate_positions", "Next and Prev of an unpositioned iterator, and of one that ran off an end", func(w *world) {
		w.write(engine.Buffered, put("a", ""), put("b", ""), put("c", ""))
		s := w.snapshot()
		for _, c := range []struct{ moves, want string }{
			{"next next next next next", "a b c - -"},
			{"prev prev prev prev prev", "c b a - -"},
			{"first prev prev next next", "a - - a b"},
			{"last next next prev prev", "c - - c b"},
			{"next prev next", "a - a"},
			{"prev next prev", "c - c"},
			{"next next prev next next prev", "a b a b c b"},
			{"prev prev next prev prev next", "c b c b a b"},
			{"first last first", "a c a"},
			{"last next last first prev first", "c - c a - a"},
		} {
			it := s.iterator(engine.Default, engine.IterOptions{})
			w.did("(unpositioned) it.Valid()")
			if it.Valid() || it.Key() != nil || it.Err() != nil {
				w.fail("an invalid iterator with a nil key and no error", fmt.Sprint(it.Valid(), it.Key(), it.Err()))
			}
			w.walk(it, c.moves, c.want)
		}
	}},
	{"iterate_positions_after_seek", "a seek that finds nothing runs off that end", func(w *world) {
		w.write(engine.Buffered, put("a", ""), put("c", ""), put("e", ""), put("g", ""))
		s := w.snapshot()
		for _, c := range []struct{ lower, upper, moves, want string }{
			{"", "", "ge:c prev next next", "c a c e"},
			{"", "", "lt:e next prev prev", "c e c a"},
			{"", "", "ge:z next prev prev", "- - g e"},
			{"", "", "lt:a prev next next", "- - a c"},
			{"", "", "lt:a prev ge:b prev", "- - c a"},
			{"b", "f", "ge:f next prev prev prev next", "- - e c - c"},
			{"b", "f", "lt:b prev next next next prev", "- - c e - e"},
			{"b", "f", "ge:e next prev", "e - e"},
			{"b", "f", "lt:d prev next", "c - c"},
		} {
			w.walk(s.iterator(engine.Default, bounds(c.lower, c.upper)), c.moves, c.want)
		}
	}},
	{"iterate_turns", "Next and Prev may alternate anywhere, also among deleted keys and old versions", func(w *world) {
		for i := range 12 {
			w.put(fmt.Sprintf("%02d", i), "old")
			if i%2 == 0 {
				w.put(fmt.Sprintf("%02d", i), "new")
			}
			if i%3 == 0 {
				w.write(engine.Buffered, del(fmt.Sprintf("%02d", i)))
			}
		}
		w.walk(w.snapshot().iterator(engine.Default, engine.IterOptions{}),
			"next next prev next next next prev prev next prev last prev next prev prev prev next",
			"01 02 01 02 04 05 04 02 04 02 11 10 11 10 08 07 08")
	}},
	{"iterate_slices", "Key and Value are valid until the iterator moves: copies of them stay", func(w *world) {
		var want []string
		for i := range 50 {
			w.put(fmt.Sprintf("k%02d", i), fmt.Sprintf("v%d", i))
			want = append(want, fmt.Sprintf("k%02d=v%d", i, i))
		}
		it := w.snapshot().iterator(engine.Default, engine.IterOptions{})
		w.did("walk it, copying each key and value")
		var keys, values [][]byte
		for ok := it.First(); ok; ok = it.Next() {
			if string(it.Key()) != string(it.Key()) || !it.Valid() {
				w.fail("the same key twice", "another one")
			}
			keys = append(keys, append([]byte{}, it.Key()...))
			values = append(values, append([]byte{}, it.Value()...))
		}
		var got []string
		for i := range keys {
			got = append(got, string(keys[i])+"="+string(values[i]))
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			w.fail(showList(want), showList(got))
		}
	}},
	{"iterate_bounds_copied", "the engine copies the bounds", func(w *world) {
		w.write(engine.Buffered, put("a", ""), put("b", ""), put("c", ""), put("d", ""))
		opts := bounds("b", "d")
		it := w.snapshot().iterator(engine.Default, opts)
		opts.Lower[0], opts.Upper[0] = 'x', 'a'
		w.did("(the caller overwrites the slices of the bounds)")
		w.walk(it, "next next next prev", "b c - c")
		w.walk(it, "ge:a prev next lt:z next", "b - b c -")
	}},
	{"iterate_its_snapshot", "an iterator shows its snapshot, whatever is written while it walks", func(w *world) {
		w.write(engine.Buffered, put("a", "1"), put("b", "1"), put("c", "1"))
		s := w.snapshot()
		it := s.iterator(engine.Default, engine.IterOptions{})
		w.walk(it, "next", "a")
		w.write(engine.Synced, put("a\x00", "2"), del("b"), put("c", "2"), put("d", "2"))
		w.walk(it, "next next", "b c")
		w.did("it.Value()")
		if got := string(it.Value()); got != "1" {
			w.fail("\"1\"", show(got))
		}
		w.walk(it, "next prev prev prev prev", "- c b a -")
		s.wantPairs(engine.Default, engine.IterOptions{}, "a=1", "b=1", "c=1")
	}},
	{"iterate_two_at_once", "iterators of one snapshot do not disturb each other", func(w *world) {
		w.write(engine.Buffered, put("a", ""), put("b", ""), put("c", ""), putIn(engine.Lock, "l", ""))
		s := w.snapshot()
		one, two := s.iterator(engine.Default, engine.IterOptions{}), s.iterator(engine.Default, bounds("b", ""))
		three := s.iterator(engine.Lock, engine.IterOptions{})
		w.walk(one, "next", "a")
		w.walk(two, "prev", "c")
		w.walk(three, "next", "l")
		w.walk(one, "next", "b")
		w.walk(two, "prev", "b")
		w.did("the first iterator: Close()")
		w.wantErr(one.Close(), nil)
		w.walk(two, "prev next", "- b")
		w.walk(three, "next prev", "- l")
	}},
	{"iterator_closed", "a closed iterator stands on nothing; a second Close does nothing", func(w *world) {
		w.put("a", "1")
		s := w.snapshot()
		it := s.iterator(engine.Default, engine.IterOptions{})
		w.walk(it, "first", "a")
		for range 2 {
			w.did("it.Close()")
			w.wantErr(it.Close(), nil)
		}
		w.walk(it, "next prev first last ge:a lt:z", "- - - - - -")
		s.wantGet(engine.Default, "a", "1")
	}},
	{"iterator_forgotten", "an iterator that is forgotten is closed with its snapshot", func(w *world) {
		w.put("a", "1")
		s := w.snapshot()
		it := s.iterator(engine.Default, engine.IterOptions{})
		w.walk(it, "first", "a")
		s.close()
		w.walk(it, "next prev first", "- - -")
		w.did("it.Err()")
		w.wantErr(it.Err(), engine.ErrClosed)
		w.close()
	}},
}

// wantAt checks where an iterator stands after a move; an empty want means: on nothing, without an error.
func (w *world) wantAt(it engine.Iterator, move string, moved bool, want string) {
	w.t.Helper()
	w.did("%s", move)
	got := "true, on " + show(string(it.Key()))
	if !moved {
		got = "false"
	}
	if want == "" {
		if moved {
			w.fail("false", got)
		}
		if it.Valid() || it.Key() != nil || it.Value() != nil {
			w.fail("false, and then neither Valid nor a key nor a value", fmt.Sprint(it.Valid(), it.Key(), it.Value()))
		}
		return
	}
	if !moved || !it.Valid() || string(it.Key()) != want {
		w.fail("true, on "+show(want), got)
	}
}

// walk moves an iterator and checks each stop. Moves are first, last, next, prev, ge:KEY and lt:KEY; stops are
// keys, or "-" for none.
func (w *world) walk(it engine.Iterator, moves, stops string) {
	w.t.Helper()
	stop := strings.Fields(stops)
	for i, move := range strings.Fields(moves) {
		var moved bool
		name, key, _ := strings.Cut(move, ":")
		switch name {
		case "first":
			moved = it.First()
		case "last":
			moved = it.Last()
		case "next":
			moved = it.Next()
		case "prev":
			moved = it.Prev()
		case "ge":
			moved = it.SeekGE([]byte(key))
		case "lt":
			moved = it.SeekLT([]byte(key))
		}
		w.wantAt(it, "it: "+move, moved, strings.TrimPrefix(stop[i], "-"))
	}
}

// Cases about single pairs: put, get, delete, column families, odd keys and values.

package enginetest

import "tinykv/kv/engine"

var pairCases = []Case{
	{"put_then_get", "a snapshot sees everything written before it", func(w *world) {
		w.put("a", "1")
		w.put("b", "2")
		w.wantGet(engine.Default, "a", "1")
		w.wantGet(engine.Default, "b", "2")
		w.put("a", "3")
		w.wantGet(engine.Default, "a", "3")
	}},
	{"missing_key", "ErrNotFound: the key has no value in this snapshot", func(w *world) {
		w.wantMissing(engine.Default, "a")
		w.put("b", "2")
		for _, key := range []string{"a", "", "b\x00", "B", "c"} {
			w.wantMissing(engine.Default, key)
		}
	}},
	{"delete", "Delete removes the key; it is not an error if it has no value", func(w *world) {
		w.put("a", "1")
		w.write(engine.Buffered, del("a"))
		w.wantMissing(engine.Default, "a")
		w.write(engine.Buffered, del("a"))
		w.write(engine.Buffered, del("never"))
		w.wantMissing(engine.Default, "a")
		w.put("a", "2")
		w.wantGet(engine.Default, "a", "2")
	}},
	{"empty_value", "an empty value is a value", func(w *world) {
		w.put("a", "")
		w.wantGet(engine.Default, "a", "")
		w.wantPairs(engine.Default, "a=")
		w.put("b", "1")
		w.put("b", "")
		w.wantGet(engine.Default, "b", "")
		w.write(engine.Buffered, del("a"))
		w.wantMissing(engine.Default, "a")
	}},
	{"value_is_a_copy", "Get returns a copy of the value, which the caller owns", func(w *world) {
		w.put("a", "12345")
		s := w.snapshot()
		got, err := s.Get(engine.Default, []byte("a"))
		w.wantErr(err, nil)
		for i := range got {
			got[i] = 'x'
		}
		w.did("(the caller overwrites the slice that %s.Get(default, \"a\") returned)", s.name)
		s.wantGet(engine.Default, "a", "12345")
		s.wantPairs(engine.Default, engine.IterOptions{}, "a=12345")
	}},
	{"binary_keys", "keys are any bytes, in the order of bytes.Compare", func(w *world) {
		keys := []string{"\x00", "\x00\x00", "\x00\xff", "!badger!", "a", "a\x00", "a\x00\x00", "a\x01", "aa",
			"b", "\xfe", "\xff", "\xff\x00", "\xff\xff"}
		var want []string
		for i := range keys {
			key := keys[(i*5)%len(keys)] // in another order
			w.put(key, "v"+key)
		}
		for _, key := range keys {
			w.wantGet(engine.Default, key, "v"+key)
			want = append(want, key+"=v"+key)
		}
		w.wantPairs(engine.Default, want...)
	}},
	{"binary_values", "values are any bytes", func(w *world) {
		for key, value := range map[string]string{"a": "\x00", "b": "\xff\x00\xff", "c": fill(1<<16, 0), "d": "\n=\r"} {
			w.put(key, value)
			w.wantGet(engine.Default, key, value)
		}
	}},
	{"families", "a column family is a key space of its own", func(w *world) {
		w.write(engine.Buffered,
			putIn(engine.Default, "a", "d"), putIn(engine.Lock, "a", "l"), putIn(engine.Write, "a", "w"),
			putIn(engine.Write, "b", "w2"))
		w.wantGet(engine.Default, "a", "d")
		w.wantGet(engine.Lock, "a", "l")
		w.wantGet(engine.Write, "a", "w")
		w.wantMissing(engine.Lock, "b")
		w.write(engine.Buffered, engine.Op{Kind: engine.OpDelete, CF: engine.Lock, Key: []byte("a")})
		w.wantPairs(engine.Default, "a=d")
		w.wantPairs(engine.Lock)
		w.wantPairs(engine.Write, "a=w", "b=w2")
	}},
	{"families_do_not_touch",
		"no key of one family shows in another, not even beside its first or last", func(w *world) {
			for _, cf := range engine.CFs {
				w.write(engine.Buffered, putIn(cf, "\x00", cf.String()), putIn(cf, "\xff\xff\xff", cf.String()))
			}
			for _, cf := range engine.CFs {
				w.wantPairs(cf, "\x00="+cf.String(), "\xff\xff\xff="+cf.String())
			}
			s := w.snapshot()
			for _, cf := range engine.CFs {
				it := s.iterator(cf, engine.IterOptions{})
				w.did("it.SeekGE(\"\\xff\\xff\\xff\\xff\") in %v", cf)
				if it.SeekGE([]byte("\xff\xff\xff\xff")) {
					w.fail("false: nothing is behind the last key", show(string(it.Key())))
				}
				w.did("it.SeekLT(\"\\x00\") in %v", cf)
				if it.SeekLT([]byte{0}) {
					w.fail("false: nothing is before the first key", show(string(it.Key())))
				}
			}
		}},
	{"unknown_family", "ErrUnknownCF: there is no such column family", func(w *world) {
		const none = engine.CF(99)
		w.wantErr(w.tryWrite(engine.Synced, put("a", "1"), putIn(none, "b", "1")), engine.ErrUnknownCF)
		w.wantMissing(engine.Default, "a")
		s := w.snapshot()
		w.did("%s.Get(%v, \"a\")", s.name, none)
		_, err := s.Get(none, []byte("a"))
		w.wantErr(err, engine.ErrUnknownCF)
		w.did("%s.Iterator(%v, …)", s.name, none)
		_, err = s.Iterator(none, engine.IterOptions{})
		w.wantErr(err, engine.ErrUnknownCF)
		w.did("ApproximateSize(%v, nil, nil)", none)
		_, err = w.e.ApproximateSize(none, nil, nil)
		w.wantErr(err, engine.ErrUnknownCF)
	}},
}

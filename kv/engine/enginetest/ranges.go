// Cases about ranges: delete, size.

package enginetest

import (
	"fmt"
	"math/rand/v2"

	"tinykv/kv/engine"
)

var rangeCases = []Case{
	{"delete_range", "DeleteRange removes every key of the family in [start, end)", func(w *world) {
		w.write(engine.Buffered, put("a", "1"), put("b", "1"), put("bb", "1"), put("c", "1"), put("d", "1"))
		before := w.snapshot()
		w.write(engine.Buffered, delRange("b", "c"))
		w.wantPairs(engine.Default, "a=1", "c=1", "d=1")
		w.wantMissing(engine.Default, "b")
		w.put("b", "2")
		w.wantPairs(engine.Default, "a=1", "b=2", "c=1", "d=1")
		w.write(engine.Buffered, delRange("b\x00", "d"))
		w.wantPairs(engine.Default, "a=1", "b=2", "d=1")
		before.wantPairs(engine.Default, engine.IterOptions{}, "a=1", "b=1", "bb=1", "c=1", "d=1")
	}},
	{"delete_range_open_ends", "an empty end means: to the last key; an empty start: from the first", func(w *world) {
		all := []engine.Op{put("\x00", "1"), put("a", "1"), put("b", "1"), put("\xff\xff", "1")}
		w.write(engine.Buffered, all...)
		w.write(engine.Buffered, delRange("b", ""))
		w.wantPairs(engine.Default, "\x00=1", "a=1")
		w.write(engine.Buffered, all...)
		w.write(engine.Buffered, delRange("", "b"))
		w.wantPairs(engine.Default, "b=1", "\xff\xff=1")
		w.write(engine.Buffered, delRange("", ""))
		w.wantPairs(engine.Default)
	}},
	{"delete_range_of_nothing", "an inverted or empty range removes nothing", func(w *world) {
		w.write(engine.Buffered, put("a", "1"), put("b", "1"), put("c", "1"))
		w.write(engine.Buffered, delRange("c", "a"), delRange("b", "b"), delRange("x", "y"), delRange("d", ""))
		w.wantPairs(engine.Default, "a=1", "b=1", "c=1")
	}},
	{"delete_range_one_family", "other families keep what lies in the range", func(w *world) {
		for _, cf := range engine.CFs {
			w.write(engine.Buffered, putIn(cf, "\x00", "1"), putIn(cf, "m", "1"), putIn(cf, "\xff", "1"))
		}
		w.write(engine.Buffered, delRangeIn(engine.Lock, "", ""))
		w.wantPairs(engine.Default, "\x00=1", "m=1", "\xff=1")
		w.wantPairs(engine.Lock)
		w.wantPairs(engine.Write, "\x00=1", "m=1", "\xff=1")
		w.write(engine.Buffered, delRangeIn(engine.Default, "m", ""), delRangeIn(engine.Write, "", "m"))
		w.wantPairs(engine.Default, "\x00=1")
		w.wantPairs(engine.Write, "m=1", "\xff=1")
	}},
	{"delete_range_of_many", "a range delete may cover many keys and is one with its batch", func(w *world) {
		const keys = 5000
		var b engine.Batch
		for i := range keys {
			b.Put(engine.Default, fmt.Appendf(nil, "k%05d", i), []byte("v"))
		}
		w.did("Write %d keys k00000 …", keys)
		w.wantErr(w.e.Write(&b, engine.Buffered), nil)
		w.write(engine.Synced, delRange("k00001", "k04999"), put("k02500", "back"))
		w.wantPairs(engine.Default, "k00000=v", "k02500=back", "k04999=v")
	}},
	{"approximate_size", "ApproximateSize estimates the bytes of a range", func(w *world) {
		const half = 1 << 20
		rng := rand.New(rand.NewPCG(3, 4))
		for _, first := range []string{"a", "m"} {
			var b engine.Batch
			for i := range half >> 10 {
				value := make([]byte, 1<<10)
				Noise(rng, value)
				b.Put(engine.Default, fmt.Appendf(nil, "%s%05d", first, i), value)
			}
			w.did("Write 1 MiB of keys that begin with %s", first)
			w.wantErr(w.e.Write(&b, engine.Synced), nil)
		}
		w.wantSize(engine.Default, "", "", half, 6*half)
		w.wantSize(engine.Default, "a", "b", half/4, 4*half)
		w.wantSize(engine.Default, "m", "", half/4, 4*half)
		w.wantSize(engine.Default, "x", "z", 0, half/2)
		w.wantSize(engine.Lock, "", "", 0, half/2)
		w.wantSize(engine.Default, "m", "a", 0, 0)
		w.close()
		w.reopen()
		w.wantSize(engine.Default, "", "", half, 6*half)
		w.wantSize(engine.Default, "a", "b", half/4, 4*half)
	}},
}

func (w *world) wantSize(cf engine.CF, start, end string, least, most uint64) {
	w.t.Helper()
	w.did("ApproximateSize(%v, %q, %q)", cf, start, end)
	got, err := w.e.ApproximateSize(cf, []byte(start), []byte(end))
	w.wantErr(err, nil)
	if got < least || got > most {
		w.fail(fmt.Sprintf("between %d and %d", least, most), got)
	}
}

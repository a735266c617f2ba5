// Cases about snapshots: what they see stays as it was.

package enginetest

import (
	"fmt"
	"math/rand/v2"

	"tinykv/kv/engine"
)

var snapshotCases = []Case{
	{"snapshot_is_unchanging", "a snapshot shows nothing written after it", func(w *world) {
		w.write(engine.Buffered, put("a", "1"), put("b", "1"), put("c", "1"))
		s := w.snapshot()
		w.write(engine.Synced, put("a", "2"), del("b"), put("d", "2"))
		w.write(engine.Synced, delRange("c", "d"))
		s.wantGet(engine.Default, "a", "1")
		s.wantGet(engine.Default, "b", "1")
		s.wantGet(engine.Default, "c", "1")
		s.wantMissing(engine.Default, "d")
		s.wantPairs(engine.Default, engine.IterOptions{}, "a=1", "b=1", "c=1")
		w.wantPairs(engine.Default, "a=2", "d=2")
	}},
	{"snapshot_of_nothing", "a snapshot of an empty engine stays empty", func(w *world) {
		s := w.snapshot()
		w.put("a", "1")
		s.wantMissing(engine.Default, "a")
		s.wantPairs(engine.Default, engine.IterOptions{})
	}},
	{"snapshots_are_independent", "each snapshot has its own moment", func(w *world) {
		var snaps []*snap
		for i := range 5 {
			w.put("k", fmt.Sprint(i))
			snaps = append(snaps, w.snapshot())
		}
		for _, i := range []int{3, 0, 4, 1, 2} {
			snaps[i].wantGet(engine.Default, "k", fmt.Sprint(i))
			snaps[i].close()
		}
		w.wantGet(engine.Default, "k", "4")
	}},
	{"old_snapshot_survives_a_flood", "a snapshot is unaffected by what the engine does to make room", oldSnapshot},
}

// oldSnapshot overwrites and deletes much more than an engine keeps in memory, so that it writes tables and
// compacts them.
func oldSnapshot(w *world) {
	const keys, rounds, valueSize = 400, 24, 2 << 10
	rng := rand.New(rand.NewPCG(1, 2))
	key := func(i int) string { return fmt.Sprintf("key-%04d", i) }
	var b engine.Batch
	for i := range keys {
		b.Put(engine.Default, []byte(key(i)), []byte("old"+key(i)))
	}
	w.did("Write %d keys", keys)
	w.wantErr(w.e.Write(&b, engine.Buffered), nil)
	s := w.snapshot()
	value := make([]byte, valueSize)
	for round := range rounds {
		b.Reset()
		for i := range keys {
			Noise(rng, value)
			if round%5 == 4 && i%3 == 0 {
				b.Delete(engine.Default, []byte(key(i)))
			} else {
				b.Put(engine.Default, []byte(key(i)), value)
			}
		}
		w.wantErr(w.e.Write(&b, engine.Buffered), nil)
	}
	w.did("overwrite or delete all of them %d times, %d MiB in all", rounds, rounds*keys*valueSize>>20)
	for i := range keys {
		s.wantGet(engine.Default, key(i), "old"+key(i))
	}
	it := s.iterator(engine.Default, engine.IterOptions{})
	w.did("walk it")
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if want := "old" + key(n); string(it.Value()) != want {
			w.fail(show(want), show(string(it.Value())))
		}
		n++
	}
	if n != keys || it.Err() != nil {
		w.fail(fmt.Sprintf("%d pairs", keys), fmt.Sprintf("%d pairs and the error %v", n, it.Err()))
	}
}

// Snapshots: they never change, and they are released.

package stage1a_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"tinykv/kv/engine"
	"tinykv/labs/tests/explain"
)

func TestSnapshotNeverChanges(t *testing.T) {
	d := open(t, frozen)
	d.write(put(engine.Default, "a", "1"), put(engine.Default, "b", "1"), put(engine.Lock, "a", "lock"))
	s1 := d.snapshot()
	early := s1.iterator(engine.Default, "", "") // opened before the writes, moved after them
	d.write(put(engine.Default, "a", "2"), del(engine.Default, "b"), put(engine.Default, "c", "2"), del(engine.Lock, "a"))
	s2 := d.snapshot()
	d.write(delRange(engine.Default, "", ""), put(engine.Lock, "a", "again"))
	s3 := d.snapshot()

	for range 2 { // reading does not refresh it either
		s1.has(engine.Default, "a", "1")
		s1.has(engine.Default, "b", "1")
		s1.lacks(engine.Default, "c")
		s1.has(engine.Lock, "a", "lock")
		s1.holds(engine.Default, "", "", pair{"a", "1"}, pair{"b", "1"})

		s2.has(engine.Default, "a", "2")
		s2.lacks(engine.Default, "b")
		s2.lacks(engine.Lock, "a")
		s2.holds(engine.Default, "", "", pair{"a", "2"}, pair{"c", "2"})
		s2.holds(engine.Lock, "", "")

		s3.lacks(engine.Default, "a")
		s3.holds(engine.Default, "", "")
		s3.has(engine.Lock, "a", "again")
	}
	early.at(early.first(), "a", "1")
	d.write(put(engine.Default, "aa", "3"), del(engine.Default, "b"))
	early.at(early.next(), "b", "1")
	early.off(early.next())
	early.at(early.last(), "b", "1")
	early.at(early.prev(), "a", "1")
	early.close()

	// The order of closing plays no part.
	s2.close()
	s1.has(engine.Default, "a", "1")
	s1.close()
	s3.holds(engine.Default, "", "")
	s3.close()
}

func TestOldSnapshotOutlivesManyWrites(t *testing.T) {
	d := open(t, frozen)
	for i := range 20 {
		d.write(put(engine.Default, fmt.Sprintf("%02d", i), "first"))
	}
	s := d.snapshot()
	for round := range 30 {
		for i := range 20 {
			if (i+round)%7 == 0 {
				d.write(del(engine.Default, fmt.Sprintf("%02d", i)))
			} else {
				d.write(put(engine.Default, fmt.Sprintf("%02d", i), fmt.Sprintf("round %d", round)))
			}
		}
	}
	var want []pair
	for i := range 20 {
		key := fmt.Sprintf("%02d", i)
		s.has(engine.Default, key, "first")
		want = append(want, pair{key, "first"})
	}
	s.holds(engine.Default, "", "", want...)
}

func TestSnapshotIsSharedByGoroutines(t *testing.T) {
	d := open(t, frozen)
	const keys = 60
	var ops []engine.Op
	for i := range keys {
		ops = append(ops, put(engine.Default, fmt.Sprintf("%02d", i), "v"))
	}
	d.write(ops...)
	s := d.snapshot()
	d.say("four goroutines read %s at the same time, a fifth one writes", s.name)
	results := make(chan string, 4)
	for range 4 {
		go func() { results <- readAll(s.s, keys) }()
	}
	for range 20 {
		d.write(del(engine.Default, "30"), put(engine.Default, "00", "new"))
	}
	for range 4 {
		select {
		case bad := <-results:
			if bad != "" {
				d.broken("each goroutine sees the 60 pairs of the snapshot", bad)
			}
		case <-time.After(patience):
			d.broken("four answers", "one goroutine did not end")
		}
	}
}

// readAll reads every key by Get and by iterator, and says what is wrong.
func readAll(s engine.Snapshot, keys int) string {
	for i := range keys {
		if v, err := s.Get(engine.Default, fmt.Appendf(nil, "%02d", i)); err != nil || string(v) != "v" {
			return fmt.Sprintf("key %02d: %s", i, explain.Value(v, err))
		}
	}
	it, err := s.Iterator(engine.Default, engine.IterOptions{})
	if err != nil {
		return err.Error()
	}
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	if err := it.Close(); err != nil {
		return err.Error()
	}
	if n != keys {
		return fmt.Sprintf("an iterator over %d pairs", n)
	}
	return ""
}

func TestClosedThingsRefuse(t *testing.T) {
	d := open(t, refused)
	d.write(put(engine.Default, "a", "1"))
	s := d.snapshot()
	w := s.iterator(engine.Default, "", "")
	w.at(w.first(), "a", "1")
	w.close()
	if err := w.it.Close(); err != nil {
		w.step("Close() a second time")
		d.broken("nil: the second Close of an iterator does nothing", explain.Error(err))
	}
	for _, move := range []func() bool{w.first, w.last, w.next, w.prev, func() bool { return w.seekGE("a") },
		func() bool { return w.seekLT("z") }} {
		w.off(move()) // a closed iterator stands on nothing, wherever it is sent
	}
	s.close()

	closed := func(what string, err error) {
		t.Helper()
		d.say("%s", what)
		if !errors.Is(err, engine.ErrClosed) {
			d.broken("an error that is engine.ErrClosed", explain.Error(err))
		}
	}
	_, err := s.s.Get(engine.Default, []byte("a"))
	closed(s.name+`.Get(default, "a")`, err)
	_, err = s.s.Iterator(engine.Default, engine.IterOptions{})
	closed(s.name+`.Iterator(default)`, err)
	closed(s.name+`.Close() a second time`, s.s.Close())

	e := d.e
	d.close()
	_, err = e.Snapshot()
	closed("Snapshot()", err)
	closed(`Write{put default "a"="2"}`, e.Write(batchOf(put(engine.Default, "a", "2")), engine.Buffered))
	_, err = e.ApproximateSize(engine.Default, nil, nil)
	closed("ApproximateSize(default)", err)
	closed("Close() a second time", e.Close())
	d.reopen()
	s = d.snapshot()
	s.has(engine.Default, "a", "1")
}

func TestCloseWaitsForOpenSnapshots(t *testing.T) {
	d := open(t, release)
	d.write(put(engine.Default, "a", "1"))
	s1, s2 := d.snapshot(), d.snapshot()
	s3 := d.snapshot()
	s3.close()
	end := make(chan error, 1)
	d.say("Close() in another goroutine")
	e := d.e
	d.e = nil
	go func() { end <- e.Close() }()

	// Close has begun when new snapshots are refused.
	deadline := time.Now().Add(patience)
	for {
		s, err := e.Snapshot()
		if errors.Is(err, engine.ErrClosed) {
			break
		}
		if err != nil || time.Now().After(deadline) {
			d.broken("Snapshot answers engine.ErrClosed from the moment Close was called", explain.Error(err))
		}
		s.Close()
	}
	s1.has(engine.Default, "a", "1") // what is open can be read to its end
	s1.close()
	s2.holds(engine.Default, "", "", pair{"a", "1"})
	select {
	case err := <-end:
		d.broken("Close waits: s2 is still open", "Close returned ("+explain.Error(err)+")")
	case <-time.After(20 * time.Millisecond):
	}
	s2.has(engine.Default, "a", "1")
	s2.close()
	select {
	case err := <-end:
		if err != nil {
			d.broken("Close returns nil", explain.Error(err))
		}
	case <-time.After(patience):
		d.broken("Close returns, since every snapshot was closed", fmt.Sprintf("Close still waits after %v", patience))
	}
}

func TestForgottenIteratorIsClosedWithItsSnapshot(t *testing.T) {
	d := open(t, release)
	d.write(put(engine.Default, "a", "1"), put(engine.Default, "b", "2"))
	s := d.snapshot()
	w := s.iterator(engine.Default, "", "")
	w.at(w.first(), "a", "1")
	back := s.iterator(engine.Default, "", "")
	back.at(back.last(), "b", "2")
	s.close()
	for _, w := range []*walk{w, back} {
		if w.step("Next()"); w.it.Next() || w.it.Valid() || !errors.Is(w.it.Err(), engine.ErrClosed) {
			d.broken("false, with Err() engine.ErrClosed: its snapshot was closed", w.where(w.it.Valid()))
		}
		w.it.Close()
	}
	d.close() // and nothing holds the engine open
}

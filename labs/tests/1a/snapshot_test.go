// Snapshots: they never change, and they are released.

package stage1a_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
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

// TestOldSnapshotOutlivesManyWrites writes so much after a snapshot that the engine moves it to other files.
func TestOldSnapshotOutlivesManyWrites(t *testing.T) {
	d := open(t, frozen)
	const keys = 200
	var want []pair
	var ops []engine.Op
	for i := range keys {
		key := fmt.Sprintf("%04d", i)
		want = append(want, pair{key, "first"})
		ops = append(ops, put(engine.Default, key, "first"))
	}
	d.write(ops...)
	s := d.snapshot()
	overwrite := func(rounds int) {
		t.Helper()
		for round := range rounds {
			for i := range ops {
				ops[i] = put(engine.Default, want[i].k, strings.Repeat(fmt.Sprintf("round %03d ", round), 50))
				if round%10 == 9 && i%7 == 0 {
					ops[i] = del(engine.Default, want[i].k)
				}
			}
			d.write(ops...)
		}
	}
	for range 2 {
		overwrite(60)
		for _, p := range want {
			s.has(engine.Default, p.k, p.v)
		}
		s.lacks(engine.Default, "never written")
		s.holds(engine.Default, "", "", want...)
	}
}

func TestSnapshotIsSharedByGoroutines(t *testing.T) {
	defer manyThreads()()
	d := open(t, shared)
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
	d.say("four goroutines open iterators of %s and close them, 200000 each", s.name)
	for range 4 {
		go func() { results <- openMany(s.s, 200_000) }()
	}
	for range 4 {
		if bad := <-results; bad != "" {
			d.broken("800000 iterators", bad)
		}
	}
	s.close()
}

// manyThreads lets the operating system, too, stop a goroutine in the midst of a step, also where there is one processor.
// What it returns ends that.
func manyThreads() (end func()) {
	before := runtime.GOMAXPROCS(8)
	return func() { runtime.GOMAXPROCS(before) }
}

func openMany(s engine.Snapshot, n int) string {
	for range n {
		it, err := s.Iterator(engine.Default, engine.IterOptions{})
		if err == nil {
			err = it.Close()
		}
		if err != nil {
			return err.Error()
		}
	}
	return ""
}

// TestSnapshotIsClosedWhileItIsRead : whoever reads has the value, or is told that the snapshot is closed.
func TestSnapshotIsClosedWhileItIsRead(t *testing.T) {
	defer manyThreads()()
	d := open(t, shared)
	d.write(put(engine.Default, "a", "1"))
	d.snapshot().has(engine.Default, "a", "1")
	d.say("2000 times: take a snapshot, let two goroutines Get(default, \"a\") again and again, and close it meanwhile")
	for range 2000 {
		s, err := d.e.Snapshot()
		if err != nil {
			d.broken("a snapshot", explain.Error(err))
		}
		results, reading := make(chan string, 2), make(chan struct{}, 2)
		for range 2 {
			go func() { results <- readUntilClosed(s, reading) }()
		}
		for range 2 {
			<-reading
		}
		if bad := calm(s.Close); bad != "" {
			d.broken("the snapshot is closed", bad)
		}
		for range 2 {
			if bad := <-results; bad != "" {
				d.broken(`the value "1" before Close, and engine.ErrClosed after it`, bad)
			}
		}
	}
}

// readUntilClosed tells when it has begun, and what surprised it.
func readUntilClosed(s engine.Snapshot, reading chan<- struct{}) (bad string) {
	for i := 0; bad == ""; i++ {
		var v []byte
		err := errors.New("")
		bad = calm(func() error { v, err = s.Get(engine.Default, []byte("a")); return nil })
		if i == 0 {
			reading <- struct{}{}
		}
		runtime.Gosched()
		switch {
		case bad == "" && errors.Is(err, engine.ErrClosed):
			return ""
		case bad == "" && (err != nil || string(v) != "1"):
			bad = explain.Value(v, err)
		}
	}
	return bad
}

// calm calls f and words its error, or its panic.
func calm(f func() error) (bad string) {
	defer func() {
		if p := recover(); p != nil {
			bad = fmt.Sprintf("a panic: %v", p)
		}
	}()
	if err := f(); err != nil {
		return explain.Error(err)
	}
	return ""
}

// TestReadingLeavesNothingInMemory : a snapshot of a large region is read for minutes.
func TestReadingLeavesNothingInMemory(t *testing.T) {
	d := open(t, shared)
	const keys, rounds = 500, 300
	var ops []engine.Op
	for i := range keys {
		ops = append(ops, put(engine.Default, fmt.Sprintf("%03d", i), "v"))
	}
	d.write(ops...)
	s := d.snapshot()
	w := s.iterator(engine.Default, "", "")
	read := func(rounds int) {
		for range rounds {
			for ok := w.it.First(); ok; ok = w.it.Next() {
			}
			for ok := w.it.Last(); ok; ok = w.it.Prev() {
			}
			for range 20 {
				if v, err := s.s.Get(engine.Default, []byte("007")); err != nil {
					d.broken("the value", explain.Value(v, err))
				}
			}
		}
	}
	read(2) // what is made once is made
	before := heap()
	d.say("walk over %d pairs %d times forward and backward, and Get %d times", keys, rounds, 20*rounds)
	read(rounds)
	const limit = 1 << 20
	if after := heap(); after > before+limit {
		d.broken("no more memory in use than before, but for a little", fmt.Sprintf("%d KiB more", (after-before)>>10))
	}
	w.close()
	s.close()
}

// heap is how many bytes are in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
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

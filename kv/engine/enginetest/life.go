// Cases about the life of an engine: close, closed, open again.

package enginetest

import (
	"errors"
	"fmt"
	"time"

	"tinykv/kv/engine"
)

var lifeCases = []Case{
	{"reopen", "what was written is there after Close and Open", func(w *world) {
		w.write(engine.Buffered, put("a", "1"), put("b", ""), putIn(engine.Lock, "l", "1"))
		w.write(engine.Synced, put("c", "1"), putIn(engine.Write, "w", "1"))
		w.write(engine.Buffered, del("c"), delRangeIn(engine.Write, "", ""), put("d", "1"))
		for range 3 {
			w.close()
			w.reopen()
			w.wantPairs(engine.Default, "a=1", "b=", "d=1")
			w.wantPairs(engine.Lock, "l=1")
			w.wantPairs(engine.Write)
		}
		w.put("a", "2")
		w.close()
		w.reopen()
		w.wantPairs(engine.Default, "a=2", "b=", "d=1")
	}},
	{"reopen_empty", "an engine without data opens again", func(w *world) {
		w.close()
		w.reopen()
		w.wantPairs(engine.Default)
	}},
	{"reopen_much",
		"what was written is there after Close and Open, also when it is more than fits in memory tables",
		func(w *world) {
			const keys, rounds = 300, 5
			value := fill(10<<10, 'v')
			for round := range rounds {
				var b engine.Batch
				for i := range keys {
					b.Put(engine.Default, fmt.Appendf(nil, "k%04d", i), []byte(fmt.Sprint(round)+value))
				}
				w.did("Write %d keys with values of 10 KiB", keys)
				w.wantErr(w.e.Write(&b, engine.Buffered), nil)
			}
			w.close()
			w.reopen()
			s := w.snapshot()
			for i := range keys {
				s.wantGet(engine.Default, fmt.Sprintf("k%04d", i), fmt.Sprint(rounds-1)+value)
			}
		}},
	{"snapshot_closed", "using a closed snapshot is ErrClosed", func(w *world) {
		w.put("a", "1")
		s := w.snapshot()
		s.close()
		w.did("%s.Get(default, \"a\")", s.name)
		_, err := s.Get(engine.Default, []byte("a"))
		w.wantErr(err, engine.ErrClosed)
		w.did("%s.Iterator(default, …)", s.name)
		_, err = s.Iterator(engine.Default, engine.IterOptions{})
		w.wantErr(err, engine.ErrClosed)
		w.did("%s.Close() once more", s.name)
		w.wantErr(s.Close(), engine.ErrClosed)
		w.wantGet(engine.Default, "a", "1")
	}},
	{"closed", "after Close everything is ErrClosed", func(w *world) {
		w.put("a", "1")
		e := w.e
		w.close()
		w.did("Snapshot()")
		_, err := e.Snapshot()
		w.wantErr(err, engine.ErrClosed)
		w.did("Write({Put \"b\" = \"1\"})")
		w.wantErr(e.Write(batchOf(put("b", "1")), engine.Synced), engine.ErrClosed)
		w.did("Write({})")
		w.wantErr(e.Write(batchOf(), engine.Synced), engine.ErrClosed)
		w.did("ApproximateSize(default, nil, nil)")
		_, err = e.ApproximateSize(engine.Default, nil, nil)
		w.wantErr(err, engine.ErrClosed)
		w.did("Close() once more")
		w.wantErr(e.Close(), engine.ErrClosed)
		w.reopen()
		w.wantPairs(engine.Default, "a=1")
	}},
	{"close_waits_for_snapshots",
		"Close waits until every snapshot is closed and refuses new ones meanwhile", closeWaits},
}

func closeWaits(w *world) {
	w.put("a", "1")
	one, two := w.snapshot(), w.snapshot()
	it := two.iterator(engine.Default, engine.IterOptions{})
	e := w.e
	w.e = nil
	w.did("Close() in another goroutine")
	done := make(chan error, 1)
	go func() { done <- e.Close() }()

	w.did("Snapshot(), until it is refused")
	// There is no other sign of a Close that waits, so ask again and again.
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Microsecond) {
		s, err := e.Snapshot()
		if errors.Is(err, engine.ErrClosed) {
			break
		}
		if err == nil {
			_ = s.Close()
		}
		if time.Now().After(deadline) {
			w.fail(name(engine.ErrClosed), name(err))
		}
	}
	w.did("Write({Put \"b\" = \"1\"})")
	w.wantErr(e.Write(batchOf(put("b", "1")), engine.Synced), engine.ErrClosed)
	stillWaiting := func() {
		w.t.Helper()
		w.did("is Close() still waiting?")
		select {
		case err := <-done:
			w.fail("yes: a snapshot is open", "no: it returned "+name(err))
		default:
		}
	}
	stillWaiting()
	one.wantGet(engine.Default, "a", "1")
	one.close()
	stillWaiting()
	two.wantGet(engine.Default, "a", "1")
	w.walk(it, "next next prev", "a - a")
	w.did("it.Close()")
	w.wantErr(it.Close(), nil)
	two.close()
	w.wantErr(w.await("Close() returns once the last snapshot is closed", done), nil)
	w.reopen()
	w.wantPairs(engine.Default, "a=1")
}

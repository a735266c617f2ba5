package standalone

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
	"tinykv/kv/region"
)

// slowEngine takes a millisecond for each write, as a disk does for a sync, and counts them.
type slowEngine struct {
	engine.Engine
	syncs atomic.Int64
	fail  atomic.Pointer[error] // what writes answer, without writing
}

func newSlowEngine(t *testing.T) *slowEngine {
	t.Helper()
	e, err := mem.Open(mem.NewDisk(rand.New(rand.NewPCG(1, 0)), mem.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	return &slowEngine{Engine: e}
}

func (e *slowEngine) Write(b *engine.Batch, d engine.Durability) error {
	time.Sleep(time.Millisecond) // of a synctest bubble: it costs nothing
	if d == engine.Synced {
		e.syncs.Add(1)
	}
	if err := e.fail.Load(); err != nil {
		return *err
	}
	return e.Engine.Write(b, d)
}

var quiet = Options{Wrote: func(int, int, time.Duration) {}, Broken: func(error) {}}

func batchOf(key string, size int) *engine.Batch {
	b := &engine.Batch{}
	b.Put(engine.Default, []byte(key), make([]byte, size))
	return b
}

func has(t *testing.T, e engine.Engine, key string) bool {
	t.Helper()
	snap, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	_, err = snap.Get(engine.Default, []byte(key))
	if err != nil && !errors.Is(err, engine.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

func TestWritersShareSyncs(t *testing.T) {
	for _, c := range []struct {
		writers     int
		mostPerSync float64 // what each write may cost in syncs
	}{{1, 1}, {16, 0.15}, {100, 0.03}} {
		t.Run(fmt.Sprintf("%d writers", c.writers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const each = 50
				e := newSlowEngine(t)
				q := newQueue(e, quiet)
				var wait sync.WaitGroup
				for w := range c.writers {
					wait.Go(func() {
						for i := range each {
							if err := q.write(t.Context(), batchOf(fmt.Sprintf("%d/%d", w, i), 10)); err != nil {
								t.Error(err)
							}
						}
					})
				}
				wait.Wait()
				q.close()
				writes := c.writers * each
				perWrite := float64(e.syncs.Load()) / float64(writes)
				t.Logf("%d writes, %d syncs: %.3f syncs per write", writes, e.syncs.Load(), perWrite)
				if perWrite > c.mostPerSync {
					t.Errorf("%.3f syncs per write, want at most %.3f", perWrite, c.mostPerSync)
				}
				for w := range c.writers {
					if !has(t, e, fmt.Sprintf("%d/%d", w, each-1)) {
						t.Errorf("the last acknowledged write of writer %d is missing", w)
					}
				}
			})
		})
	}
}

func TestWriteWhoseCallerLeavesInTimeNeverHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newSlowEngine(t)
		q := newQueue(e, quiet)
		var wait sync.WaitGroup
		wait.Go(func() { q.write(t.Context(), batchOf("first", 1)) })
		synctest.Wait() // the first one is being written
		ctx, leave := context.WithCancel(t.Context())
		wait.Go(func() {
			if err := q.write(ctx, batchOf("left", 1)); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want the error of the context", err)
			}
		})
		synctest.Wait()
		leave()
		wait.Wait()
		q.close()
		if has(t, e, "left") {
			t.Error("a write happened although its caller was told that it would not")
		}
	})
}

func TestWriteThatHasBegunIsAnsweredByTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newSlowEngine(t)
		q := newQueue(e, quiet)
		ctx, leave := context.WithCancel(t.Context())
		answer := make(chan error, 1)
		go func() { answer <- q.write(ctx, batchOf("begun", 1)) }()
		synctest.Wait()
		leave()
		if err := <-answer; err != nil || !has(t, e, "begun") {
			t.Errorf("got %v, there: %v; want nil and true: it was too late to leave", err, has(t, e, "begun"))
		}
		q.close()
	})
}

func TestCloseAnswersEveryoneAndRefusesLaterWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newSlowEngine(t)
		q := newQueue(e, quiet)
		var answers atomic.Int64
		for i := range 20 {
			go func() {
				if err := q.write(t.Context(), batchOf(fmt.Sprint(i), 1)); err != nil {
					t.Error(err)
				}
				answers.Add(1)
			}()
		}
		synctest.Wait()
		q.close()
		synctest.Wait()
		if answers.Load() != 20 {
			t.Errorf("%d of 20 writers got an answer", answers.Load())
		}
		var busy *region.BusyError
		if err := q.write(t.Context(), batchOf("late", 1)); !errors.As(err, &busy) {
			t.Errorf("a write after close: %v, want BusyError", err)
		}
	})
}

func TestFailureIsToldToAllWhoShareTheWriteAndOnceToTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newSlowEngine(t)
		failure := fmt.Errorf("no space: %w", engine.ErrFailed)
		e.fail.Store(&failure)
		var told []error
		q := newQueue(e, Options{Wrote: func(int, int, time.Duration) { t.Error("a failed write was counted") },
			Broken: func(err error) { told = append(told, err) }})
		var wait sync.WaitGroup
		for i := range 10 {
			wait.Go(func() {
				if err := q.write(t.Context(), batchOf(fmt.Sprint(i), 1)); !errors.Is(err, engine.ErrFailed) {
					t.Errorf("got %v, want ErrFailed", err)
				}
			})
		}
		wait.Wait()
		q.close()
		if len(told) != 1 {
			t.Errorf("the failure was told %d times, want once: %v", len(told), told)
		}
	})
}

func TestDeletionOfARangeThatIsRefusedHarmsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newSlowEngine(t)
		q := newQueue(refusing{e}, quiet)
		ranged := &engine.Batch{}
		ranged.DeleteRange(engine.Default, []byte("a"), []byte("b"))
		var wait sync.WaitGroup
		for i := range 5 {
			wait.Go(func() {
				if err := q.write(t.Context(), batchOf(fmt.Sprint(i), 1)); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Go(func() {
			if err := q.write(t.Context(), ranged); !errors.Is(err, engine.ErrTooLarge) {
				t.Errorf("got %v, want ErrTooLarge", err)
			}
		})
		wait.Wait()
		q.close()
	})
}

// refusing answers every batch that deletes a range as an engine does for which it holds too many keys.
type refusing struct{ *slowEngine }

func (e refusing) Write(b *engine.Batch, d engine.Durability) error {
	for op := range b.Ops() {
		if op.Kind == engine.OpDeleteRange {
			return engine.ErrTooLarge
		}
	}
	return e.slowEngine.Write(b, d)
}

func TestWhatWaitsForTheDiskIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newSlowEngine(t)
		q := newQueue(e, quiet)
		const size = 4 << 20
		var wait sync.WaitGroup
		var busy atomic.Int64
		for i := range 40 {
			wait.Go(func() {
				var full *region.BusyError
				if err := q.write(t.Context(), batchOf(fmt.Sprint(i), size)); errors.As(err, &full) {
					busy.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		q.close()
		if busy.Load() == 0 || busy.Load() == 40 {
			t.Errorf("%d of 40 large writes were refused, want some", busy.Load())
		}
	})
}

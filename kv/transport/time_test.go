// What depends on time, in the virtual time of a bubble.

package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
)

// nowhere is a Resolver that counts, and knows no store.
type nowhere struct {
	mu    sync.Mutex
	asked []time.Time
}

func (n *nowhere) Address(context.Context, uint64) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, time.Now())
	return "", errors.New("nobody knows")
}

func (n *nowhere) attempts() []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.asked)
}

func TestAttemptsAndReportsGetRarerWhileAStoreIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resolver := &nowhere{}
		in := &inbox{}
		in.changed = sync.NewCond(&in.mu)
		tr := New(Options{
			ClusterID: 7, StoreID: 1, Resolver: resolver, Network: new(Memory),
			FirstPause: 20 * time.Millisecond, LongestPause: time.Second,
		}, in)
		for range 10_000 { // ten seconds
			tr.Send(2, []replica.Message{heartbeat(1, 2, 1)})
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		s, asked := tr.Stats(), resolver.attempts()
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
		n := len(asked)
		// Pauses of 10-20, 20-40, ..., 320-640 ms, and then of 0.5 to 1 s.
		if n < 14 || n > 25 {
			t.Errorf("%d attempts in 10 s", n)
		}
		for i := 1; i < n; i++ {
			longest := min(20*time.Millisecond<<(i-1), time.Second)
			if got := asked[i].Sub(asked[i-1]); got < longest/2 || got > longest+2*time.Millisecond {
				t.Errorf("pause %d was %v, want %v to %v", i, got, longest/2, longest)
			}
		}
		if got := in.losses(2); got != n {
			t.Errorf("told %d times that the store is unreachable, with %d attempts", got, n)
		}
		if s.Dropped.Unreachable+s.WaitingMessages != 10_000 || s.Lost != uint64(n) {
			t.Errorf("of 10000 messages %d dropped, %d waiting; %d attempts lost",
				s.Dropped.Unreachable, s.WaitingMessages, s.Lost)
		}
	})
}

func TestAFullQueueIsReportedOncePerPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, new(Memory))
		o := w.options(1)
		o.QueueMessages, o.FirstPause, o.LongestPause = 10, 50*time.Millisecond, time.Second
		one, two := w.startWith(o), w.start(2)
		unblock := two.block()
		for range 1000 { // one second
			one.sendOne(2, 1)
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		if n := one.losses(2); n < 18 || n > 20 {
			t.Errorf("told %d times in a second, want once per 50 ms", n)
		}
		unblock()
		one.close()
		two.close()
	})
}

func TestAnAttemptWithoutAnAnswerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{}
		in.changed = sync.NewCond(&in.mu)
		tr := New(Options{
			ClusterID: 7, StoreID: 1, Resolver: silent{}, Network: new(Memory), ConnectTimeout: 3 * time.Second,
		}, in)
		begin := time.Now()
		tr.Send(2, []replica.Message{heartbeat(1, 2, 1)})
		in.waitFor(t, "report", func() bool { return in.unreachable[2] > 0 })
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("reported after %v", took)
		}
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
}

// silent is a Resolver that never answers.
type silent struct{}

func (silent) Address(ctx context.Context, _ uint64) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

func TestSnapshotsAreSentAtTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, new(Memory))
		o := w.options(1)
		o.SnapshotBytesPerSecond = 10 << 20
		one, two := w.startWith(o), w.start(2)
		two.onSnapshot(func(ctx context.Context, from uint64, next func() (snapshot.Chunk, error)) error {
			return readAll(new(bytes.Buffer))(ctx, from, next)
		})
		begin := time.Now()
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				chunk := string(make([]byte, 2<<20+1<<19)) // more than may come at once
				if err := one.SendSnapshot(t.Context(), 2, chunksOf(chunk, chunk)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		// 20 MiB, of which one may come at once.
		if got, want := time.Since(begin), 1900*time.Millisecond; got < want || got > want+10*time.Millisecond {
			t.Errorf("20 MiB at 10 MiB/s took %v, want %v", got, want)
		}
		one.close()
		two.close()
	})
}

func TestToMoreStoresThanThereCanBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, new(Memory))
		one := w.start(1)
		for to := range uint64(maxPeers + 10) {
			one.sendOne(to+2, 1)
		}
		if n := one.Stats().Dropped.TooMany; n != 10 {
			t.Errorf("%d dropped, want 10", n)
		}
		// Peers that have nothing to do make room.
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		one.sendOne(100_000, 1)
		if s := one.Stats(); s.Dropped.TooMany != 10 {
			t.Errorf("%d dropped after the others have retired", s.Dropped.TooMany)
		}
		one.close()
	})
}

// Whatever is cut, healed, blocked or closed, every message is accounted for, and what arrives is in order.
func TestEveryMessageIsCountedOnce(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { playAtRandom(t, seed) })
		})
	}
}

func TestAStoreThatTakesNoSnapshotsIsSentThemMoreRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, new(Memory))
		o := w.options(1)
		o.SnapshotFirstPause, o.SnapshotLongestPause = 200*time.Millisecond, 10*time.Second
		one, two := w.startWith(o), w.start(2)
		attempts := 0
		two.onSnapshot(func(context.Context, uint64, func() (snapshot.Chunk, error)) error {
			attempts++
			return errors.New("no room")
		})
		for begin := time.Now(); time.Since(begin) < time.Minute; {
			if err := one.SendSnapshot(t.Context(), 2, chunksOf("a")); err == nil {
				t.Fatal("it was taken")
			}
		}
		if attempts < 11 || attempts > 20 { // 0.1 to 0.2 s, ..., 5 to 10 s
			t.Errorf("%d attempts in a minute", attempts)
		}
		two.onSnapshot(readAll(new(bytes.Buffer)))
		if err := one.SendSnapshot(t.Context(), 2, chunksOf("a")); err != nil {
			t.Error(err)
		}
		begin := time.Now()
		if err := one.SendSnapshot(t.Context(), 2, chunksOf("a")); err != nil || time.Since(begin) > 0 {
			t.Errorf("after one was taken the next took %v, %v", time.Since(begin), err)
		}
		one.close()
		two.close()
	})
}

func TestTheSameWarningIsGivenOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(logged)
		w := newWarnings(slog.New(slog.NewTextHandler(log, nil)))
		lines := func() int { return strings.Count(log.String(), "\n") }
		for range 150 { // two and a half minutes
			w.warn("refused", 3, errors.New("another cluster"))
			time.Sleep(time.Second)
		}
		if got := lines(); got != 3 {
			t.Errorf("%d lines for one thing", got)
		}
		w.warn("refused", 4, errors.New("another cluster"))
		w.warn("refused", 3, errors.New("another version"))
		w.warn("superseded", 3, nil)
		if got := lines(); got != 6 {
			t.Errorf("%d lines after three other things", got)
		}
		for i := range uint64(10 * maxWarnings) {
			w.warn("refused", i, nil)
		}
		if len(w.given) > maxWarnings {
			t.Errorf("%d things are remembered", len(w.given))
		}
	})
}

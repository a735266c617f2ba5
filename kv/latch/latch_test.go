package latch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
)

func key(i int) []byte { return fmt.Appendf(nil, "key%d", i) }

// take acquires in a goroutine and returns a channel that is closed when it holds.
func take(t *testing.T, acquire func() (func(), error)) (held chan struct{}, release *func()) {
	held, release = make(chan struct{}), new(func())
	go func() {
		r, err := acquire()
		if err != nil {
			t.Error(err)
			return
		}
		*release = r
		close(held)
	}()
	synctest.Wait()
	return held, release
}

func holds(held chan struct{}) bool {
	select {
	case <-held:
		return true
	default:
		return false
	}
}

func TestWhoMayHoldAKeyTogether(t *testing.T) {
	type way struct {
		name    string
		acquire func(*Table, context.Context) (func(), error)
	}
	shared := way{"shared", func(l *Table, ctx context.Context) (func(), error) { return l.Shared(ctx, key(1), key(2)) }}
	other := way{"shared, other order", func(l *Table, ctx context.Context) (func(), error) {
		return l.Shared(ctx, key(2), key(1), key(1))
	}}
	all := way{"all", func(l *Table, ctx context.Context) (func(), error) { return l.SharedAll(ctx) }}
	exclusive := way{"exclusive", func(l *Table, ctx context.Context) (func(), error) { return l.Exclusive(ctx, key(2)) }}
	for _, c := range []struct {
		first, second way
		together      bool
	}{
		{shared, other, true}, {shared, all, true}, {all, all, true},
		{shared, exclusive, false}, {exclusive, shared, false}, {exclusive, exclusive, false},
		{all, exclusive, false}, {exclusive, all, false},
	} {
		t.Run(c.first.name+" then "+c.second.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := New(64)
				release, err := c.first.acquire(l, t.Context())
				if err != nil {
					t.Fatal(err)
				}
				second, release2 := take(t, func() (func(), error) { return c.second.acquire(l, t.Context()) })
				if holds(second) != c.together {
					t.Errorf("the second one holds: %v, want %v", holds(second), c.together)
				}
				release()
				<-second // released, it holds in any case
				(*release2)()
			})
		})
	}
}

func TestNobodyStarvesAnExclusiveHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(64)
		release, err := l.Shared(t.Context(), key(1))
		if err != nil {
			t.Fatal(err)
		}
		exclusive, releaseExclusive := take(t, func() (func(), error) { return l.Exclusive(t.Context(), key(1)) })
		late, releaseLate := take(t, func() (func(), error) { return l.Shared(t.Context(), key(1)) })
		if holds(late) {
			t.Error("a shared holder overtook an exclusive one that waits")
		}
		release()
		<-exclusive
		(*releaseExclusive)()
		<-late
		(*releaseLate)()
	})
}

func TestWhoGivesUpHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(64)
		release, err := l.Exclusive(t.Context(), key(1))
		if err != nil {
			t.Fatal(err)
		}
		keys := [][]byte{key(1)}
		for i := range 40 { // on both sides of the slot of key 1
			keys = append(keys, key(i))
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := l.Exclusive(ctx, keys...)
			done <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the error of the context", err)
		}
		release()
		all, err := l.Exclusive(t.Context(), keys...)
		if err != nil {
			t.Fatal(err)
		}
		all()
	})
}

// Increments that only latches keep apart: the race detector sees it if they don't.
func TestExclusiveHoldersAreAlone(t *testing.T) {
	const workers, rounds, keys = 8, 300, 6
	l := New(4) // so that keys share slots
	var counts [keys]int
	var wait sync.WaitGroup
	for w := range workers {
		random := rand.New(rand.NewPCG(1, uint64(w)))
		wait.Go(func() {
			for range rounds {
				a, b := random.IntN(keys), random.IntN(keys)
				release, err := l.Exclusive(t.Context(), key(a), key(b))
				if err != nil {
					t.Error(err)
					return
				}
				counts[a]++
				counts[b]++
				release()
			}
		})
	}
	wait.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	if total != 2*workers*rounds {
		t.Errorf("%d increments, want %d", total, 2*workers*rounds)
	}
}

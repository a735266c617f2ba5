// A client of three stores that lives through whatever happens to them: it goes on by itself, nothing that was acknowledged
// is lost, and nothing stale is read.

package interop_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tinykv/kv/interop/process"
)

// pause is how long a store is halted: several elections, and less than what makes the client take a connection for dead.
const pause = 4 * time.Second

// troubles are made one after the other, under load.
var troubles = []struct {
	name string
	make func(t *testing.T, c *process.Cluster, l *load)
}{
	{"a_follower_is_killed", func(t *testing.T, c *process.Cluster, l *load) { killed(t, c, l, othersOf(c, leaderOf(t, c))[:1]) }},
	{"the_leader_is_killed", func(t *testing.T, c *process.Cluster, l *load) { killed(t, c, l, []uint64{leaderOf(t, c)}) }},
	{"two_of_three_are_killed", func(t *testing.T, c *process.Cluster, l *load) { restarted(t, c, othersOf(c, 1), c.Kill) }},
	{"all_are_killed", func(t *testing.T, c *process.Cluster, l *load) { restarted(t, c, c.IDs(), c.Kill) }},
	{"the_leader_is_stopped", func(t *testing.T, c *process.Cluster, l *load) {
		restarted(t, c, []uint64{leaderOf(t, c)}, func(id uint64) { check(t, c.StopStore(id)) })
	}},
	{"all_are_stopped", func(t *testing.T, c *process.Cluster, l *load) {
		restarted(t, c, c.IDs(), func(id uint64) { check(t, c.StopStore(id)) })
	}},
	{"leadership_goes_round", func(t *testing.T, c *process.Cluster, l *load) {
		for range 6 {
			transfer(t, c)
			t.Logf("the clients went on after %v", l.awaitProgress(t, recovery).Round(time.Millisecond))
		}
	}},
	{"leadership_moves_while_the_scheduler_is_gone", func(t *testing.T, c *process.Cluster, l *load) {
		c.KillScheduler()
		transfer(t, c) // the stores' hints are all that the client has now
		l.awaitProgress(t, recovery)
		check(t, c.StartScheduler())
	}},
	{"a_follower_hangs", func(t *testing.T, c *process.Cluster, l *load) { halted(t, c, othersOf(c, leaderOf(t, c))[0]) }},
	{"the_leader_hangs", func(t *testing.T, c *process.Cluster, l *load) { halted(t, c, leaderOf(t, c)) }},
	{"the_leader_hangs_and_does_not_know_that_another_leads", superseded},
}

func TestClientLivesThroughTheTroublesOfThreeStores(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel() // it mostly waits
			cluster := startCluster(t, engine)
			l := startLoad(t, connect(t, cluster.Scheduler))
			l.awaitProgress(t, recovery)
			for _, trouble := range troubles {
				t.Run(trouble.name, func(t *testing.T) {
					trouble.make(t, cluster, l)
					took := l.awaitProgress(t, recovery)
					t.Logf("the clients went on %v after it was over", took.Round(time.Millisecond))
				})
				if t.Failed() {
					return
				}
			}
			l.finish(t)
			t.Logf("%d writes acknowledged, %d of unknown fate, %d reads", l.written(), l.unknown.Load(), l.reads.Load())
		})
	}
}

// killed kills stores, and starts them again when the clients have gone on without.
func killed(t *testing.T, c *process.Cluster, l *load, ids []uint64) {
	t.Helper()
	for _, id := range ids {
		c.Kill(id)
	}
	t.Logf("the clients went on after %v", l.awaitProgress(t, recovery).Round(time.Millisecond))
	check(t, c.StartStores(ids...))
}

// restarted ends stores without which the others can do nothing, or end well, and starts them again.
func restarted(t *testing.T, c *process.Cluster, ids []uint64, end func(id uint64)) {
	t.Helper()
	for _, id := range ids {
		end(id)
	}
	check(t, c.StartStores(ids...))
}

// halted lets a store hang. Requests that it has taken hang with it; the others go on without, and when it goes on it must
// not believe that nothing has happened.
func halted(t *testing.T, c *process.Cluster, id uint64) {
	t.Helper()
	check(t, c.Pause(id))
	time.Sleep(pause)
	check(t, c.Resume(id))
}

// superseded lets the leader hang until another one leads and has acknowledged writes to a client that asks it. The clients of
// the load don't know, and ask the old one. When it goes on it finds their requests first, before it hears of the new leader.
func superseded(t *testing.T, c *process.Cluster, l *load) {
	t.Helper()
	old := leaderOf(t, c)
	check(t, c.Pause(old))
	leaderOf(t, c) // another one: the old one can't say so
	secret := &counter{key: []byte("secret")}
	other := connect(t, c.Scheduler)
	for n := range int64(20) {
		value := secret.begun.Add(1)
		check(t, other.Put(t.Context(), secret.key, strconv.AppendInt(nil, n+1, 10)))
		secret.acknowledged.Store(value)
	}
	var readers sync.WaitGroup
	for range loadReaders {
		readers.Go(func() { l.check(secret) })
	}
	time.Sleep(500 * time.Millisecond) // the requests lie before the old leader
	check(t, c.Resume(old))
	readers.Wait()
	l.check(secret)
}

// transfer has another store lead, and waits until it does.
func transfer(t *testing.T, c *process.Cluster) {
	t.Helper()
	for from, to := leaderOf(t, c), uint64(0); from != to; { // an election may come between, and then nothing is done
		to = othersOf(c, from)[0]
		check(t, c.Transfer(t.Context(), from, to))
		limit := time.Now().Add(2 * time.Second)
		for from != to && time.Now().Before(limit) {
			from = leaderOf(t, c)
		}
	}
}

func leaderOf(t *testing.T, c *process.Cluster) uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), recovery)
	defer cancel()
	id, err := c.Leader(ctx)
	check(t, err)
	return id
}

// othersOf are all stores but one, the next one first.
func othersOf(c *process.Cluster, id uint64) (ids []uint64) {
	n := uint64(len(c.IDs()))
	for i := range n - 1 {
		ids = append(ids, (id+i)%n+1)
	}
	return ids
}

// A swap decides on what the leader has read. If another one leads by the time it is written, it must be decided anew.
func TestSwapsAreOneStepWhileLeadershipMoves(t *testing.T) {
	t.Parallel() // it mostly waits
	const goroutines, moves = 8, 10
	cluster := startCluster(t, "pebble")
	client := connect(t, cluster.Scheduler)
	client.SetAtomicForCAS(true)
	key := []byte("counter")
	check(t, client.Put(t.Context(), key, []byte("0")))
	var stop atomic.Bool
	var swapped, unknown atomic.Int64
	increment := func() error {
		old, err := client.Get(t.Context(), key)
		if err != nil {
			return err
		}
		var n int
		if _, err := fmt.Sscan(string(old), &n); err != nil {
			return err
		}
		switch _, done, err := client.CompareAndSwap(t.Context(), key, old, fmt.Append(nil, n+1)); {
		case err != nil && strings.Contains(err.Error(), undetermined):
			unknown.Add(1)
		case err != nil:
			return err
		case done:
			swapped.Add(1)
		}
		return nil
	}
	moved := make(chan struct{})
	go func() {
		defer close(moved)
		defer stop.Store(true)
		for range moves {
			for wanted := swapped.Load() + 50; swapped.Load() < wanted && !stop.Load(); {
				time.Sleep(5 * time.Millisecond)
			}
			transfer(t, cluster)
		}
	}()
	together(t, goroutines, func(int) error {
		for !stop.Load() {
			if err := increment(); err != nil {
				stop.Store(true)
				return err
			}
		}
		return nil
	})
	<-moved
	value, err := client.Get(t.Context(), key)
	check(t, err)
	var n int64
	_, err = fmt.Sscan(string(value), &n)
	check(t, err)
	if n < swapped.Load() || n > swapped.Load()+unknown.Load() {
		t.Errorf("%d swaps were acknowledged, %d are of unknown fate; the counter is %d", swapped.Load(), unknown.Load(), n)
	}
	t.Logf("%d swaps and %d of unknown fate, while leadership moved %d times", swapped.Load(), unknown.Load(), moves)
}

// What a cluster of stores that run promises its callers.

package replicated

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/region"
)

func isNotLeader(err error) bool    { return errors.As(err, new(*region.NotLeaderError)) }
func isUndetermined(err error) bool { return errors.As(err, new(*region.UndeterminedError)) }
func isStale(err error) bool        { return errors.As(err, new(*region.StaleCommandError)) }
func isBusy(err error) bool         { return errors.As(err, new(*region.BusyError)) }

func TestTheLeaderServesAndTheOthersNameIt(t *testing.T) {
	inWorld(t, 3, nil, func(w *world) {
		leader := w.leader(1, 2, 3)
		if err := leader.write("k", "v"); err != nil {
			w.Fatal(err)
		}
		if got, err := leader.read("k"); got != "v" || err != nil {
			w.Errorf("%q, %v", got, err)
		}
		for _, id := range w.but(leader.id) {
			_, readErr := w.nodes[id].read("k")
			for _, err := range []error{readErr, w.nodes[id].write("k", "w")} {
				var not *region.NotLeaderError
				if !errors.As(err, &not) || not.Leader.StoreID != leader.id {
					w.Errorf("store %d: %v, want that store %d leads", id, err, leader.id)
				}
			}
		}
		w.same(w.all()...)
	})
}

func TestAnAcknowledgedWriteOutlivesItsLeader(t *testing.T) {
	inWorld(t, 3, nil, func(w *world) {
		leader := w.leader(1, 2, 3)
		for i := range 20 {
			if err := leader.write(fmt.Sprint("k", i), "v"); err != nil {
				w.Fatal(err)
			}
		}
		leader.crash()
		next := w.leader(w.but(leader.id)...)
		for i := range 20 {
			if got, err := next.read(fmt.Sprint("k", i)); got != "v" || err != nil {
				w.Errorf("k%d is %q, %v on the next leader", i, got, err)
			}
		}
		if err := next.write("k0", "w"); err != nil {
			w.Error(err)
		}
		leader.start()
		w.same(w.all()...)
	})
}

func TestEverythingAcknowledgedSurvivesACrashOfAllStores(t *testing.T) {
	inWorld(t, 3, nil, func(w *world) {
		for round := range 5 {
			leader := w.leader(1, 2, 3)
			for i := range 10 {
				if err := leader.write(fmt.Sprint("k", round, i), fmt.Sprint(round)); err != nil {
					w.Fatal(err)
				}
			}
			for _, n := range w.nodes {
				n.crash()
			}
			for _, n := range w.nodes {
				n.start()
			}
			leader = w.leader(1, 2, 3)
			for i := range (round + 1) * 10 {
				key, want := fmt.Sprint("k", i/10, i%10), fmt.Sprint(i/10)
				if got, err := leader.read(key); got != want || err != nil {
					w.Fatalf("round %d: %s is %q, %v; want %q", round, key, got, err, want)
				}
			}
		}
		w.same(w.all()...)
	})
}

func TestALeaderThatIsCutOffServesNothingStale(t *testing.T) {
	inWorld(t, 3, nil, func(w *world) {
		old := w.leader(1, 2, 3)
		if err := old.write("k", "old"); err != nil {
			w.Fatal(err)
		}
		w.cut(old.id)
		lost := make(chan error, 1)
		go func() { lost <- old.write("lost", "x") }()
		next := w.leader(w.but(old.id)...)
		if err := next.write("k", "new"); err != nil {
			w.Fatal(err)
		}
		if got, err := old.read("k"); err == nil {
			w.Errorf("the leader that was cut off reads %q after another one wrote", got)
		}
		if err := old.write("k", "older"); err == nil {
			w.Error("the leader that was cut off acknowledged a write")
		}
		w.heal(old.id)
		if err := <-lost; err == nil || !isStale(err) && !isUndetermined(err) {
			w.Errorf("the write that was lost: %v", err)
		}
		w.same(w.all()...)
		if got, err := w.leader(1, 2, 3).read("k"); got != "new" || err != nil {
			w.Errorf("%q, %v", got, err)
		}
	})
}

func TestALeaseIsServedWithoutTheLoopAndEndsByTheClock(t *testing.T) {
	inWorld(t, 3, nil, func(w *world) {
		leader := w.leader(1, 2, 3)
		if err := leader.write("k", "v"); err != nil {
			w.Fatal(err)
		}
		time.Sleep(5 * tick)
		snap, ok := leader.store.byLease(leader.rc())
		if !ok {
			w.Fatal("a leader in peace has no lease")
		}
		snap.Close()
		w.cut(leader.id)
		time.Sleep(9 * tick) // less than any election takes, more than a lease lasts
		if snap, ok := leader.store.byLease(leader.rc()); ok {
			snap.Close()
			w.Errorf("a leader that hears nobody has a lease still: %+v", leader.view())
		}
	})
}

func TestAWriteIsBoundToTheTermThatItDemands(t *testing.T) {
	inWorld(t, 3, nil, func(w *world) {
		leader := w.leader(1, 2, 3)
		snap, err := leader.store.Snapshot(w.Context(), leader.rc())
		if err != nil {
			w.Fatal(err)
		}
		term := snap.(interface{ Term() uint64 }).Term()
		snap.Close()
		if err := leader.writeIn(term, "k", "1"); err != nil {
			w.Errorf("in the term of its snapshot: %v", err)
		}
		for _, other := range []uint64{term - 1, term + 1} {
			if err := leader.writeIn(other, "k", "2"); !isStale(err) {
				w.Errorf("in term %d instead of %d: %v", other, term, err)
			}
		}
		if got, err := leader.read("k"); got != "1" || err != nil {
			w.Errorf("%q, %v", got, err)
		}
	})
}

func TestRequestsWithAWrongPictureAreRefusedByLeaseAndByTheLoop(t *testing.T) {
	inWorld(t, 3, nil, func(w *world) {
		leader := w.leader(1, 2, 3)
		if err := leader.write("k", "v"); err != nil {
			w.Fatal(err)
		}
		for name, spoil := range map[string]func(*node) error{
			"cluster": func(n *node) error {
				rc := n.rc()
				rc.ClusterId++
				return n.store.Write(w.Context(), rc, put("k", "w"))
			},
			"store": func(n *node) error {
				rc := n.rc()
				rc.Peer.StoreId = 9
				_, err := n.store.Snapshot(w.Context(), rc)
				return err
			},
			"peer": func(n *node) error {
				rc := n.rc()
				rc.Peer.Id = 99
				_, err := n.store.Snapshot(w.Context(), rc)
				return err
			},
			"epoch": func(n *node) error {
				rc := n.rc()
				rc.RegionEpoch.Version++
				_, err := n.store.Snapshot(w.Context(), rc)
				return err
			},
			"region": func(n *node) error {
				rc := n.rc()
				rc.RegionId++
				_, err := n.store.Snapshot(w.Context(), rc)
				return err
			},
		} {
			if err := spoil(leader); err == nil || isNotLeader(err) {
				w.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestAFailedDiskEndsTheStoreLoudlyAndAcknowledgesNothing(t *testing.T) {
	inWorld(t, 3, nil, func(w *world) {
		old := w.leader(1, 2, 3)
		if err := old.write("k", "v"); err != nil {
			w.Fatal(err)
		}
		failed := errors.New("input/output error")
		old.log.FailSync(failed)
		err := old.write("k", "lost")
		if err == nil {
			w.Fatal("a write was acknowledged although the log could not be synced")
		}
		if got := <-old.failed; !errors.Is(got, failed) || !errors.Is(old.store.Failure(), failed) {
			w.Errorf("the owner was told %v, Failure is %v", got, old.store.Failure())
		}
		<-old.store.ended
		for range 3 {
			_, readErr := old.read("k")
			if writeErr := old.write("k", "x"); !isNotLeader(readErr) || !isNotLeader(writeErr) {
				w.Errorf("a store that failed answers %v, %v; want that clients ask others", readErr, writeErr)
			}
		}
		next := w.leader(w.but(old.id)...)
		if got, err := next.read("k"); err != nil || got != "v" && got != "lost" {
			w.Errorf("%q, %v", got, err)
		}
	})
}

func TestAStoreThatStopsAnswersEverybodyAndHandsOver(t *testing.T) {
	inWorld(t, 3, nil, func(w *world) {
		leader := w.leader(1, 2, 3)
		asked := *leader // stop forgets the store
		var wait sync.WaitGroup
		answers := make(chan error, 200)
		for i := range 100 {
			wait.Go(func() { answers <- asked.write(fmt.Sprint("k", i), "v") })
			wait.Go(func() { _, err := asked.read("k"); answers <- err })
		}
		began := time.Now()
		leader.stop()
		wait.Wait()
		if took := time.Since(began); took > handOverLimit+tick {
			w.Errorf("the stop took %v", took)
		}
		for range 200 {
			if err := <-answers; err != nil && !isNotLeader(err) && !isUndetermined(err) && !isBusy(err) && !isStale(err) {
				w.Errorf("a caller was told %v", err)
			}
		}
		w.leader(w.but(leader.id)...)
		if took := time.Since(began); took > 5*tick {
			w.Errorf("the others had a leader after %v: it was not handed over", took)
		}
	})
}

func TestLeadershipIsHandedOverOnDemand(t *testing.T) {
	inWorld(t, 3, nil, func(w *world) {
		leader := w.leader(1, 2, 3)
		to := w.but(leader.id)[0]
		if err := leader.store.TransferLeader(w.Context(), regionID, regionID+to); err != nil {
			w.Fatal(err)
		}
		time.Sleep(3 * tick)
		if got := w.leader(1, 2, 3); got.id != to {
			w.Errorf("store %d leads, want %d", got.id, to)
		}
		if err := leader.store.TransferLeader(w.Context(), regionID, regionID+to); !isNotLeader(err) {
			w.Errorf("a follower was asked to hand over: %v", err)
		}
	})
}

func TestBeyondTheBoundRequestsAreToldThatTheStoreIsBusy(t *testing.T) {
	b := newInbox(1000, 1000)
	request := item{kind: request, bytes: 500}
	if err := b.post(request); err != nil {
		t.Fatal(err)
	}
	if err := b.post(request); !isBusy(err) {
		t.Errorf("beyond the bound: %v", err)
	}
	if err := b.post(item{kind: message, bytes: 500}); err != nil {
		t.Errorf("a message waits behind requests: %v", err)
	}
	if err := b.post(item{}); err != nil {
		t.Errorf("a report was refused: %v", err)
	}
	if got := len(b.take(nil)); got != 3 {
		t.Errorf("%d items", got)
	}
	if err := b.post(item{kind: request.kind, bytes: 1 << 20}); err != nil {
		t.Errorf("a request larger than the bound never gets through: %v", err)
	}
}

func TestMessagesWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newInbox(0, 1000)
		large := item{kind: message, bytes: 900}
		if err := b.postWhenRoom(t.Context(), large); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- b.postWhenRoom(t.Context(), large) }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("it did not wait: %v", err)
		default:
		}
		b.take(nil)
		if err := <-done; err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.postWhenRoom(ctx, large); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after its time was up: %v", err)
		}
		b.close()
		if err := b.postWhenRoom(t.Context(), large); err != nil {
			t.Errorf("after the close: %v", err)
		}
	})
}

func TestAFollowerThatWasAwayTooLongGetsASnapshot(t *testing.T) {
	small := func(o *Options) {
		o.Limits.CompactEntries, o.Limits.MaxLagEntries = 20, 40
	}
	inWorld(t, 3, small, func(w *world) {
		leader := w.leader(1, 2, 3)
		away := w.nodes[w.but(leader.id)[0]]
		if err := leader.write("early", strings.Repeat("e", 100)); err != nil {
			w.Fatal(err)
		}
		away.crash()
		for i := range 200 {
			if err := leader.write(fmt.Sprint("k", i%50), fmt.Sprint(i)); err != nil {
				w.Fatal(err)
			}
		}
		time.Sleep(calm) // compaction waits for a sync of the data
		if kept := leader.view().Kept; kept.Index < 100 {
			w.Fatalf("the leader's log was not compacted: it begins after %v", kept)
		}
		away.start()
		w.same(w.all()...)
		if away.view().Installs == 0 {
			w.Error("the follower caught up without a snapshot")
		}
		if names, err := away.spools.List(); err != nil || len(names) > 0 {
			w.Errorf("spools %v are left, %v", names, err)
		}
	})
}

func TestManyWritersShareSyncsAndEveryStoreEndsWithTheSame(t *testing.T) {
	inWorld(t, 3, nil, func(w *world) {
		leader := w.leader(1, 2, 3)
		before := leader.log.Stats().Syncs
		var wait sync.WaitGroup
		const writers, each = 16, 25
		for i := range writers {
			wait.Go(func() {
				for j := range each {
					if err := leader.write(fmt.Sprintf("k%d/%d", i, j), "v"); err != nil {
						w.Error(err)
					}
				}
			})
		}
		wait.Wait()
		if syncs := leader.log.Stats().Syncs - before; syncs >= writers*each {
			w.Errorf("%d syncs for %d writes: none was shared", syncs, writers*each)
		}
		if n := leader.data.Stats().Syncs; n > 5 {
			w.Errorf("%d syncs of the data store", n)
		}
		w.same(w.all()...)
	})
}

func TestASnapshotSeesOnlyTheKeysOfItsRegion(t *testing.T) {
	inWorld(t, 3, nil, func(w *world) {
		leader := w.leader(1, 2, 3)
		for _, key := range []string{"a", "m", "z"} {
			if err := leader.write(key, key); err != nil {
				w.Fatal(err)
			}
		}
		inner, err := leader.engines[1].Snapshot()
		if err != nil {
			w.Fatal(err)
		}
		defer inner.Close()
		snap := &regionSnapshot{Snapshot: inner, region: region.Region{ID: 7, Range: region.Range{Start: []byte("b"),
			End: []byte("n")}}}
		var outside *region.KeyNotInRegionError
		if _, err := snap.Get(engine.Default, []byte("z")); !errors.As(err, &outside) || outside.RegionID != 7 {
			w.Errorf("a key of another region: %v", err)
		}
		it, err := snap.Iterator(engine.Default, engine.IterOptions{})
		if err != nil {
			w.Fatal(err)
		}
		defer it.Close()
		if !it.First() || string(it.Key()) != "m" || it.Next() {
			w.Errorf("the walk does not stand on m alone, but on %q", it.Key())
		}
	})
}

// Birth of a cluster, stores that join and report, restarts, ids.

package cluster_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"tinykv/kv/region"
	"tinykv/scheduler/cluster"
)

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error is %v, want %v", what, err, want)
	}
}

func TestNothingIsKnownBeforeBootstrap(t *testing.T) {
	c, err := cluster.New(cluster.Meta{ClusterID: clusterID}, nil)
	if err != nil || c.Bootstrapped() {
		t.Fatal(err, c.Bootstrapped())
	}
	_, err = c.PutStore(cluster.Store{ID: 1, Address: "a:1"})
	wantErr(t, "PutStore", err, cluster.ErrNotBootstrapped)
	_, err = c.Store(1)
	wantErr(t, "Store", err, cluster.ErrNotBootstrapped)
	wantErr(t, "StoreHeartbeat", c.StoreHeartbeat(cluster.StoreStats{StoreID: 1}, 1), cluster.ErrNotBootstrapped)
	_, err = c.RegionHeartbeat(report(t, "1 .-. 1/1 11 11 5"))
	wantErr(t, "RegionHeartbeat", err, cluster.ErrNotBootstrapped)
	_, err = cluster.New(cluster.Meta{}, nil)
	wantErr(t, "New without an id", err, cluster.ErrInvalid)
}

func TestAClusterIsBootstrappedOnceAndOnlyByItsCommit(t *testing.T) {
	c, _ := cluster.New(cluster.Meta{ClusterID: clusterID}, nil)
	first := report(t, "1 .-. 1/1 11 11 5").Region
	one := cluster.Store{ID: 1, Address: "127.0.0.1:1"}
	change, err := c.Bootstrap(one, first)
	if err != nil {
		t.Fatal(err)
	}
	if c.Bootstrapped() || len(c.Stores()) > 0 || len(c.Regions()) > 0 {
		t.Error("the decision alone changed the cluster")
	}
	c.Commit(change)
	if !c.Bootstrapped() || layout(c) != "1:.-." {
		t.Errorf("after the commit: %v %s", c.Bootstrapped(), layout(c))
	}
	_, err = c.Bootstrap(cluster.Store{ID: 2, Address: "127.0.0.1:2"}, first)
	wantErr(t, "the second bootstrap", err, cluster.ErrBootstrapped)
}

func TestSeveralStoresBringTheFirstRegionTogether(t *testing.T) {
	first := report(t, "1 .-. 1/1 11,12,13 12 5").Region
	for _, comesFirst := range []uint64{1, 2, 3} {
		c, _ := cluster.New(cluster.Meta{ClusterID: clusterID}, nil)
		change, err := c.Bootstrap(cluster.Store{ID: comesFirst, Address: "a:1"}, first)
		if err != nil {
			t.Fatalf("store %d: %v", comesFirst, err)
		}
		if change.LastID != 13 {
			t.Errorf("the greatest id in use is %d, want 13", change.LastID)
		}
		c.Commit(change)
		if got := c.Regions(); len(got) != 1 || len(got[0].Peers) != 3 || len(c.Stores()) != 1 {
			t.Errorf("store %d brought %v and stores %v", comesFirst, got, c.Stores())
		}
	}
}

func TestBootstrapRefusesWhatCannotBeAFirstStoreAndRegion(t *testing.T) {
	good := cluster.Store{ID: 1, Address: "127.0.0.1:1"}
	for name, c := range map[string]struct {
		store cluster.Store
		text  string
	}{
		"store id 0":             {cluster.Store{Address: "a:1"}, "1 .-. 1/1 11 11 5"},
		"no address":             {cluster.Store{ID: 1}, "1 .-. 1/1 11 11 5"},
		"address without port":   {cluster.Store{ID: 1, Address: "host"}, "1 .-. 1/1 11 11 5"},
		"address with port 0":    {cluster.Store{ID: 1, Address: "host:0"}, "1 .-. 1/1 11 11 5"},
		"part of the key space":  {good, "1 .-g 1/1 11 11 5"},
		"peers on other stores":  {good, "1 .-. 1/1 12,13 12 5"},
		"peer on another store":  {good, "1 .-. 1/1 12 12 5"},
		"region id 0":            {good, "0 .-. 1/1 11 11 5"},
		"epoch that begins at 0": {good, "1 .-. 0/0 11 11 5"},
	} {
		empty, _ := cluster.New(cluster.Meta{ClusterID: clusterID}, nil)
		_, err := empty.Bootstrap(c.store, report(t, c.text).Region)
		wantErr(t, name, err, cluster.ErrInvalid)
	}
}

func TestStoresJoinMoveAndAreRefused(t *testing.T) {
	c := bootstrapped(t)
	put := func(s cluster.Store) error {
		change, err := c.PutStore(s)
		if err == nil {
			c.Commit(change)
		}
		return err
	}
	if err := put(cluster.Store{ID: 2, Address: "b:2", Labels: []cluster.Label{{Key: "zone",
		Value: "eu1"}}}); err != nil {
		t.Fatal(err)
	}
	if err := c.StoreHeartbeat(cluster.StoreStats{StoreID: 2, Capacity: 100, RegionCount: 3}, 5000); err != nil {
		t.Fatal(err)
	}
	if err := put(cluster.Store{ID: 2, Address: "b:3", State: cluster.Tombstone}); err != nil {
		t.Fatal(err)
	}
	got, err := c.Store(2)
	if err != nil || got.Store.Address != "b:3" || got.Store.State != cluster.Up || got.Stats.Capacity != 100 ||
		got.LastMillis != 5000 {
		t.Errorf("store 2 after it moved: %+v, %v (its report must stay, its state is not its own to change)", got, err)
	}
	wantErr(t, "an address that is taken", put(cluster.Store{ID: 3, Address: "b:3"}), cluster.ErrInvalid)
	wantErr(t, "store id 0", put(cluster.Store{Address: "c:1"}), cluster.ErrInvalid)
	if ids := len(c.Stores()); ids != 2 {
		t.Errorf("%d stores, want 2", ids)
	}
	from := func(directory string) cluster.Store {
		return cluster.Store{ID: 4, Address: "d:4", Labels: []cluster.Label{{Key: cluster.DirectoryLabel, Value: directory}}}
	}
	for _, s := range []cluster.Store{from("x"), from("x"), {ID: 4, Address: "d:5"}, from("x")} { // not said is not wrong
		if err := put(s); err != nil {
			t.Fatal(err)
		}
		if s.Labels == nil {
			continue
		}
		wantErr(t, "another directory", put(from("y")), cluster.ErrInvalid)
	}
	_, err = c.Store(9)
	wantErr(t, "an unknown store", err, cluster.ErrUnknownStore)
	if !strings.Contains(err.Error(), "invalid store ID") || !strings.Contains(err.Error(), "not found") {
		t.Errorf("%q lacks the words by which clients recognise it", err)
	}
	wantErr(t, "an unknown store's report", c.StoreHeartbeat(cluster.StoreStats{StoreID: 9}, 1),
		cluster.ErrUnknownStore)
}

func TestARemovedStoreStaysRemovedAndItsAddressIsFree(t *testing.T) {
	meta := cluster.Meta{ClusterID: clusterID, Bootstrapped: true, Stores: []cluster.Store{
		{ID: 1, Address: "a:1"}, {ID: 2, Address: "b:2", State: cluster.Tombstone}}}
	c, err := cluster.New(meta, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.PutStore(cluster.Store{ID: 2, Address: "b:2"})
	wantErr(t, "a removed store that returns", err, cluster.ErrTombstone)
	wantErr(t, "its report", c.StoreHeartbeat(cluster.StoreStats{StoreID: 2}, 1), cluster.ErrTombstone)
	if _, err = c.PutStore(cluster.Store{ID: 3, Address: "b:2"}); err != nil {
		t.Errorf("a new store at the address of a removed one: %v", err)
	}
}

func TestARestartKnowsWhatWasSaved(t *testing.T) {
	c := threeRegions(t)
	change, err := c.PutStore(cluster.Store{ID: 2, Address: "b:2"})
	if err != nil {
		t.Fatal(err)
	}
	c.Commit(change)
	again, err := cluster.New(change.Meta, c.Regions())
	if err != nil {
		t.Fatal(err)
	}
	if layout(again) != layout(c) || len(again.Stores()) != 2 || again.ID() != clusterID {
		t.Errorf("after the restart: %s, %v, %d", layout(again), again.Stores(), again.ID())
	}
	if info, _ := again.RegionByKey([]byte("a")); info.Leader != (region.Peer{}) {
		t.Errorf("leader %v is believed without a report", info.Leader)
	}
}

func TestABootstrapCutShortByACrashLeavesNothing(t *testing.T) {
	orphan := report(t, "1 .-. 1/1 11 11 5").Region // regions are saved before the meta that makes them true
	c, err := cluster.New(cluster.Meta{ClusterID: clusterID}, []region.Region{orphan})
	if err != nil || c.Bootstrapped() || layout(c) != "" {
		t.Errorf("%v, %v, %q", err, c.Bootstrapped(), layout(c))
	}
}

func TestIDsAreNeverHandedOutTwiceAcrossCrashes(t *testing.T) {
	durable, last := uint64(0), uint64(0)
	for restart := range uint64(20) {
		ids := cluster.NewIDs(durable, 5)
		for i := range restart {
			count := 1 + i%7
			bound, save, err := ids.Need(count)
			if err != nil {
				t.Fatal(err)
			}
			if save {
				durable = bound
				if i%3 == 2 {
					break // crash: durable, but nothing was handed out
				}
				ids.Saved(bound)
			}
			first := ids.Take(count)
			if first <= last {
				t.Fatalf("restart %d: id %d after %d", restart, first, last)
			}
			if last = first + count - 1; last >= durable {
				t.Fatalf("id %d handed out, but only %d is durable", last, durable)
			}
		}
	}
	if last == 0 {
		t.Fatal("no id was handed out")
	}
}

func TestMoreIDsThanAStepCanBeTakenAtOnce(t *testing.T) {
	ids := cluster.NewIDs(0, 5)
	bound, save, err := ids.Need(100)
	if err != nil || !save || bound < 101 {
		t.Fatal(bound, save, err)
	}
	ids.Saved(bound)
	if first := ids.Take(100); first != 1 {
		t.Errorf("first is %d", first)
	}
	if _, save, _ := ids.Need(4); save {
		t.Error("the step was not made durable with the rest")
	}
}

func TestAbsurdCountsOfIDsAreRefused(t *testing.T) {
	ids := cluster.NewIDs(1<<40, 0)
	for _, count := range []uint64{0, math.MaxUint64, math.MaxUint64 - 1<<40} {
		_, _, err := ids.Need(count)
		wantErr(t, "count", err, cluster.ErrInvalid)
	}
}

func TestIDsThatOthersChoseAreNeverHandedOut(t *testing.T) {
	ids := cluster.NewIDs(0, 5)
	bound, save, err := ids.NeedSkip(7)
	if err != nil || !save || bound <= 7 {
		t.Fatal(bound, save, err)
	}
	ids.Saved(bound)
	ids.Skip(7)
	if _, save, _ := ids.Need(1); save {
		t.Error("the bound that was saved leaves none to hand out")
	}
	if id := ids.Take(1); id != 8 {
		t.Errorf("after 7 comes %d", id)
	}
	ids.Skip(3) // one from the past takes nothing back
	if id := ids.Take(1); id != 9 {
		t.Errorf("after 8 comes %d", id)
	}
	_, _, err = ids.NeedSkip(math.MaxUint64)
	wantErr(t, "an id that leaves none", err, cluster.ErrInvalid)
}

// Stores that are given other lists than the rest of their cluster.

package main

import (
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"tinykv/kv/datadir"
	"tinykv/scheduler/client"
)

// enlist makes a store's side of a cluster that the crew's scheduler knows, with a list and a directory.
func (c *crew) enlist(id uint64, list peers, path string) *enlistment {
	c.t.Helper()
	dir, err := datadir.Open(path, datadir.Wanted{Kind: datadir.Replicated, Engine: "pebble", StoreID: id})
	if err != nil {
		c.t.Fatal(err)
	}
	pd, err := client.New(client.Options{Addrs: []string{c.scheduler}})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { pd.Close() })
	return &enlistment{scheduler: pd, dir: dir, peers: list, storeAddr: list[id], log: slog.New(slog.DiscardHandler)}
}

// Stores that start at the same time find a cluster that nobody has begun. If each began with its own list, there would be
// two first regions, and each would answer for all keys.
func TestOfStoresThatStartAtOnceTheFirstListCounts(t *testing.T) {
	c := newCrew(t)
	c.startScheduler()
	four := maps.Clone(c.peers)
	four[4] = "127.0.0.1:4"
	elsewhere := peers{1: c.peers[1], 3: c.peers[3], 9: "127.0.0.1:9"}
	middle := peers{1: c.peers[1], 8: "127.0.0.1:8", 9: "127.0.0.1:9"} // has the same ids as elsewhere for stores 1 and 9
	one := c.enlist(1, elsewhere, filepath.Join(c.dir, "a"))
	if err := one.join(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]*enlistment{
		"more":             c.enlist(3, four, filepath.Join(c.dir, "b")),
		"another between":  c.enlist(9, middle, filepath.Join(c.dir, "c")),
		"a list of itself": c.enlist(3, peers{3: c.peers[3]}, filepath.Join(c.dir, "d")),
	} {
		if err := e.join(t.Context()); err == nil || !strings.Contains(err.Error(), "give all its stores the same list") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The store that was given a wrong list begins when it is given the right one, in the same directory.
	if err := c.enlist(3, elsewhere, filepath.Join(c.dir, "b")).join(t.Context()); err != nil {
		t.Error(err)
	}
}

// Neither store has begun when the other looks; what the scheduler was told first decides.
func TestAStoreThatLookedTooEarlyAgreesAllTheSame(t *testing.T) {
	c := newCrew(t)
	c.startScheduler()
	late := c.enlist(3, peers{3: c.peers[3], 4: "127.0.0.1:4"}, filepath.Join(c.dir, "late"))
	if err := late.sameBeginning(t.Context()); err != nil { // nothing is there yet
		t.Fatal(err)
	}
	if err := c.enlist(1, c.peers, filepath.Join(c.dir, "first")).join(t.Context()); err != nil {
		t.Fatal(err)
	}
	late.ids = datadir.IDs{StoreID: 3}
	if err := late.agree(t.Context()); err == nil || !strings.Contains(err.Error(), "give all its stores the same list") {
		t.Errorf("got %v", err)
	}
}

func TestAStoreThatHasBegunKeepsItsList(t *testing.T) {
	c := newCrew(t)
	c.startScheduler()
	path := filepath.Join(c.dir, "a")
	e := c.enlist(1, c.peers, path)
	if err := e.join(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.dir.Begin(); err != nil {
		t.Fatal(err)
	}
	moved := peers{1: "127.0.0.1:1", 2: "127.0.0.1:2", 3: "127.0.0.1:3"}
	if err := c.enlist(1, moved, path).join(t.Context()); err != nil {
		t.Errorf("other addresses: %v", err)
	}
	for name, list := range map[string]peers{
		"one more":  {1: "127.0.0.1:1", 2: "127.0.0.1:2", 3: "127.0.0.1:3", 4: "127.0.0.1:4"},
		"one less":  {1: "127.0.0.1:1", 2: "127.0.0.1:2"},
		"other ids": {1: "127.0.0.1:1", 5: "127.0.0.1:2", 6: "127.0.0.1:3"},
	} {
		err := c.enlist(1, list, path).join(t.Context())
		if err == nil || !strings.Contains(err.Error(), "only their addresses may be others") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Two processes were given the same id, and started at the same time. If both began, each would have votes of the store.
func TestTwoDirectoriesOfOneStoreDoNotBothBegin(t *testing.T) {
	c := newCrew(t)
	c.startScheduler()
	for _, id := range []uint64{2, 3} { // 2 brings the cluster into being, 3 comes to one that is there
		first := c.enlist(id, c.peers, filepath.Join(c.dir, fmt.Sprint(id)))
		second := c.enlist(id, c.peers, filepath.Join(c.dir, fmt.Sprint(id, "b")))
		if err := second.mayJoin(t.Context(), 0); err != nil { // neither is known when the other looks
			t.Fatal(err)
		}
		for _, e := range []*enlistment{first, second} {
			e.ids = datadir.IDs{StoreID: id}
			if err := e.agree(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		members, err := first.scheduler.Members(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		first.ids.ClusterID, second.ids.ClusterID = members.ClusterID, members.ClusterID
		if err := first.announce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := second.announce(t.Context()); err == nil || !strings.Contains(err.Error(), "an id of its own") {
			t.Errorf("the second of store %d: %v", id, err)
		}
		if err := first.announce(t.Context()); err != nil {
			t.Errorf("the first one again: %v", err)
		}
		if err := second.sameDirectory(t.Context()); err == nil || !strings.Contains(err.Error(), "another data directory") {
			t.Errorf("the second one later: %v", err)
		}
		if err := first.sameDirectory(t.Context()); err != nil {
			t.Errorf("the first one later: %v", err)
		}
	}
}

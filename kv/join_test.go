// Stores that come later, and stores that are replaced: what to do about one whose disk is lost.

package main

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

// joinArgs are those of a store that comes later. What is added counts more.
func (c *crew) joinArgs(id uint64, more ...string) []string {
	c.t.Helper()
	if c.status[id] == "" {
		c.status[id], c.later[id] = freePort(c.t), freePort(c.t)
	}
	return append([]string{"serve", "--join", "--store-id", fmt.Sprint(id), "--data-dir", c.data(id), "--addr", c.later[id],
		"--scheduler", c.scheduler, "--status-addr", c.status[id], "--tick", "20ms"}, append(more, c.more...)...)
}

// join starts a store that comes later, and waits until it serves: nothing, as yet.
func (c *crew) join(id uint64) {
	c.t.Helper()
	c.stores[id] = run(c.t, c.joinArgs(id)...)
	c.awaitReady(id)
}

// members gives the leader an order about members until it is carried out: leaders may change meanwhile.
func (c *crew) members(order string, about uint64) {
	c.t.Helper()
	var err error
	for deadline := time.Now().Add(readyLimit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		leader := c.leader()
		if err = (&playStore{id: leader, status: c.status[leader]}).order(c.t.Context(), "/peers/"+order, about); err == nil {
			return
		}
	}
	c.t.Fatalf("%s store %d: %v", order, about, err)
}

// awaitCaughtUp waits until a store has applied what the leader has.
func (c *crew) awaitCaughtUp(id uint64) {
	c.t.Helper()
	for deadline := time.Now().Add(readyLimit); ; time.Sleep(10 * time.Millisecond) {
		leader := c.leader()
		own, err := (&playStore{status: c.status[id]}).ask(c.t.Context())
		leads, _ := (&playStore{status: c.status[leader]}).ask(c.t.Context())
		if err == nil && len(own.Regions) == 1 && len(leads.Regions) == 1 && own.Regions[0].Applied >= leads.Regions[0].Applied {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("store %d does not catch up: %+v, %v; the leader %+v", id, own, err, leads)
		}
	}
}

func TestALostStoreIsReplacedByANewOne(t *testing.T) {
	t.Parallel() // it mostly waits
	c := newCrew(t)
	c.begin()
	kv := c.connect().Raw()
	for i := range 50 {
		if err := kv.Put(within(t, verifyLimit), fmt.Appendf(nil, "k%d", i), fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	lost := c.leader()
	c.stores[lost].kill()
	if err := os.RemoveAll(c.data(lost)); err != nil {
		t.Fatal(err)
	}
	refusedText(t, "can't come back under its id", c.args(lost)...)
	delete(c.stores, lost)

	c.members("remove", lost)
	c.join(4)
	c.members("add", 4)
	c.awaitCaughtUp(4)
	c.stores[4].awaitLog("snapshot installed")
	c.stores[4].stop()
	c.join(4) // with the same flags
	c.awaitCaughtUp(4)

	// One of the two old ones goes, so the new one is needed for everything.
	rest := slices.DeleteFunc([]uint64{1, 2, 3}, func(id uint64) bool { return id == lost })
	c.stores[rest[0]].kill()
	if err := kv.Put(within(t, verifyLimit), []byte("k"), []byte("v")); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		got, found, err := kv.Get(within(t, verifyLimit), fmt.Appendf(nil, "k%d", i))
		if string(got) != fmt.Sprint(i) || !found || err != nil {
			t.Fatalf("k%d is %q, %v, %v", i, got, found, err)
		}
	}
}

func TestAStoreThatJoinsIsRefusedWhatItCanNotBe(t *testing.T) {
	t.Parallel() // it mostly waits
	c := newCrew(t)
	c.startScheduler()
	refusedText(t, "there is no cluster yet", c.joinArgs(4)...)
	c.start(1, 2, 3)
	c.awaitReady(1, 2, 3)
	refusedText(t, "can't come back under its id", c.joinArgs(3, "--data-dir", c.data(9), "--addr", anyPort,
		"--status-addr", anyPort)...)
	refusedText(t, "either --peers", c.args(1, "--join")...)
	refusedText(t, "Say --store-id", "serve", "--join", "--data-dir", c.data(9), "--scheduler", c.scheduler)
	leader := c.leader()
	order := func(path string, about uint64) error {
		return (&playStore{id: leader, status: c.status[leader]}).order(t.Context(), path, about)
	}
	if err := order("/peers/add", 4); err == nil {
		t.Error("a store that nobody knows was given a peer")
	}
	if err := order("/peers/remove", leader); err == nil {
		t.Error("a leader was removed")
	}
	if err := order("/peers/add", leader); err != nil {
		t.Errorf("a peer that is there: %v", err)
	}
	c.join(4)
	c.stores[4].stop()
	for _, part := range []string{"raft", "engine"} {
		if err := os.RemoveAll(c.data(4) + "/" + part); err != nil {
			t.Fatal(err)
		}
	}
	refusedText(t, "has lost what it kept", c.joinArgs(4)...)
	c.stores[1].stop()
	refusedText(t, "say --peers as before", c.joinArgs(1)...)
}

package sim_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/sim"
	"tinykv/raft"
)

// TestStoryOfALeaderThatCrashes is what a script looks like.
func TestStoryOfALeaderThatCrashes(t *testing.T) {
	d := sim.NewDesk(t, sim.Options{})
	d.Put("k", "1")
	d.Crash(d.Leader())
	d.Put("k", "2")
	d.Expect("k", "2")
	d.Delete("k")
	d.Expect("k", "")
}

func TestOldLeaderServesNobody(t *testing.T) {
	d := sim.NewDesk(t, sim.Options{})
	d.Put("k", "1")
	old := d.Leader()
	d.Isolate(old)
	write := d.Begin(old, "put", "k", "lost")
	read := d.Begin(old, "get", "k", "")
	d.Run(60)
	d.Put("k", "2")
	if read.Done() && read.Wait() == nil {
		t.Error("a leader that is cut off served a read")
	}
	d.Heal()
	d.Run(20)
	if err := write.Wait(); !errors.As(err, new(*region.StaleCommandError)) {
		t.Errorf("the write of the old leader: %v, want StaleCommandError", err)
	}
	d.Expect("k", "2")
}

func TestFollowerNamesTheLeader(t *testing.T) {
	d := sim.NewDesk(t, sim.Options{})
	leader, follower := d.Leader(), d.Follower()
	err := d.TryPut(follower, "k", "1")
	var notLeader *region.NotLeaderError
	if !errors.As(err, &notLeader) || notLeader.Leader.StoreID != leader {
		t.Errorf("a put at a follower: %v; store %d leads", err, leader)
	}
	if _, err := d.TryGet(follower, "k"); !errors.As(err, &notLeader) {
		t.Errorf("a get at a follower: %v", err)
	}
}

func TestStoryOfASnapshot(t *testing.T) {
	d := sim.NewDesk(t, sim.Options{Limits: replica.Limits{CompactEntries: 5, MaxLagEntries: 10}})
	slow := d.Follower()
	d.Crash(slow)
	for _, v := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		d.Put("k"+v, v)
	}
	if first, _ := d.Log(d.Leader()); first < 10 {
		t.Errorf("the log of the leader still begins at %d", first)
	}
	d.Start(slow)
	d.CrashBefore(slow, "InstallStep", 1)
	d.Until("it dies before anything is installed", func() bool { return !d.Up(slow) })
	d.Start(slow)
	d.Until("the store has caught up", func() bool { return d.Applied(slow) >= d.Applied(d.Leader()) })
	if d.Saw("snapshot installed") != 1 || d.Stored(slow, "kz") != "z" {
		t.Errorf("%d snapshots installed; kz is %q", d.Saw("snapshot installed"), d.Stored(slow, "kz"))
	}
}

func TestStoryOfADiskThatFails(t *testing.T) {
	d := sim.NewDesk(t, sim.Options{})
	d.Put("k", "1")
	leader := d.Leader()
	d.Disk(leader, "log", "failing")
	if err := d.TryPut(leader, "k", "2"); err == nil {
		t.Error("a write was acknowledged by a store whose disk failed")
	}
	if d.Up(leader) {
		t.Error("a store goes on after its disk failed")
	}
	d.Put("k", "3")
	d.Expect("k", "3")
}

func TestStoryOfMembers(t *testing.T) {
	d := sim.NewDesk(t, sim.Options{Spares: 1})
	d.Put("k", "1")
	d.AddPeer(4)
	if d.Stored(4, "k") != "1" {
		t.Error("the new peer does not have the data")
	}
	d.Transfer(4)
	d.RemovePeer(1)
	d.Put("k", "2")
	d.Until("the store whose peer was removed has dropped its data", func() bool { return d.Stored(1, "k") == "" })
}

func TestLeaseReadsAskNobody(t *testing.T) {
	d := sim.NewDesk(t, sim.Options{Raft: raft.Config{ReadMode: raft.ReadLease}})
	d.Put("k", "1")
	d.Run(20)
	leader := d.Leader()
	before := d.Counts()
	for range 20 {
		d.Expect("k", "1")
	}
	after := d.Counts()
	if after.LeaseReads < before.LeaseReads+10 {
		t.Errorf("%d of 20 reads at store %d were served by the lease", after.LeaseReads-before.LeaseReads, leader)
	}
}

// TestCalmNeedsNoSyncOfTheData : nothing is compacted, so the data store is never synced; and a put costs a sync of the log
// on each store, at most.
func TestCalmNeedsNoSyncOfTheData(t *testing.T) {
	res := sim.Run(1, sim.Options{Calm: true, Clients: 1})
	c := res.Counts
	if most := 3.1*float64(c.Writes) + 20; res.Err != nil || c.DataSyncs != 0 || c.Writes == 0 || float64(c.LogSyncs) > most {
		t.Errorf("%v, %+v", res.Err, c)
	}
}

// TestNoSnapshotForWhoKeepsUp : logs are short, on all stores, but nobody is so far behind that the leader would not have
// what it needs; not even who was away for fewer entries than the leader waits for.
func TestNoSnapshotForWhoKeepsUp(t *testing.T) {
	limits := replica.Limits{CompactEntries: 10, MaxLagEntries: 40}
	d := sim.NewDesk(t, sim.Options{Limits: limits})
	away := d.Follower()
	for n := range 120 {
		switch n {
		case 50:
			d.Crash(away)
		case 80:
			d.Start(away)
		}
		d.Put("k", strconv.Itoa(n))
	}
	d.Run(30)
	if d.Saw("log compacted") < 20 || d.Saw("snapshot sent") > 0 {
		t.Errorf("%d compactions, %d snapshots sent", d.Saw("log compacted"), d.Saw("snapshot sent"))
	}
	for id := uint64(1); id <= 3; id++ {
		if first, last := d.Log(id); last-first > limits.CompactEntries+5 {
			t.Errorf("the log of store %d holds %d to %d", id, first, last)
		}
	}
}

// TestACallTakesNoTick : what a store can go on with it does at once; nobody waits for the next tick, which is a long time.
func TestACallTakesNoTick(t *testing.T) {
	d := sim.NewDesk(t, sim.Options{})
	d.Put("k", "0")
	before := d.Now()
	for n := range 20 {
		d.Put("k", strconv.Itoa(n))
		d.Expect("k", strconv.Itoa(n))
	}
	if took := d.Now() - before; took > 8 {
		t.Errorf("20 puts and 20 gets took %d ticks", took)
	}
}

// TestWhoIsNotReachedIsSpared : a leader that hears that its messages are lost stops sending entries there.
func TestWhoIsNotReachedIsSpared(t *testing.T) {
	d := sim.NewDesk(t, sim.Options{})
	d.Put("k", "0")
	d.Isolate(d.Follower())
	d.Run(5)
	before := d.Counts().Entries
	for n := range 100 {
		d.Put("k", strconv.Itoa(n))
	}
	if sent := d.Counts().Entries - before; sent > 130 {
		t.Errorf("%d entries were sent for 100 puts that one store can take", sent)
	}
}

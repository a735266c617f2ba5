package store_test

import (
	"fmt"
	"testing"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
	"tinykv/kv/store"
	"tinykv/raft"
)

// Many regions share a turn: one write to the log, one sync.
func TestManyRegionsShareOneSync(t *testing.T) {
	w := &world{t: t, config: func(*store.Config) {}}
	n := w.addNode(1)
	const regions = 10
	for i := range uint64(regions) {
		r := region.Region{ID: i + 1, Epoch: region.Epoch{ConfVer: 1, Version: 1},
			Peers: []region.Peer{{ID: 100 + i, StoreID: 1}}}
		r.Range.Start = fmt.Appendf(nil, "%02d", i)
		r.Range.End = fmt.Appendf(nil, "%02d", i+1)
		w.must(store.Bootstrap(n.log, n.data, r, 1))
	}
	n.open()
	w.tick(30)
	before := n.s.Stats()
	var ids []uint64
	for i := range uint64(regions) {
		ids = append(ids, n.ask(func(id uint64) store.Event {
			return store.Write{ID: id, RequestContext: store.RequestContext{RegionID: i + 1}, Batch: put(fmt.Sprintf("%02dk", i), "v")}
		}))
	}
	w.run()
	for _, id := range ids {
		w.must(n.answered(id))
	}
	after := n.s.Stats()
	if syncs, data := after.LogSyncs-before.LogSyncs, after.DataWrites-before.DataWrites; syncs != 1 || data != 1 {
		t.Errorf("%d syncs of the log and %d writes to the data for %d regions", syncs, data, regions)
	}
}

// removeBehindItsBack removes a store's peer while it hears nothing.
func (w *world) removeBehindItsBack(leader, gone *node) {
	w.t.Helper()
	w.cutOff(gone.id)
	w.must(leader.change(raft.ConfChangeRemoveNode, peerOn(gone.id)))
	w.tick(2)
	w.cut = nil
}

func TestALaterPeerTakesThePlaceOfOneThatMissedItsRemoval(t *testing.T) {
	w := newWorld(t, 3)
	leader := w.elect()
	leader.putMany(0, 5)
	back := w.other(leader)
	w.removeBehindItsBack(leader, back)
	w.must(leader.put("k", "v"))
	w.must(leader.change(raft.ConfChangeAddNode, region.Peer{ID: 99, StoreID: back.id}))
	w.tick(10)
	if v := back.views[regionID]; v.Peer.ID != 99 || v.Region.Epoch.ConfVer != 3 {
		t.Errorf("view %+v", v)
	}
	back.wantMany(5)
	if got := back.get("k"); got != "v" {
		t.Errorf("it has %q", got)
	}
	back.crash()
	back.restart()
	w.tick(5)
	back.wantMany(5)
}

func TestARemovedPeerDoesNotComeBack(t *testing.T) {
	w := newWorld(t, 3)
	leader := w.elect()
	gone := w.other(leader)
	w.must(leader.change(raft.ConfChangeRemoveNode, peerOn(gone.id)))
	w.tick(60)
	if !gone.views[regionID].Gone {
		t.Fatal("it was not removed")
	}
	for _, restart := range []bool{false, true} {
		if restart {
			gone.crash()
			gone.restart()
		}
		gone.inbox = append(gone.inbox, store.Receive{Message: replica.Message{RegionID: regionID, From: peerOn(leader.id),
			To: peerOn(gone.id), Epoch: region.Epoch{ConfVer: 1, Version: 1},
			Raft: raft.Message{Type: raft.MsgHeartbeat, From: 10 + leader.id, To: 10 + gone.id, Term: 6}}})
		w.run()
		if s := gone.s.Stats(); s.Peers != 0 || s.Refused[replica.StalePeer] != 1 {
			t.Errorf("restarted: %v, %d peers, refused %v", restart, s.Peers, s.Refused)
		}
	}
}

// The log of a peer that was removed goes last: a crash in between, at any place, leaves nothing half removed. One that
// loses the removal itself, which need not be durable, leaves a peer that has all it had.
func TestACrashWhileAPeerIsBuried(t *testing.T) {
	forgot, buried := 0, 0
	for at := range 6 {
		w := newWorld(t, 3)
		leader := w.elect()
		leader.putMany(0, 5)
		gone := w.other(leader)
		w.must(leader.change(raft.ConfChangeRemoveNode, peerOn(gone.id)))
		w.tick(2)
		count := 0
		gone.see = func(n *node, e store.Effect) {
			switch e.(type) {
			case store.WriteData, store.SyncData, store.WriteLog:
				if count == at {
					n.crash()
				}
				count++
			}
		}
		w.tick(60)
		gone.see = nil
		if gone.s == nil {
			gone.restart()
		}
		w.tick(60)
		ids, err := gone.log.Regions()
		w.must(err)
		if gone.s.Stats().Peers == 1 {
			forgot++
			gone.wantMany(5)
			continue
		}
		buried++
		if len(ids) > 0 || gone.contents() != "" {
			t.Errorf("crash at write %d: logs %v, data %q", at, ids, gone.contents())
		}
	}
	if forgot == 0 || buried < 3 {
		t.Errorf("%d crashes lost the removal, %d did not", forgot, buried)
	}
}

// What a crash may leave of a peer that installed its first snapshot and was removed before its log was synced again: the
// data knows that it was removed, and the log that it has a snapshot to install, whose spool is gone.
func TestASnapshotOfARemovedPeerIsNotInstalledAgain(t *testing.T) {
	for _, later := range []uint64{0, 1} {
		w := newWorld(t, 3)
		n := w.addNode(4)
		reg := everything(1, 2, 3, 4)
		removed := peerOn(4)
		reg.Peers[3].ID += later
		head := snapshot.Head{ClusterID: clusterID, RegionID: regionID, From: peerOn(1), To: reg.Peers[3], Region: reg,
			Position: raftlog.Position{Index: 9, Term: 6}, Term: 6}
		encoded, err := snapshot.EncodeHead(head)
		w.must(err)
		var b raftlog.Batch
		b.Create(regionID, raftlog.Position{}, raft.HardState{})
		b.Install(regionID, head.Position, raftlog.Install{Spool: "gone", Head: encoded})
		w.must(n.log.Write(&b, engine.Synced))
		var record engine.Batch
		replica.PutRecord(&record, &replica.Record{Peer: removed, Region: reg, Tombstone: true})
		w.must(n.data.Write(&record, engine.Synced))
		n.holdInstalls = true
		n.open()
		n.step()
		n.step()
		n.step()
		_, there, err := n.log.State(regionID)
		w.must(err)
		if peers := n.s.Stats().Peers; peers != int(later) || len(n.held) != int(later) || there != (later == 1) {
			t.Errorf("for peer %d: %d peers, %d installs, log %v", reg.Peers[3].ID, peers, len(n.held), there)
		}
	}
}

func TestALogIsRemovedOnlyAfterASyncThatCoversTheEndOfItsData(t *testing.T) {
	w := newWorld(t, 3, smallLogs)
	leader := w.elect()
	gone := w.other(leader)
	gone.holdSyncs = true
	leader.putMany(0, 40)
	w.tick(3)
	w.must(leader.change(raft.ConfChangeRemoveNode, peerOn(gone.id)))
	w.tick(60)
	for syncs := 1; syncs <= 2; syncs++ {
		ids, err := gone.log.Regions()
		w.must(err)
		if len(gone.held) != 1 || len(ids) != 1 {
			t.Fatalf("before sync %d ended: %d are under way, logs %v", syncs, len(gone.held), ids)
		}
		gone.release()
		gone.holdSyncs = true
		w.run()
	}
	if ids, err := gone.log.Regions(); err != nil || len(ids) > 0 {
		t.Errorf("logs %v, %v", ids, err)
	}
}

func TestALeaderThatRemovesItselfAfterATransferLeavesALeaderBehind(t *testing.T) {
	w := newWorld(t, 2)
	old := w.elect()
	next := w.other(old)
	id := old.ask(func(id uint64) store.Event {
		return store.TransferLeader{ID: id, RequestContext: old.context(), To: 10 + next.id}
	})
	w.tick(2)
	w.must(old.answered(id))
	w.must(next.change(raft.ConfChangeRemoveNode, peerOn(old.id)))
	w.tick(60)
	w.must(next.put("k", "v"))
	if !old.views[regionID].Gone {
		t.Error("the old leader is still there")
	}
}

func TestALearnerGetsTheDataAndHasNoVote(t *testing.T) {
	w := newWorld(t, 3)
	leader := w.elect()
	fourth := w.addNode(4)
	fourth.open()
	leader.putMany(0, 5)
	w.must(leader.change(raft.ConfChangeAddLearner, peerOn(4)))
	w.tick(5)
	fourth.wantMany(5)
	w.must(leader.change(raft.ConfChangeAddNode, peerOn(4))) // promoted
	if v := leader.views[regionID]; len(v.Region.Peers) != 4 || v.Region.Epoch.ConfVer != 3 {
		t.Errorf("region %v", v.Region)
	}
}

func TestAChangeOfPeersThatWasOvertakenIsRefused(t *testing.T) {
	w := newWorld(t, 3)
	leader := w.elect()
	old := leader.context()
	old.Epoch = leader.views[regionID].Region.Epoch
	w.must(leader.change(raft.ConfChangeAddLearner, peerOn(4)))
	id := leader.ask(func(id uint64) store.Event {
		return store.ChangePeer{ID: id, RequestContext: old, Type: raft.ConfChangeAddNode, Peer: peerOn(5)}
	})
	w.run()
	if _, ok := leader.answered(id).(*region.EpochNotMatchError); !ok {
		t.Errorf("got %v", leader.answered(id))
	}
}

// A process that stood still gets as many ticks as every timeout needs, and no more.
func TestAStoreThatStoodStillDoesNotCountAllTheTicks(t *testing.T) {
	w := newWorld(t, 1)
	n := w.elect()
	effects := n.s.Turn(time.Hour)
	for _, e := range effects {
		n.carryOut(e)
	}
	if effects != nil {
		n.s.Done(time.Hour)
	}
	if got := n.s.NextTick(); got <= time.Hour || got > time.Hour+tick {
		t.Errorf("the next tick is due at %v", got)
	}
}

// Readers may trust a lease no longer than voters keep their promise, however late the ticks are given.
func TestALateTickMakesNoLeaseLonger(t *testing.T) {
	w := newWorld(t, 1, func(c *store.Config) { c.Raft.ReadMode = raft.ReadLease })
	n := w.elect()
	late := w.now - n.start + 3*tick + tick/2
	for effects := n.s.Turn(late); effects != nil; effects = n.s.Turn(late) {
		for _, e := range effects {
			n.carryOut(e)
		}
		n.s.Done(late)
	}
	if got, want := n.views[regionID].LeaseUntil, late-tick/2+8*tick; got != want {
		t.Errorf("lease until %v, want %v", got, want)
	}
}

func TestEqualSeedsGiveEqualEffects(t *testing.T) {
	play := func() string {
		w := newWorld(t, 3, smallLogs)
		story := ""
		for _, n := range w.nodes {
			n.see = func(n *node, e store.Effect) {
				story += fmt.Sprintf("%d %T %v\n", n.id, e, describe(e))
			}
		}
		leader := w.elect()
		leader.putMany(0, 30)
		w.tick(30)
		return story
	}
	if a, b := play(), play(); a != b || len(a) < 1000 {
		t.Errorf("two runs differ, or say nothing:\n%s\n%s", a, b)
	}
}

func describe(e store.Effect) string {
	switch e := e.(type) {
	case store.Send:
		return fmt.Sprint(e.Messages)
	case store.WriteData:
		s := ""
		for op := range e.Batch.Ops() {
			s += fmt.Sprint(op)
		}
		return s
	case store.Publish:
		return fmt.Sprint(e.Views)
	case store.Answer:
		return fmt.Sprint(e.Answers)
	case store.WriteLog:
		return fmt.Sprint(e.Batch.Len(), e.Durability == engine.Synced)
	}
	return ""
}

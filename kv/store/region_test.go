package store_test

import (
	"errors"
	"fmt"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
	"tinykv/kv/store"
	"tinykv/raft"
)

// smallLogs has the log compacted after ten entries.
func smallLogs(c *store.Config) {
	c.Limits.CompactEntries, c.Limits.MaxLagEntries = 10, 20
}

func (n *node) state() (first, last uint64) {
	n.w.t.Helper()
	s, _, err := n.log.State(regionID)
	n.w.must(err)
	return s.Truncated.Index + 1, s.Last.Index
}

func (n *node) putMany(from, to int) {
	n.w.t.Helper()
	for i := from; i < to; i++ {
		n.w.must(n.put(fmt.Sprintf("k%03d", i), fmt.Sprint("v", i)))
	}
}

func (n *node) wantMany(to int) {
	n.w.t.Helper()
	for i := range to {
		if got := n.get(fmt.Sprintf("k%03d", i)); got != fmt.Sprint("v", i) {
			n.w.t.Errorf("store %d has %q for key %d", n.id, got, i)
		}
	}
}

func TestTheLogIsCompactedOnAllStores(t *testing.T) {
	w := newWorld(t, 3, smallLogs)
	leader := w.elect()
	leader.putMany(0, 50)
	w.tick(3)
	for _, n := range w.nodes {
		if first, last := n.state(); last-first > 25 {
			t.Errorf("store %d keeps %d to %d", n.id, first, last)
		}
	}
	for _, n := range w.nodes {
		n.crash()
	}
	for _, n := range w.nodes {
		n.restart()
	}
	w.elect()
	w.tick(1)
	for _, n := range w.nodes {
		n.wantMany(50)
	}
}

func TestTheLogIsCutOnlyBelowWhatIsDurable(t *testing.T) {
	w := newWorld(t, 3, smallLogs)
	leader := w.elect()
	leader.holdSyncs = true
	before, _ := leader.state()
	leader.putMany(0, 50)
	w.tick(3)
	if first, _ := leader.state(); first != before {
		t.Errorf("the log begins at %d, though nothing of the data is known to be durable", first)
	}
	if len(leader.held) != 1 {
		t.Fatalf("%d syncs are under way, want 1", len(leader.held))
	}
	leader.release()
	w.run()
	if first, _ := leader.state(); first == before {
		t.Error("the log is not cut")
	}
}

func TestAFollowerThatLagsALittleHoldsUpCompaction(t *testing.T) {
	w := newWorld(t, 3, smallLogs)
	leader := w.elect()
	behind := w.other(leader)
	w.cutOff(behind.id)
	_, at := behind.state()
	leader.putMany(0, 15)
	w.tick(3)
	if first, _ := leader.state(); first > at+1 {
		t.Errorf("the log begins at %d, a follower is at %d", first, at)
	}
	leader.putMany(15, 60)
	w.tick(3)
	if first, _ := leader.state(); first <= at+1 {
		t.Errorf("the log begins at %d still, a follower that lags far behind is at %d", first, at)
	}
}

// other is a store that does not lead.
func (w *world) other(leader *node) *node {
	for _, n := range w.nodes {
		if n != leader && n.s != nil {
			return n
		}
	}
	return nil
}

// behind makes a follower lag so far that it needs a snapshot.
func (w *world) behind() (leader, behind *node) {
	w.t.Helper()
	leader = w.elect()
	behind = w.other(leader)
	w.cutOff(behind.id)
	leader.putMany(0, 60)
	w.tick(3)
	if first, _ := leader.state(); first < 40 {
		w.t.Fatalf("the log begins at %d", first)
	}
	return leader, behind
}

func TestAFollowerThatLagsTooFarGetsASnapshot(t *testing.T) {
	w := newWorld(t, 3, smallLogs)
	leader, behind := w.behind()
	w.cut = nil
	w.tick(5)
	behind.wantMany(60)
	if got := behind.s.Stats().SnapshotsTaken; got != 1 {
		t.Errorf("installed %d snapshots", got)
	}
	if len(behind.spools) > 0 {
		t.Errorf("spools are left: %v", behind.spools)
	}
	w.must(leader.put("k", "after"))
	w.tick(1)
	if got := behind.get("k"); got != "after" {
		t.Errorf("after the snapshot it has %q", got)
	}
	behind.crash()
	behind.restart()
	w.tick(3)
	behind.wantMany(60)
}

// A turn that fails before its stream is begun: what was to be sent is not kept open for ever.
func TestAStreamThatIsNotBegunIsClosed(t *testing.T) {
	w := newWorld(t, 3, smallLogs)
	leader, behind := w.behind()
	w.cut = nil
	leader.mayFail = true
	var stream store.Stream
	for range 20 {
		w.now += tick
		behind.step()
		events := leader.inbox
		leader.inbox = nil
		for _, e := range events {
			leader.s.Handle(w.now, e)
		}
		effects := leader.s.Turn(w.now)
		for _, e := range effects {
			if s, ok := e.(store.Stream); ok {
				stream = s
			}
		}
		if stream.Source != nil {
			leader.s.Fail(errors.New("disk"))
			break
		}
		for _, e := range effects {
			leader.carryOut(e)
		}
		if len(effects) > 0 {
			leader.s.Done(w.now)
		}
	}
	if stream.Source == nil {
		t.Fatal("no snapshot was to be sent")
	}
	leader.step()
	if _, err := stream.Source.Get(engine.Default, []byte("k000")); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("the state of the engine is still open: %v", err)
	}
}

func TestASnapshotThatIsLostIsSentAgain(t *testing.T) {
	w := newWorld(t, 3, smallLogs)
	_, behind := w.behind()
	lost := 0
	w.cut = func(m *replica.Message) bool {
		if m.Raft.Type == raft.MsgSnap && lost < 3 {
			lost++
			return true
		}
		return false
	}
	w.tick(10)
	if lost != 3 {
		t.Errorf("%d snapshots were lost", lost)
	}
	behind.wantMany(60)
}

// Whether its write is in the snapshot, who waits will never know.
func TestAWriteUnderASnapshotIsUndetermined(t *testing.T) {
	w := newWorld(t, 3, smallLogs)
	old := w.elect()
	w.cutOff(old.id)
	id := old.write("k", "lost")
	w.run()
	next := w.electOther(old)
	next.putMany(0, 60)
	w.tick(3)
	w.cut = nil
	w.tick(5)
	if got := old.s.Stats().SnapshotsTaken; got != 1 {
		t.Fatalf("installed %d snapshots", got)
	}
	var undetermined *region.UndeterminedError
	if err := old.answered(id); !errors.As(err, &undetermined) {
		t.Errorf("got %v, want UndeterminedError", err)
	}
}

func TestAPeerThatInstallsAcknowledgesAndServesNothing(t *testing.T) {
	w := newWorld(t, 3, smallLogs)
	leader, behind := w.behind()
	behind.holdInstalls = true
	w.cut = nil
	w.tick(5)
	if v := behind.views[regionID]; !v.Installing || v.Installs != 1 {
		t.Fatalf("view %+v", v)
	}
	// With the third store away, only the one that installs can make up a majority.
	for _, n := range w.nodes {
		if n != leader && n != behind {
			w.cutOff(n.id)
		}
	}
	w.must(leader.put("during", "v"))
	w.tick(2)
	if got := behind.get("during"); got == "v" {
		t.Error("it applies what comes after a snapshot that is not installed")
	}
	behind.release()
	w.tick(2)
	behind.wantMany(60)
	if got := behind.get("during"); got != "v" {
		t.Errorf("after the install it has %q", got)
	}
}

func TestACrashWhileInstallingInstallsAnew(t *testing.T) {
	w := newWorld(t, 3, smallLogs)
	_, behind := w.behind()
	behind.holdInstalls = true
	w.cut = nil
	w.tick(5)
	if len(behind.held) != 1 {
		t.Fatalf("%d installs are under way", len(behind.held))
	}
	// Half of it is done.
	var b engine.Batch
	b.DeleteRange(engine.Default, nil, nil)
	w.must(behind.data.Write(&b, engine.Synced))
	behind.held = nil
	behind.crash()
	behind.holdInstalls = false
	behind.restart()
	if got := behind.s.Spools(); len(got) != 1 {
		t.Fatalf("after the restart it needs the spools %v", got)
	}
	w.tick(3)
	behind.wantMany(60)
	if got := behind.s.Spools(); len(got) > 0 || len(behind.spools) > 0 {
		t.Errorf("spools %v are needed, %v are there", got, behind.spools)
	}
}

// The log's note that a snapshot is installed need not be durable: the data says so.
func TestACrashAfterInstalling(t *testing.T) {
	w := newWorld(t, 3, smallLogs)
	_, behind := w.behind()
	behind.see = func(n *node, e store.Effect) {
		if _, ok := e.(store.Discard); ok {
			n.crash()
		}
	}
	w.cut = nil
	w.tick(5)
	if behind.s != nil {
		t.Fatal("nothing was discarded")
	}
	behind.see = nil
	behind.restart()
	if got := behind.s.Spools(); len(got) > 0 {
		t.Errorf("it needs the spools %v", got)
	}
	w.tick(3)
	behind.wantMany(60)
}

func TestAnInstallThatFailsEndsTheStore(t *testing.T) {
	w := newWorld(t, 3, smallLogs)
	_, behind := w.behind()
	behind.holdInstalls = true
	w.cut = nil
	w.tick(5)
	broken := errors.New("spool is damaged")
	behind.mayFail = true
	in := behind.held[0].(store.Install)
	behind.inbox = append(behind.inbox, store.InstallEnded{RegionID: in.RegionID, Spool: in.Spool, Err: broken})
	w.run()
	if !behind.halted || !errors.Is(behind.haltErr, broken) {
		t.Errorf("halted: %v, %v", behind.halted, behind.haltErr)
	}
}

func TestSnapshotsOfStrangersAreDiscarded(t *testing.T) {
	w := newWorld(t, 3)
	leader := w.elect()
	n := w.other(leader)
	v := n.views[regionID]
	good := snapshot.Head{ClusterID: clusterID, RegionID: regionID, From: peerOn(leader.id), To: peerOn(n.id),
		Region: everything(1, 2, 3), Term: v.Term,
		ConfState: raft.ConfState{Voters: []uint64{11, 12, 13}}}
	good.Position.Index, good.Position.Term = v.Applied.Index+100, v.Term
	for _, c := range []struct {
		name   string
		change func(h *snapshot.Head)
		want   replica.Reason
	}{
		{"cluster", func(h *snapshot.Head) { h.ClusterID++ }, replica.OtherCluster},
		{"store", func(h *snapshot.Head) { h.To = peerOn(5) }, replica.OtherStore},
		{"older peer", func(h *snapshot.Head) { h.To.ID = 1 }, replica.StalePeer},
		{"older epoch", func(h *snapshot.Head) { h.Region.Epoch.ConfVer = 0 }, replica.StaleEpoch},
		{"another region inside", func(h *snapshot.Head) { h.Region.ID = 5 }, replica.BadSnapshot},
		{"no peer here", func(h *snapshot.Head) { h.Region.Peers = h.Region.Peers[:0] }, replica.BadSnapshot},
		{"unknown member", func(h *snapshot.Head) { h.ConfState.Voters = []uint64{11, 12, 13, 99} }, replica.BadSnapshot},
		{"no voters", func(h *snapshot.Head) { h.ConfState = raft.ConfState{} }, replica.BadMessage},
		{"absurd term", func(h *snapshot.Head) { h.Term += 1 << 40 }, replica.BadMessage},
		{"term after the message's", func(h *snapshot.Head) { h.Position.Term++ }, replica.BadMessage},
		{"overlap", func(h *snapshot.Head) { h.RegionID, h.Region.ID = 5, 5 }, replica.Overlap},
	} {
		head := good
		c.change(&head)
		before := n.s.Stats().Refused[c.want]
		n.spools["x"] = &spool{head: head}
		n.inbox = append(n.inbox, store.SnapshotReceived{Head: head, Spool: "x"})
		w.run()
		if got := n.s.Stats().Refused[c.want]; got != before+1 {
			t.Errorf("%s: not refused as %v: %v", c.name, c.want, n.s.Stats().Refused)
		}
		if n.spools["x"] != nil {
			t.Errorf("%s: the spool is kept", c.name)
		}
	}
	if got := n.views[regionID]; got.Installs > 0 || got.Term != v.Term {
		t.Errorf("view before %+v, after %+v", v, got)
	}
}

// A snapshot that raft does not want is discarded without a word.
func TestAnOldSnapshotIsDiscarded(t *testing.T) {
	w := newWorld(t, 3)
	leader := w.elect()
	n := w.other(leader)
	v := n.views[regionID]
	head := snapshot.Head{ClusterID: clusterID, RegionID: regionID, From: peerOn(leader.id), To: peerOn(n.id),
		Region: v.Region, Term: v.Term, ConfState: raft.ConfState{Voters: []uint64{11, 12, 13}}}
	head.Position.Index, head.Position.Term = 5, 5
	n.spools["x"] = &spool{head: head}
	n.inbox = append(n.inbox, store.SnapshotReceived{Head: head, Spool: "x"})
	w.run()
	if n.spools["x"] != nil || n.views[regionID].Installs > 0 {
		t.Errorf("spools %v, view %+v", n.spools, n.views[regionID])
	}
}

func (n *node) change(kind raft.ConfChangeType, peer region.Peer) error {
	n.w.t.Helper()
	id := n.ask(func(id uint64) store.Event {
		return store.ChangePeer{ID: id, RequestContext: n.context(), Type: kind, Peer: peer}
	})
	n.w.run()
	return n.answered(id)
}

func TestAPeerIsBornByMessageAndGetsASnapshot(t *testing.T) {
	w := newWorld(t, 3)
	fourth := w.addNode(4)
	fourth.open()
	leader := w.elect()
	leader.putMany(0, 10)
	w.must(leader.change(raft.ConfChangeAddNode, peerOn(4)))
	w.tick(5)
	fourth.wantMany(10)
	v := fourth.views[regionID]
	if want := (region.Epoch{ConfVer: 2, Version: 1}); v.Region.Epoch != want || len(v.Region.Peers) != 4 {
		t.Errorf("the new peer has region %v", v.Region)
	}
	fourth.crash()
	fourth.restart()
	w.tick(3)
	w.must(leader.put("k", "v"))
	w.tick(1)
	if got := fourth.get("k"); got != "v" {
		t.Errorf("after a restart it has %q", got)
	}
}

func TestAPeerThatKnowsNothingKeepsItsVoteOverACrash(t *testing.T) {
	w := newWorld(t, 3)
	fourth := w.addNode(4)
	fourth.open()
	ask := func(from uint64) {
		fourth.inbox = append(fourth.inbox, store.Receive{Message: replica.Message{RegionID: regionID, From: peerOn(from),
			To: peerOn(4), Raft: raft.Message{Type: raft.MsgVote, From: 10 + from, To: 14, Term: 9, Index: 9, LogTerm: 8}}})
	}
	votes := map[uint64]int{}
	w.cut = func(m *replica.Message) bool {
		if m.From.StoreID == 4 && m.Raft.Type == raft.MsgVoteResp && !m.Raft.Reject {
			votes[m.To.StoreID]++
		}
		return true
	}
	ask(1)
	w.run()
	fourth.crash()
	fourth.restart()
	ask(2)
	w.run()
	if votes[1] != 1 || votes[2] != 0 {
		t.Errorf("votes in one term: %v", votes)
	}
}

func TestAPeerIsRemovedAndItsDataWithIt(t *testing.T) {
	w := newWorld(t, 3)
	leader := w.elect()
	leader.putMany(0, 5)
	gone := w.other(leader)
	const neighbour = regionID + 1
	var b engine.Batch // its records lie between the bounds of this region, as keys of all families do
	replica.PutApplied(&b, neighbour, raftlog.Position{Index: 9, Term: 6})
	replica.PutRecord(&b, &replica.Record{Peer: peerOn(gone.id), Region: region.Region{ID: neighbour}})
	w.must(gone.data.Write(&b, engine.Buffered))
	w.must(leader.change(raft.ConfChangeRemoveNode, peerOn(gone.id)))
	w.tick(60)
	if !gone.views[regionID].Gone {
		t.Fatal("it did not learn of its removal")
	}
	if got := gone.get("k000"); got == "v0" {
		t.Error("its data is there")
	}
	data, err := gone.data.Snapshot()
	w.must(err)
	defer data.Close()
	at, ok, err := replica.ReadApplied(data, neighbour)
	_, found, err2 := replica.ReadRecord(data, neighbour)
	if !ok || !found || at.Index != 9 || err != nil || err2 != nil {
		t.Errorf("another region's records: applied up to %v %v %v, record %v %v", at, ok, err, found, err2)
	}
	if ids, err := gone.log.Regions(); err != nil || len(ids) > 0 {
		t.Errorf("its log is there: %v %v", ids, err)
	}
}

func TestImpossibleChangesAreRefused(t *testing.T) {
	w := newWorld(t, 3)
	leader := w.elect()
	other := w.other(leader)
	for name, c := range map[string]struct {
		kind raft.ConfChangeType
		peer region.Peer
	}{
		"remove the leader":      {raft.ConfChangeRemoveNode, peerOn(leader.id)},
		"remove a stranger":      {raft.ConfChangeRemoveNode, peerOn(9)},
		"second peer of a store": {raft.ConfChangeAddNode, region.Peer{ID: 99, StoreID: other.id}},
		"nobody":                 {raft.ConfChangeAddNode, region.Peer{}},
	} {
		if err := leader.change(c.kind, c.peer); !errors.Is(err, raft.ErrBadConfChange) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLeadershipIsHandedOver(t *testing.T) {
	w := newWorld(t, 3)
	leader := w.elect()
	to := w.other(leader)
	id := leader.ask(func(id uint64) store.Event {
		return store.TransferLeader{ID: id, RequestContext: leader.context(), To: 10 + to.id}
	})
	w.run()
	w.must(leader.answered(id))
	if got := w.leader(); got != to {
		t.Errorf("store %d leads", got.id)
	}
}

func TestAStoreRefusesDisksThatDoNotBelongTogether(t *testing.T) {
	for name, lose := range map[string]func(n *node){
		"log":  func(n *node) { n.logDisk = newDisk(n.id, 8) },
		"data": func(n *node) { n.dataDisk = newDisk(n.id, 9) },
	} {
		w := newWorld(t, 1, smallLogs)
		n := w.elect()
		n.putMany(0, 40)
		w.tick(2)
		n.crash()
		lose(n)
		n.mount()
		_, err := store.Open(store.Config{ClusterID: clusterID, StoreID: 1, Log: n.log, Data: n.data})
		if !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s lost: %v", name, err)
		}
	}
}

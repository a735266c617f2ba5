package store_test

import (
	"errors"
	"fmt"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/raft"
)

func TestAPutIsOnAllThreeStores(t *testing.T) {
	w := newWorld(t, 3)
	leader := w.elect()
	if err := leader.put("k", "v"); err != nil {
		t.Fatal(err)
	}
	w.tick(1) // followers learn of the commit from a heartbeat
	for _, n := range w.nodes {
		if got := n.get("k"); got != "v" {
			t.Errorf("store %d has %q", n.id, got)
		}
	}
}

func TestAStoreAloneServes(t *testing.T) {
	w := newWorld(t, 1)
	leader := w.elect()
	if err := leader.put("k", "v"); err != nil {
		t.Fatal(err)
	}
	id := leader.read()
	w.run()
	if err := leader.answered(id); err != nil {
		t.Fatal(err)
	}
}

func TestAcknowledgedWritesSurviveACrashOfAllStores(t *testing.T) {
	w := newWorld(t, 3)
	leader := w.elect()
	for i := range 20 {
		if err := leader.put(fmt.Sprint("k", i), fmt.Sprint("v", i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range w.nodes {
		n.crash()
	}
	for _, n := range w.nodes {
		n.restart()
	}
	w.elect()
	w.tick(2)
	for _, n := range w.nodes {
		for i := range 20 {
			if got := n.get(fmt.Sprint("k", i)); got != fmt.Sprint("v", i) {
				t.Errorf("store %d has %q for key %d", n.id, got, i)
			}
		}
	}
}

// A crash between any two effects of any turn: what was acknowledged is there, and the store goes on.
func TestACrashBetweenAnyTwoEffects(t *testing.T) {
	for at := 0; ; at++ {
		w := newWorld(t, 3)
		leader := w.elect()
		count := 0
		leader.see = func(n *node, e store.Effect) {
			if count == at {
				n.crash()
			}
			count++
		}
		ids := map[uint64]string{}
		for i := range 3 {
			value := fmt.Sprint("v", i)
			ids[leader.write("k", value)] = value
			w.run()
		}
		answered := ""
		for id := uint64(0); id <= w.nextID; id++ {
			if a, ok := leader.answers[id]; ok && a.Err == nil {
				answered = ids[id]
			}
		}
		if leader.s != nil {
			if at < 10 {
				t.Fatalf("only %d effects", at)
			}
			return
		}
		leader.see = nil
		leader.restart()
		next := w.elect()
		id := next.read()
		w.run()
		if err := next.answered(id); err != nil {
			t.Fatal(err)
		}
		if got := next.get("k"); answered != "" && got < answered {
			t.Errorf("crash before effect %d: %q was acknowledged, %q is read", at, answered, got)
		}
	}
}

func TestTheOrderOfEffects(t *testing.T) {
	w := newWorld(t, 1)
	leader := w.elect()
	leader.trace = nil
	if err := leader.put("k", "v"); err != nil {
		t.Fatal(err)
	}
	// Its own log is the quorum: written in one turn, applied in the next, which also notes the commit index.
	want := "[WriteLog WriteLog WriteData Answer Publish]"
	if got := fmt.Sprint(leader.trace); got != want {
		t.Errorf("effects %v, want %v", got, want)
	}
}

func TestRequestsWithAWrongPictureAreRefused(t *testing.T) {
	w := newWorld(t, 3)
	leader := w.elect()
	follower := w.nodes[0]
	if follower == leader {
		follower = w.nodes[1]
	}
	for name, c := range map[string]struct {
		at     *node
		change func(rc *store.RequestContext, batch *engine.Batch)
		want   error
	}{
		"cluster":    {leader, func(rc *store.RequestContext, _ *engine.Batch) { rc.ClusterID = 8 }, new(store.ClusterError)},
		"store":      {leader, func(rc *store.RequestContext, _ *engine.Batch) { rc.StoreID = 9 }, new(region.StoreNotMatchError)},
		"region":     {leader, func(rc *store.RequestContext, _ *engine.Batch) { rc.RegionID = 9 }, new(region.NotFoundError)},
		"peer":       {leader, func(rc *store.RequestContext, _ *engine.Batch) { rc.PeerID = 9 }, new(region.PeerNotMatchError)},
		"epoch":      {leader, func(rc *store.RequestContext, _ *engine.Batch) { rc.Epoch.Version = 9 }, new(region.EpochNotMatchError)},
		"leader":     {follower, func(*store.RequestContext, *engine.Batch) {}, new(region.NotLeaderError)},
		"own family": {leader, func(_ *store.RequestContext, b *engine.Batch) { b.Put(engine.Meta, []byte("a"), nil) }, engine.ErrUnknownCF},
		"empty key":  {leader, func(_ *store.RequestContext, b *engine.Batch) { b.Put(engine.Default, nil, nil) }, engine.ErrEmptyKey},
		"too large": {leader, func(_ *store.RequestContext, b *engine.Batch) {
			for range 3 {
				b.Put(engine.Default, []byte("k"), make([]byte, engine.MaxValueSize))
			}
		}, engine.ErrTooLarge},
	} {
		rc, batch := c.at.context(), put("k", "v")
		c.change(&rc, batch)
		id := c.at.ask(func(id uint64) store.Event { return store.Write{ID: id, RequestContext: rc, Batch: batch} })
		w.run()
		err := c.at.answered(id)
		if fmt.Sprintf("%T", err) != fmt.Sprintf("%T", c.want) && !errors.Is(err, c.want) {
			t.Errorf("wrong %s: got %v (%T), want %T", name, err, err, c.want)
		}
	}
}

func TestAnEmptyBatchIsOnlyChecked(t *testing.T) {
	w := newWorld(t, 1)
	leader := w.elect()
	last := leader.views[regionID].Last
	id := leader.ask(func(id uint64) store.Event {
		return store.Write{ID: id, RequestContext: leader.context(), Batch: new(engine.Batch)}
	})
	w.run()
	if err := leader.answered(id); err != nil || leader.views[regionID].Last != last {
		t.Errorf("error %v, log from %d to %d", err, last, leader.views[regionID].Last)
	}
}

func TestAWriteMayDemandItsTerm(t *testing.T) {
	w := newWorld(t, 3)
	leader := w.elect()
	read := leader.read()
	w.run()
	if err := leader.answered(read); err != nil {
		t.Fatal(err)
	}
	term := leader.answers[read].Term
	var stale *region.StaleCommandError
	for _, c := range []struct {
		term uint64
		ok   bool
	}{{term, true}, {term - 1, false}, {term + 1, false}} {
		id := leader.ask(func(id uint64) store.Event {
			return store.Write{ID: id, RequestContext: leader.context(), Term: c.term, Batch: put("k", "v")}
		})
		w.run()
		if err := leader.answered(id); c.ok && err != nil || !c.ok && !errors.As(err, &stale) {
			t.Errorf("a write for term %d in term %d: %v", c.term, term, err)
		}
	}
}

// cutOff loses everything to and from a store.
func (w *world) cutOff(id uint64) {
	w.cut = func(m *replica.Message) bool { return m.From.StoreID == id || m.To.StoreID == id }
}

// electOther lets the others elect a leader that is not n.
func (w *world) electOther(n *node) *node {
	w.t.Helper()
	for range 100 {
		w.tick(1)
		for _, other := range w.nodes {
			if v := other.views[regionID]; other != n && v.Leads() && v.Applied.Term == v.Term {
				return other
			}
		}
	}
	w.t.Fatal("nobody else was elected")
	return nil
}

func TestAnOverwrittenWriteIsStale(t *testing.T) {
	w := newWorld(t, 3)
	old := w.elect()
	w.cutOff(old.id)
	id := old.write("k", "lost")
	w.run()
	next := w.electOther(old)
	if err := next.put("k", "kept"); err != nil {
		t.Fatal(err)
	}
	if _, ok := old.answers[id]; ok {
		t.Errorf("answered %v before its fate was known", old.answers[id])
	}
	w.cut = nil
	w.tick(5)
	var stale *region.StaleCommandError
	if err := old.answered(id); !errors.As(err, &stale) {
		t.Errorf("got %v, want StaleCommandError", err)
	}
	if got := old.get("k"); got != "kept" {
		t.Errorf("the old leader has %q", got)
	}
}

// The entry of a leader that was lost sight of is committed by the next one: its caller is told so.
func TestAWriteOutlivesItsLeader(t *testing.T) {
	w := newWorld(t, 3)
	old := w.elect()
	w.cut = func(m *replica.Message) bool { return m.To.StoreID == old.id }
	id := old.write("k", "v")
	w.run()
	w.electOther(old)
	if a, ok := old.answers[id]; ok {
		t.Errorf("answered %v before its fate was known", a)
	}
	w.cut = nil
	w.tick(5)
	if err := old.answered(id); err != nil {
		t.Errorf("got %v, though it is committed", err)
	}
}

func TestACancelledWriteIsAnsweredWhenLeadershipIsLost(t *testing.T) {
	w := newWorld(t, 3)
	old := w.elect()
	w.cutOff(old.id)
	id := old.write("k", "v")
	w.run()
	old.inbox = append(old.inbox, store.Cancel{ID: id, RegionID: regionID})
	w.run()
	if a, ok := old.answers[id]; ok {
		t.Fatalf("answered %v, though the peer leads still", a)
	}
	w.electOther(old)
	w.tick(20) // it finds out that nobody hears it
	var undetermined *region.UndeterminedError
	if err := old.answered(id); !errors.As(err, &undetermined) {
		t.Errorf("got %v, want UndeterminedError", err)
	}
	w.cut = nil
	w.tick(5)
}

func TestACancelledWriteIsAnsweredByItsFate(t *testing.T) {
	w := newWorld(t, 3)
	leader := w.elect()
	w.cutOff(leader.id)
	id := leader.write("k", "v")
	leader.inbox = append(leader.inbox, store.Cancel{ID: id, RegionID: regionID})
	w.run()
	w.cut = nil
	w.tick(2)
	if err := leader.answered(id); err != nil {
		t.Errorf("got %v, though it was applied", err)
	}
}

func TestReadsWaitForAQuorum(t *testing.T) {
	w := newWorld(t, 3)
	leader := w.elect()
	w.cutOff(leader.id)
	first := leader.read()
	w.run()
	if a, ok := leader.answers[first]; ok {
		t.Fatalf("a leader that is cut off answered a read: %v", a)
	}
	w.cut = nil
	w.tick(2)
	if err := leader.answered(first); err != nil {
		t.Error(err)
	}
}

func TestReadsOfALeaderThatWasDeposedAreRefused(t *testing.T) {
	w := newWorld(t, 3)
	old := w.elect()
	w.cutOff(old.id)
	id := old.read()
	cancelled := old.read()
	w.run()
	old.inbox = append(old.inbox, store.Cancel{ID: cancelled, RegionID: regionID})
	w.run()
	if err := old.answered(cancelled); !errors.Is(err, store.ErrCancelled) {
		t.Errorf("cancelled read: %v", err)
	}
	next := w.electOther(old)
	w.cut = nil
	w.tick(5)
	var notLeader *region.NotLeaderError
	if err := old.answered(id); !errors.As(err, &notLeader) {
		t.Errorf("got %v, want NotLeaderError", err)
	}
	_ = next
}

func TestAFailedDiskAcknowledgesNothing(t *testing.T) {
	w := newWorld(t, 3)
	leader := w.elect()
	broken := errors.New("disk full")
	leader.mayFail = true
	leader.fail = func(e store.Effect) error {
		if _, ok := e.(store.WriteLog); ok {
			return broken
		}
		return nil
	}
	write, read := leader.write("k", "v"), leader.read()
	w.run()
	var undetermined *region.UndeterminedError
	if err := leader.answered(write); !errors.As(err, &undetermined) {
		t.Errorf("write: got %v, want UndeterminedError", err)
	}
	var busy *region.BusyError
	if err := leader.answered(read); !errors.As(err, &busy) {
		t.Errorf("read: got %v, want BusyError", err)
	}
	if !leader.halted || !errors.Is(leader.haltErr, broken) {
		t.Errorf("halted: %v, %v", leader.halted, leader.haltErr)
	}
	late := leader.read()
	leader.trace = nil
	w.tick(3)
	if err := leader.answered(late); !errors.As(err, &busy) {
		t.Errorf("a read that came too late: got %v, want BusyError", err)
	}
	if got := fmt.Sprint(leader.trace); got != "[Answer]" {
		t.Errorf("after the end there is %v", got)
	}
	w.electOther(leader)
}

// What a store that fails says last of its peers is not more than it has done.
func TestAStoreThatFailsPublishesNothingItDidNotDo(t *testing.T) {
	w := newWorld(t, 3, func(c *store.Config) { c.Raft.ReadMode = raft.ReadLease })
	leader := w.elect()
	w.tick(2)
	applied := leader.views[regionID].Applied
	leader.mayFail = true
	leader.fail = func(e store.Effect) error {
		if _, ok := e.(store.WriteData); ok {
			return errors.New("disk full")
		}
		return nil
	}
	id := leader.write("k", "v")
	w.run()
	var undetermined *region.UndeterminedError
	if err := leader.answered(id); !errors.As(err, &undetermined) {
		t.Errorf("got %v, want UndeterminedError", err)
	}
	if v := leader.views[regionID]; !leader.halted || v.Applied != applied || v.LeaseUntil != 0 {
		t.Errorf("halted: %v, applied %v, it publishes %v and a lease until %v", leader.halted, applied, v.Applied, v.LeaseUntil)
	}
}

func TestStopAnswersEverybody(t *testing.T) {
	w := newWorld(t, 3)
	leader := w.elect()
	w.cutOff(leader.id)
	write, read := leader.write("k", "v"), leader.read()
	w.run()
	leader.inbox = append(leader.inbox, store.Stop{})
	w.run()
	var undetermined *region.UndeterminedError
	if err := leader.answered(write); !errors.As(err, &undetermined) {
		t.Errorf("write: got %v, want UndeterminedError", err)
	}
	var busy *region.BusyError
	if err := leader.answered(read); !errors.As(err, &busy) {
		t.Errorf("read: got %v, want BusyError", err)
	}
	if !leader.halted || leader.haltErr != nil {
		t.Errorf("halted: %v, %v", leader.halted, leader.haltErr)
	}
}

func TestTurnTwiceIsABug(t *testing.T) {
	w := newWorld(t, 1)
	n := w.nodes[0]
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	if n.s.Turn(0) == nil {
		t.Fatal("the first turn publishes nothing")
	}
	n.s.Turn(0)
}

func TestAUnknownRegionIsNobodys(t *testing.T) {
	w := newWorld(t, 1)
	n := w.elect()
	n.inbox = append(n.inbox, store.Receive{Message: replica.Message{RegionID: 9, From: peerOn(2), To: peerOn(1),
		Raft: raft.Message{Type: raft.MsgAppResp, From: 12, To: 11, Term: 9}}})
	w.run()
	if got := n.s.Stats().Refused[replica.UnknownRegion]; got != 1 {
		t.Errorf("counted %d refusals", got)
	}
}

// receive lets a store hear a message, and returns what it has refused since, by reason.
func (n *node) receive(m replica.Message) map[replica.Reason]uint64 {
	before := n.s.Stats().Refused
	n.inbox = append(n.inbox, store.Receive{Message: m})
	n.w.run()
	refused := map[replica.Reason]uint64{}
	for reason, count := range n.s.Stats().Refused {
		if count > before[reason] {
			refused[replica.Reason(reason)] = count - before[reason]
		}
	}
	return refused
}

// A message may tell a peer that it is history, and so cost it its data: one that can't be true must not.
func TestAPeerIsNotOutlivedByWhatCantBeTrue(t *testing.T) {
	w := newWorld(t, 3)
	leader := w.elect()
	leader.putMany(0, 5)
	w.tick(1)
	n := w.other(leader)
	later := region.Peer{ID: 1000, StoreID: n.id}
	next := region.Epoch{ConfVer: 3, Version: 1}
	for name, c := range map[string]struct {
		kind  raft.MessageType
		epoch region.Epoch
		want  replica.Reason
	}{
		"an answer":             {raft.MsgAppResp, next, replica.StalePeer},
		"an answer of a voter":  {raft.MsgVoteResp, next, replica.StalePeer},
		"an answer to a reader": {raft.MsgReadIndexResp, next, replica.StalePeer},
		"a conf version of the absurd future": {raft.MsgHeartbeat, region.Epoch{ConfVer: 1 << 60, Version: 1},
			replica.BadMessage},
		"a version of the absurd future": {raft.MsgHeartbeat, region.Epoch{ConfVer: 3, Version: 1 << 60}, replica.BadMessage},
	} {
		got := n.receive(replica.Message{RegionID: regionID, From: peerOn(leader.id), To: later, Epoch: c.epoch,
			Raft: raft.Message{Type: c.kind, From: 10 + leader.id, To: later.ID, Term: 9}})
		if len(got) != 1 || got[c.want] != 1 {
			t.Errorf("%s: refused %v, want %v", name, got, c.want)
		}
	}
	n.wantMany(5)
	w.must(leader.put("k", "v"))
	w.tick(1)
	if got := n.get("k"); got != "v" {
		t.Errorf("afterwards it has %q", got)
	}
}

func TestPeersWithoutDataAreBounded(t *testing.T) {
	w := newWorld(t, 1, func(c *store.Config) { c.Limits.MaxNewborns = 3 })
	n := w.elect()
	for i := range uint64(10) {
		got := n.receive(replica.Message{RegionID: 50 + i, From: peerOn(2), To: region.Peer{ID: 100 + i, StoreID: 1},
			Raft: raft.Message{Type: raft.MsgHeartbeat, From: 12, To: 100 + i, Term: 9}})
		if want := i >= 3; (got[replica.TooMany] == 1) != want {
			t.Errorf("region %d: refused %v", 50+i, got)
		}
	}
	if got := n.s.Stats().Peers; got != 4 {
		t.Errorf("%d peers", got)
	}
	w.must(n.put("k", "v"))
}

package store_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/raft"
)

// Two regions share each store: what is done for one must not be forgotten for the other, nor done to it.

// regionKeys begins the keys of each region.
var regionKeys = map[uint64]string{1: "a", 2: "m"}

// twoRegions starts three stores with a peer of each region, and makes one of them lead both.
func twoRegions(t *testing.T, config ...func(c *store.Config)) (w *world, leader *node) {
	w = &world{t: t, config: func(c *store.Config) {
		for _, f := range config {
			f(c)
		}
	}}
	for id := uint64(1); id <= 3; id++ {
		w.addNode(id)
	}
	for _, n := range w.nodes {
		for id := uint64(1); id <= 2; id++ {
			r := region.Region{ID: id, Epoch: region.Epoch{ConfVer: 1, Version: 1}}
			if id == 1 {
				r.Range.End = []byte("m")
			} else {
				r.Range.Start = []byte("m")
			}
			for _, n := range w.nodes {
				r.Peers = append(r.Peers, region.Peer{ID: 10*id + n.id, StoreID: n.id})
			}
			w.must(store.Bootstrap(n.log, n.data, r, n.id))
		}
		n.open()
	}
	leader = w.elect()
	for range 100 {
		for _, n := range w.nodes {
			if v := n.views[2]; v.Leads() && n != leader {
				n.ask(func(id uint64) store.Event {
					return store.TransferLeader{ID: id, RequestContext: store.RequestContext{RegionID: 2}, To: 20 + leader.id}
				})
			}
		}
		w.tick(1)
		if v := leader.views[2]; v.Leads() && v.Applied.Term == v.Term {
			return w, leader
		}
	}
	t.Fatal("nobody leads both regions")
	return nil, nil
}

func (n *node) writeTo(regionID uint64, key string) uint64 {
	return n.ask(func(id uint64) store.Event {
		return store.Write{ID: id, RequestContext: store.RequestContext{RegionID: regionID},
			Batch: put(regionKeys[regionID]+key, "v")}
	})
}

func (n *node) stateOf(regionID uint64) raftlog.State {
	s, _, err := n.log.State(regionID)
	n.w.must(err)
	return s
}

// A write to the log that is not synced promises nothing, of no region.
func TestASyncThatOneRegionNeedsIsNotGivenUpByAnother(t *testing.T) {
	w, leader := twoRegions(t)
	var before [3]raftlog.State
	unsynced := map[*node]bool{}
	buffered := 0
	for _, n := range w.nodes {
		n.see = func(n *node, e store.Effect) {
			for id := uint64(1); id <= 2; id++ {
				if s := n.stateOf(id); unsynced[n] && (s.Last != before[id].Last || s.Hard.Term != before[id].Hard.Term) {
					t.Fatalf("store %d: %+v became %+v without a sync", n.id, before[id], s)
				}
				before[id] = n.stateOf(id)
			}
			l, ok := e.(store.WriteLog)
			unsynced[n] = ok && l.Durability == engine.Buffered
			if unsynced[n] {
				buffered++
			}
		}
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		for id := uint64(1); id <= 2; id++ {
			if rnd.IntN(2) == 0 {
				leader.writeTo(id, "k")
			}
		}
		for _, n := range w.nodes {
			unsynced[n] = false
			n.step()
		}
	}
	if buffered < 20 {
		t.Errorf("only %d writes were not synced", buffered)
	}
}

func TestAStoreThatStopsAnswersTheCallersOfAllRegions(t *testing.T) {
	w, leader := twoRegions(t)
	w.cutOff(leader.id)
	var ids []uint64
	for id := uint64(1); id <= 2; id++ {
		ids = append(ids, leader.writeTo(id, "k"), leader.ask(func(request uint64) store.Event {
			return store.Read{ID: request, RequestContext: store.RequestContext{RegionID: id}}
		}))
	}
	w.run()
	leader.inbox = append(leader.inbox, store.Stop{})
	w.run()
	for _, id := range ids {
		if leader.answered(id) == nil {
			t.Errorf("request %d was answered well by a leader that is cut off", id)
		}
	}
}

func TestACancelIsForItsRegion(t *testing.T) {
	for id := uint64(1); id <= 2; id++ {
		w, leader := twoRegions(t)
		w.cutOff(leader.id)
		read := leader.ask(func(request uint64) store.Event {
			return store.Read{ID: request, RequestContext: store.RequestContext{RegionID: id}}
		})
		w.run()
		leader.inbox = append(leader.inbox, store.Cancel{ID: read, RegionID: id})
		w.run()
		if err := leader.answered(read); err != store.ErrCancelled {
			t.Errorf("region %d: %v", id, err)
		}
	}
}

func TestOneSyncOfTheDataIsForAllRegions(t *testing.T) {
	w, leader := twoRegions(t, smallLogs)
	for _, n := range w.nodes {
		n.holdSyncs = true
	}
	for i := range 40 {
		leader.writeTo(1, fmt.Sprint(i))
		leader.writeTo(2, fmt.Sprint(i))
		w.tick(1)
	}
	for _, n := range w.nodes {
		n.release()
	}
	w.tick(3)
	for _, n := range w.nodes {
		for id := uint64(1); id <= 2; id++ {
			if s := n.stateOf(id); s.Last.Index-s.Truncated.Index > 25 {
				t.Errorf("store %d keeps the entries of region %d after %d up to %d", n.id, id, s.Truncated.Index, s.Last.Index)
			}
		}
	}
}

func TestAStoreIsUnreachableForAllRegions(t *testing.T) {
	w, leader := twoRegions(t)
	away := w.other(leader)
	var sent [3]int
	w.cut = func(m *replica.Message) bool {
		if m.To.StoreID == away.id && len(m.Raft.Entries) > 0 {
			sent[m.RegionID]++
		}
		return m.To.StoreID == away.id || m.From.StoreID == away.id
	}
	leader.inbox = append(leader.inbox, store.Unreachable{StoreID: away.id})
	w.run()
	for range 20 {
		leader.writeTo(1, "k")
		leader.writeTo(2, "k")
		w.run()
	}
	if sent[1] > 1 || sent[2] > 1 {
		t.Errorf("%v appends were sent to a store that is not reached, by region", sent)
	}
}

// The peers of one store go, of one region or of both: each takes its data and its log with it, and nothing else.
func TestABuriedPeerTakesOnlyWhatIsItsOwn(t *testing.T) {
	for _, go1 := range []bool{false, true} {
		w, leader := twoRegions(t)
		w.must(leader.answeredWrite(1))
		w.must(leader.answeredWrite(2))
		gone := w.other(leader)
		remove := []uint64{2}
		if go1 {
			remove = []uint64{1, 2}
		}
		for _, id := range remove {
			leader.ask(func(request uint64) store.Event {
				return store.ChangePeer{ID: request, RequestContext: store.RequestContext{RegionID: id},
					Type: raft.ConfChangeRemoveNode, Peer: region.Peer{ID: 10*id + gone.id, StoreID: gone.id}}
			})
		}
		w.tick(80)
		logs, err := gone.log.Regions()
		w.must(err)
		want := "ak=v "
		if go1 {
			want = ""
		}
		if got := gone.contents(); got != want || len(logs) != 2-len(remove) {
			t.Errorf("after %v were removed: data %q, want %q; logs of %v", remove, got, want, logs)
		}
	}
}

func (n *node) answeredWrite(regionID uint64) error {
	n.w.t.Helper()
	id := n.writeTo(regionID, "k")
	n.w.run()
	return n.answered(id)
}

// What a store of the same cluster may say that lies about everything.

package store_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"tinykv/kv/command"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
	"tinykv/kv/store"
	"tinykv/raft"
)

// liar makes messages and snapshots as a store of the same cluster could, that lies about everything.
type liar struct {
	*rand.Rand
	n *node
}

// number is the truth as a rule, or near to it, or absurd.
func (l liar) number(truth uint64) uint64 {
	switch l.IntN(8) {
	case 0:
		return l.Uint64()
	case 1:
		return ^uint64(0) - l.Uint64N(3)
	case 2:
		return 1 << l.IntN(64)
	case 3, 4:
		return truth + l.Uint64N(5) - 2
	}
	return truth
}

func (l liar) peer(truth region.Peer) region.Peer {
	if l.IntN(6) == 0 {
		return region.Peer{ID: l.number(truth.ID), StoreID: l.number(truth.StoreID)}
	}
	return truth
}

func (l liar) epoch() region.Epoch {
	e := l.n.views[regionID].Region.Epoch
	if l.IntN(4) == 0 {
		return region.Epoch{ConfVer: l.number(e.ConfVer), Version: l.number(e.Version)}
	}
	return e
}

func (l liar) entry(after raftlog.Position, i int) raft.Entry {
	e := raft.Entry{Term: after.Term, Index: after.Index + 1 + uint64(i), Type: raft.EntryType(l.IntN(2))}
	if l.IntN(4) == 0 {
		e.Term, e.Index = l.number(e.Term), l.number(e.Index)
	}
	var err error
	switch l.IntN(4) {
	case 0:
		e.Data, err = command.Encode(command.CompactLog{Index: l.number(e.Index), Term: l.number(e.Term)})
	case 1:
		e.Data, err = command.Encode(command.Write{Epoch: l.epoch(), Batch: put("lie", "x")})
	case 2:
		change := raft.ConfChangeSingle{Type: raft.ConfChangeType(l.IntN(4)), NodeID: l.number(11)}
		e.Data = raft.ConfChange{Changes: []raft.ConfChangeSingle{change}}.Encode()
	}
	l.n.w.must(err)
	return e
}

func (l liar) message() replica.Message {
	state, _, err := l.n.log.State(regionID)
	l.n.w.must(err)
	at := state.Last
	if l.IntN(3) == 0 {
		at.Index -= min(at.Index, l.Uint64N(4))
	}
	from, to := l.peer(peerOn(1+l.Uint64N(3))), l.peer(peerOn(l.n.id))
	m := replica.Message{RegionID: regionID, From: from, To: to, Epoch: l.epoch(), Raft: raft.Message{
		Type: raft.MessageType(l.IntN(16)), Reject: l.IntN(2) == 0, Force: l.IntN(3) == 0, From: from.ID, To: to.ID,
		Term: l.number(state.Hard.Term), LogTerm: l.number(at.Term), Index: l.number(at.Index),
		Commit: l.number(state.Hard.Commit), Hint: l.number(at.Index), Context: l.number(3)}}
	if l.IntN(10) == 0 {
		m.RegionID = l.number(regionID)
	}
	if m.Raft.Type == raft.MsgApp {
		for i := range l.IntN(4) {
			m.Raft.Entries = append(m.Raft.Entries, l.entry(raftlog.Position{Index: m.Raft.Index, Term: m.Raft.LogTerm}, i))
		}
	}
	return m
}

func (l liar) head() snapshot.Head {
	v := l.n.views[regionID]
	h := snapshot.Head{ClusterID: clusterID, RegionID: regionID,
		From: l.peer(peerOn(1 + l.Uint64N(3))), To: l.peer(peerOn(l.n.id)),
		Region: v.Region, Term: l.number(v.Term), ConfState: raft.ConfState{Voters: []uint64{11, 12, 13}}}
	h.Position.Index, h.Position.Term = l.number(v.Applied.Index), l.number(v.Term)
	h.Region.Epoch = l.epoch()
	switch l.IntN(6) {
	case 0:
		h.Region.Peers = append([]region.Peer{h.To}, h.Region.Peers...)
	case 1:
		h.ConfState.Voters = []uint64{l.number(11), 12, 12}
	case 2:
		h.ConfState.Learners = []uint64{l.number(11)}
	case 3:
		h.RegionID, h.Region.ID = l.number(2), 2
		h.Region.Range.Start = []byte("q")
	}
	return h
}

// tell lets the store hear one lie, and returns it.
func (l liar) tell(i int) (lie string) {
	if l.IntN(5) > 0 {
		m := l.message()
		l.n.inbox = append(l.n.inbox, store.Receive{Message: m})
		return fmt.Sprintf("%+v", m)
	}
	head, name := l.head(), fmt.Sprint("s", i)
	l.n.spools[name] = &spool{head: head}
	l.n.inbox = append(l.n.inbox, store.SnapshotReceived{Head: head, Spool: name})
	return fmt.Sprintf("%+v", head)
}

// Whatever a member of the cluster says, a store does not panic, nor take its own disk for damaged, and can be opened again.
// What it holds may well be nonsense then: it believes its leader.
func TestLiesEndNoStore(t *testing.T) {
	var seed uint64
	lie := ""
	defer func() {
		if t.Failed() {
			t.Logf("the last lie of seed %d: %s", seed, lie)
		}
	}()
	for seed = range uint64(250) {
		w := newWorld(t, 3, smallLogs)
		w.elect().putMany(0, 15)
		w.tick(2)
		n := w.nodes[seed%3]
		if seed%2 == 0 { // the others do not hear what it makes of the lies
			w.cut = func(m *replica.Message) bool { return m.From.StoreID == n.id }
		}
		l := liar{rand.New(rand.NewPCG(seed, 1)), n}
		for i := range 60 {
			lie = l.tell(i)
			w.run() // fails the test if a store does
			if l.IntN(4) == 0 {
				w.tick(1)
			}
		}
		n.crash()
		n.restart()
		w.tick(3)
	}
}

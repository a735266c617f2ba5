// Proposing: who is served, and what is refused.

package stage2bb_test

import (
	"errors"
	"fmt"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

func TestWriteIsAppliedOnAllStores(t *testing.T) {
	d := open(t, acknowledged, options{})
	leader := d.Elect(1)
	for _, b := range []*engine.Batch{
		batch(putOp(engine.Default, "a", "1"), putOp(engine.Lock, "a", "l"), putOp(engine.Write, "a", "w"),
			putOp(engine.Default, "b", "2")),
		batch(deleteOp("a"), putOp(engine.Default, "a", "3"), putOp(engine.Default, "c", "4"), putOp(engine.Default, "d", "5")),
		batch(rangeOp("c", "d"), deleteOp("b"), deleteOp("nothing")),
	} {
		r := leader.WritesBatch(b)
		d.Run()
		d.Acked(r)
	}
	d.Tick(2)
	const want = "default: a=3 d=5\nlock: a=l\nwrite: a=w"
	for _, s := range d.Stores {
		d.Check(s.Pairs() == want, fmt.Sprintf("store %d has %s", s.ID, want), "%s", s.Pairs())
		consistent(d, s)
	}
}

func TestWrongPicturesAreRefused(t *testing.T) {
	d := open(t, admitted, options{})
	leader := d.Elect(1)
	before := last(leader)
	peer := func(id uint64) func(w *store.Write) { return func(w *store.Write) { w.PeerID = id } }
	epoch := func(confVer, version uint64) func(w *store.Write) {
		return func(w *store.Write) { w.Epoch = region.Epoch{ConfVer: confVer, Version: version} }
	}
	otherPeer, otherEpoch := isOf[*region.PeerNotMatchError], isOf[*region.EpochNotMatchError]
	for _, c := range []struct {
		name   string
		change func(w *store.Write)
		right  func(err error) bool
		want   string
	}{
		{"another peer", peer(12), otherPeer, "PeerNotMatchError"},
		{"a peer that was before", peer(1), otherPeer, "PeerNotMatchError"},
		{"an earlier Version", epoch(1, 0), otherEpoch, "EpochNotMatchError"},
		{"an earlier ConfVer", epoch(0, 1), otherEpoch, "EpochNotMatchError"},
		{"a later Version", epoch(1, 2), otherEpoch, "EpochNotMatchError"},
		{"a later ConfVer", epoch(2, 1), otherEpoch, "EpochNotMatchError"},
		{"this peer", peer(11), nil, ""},
		{"this epoch", epoch(1, 1), nil, ""},
		{"nothing but the region", func(w *store.Write) { w.RequestContext = store.RequestContext{RegionID: 1} }, nil, ""},
	} {
		d.Say("a request says %s:", c.name)
		r := leader.WritesBatch(storedesk.Put("a", "1"), c.change)
		d.Run()
		if c.right == nil {
			d.Acked(r)
			before++
		} else if !c.right(r.Err()) {
			d.Brokenf(c.want+": the request says "+c.name, "%s", typed(r))
		}
		unchanged(d, leader, before)
	}
}

// Whose map is old is given the region as it is, so that it need not ask anybody else.
func TestEpochNotMatchBringsTheRegion(t *testing.T) {
	d := open(t, admitted, options{})
	leader := d.Elect(1)
	r := leader.WritesBatch(storedesk.Put("a", "1"), func(w *store.Write) { w.Epoch.Version = 9 })
	d.Run()
	e := refused[*region.EpochNotMatchError](d, r, "the epoch is another")
	if len(e.Current) != 1 || e.Current[0].ID != 1 || e.Current[0].Epoch != first || len(e.Current[0].Peers) != 3 {
		d.Brokenf("the region with its epoch 1/1 and its three peers", "%+v", e.Current)
	}
}

// An old map is corrected by whoever is asked: that comes before the question who leads.
func TestPictureComesBeforeLeadership(t *testing.T) {
	d := open(t, admitted, options{})
	d.Elect(1)
	r := d.Store(2).WritesBatch(storedesk.Put("a", "1"), func(w *store.Write) { w.Epoch.Version = 9 })
	d.Run()
	refused[*region.EpochNotMatchError](d, r, "the epoch is another, and store 2 knows")
	r = d.Store(2).WritesBatch(storedesk.Put("a", "1"), func(w *store.Write) { w.PeerID = 99 })
	d.Run()
	refused[*region.PeerNotMatchError](d, r, "the peer is another, and store 2 knows")
}

// A peer without a region has nothing to compare with: it waits for its first snapshot.
func TestPeerWithoutARegionServesNobody(t *testing.T) {
	d := open(t, admitted, options{Spares: 1})
	leader := d.Elect(1)
	d.Net = func(m *replica.Message) storedesk.Fate {
		if m.Raft.Type == raft.MsgSnap {
			return storedesk.Lose
		}
		return storedesk.Deliver
	}
	leader.Changes(raft.ConfChangeAddNode, d.Store(4))
	d.Tick(2)
	r := d.Store(4).Writes("a", "1")
	d.Run()
	refused[*region.NotFoundError](d, r, "store 4 does not know the region yet")
}

func TestOnlyTheLeaderProposes(t *testing.T) {
	d := open(t, leads, options{})
	follower := d.Store(2)
	r := follower.Writes("a", "1")
	d.Run()
	e := refused[*region.NotLeaderError](d, r, "nobody leads yet")
	d.Check(e.RegionID == 1 && e.Leader == region.Peer{}, "no leader is named, since none is known", "%+v", e)
	d.Elect(1)
	for _, id := range []uint64{2, 3} {
		s := d.Store(id)
		before := last(s)
		r := s.Writes("a", "1")
		d.Run()
		e := refused[*region.NotLeaderError](d, r, "store 1 leads")
		d.Check(e.RegionID == 1 && e.Leader == storedesk.Peer(1, 1), "the leader is peer 11 on store 1",
			"region %d, peer %v", e.RegionID,
			e.Leader)
		unchanged(d, s, before)
	}
	follower.Restart(storedesk.LoseUnsynced)
	r = follower.Writes("a", "1")
	follower.Turn()
	follower.Finish()
	e = refused[*region.NotLeaderError](d, r, "store 2 has just started")
	d.Check(e.Leader == region.Peer{}, "no leader is named, since none is known", "peer %v", e.Leader)
}

func TestDeposedLeaderNamesItsSuccessor(t *testing.T) {
	d := open(t, leads, options{})
	old := d.Elect(1)
	d.Isolate(old)
	next := d.Elect(2)
	d.Heal()
	d.Tick(2)
	r := old.Writes("a", "1")
	d.Run()
	e := refused[*region.NotLeaderError](d, r, "store 2 leads by now")
	d.Check(e.Leader == storedesk.Peer(1, 2), "the leader is peer 12 on store 2", "peer %v", e.Leader)
	next.Puts("a", "2")
}

// Compare-and-swap decides on what it read in one term. In another, somebody else may have written.
func TestTermIsBinding(t *testing.T) {
	d := open(t, leads, options{})
	leader := d.Elect(1)
	for round := range 2 {
		term := leader.View().Term
		for _, c := range []struct {
			term uint64
			ok   bool
		}{{term, true}, {term - 1, false}, {term + 1, false}, {1, false}, {0, true}} {
			before := last(leader)
			r := leader.WritesBatch(storedesk.Put("a", "1"), func(w *store.Write) { w.Term = c.term })
			d.Run()
			if c.ok {
				d.Acked(r)
				d.Check(r.Term() == term, fmt.Sprintf("the answer names term %d, in which the leader led", term), "term %d", r.Term())
				continue
			}
			refused[*region.StaleCommandError](d, r, fmt.Sprintf("the leader leads in term %d", term))
			unchanged(d, leader, before)
		}
		if round == 0 {
			d.Isolate(leader)
			d.Elect(2)
			d.Heal()
			d.Tick(2)
			d.Isolate(d.Store(2))
			leader = d.Elect(1)
			d.Heal()
		}
	}
}

func TestBatchMustFit(t *testing.T) {
	d := open(t, fits, options{Regions: 3})
	leader := d.Elect(1)
	ownRange := rangeOp("b", "c")
	ownRange.CF = engine.Meta
	value := func(size int) engine.Op {
		return engine.Op{Kind: engine.OpPut, Key: []byte("b"), Value: make([]byte, size)}
	}
	for _, c := range []struct {
		name string
		op   engine.Op
		want func(err error) bool
	}{
		{"the first key", putOp(engine.Default, "b", "1"), nil},
		{"a key within", putOp(engine.Write, "bz", "1"), nil},
		{"the end", putOp(engine.Default, "c", "1"), isOf[*region.KeyNotInRegionError]},
		{"a key before", putOp(engine.Default, "a", "1"), isOf[*region.KeyNotInRegionError]},
		{"a key behind", putOp(engine.Lock, "d", "1"), isOf[*region.KeyNotInRegionError]},
		{"delete a key behind", deleteOp("d"), isOf[*region.KeyNotInRegionError]},
		{"the range of the region", rangeOp("b", "c"), nil},
		{"a range within", rangeOp("b1", "b2"), nil},
		{"a range that begins before", rangeOp("a", "bb"), isOf[*region.KeyNotInRegionError]},
		{"a range that ends behind", rangeOp("bb", "c1"), isOf[*region.KeyNotInRegionError]},
		{"a range without an end", rangeOp("bb", ""), isOf[*region.KeyNotInRegionError]},
		{"all keys", rangeOp("", ""), isOf[*region.KeyNotInRegionError]},
		{"a range around the region", rangeOp("a", "d"), isOf[*region.KeyNotInRegionError]},
		{"a range of no keys", rangeOp("bb", "b1"), nil},
		{"a range of no keys elsewhere", rangeOp("z", "d"), nil},
		{"the empty key", putOp(engine.Default, "", "1"), func(err error) bool { return errors.Is(err, engine.ErrEmptyKey) }},
		{"the store's own family", putOp(engine.Meta, "b", "1"), noFamily},
		{"a range of the store's own family", ownRange, noFamily},
		{"no family", putOp(9, "b", "1"), noFamily},
		{"a long key", putOp(engine.Default, "b"+string(make([]byte, engine.MaxKeySize)), "1"), tooLarge},
		{"a large value", value(engine.MaxValueSize + 1), tooLarge},
		{"a command larger than an entry", value(engine.MaxValueSize), tooLarge},
		{"a large value that fits", value(engine.MaxValueSize - 4096), nil},
	} {
		d.Say("region 2 holds [\"b\", \"c\"); the batch: put bb, and %s", c.name)
		before := leader.State(2).Last.Index
		r := leader.WritesBatch(batch(putOp(engine.Default, "bb", c.name), c.op), func(w *store.Write) { w.RegionID = 2 })
		d.Run()
		switch {
		case c.want == nil:
			d.Acked(r)
		case !c.want(r.Err()):
			d.Brokenf("it is refused for "+c.name, "%s", typed(r))
		default:
			after := leader.State(2).Last.Index
			d.Check(after == before && leader.Get("bb") != c.name, "nothing of it happens",
				"the log ends at %d, before at %d; bb=%s", after,
				before, leader.Get("bb"))
		}
	}
}

func noFamily(err error) bool { return errors.Is(err, engine.ErrUnknownCF) }

func tooLarge(err error) bool { return errors.Is(err, engine.ErrTooLarge) }

// The first and the last region have one bound each.
func TestOpenEndsOfTheKeySpace(t *testing.T) {
	d := open(t, fits, options{Regions: 2})
	leader := d.Elect(1)
	for _, c := range []struct {
		region uint64
		op     engine.Op
		ok     bool
	}{
		{1, rangeOp("", "b"), true}, {1, rangeOp("", "a"), true}, {1, rangeOp("", ""), false}, {1, rangeOp("a", ""), false},
		{2, rangeOp("b", ""), true}, {2, rangeOp("x", ""), true}, {2, rangeOp("", ""), false}, {2, rangeOp("a", ""), false},
		{2, putOp(engine.Default, "\xff\xff", "1"), true}, {1, putOp(engine.Default, "\x00", "1"), true},
	} {
		r := leader.WritesBatch(batch(c.op), func(w *store.Write) { w.RegionID = c.region })
		d.Run()
		if c.ok {
			d.Acked(r)
		} else {
			refused[*region.KeyNotInRegionError](d, r, fmt.Sprintf("region %d does not hold all of it", c.region))
		}
	}
}

func TestLargeBatchesAreRefused(t *testing.T) {
	d := open(t, fits, options{Stores: 1})
	leader := d.Elect(1)
	before := last(leader)
	b := new(engine.Batch)
	for i := range 3 {
		b.Put(engine.Default, []byte{'a' + byte(i)}, make([]byte, 6<<20))
	}
	r := leader.WritesBatch(b)
	d.Run()
	d.Check(tooLarge(r.Err()), "ErrTooLarge: 18 MiB are more than an engine takes at once", "%s", r)
	unchanged(d, leader, before)
	leader.Puts("a", "1")
}

// Many small operations cost an engine more than they cost an entry. A batch is written together with the applied position:
// what leaves no room for that must not be proposed, for no store could ever apply it.
func TestBatchLeavesRoomForThePosition(t *testing.T) {
	d := open(t, fits, options{Stores: 1})
	leader := d.Elect(1)
	before := last(leader)
	const each = engine.OpOverhead + 4 // key and value of 2 bytes each
	b := new(engine.Batch)
	b.Grow(engine.MaxBatchSize / each)
	for i := range engine.MaxBatchSize / each {
		b.Take(engine.Op{Kind: engine.OpPut, Key: []byte("aa")[:1+i%2], Value: []byte("111")[:3-i%2]})
	}
	d.Say("a batch of %d operations, %d bytes", b.Len(), b.Size())
	r := leader.WritesBatch(b)
	d.Run()
	d.Check(tooLarge(r.Err()), "ErrTooLarge", "%s", r)
	unchanged(d, leader, before)
	leader.Puts("a", "1")
}

func TestEmptyBatchIsOnlyChecked(t *testing.T) {
	d := open(t, fits, options{})
	leader := d.Elect(1)
	before := last(leader)
	r := leader.WritesBatch(new(engine.Batch))
	d.Run()
	d.Acked(r)
	r = leader.WritesBatch(new(engine.Batch), func(w *store.Write) { w.Epoch.Version = 9 })
	follower := d.Store(2).WritesBatch(new(engine.Batch))
	d.Run()
	refused[*region.EpochNotMatchError](d, r, "its picture is wrong")
	refused[*region.NotLeaderError](d, follower, "store 2 does not lead")
	unchanged(d, leader, before)
}

func TestTooManyWritesAreRefused(t *testing.T) {
	d := open(t, bounded, options{Config: func(c *store.Config) { c.Limits.MaxWrites = 3 }})
	leader := d.Elect(1)
	d.Net = loseAll
	var taken []*request
	for i := range 3 {
		taken = append(taken, leader.Writes("a", fmt.Sprint(i)))
	}
	d.Run()
	before := last(leader)
	r := leader.Writes("b", "1")
	d.Run()
	refused[*region.BusyError](d, r, "three writes wait, and no more may")
	unchanged(d, leader, before)
	d.Heal()
	d.Tick(2)
	for _, r := range taken {
		d.Acked(r)
	}
	d.Check(leader.Get("b") == storedesk.Nothing, "what was refused has no effect", "b=%s", leader.Get("b"))
	leader.Puts("b", "2")
}

// Raft drops proposals beyond its bound on what is not committed, and while leadership moves.
func TestDroppedProposalsAreBusy(t *testing.T) {
	d := open(t, bounded, options{Config: func(c *store.Config) { c.Raft.MaxUncommittedBytes = 200 }})
	leader := d.Elect(1)
	d.Net = loseAll
	var taken, dropped []*request
	for i := range 10 {
		r := leader.Writes("a", fmt.Sprint(i))
		d.Run()
		if r.Answered() {
			refused[*region.BusyError](d, r, "too much waits to be committed")
			dropped = append(dropped, r)
		} else {
			taken = append(taken, r)
		}
	}
	d.Check(len(taken) > 0 && len(dropped) > 0, "some proposals within the bound of 200 bytes, and some beyond",
		"%d and %d", len(taken),
		len(dropped))
	d.Check(last(leader) == 6+uint64(len(taken)), "an entry for each that was taken", "the log ends at %d", last(leader))
	d.Heal()
	d.Tick(2)
	for _, r := range taken {
		d.Acked(r)
	}
	leader.Puts("b", "2")
}

func TestProposalsWhileLeadershipMovesAreBusy(t *testing.T) {
	d := open(t, bounded, options{})
	leader := d.Elect(1)
	d.Net = loseAll
	leader.Transfers(d.Store(2))
	r := leader.Writes("a", "1")
	d.Run()
	refused[*region.BusyError](d, r, "leadership is being handed over")
	d.Heal()
	d.AwaitLeader()
	d.Tick(3)
	for _, s := range d.Stores {
		d.Check(s.Get("a") == storedesk.Nothing, "what was refused has no effect", "a=%s on store %d", s.Get("a"), s.ID)
	}
}

// A change of the members is a proposal, too: it is answered when it is applied. Another one meanwhile is refused by raft as it
// is: nobody waits for it, so nobody is answered a second time.
func TestChangeOfMembersWaitsForItsEntry(t *testing.T) {
	d := open(t, waits, options{Spares: 2})
	leader := d.Elect(1)
	d.Net = loseAll
	r := leader.Changes(raft.ConfChangeAddNode, d.Store(4))
	d.Run()
	d.Waits(r, "it is not committed")
	another := leader.Changes(raft.ConfChangeAddNode, d.Store(5))
	d.Run()
	d.Check(errors.Is(another.Err(), raft.ErrConfChangePending), another.What+" is answered: raft.ErrConfChangePending", "%s",
		typed(another))
	d.Heal()
	d.Tick(2)
	d.Acked(r)
	d.Check(leader.View().Region.Epoch == region.Epoch{ConfVer: 2, Version: 1}, "the region's epoch is 2/1", "%v",
		leader.View().Region.Epoch)
	w := leader.WritesBatch(storedesk.Put("a", "1"), func(w *store.Write) { w.Epoch = first })
	d.Run()
	refused[*region.EpochNotMatchError](d, w, "the members have changed")
	leader.Puts("a", "1")
	d.Isolate(leader)
	d.Elect(2)
	d.Heal()
	d.Tick(3) // an entry of a later term is applied by store 1: whoever waits still is answered now
}

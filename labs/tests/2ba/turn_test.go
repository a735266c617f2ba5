// Turns of whole stores: what is synced, what follows the data, what comes next.

package stage2ba_test

import (
	"fmt"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

// spent is what stores' logs cost while something happens: writes and syncs, by store.
type spent struct {
	d      *desk
	writes map[uint64]int
	syncs  map[uint64]int
	data   map[uint64]int
}

func meter(d *desk) *spent {
	p := &spent{d: d, writes: map[uint64]int{}, syncs: map[uint64]int{}, data: map[uint64]int{}}
	for _, s := range d.Stores {
		p.syncs[s.ID], p.data[s.ID] = -s.LogSyncs(), -s.DataSyncs()
	}
	d.After = func(s *server, e store.Effect) {
		if _, ok := e.(store.WriteLog); ok {
			p.writes[s.ID]++
		}
	}
	return p
}

// is ends the test unless each store has synced its log so often, and its data not at all.
func (p *spent) is(syncs int, why string) {
	p.d.T.Helper()
	for _, s := range p.d.Stores {
		if got := p.syncs[s.ID] + s.LogSyncs(); got != syncs {
			p.d.Brokenf(fmt.Sprintf("store %d syncs its log %d times: %s", s.ID, syncs, why), "%d times", got)
		}
		if got := p.data[s.ID] + s.DataSyncs(); got != 0 {
			p.d.Brokenf(fmt.Sprintf("store %d never syncs its data: the log is its redo log", s.ID), "%d times", got)
		}
	}
}

func TestAWriteCostsOneSync(t *testing.T) {
	d := storedesk.Open(t, counted, options{})
	leader := d.Elect(1)
	d.Tick(2)
	p := meter(d)
	leader.Puts("a", "1")
	p.is(1, "for the entry")
	d.Tick(2)
	p.is(1, "that it is committed is no promise")
	p = meter(d)
	for i := range 10 {
		leader.Writes("a", fmt.Sprint(i))
	}
	d.Run()
	d.Tick(2)
	p.is(1, "ten writes that come together share it")
	p = meter(d)
	d.Tick(30)
	p.is(0, "nothing happens but heartbeats")
	d.Check(len(p.writes) == 0, "nothing is written while nothing happens", "log writes by store: %v", p.writes)
}

func TestOneSyncForAllRegions(t *testing.T) {
	d := storedesk.Open(t, counted, options{Regions: 5})
	leader := d.Elect(1)
	d.Tick(2)
	p := meter(d)
	var all []*storedesk.Request
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		all = append(all, leader.Writes(key, "1"))
	}
	d.Run()
	for _, r := range all {
		d.Acked(r)
	}
	p.is(1, "for the entries of all five regions")
	d.Tick(2)
	p.is(1, "for the entries of all five regions")
}

// One region of a turn has a promise to make, another has only heard that something is committed: in either order, the one
// write of the turn is synced.
func TestOnePromiseSyncsTheTurn(t *testing.T) {
	for _, promiseFirst := range []bool{true, false} {
		d := storedesk.Open(t, counted, options{Regions: 2})
		leader := d.Elect(1)
		d.Tick(2)
		leader.Puts("b", "1") // of which the others have yet to hear that it is committed
		d.Net = func(*replica.Message) storedesk.Fate { return storedesk.Hold }
		leader.Writes("a", "1")
		d.Tick(1)
		promise := func(m *replica.Message) bool { return m.RegionID == 1 && m.Raft.Type == raft.MsgApp }
		var first, second []replica.Message
		for _, m := range d.Held {
			switch {
			case m.To.StoreID != 2:
			case promise(&m) == promiseFirst:
				first = append(first, m)
			default:
				second = append(second, m)
			}
		}
		d.Held = append(first, second...)
		d.Heal()
		d.Release()
		s := d.Store(2)
		s.Turn()
		var writes []engine.Durability
		for _, e := range s.Effects {
			if w, ok := e.(store.WriteLog); ok {
				writes = append(writes, w.Durability)
			}
		}
		d.Check(len(writes) == 1 && writes[0] == engine.Synced, "one write to the log in this turn of store 2, Synced",
			"%d writes: %v (0 is Buffered, 1 is Synced)", len(writes), writes)
		s.Finish()
		d.Run()
	}
}

// A commit index alone, and nothing else: written, and not synced.
func TestCommitAloneIsNotSynced(t *testing.T) {
	d := storedesk.Open(t, counted, options{})
	leader := d.Elect(1)
	d.Tick(2)
	before, commits := map[*server]raftlog.State{}, map[*server]int{}
	d.Before = func(s *server, _ store.Effect) { before[s] = s.State() }
	d.After = func(s *server, e store.Effect) {
		was, is := before[s], s.State()
		was.Hard.Commit = is.Hard.Commit
		w, ok := e.(store.WriteLog)
		if !ok || was != is || before[s] == is {
			return
		}
		commits[s]++
		d.Check(w.Durability == engine.Buffered, "what holds a commit index alone is written Buffered", "store %d syncs it", s.ID)
	}
	leader.Puts("a", "1")
	d.Tick(2)
	for _, s := range d.Stores {
		d.Check(s.State().Hard.Commit == 7 && commits[s] > 0,
			fmt.Sprintf("store %d has written that 7 is committed, and that alone", s.ID), "it has %s", storedesk.ShowHard(s.State().Hard))
	}
}

func TestAnswersAndViewsFollowTheData(t *testing.T) {
	d := storedesk.Open(t, ordered, options{Regions: 2})
	leader := d.Elect(1)
	values := map[uint64]string{}
	d.Before = func(s *server, e store.Effect) {
		switch e := e.(type) {
		case store.Answer:
			for _, a := range e.Answers {
				if a.Err == nil && s.Get("a") < values[a.ID] {
					d.Brokenf("a="+values[a.ID]+" is in the data store before it is acknowledged", "a=%s", s.Get("a"))
				}
			}
		case store.Publish:
			for _, v := range e.Views {
				if at := s.Applied(v.Region.ID); at.Index < v.Applied.Index {
					d.Brokenf("the data store is at least where the view says", "it has applied %d, the view says %d", at.Index,
						v.Applied.Index)
				}
			}
		}
	}
	for i := range 5 {
		value := fmt.Sprint(i)
		r := leader.Writes("a", value)
		values[r.ID] = value
		b := leader.Writes("b", value)
		d.Run()
		d.Acked(r)
		d.Acked(b)
	}
	d.Tick(2)
}

// What is applied in one turn may be more than an engine takes in one batch.
func TestAllDataOfATurnIsWritten(t *testing.T) {
	d := storedesk.Open(t, ordered, options{Config: func(c *store.Config) { c.Raft.MaxApplyBytes = 64 << 20 }})
	d.Net = lost
	s := d.Store(2)
	list := []raft.Entry{{Index: 6, Term: 6}}
	for _, key := range []string{"a", "b", "c", "d"} {
		list = append(list, put(list[len(list)-1].Index+1, 6, key, string(make([]byte, 6<<20))))
	}
	d.Arrive(d.Envelope(1, 2, appendOf(6, 5, 5, 10, list...)))
	d.Run()
	for _, key := range []string{"a", "b", "c", "d"} {
		d.Check(len(s.Get(key)) == 6<<20, "6 MiB under each of the keys a, b, c and d", "%d bytes under %s", len(s.Get(key)), key)
	}
}

// A transfer lets another peer lead at once. So the lease that local readers trust goes first.
func TestLeaseIsWithdrawnBeforeMessagesLeave(t *testing.T) {
	d := storedesk.Open(t, ordered, options{Config: func(c *store.Config) { c.Raft.ReadMode = raft.ReadLease }})
	leader := d.Elect(1)
	d.Tick(2)
	d.Check(leader.View().LeaseUntil > 0, "a leader that hears from its followers has a lease", "%s", leader.Where())
	called := false
	d.Before = func(s *server, e store.Effect) {
		send, ok := e.(store.Send)
		if !ok || s != leader {
			return
		}
		for i := range send.Messages {
			if m := &send.Messages[i]; m.Raft.Type == raft.MsgTimeoutNow {
				called = true
				d.Check(s.View().LeaseUntil == 0, "readers were told that there is no lease any more before TimeoutNow is sent",
					"the view says: until %v", s.View().LeaseUntil)
			}
		}
	}
	d.Acked(func() *storedesk.Request { r := leader.Transfers(d.Store(2)); d.Run(); return r }())
	d.Tick(1)
	d.Check(called, "TimeoutNow is sent to store 2", "it is not")
}

// A store alone is its own quorum: the write of one turn is what the next one applies. No tick has to pass.
func TestWhatBecomesPossibleComesNext(t *testing.T) {
	for _, stores := range []int{1, 3} {
		for _, regions := range []int{1, 4} {
			d := storedesk.Open(t, concluded, options{Stores: stores, Regions: regions})
			leader := d.Elect(1)
			for i := range 8 {
				leader.Puts(string(rune('a'+i%regions)), fmt.Sprint(i))
			}
		}
	}
}

// Raft takes the next change of the members when it knows that the last one is applied.
func TestMembersChangeOneAfterTheOther(t *testing.T) {
	d := storedesk.Open(t, concluded, options{Spares: 2})
	leader := d.Elect(1)
	for _, id := range []uint64{4, 5} {
		r := leader.Changes(raft.ConfChangeAddNode, d.Store(id))
		d.Tick(3)
		d.Acked(r)
	}
}

// Each effect is carried out once: nothing of a turn is in the next one.
func TestNothingIsDoneTwice(t *testing.T) {
	d := storedesk.Open(t, concluded, options{})
	leader := d.Elect(1)
	d.Tick(2)
	d.Sent = nil
	p := meter(d)
	written := map[string]bool{}
	d.Before = func(s *server, e store.Effect) {
		if w, ok := e.(store.WriteData); ok {
			what := fmt.Sprint(s.ID, storedesk.ShowBatch(w.Batch))
			d.Check(!written[what], "each batch once", "store %d writes %s again", s.ID, storedesk.ShowBatch(w.Batch))
			written[what] = true
		}
	}
	for _, key := range []string{"a", "b", "c"} {
		leader.Puts(key, "1")
	}
	for id, n := range p.writes {
		d.Check(n <= 6, "at most two log writes for a write: its entry, and that it is committed",
			"store %d: %d for 3 writes", id, n)
	}
	seen := map[string]bool{}
	for i := range d.Sent {
		if m := &d.Sent[i]; len(m.Raft.Entries) > 0 {
			text := storedesk.ShowMessage(m)
			d.Check(!seen[text], "each append once, for nothing is lost", "again: %s", text)
			seen[text] = true
		}
	}
	rounds := len(d.Done)
	d.Run()
	d.Check(len(d.Done) == rounds, "stores at rest do nothing", "they do")
}

func TestMessagesAreAddressed(t *testing.T) {
	d := storedesk.Open(t, addressed, options{Regions: 2, Spares: 1})
	leader := d.Elect(1)
	leader.Puts("a", "1")
	leader.Puts("b", "1")
	d.Tick(2)
	check := func(confVer uint64) {
		t.Helper()
		for i := range d.Sent {
			m := &d.Sent[i]
			epoch := d.Regions[m.RegionID-1].Epoch
			if m.RegionID == 1 {
				epoch.ConfVer = confVer
			}
			from, to := storedesk.Peer(m.RegionID, m.From.StoreID), storedesk.Peer(m.RegionID, m.To.StoreID)
			if m.From != from || m.To != to || m.Raft.From != from.ID || m.Raft.To != to.ID || m.Epoch != epoch {
				d.Brokenf(fmt.Sprintf("from peer %v to peer %v, epoch %v", from, to, epoch),
					"%s, from peer %v to peer %v, epoch %v", storedesk.ShowMessage(m), m.From, m.To, m.Epoch)
			}
		}
		d.Check(len(d.SentBy(leader)) > 0, "messages", "none")
	}
	check(1)
	r := leader.Changes(raft.ConfChangeAddNode, d.Store(4))
	d.Tick(5)
	d.Acked(r)
	d.Check(len(d.SentBy(leader, raft.MsgSnap)) == 0, "a snapshot is streamed, not sent as a message",
		"it is sent as a message")
	d.Check(d.Store(4).Get("a") == "1", "the peer on store 4 gets its snapshot: a=1", "a=%s", d.Store(4).Get("a"))
	d.Sent = nil
	leader.Puts("a", "2")
	d.Tick(1)
	check(2)
	d.Check(len(d.SentBy(leader, raft.MsgHeartbeat, raft.MsgApp)) > 0, "messages to the new peer, too", "none")
}

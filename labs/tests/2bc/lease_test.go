// Leases as they are published: how long, from when on, and when they are withdrawn.

package stage2bc_test

import (
	"fmt"
	"testing"
	"time"

	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

const tick = storedesk.TickInterval

func TestLeaderPublishesALease(t *testing.T) {
	d := open(t, cheap, options{Regions: 2, Config: withLeases})
	leader := d.Elect(1)
	d.Tick(2)
	for range 30 {
		d.Tick(1)
		for id := uint64(1); id <= 2; id++ {
			v := leader.View(id)
			d.Check(leased(leader, id), "a lease of region "+fmt.Sprint(id)+", for a quorum follows store 1",
				"%s; it is %v", showLease(v.LeaseUntil), leader.Clock())
			for _, s := range d.Stores[1:] {
				d.Check(s.View(id).LeaseUntil == 0, fmt.Sprintf("no lease of store %d: it does not lead", s.ID), "%s",
					showLease(s.View(id).LeaseUntil))
			}
		}
	}
}

func TestNoLeaseIfReadsAskTheQuorum(t *testing.T) {
	d := open(t, ends, options{})
	leader := d.Elect(1)
	d.Tick(5)
	d.Check(leader.View().LeaseUntil == 0, "no lease: the stores are configured to ask the quorum for each read", "%s",
		showLease(leader.View().LeaseUntil))
}

func TestReadsWithinALeaseSendNothing(t *testing.T) {
	d := open(t, cheap, options{Config: withLeases})
	leader := d.Elect(1)
	leader.Puts("a", "1")
	d.Tick(3)
	sent := len(d.Sent)
	var reads []*request
	for range 10 {
		reads = append(reads, leader.Reads("a"))
		d.Run()
	}
	d.Check(len(d.Sent) == sent, "no message: the leader has a lease", "%d messages", len(d.Sent)-sent)
	for _, r := range reads {
		serves(d, r, "1")
	}
}

// Store 1 hears nothing from now on. Its quorum promised nothing beyond 8 ticks after the last round.
func TestLeaseEndsWithThePromise(t *testing.T) {
	d := open(t, ends, options{Config: withLeases})
	leader := d.Elect(1)
	d.Tick(3)
	hasLease(d, leader)
	last := leader.Clock() + leaseTicks*tick
	d.Isolate(leader)
	d.Say("the last round of store 1 began at %v at the latest, and a lease has %d ticks of %v", leader.Clock(), leaseTicks,
		tick)
	for range 30 {
		v := leader.View()
		d.Check(v.LeaseUntil <= last, fmt.Sprintf("no lease beyond %v", last), "%s", showLease(v.LeaseUntil))
		d.Tick(1, leader)
	}
	d.Check(leader.View().LeaseUntil == 0, "no lease: the leader has not heard from a quorum", "%s",
		showLease(leader.View().LeaseUntil))
}

// Ticks that are given late were due when they were due. The loop of the leader stands still for some of them.
func TestLateTicksMakeNoLongerLease(t *testing.T) {
	for _, late := range []time.Duration{tick + tick/10, 2*tick + tick/2, 5*tick + 9*tick/10, 7 * tick, 9*tick + tick/2} {
		d := open(t, ends, options{Config: withLeases})
		leader := d.Elect(1)
		d.Tick(3)
		hasLease(d, leader)
		last := leader.Clock() + leaseTicks*tick
		d.Isolate(leader)
		d.Say("the last round of store 1 began at %v at the latest, and a lease has %d ticks of %v", leader.Clock(), leaseTicks,
			tick)
		leader.Passes(late)
		for range 8 {
			d.Run()
			v := leader.View()
			d.Check(v.LeaseUntil <= last, fmt.Sprintf("no lease beyond %v", last), "%s", showLease(v.LeaseUntil))
			leader.Passes(tick/2 + tick/10)
		}
	}
}

// A round that is answered late grants a lease from when it began.
func TestLateAnswersMakeNoLongerLease(t *testing.T) {
	d := open(t, ends, options{Config: withLeases})
	leader := d.Elect(1)
	d.Tick(3)
	hasLease(d, leader)
	holdAnswers(d)
	d.Tick(1)
	last := leader.Clock() + leaseTicks*tick
	d.Say("a round begins at %v", leader.Clock())
	d.Isolate(leader)
	d.Tick(5, leader)
	d.Release()
	d.Run()
	v := leader.View()
	d.Check(v.LeaseUntil <= last, fmt.Sprintf("no lease beyond %v", last), "%s", showLease(v.LeaseUntil))
}

func TestEveryTickThatIsDueIsGiven(t *testing.T) {
	d := open(t, ends, options{Regions: 3, Config: withLeases})
	d.Elect(1)
	d.Tick(2)
	s := d.Store(2)
	d.Isolate(s)
	s.Passes(25*tick + tick/2)
	before := len(d.Sent)
	d.Run()
	campaigns := map[uint64]bool{}
	for i := range d.Sent[before:] {
		if m := &d.Sent[before+i]; m.Raft.Type == raft.MsgPreVote {
			campaigns[m.RegionID] = true
		}
	}
	d.Check(len(campaigns) == 3, "store 2 campaigns in its 3 regions: it heard nothing for 25 ticks, of which 20 count",
		"it does in %d", len(campaigns))
	next := s.Core.NextTick()
	want := s.Clock().Truncate(tick) + tick
	d.Check(next == want, fmt.Sprintf("at %v, the next tick is due at %v", s.Clock(), want), "at %v", next)
}

// A process that was stopped for ten years has three billion ticks to catch up with. Forty would do. Before that it was stopped
// for less, so that who gives all ticks is told so, and does not take for ever.
func TestManyTicksAreNotAllGiven(t *testing.T) {
	d := open(t, ends, options{Config: withLeases})
	s := d.Elect(1)
	d.Tick(3)
	d.Isolate(s)
	before := len(d.Sent)
	s.Passes(1000 * tick)
	d.Run()
	sent := len(d.Sent) - before
	d.Check(sent <= 40, "no more messages than come of 20 ticks: what is older has no effect any more",
		"%d messages, as many as come of all 1000", sent)
	s.Passes(10 * 365 * 24 * time.Hour)
	d.Run()
	next := s.Core.NextTick()
	d.Check(next > s.Clock() && next <= s.Clock()+tick, fmt.Sprintf("at %v, the next tick is due within %v", s.Clock(), tick),
		"at %v", next)
	d.Check(!leased(s), "no lease", "%s", showLease(s.View().LeaseUntil))
}

// While a new leader applies what the one before acknowledged, nobody may read its data.
func TestLeaseWaitsForAnEntryOfTheTerm(t *testing.T) {
	d := open(t, ownTerm, options{Config: all(withLeases, inPortions)})
	old := d.Elect(1)
	writesTogether(d, old, 12)
	next := d.Store(2)
	var r *request
	d.After = func(s *node, e store.Effect) {
		if _, ok := e.(store.Publish); !ok || s != next {
			return
		}
		if next.Leads() && r == nil {
			r = next.Reads("key11") // its round grants the lease at once
		}
		if leased(next) && next.Get("key11") != "v" {
			d.Brokenf("no lease before store 2 has applied an entry of its term: key11=v was acknowledged",
				"%s, applied up to %d/%d, term %d", showLease(next.View().LeaseUntil), next.Applied().Index, next.Applied().Term,
				next.View().Term)
		}
	}
	d.Overthrow(old, next)
	d.Tick(2, next, d.Store(3))
	d.Rule = cheap
	d.Check(leased(next), "a lease at last", "%s", showLease(next.View().LeaseUntil))
}

// minds ends the test if a message leaves that may make another leader while readers trust a lease of the sender.
func minds(d *desk) {
	d.Before = func(s *node, e store.Effect) {
		switch e := e.(type) {
		case store.Send:
			for i := range e.Messages {
				m := &e.Messages[i].Raft
				if v := s.View(); leased(s) && (m.Type == raft.MsgTimeoutNow || m.Term > v.Term) {
					d.Brokenf("the lease is withdrawn before this leaves: "+storedesk.ShowMessage(&e.Messages[i]),
						"readers of store %d trust a lease of term %d until %v; it is %v", s.ID, v.Term, v.LeaseUntil, s.Clock())
				}
			}
		case store.Halt:
			d.Check(!leased(s), "the lease is withdrawn before the store ends", "readers of store %d trust a lease until %v",
				s.ID, s.View().LeaseUntil)
		}
	}
}

func TestLeaseIsWithdrawnBeforeATransfer(t *testing.T) {
	d := open(t, withdrawn, options{Config: withLeases})
	leader := d.Elect(1)
	leader.Puts("a", "1")
	d.Tick(3)
	hasLease(d, leader)
	minds(d)
	r := leader.Transfers(d.Store(2))
	d.Run()
	d.Acked(r)
	d.Tick(2)
	d.Check(d.Store(2).Leads() && !leased(leader), "store 2 leads, and store 1 has no lease", "%s", d.Where())
	next := d.Store(2)
	d.Check(leased(next), "store 2 has one", "%s", showLease(next.View().LeaseUntil))
}

// A transfer may fail. Whoever was told to campaign may do so at any time: there is no lease any more in this term.
func TestLostTransferBringsNoLeaseBack(t *testing.T) {
	d := open(t, withdrawn, options{Config: withLeases})
	leader := d.Elect(1)
	d.Tick(3)
	hasLease(d, leader)
	minds(d)
	d.Say("the network holds calls to campaign")
	d.Net = func(m *replica.Message) storedesk.Fate {
		if m.Raft.Type == raft.MsgTimeoutNow {
			return storedesk.Hold
		}
		return storedesk.Deliver
	}
	leader.Transfers(d.Store(2))
	d.Run()
	for range 25 {
		d.Check(!leased(leader) || len(d.Held) == 0, "no lease of store 1: store 2 was told to campaign", "%s",
			showLease(leader.View().LeaseUntil))
		d.Tick(1)
	}
}

func TestLeaseIsWithdrawnByALaterTerm(t *testing.T) {
	d := open(t, withdrawn, options{Config: withLeases})
	leader := d.Elect(1)
	d.Tick(3)
	minds(d)
	hasLease(d, leader)
	deposes(d, leader)
	d.Run()
	d.Check(leader.View().LeaseUntil == 0, "no lease: there is another leader", "%s", showLease(leader.View().LeaseUntil))
}

func TestStoppedStoreHasNoLease(t *testing.T) {
	d := open(t, withdrawn, options{Regions: 2, Config: withLeases})
	leader := d.Elect(1)
	d.Tick(3)
	hasLease(d, leader)
	minds(d)
	d.Say("store 1 is asked to stop")
	leader.Hears(store.Stop{})
	d.Run()
	for id := uint64(1); id <= 2; id++ {
		d.Check(leader.View(id).LeaseUntil == 0, "no lease", "region %d: %s", id, showLease(leader.View(id).LeaseUntil))
	}
}

// What is withdrawn, and told at the end of a turn, is what the data store has.
func TestViewsAreTrue(t *testing.T) {
	d := open(t, news, options{Config: all(withLeases, inPortions)})
	d.After = func(s *node, e store.Effect) {
		p, ok := e.(store.Publish)
		if !ok {
			return
		}
		for _, v := range p.Views {
			d.Check(v.Applied.Index <= s.Applied().Index, "what is published as applied is in the data store",
				"store %d publishes %d, and has applied %d", s.ID, v.Applied.Index, s.Applied().Index)
			d.Check(v.Peer == storedesk.Peer(1, s.ID), "the peer's own name", "%v", v.Peer)
		}
	}
	leader := d.Elect(1)
	for i := range 5 {
		leader.Puts("a", fmt.Sprint(i))
	}
	d.Tick(2)
	leader.Transfers(d.Store(3))
	d.Run()
	d.Tick(2)
	for _, s := range d.Stores {
		v := s.View()
		d.Check(v.Applied == s.Applied() && v.Leader.StoreID == 3 && v.Term == s.State().Hard.Term,
			fmt.Sprintf("store %d publishes: term %d, leader on store 3, applied %d", s.ID, s.State().Hard.Term,
				s.Applied().Index), "%s", s.Where())
	}
}

func TestNothingIsPublishedWithoutNews(t *testing.T) {
	d := open(t, news, options{})
	leader := d.Elect(1)
	leader.Puts("a", "1")
	d.Tick(3)
	published := 0
	d.After = func(_ *node, e store.Effect) {
		if _, ok := e.(store.Publish); ok {
			published++
		}
	}
	d.Tick(20)
	r := leader.Reads("a")
	d.Run()
	serves(d, r, "1")
	d.Check(published == 0, "no view is published in 20 ticks in which nothing happens but heartbeats and a read", "%d are",
		published)
}

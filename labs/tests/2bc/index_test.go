// Reads by index: what they see, whom they ask, and what that costs.

package stage2bc_test

import (
	"fmt"
	"testing"

	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

func TestReadSeesWhatWasAcknowledged(t *testing.T) {
	d := open(t, newest, options{})
	leader := d.Elect(1)
	r := leader.Reads("a")
	d.Run()
	serves(d, r, storedesk.Nothing)
	for _, value := range []string{"1", "2", "3"} {
		leader.Puts("a", value)
		r = leader.Reads("a")
		d.Run()
		serves(d, r, value)
		d.Check(r.Term() == leader.View().Term, fmt.Sprintf("the answer bears the term of the leader: %d", leader.View().Term),
			"term %d", r.Term())
	}
	next := d.Overthrow(leader, d.Store(2))
	next.Puts("a", "4")
	r = next.Reads("a")
	d.Run()
	serves(d, r, "4")
	d.Check(r.Term() == next.View().Term, fmt.Sprintf("the answer bears the term of the leader: %d", next.View().Term),
		"term %d", r.Term())
}

func TestReadOfOneAloneIsServed(t *testing.T) {
	d := open(t, newest, options{Stores: 1})
	leader := d.Elect(1)
	leader.Puts("a", "1")
	r := leader.Reads("a")
	d.Run()
	serves(d, r, "1")
}

func TestReadWaitsForAQuorum(t *testing.T) {
	d := open(t, confirmed, options{Stores: 5})
	leader := d.Elect(1)
	leader.Puts("a", "1")
	d.Tick(2)
	d.Say("the network loses what stores 3, 4 and 5 answer")
	d.Net = func(m *replica.Message) storedesk.Fate {
		if isAnswer(m) && m.From.StoreID > 2 {
			return storedesk.Lose
		}
		return storedesk.Deliver
	}
	r := leader.Reads("a")
	d.Run()
	d.Tick(2)
	d.Waits(r, "only two of five follow this leader")
	d.Heal()
	d.Tick(2)
	serves(d, r, "1")
}

// A leader that was replaced, and does not know it, is asked.
func TestDeposedLeaderServesNothing(t *testing.T) {
	d := open(t, newest, options{})
	old := d.Elect(1)
	old.Puts("a", "1")
	next := d.Overthrow(old, d.Store(2))
	next.Puts("a", "2")
	d.Tick(2, next, d.Store(3))
	r := old.Reads("a")
	d.Run()
	d.Tick(3, old)
	d.Check(!r.Acknowledged(), r.What+" is not served: store 2 leads, and a=2 was acknowledged", "it sees %q", r.Values)
	d.Heal()
	d.Tick(3)
	d.Rule = oneAnswer
	notLeader(d, r, 2)
}

// The round that is under way began before the read: its answers may have been given before another leader was elected.
func TestOldRoundConfirmsNoNewRead(t *testing.T) {
	d := open(t, confirmed, options{})
	old := d.Elect(1)
	old.Puts("a", "1")
	holdAnswers(d)
	first := old.Reads("a")
	d.Run()
	d.Waits(first, "the answers of its round are held")
	d.Say("the network works, and what is held stays so")
	d.Net = nil
	next := d.Overthrow(old, d.Store(2))
	next.Puts("a", "2")
	second := old.Reads("a")
	d.Release()
	d.Run()
	d.Check(!second.Acknowledged(), second.What+" is not served: a=2 was acknowledged before it was asked",
		"it sees %q: the answers to the round of request %d were given before", second.Values, first.ID)
	third := old.Reads("a")
	d.Run()
	d.Check(!third.Acknowledged(), third.What+" is not served", "it sees %q", third.Values)
	d.Heal()
	d.Tick(3)
	d.Rule = oneAnswer
	notLeader(d, second, 2)
	notLeader(d, third, 2)
	d.Check(first.Answered(), first.What+" has an answer", "%s", first)
}

// Before a leader has committed an entry of its own term it does not know what is committed (Raft §8).
func TestReadWaitsForAnEntryOfTheTerm(t *testing.T) {
	d := open(t, newest, options{})
	old := d.Elect(1)
	old.Puts("a", "1")
	d.Say("the network loses entries and what tells of commitment, from now on")
	d.Net = func(m *replica.Message) storedesk.Fate {
		if m.From.StoreID == 2 && m.Raft.Type == raft.MsgApp {
			return storedesk.Lose
		}
		return storedesk.Deliver
	}
	var r *request
	next := d.Store(2)
	d.After = func(s *node, e store.Effect) {
		if _, ok := e.(store.Publish); ok && s == next && next.Leads() && r == nil {
			r = next.Reads("a")
		}
	}
	d.Seize(old, next)
	d.Check(r != nil, "store 2 publishes that it leads", "%s", d.Where())
	d.Tick(2, next, d.Store(3))
	d.Waits(r, "no entry of its term is committed")
	d.Net, d.After = nil, nil
	d.Tick(3, next, d.Store(3))
	serves(d, r, "1")
}

func TestReadWaitsUntilItsIndexIsApplied(t *testing.T) {
	d := open(t, appliedFirst, options{Config: inPortions})
	leader := d.Elect(1)
	var r *request
	var index uint64
	seen := "it never was"
	inTheMiddle(t, d, leader, 20, func(written int) {
		if written == 2 {
			d.Say("all 20 writes are committed; store 1 applies one in a turn, and has applied up to %d", leader.Applied().Index)
			index = leader.State().Last.Index
			r = leader.Reads("key19")
		}
		if r != nil && r.Acknowledged() && seen == "it never was" {
			seen = fmt.Sprintf("it was when %d was applied, and sees %q", leader.Applied().Index, r.Values)
		}
	})
	d.Check(r.Acknowledged() && r.Values[0] == "v",
		fmt.Sprintf("%s is answered when %d is applied, and sees %q", r.What, index, "v"), "%s", seen)
}

// The same after an election, where it matters most: the new leader has not yet applied what the old one acknowledged.
func TestNewLeaderCatchesUpBeforeItServes(t *testing.T) {
	d := open(t, newest, options{Config: inPortions})
	old := d.Elect(1)
	writesTogether(d, old, 12)
	next := d.Store(2)
	var r *request
	d.After = func(s *node, e store.Effect) {
		if _, ok := e.(store.Publish); ok && s == next && next.Leads() && r == nil {
			r = next.Reads("key11")
		}
	}
	d.Overthrow(old, next)
	serves(d, r, "v")
}

func TestOneRoundForAllReads(t *testing.T) {
	d := open(t, oneRound, options{})
	leader := d.Elect(1)
	leader.Puts("a", "1")
	const each = 100
	for round := range 3 {
		before := len(d.SentBy(leader, raft.MsgHeartbeat))
		var reads []*request
		for range each {
			reads = append(reads, leader.Reads("a"))
		}
		d.Done = d.Done[:len(d.Done)-each]
		d.Say("store 1 is asked %d reads at once", each)
		d.Run()
		sent := len(d.SentBy(leader, raft.MsgHeartbeat)) - before
		d.Check(sent <= 2, "at most one heartbeat to each of two followers", "%d heartbeats", sent)
		for _, r := range reads {
			d.Rule = oneAnswer
			serves(d, r, "1")
			d.Rule = oneRound
		}
		d.Done = d.Done[:1]
		d.Say("%d times %d reads were served", round+1, each)
	}
	d.Check(len(d.SentBy(leader, raft.MsgApp)) <= 2*4, "no entry for a read", "%d appends",
		len(d.SentBy(leader, raft.MsgApp)))
}

// Reads wait for what was committed when they came, and not for writes that are under way.
func TestReadsDoNotWaitForWrites(t *testing.T) {
	d := open(t, appliedFirst, options{})
	leader := d.Elect(1)
	leader.Puts("a", "1")
	d.Say("the network holds acknowledgements of entries")
	d.Net = func(m *replica.Message) storedesk.Fate {
		if m.Raft.Type == raft.MsgAppResp {
			return storedesk.Hold
		}
		return storedesk.Deliver
	}
	w := leader.Writes("a", "2")
	d.Run()
	r := leader.Reads("a")
	d.Run()
	d.Waits(w, "nobody acknowledged its entry")
	serves(d, r, "1")
	letThrough(d)
	d.Acked(w)
}

func TestRegionsReadEachForItself(t *testing.T) {
	d := open(t, confirmed, options{Regions: 2})
	d.Elect(1)
	d.Store(1).Puts("a", "1")
	d.Store(1).Puts("b", "2")
	d.Say("the network holds what followers answer in region 2")
	d.Net = func(m *replica.Message) storedesk.Fate {
		if isAnswer(m) && m.RegionID == 2 {
			return storedesk.Hold
		}
		return storedesk.Deliver
	}
	a, b := d.Store(1).Reads("a"), d.Store(1).Reads("b")
	d.Run()
	serves(d, a, "1")
	d.Waits(b, "its region has no quorum")
	letThrough(d)
	serves(d, b, "2")
}

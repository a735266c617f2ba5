// The fate of proposals: acknowledged, stale, undetermined, or still waiting.

package stage2bb_test

import (
	"fmt"
	"slices"
	"testing"

	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

func TestAcknowledgedWhenItIsApplied(t *testing.T) {
	d := open(t, acknowledged, options{})
	leader := d.Elect(1)
	d.Before = func(s *server, e store.Effect) {
		if a, ok := e.(store.Answer); ok {
			for _, answer := range a.Answers {
				at, want := s.Applied(), fmt.Sprint(answer.ID)
				if answer.Err == nil && s.Get("k"+want) != want {
					d.Brokenf("k"+want+"="+want+" is in the data store when request "+want+" is acknowledged", "applied %d, it has %s",
						at.Index, s.Get("k"+want))
				}
			}
		}
	}
	for i := range uint64(5) {
		id := fmt.Sprint(i + 1)
		r := leader.Writes("k"+id, id)
		d.Run()
		d.Acked(r)
	}
}

// Nobody but the leader has the entry: that is not enough.
func TestNoAcknowledgementWithoutAQuorum(t *testing.T) {
	d := open(t, acknowledged, options{})
	leader := d.Elect(1)
	d.Net = func(m *replica.Message) storedesk.Fate {
		if m.Raft.Type == raft.MsgAppResp {
			return storedesk.Hold
		}
		return storedesk.Deliver
	}
	r := leader.Writes("a", "1")
	d.Run()
	d.Waits(r, "the acknowledgements of the followers are on their way")
	d.Check(leader.Get("a") == storedesk.Nothing, "nothing is applied that is not committed", "a=%s", leader.Get("a"))
	d.Release()
	d.Run()
	d.Acked(r)
}

// Writes that come together are answered each by its own entry.
func TestEachCallerHasItsOwnEntry(t *testing.T) {
	d := open(t, acknowledged, options{Regions: 2})
	leader := d.Elect(1)
	var all []*request
	for i := range 10 {
		all = append(all, leader.Writes(string(rune('a'+i%2)), fmt.Sprint(i)))
	}
	bad := leader.WritesBatch(storedesk.Put("b", "outside"))
	d.Run()
	for _, r := range all {
		d.Acked(r)
	}
	refused[*region.KeyNotInRegionError](d, bad, "b is in region 2")
	d.Check(leader.Get("a") == "8" && leader.Get("b") == "9", "the last writes win: a=8 b=9", "%s", leader.Pairs())
}

// Two leaders put different entries at one index. The one whose entry was overwritten must not take the other's for its own.
func TestOverwrittenProposalIsStale(t *testing.T) {
	d := open(t, lost, options{})
	old := d.Elect(1)
	d.Isolate(old)
	r := old.Writes("a", "lost")
	d.Run()
	index := last(old)
	next := d.Elect(2)
	d.Waits(r, "store 1 does not know what became of it")
	next.Puts("a", "kept")
	d.Check(last(next) >= index, "an entry of term 7 at that index", "the log ends at %d", last(next))
	d.Heal()
	d.Tick(3)
	refused[*region.StaleCommandError](d, r, "an entry of a later term is at its index")
	for _, s := range d.Stores {
		d.Check(s.Get("a") == "kept", "a=kept on all stores", "a=%s on store %d", s.Get("a"), s.ID)
	}
}

// One entry of a later term decides all that the earlier leader had proposed, wherever it would have been: what was before
// is applied, and nothing of an earlier term comes after.
func TestLaterTermDecidesAllOfTheEarlier(t *testing.T) {
	d := open(t, lost, options{})
	old := d.Elect(1)
	kept := old.Writes("a", "kept")
	d.Net = func(m *replica.Message) storedesk.Fate {
		if m.Raft.Type == raft.MsgAppResp {
			return storedesk.Lose
		}
		return storedesk.Deliver
	}
	d.Run() // all have the first, and the leader does not know
	d.Isolate(old)
	var gone []*request
	for i := range 20 {
		gone = append(gone, old.Writes("a", fmt.Sprint(i)))
	}
	d.Run()
	d.Heal()
	d.Isolate(old)
	next := d.Elect(2)
	d.Check(last(next) < last(old), "the successor's log ends before the proposals", "at %d, the other at %d", last(next),
		last(old))
	d.Heal()
	d.Tick(3)
	d.Acked(kept)
	for _, r := range gone {
		refused[*region.StaleCommandError](d, r, "the successor's first entry is applied")
	}
	d.Check(old.Get("a") == "kept", "a=kept", "a=%s", old.Get("a"))
}

// The entry of a leader that was lost sight of is committed by its successor: its caller is told so.
func TestWriteOutlivesItsLeader(t *testing.T) {
	d := open(t, waits, options{})
	old := d.Elect(1)
	d.Net = func(m *replica.Message) storedesk.Fate {
		if m.To.StoreID == old.ID {
			return storedesk.Lose
		}
		return storedesk.Deliver
	}
	r := old.Writes("a", "1")
	d.Run()
	d.Isolate(old)
	d.Net = nil
	next := d.Elect(2)
	d.Tick(30) // the old leader finds out that it leads no more
	d.Check(!old.Leads(), "store 1 has stepped down", "%s", old.Where())
	d.Waits(r, "store 1 does not know what became of it")
	d.Check(next.Get("a") == "1", "the successor has committed it: a=1", "a=%s", next.Get("a"))
	d.Heal()
	d.Tick(3)
	d.Acked(r)
	d.Check(r.Term() == 6, "the answer names term 6, in which it was proposed", "term %d", r.Term())
}

// The peer leads again before it has applied what its successor put there: the earlier proposals are decided by that, the
// later one by its own entry.
func TestProposalsOfTwoTermsWaitTogether(t *testing.T) {
	d := open(t, lost, options{})
	s := d.Elect(1)
	d.Isolate(s)
	early := []*request{s.Writes("a", "early1"), s.Writes("a", "early2"), s.Writes("a", "early3")}
	d.Run()
	other := d.Elect(2)
	between := other.Writes("a", "between")
	d.Run()
	d.Acked(between)
	d.Heal()
	d.Net = func(m *replica.Message) storedesk.Fate { // store 1 hears of the entries, but not that they are committed
		m.Raft.Commit = min(m.Raft.Commit, 6)
		return storedesk.Deliver
	}
	d.Tick(3)
	for _, r := range early {
		d.Waits(r, "nothing is applied in their place yet")
	}
	d.Isolate(other)
	d.Net = func(m *replica.Message) storedesk.Fate {
		if m.Raft.Type == raft.MsgAppResp && m.To.StoreID == s.ID {
			return storedesk.Hold
		}
		return storedesk.Deliver
	}
	d.Promote(1)
	late := s.Writes("a", "late")
	d.Run()
	d.Waits(late, "nobody has acknowledged it")
	d.Net = nil
	d.Release()
	d.Tick(2)
	for _, r := range early {
		refused[*region.StaleCommandError](d, r, "an entry of term 7 is applied in their place")
	}
	d.Acked(late)
	d.Check(s.Get("a") == "late", "a=late", "a=%s", s.Get("a"))
}

func TestCancelledWriteIsAnsweredByItsFate(t *testing.T) {
	d := open(t, cancelled, options{})
	leader := d.Elect(1)
	d.Net = loseAll
	r, other := leader.Writes("a", "1"), leader.Writes("b", "2")
	leader.Cancels(r)
	d.Run()
	d.Waits(r, "store 1 leads still, and its fate will be known soon")
	d.Tick(1)
	d.Waits(r, "store 1 leads still, and its fate will be known soon")
	d.Heal()
	d.Tick(2)
	d.Acked(r)
	d.Acked(other)
	leader.Cancels(r)
	leader.Cancels(other)
	d.Tick(1) // they were answered: nothing happens
}

func TestCancelledWriteIsUndeterminedAfterLeadership(t *testing.T) {
	for _, cancelFirst := range []bool{true, false} {
		d := open(t, cancelled, options{})
		old := d.Elect(1)
		d.Isolate(old)
		given, kept := old.Writes("a", "given up"), old.Writes("b", "kept")
		d.Run()
		if cancelFirst {
			old.Cancels(given)
			d.Run()
			d.Waits(given, "store 1 leads still")
		}
		d.Elect(2)
		d.Tick(30)
		d.Check(!old.Leads(), "store 1 has stepped down", "%s", old.Where())
		if !cancelFirst {
			d.Waits(given, "nobody has given up, and store 1 may still learn what became of it")
			old.Cancels(given)
			d.Run()
		}
		refused[*region.UndeterminedError](d, given, "nobody waits, and store 1 leads no more")
		d.Waits(kept, "its caller waits still")
		d.Heal()
		d.Tick(3)
		refused[*region.StaleCommandError](d, kept, "an entry of a later term is in its place")
	}
}

// The peer leads again, in another term: for a proposal of the earlier one that is as good as not leading.
func TestCancelledWriteOfAnEarlierTerm(t *testing.T) {
	d := open(t, cancelled, options{})
	s := d.Elect(1)
	d.Net = loseAll
	r := s.Writes("a", "1")
	d.Tick(30)
	d.Check(!s.Leads(), "store 1, which hears from nobody, steps down", "%s", s.Where())
	d.Waits(r, "its entry may still be committed")
	d.Net = func(m *replica.Message) storedesk.Fate {
		if m.Raft.Type == raft.MsgAppResp {
			return storedesk.Lose
		}
		return storedesk.Deliver
	}
	d.Promote(1)
	d.Waits(r, "its caller waits")
	s.Cancels(r)
	d.Run()
	refused[*region.UndeterminedError](d, r, "it was proposed in a term in which store 1 does not lead any more")
	d.Heal()
	d.Tick(5)
}

// A store that was away for long gets a snapshot: it shows what became of the data, not of single writes.
func TestSnapshotTellsWhatCanBeKnown(t *testing.T) {
	d := open(t, covered, options{Config: func(c *store.Config) {
		c.Limits = replica.Limits{CompactEntries: 4, MaxLagEntries: 4}
	}})
	old := d.Elect(1)
	d.Isolate(old)
	var all []*request
	var indexes []uint64
	for i := range 60 {
		all = append(all, old.Writes("a", fmt.Sprint(i)))
		d.Run()
		indexes = append(indexes, last(old))
	}
	next := d.Elect(2)
	for i := range 20 {
		next.Puts("b", fmt.Sprint(i))
		d.Tick(1)
	}
	for _, r := range all {
		d.Waits(r, "store 1 does not know what became of it")
	}
	d.Heal()
	old.HoldJobs = func(e store.Effect) bool { // nothing behind the snapshot is applied: it alone tells
		_, install := e.(store.Install)
		return install
	}
	for range 20 {
		if old.View().Installs > 0 {
			break
		}
		d.Tick(1)
	}
	at := old.State().Truncated
	d.Check(at.Index > indexes[0] && at.Index < indexes[59], "a snapshot in the midst of the proposals",
		"its log begins behind %d", at.Index)
	for i, r := range all {
		if indexes[i] <= at.Index {
			refused[*region.UndeterminedError](d, r, fmt.Sprintf("its index %d is within the snapshot at %d", indexes[i], at.Index))
			continue
		}
		refused[*region.StaleCommandError](d, r,
			fmt.Sprintf("its index %d is after the snapshot at %d, which is of a later term", indexes[i], at.Index))
	}
	for _, j := range slices.Clone(old.Jobs) {
		j.Finish()
	}
	d.Tick(5)
	d.Check(old.Pairs() == next.Pairs(), "store 1 has what store 2 has: "+next.Pairs(), "%s", old.Pairs())
}

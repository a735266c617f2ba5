// Promises of whole stores: what leaves before the write and what after it, and what a restart remembers.

package stage2ba_test

import (
	"fmt"
	"slices"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

// keeps are all that a crash may do.
var keeps = []storedesk.Keep{storedesk.LoseUnsynced, storedesk.KeepAll, storedesk.KeepSome}

// watchPromises ends the test if a message leaves that promises what is not durable, on any store that starts, or has just
// started, when it is called.
func watchPromises(d *desk) {
	durable := map[*server]map[uint64]raftlog.State{}
	note := func(s *server) {
		durable[s] = map[uint64]raftlog.State{}
		for i := range d.Regions {
			durable[s][d.Regions[i].ID] = s.State(d.Regions[i].ID)
		}
	}
	for _, s := range d.Stores {
		note(s) // a log makes durable what it finds
	}
	d.Before = func(s *server, e store.Effect) {
		if send, ok := e.(store.Send); ok {
			for i := range send.Messages {
				checkPromise(d, s, &send.Messages[i], durable[s][send.Messages[i].RegionID])
			}
		}
	}
	d.After = func(s *server, e store.Effect) {
		if w, ok := e.(store.WriteLog); ok && w.Durability == engine.Synced {
			note(s)
		}
	}
}

func checkPromise(d *desk, s *server, m *replica.Message, durable raftlog.State) {
	r, hard := &m.Raft, durable.Hard
	want := ""
	switch {
	case r.Type == raft.MsgPreVote || r.Type == raft.MsgPreVoteResp:
		return
	case hard.Term < r.Term:
		want = fmt.Sprintf("term %d is durable before a message shows it", r.Term)
	case r.Type == raft.MsgVoteResp && !r.Reject && hard.Term == r.Term && hard.Vote != r.To:
		want = fmt.Sprintf("the vote for %d is durable before it is sent", r.To)
	case r.Type == raft.MsgAppResp && !r.Reject && hard.Term == r.Term && durable.Last.Index < r.Index:
		want = fmt.Sprintf("entries up to %d are durable before they are acknowledged", r.Index)
	default:
		return
	}
	d.Brokenf(want, "store %d sends %s; durable are %s, entries up to %d/%d", s.ID, storedesk.ShowMessage(m),
		storedesk.ShowHard(hard), durable.Last.Index, durable.Last.Term)
}

// crashBefore lets a store crash before its n-th effect from now on, counted from 0.
func crashBefore(d *desk, s *server, n int, keep storedesk.Keep) {
	before := d.Before
	d.Before = func(o *server, e store.Effect) {
		if o == s {
			if n == 0 {
				d.Say("before %s:", s.Name(e))
				s.Crash(keep)
				n--
				return
			}
			n--
		}
		if before != nil {
			before(o, e)
		}
	}
}

// eachCrash plays a story with a crash before each effect of a store in turn, for all that a crash may do, until the story
// ends without one.
func eachCrash(t *testing.T, begin func() (*desk, *server), story func(d *desk, s *server), after func(d *desk, s *server)) {
	t.Helper()
	for _, keep := range keeps {
		for n := 0; ; n++ {
			d, s := begin()
			crashBefore(d, s, n, keep)
			story(d, s)
			if s.Core != nil {
				if n == 0 {
					d.Broken("a store that has something to do", "no effect at all")
				}
				break
			}
			d.Before = nil
			s.Start()
			after(d, s)
		}
	}
}

func lost(*replica.Message) storedesk.Fate { return storedesk.Lose }

// answersOf are the answers of a store that say yes, of one type.
func granted(d *desk, s *server, t raft.MessageType) []replica.Message {
	return slices.DeleteFunc(d.SentBy(s, t), func(m replica.Message) bool { return m.Raft.Reject })
}

func TestVoteIsDurableBeforeItIsSent(t *testing.T) {
	vote := raft.Message{Type: raft.MsgVote, Term: 6, Index: 5, LogTerm: 5}
	eachCrash(t, func() (*desk, *server) {
		d := storedesk.Open(t, promises, options{})
		d.Net = lost
		return d, d.Store(2)
	}, func(d *desk, s *server) {
		d.Say("store 3 asks store 2 for its vote in term 6")
		d.Arrive(d.Envelope(3, 2, vote))
		d.Run()
	}, func(d *desk, s *server) {
		before := granted(d, s, raft.MsgVoteResp)
		d.Say("store 1 asks store 2 for its vote in term 6")
		d.Arrive(d.Envelope(1, 2, vote))
		d.Run()
		if all := granted(d, s, raft.MsgVoteResp); len(before) > 0 && len(all) > len(before) {
			d.Broken("one vote in term 6", "store 2 has voted for store 3 and for store 1")
		}
	})
}

// put makes an entry that puts a pair.
func put(index, term uint64, key, value string) raft.Entry {
	return storedesk.PutEntry(index, term, key, value)
}

func appendOf(term, after, afterTerm, commit uint64, list ...raft.Entry) raft.Message {
	return raft.Message{Type: raft.MsgApp, Term: term, Index: after, LogTerm: afterTerm, Commit: commit, Entries: list}
}

func TestAcknowledgementFollowsTheWrite(t *testing.T) {
	eachCrash(t, func() (*desk, *server) {
		d := storedesk.Open(t, promises, options{})
		d.Net = lost
		watchPromises(d)
		return d, d.Store(2)
	}, func(d *desk, s *server) {
		d.Arrive(d.Envelope(1, 2, appendOf(6, 5, 5, 5, raft.Entry{Index: 6, Term: 6}, put(7, 6, "a", "1"))))
		d.Run()
		d.Arrive(d.Envelope(1, 2, appendOf(6, 7, 6, 6, put(8, 6, "b", "2"))))
		d.Run()
	}, func(d *desk, s *server) {
		for _, m := range granted(d, s, raft.MsgAppResp) {
			if last := s.State().Last; last.Index < m.Raft.Index {
				d.Brokenf(fmt.Sprintf("the entries up to %d, which store 2 has acknowledged", m.Raft.Index),
					"its log ends at %d/%d", last.Index, last.Term)
			}
		}
	})
}

// A whole cluster is watched: elections, writes, a change of leader, whose successor replaces what only the old one has.
func TestPromisesInACluster(t *testing.T) {
	d := storedesk.Open(t, promises, options{Regions: 2})
	watchPromises(d)
	leader := d.Elect(1)
	for _, key := range []string{"a", "b", "c"} {
		leader.Puts(key, "1")
	}
	d.Tick(1)
	d.Isolate(leader)
	leader.Writes("a", "lost")
	leader.Writes("b", "lost")
	d.Tick(3)
	next := d.Elect(2)
	next.Puts("a", "2")
	d.Heal()
	d.Tick(3)
	d.Check(leader.Get("a") == "2", "a=2 on store 1, too", "%s", leader.Get("a"))
}

// What a leader of a later term replaces is gone from the follower's disk when it says so.
func TestFollowersReplaceWhatConflicts(t *testing.T) {
	for _, keep := range keeps {
		d := storedesk.Open(t, replaced, options{})
		d.Net = lost
		s := d.Store(2)
		d.Arrive(d.Envelope(1, 2, appendOf(6, 5, 5, 5, raft.Entry{Index: 6, Term: 6}, put(7, 6, "a", "1"), put(8, 6, "b", "1"),
			put(9, 6, "c", "1"))))
		d.Run()
		d.Arrive(d.Envelope(3, 2, appendOf(7, 6, 6, 5, raft.Entry{Index: 7, Term: 7})))
		d.Run()
		s.Restart(keep)
		state, list := s.OnDisk()
		if state.Last != (raftlog.Position{Index: 7, Term: 7}) || len(list) != 2 {
			d.Broken("the log of store 2 is [6/6 no-op, 7/7 no-op]", storedesk.ShowEntries(list))
		}
		d.Arrive(d.Envelope(3, 2, appendOf(7, 7, 7, 8, put(8, 7, "d", "1"))))
		d.Run()
		d.Check(s.Pairs() == "default: d=1", "store 2 applies d=1 and nothing of term 6", "it has %s", s.Pairs())
	}
}

func TestRestartRemembersItsVote(t *testing.T) {
	for _, keep := range keeps {
		d := storedesk.Open(t, restarts, options{})
		d.Net = lost
		s := d.Store(2)
		d.Arrive(d.Envelope(3, 2, raft.Message{Type: raft.MsgVote, Term: 9, Index: 5, LogTerm: 5}))
		d.Run()
		d.Check(len(granted(d, s, raft.MsgVoteResp)) == 1, "store 2 votes for store 3 in term 9", "it does not")
		s.Restart(keep)
		d.Arrive(d.Envelope(1, 2, raft.Message{Type: raft.MsgVote, Term: 9, Index: 5, LogTerm: 5}))
		d.Arrive(d.Envelope(1, 2, raft.Message{Type: raft.MsgVote, Term: 8, Index: 5, LogTerm: 5}))
		d.Run()
		d.Check(len(granted(d, s, raft.MsgVoteResp)) == 1, "no second vote in term 9, and none in term 8", "%s",
			s.Where())
		d.Arrive(d.Envelope(3, 2, raft.Message{Type: raft.MsgVote, Term: 9, Index: 5, LogTerm: 5}))
		d.Run()
		d.Check(len(granted(d, s, raft.MsgVoteResp)) == 2, "the same vote again", "%s", s.Where())
	}
}

// A store that comes back applies what it knows to be committed, without a word of anybody.
func TestRestartAppliesWhatIsCommitted(t *testing.T) {
	d := storedesk.Open(t, restarts, options{})
	leader := d.Elect(1)
	leader.Puts("a", "1")
	leader.Puts("b", "2")
	d.Tick(2)
	for _, s := range d.Stores {
		d.Check(s.State().Hard.Commit == 8, fmt.Sprintf("store %d has written the commit index 8", s.ID), "%s",
			storedesk.ShowHard(s.State().Hard))
	}
	s := d.Store(3)
	s.DataLost()
	d.Isolate(s)
	d.Run()
	d.Check(s.Applied().Index == 8 && s.Pairs() == "default: a=1 b=2", "store 3 applies up to 8 again: a=1 b=2",
		"applied %d: %s", s.Applied().Index, s.Pairs())
}

func TestRestartGoesOnAlone(t *testing.T) {
	for _, keep := range keeps {
		d := storedesk.Open(t, restarts, options{Stores: 1})
		s := d.Elect(1)
		term := s.View().Term
		s.Puts("a", "1")
		s.Restart(keep)
		d.Elect(1)
		d.Check(s.View().Term > term, fmt.Sprintf("a term after %d", term), "term %d", s.View().Term)
		s.Puts("b", "2")
		d.Check(s.Pairs() == "default: a=1 b=2", "a=1 b=2", "%s", s.Pairs())
	}
}

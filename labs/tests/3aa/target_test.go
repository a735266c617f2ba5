// The target's side, and what the others make of it.

package stage3aa_test

import (
	"fmt"
	"testing"

	"tinykv/raft"
)

// Who is told campaigns in the next term: no pre-vote, which the others would refuse as they hear from their leader.
func TestCampaignIsAtOnceAndForced(t *testing.T) {
	d := cluster(t, overrides, upTo(5))
	p := d.Elect(1)
	d.Tick(1) // everybody has just heard from node 1
	term := p.Term()
	d.Sent = nil
	transfer(p, 4)
	d.Run()
	d.Check(len(d.SentOf(raft.MsgPreVote)) == 0, "no PreVote", "%d of them", len(d.SentOf(raft.MsgPreVote)))
	asked := d.SentOf(raft.MsgVote)
	d.Check(len(asked) == 4, "four vote requests", "%d", len(asked))
	for _, m := range asked {
		d.Check(m.From == 4 && m.Term == term+1 && m.Force, "Vote of node 4 in the next term, with Force",
			"from %d in term %d, Force is %v", m.From, m.Term, m.Force)
	}
	leads(d, 4, term+1)
}

// follower makes node 1 follow node 2 in a term that it heard of by a heartbeat.
func follower(d *desk, id, term uint64) *node {
	n := d.Node(id)
	n.Hear(raft.Message{Type: raft.MsgHeartbeat, From: 2, Term: term})
	return n
}

// TimeoutNow is no order of anybody: it must come from the leader of the term, and be for a follower that votes.
func TestTimeoutNowIsObeyedFromTheLeaderOnly(t *testing.T) {
	conf := raft.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4}}
	call := raft.Message{Type: raft.MsgTimeoutNow, From: 2, Term: 5}
	for _, c := range []struct {
		name string
		id   uint64
		call raft.Message
		want bool
	}{
		{"from the leader", 1, call, true},
		{"from a leader of an earlier term", 1, raft.Message{Type: call.Type, From: 2, Term: 4}, false},
		{"from another node of the term", 1, raft.Message{Type: call.Type, From: 3, Term: 5}, false},
		{"to a learner", 4, call, false},
	} {
		d := cluster(t, obeyed, conf)
		d.Say("TimeoutNow %s", c.name)
		n := follower(d, c.id, 5)
		asked := find(n.Hear(c.call), raft.MsgVote)
		d.Check((len(asked) > 0) == c.want && (n.Term() == 6) == c.want,
			fmt.Sprintf("node %d campaigns: %v", c.id, c.want), "%d vote requests, term %d", len(asked), n.Term())
	}
}

// A node that takes part in an election of the term, or does not know who leads it, follows nobody.
func TestTimeoutNowIsObeyedByFollowersOnly(t *testing.T) {
	d := cluster(t, obeyed, upTo(3), with(raft.Config{DisablePreVote: true}))
	n := d.Node(1)
	n.Must("Campaign()", n.Campaign())
	n.Drain()
	term := n.Term()
	asked := find(n.Hear(raft.Message{Type: raft.MsgTimeoutNow, From: 2, Term: term}), raft.MsgVote)
	d.Check(len(asked) == 0 && n.Term() == term, fmt.Sprintf("a candidate of term %d stays it", term),
		"%d vote requests, term %d", len(asked), n.Term())

	d = cluster(t, obeyed, upTo(3))
	n = d.Node(1)
	n.Hear(raft.Message{Type: raft.MsgVote, From: 3, Term: 5, Index: 1, LogTerm: 1})
	asked = find(n.Hear(raft.Message{Type: raft.MsgTimeoutNow, From: 2, Term: 5}), raft.MsgVote)
	d.Check(len(asked) == 0 && n.Term() == 5, "a node that follows nobody in term 5 does not campaign",
		"%d vote requests, term %d", len(asked), n.Term())
}

// A node that does not belong to the cluster yet has no vote, and does not campaign for one.
func TestTimeoutNowToAStrangerIsIgnored(t *testing.T) {
	d := cluster(t, obeyed, upTo(3))
	disk := raft.NewMemoryStorage()
	disk.Bootstrap(voters(1, 2, 3))
	n := d.Start(9, disk)
	follower(d, 9, 5)
	n.Hear(raft.Message{Type: raft.MsgTimeoutNow, From: 2, Term: 5})
	d.Check(n.Role() == raft.StateFollower && n.Term() == 5, "node 9 follows in term 5", "it is a %v in term %d",
		n.Role(), n.Term())
}

// A node that knows of a committed change, and has not applied it, would campaign in a configuration that is over. It
// answers the call when it has applied the change, and only if it is still of that term.
func TestCallWaitsForAConfigurationChange(t *testing.T) {
	for _, overtaken := range []bool{false, true} {
		d := cluster(t, obeyed, upTo(3))
		n := follower(d, 1, 5)
		e := raft.Entry{Term: 5, Index: 2, Type: raft.EntryConfChange, Data: change(add(4)).Encode()}
		calls := []raft.Message{
			{Type: raft.MsgApp, From: 2, To: 1, Term: 5, Index: 1, LogTerm: 1, Commit: 2, Entries: []raft.Entry{e}},
			{Type: raft.MsgTimeoutNow, From: 2, To: 1, Term: 5},
		}
		if overtaken {
			calls = append(calls, raft.Message{Type: raft.MsgHeartbeat, From: 3, To: 1, Term: 6})
		}
		d.Say("node 1 gets a committed change, and before it applies it: TimeoutNow; a later leader is heard of: %v",
			overtaken)
		for _, m := range calls {
			if err := n.Step(m); err != nil {
				d.Say("  refused: %v", err)
			}
		}
		early := n.Role()
		d.Check(early == raft.StateFollower, "node 1 does not campaign before it has applied the change", "it is a %v", early)
		asked := find(n.Drain(), raft.MsgVote)
		if overtaken {
			d.Check(len(asked) == 0 && n.Term() == 6, "node 1 follows node 3 in term 6", "%d vote requests, term %d",
				len(asked), n.Term())
			continue
		}
		d.Check(len(asked) == 3 && asked[0].Force, "after that it asks the three others, with Force", "%d vote requests",
			len(asked))
	}
}

// A call is for once: a node that campaigned and lost does not campaign again by itself when it applies something.
func TestCallIsForItsTermOnly(t *testing.T) {
	d := cluster(t, obeyed, upTo(3))
	n := follower(d, 1, 5)
	n.Hear(raft.Message{Type: raft.MsgTimeoutNow, From: 2, Term: 5})
	e := raft.Entry{Term: 6, Index: 2}
	asked := find(n.Hear(raft.Message{Type: raft.MsgApp, From: 3, Term: 6, Index: 1, LogTerm: 1, Commit: 2,
		Entries: []raft.Entry{e}}), raft.MsgVote)
	d.Check(len(asked) == 0 && n.Term() == 6 && n.Lead() == 3, "node 1 lost to node 3 and follows it in term 6",
		"%d vote requests, term %d, follows %d", len(asked), n.Term(), n.Lead())
}

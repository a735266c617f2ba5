// What this stage asks of a node, and what it watches at every Ready: promises are durable before they are sent.

package stage2aa_test

import (
	"fmt"
	"testing"

	"tinykv/labs/tests/explain"
	"tinykv/labs/tests/raftdesk"
	"tinykv/raft"
	"tinykv/raft/rafttest"
)

func plainVotes(c *raft.Config) { c.DisablePreVote = true }
func manyTicks(c *raft.Config)  { c.ElectionTicks, c.HeartbeatTicks = 100, 1 }
func stubborn(c *raft.Config)   { c.DisableCheckQuorum = true }

func voters(n int) []uint64 { return upTo(n).Voters }

func heartbeat(from, term uint64) raft.Message { return raftdesk.Heartbeat(from, term, 0) }

// begin opens a desk whose nodes are watched.
func begin(t *testing.T, rule explain.Rule) *desk {
	d := raftdesk.Open(t, rule)
	d.BeforeWrite = func(n *node, rd raft.Ready) {
		t.Helper()
		promises(n, rd.Immediate())
		keepsItsWord(n, rd.HardState)
	}
	d.AfterWrite = func(n *node, rd raft.Ready) {
		t.Helper()
		promises(n, rd.Messages)
	}
	return d
}

// keepsItsWord checks that a hard state that is about to be written takes back no term and no vote.
func keepsItsWord(n *node, next raft.HardState) {
	n.D.T.Helper()
	before, _, _ := n.Disk.InitialState()
	switch {
	case next.IsEmpty():
	case next.Term < before.Term:
		terms.Broken(n.D.T, n.D.Record(), "a term not before "+hardState(before), hardState(next))
	case next.Term == before.Term && before.Vote != raft.None && next.Vote != before.Vote:
		oneVote.Broken(n.D.T, n.D.Record(), "in this term still "+hardState(before), hardState(next))
	}
}

// promises checks that what is about to be sent shows no vote that a crash could take back.
func promises(n *node, ms []raft.Message) {
	n.D.T.Helper()
	hard, _, _ := n.Disk.InitialState()
	for i := range ms {
		m := &ms[i]
		kept := true
		switch {
		case m.Type == raft.MsgVote:
			kept = hard.Term > m.Term || hard.Term == m.Term && hard.Vote == n.ID
		case m.Type == raft.MsgVoteResp && !m.Reject:
			kept = hard.Term > m.Term || hard.Term == m.Term && hard.Vote == m.To
		}
		if !kept {
			oneVote.Broken(n.D.T, n.D.Record()+"\n     would send "+rafttest.FormatMessage(m),
				"the vote in it is durable first", "durable is "+hardState(hard))
		}
	}
}

// untilItAsks ticks until the node asks for a vote or a pre-vote, and returns how many ticks that took. After limit
// ticks it gives up and returns limit+1.
func untilItAsks(n *node, limit int) int {
	n.D.T.Helper()
	for i := 1; i <= limit; i++ {
		n.Tick()
		if len(asks(n.Drain())) > 0 {
			return i
		}
	}
	return limit + 1
}

// asks returns the questions of a campaign.
func asks(ms []raft.Message) []raft.Message {
	return append(find(ms, raft.MsgPreVote), find(ms, raft.MsgVote)...)
}

// answer returns the answer of a type, of which there must be at least one; if there are several they must agree.
func answer(n *node, ms []raft.Message, t raft.MessageType, to uint64) raft.Message {
	n.D.T.Helper()
	got := find(ms, t, to)
	if len(got) == 0 {
		n.D.Broken(fmt.Sprintf("node %d answers node %d with %v", n.ID, to, t), spoken(ms))
	}
	for _, m := range got {
		if m.Reject != got[0].Reject {
			n.D.Broken("one answer to one question", spoken(got))
		}
	}
	return got[len(got)-1]
}

// votes asks the node for its vote and returns whether it is granted. No answer is a no.
func votes(n *node, kind raft.MessageType, from, term, index, logTerm uint64) bool {
	n.D.T.Helper()
	ms := n.Hear(raft.Message{Type: kind, From: from, Term: term, Index: index, LogTerm: logTerm})
	want := raft.MsgVoteResp
	if kind == raft.MsgPreVote {
		want = raft.MsgPreVoteResp
	}
	got := find(ms, want, from)
	return len(got) > 0 && !got[0].Reject
}

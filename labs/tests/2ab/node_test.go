// What this stage asks of a node, and what it watches at every Ready: appends hold what is in the leader's log.

package stage2ab_test

import (
	"fmt"
	"slices"
	"testing"

	"tinykv/labs/tests/explain"
	"tinykv/labs/tests/raftdesk"
	"tinykv/raft"
	"tinykv/raft/rafttest"
)

func plainVotes(c *raft.Config) { c.DisablePreVote = true }

func voters(n int) []uint64 { return upTo(n).Voters }

// begin opens a desk whose nodes are watched.
func begin(t *testing.T, rule explain.Rule) *desk {
	d := raftdesk.Open(t, rule)
	d.AfterWrite = func(n *node, rd raft.Ready) {
		t.Helper()
		truthful(n, rd.Messages)
	}
	return d
}

// truthful checks that appends hold what is in the log of who sends them.
func truthful(n *node, ms []raft.Message) {
	n.D.T.Helper()
	for i := range ms {
		m := &ms[i]
		if m.Type != raft.MsgApp || n.Role() != raft.StateLeader || m.Term != n.Term() {
			continue
		}
		ok := true
		for j, e := range append([]raft.Entry{{Index: m.Index, Term: m.LogTerm}}, m.Entries...) {
			term, err := n.Disk.Term(e.Index)
			ok = ok && (err != nil || term == e.Term) && e.Index == m.Index+uint64(j)
		}
		if !ok {
			matching.Broken(n.D.T, n.D.Record()+"\n     would send "+rafttest.FormatMessage(m),
				"the leader's entries, and the one before them as the leader has it", fmt.Sprintf("its log is %v", terms(n)))
		}
	}
}

// terms returns the terms of the durable log.
func terms(n *node) []uint64 {
	first, _ := n.Disk.FirstIndex()
	last, _ := n.Disk.LastIndex()
	if first > last {
		return nil
	}
	ents, err := n.Disk.Entries(first, last+1, 1<<30)
	if err != nil {
		n.D.Broken("a log that can be read", explain.Error(err))
	}
	var out []uint64
	for _, e := range ents {
		out = append(out, e.Term)
	}
	return out
}

// hasLog ends the test unless the durable log has these terms.
func hasLog(n *node, want ...uint64) {
	n.D.T.Helper()
	if got := terms(n); !slices.Equal(got, want) {
		n.D.Broken(fmt.Sprintf("node %d's log has the terms %v", n.ID, want), fmt.Sprint(got))
	}
}

// committed ends the test unless the node has this commit index.
func committed(n *node, want uint64) {
	n.D.T.Helper()
	if got := n.Commit(); got != want {
		n.D.Broken(fmt.Sprintf("node %d's commit index is %d", n.ID, want), fmt.Sprintf("%d; %s", got, n.Where()))
	}
}

// answerTo delivers an append and returns the answer to it.
func answerTo(n *node, m raft.Message) raft.Message {
	n.D.T.Helper()
	ms := n.Hear(m)
	got := find(ms, raft.MsgAppResp, m.From)
	if len(got) == 0 {
		n.D.Broken("an answer, MsgAppResp", spoken(ms))
	}
	return got[len(got)-1]
}

// app is an append by leader 2 after the entry index/logTerm, of entries with these terms.
func app(term, index, logTerm, commit uint64, logTerms ...uint64) raft.Message {
	return raftdesk.App(2, term, index, logTerm, commit, raftdesk.Entries(index, logTerms...)...)
}

// leader makes node 1 of size voters, with a log of these terms, the leader of the term after. Nobody has answered it.
func leader(d *desk, size int, logTerms []uint64, opts ...option) (*node, []raft.Message) {
	d.T.Helper()
	n := d.Start(1, logOf(upTo(size), logTerms...), append(opts, plainVotes)...)
	n.Campaigns()
	var ms []raft.Message
	for id := 2; id <= size/2+1; id++ {
		ms = append(ms, n.Hear(vote(uint64(id), n.Term(), true))...)
	}
	if n.Role() != raft.StateLeader {
		d.Broken("a quorum of votes makes a leader", n.Where())
	}
	return n, ms
}

// sentTo returns the indexes of the entries in appends to a node.
func sentTo(ms []raft.Message, to uint64) []uint64 {
	var out []uint64
	for _, m := range find(ms, raft.MsgApp, to) {
		for _, e := range m.Entries {
			out = append(out, e.Index)
		}
	}
	return out
}

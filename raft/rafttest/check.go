package rafttest

import (
	"fmt"

	"tinykv/raft"
)

// What must hold after every step. Each check names the invariant that doc.go lists.

// Failure is a broken invariant; a check ends the run with it.
type Failure struct {
	Invariant string // its name in doc.go
	Text      string // how it was broken
}

func (f Failure) Error() string { return fmt.Sprintf("%s: %s", f.Invariant, f.Text) }

func (c *Cluster) fail(invariant, format string, args ...any) {
	panic(Failure{Invariant: invariant, Text: fmt.Sprintf(format, args...)})
}

// slot names an entry.
type slot struct{ term, index uint64 }

// checker is what an observer who sees everything remembers.
type checker struct {
	leaders map[uint64]uint64 // term -> leader
	entries map[slot]uint64   // hash of the entry and of the term before it
	chain   []uint64          // by index: hash of all that is applied up to there
	terms   []uint64          // by index: term of what is applied there
	commits []uint64          // by index: the first term whose leader committed it; never falls from index to index

	acknowledged uint64   // index of the last write a client was told of, or read
	acks         int      // writes acknowledged
	reads        []uint64 // by request id: what acknowledged was when it began; done: ^0
	readsDone    int
}

func hashEntry(e *raft.Entry) uint64 {
	h := mix(fnvOffset, e.Term)
	h = mix(h, uint64(e.Type))
	for _, b := range e.Data {
		h = (h ^ uint64(b)) * fnvPrime
	}
	return h
}

// link continues the chain of what was applied.
func (c *Cluster) link(chain uint64, e *raft.Entry) uint64 { return mix(chain, hashEntry(e)) }

// registerEntries checks log-matching: an entry is the same, with the same entry before it, in every log.
func (c *Cluster) registerEntries(n *node, entries []raft.Entry) {
	for i := range entries {
		e := &entries[i]
		var prev uint64
		if i > 0 {
			prev = entries[i-1].Term
		} else {
			prev, _ = n.disk.Term(e.Index - 1)
		}
		h := mix(hashEntry(e), prev)
		at := slot{e.Term, e.Index}
		if known, ok := c.entries[at]; ok && known != h {
			c.fail("log-matching", "node %d: entry %d of term %d differs from another node's", n.id, e.Index, e.Term)
		}
		c.entries[at] = h
	}
}

// checkChain checks state-machine-safety.
func (c *Cluster) checkChain(n *node, index, chain uint64) {
	for uint64(len(c.chain)) <= index {
		c.chain = append(c.chain, 0)
	}
	if c.chain[index] == 0 {
		c.chain[index] = chain
	}
	if c.chain[index] != chain {
		c.fail("state-machine-safety", "node %d applied something else at %d than another node", n.id, index)
	}
}

// checkNode checks a node's own state: monotone, election-safety, leader-completeness.
func (c *Cluster) checkNode(n *node) {
	term := n.rn.Term()
	hard := n.rn.HardState()
	if term < n.hard.Term || hard.Commit < n.hard.Commit {
		c.fail("monotone", "node %d went from %+v to %+v", n.id, n.hard, hard)
	}
	n.hard = hard
	lead := n.rn.IsLeader()
	if lead {
		c.noteCommit(term, hard.Commit)
	}
	if lead && !n.wasLead {
		if other, ok := c.leaders[term]; ok && other != n.id {
			c.fail("election-safety", "nodes %d and %d lead term %d", other, n.id, term)
		}
		if c.leaders[term] == 0 {
			c.saw("elected")
			c.note(n, "lead", term)
		}
		c.leaders[term] = n.id
		c.checkLeaderComplete(n)
	}
	if n.wasLead && !lead {
		c.saw("stepped down")
	}
	n.wasLead = lead
}

// noteCommit remembers that the leader of a term has committed up to index. Commit indexes rise at leaders first.
func (c *Cluster) noteCommit(term, index uint64) {
	known := min(index+1, uint64(len(c.commits)))
	for i := known; i > 0 && c.commits[i-1] > term; i-- {
		c.commits[i-1] = term
	}
	for uint64(len(c.commits)) <= index {
		c.commits = append(c.commits, term)
	}
}

// checkLeaderComplete checks leader-completeness for the last entry that was committed in an earlier term; log-matching
// does the rest. That is not the term of the entry: one of an earlier term may be committed by a later leader only, and
// a leader of a term between the two, elected late, need not have it and is of no use.
func (c *Cluster) checkLeaderComplete(n *node) {
	last := min(len(c.terms), len(c.commits)) - 1
	for last > 0 && c.commits[last] >= n.rn.Term() {
		last--
	}
	if last <= 0 || c.terms[last] == 0 {
		return
	}
	c.checkHas(n, uint64(last))
}

func (c *Cluster) checkHas(n *node, last uint64) {
	term, err := n.rn.TermOf(last)
	if err == raft.ErrCompacted {
		return
	}
	if err != nil || term != c.terms[last] {
		c.fail("leader-completeness", "node %d leads term %d, but at %d has term %d (%v) instead of %d",
			n.id, n.rn.Term(), last, term, err, c.terms[last])
	}
}

// checkDurableQuorum checks, when an entry is applied for the first time anywhere, that it is durable on a majority.
func (c *Cluster) checkDurableQuorum(e *raft.Entry) {
	if uint64(len(c.terms)) > e.Index {
		return
	}
	for uint64(len(c.terms)) < e.Index {
		c.terms = append(c.terms, 0)
	}
	c.terms = append(c.terms, e.Term)
	if c.opts.Spares > 0 {
		return
	}
	copies := 0
	for _, n := range c.nodes {
		if term, err := n.disk.durable.Term(e.Index); err == nil && term == e.Term || err == raft.ErrCompacted {
			copies++
		}
	}
	if copies <= len(c.nodes)/2 {
		c.fail("durable-quorum", "entry %d of term %d was applied with %d durable copies", e.Index, e.Term, copies)
	}
}

// checkPromise checks persist-before-send for a message that must wait for the disk.
func (c *Cluster) checkPromise(n *node, m *raft.Message) {
	hard, _, _ := n.disk.durable.InitialState()
	last, _ := n.disk.durable.LastIndex()
	switch {
	case m.Type == raft.MsgVoteResp && !m.Reject && (hard.Term < m.Term || hard.Term == m.Term && hard.Vote != m.To):
		c.fail("persist-before-send", "node %d votes for %d in term %d, durable is %+v", n.id, m.To, m.Term, hard)
	case m.Type == raft.MsgVote && hard.Term < m.Term:
		c.fail("persist-before-send", "node %d campaigns in term %d, durable is %+v", n.id, m.Term, hard)
	case m.Type == raft.MsgAppResp && !m.Reject && last < m.Index && hard.Term == m.Term:
		c.fail("persist-before-send", "node %d acknowledges %d, durable is %d", n.id, m.Index, last)
	}
}

// checkSent checks that no term is shown before it is durable. Pre-votes speak of terms that do not exist yet.
func (c *Cluster) checkSent(n *node, m *raft.Message) {
	if m.Type == raft.MsgPreVote || m.Type == raft.MsgPreVoteResp {
		return
	}
	if hard, _, _ := n.disk.durable.InitialState(); hard.Term < m.Term {
		c.fail("persist-before-send", "node %d sends %v of term %d, durable is %+v", n.id, m.Type, m.Term, hard)
	}
}

// checkRead checks linearizable-read: the state that is read holds all that was acknowledged, or read, before the
// request began.
func (c *Cluster) checkRead(n *node, id uint64) {
	began := c.reads[id]
	if began == ^uint64(0) {
		c.fail("one-answer", "node %d: read %d was answered twice", n.id, id)
	}
	if n.app.applied < began {
		c.fail("linearizable-read", "node %d serves a read at %d that began when %d was acknowledged",
			n.id, n.app.applied, began)
	}
	c.reads[id] = ^uint64(0)
	c.readsDone++
	c.acknowledged = max(c.acknowledged, n.app.applied)
	c.saw("read served")
	if !n.rn.IsLeader() {
		c.saw("read served by a follower")
	}
}

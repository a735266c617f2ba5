package rafttest

import (
	"fmt"
	"strings"

	"tinykv/raft"
)

// The protocol's notation, as it stands in scripts and traces. An entry is index/term and what it holds:
//
//	4/2 "x"        a command         4/2 -           the no-op of a term
//	5/2 +4 -1 ~3   a configuration change: add 4, remove 1, make 3 a learner; "leave" leaves the joint one
//
// A message is from->to, its type, its term, and what matters of the rest:
//
//	1->2 App t2 after 3/1 [4/2 "x"] commit 3
//	2->1 AppResp t2 has 4        2->1 AppResp t2 no 3, try 2/1

// FormatEntry renders an entry.
func FormatEntry(e *raft.Entry) string {
	at := fmt.Sprintf("%d/%d", e.Index, e.Term)
	switch {
	case e.Type == raft.EntryConfChange:
		cc, err := raft.DecodeConfChange(e.Data)
		if err != nil {
			return at + " broken"
		}
		return at + " " + formatChange(cc)
	case len(e.Data) == 0:
		return at + " -"
	}
	return fmt.Sprintf("%s %q", at, e.Data)
}

func formatChange(cc raft.ConfChange) string {
	if len(cc.Changes) == 0 {
		return "leave"
	}
	var parts []string
	for _, c := range cc.Changes {
		sign := map[raft.ConfChangeType]string{raft.ConfChangeAddNode: "+", raft.ConfChangeAddLearner: "~",
			raft.ConfChangeRemoveNode: "-"}[c.Type]
		parts = append(parts, fmt.Sprintf("%s%d", sign, c.NodeID))
	}
	return strings.Join(parts, " ")
}

// longList is how many entries are shown; of more there are only the first and the last.
const longList = 12

func formatEntries(ents []raft.Entry) string {
	var parts []string
	for i := range ents {
		if i >= 3 && i < len(ents)-1 && len(ents) > longList {
			continue
		}
		parts = append(parts, FormatEntry(&ents[i]))
	}
	if len(ents) > longList {
		parts = append(parts[:3], fmt.Sprintf("... %d entries ...", len(ents)-4), parts[3])
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// FormatConf renders a configuration: voters, and what else there is.
func FormatConf(c raft.ConfState) string {
	s := fmt.Sprint(c.Voters)
	if len(c.VotersOutgoing) > 0 {
		s += fmt.Sprintf(" and %v", c.VotersOutgoing)
	}
	if len(c.Learners) > 0 {
		s += fmt.Sprintf(" learners %v", c.Learners)
	}
	if len(c.LearnersNext) > 0 {
		s += fmt.Sprintf(" learners next %v", c.LearnersNext)
	}
	return s
}

// FormatMessage renders a message on one line.
func FormatMessage(m *raft.Message) string {
	s := fmt.Sprintf("%d->%d %v", m.From, m.To, m.Type)
	if m.Term > 0 {
		s += fmt.Sprintf(" t%d", m.Term)
	}
	return s + formatBody(m)
}

func formatBody(m *raft.Message) string {
	switch m.Type {
	case raft.MsgProp:
		return " " + formatEntries(m.Entries)
	case raft.MsgApp:
		return fmt.Sprintf(" after %d/%d %s commit %d", m.Index, m.LogTerm, formatEntries(m.Entries), m.Commit)
	case raft.MsgAppResp:
		if m.Reject {
			return fmt.Sprintf(" no %d, try %d/%d", m.Index, m.Hint, m.LogTerm)
		}
		return fmt.Sprintf(" has %d", m.Index)
	case raft.MsgVote, raft.MsgPreVote:
		forced := map[bool]string{true: " forced"}[m.Force]
		return fmt.Sprintf(" log ends %d/%d%s", m.Index, m.LogTerm, forced)
	case raft.MsgVoteResp, raft.MsgPreVoteResp:
		return map[bool]string{true: " no", false: " yes"}[m.Reject]
	case raft.MsgHeartbeat:
		return fmt.Sprintf(" round %d commit %d", m.Context, m.Commit)
	case raft.MsgHeartbeatResp:
		return fmt.Sprintf(" round %d", m.Context)
	case raft.MsgSnap:
		meta := m.Snapshot.Metadata
		return fmt.Sprintf(" at %d/%d voters %s", meta.Index, meta.Term, FormatConf(meta.ConfState))
	case raft.MsgTransferLeader:
		return fmt.Sprintf(" to %d", m.Context)
	case raft.MsgReadIndexResp:
		return fmt.Sprintf(" at %d", m.Index)
	}
	return ""
}

// FormatReady renders what a Ready asks for, without its messages: empty if nothing.
func FormatReady(rd *raft.Ready) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if rd.SoftState != nil {
		add("%v, leader %d", rd.SoftState.State, rd.SoftState.Lead)
	}
	if h := rd.HardState; !h.IsEmpty() {
		add("term %d vote %d commit %d", h.Term, h.Vote, h.Commit)
	}
	if rd.Snapshot != nil {
		add("install %d/%d", rd.Snapshot.Metadata.Index, rd.Snapshot.Metadata.Term)
	}
	if len(rd.Entries) > 0 {
		add("append %s", formatEntries(rd.Entries))
	}
	if len(rd.CommittedEntries) > 0 {
		add("apply %s", formatEntries(rd.CommittedEntries))
	}
	for _, r := range rd.ReadStates {
		add("read %d at %d", r.RequestID, r.Index)
	}
	return strings.Join(parts, "; ")
}

// describe says where everybody is when something broke.
func (c *Cluster) describe() string {
	var lines []string
	for _, n := range c.nodes {
		lines = append(lines, n.describe())
	}
	return strings.Join(lines, "\n")
}

func (n *node) describe() (s string) {
	defer func() {
		if p := recover(); p != nil { // the code under test is broken, after all
			s = fmt.Sprintf("n%d does not say: %v", n.id, p)
		}
	}()
	if n.rn == nil {
		return fmt.Sprintf("n%d down, log %s", n.id, formatLog(n.disk))
	}
	st := n.rn.Status()
	s = fmt.Sprintf("n%d %v term %d vote %d leader %d last %d/%d commit %d applied %d voters %s log %s", n.id,
		st.SoftState.State, st.HardState.Term, st.HardState.Vote, st.SoftState.Lead, st.LastIndex, st.LastTerm,
		st.HardState.Commit, st.Applied, FormatConf(st.ConfState), formatLog(n.disk))
	for _, p := range st.Progress {
		s += fmt.Sprintf("\n   of n%d: match %d next %d %v inflight %d", p.ID, p.Match, p.Next, p.State, p.Inflight)
	}
	return s
}

// formatLog renders the terms of a log on disk as runs: "from 12: t3*10 t4*2" is ten entries of term 3, then two of 4.
func formatLog(s raft.Storage) string {
	first, _ := s.FirstIndex()
	last, _ := s.LastIndex()
	out := fmt.Sprintf("from %d:", first)
	for i := first; i <= last; {
		term, _ := s.Term(i)
		run := i
		for t := term; i <= last && t == term; {
			i++
			t, _ = s.Term(i)
		}
		out += fmt.Sprintf(" t%d*%d", term, i-run)
	}
	return out
}

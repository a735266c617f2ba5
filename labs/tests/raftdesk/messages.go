// Messages, entries and disks made by hand, and how they are shown.

package raftdesk

import (
	"fmt"
	"slices"
	"strings"

	"tinykv/raft"
	"tinykv/raft/rafttest"
)

// Voters is a configuration of these voters.
func Voters(ids ...uint64) raft.ConfState { return raft.ConfState{Voters: ids} }

// UpTo is a configuration of the voters 1 to n.
func UpTo(n int) raft.ConfState {
	var conf raft.ConfState
	for id := range uint64(n) {
		conf.Voters = append(conf.Voters, id+1)
	}
	return conf
}

// LogOf is a disk with a log whose entries are of the given terms, from index 1 on, and a hard state that fits them.
func LogOf(conf raft.ConfState, terms ...uint64) *raft.MemoryStorage {
	disk := raft.NewMemoryStorage()
	disk.SetConfState(conf)
	if err := disk.Append(Entries(0, terms...)); err != nil {
		panic(err)
	}
	if n := len(terms); n > 0 {
		disk.SetHardState(raft.HardState{Term: terms[n-1]})
	}
	return disk
}

// Entries follow the index after; each holds its own name.
func Entries(after uint64, terms ...uint64) []raft.Entry {
	var list []raft.Entry
	for i, term := range terms {
		index := after + uint64(i) + 1
		list = append(list, raft.Entry{Term: term, Index: index, Data: fmt.Appendf(nil, "%d/%d", index, term)})
	}
	return list
}

// App is an append of the leader from.
func App(from, term, index, logTerm, commit uint64, ents ...raft.Entry) raft.Message {
	return raft.Message{Type: raft.MsgApp, From: from, Term: term, Index: index, LogTerm: logTerm, Commit: commit,
		Entries: ents}
}

// Ack is an acknowledgement of the log up to index.
func Ack(from, term, index uint64) raft.Message {
	return raft.Message{Type: raft.MsgAppResp, From: from, Term: term, Index: index}
}

// Reject is the answer to an append whose predecessor, at index, is missing; the logs may agree at hint.
func Reject(from, term, index, hint, hintTerm uint64) raft.Message {
	return raft.Message{Type: raft.MsgAppResp, From: from, Term: term, Reject: true, Index: index, Hint: hint,
		LogTerm: hintTerm}
}

// Heartbeat is a leader's word.
func Heartbeat(from, term, commit uint64) raft.Message {
	return raft.Message{Type: raft.MsgHeartbeat, From: from, Term: term, Commit: commit}
}

// Vote is the answer to a candidate.
func Vote(from, term uint64, granted bool) raft.Message {
	return raft.Message{Type: raft.MsgVoteResp, From: from, Term: term, Reject: !granted}
}

// Find returns the messages of a type, to anybody or to the named nodes.
func Find(ms []raft.Message, t raft.MessageType, to ...uint64) []raft.Message {
	var out []raft.Message
	for _, m := range ms {
		if m.Type == t && (len(to) == 0 || slices.Contains(to, m.To)) {
			out = append(out, m)
		}
	}
	return out
}

// Spoken lists messages in the protocol's notation.
func Spoken(ms []raft.Message) string {
	if len(ms) == 0 {
		return "no message"
	}
	var all []string
	for i := range ms {
		all = append(all, rafttest.FormatMessage(&ms[i]))
	}
	return strings.Join(all, "\n")
}

// HardState words a hard state.
func HardState(h raft.HardState) string {
	return fmt.Sprintf("term %d, vote %d, commit %d", h.Term, h.Vote, h.Commit)
}

// ShowReady renders a Ready in the notation of the protocol.
func ShowReady(rd *raft.Ready) string {
	parts := []string{rafttest.FormatReady(rd)}
	for i := range rd.Messages {
		parts = append(parts, "send "+rafttest.FormatMessage(&rd.Messages[i]))
	}
	parts = slices.DeleteFunc(parts, func(s string) bool { return strings.TrimSpace(s) == "" })
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, "; ")
}

// ShowEntries renders entries.
func ShowEntries(list []raft.Entry) string {
	var parts []string
	for i := range list {
		parts = append(parts, rafttest.FormatEntry(&list[i]))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

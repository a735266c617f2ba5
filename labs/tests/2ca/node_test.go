// The workbench: a node that is driven by hand, with a disk in memory and a record of what was done to it.

package stage2ca_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tinykv/labs/tests/explain"
	"tinykv/raft"
	"tinykv/raft/rafttest"
)

// desk is the record of a test.
type desk struct {
	t    *testing.T
	rule explain.Rule // what a surprise breaks
	done []string
}

func open(t *testing.T, rule explain.Rule) *desk { return &desk{t: t, rule: rule} }

// say records a step.
func (d *desk) say(format string, args ...any) { d.done = append(d.done, fmt.Sprintf(format, args...)) }

// broken ends the test: what was done last broke the rule.
func (d *desk) broken(want, format string, args ...any) {
	d.t.Helper()
	const last = 16
	steps := d.done
	if n := len(steps); n > last {
		steps = append([]string{fmt.Sprintf("(%d steps before these)", n-last)}, steps[n-last:]...)
	}
	d.rule.Broken(d.t, strings.Join(steps, "\n"), want, fmt.Sprintf(format, args...))
}

// node is one node with its disk and its application. Its methods do what a correct caller does.
type node struct {
	*raft.RawNode
	d    *desk
	id   uint64
	cfg  raft.Config
	disk *raft.MemoryStorage

	applied   []raft.Entry
	reads     []raft.ReadState
	installed *raft.Snapshot
}

func voters(ids ...uint64) raft.ConfState { return raft.ConfState{Voters: ids} }

// node starts a fresh node.
func (d *desk) node(id uint64, conf raft.ConfState, options ...func(*raft.Config)) *node {
	d.t.Helper()
	disk := raft.NewMemoryStorage()
	disk.SetConfState(conf)
	return d.start(id, disk, options...)
}

// start starts a node on a disk, or restarts it.
func (d *desk) start(id uint64, disk *raft.MemoryStorage, options ...func(*raft.Config)) *node {
	d.t.Helper()
	n := &node{d: d, id: id, disk: disk}
	n.cfg = raft.Config{ID: id, Storage: disk, Rand: rand.New(rand.NewPCG(id, 7))}
	for _, o := range options {
		o(&n.cfg)
	}
	rn, err := raft.NewRawNode(n.cfg)
	last, _ := disk.LastIndex()
	hard, conf, _ := disk.InitialState()
	d.say("node %d starts: log up to %d, %+v, voters %v, Applied %d", id, last, hard, conf.Voters, n.cfg.Applied)
	if err != nil {
		d.broken("a node that starts", "%v", err)
	}
	n.RawNode = rn
	return n
}

// logOf is a disk with a log whose entries are of the given terms, from index 1 on.
func logOf(conf raft.ConfState, terms ...uint64) *raft.MemoryStorage {
	disk := raft.NewMemoryStorage()
	disk.SetConfState(conf)
	if err := disk.Append(entries(0, terms...)); err != nil {
		panic(err)
	}
	if n := len(terms); n > 0 {
		disk.SetHardState(raft.HardState{Term: terms[n-1]})
	}
	return disk
}

// entries follow the index after; each holds its own name.
func entries(after uint64, terms ...uint64) []raft.Entry {
	var list []raft.Entry
	for i, term := range terms {
		index := after + uint64(i) + 1
		list = append(list, raft.Entry{Term: term, Index: index, Data: fmt.Appendf(nil, "%d/%d", index, term)})
	}
	return list
}

// app is an append of the leader from.
func app(from, term, index, logTerm, commit uint64, ents ...raft.Entry) raft.Message {
	return raft.Message{Type: raft.MsgApp, From: from, Term: term, Index: index, LogTerm: logTerm, Commit: commit,
		Entries: ents}
}

func heartbeat(from, term, commit uint64) raft.Message {
	return raft.Message{Type: raft.MsgHeartbeat, From: from, Term: term, Commit: commit}
}

// gets delivers a message; what is to be done about it waits.
func (n *node) gets(m raft.Message) {
	n.d.t.Helper()
	m.To = n.id
	n.d.say("node %d gets %s", n.id, rafttest.FormatMessage(&m))
	if err := n.Step(m); err != nil {
		n.d.broken("the message is handled", "Step: %v", err)
	}
}

// proposes appends a command by the leader.
func (n *node) proposes(data string) {
	n.d.t.Helper()
	n.d.say("node %d: Propose(%s)", n.id, explain.Bytes([]byte(data)))
	if err := n.Propose([]byte(data)); err != nil {
		n.d.broken("a leader accepts a proposal", "%v", err)
	}
}

// take takes a Ready, and does nothing about it yet.
func (n *node) take() raft.Ready {
	n.d.t.Helper()
	rd, err := n.Ready()
	n.d.say("node %d: Ready: %s", n.id, show(&rd))
	if err != nil {
		n.d.broken("a Ready", "%v", err)
	}
	return rd
}

// write puts a Ready on the disk, in the order of the contract.
func (n *node) write(rd raft.Ready) {
	n.d.t.Helper()
	var err error
	if rd.Snapshot != nil {
		err = n.disk.ApplySnapshot(*rd.Snapshot)
		n.installed, n.applied = rd.Snapshot, nil
	}
	if err == nil {
		err = n.disk.Append(rd.Entries)
	}
	if !rd.HardState.IsEmpty() {
		n.disk.SetHardState(rd.HardState)
	}
	if err != nil {
		n.d.broken("a Ready that can be written", "the disk refuses it: %v", err)
	}
}

func (n *node) apply(rd raft.Ready) {
	n.applied = append(n.applied, rd.CommittedEntries...)
	n.reads = append(n.reads, rd.ReadStates...)
}

// does takes a Ready and does all of it.
func (n *node) does() raft.Ready {
	n.d.t.Helper()
	rd := n.take()
	n.finish(rd)
	return rd
}

// finish writes and applies a Ready, and calls Advance.
func (n *node) finish(rd raft.Ready) {
	n.d.t.Helper()
	n.write(rd)
	n.apply(rd)
	n.Advance()
	n.d.say("node %d: written, applied, Advance", n.id)
}

// settles does Readies until there is nothing to do, and returns what they asked to send.
func (n *node) settles() []raft.Message {
	n.d.t.Helper()
	var out []raft.Message
	for i := 0; n.HasReady(); i++ {
		if i == 200 {
			n.d.broken("a node that is done after a while, when nothing more comes in", "200 Readies, and HasReady is true")
		}
		out = append(out, n.does().Messages...)
	}
	return out
}

// leads makes a node the leader of a group by the votes of the others, and lets its no-op be durable here.
func (n *node) leads(others ...uint64) *node {
	n.d.t.Helper()
	n.d.say("node %d: Campaign", n.id)
	if err := n.Campaign(); err != nil {
		n.d.broken("a voter may campaign", "%v", err)
	}
	for range 2 { // pre-votes, then votes
		for _, m := range n.settles() {
			answer := raft.Message{Type: raft.MsgVoteResp, From: m.To, Term: m.Term}
			switch {
			case !slices.Contains(others, m.To):
				continue
			case m.Type == raft.MsgPreVote:
				answer.Type = raft.MsgPreVoteResp
			case m.Type != raft.MsgVote:
				continue
			}
			n.gets(answer)
		}
	}
	if !n.IsLeader() {
		n.d.broken("all voters granted their votes: a leader", "a %v of term %d", n.Status().SoftState.State, n.Term())
	}
	return n
}

// acknowledged makes the followers acknowledge the whole log of a leader, until it has settled.
func (n *node) acknowledged(followers ...uint64) {
	n.d.t.Helper()
	n.settles()
	for _, id := range followers {
		n.gets(raft.Message{Type: raft.MsgAppResp, From: id, Term: n.Term(), Index: n.LastIndex()})
	}
	n.settles()
}

// show renders a Ready in the notation of the protocol.
func show(rd *raft.Ready) string {
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

// showEntries renders entries.
func showEntries(list []raft.Entry) string {
	var parts []string
	for i := range list {
		parts = append(parts, rafttest.FormatEntry(&list[i]))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// find returns the messages of a type.
func find(messages []raft.Message, kind raft.MessageType) []raft.Message {
	var list []raft.Message
	for _, m := range messages {
		if m.Type == kind {
			list = append(list, m)
		}
	}
	return list
}

// panics returns what f panics with.
func panics(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

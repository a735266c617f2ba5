// Nodes: started on a disk, driven by hand.

package raftdesk

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"tinykv/labs/tests/explain"
	"tinykv/raft"
	"tinykv/raft/rafttest"
)

// Node is one node with its disk and its application. Its methods do what a correct caller does.
type Node struct {
	*raft.RawNode
	D      *Desk
	ID     uint64
	Config raft.Config
	Disk   *raft.MemoryStorage

	Applied   []raft.Entry // since the last snapshot
	Reads     []raft.ReadState
	Installed *raft.Snapshot // the last one

	options []Option
}

// Option changes the configuration of a node.
type Option func(*raft.Config)

// With takes over a configuration, but for what every node has of its own.
func With(c raft.Config) Option {
	return func(own *raft.Config) {
		c.ID, c.Storage, c.Rand = own.ID, own.Storage, own.Rand
		*own = c
	}
}

// Start starts a node on a disk, or restarts it.
func (d *Desk) Start(id uint64, disk *raft.MemoryStorage, options ...Option) *Node {
	d.T.Helper()
	n := &Node{D: d, ID: id, Disk: disk, options: options}
	n.Config = raft.Config{ID: id, Storage: disk, Rand: rand.New(rand.NewPCG(id, 7))}
	for _, o := range slices.Concat(d.options, options) {
		o(&n.Config)
	}
	hard, conf, _ := disk.InitialState()
	last, _ := disk.LastIndex()
	term, _ := disk.Term(last)
	d.Say("node %d starts: %s, log ends at %d/%d, voters %s, Applied %d", id, HardState(hard), last, term,
		rafttest.FormatConf(conf), n.Config.Applied)
	rn, err := raft.NewRawNode(n.Config)
	if err != nil {
		d.Broken("a node that starts", explain.Error(err))
	}
	n.RawNode = rn
	if i := slices.IndexFunc(d.Nodes, func(n *Node) bool { return n.ID == id }); i >= 0 {
		d.Nodes[i] = n
	} else {
		d.Nodes = append(d.Nodes, n)
	}
	return n
}

// Fresh starts a node with an empty log.
func (d *Desk) Fresh(id uint64, conf raft.ConfState, options ...Option) *Node {
	d.T.Helper()
	return d.Start(id, LogOf(conf), options...)
}

// Restart starts the node again from what is durable.
func (n *Node) Restart() *Node {
	n.D.T.Helper()
	n.D.Say("node %d crashes", n.ID)
	return n.D.Start(n.ID, n.Disk, n.options...)
}

// Role is what the node is.
func (n *Node) Role() raft.StateType { return n.Status().SoftState.State }

// Commit is the node's commit index.
func (n *Node) Commit() uint64 { return n.Status().HardState.Commit }

// ProgressOf is what a leader knows of a member.
func (n *Node) ProgressOf(id uint64) raft.ProgressStatus {
	for _, p := range n.Status().Progress {
		if p.ID == id {
			return p
		}
	}
	return raft.ProgressStatus{}
}

// Payloads are the data of what was applied, without no-ops and configuration changes.
func (n *Node) Payloads() []string {
	var out []string
	for _, e := range n.Applied {
		if e.Type == raft.EntryNormal && len(e.Data) > 0 {
			out = append(out, string(e.Data))
		}
	}
	return out
}

// Where tells what a node is.
func (n *Node) Where() string {
	s := n.Status()
	var b strings.Builder
	fmt.Fprintf(&b, "node %d is %v in term %d, follows %d, vote %d, commit %d, log ends at %d/%d, voters %s", n.ID,
		s.SoftState.State, s.HardState.Term, s.SoftState.Lead, s.HardState.Vote, s.HardState.Commit, s.LastIndex, s.LastTerm,
		rafttest.FormatConf(s.ConfState))
	if s.Transferee != raft.None {
		fmt.Fprintf(&b, ", hands over to %d", s.Transferee)
	}
	return b.String()
}

// Is ends the test unless the node has this role in this term.
func (n *Node) Is(role raft.StateType, term uint64) {
	n.D.T.Helper()
	if n.Role() != role || n.Term() != term {
		n.D.Broken(fmt.Sprintf("node %d is %v in term %d", n.ID, role, term), n.Where())
	}
}

// Must records a step, and ends the test if something that has to work does not.
func (n *Node) Must(did string, err error) {
	n.D.T.Helper()
	n.D.Say("node %d: %s", n.ID, did)
	if err != nil {
		n.D.Broken("no error", explain.Error(err))
	}
}

// Proposes hands a command to a leader.
func (n *Node) Proposes(data string) {
	n.D.T.Helper()
	n.Must(fmt.Sprintf("Propose(%s)", explain.Bytes([]byte(data))), n.Propose([]byte(data)))
}

// Campaigns makes a voter hold an election now, and returns what it sends.
func (n *Node) Campaigns() []raft.Message {
	n.D.T.Helper()
	n.Must("Campaign()", n.Campaign())
	return n.Drain()
}

// Ticks lets time pass at this node alone, and returns what it sends.
func (n *Node) Ticks(ticks int) []raft.Message {
	n.D.T.Helper()
	var out []raft.Message
	for range ticks {
		n.D.sayTick(fmt.Sprintf("node %d: ", n.ID))
		n.Tick()
		out = append(out, n.Drain()...)
	}
	return out
}

// Hear delivers messages to this node, whatever To says, and returns what it sends. It may refuse them.
func (n *Node) Hear(ms ...raft.Message) []raft.Message {
	n.D.T.Helper()
	for _, m := range ms {
		n.hear(m)
	}
	return n.Drain()
}

func (n *Node) hear(m raft.Message) error {
	m.To = n.ID
	err := n.Step(m)
	refused := ""
	if err != nil {
		refused = fmt.Sprintf("  and refuses: %v", err)
	}
	n.D.Say("node %d gets  %s%s", n.ID, rafttest.FormatMessage(&m), refused)
	return err
}

// Gets delivers a message that must not be refused. What is to be done about it waits.
func (n *Node) Gets(m raft.Message) {
	n.D.T.Helper()
	if err := n.hear(m); err != nil {
		n.D.Broken("the message is handled", explain.Error(err))
	}
}

// Leads makes a node the leader of a group by the votes of the others, and lets its no-op be durable here.
func (n *Node) Leads(others ...uint64) *Node {
	n.D.T.Helper()
	n.Must("Campaign()", n.Campaign())
	for range 2 { // pre-votes, then votes
		for _, m := range n.Settles() {
			answer := raft.Message{Type: raft.MsgVoteResp, From: m.To, Term: m.Term}
			switch {
			case !slices.Contains(others, m.To):
				continue
			case m.Type == raft.MsgPreVote:
				answer.Type = raft.MsgPreVoteResp
			case m.Type != raft.MsgVote:
				continue
			}
			n.Gets(answer)
		}
	}
	if !n.IsLeader() {
		n.D.Broken("all voters granted their votes: a leader", n.Where())
	}
	return n
}

// Acknowledged makes the followers acknowledge the whole log of a leader, until it has settled.
func (n *Node) Acknowledged(followers ...uint64) {
	n.D.T.Helper()
	n.Settles()
	for _, id := range followers {
		n.Gets(raft.Message{Type: raft.MsgAppResp, From: id, Term: n.Term(), Index: n.LastIndex()})
	}
	n.Settles()
}

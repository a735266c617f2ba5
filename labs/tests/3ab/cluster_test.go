package stage3ab_test

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

// desk is a cluster under test, with the rule that a surprise breaks and the story so far.
type desk struct {
	t     *testing.T
	rule  explain.Rule
	opts  raft.Config
	nodes []*node
	lost  func(m raft.Message) bool // the network loses these
	sent  []raft.Message            // all that was delivered
	story []string
	// atApply, if set, is called when a node is about to apply an entry that changes the configuration.
	atApply func(n *node, e raft.Entry)
}

// node is one member. Its loop is the plainest correct one: write, apply, send, Advance.
type node struct {
	*raft.RawNode
	d       *desk
	id      uint64
	disk    *raft.MemoryStorage
	applied []raft.Entry
	reads   []raft.ReadState
}

func voters(ids ...uint64) raft.ConfState { return raft.ConfState{Voters: ids} }

// newDesk makes a cluster of voters 1 to n, and starts it.
func newDesk(t *testing.T, rule explain.Rule, n uint64, opts ...raft.Config) *desk {
	t.Helper()
	conf := raft.ConfState{}
	for id := range n {
		conf.Voters = append(conf.Voters, id+1)
	}
	return newDeskOf(t, rule, conf, opts...)
}

// newDeskOf makes a cluster of all members of a configuration.
func newDeskOf(t *testing.T, rule explain.Rule, conf raft.ConfState, opts ...raft.Config) *desk {
	t.Helper()
	d := &desk{t: t, rule: rule}
	if len(opts) > 0 {
		d.opts = opts[0]
	}
	ids := slices.Concat(conf.Voters, conf.VotersOutgoing, conf.Learners)
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		disk := raft.NewMemoryStorage()
		disk.Bootstrap(conf)
		if d.opts.ReadMode == raft.ReadLease { // who may have voted before keeps still for a while
			disk = raft.NewMemoryStorage()
			disk.SetConfState(conf)
		}
		d.start(id, disk)
	}
	return d
}

// start starts a node on a disk.
func (d *desk) start(id uint64, disk *raft.MemoryStorage) *node {
	d.t.Helper()
	cfg := d.opts
	cfg.ID, cfg.Storage, cfg.Rand = id, disk, rand.New(rand.NewPCG(id, 7))
	rn, err := raft.NewRawNode(cfg)
	if err != nil {
		d.broken("node "+fmt.Sprint(id)+" starts", explain.Error(err))
	}
	n := &node{RawNode: rn, d: d, id: id, disk: disk}
	if i := slices.IndexFunc(d.nodes, func(n *node) bool { return n.id == id }); i >= 0 {
		d.nodes[i] = n
	} else {
		d.nodes = append(d.nodes, n)
	}
	return n
}

func (d *desk) node(id uint64) *node {
	for _, n := range d.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

// tell adds a line to the story.
func (d *desk) tell(format string, args ...any) {
	d.story = append(d.story, fmt.Sprintf(format, args...))
}

// storyLines is how much of the story a failure tells.
const storyLines = 24

// broken ends the test.
func (d *desk) broken(want, got string) {
	d.t.Helper()
	story := d.story
	if len(story) > storyLines {
		story = append([]string{"..."}, story[len(story)-storyLines:]...)
	}
	d.rule.Broken(d.t, strings.Join(story, "\n"), want, got+"\n"+d.describe())
}

// check breaks the rule unless ok.
func (d *desk) check(ok bool, want, got string, args ...any) {
	d.t.Helper()
	if !ok {
		d.broken(want, fmt.Sprintf(got, args...))
	}
}

// describe says where everybody is.
func (d *desk) describe() string {
	var b strings.Builder
	for _, n := range d.nodes {
		s := n.Status()
		fmt.Fprintf(&b, "node %d: %v in term %d, follows %d, log ends at %d, committed %d, voters %v", n.id,
			s.SoftState.State, s.HardState.Term, s.SoftState.Lead, s.LastIndex, s.HardState.Commit, s.ConfState.Voters)
		if len(s.ConfState.VotersOutgoing) > 0 {
			fmt.Fprintf(&b, " and %v", s.ConfState.VotersOutgoing)
		}
		if len(s.ConfState.Learners) > 0 {
			fmt.Fprintf(&b, ", learners %v", s.ConfState.Learners)
		}
		if s.Transferee != raft.None {
			fmt.Fprintf(&b, ", hands over to %d", s.Transferee)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// must ends the test if something that has to work does not.
func (n *node) must(did string, err error) {
	n.d.t.Helper()
	n.d.tell("node %d: %s", n.id, did)
	if err != nil {
		n.d.broken("no error", explain.Error(err))
	}
}

func (n *node) role() raft.StateType { return n.Status().SoftState.State }

// ready takes one Ready and does all it asks for, but for sending the messages.
func (n *node) ready() []raft.Message {
	n.d.t.Helper()
	rd, err := n.Ready()
	if err != nil {
		n.d.broken("a Ready", explain.Error(err))
	}
	n.write(rd)
	for _, e := range rd.CommittedEntries {
		n.apply(e)
	}
	n.reads = append(n.reads, rd.ReadStates...)
	n.Advance()
	return rd.Messages
}

func (n *node) write(rd raft.Ready) {
	n.d.t.Helper()
	if rd.Snapshot != nil {
		if err := n.disk.ApplySnapshot(*rd.Snapshot); err != nil {
			n.d.broken("a snapshot that can be installed", explain.Error(err))
		}
	}
	if err := n.disk.Append(rd.Entries); err != nil {
		n.d.broken("entries that can be appended", explain.Error(err))
	}
	if !rd.HardState.IsEmpty() {
		n.disk.SetHardState(rd.HardState)
	}
}

func (n *node) apply(e raft.Entry) {
	n.d.t.Helper()
	n.applied = append(n.applied, e)
	if e.Type != raft.EntryConfChange {
		return
	}
	if n.d.atApply != nil {
		n.d.atApply(n, e)
	}
	cc, err := raft.DecodeConfChange(e.Data)
	if err == nil {
		_, err = n.ApplyConfChange(cc)
	}
	n.must(fmt.Sprintf("applies the change %v at index %d", cc.Changes, e.Index), err)
}

// maxReadies ends a loop of a node that never has enough.
const maxReadies = 1000

// drain does Readies until there is none, and returns what is to be sent.
func (n *node) drain() []raft.Message {
	n.d.t.Helper()
	var out []raft.Message
	for i := 0; n.HasReady(); i++ {
		if i > maxReadies {
			n.d.broken("HasReady is false once everything is done", fmt.Sprintf("node %d always has one more", n.id))
		}
		out = append(out, n.ready()...)
	}
	return out
}

// get delivers one message made by hand, and returns what the node sends.
func (n *node) get(m raft.Message) []raft.Message {
	n.d.t.Helper()
	m.To = n.id
	n.d.tell("%s", rafttest.FormatMessage(&m))
	if err := n.Step(m); err != nil {
		n.d.tell("  refused: %v", err)
	}
	return n.drain()
}

// run delivers messages, at once and in order, until nobody has anything to say.
func (d *desk) run() {
	d.t.Helper()
	for range 10 * maxReadies {
		var ms []raft.Message
		for _, n := range d.nodes {
			ms = append(ms, n.drain()...)
		}
		if len(ms) == 0 {
			return
		}
		d.deliver(ms)
	}
	d.broken("the cluster comes to rest", "messages without end")
}

func (d *desk) deliver(ms []raft.Message) {
	for _, m := range ms {
		to := d.node(m.To)
		if to == nil || d.lost != nil && d.lost(m) {
			d.tell("%s  (lost)", rafttest.FormatMessage(&m))
			continue
		}
		d.tell("%s", rafttest.FormatMessage(&m))
		d.sent = append(d.sent, m)
		_ = to.Step(m) // a node may refuse; what matters is where it stands in the end
	}
}

// tick lets time pass on all nodes, and delivers after each tick.
func (d *desk) tick(ticks int) {
	d.t.Helper()
	for range ticks {
		d.tell("a tick passes")
		for _, n := range d.nodes {
			n.Tick()
		}
		d.run()
	}
}

// elect makes a node the leader. That is the work of earlier stages.
func (d *desk) elect(id uint64) *node {
	d.t.Helper()
	n := d.node(id)
	n.must("Campaign()", n.Campaign())
	d.run()
	if n.role() != raft.StateLeader {
		d.broken(fmt.Sprintf("node %d is elected", id), fmt.Sprintf("it is a %v", n.role()))
	}
	return n
}

// isolate loses every message to and from some nodes.
func (d *desk) isolate(ids ...uint64) {
	d.tell("the network cuts off %v", ids)
	d.lost = func(m raft.Message) bool { return slices.Contains(ids, m.From) || slices.Contains(ids, m.To) }
}

func (d *desk) heal() {
	d.tell("the network works")
	d.lost = nil
}

// sentOf returns the delivered messages of a type.
func (d *desk) sentOf(t raft.MessageType) []raft.Message { return of(d.sent, t) }

func of(ms []raft.Message, t raft.MessageType) []raft.Message {
	return slices.DeleteFunc(slices.Clone(ms), func(m raft.Message) bool { return m.Type != t })
}

// payloads returns what a node applied, without no-ops and configuration changes.
func (n *node) payloads() []string {
	var out []string
	for _, e := range n.applied {
		if e.Type == raft.EntryNormal && len(e.Data) > 0 {
			out = append(out, string(e.Data))
		}
	}
	return out
}

func add(id uint64) raft.ConfChangeSingle {
	return raft.ConfChangeSingle{Type: raft.ConfChangeAddNode, NodeID: id}
}

func learner(id uint64) raft.ConfChangeSingle {
	return raft.ConfChangeSingle{Type: raft.ConfChangeAddLearner, NodeID: id}
}

func removal(id uint64) raft.ConfChangeSingle {
	return raft.ConfChangeSingle{Type: raft.ConfChangeRemoveNode, NodeID: id}
}

func change(cs ...raft.ConfChangeSingle) raft.ConfChange { return raft.ConfChange{Changes: cs} }

// propose proposes data at a node that leads.
func (n *node) propose(data string) {
	n.d.t.Helper()
	n.must(fmt.Sprintf("Propose(%q)", data), n.Propose([]byte(data)))
}

// change proposes a change of the configuration at a node that leads.
func (n *node) change(cs ...raft.ConfChangeSingle) {
	n.d.t.Helper()
	n.must(fmt.Sprintf("ProposeConfChange(%v)", cs), n.ProposeConfChange(change(cs...)))
}

// The workbench: a node that is driven by hand, on a disk in memory, and clusters of such nodes.

package stage2ab_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"tinykv/labs/tests/explain"
	"tinykv/raft"
	"tinykv/raft/rafttest"
)

// record is what a test has done so far, over all its nodes.
type record struct {
	t     *testing.T
	rule  explain.Rule // what a surprise breaks
	steps []string
}

func begin(t *testing.T, rule explain.Rule) *record { return &record{t: t, rule: rule} }

func (r *record) say(format string, args ...any) {
	r.steps = append(r.steps, fmt.Sprintf(format, args...))
}

// broken ends the test: what happened last breaks the rule.
func (r *record) broken(want, got string, notes ...string) {
	r.t.Helper()
	r.rule.Broken(r.t, lines(r.steps), want, got, notes...)
}

// node is a RawNode whose Readies are done in the plainest way: write, send, apply, Advance.
type node struct {
	*raft.RawNode
	r    *record
	id   uint64
	disk *raft.MemoryStorage
	opts []option

	applied []string
}

type option func(*raft.Config)

func plainVotes(c *raft.Config) { c.DisablePreVote = true }
func tenTicks(c *raft.Config)   { c.ElectionTicks, c.HeartbeatTicks = 10, 1 }
func voters(n int) (ids []uint64) {
	for id := range uint64(n) {
		ids = append(ids, id+1)
	}
	return ids
}

// diskOf is a disk whose log has entries of these terms, and whose hard state fits them.
func diskOf(conf raft.ConfState, logTerms ...uint64) *raft.MemoryStorage {
	disk := raft.NewMemoryStorage()
	disk.SetConfState(conf)
	var ents []raft.Entry
	for i, term := range logTerms {
		ents = append(ents, raft.Entry{Term: term, Index: uint64(i + 1), Data: fmt.Appendf(nil, "%d/%d", i+1, term)})
	}
	if err := disk.Append(ents); err != nil {
		panic(err)
	}
	if n := len(logTerms); n > 0 {
		disk.SetHardState(raft.HardState{Term: logTerms[n-1]})
	}
	return disk
}

// start starts a node on a disk, or restarts it. Its source of chance depends on its id and the seed of the options.
func (r *record) start(id uint64, disk *raft.MemoryStorage, opts ...option) *node {
	r.t.Helper()
	cfg := raft.Config{ID: id, Storage: disk, Rand: rand.New(rand.NewPCG(id, 2))}
	tenTicks(&cfg)
	for _, o := range opts {
		o(&cfg)
	}
	hard, conf, _ := disk.InitialState()
	last, _ := disk.LastIndex()
	term, _ := disk.Term(last)
	r.say("node %d starts: %s, log ends at %d/%d, voters %s", id, describe(hard), last, term, rafttest.FormatConf(conf))
	rn, err := raft.NewRawNode(cfg)
	if err != nil {
		r.broken("the node starts", explain.Error(err))
	}
	return &node{RawNode: rn, r: r, id: id, disk: disk, opts: opts}
}

// fresh starts a node with an empty log among n voters.
func (r *record) fresh(id uint64, n int, opts ...option) *node {
	r.t.Helper()
	return r.start(id, diskOf(raft.ConfState{Voters: voters(n)}), opts...)
}

// restart starts the node again from what is durable.
func (n *node) restart() *node {
	n.r.t.Helper()
	n.r.say("node %d crashes", n.id)
	return n.r.start(n.id, n.disk, n.opts...)
}

// drain does Readies until there is none, and returns what is to be sent.
func (n *node) drain() []raft.Message {
	n.r.t.Helper()
	var out []raft.Message
	for i := 0; n.HasReady(); i++ {
		if i > 1000 {
			n.r.broken("a node that nothing happens to becomes quiet", "1000 Readies, and still more")
		}
		rd, err := n.Ready()
		if err != nil {
			n.r.broken("Ready succeeds", explain.Error(err))
		}
		n.write(rd)
		n.Advance()
		out = append(out, rd.Messages...)
	}
	for i := range out {
		n.r.say("     sends %s", rafttest.FormatMessage(&out[i]))
	}
	return out
}

// write does what a Ready asks for, but for sending.
func (n *node) write(rd raft.Ready) {
	n.r.t.Helper()
	if err := n.disk.Append(rd.Entries); err != nil {
		n.r.broken("entries that follow the log", explain.Error(err))
	}
	if !rd.HardState.IsEmpty() {
		n.disk.SetHardState(rd.HardState)
	}
	n.truthful(rd.Messages)
	for _, e := range rd.CommittedEntries {
		if len(e.Data) > 0 {
			n.applied = append(n.applied, string(e.Data))
		}
	}
}

// truthful checks that appends hold what is in the log of who sends them.
func (n *node) truthful(ms []raft.Message) {
	n.r.t.Helper()
	for i := range ms {
		m := &ms[i]
		if m.Type != raft.MsgApp || n.role() != raft.StateLeader || m.Term != n.Term() {
			continue
		}
		ok := true
		for j, e := range append([]raft.Entry{{Index: m.Index, Term: m.LogTerm}}, m.Entries...) {
			term, err := n.disk.Term(e.Index)
			ok = ok && (err != nil || term == e.Term) && e.Index == m.Index+uint64(j)
		}
		if !ok {
			matching.Broken(n.r.t, lines(n.r.steps)+"\n     would send "+rafttest.FormatMessage(m),
				"the leader's entries, and the one before them as the leader has it", fmt.Sprintf("its log is %v", n.terms()))
		}
	}
}

// step delivers messages to this node, whatever To says, and returns what it sends. It may refuse them.
func (n *node) step(ms ...raft.Message) []raft.Message {
	n.r.t.Helper()
	for _, m := range ms {
		m.To = n.id
		if err := n.Step(m); err != nil {
			n.r.say("node %d gets  %s  and refuses: %v", n.id, rafttest.FormatMessage(&m), err)
		} else {
			n.r.say("node %d gets  %s", n.id, rafttest.FormatMessage(&m))
		}
	}
	return n.drain()
}

// tick lets time pass at this node alone.
func (n *node) tick(ticks int) []raft.Message {
	n.r.t.Helper()
	n.r.say("node %d: %d ticks pass", n.id, ticks)
	var out []raft.Message
	for range ticks {
		n.Tick()
		out = append(out, n.drain()...)
	}
	return out
}

// campaign makes the node hold an election now.
func (n *node) campaign() []raft.Message {
	n.r.t.Helper()
	n.r.say("node %d: Campaign()", n.id)
	if err := n.Campaign(); err != nil {
		n.r.broken("a voter may campaign", explain.Error(err))
	}
	return n.drain()
}

func (n *node) role() raft.StateType { return n.Status().SoftState.State }

// is ends the test unless the node has this role in this term.
func (n *node) is(role raft.StateType, term uint64) {
	n.r.t.Helper()
	if n.role() != role || n.Term() != term {
		n.r.broken(fmt.Sprintf("node %d is %v in term %d", n.id, role, term), n.where())
	}
}

// where tells what a node is.
func (n *node) where() string {
	s := n.Status()
	return fmt.Sprintf("node %d is %v in term %d, follows %d, commit %d, log ends at %d/%d", n.id, s.SoftState.State,
		s.HardState.Term, s.SoftState.Lead, s.HardState.Commit, s.LastIndex, s.LastTerm)
}

// terms returns the terms of the durable log.
func (n *node) terms() []uint64 {
	first, _ := n.disk.FirstIndex()
	last, _ := n.disk.LastIndex()
	if first > last {
		return nil
	}
	ents, err := n.disk.Entries(first, last+1, 1<<30)
	if err != nil {
		n.r.broken("a log that can be read", explain.Error(err))
	}
	var out []uint64
	for _, e := range ents {
		out = append(out, e.Term)
	}
	return out
}

// hasLog ends the test unless the durable log has these terms.
func (n *node) hasLog(want ...uint64) {
	n.r.t.Helper()
	if got := n.terms(); !slices.Equal(got, want) {
		n.r.broken(fmt.Sprintf("node %d's log has the terms %v", n.id, want), fmt.Sprint(got))
	}
}

func (n *node) commit() uint64 { return n.Status().HardState.Commit }

func (n *node) committed(want uint64) {
	n.r.t.Helper()
	if got := n.commit(); got != want {
		n.r.broken(fmt.Sprintf("node %d's commit index is %d", n.id, want), fmt.Sprintf("%d; %s", got, n.where()))
	}
}

// propose hands a command to the leader.
func (n *node) propose(data string) {
	n.r.t.Helper()
	n.r.say("node %d: Propose(%q)", n.id, data)
	if err := n.Propose([]byte(data)); err != nil {
		n.r.broken("a leader takes proposals", explain.Error(err))
	}
}

// append steps an append and returns the answer to it.
func (n *node) append(m raft.Message) raft.Message {
	n.r.t.Helper()
	ms := n.step(m)
	got := find(ms, raft.MsgAppResp, m.From)
	if len(got) == 0 {
		n.r.broken("an answer, MsgAppResp", spoken(ms))
	}
	return got[len(got)-1]
}

// app is an append by leader 2 after the entry index/logTerm, of entries with these terms.
func app(term, index, logTerm, commit uint64, logTerms ...uint64) raft.Message {
	m := raft.Message{Type: raft.MsgApp, From: 2, Term: term, Index: index, LogTerm: logTerm, Commit: commit}
	for i, t := range logTerms {
		at := index + 1 + uint64(i)
		m.Entries = append(m.Entries, raft.Entry{Term: t, Index: at, Data: fmt.Appendf(nil, "%d/%d", at, t)})
	}
	return m
}

func ack(from, term, index uint64) raft.Message {
	return raft.Message{Type: raft.MsgAppResp, From: from, Term: term, Index: index}
}

func reject(from, term, index, hint, hintTerm uint64) raft.Message {
	return raft.Message{Type: raft.MsgAppResp, From: from, Term: term, Reject: true, Index: index, Hint: hint,
		LogTerm: hintTerm}
}

// leader makes node 1 of size voters, with a log of these terms, the leader of the term after. Nobody has answered it.
func (r *record) leader(size int, logTerms []uint64, opts ...option) (*node, []raft.Message) {
	r.t.Helper()
	n := r.start(1, diskOf(raft.ConfState{Voters: voters(size)}, logTerms...), append(opts, plainVotes)...)
	n.campaign()
	var ms []raft.Message
	for id := 2; id <= size/2+1; id++ {
		ms = append(ms, n.step(vote(uint64(id), n.Term(), true))...)
	}
	if n.role() != raft.StateLeader {
		r.broken("a quorum of votes makes a leader", n.where())
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

func vote(from, term uint64, granted bool) raft.Message {
	return raft.Message{Type: raft.MsgVoteResp, From: from, Term: term, Reject: !granted}
}

func heartbeat(from, term uint64) raft.Message {
	return raft.Message{Type: raft.MsgHeartbeat, From: from, Term: term}
}

// find returns the messages of a type, to a node or (0) to any.
func find(ms []raft.Message, t raft.MessageType, to uint64) []raft.Message {
	var out []raft.Message
	for _, m := range ms {
		if m.Type == t && (to == 0 || m.To == to) {
			out = append(out, m)
		}
	}
	return out
}

// cluster delivers messages between nodes at once and in order, but for what is cut.
type cluster struct {
	*record
	nodes []*node
	away  []uint64 // cut off from everybody

	rejections int
	sent       map[uint64]int // entries delivered, by node
}

func (r *record) cluster(n int, opts ...option) *cluster {
	r.t.Helper()
	c := &cluster{record: r}
	for _, id := range voters(n) {
		c.nodes = append(c.nodes, r.fresh(id, n, opts...))
	}
	return c
}

// settle delivers until nobody has anything to say.
func (c *cluster) settle(ms ...raft.Message) {
	c.t.Helper()
	for round := 0; ; round++ {
		for _, n := range c.nodes {
			ms = append(ms, n.drain()...)
		}
		if len(ms) == 0 {
			return
		}
		if round > 2000 {
			c.broken("nodes that nothing happens to become quiet", "they talk for ever")
		}
		deliver := ms
		ms = nil
		for _, m := range deliver {
			if slices.Contains(c.away, m.From) || slices.Contains(c.away, m.To) || m.To == 0 || m.To > uint64(len(c.nodes)) {
				continue
			}
			if m.Type == raft.MsgAppResp && m.Reject {
				c.rejections++
			}
			if c.sent != nil {
				c.sent[m.To] += len(m.Entries)
			}
			_ = c.nodes[m.To-1].Step(m)
		}
	}
}

// tick lets time pass everywhere, or at the named nodes, and settles after each tick.
func (c *cluster) tick(ticks int, ids ...uint64) {
	c.t.Helper()
	c.say("%d ticks pass", ticks)
	for range ticks {
		for _, n := range c.nodes {
			if len(ids) == 0 || slices.Contains(ids, n.id) {
				n.Tick()
			}
		}
		c.settle()
	}
}

// elect makes a node the leader.
func (c *cluster) elect(id uint64) *node {
	c.t.Helper()
	n := c.nodes[id-1]
	c.settle(n.campaign()...)
	if n.role() != raft.StateLeader {
		c.broken(fmt.Sprintf("node %d, which all others can hear, wins the election", id), c.where())
	}
	return n
}

func (c *cluster) where() string {
	var s string
	for _, n := range c.nodes {
		s += n.where() + "\n"
	}
	return s
}

func describe(h raft.HardState) string {
	return fmt.Sprintf("term %d, vote %d, commit %d", h.Term, h.Vote, h.Commit)
}

// The workbench: a node that is driven by hand, on a disk in memory, and clusters of such nodes.

package stage2aa_test

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
}

type option func(*raft.Config)

func plainVotes(c *raft.Config) { c.DisablePreVote = true }
func tenTicks(c *raft.Config)   { c.ElectionTicks, c.HeartbeatTicks = 10, 1 }
func manyTicks(c *raft.Config)  { c.ElectionTicks, c.HeartbeatTicks = 100, 1 }
func stubborn(c *raft.Config)   { c.DisableCheckQuorum = true }
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
	r.say("node %d starts: %s, log ends at %d/%d, voters %s", id, hardState(hard), last, term, rafttest.FormatConf(conf))
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
		n.promises(rd.Immediate())
		before, _, _ := n.disk.InitialState()
		if err := n.disk.Append(rd.Entries); err != nil {
			n.r.broken("entries that follow the log", explain.Error(err))
		}
		if !rd.HardState.IsEmpty() {
			n.disk.SetHardState(rd.HardState)
			if rd.HardState.Term < before.Term {
				terms.Broken(n.r.t, lines(n.r.steps), "a term not before "+hardState(before), hardState(rd.HardState))
			}
			if rd.HardState.Term == before.Term && before.Vote != raft.None && rd.HardState.Vote != before.Vote {
				oneVote.Broken(n.r.t, lines(n.r.steps), "in this term still "+hardState(before), hardState(rd.HardState))
			}
		}
		n.promises(rd.Messages)
		n.Advance()
		out = append(out, rd.Messages...)
	}
	for i := range out {
		n.r.say("     sends %s", rafttest.FormatMessage(&out[i]))
	}
	return out
}

// promises checks that what is about to be sent shows no vote that a crash could take back.
func (n *node) promises(ms []raft.Message) {
	n.r.t.Helper()
	hard, _, _ := n.disk.InitialState()
	for i := range ms {
		m := &ms[i]
		kept := true
		switch {
		case m.Type == raft.MsgVote:
			kept = hard.Term > m.Term || hard.Term == m.Term && hard.Vote == n.id
		case m.Type == raft.MsgVoteResp && !m.Reject:
			kept = hard.Term > m.Term || hard.Term == m.Term && hard.Vote == m.To
		}
		if !kept {
			oneVote.Broken(n.r.t, lines(n.r.steps)+"\n     would send "+rafttest.FormatMessage(m),
				"the vote in it is durable first", "durable is "+hardState(hard))
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

// untilItAsks ticks until the node asks for a vote or a pre-vote, and returns how many ticks that took. After limit
// ticks it gives up and returns limit+1.
func (n *node) untilItAsks(limit int) int {
	n.r.t.Helper()
	for i := 1; i <= limit; i++ {
		n.Tick()
		if len(asks(n.drain())) > 0 {
			return i
		}
	}
	return limit + 1
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
	return fmt.Sprintf("node %d is %v in term %d, follows %d, vote %d, log ends at %d/%d", n.id, s.SoftState.State,
		s.HardState.Term, s.SoftState.Lead, s.HardState.Vote, s.LastIndex, s.LastTerm)
}

// answer returns the answer of a type, of which there must be at least one; if there are several they must agree.
func (n *node) answer(ms []raft.Message, t raft.MessageType, to uint64) raft.Message {
	n.r.t.Helper()
	got := find(ms, t, to)
	if len(got) == 0 {
		n.r.broken(fmt.Sprintf("node %d answers node %d with %v", n.id, to, t), spoken(ms))
	}
	for _, m := range got {
		if m.Reject != got[0].Reject {
			n.r.broken("one answer to one question", spoken(got))
		}
	}
	return got[len(got)-1]
}

// votes asks the node for its vote and returns whether it is granted. No answer is a no.
func (n *node) votes(kind raft.MessageType, from, term, index, logTerm uint64) bool {
	n.r.t.Helper()
	ms := n.step(raft.Message{Type: kind, From: from, Term: term, Index: index, LogTerm: logTerm})
	want := raft.MsgVoteResp
	if kind == raft.MsgPreVote {
		want = raft.MsgPreVoteResp
	}
	got := find(ms, want, from)
	return len(got) > 0 && !got[0].Reject
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

// asks returns the questions of a campaign.
func asks(ms []raft.Message) []raft.Message {
	return append(find(ms, raft.MsgPreVote, 0), find(ms, raft.MsgVote, 0)...)
}

// cluster delivers messages between nodes at once and in order, but for what is cut.
type cluster struct {
	*record
	nodes []*node
	away  []uint64 // cut off from everybody
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

// leaders returns who leads, without those that are cut off.
func (c *cluster) leaders() []*node {
	var out []*node
	for _, n := range c.nodes {
		if n.role() == raft.StateLeader && !slices.Contains(c.away, n.id) {
			out = append(out, n)
		}
	}
	return out
}

func (c *cluster) where() string {
	var s string
	for _, n := range c.nodes {
		s += n.where() + "\n"
	}
	return s
}

package raft_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"tinykv/raft"
)

// entries makes entries that follow index, one for each term.
func entries(index uint64, terms ...uint64) []raft.Entry {
	var out []raft.Entry
	for i, term := range terms {
		e := raft.Entry{Term: term, Index: index + 1 + uint64(i)}
		e.Data = fmt.Appendf(nil, "%d.%d", term, e.Index)
		out = append(out, e)
	}
	return out
}

func app(from, term, index, logTerm, commit uint64, ents ...raft.Entry) raft.Message {
	return raft.Message{Type: raft.MsgApp, From: from, Term: term, Index: index, LogTerm: logTerm, Commit: commit,
		Entries: ents}
}

// Three nodes elect a leader and agree on a log: the whole of Raft in one test (§5).
func TestThreeNodesElectAndReplicate(t *testing.T) {
	c := newCluster(t, 3)
	leader := c.elect(1)
	for _, s := range []string{"a", "b", "c"} {
		leader.must(leader.Propose([]byte(s)))
		c.settle()
	}
	c.tick(1)
	for _, p := range c.peers {
		if got := p.payloads(); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("node %d applied %q", p.cfg.ID, got)
		}
	}
}

// AppendEntries on a follower's log, case by case (figure 2; §5.3).
func TestFollowerAppend(t *testing.T) {
	tests := []struct {
		name   string
		have   []uint64 // terms of the log
		msg    raft.Message
		reject bool
		index  uint64 // acknowledged, or the one rejected
		want   []uint64
		commit uint64
	}{
		{"to an empty log", nil, app(2, 3, 0, 0, 0, entries(0, 1, 2)...), false, 2, []uint64{1, 2}, 0},
		{"at the end", []uint64{1, 2}, app(2, 3, 2, 2, 1, entries(2, 3)...), false, 3, []uint64{1, 2, 3}, 1},
		{"previous is missing", []uint64{1}, app(2, 3, 2, 2, 2, entries(2, 3)...), true, 2, []uint64{1}, 0},
		{"previous is of another term", []uint64{1, 1}, app(2, 3, 2, 2, 2, entries(2, 3)...), true, 2, []uint64{1, 1}, 0},
		{"conflict is replaced", []uint64{1, 1, 1}, app(2, 3, 1, 1, 0, entries(1, 2, 2)...), false, 3,
			[]uint64{1, 2, 2}, 0},
		{"conflict cuts what follows", []uint64{1, 1, 1, 1}, app(2, 3, 1, 1, 0, entries(1, 2)...), false, 2,
			[]uint64{1, 2}, 0},
		{"an old message cuts nothing", []uint64{1, 1, 1, 1}, app(2, 3, 1, 1, 0, entries(1, 1)...), false, 2,
			[]uint64{1, 1, 1, 1}, 0},
		{"partly known", []uint64{1, 1, 1}, app(2, 3, 1, 1, 0, entries(1, 1, 1, 3)...), false, 4,
			[]uint64{1, 1, 1, 3}, 0},
		{"commit stops at the last new entry", []uint64{1, 1, 1}, app(2, 3, 1, 1, 3), false, 1, []uint64{1, 1, 1}, 1},
		{"commit stops at the leader's", []uint64{1, 1, 1}, app(2, 3, 3, 1, 2), false, 3, []uint64{1, 1, 1}, 2},
		{"commit from the absurd future", []uint64{1, 1}, app(2, 3, 2, 1, 1<<60), false, 2, []uint64{1, 1}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := startPeer(t, 1, logOf(voters(1, 2, 3), tt.have...))
			resp := one(t, p.step(tt.msg), raft.MsgAppResp)
			if resp.Reject != tt.reject || resp.Index != tt.index {
				t.Errorf("answer %v", brief([]raft.Message{resp}))
			}
			if got := p.terms(); !slices.Equal(got, tt.want) {
				t.Errorf("log %v, want %v", got, tt.want)
			}
			if got := p.Status().HardState.Commit; got != tt.commit {
				t.Errorf("commit %d, want %d", got, tt.commit)
			}
		})
	}
}

// What is acknowledged is what the message vouches for, not what the log happens to hold behind it.
func TestAckIsNotTheEndOfTheLog(t *testing.T) {
	p := startPeer(t, 1, logOf(voters(1, 2, 3), 1, 1, 1, 1))
	if got := one(t, p.step(app(2, 2, 2, 1, 0)), raft.MsgAppResp).Index; got != 2 {
		t.Errorf("acknowledged %d", got)
	}
}

// An append before the commit index is answered with the commit index, even where the log is compacted.
func TestAppendBeforeCommitIsAcked(t *testing.T) {
	p := startPeer(t, 1, logOf(voters(1, 2, 3), 1, 1, 1, 1))
	p.step(app(2, 2, 4, 1, 4))
	p.must(p.disk.CreateSnapshot(4, voters(1, 2, 3), nil))
	p.must(p.disk.Compact(4))
	if resp := one(t, p.step(app(2, 2, 1, 1, 4)), raft.MsgAppResp); resp.Reject || resp.Index != 4 {
		t.Errorf("answer %v", brief([]raft.Message{resp}))
	}
}

// A heartbeat's commit index is believed as far as the log reaches; an earlier one changes nothing.
func TestHeartbeatCommit(t *testing.T) {
	p := startPeer(t, 1, logOf(voters(1, 2, 3), 1, 1, 1))
	for _, tt := range []struct{ send, want uint64 }{{2, 2}, {1, 2}, {9, 2}, {3, 3}} {
		p.step(raft.Message{Type: raft.MsgHeartbeat, From: 2, Term: 1, Commit: tt.send})
		if got := p.Status().HardState.Commit; got != tt.want {
			t.Errorf("after %d: %d, want %d", tt.send, got, tt.want)
		}
	}
}

// A leader tells a follower no more than is known to match there (§5.3: or it would commit what it should not).
func TestHeartbeatCarriesNoMoreThanMatch(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	c.isolate(3)
	p.must(p.Propose([]byte("x")))
	c.settle()
	p.Tick()
	for _, m := range find(p.drain(), raft.MsgHeartbeat) {
		if want := map[uint64]uint64{2: 2, 3: 1}[m.To]; m.Commit != want {
			t.Errorf("heartbeat to %d carries %d, want %d", m.To, m.Commit, want)
		}
	}
}

// An append of an earlier term is refused and changes nothing (figure 2).
func TestStaleLeaderIsRefused(t *testing.T) {
	p := startPeer(t, 1, logOf(voters(1, 2, 3), 1, 4))
	ms := p.step(app(2, 3, 1, 1, 2, entries(1, 3)...))
	if resp := one(t, ms, raft.MsgAppResp); !resp.Reject || resp.Term != 4 || len(p.terms()) != 2 {
		t.Errorf("answer %v, log %v", brief(ms), p.terms())
	}
}

// The logs of figure 7: whatever a follower's log is, it ends up as the leader's.
func TestFigure7(t *testing.T) {
	leaderLog := []uint64{1, 1, 1, 4, 4, 5, 5, 6, 6, 6}
	followers := map[string][]uint64{
		"a": {1, 1, 1, 4, 4, 5, 5, 6, 6},
		"b": {1, 1, 1, 4},
		"c": {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6},
		"d": {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7},
		"e": {1, 1, 1, 4, 4, 4, 4},
		"f": {1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3},
	}
	for _, opt := range []option{func(*raft.Config) {}, func(c *raft.Config) { c.LinearBacktrack = true }} {
		for name, log := range followers {
			t.Run(name, func(t *testing.T) {
				c := &cluster{t: t}
				lead := logOf(voters(1, 2, 3), leaderLog...)
				lead.SetHardState(raft.HardState{Term: 7})
				c.peers = append(c.peers, startPeer(t, 1, lead, opt), startPeer(t, 2, logOf(voters(1, 2, 3), log...), opt),
					newPeer(t, 3, voters(1, 2, 3), opt))
				c.elect(1)
				want := append(slices.Clone(leaderLog), 8)
				if got := c.peers[1].terms(); !slices.Equal(got, want) {
					t.Errorf("follower's log %v, want %v", got, want)
				}
			})
		}
	}
}

// Rejections skip whole terms: a follower that diverged in two terms of many entries is found out in a few messages.
func TestRejectionSkipsTerms(t *testing.T) {
	var mine, theirs []uint64
	for range 100 {
		mine, theirs = append(mine, 1), append(theirs, 1)
	}
	for range 100 {
		mine, theirs = append(mine, 4), append(theirs, 2)
	}
	for range 100 {
		theirs = append(theirs, 3)
	}
	rejections := func(opt option) int {
		c := &cluster{t: t}
		c.peers = append(c.peers, startPeer(t, 1, logOf(voters(1, 2, 3), mine...), opt),
			startPeer(t, 2, logOf(voters(1, 2, 3), theirs...), opt), newPeer(t, 3, voters(1, 2, 3), opt))
		c.elect(1)
		if !slices.Equal(c.peers[1].terms(), append(mine, 5)) {
			t.Error("logs differ")
		}
		n := 0
		for _, m := range c.log {
			if m.Type == raft.MsgAppResp && m.Reject && m.From == 2 {
				n++
			}
		}
		return n
	}
	if n := rejections(func(*raft.Config) {}); n > 3 {
		t.Errorf("%d rejections", n)
	}
	if n := rejections(func(c *raft.Config) { c.LinearBacktrack = true }); n != 100 {
		t.Errorf("one by one: %d rejections", n)
	}
}

// Appends are made when Ready is taken: one for each follower, whatever the number of proposals.
func TestOneAppendPerFollowerPerReady(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	for range 64 {
		p.must(p.Propose([]byte("x")))
	}
	ms := find(p.ready().Messages, raft.MsgApp)
	if len(ms) != 2 || len(ms[0].Entries) != 64 || len(ms[1].Entries) != 64 {
		t.Errorf("sent %v", brief(ms))
	}
	c = newCluster(t, 3, func(c *raft.Config) { c.EagerAppend = true })
	p = c.elect(1)
	for range 8 {
		p.must(p.Propose([]byte("x")))
	}
	if ms := find(p.ready().Messages, raft.MsgApp); len(ms) != 16 {
		t.Errorf("eager appends: %v", brief(ms))
	}
}

// Appends follow each other without waiting for answers, until the window is full (dissertation §10.2.1).
func TestPipelineWindow(t *testing.T) {
	tests := []struct {
		name string
		opt  option
		want int
	}{
		{"messages", func(c *raft.Config) { c.MaxInflightMessages = 3 }, 3},
		{"one", func(c *raft.Config) { c.MaxInflightMessages = 1 }, 1},
		{"bytes", func(c *raft.Config) { c.MaxInflightBytes = 250 }, 3}, // 100 each: the third crosses the limit
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCluster(t, 3, tt.opt)
			p := c.elect(1)
			var sent []raft.Message
			for range 10 {
				p.must(p.Propose(make([]byte, 84)))
				sent = append(sent, find(p.drain(), raft.MsgApp)...)
			}
			to2 := slices.DeleteFunc(slices.Clone(sent), func(m raft.Message) bool { return m.To != 2 })
			if len(to2) != tt.want {
				t.Fatalf("%d appends in flight, want %d", len(to2), tt.want)
			}
			ms := p.step(raft.Message{Type: raft.MsgAppResp, From: 2, Term: 1, Index: to2[0].Entries[0].Index})
			if len(find(ms, raft.MsgApp)) != 1 {
				t.Errorf("an answer frees one place: %v", brief(ms))
			}
		})
	}
}

// An append holds no more than MaxMessageBytes, but one entry always goes.
func TestMessageBytes(t *testing.T) {
	c := newCluster(t, 3, func(c *raft.Config) { c.MaxMessageBytes = 250 })
	p := c.elect(1)
	for range 5 {
		p.must(p.Propose(make([]byte, 84)))
	}
	p.must(p.Propose(make([]byte, 1000)))
	var sizes []int
	for _, m := range find(p.drain(), raft.MsgApp) {
		if m.To == 2 {
			sizes = append(sizes, len(m.Entries))
		}
	}
	if !slices.Equal(sizes, []int{2, 2, 1, 1}) {
		t.Errorf("entries in the appends: %v", sizes)
	}
}

// A follower that lost appends, and reports no gap because nothing follows, is found out by its heartbeat's answer.
func TestLostAppendIsRepeated(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	c.isolate(2, 3)
	p.must(p.Propose([]byte("x")))
	c.settle()
	c.heal()
	c.tick(2)
	if got := p.payloads(); !slices.Equal(got, []string{"x"}) {
		t.Errorf("applied %q", got)
	}
}

// While a follower is probed, one append at a time goes there.
func TestProbeWaits(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	p.ReportUnreachable(2)
	n := 0
	for range 5 {
		p.must(p.Propose([]byte("x")))
		for _, m := range find(p.drain(), raft.MsgApp) {
			if m.To == 2 {
				n++
			}
		}
	}
	if n != 1 {
		t.Errorf("%d appends to a node that is probed", n)
	}
}

// Acknowledgements out of order, repeated or of garbage do not move anything back, or beyond the log.
func TestStrangeAcks(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	for range 5 {
		p.must(p.Propose([]byte("x")))
	}
	p.drain()
	ack := func(index uint64) error {
		return p.Step(raft.Message{Type: raft.MsgAppResp, From: 2, To: 1, Term: 1, Index: index})
	}
	p.must(ack(4))
	p.must(ack(2))
	p.must(ack(4))
	p.must(p.Step(raft.Message{Type: raft.MsgAppResp, From: 2, To: 1, Term: 1, Reject: true, Index: 3, Hint: 1}))
	if err := ack(99); !errors.Is(err, raft.ErrBadMessage) {
		t.Errorf("acknowledgement of what does not exist: %v", err)
	}
	if got := p.Status(); got.Progress[1].Match != 4 || got.HardState.Commit != 4 {
		t.Errorf("match %d, commit %d", got.Progress[1].Match, got.HardState.Commit)
	}
}

// A leader counts replicas for entries of its own term only (§5.4.2, figure 8).
func TestFigure8(t *testing.T) {
	c := &cluster{t: t}
	conf := voters(1, 2, 3, 4, 5)
	for id, log := range [][]uint64{{1, 2}, {1, 2}, {1}, {1}, {1, 3}} {
		c.peers = append(c.peers, startPeer(t, uint64(id+1), logOf(conf, log...)))
	}
	s1 := c.peers[0]
	s1.disk.SetHardState(raft.HardState{Term: 3})
	s1 = startPeer(t, 1, s1.disk)
	c.peers[0] = s1
	// (c): S1 leads term 4, and its entry of term 2 reaches a majority; the one of term 4 does not.
	c.cut = func(m raft.Message) bool {
		return m.To == 5 || m.From == 5 || m.Type == raft.MsgApp && len(m.Entries) > 0 && m.Index >= 2
	}
	c.elect(1)
	s1.step(raft.Message{Type: raft.MsgAppResp, From: 2, Term: s1.Term(), Index: 2})
	s1.step(raft.Message{Type: raft.MsgAppResp, From: 3, Term: s1.Term(), Index: 2})
	if got := s1.Status().HardState.Commit; got > 0 {
		t.Fatalf("(c) committed %d by counting replicas of an earlier term", got)
	}
	// (e): once an entry of its own term is on a majority, all before it is committed.
	c.heal()
	c.tick(3)
	if got := s1.Status().HardState.Commit; got != 3 {
		t.Errorf("(e) committed %d", got)
	}
	if got := c.peers[4].terms(); !slices.Equal(got, []uint64{1, 2, 4}) {
		t.Errorf("(e) S5 has %v", got)
	}
}

// Commitment needs a majority of voters, and the leader's own append counts when it is durable, not before
// (dissertation §10.2.1).
func TestLeaderCountsItselfWhenDurable(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	p.must(p.Propose([]byte("x")))
	rd, err := p.Ready()
	p.must(err)
	if len(rd.Immediate()) != 2 {
		t.Fatalf("appends wait for the leader's disk: %v", brief(rd.Messages))
	}
	p.must(p.Step(raft.Message{Type: raft.MsgAppResp, From: 2, To: 1, Term: 1, Index: 2}))
	if got := p.Status().HardState.Commit; got != 1 {
		t.Errorf("committed %d with one durable copy", got)
	}
	p.write(rd)
	p.Advance()
	if got := p.Status().HardState.Commit; got != 2 {
		t.Errorf("committed %d with two durable copies", got)
	}
	c = newCluster(t, 3, func(c *raft.Config) { c.SequentialAppend = true })
	p = c.elect(1)
	p.must(p.Propose([]byte("x")))
	if rd := p.ready(); len(rd.Immediate()) != 0 || len(rd.Deferred()) != 2 {
		t.Error("SequentialAppend has no effect")
	}
}

// Commitment is told with the next append or heartbeat; EagerCommit tells it at once.
func TestCommitIsToldLazily(t *testing.T) {
	run := func(opt option) (commit uint64) {
		c := newCluster(t, 3, opt)
		p := c.elect(1)
		p.must(p.Propose([]byte("x")))
		c.settle()
		return c.peers[1].Status().HardState.Commit
	}
	if got := run(func(*raft.Config) {}); got != 1 {
		t.Errorf("lazy: follower knows %d", got)
	}
	if got := run(func(c *raft.Config) { c.EagerCommit = true }); got != 2 {
		t.Errorf("eager: follower knows %d", got)
	}
}

// What is uncommitted is bounded; one proposal always passes, and room is made by commitment.
func TestUncommittedLogIsBounded(t *testing.T) {
	c := newCluster(t, 3, func(c *raft.Config) { c.MaxUncommittedBytes = 1000 })
	p := c.elect(1)
	p.must(p.Propose(make([]byte, 5000)))
	if err := p.Propose([]byte("x")); !errors.Is(err, raft.ErrProposalDropped) {
		t.Fatalf("over the limit: %v", err)
	}
	c.settle()
	p.must(p.Propose([]byte("x")))
}

// A follower sends proposals on, all of one Ready in one message.
func TestForwarding(t *testing.T) {
	c := newCluster(t, 3)
	c.elect(1)
	p := c.peers[1]
	for _, s := range []string{"a", "b", "c"} {
		p.must(p.Propose([]byte(s)))
	}
	if m := one(t, p.ready().Messages, raft.MsgProp); len(m.Entries) != 3 || m.To != 1 {
		t.Fatalf("forwarded %v", brief([]raft.Message{m}))
	} else {
		m.To = 1
		c.peers[0].step(m)
	}
	c.tick(2)
	if got := c.peers[2].payloads(); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("applied %q", got)
	}
	q := newPeer(t, 1, voters(1, 2, 3))
	if err := q.Propose(nil); !errors.Is(err, raft.ErrProposalDropped) {
		t.Errorf("without a leader: %v", err)
	}
}

// Messages that wait are never rewritten by a later truncation of the log they were cut from.
func TestWaitingMessagesDoNotChange(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	p.must(p.Propose([]byte("mine 2")))
	p.must(p.Propose([]byte("mine 3")))
	held := p.ready()
	p.step(app(2, 5, 1, 1, 0, entries(1, 5, 5, 5)...))
	for _, m := range find(held.Messages, raft.MsgApp) {
		if len(m.Entries) != 2 || string(m.Entries[0].Data) != "mine 2" || m.Entries[1].Term != 1 {
			t.Errorf("a message in flight changed: %v", m.Entries)
		}
	}
	if string(held.Entries[0].Data) != "mine 2" || held.Entries[1].Term != 1 {
		t.Errorf("a Ready that was handed out changed: %v", held.Entries)
	}
}

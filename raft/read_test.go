package raft_test

import (
	"errors"
	"slices"
	"testing"

	"tinykv/raft"
)

func leaseReads(c *raft.Config) { c.ReadMode = raft.ReadLease }

func ids(reads []raft.ReadState) []uint64 {
	var out []uint64
	for _, r := range reads {
		out = append(out, r.RequestID)
	}
	return out
}

// A leader asks a quorum before it lets a read pass, and one round serves all that wait (dissertation §6.4).
func TestReadIndexAsksQuorum(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	for id := range uint64(5) {
		p.must(p.ReadIndex(id))
	}
	ms := p.drain()
	if len(ms) != 2 || len(find(ms, raft.MsgHeartbeat)) != 2 || len(p.reads) != 0 {
		t.Fatalf("sent %v, let pass %v", brief(ms), p.reads)
	}
	p.step(raft.Message{Type: raft.MsgHeartbeatResp, From: 3, Term: 1, Context: ms[0].Context})
	if !slices.Equal(ids(p.reads), []uint64{0, 1, 2, 3, 4}) || p.reads[0].Index != 1 {
		t.Errorf("reads %v", p.reads)
	}
}

// An answer to a round that began before the request proves nothing.
func TestReadNeedsALaterRound(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	p.Tick()
	early := one(t, p.drain()[:1], raft.MsgHeartbeat)
	p.must(p.ReadIndex(1))
	p.drain()
	p.step(raft.Message{Type: raft.MsgHeartbeatResp, From: 2, Term: 1, Context: early.Context})
	p.step(raft.Message{Type: raft.MsgHeartbeatResp, From: 3, Term: 1, Context: early.Context})
	p.step(raft.Message{Type: raft.MsgHeartbeatResp, From: 3, Term: 1, Context: 1 << 50}) // a round that never was
	if len(p.reads) != 0 {
		t.Errorf("let pass %v", p.reads)
	}
}

// Before it has committed in its own term a leader does not know what is committed: reads wait (§8).
func TestReadWaitsForCommitInTerm(t *testing.T) {
	p := newPeer(t, 1, voters(1, 2, 3), noPreVote)
	p.must(p.Campaign())
	p.drain()
	p.step(raft.Message{Type: raft.MsgVoteResp, From: 2, Term: 1})
	p.must(p.ReadIndex(1))
	p.drain()
	p.step(raft.Message{Type: raft.MsgHeartbeatResp, From: 2, Term: 1, Context: 1})
	if len(p.reads) != 0 {
		t.Fatalf("let pass %v", p.reads)
	}
	ms := p.step(raft.Message{Type: raft.MsgAppResp, From: 2, Term: 1, Index: 1})
	hb := find(ms, raft.MsgHeartbeat)
	p.step(raft.Message{Type: raft.MsgHeartbeatResp, From: 2, Term: 1, Context: hb[0].Context})
	if len(p.reads) != 1 || p.reads[0].Index != 1 {
		t.Errorf("reads %v", p.reads)
	}
}

// A leader that was deposed without knowing gets no quorum, and its reads do not pass (§8).
func TestDeposedLeaderServesNoRead(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	c.isolate(1)
	c.tick(30, 2, 3)
	p.must(p.ReadIndex(1))
	c.tick(5, 1)
	if len(p.reads) != 0 {
		t.Fatalf("stale read %v", p.reads)
	}
	c.heal()
	c.tick(5) // the request goes to the new leader
	if len(p.reads) != 1 || p.reads[0].Index < 2 {
		t.Errorf("reads %v", p.reads)
	}
}

// A follower asks the leader, for all its requests together, and learns at once what is committed.
func TestFollowerRead(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	p.must(p.Propose([]byte("x")))
	c.settle()
	q := c.peers[1]
	for id := range uint64(3) {
		q.must(q.ReadIndex(id))
	}
	if ms := find(q.ready().Messages, raft.MsgReadIndex); len(ms) != 1 {
		t.Fatalf("asked with %v", brief(ms))
	} else {
		p.must(p.Step(ms[0]))
	}
	c.settle()
	if len(q.reads) != 3 || q.reads[0].Index != 2 || q.Status().Applied != 2 {
		t.Errorf("reads %v, applied %d", q.reads, q.Status().Applied)
	}
	lonely := newPeer(t, 2, voters(1, 2, 3))
	if err := lonely.ReadIndex(1); !errors.Is(err, raft.ErrNoLeader) {
		t.Errorf("without a leader: %v", err)
	}
}

// A request or an answer that was lost is repeated.
func TestFollowerReadIsRepeated(t *testing.T) {
	c := newCluster(t, 3)
	c.elect(1)
	q := c.peers[1]
	c.isolate(1)
	q.must(q.ReadIndex(7))
	c.settle()
	c.heal()
	c.tick(4)
	if !slices.Equal(ids(q.reads), []uint64{7}) {
		t.Errorf("reads %v", q.reads)
	}
}

// Alone there is nobody to ask.
func TestReadOfSingleNode(t *testing.T) {
	p := newPeer(t, 1, voters(1))
	p.must(p.Campaign())
	p.drain()
	p.must(p.ReadIndex(1))
	if p.drain(); len(p.reads) != 1 || p.reads[0].Index != 1 {
		t.Errorf("reads %v", p.reads)
	}
}

// A lease comes from a round that a quorum answered, and is counted from the round's beginning (§6.4.1).
func TestLeaseRead(t *testing.T) {
	c := newCluster(t, 3, leaseReads)
	p := c.elect(1)
	read := func(id uint64) bool {
		n := len(p.reads)
		p.must(p.ReadIndex(id))
		p.drain()
		return len(p.reads) > n
	}
	c.tick(1)
	if !read(1) || !p.InLease() {
		t.Fatal("no lease after a round")
	}
	c.isolate(1)
	for left := 8; left > 1; left-- {
		if got := p.LeaseTicks(); got != left {
			t.Errorf("the lease is said to last %d ticks, want %d", got, left)
		}
		c.tick(1, 1)
	}
	if !read(2) {
		t.Error("the lease ended early")
	}
	c.tick(1, 1)
	if read(3) || p.InLease() || p.LeaseTicks() != 0 {
		t.Error("the lease never ends")
	}
}

// No lease while leadership is handed over, and none after the target was told: it need not wait for the lease.
func TestNoLeaseAfterTransfer(t *testing.T) {
	c := newCluster(t, 3, leaseReads)
	p := c.elect(1)
	c.tick(1)
	c.isolate(3)
	p.must(p.TransferLeader(3))
	c.tick(12, 1, 2)
	if p.role() != raft.StateLeader || p.Status().Transferee != raft.None {
		t.Fatal("the transfer should have been given up")
	}
	if p.InLease() {
		t.Error("a lease although TimeoutNow may still arrive")
	}
}

// A voter that was restarted may have heard a leader just before: it keeps to that for an election timeout.
func TestRestartedVoterKeepsLease(t *testing.T) {
	disk := logOf(voters(1, 2, 3), 1)
	p := startPeer(t, 1, disk, leaseReads)
	vote := raft.Message{Type: raft.MsgVote, From: 2, Term: 2, Index: 1, LogTerm: 1}
	if ms := p.step(vote); len(ms) != 0 {
		t.Errorf("answered %v", brief(ms))
	}
	for range 10 {
		p.Tick()
	}
	if one(t, p.step(vote), raft.MsgVoteResp).Reject {
		t.Error("refused after an election timeout")
	}
}

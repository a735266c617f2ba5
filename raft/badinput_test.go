package raft_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"tinykv/raft"
)

// What bad input gets: an error with a name, and no effect - neither on what is durable nor on anything a Ready shows.
func TestBadInputHasNoEffect(t *testing.T) {
	tests := []struct {
		name string
		msg  raft.Message
		want error
	}{
		{"for another node", raft.Message{Type: raft.MsgHeartbeat, From: 2, To: 3, Term: 9}, raft.ErrNotForUs},
		{"from nobody", raft.Message{Type: raft.MsgHeartbeat, To: 1, Term: 9}, raft.ErrBadMessage},
		{"from ourselves", raft.Message{Type: raft.MsgHeartbeat, From: 1, To: 1, Term: 9}, raft.ErrBadMessage},
		{"of no type", raft.Message{From: 2, To: 1, Term: 9}, raft.ErrBadMessage},
		{"of unknown type", raft.Message{Type: 200, From: 2, To: 1, Term: 9}, raft.ErrBadMessage},
		{"answer of a stranger", raft.Message{Type: raft.MsgAppResp, From: 8, To: 1, Term: 9}, raft.ErrUnknownPeer},
		{"proposal of a stranger", raft.Message{Type: raft.MsgProp, From: 8, To: 1, Entries: make([]raft.Entry, 1)},
			raft.ErrUnknownPeer},
		{"proposal of nothing", raft.Message{Type: raft.MsgProp, From: 2, To: 1}, raft.ErrBadMessage},
		{"term from the absurd future", raft.Message{Type: raft.MsgApp, From: 2, To: 1, Term: ^uint64(0)},
			raft.ErrBadMessage},
		{"vote of the absurd future", raft.Message{Type: raft.MsgVote, From: 2, To: 1, Term: 1 << 40}, raft.ErrBadMessage},
		{"candidate whose log is of the absurd future", raft.Message{Type: raft.MsgVote, From: 2, To: 1, Term: 9, Force: true,
			Index: 9, LogTerm: 1 << 60}, raft.ErrBadMessage},
		{"without a term", raft.Message{Type: raft.MsgApp, From: 2, To: 1}, raft.ErrBadMessage},
		{"proposal with a term", raft.Message{Type: raft.MsgProp, From: 2, To: 1, Term: 9, Entries: make([]raft.Entry, 1)},
			raft.ErrBadMessage},
		{"append with a gap", raft.Message{Type: raft.MsgApp, From: 2, To: 1, Term: 9, Index: 2, LogTerm: 1,
			Entries: []raft.Entry{{Term: 9, Index: 4}}}, raft.ErrBadMessage},
		{"entries out of order", raft.Message{Type: raft.MsgApp, From: 2, To: 1, Term: 9, Index: 2, LogTerm: 1,
			Entries: []raft.Entry{{Term: 9, Index: 3}, {Term: 9, Index: 5}, {Term: 9, Index: 4}}}, raft.ErrBadMessage},
		{"entries whose terms fall", raft.Message{Type: raft.MsgApp, From: 2, To: 1, Term: 9, Index: 2, LogTerm: 1,
			Entries: []raft.Entry{{Term: 9, Index: 3}, {Term: 8, Index: 4}}}, raft.ErrBadMessage},
		{"entry later than its leader", raft.Message{Type: raft.MsgApp, From: 2, To: 1, Term: 9, Index: 2, LogTerm: 1,
			Entries: []raft.Entry{{Term: 10, Index: 3}}}, raft.ErrBadMessage},
		{"index that overflows", raft.Message{Type: raft.MsgApp, From: 2, To: 1, Term: 9, Index: ^uint64(0), LogTerm: 1,
			Entries: []raft.Entry{{Term: 9, Index: 0}}}, raft.ErrBadMessage},
		{"snapshot of the absurd future", raft.Message{Type: raft.MsgSnap, From: 2, To: 1, Term: 9,
			Snapshot: snapshotAt(1<<60, 9, voters(1, 2, 3))}, raft.ErrBadMessage},
		{"snapshot of nothing", raft.Message{Type: raft.MsgSnap, From: 2, To: 1, Term: 9}, raft.ErrBadMessage},
		{"proposal of unknown type", raft.Message{Type: raft.MsgProp, From: 2, To: 1, Entries: []raft.Entry{{Type: 9}}},
			raft.ErrBadMessage},
		{"change that does not decode", raft.Message{Type: raft.MsgProp, From: 2, To: 1,
			Entries: []raft.Entry{{Type: raft.EntryConfChange, Data: []byte{77}}}}, raft.ErrBadMessage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := startPeer(t, 1, logOf(voters(1, 2, 3), 1, 1, 1))
			before := p.Status().HardState
			if err := p.Step(tt.msg); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if p.HasReady() || p.Status().HardState != before {
				t.Errorf("it had an effect: %+v", p.Status())
			}
		})
	}
}

// A conflict with what is committed cannot come from a correct leader. It is refused, and the log stays.
func TestConflictWithCommittedIsRefused(t *testing.T) {
	p := startPeer(t, 1, logOf(voters(1, 2, 3), 1, 1, 1))
	p.step(app(2, 1, 3, 1, 1))
	m := app(3, 2, 0, 0, 0, entries(0, 2)...)
	m.To = 1
	p.step(m) // before the commit index: answered, not looked at
	m = app(3, 2, 1, 1, 0, entries(1, 2)...)
	p.step(m) // a legal replacement of what is not committed
	if got := p.terms(); len(got) != 2 || got[0] != 1 || got[1] != 2 {
		t.Fatalf("log %v", got)
	}
}

// Random garbage never panics, and never lowers term or commit.
func TestGarbageNeverPanics(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	small := func() uint64 {
		switch rnd.IntN(12) {
		case 0:
			return rnd.Uint64()
		case 1:
			return 1 << rnd.IntN(64)
		}
		return rnd.Uint64N(6)
	}
	for range 300 {
		c := newCluster(t, 3)
		p := c.peers[0]
		if rnd.IntN(2) == 0 {
			c.elect(1)
		}
		before := p.Status().HardState
		for range 200 {
			m := raft.Message{Type: raft.MessageType(rnd.IntN(17)), Reject: rnd.IntN(2) == 0, Force: rnd.IntN(4) == 0,
				From: small(), To: 1, Term: small(), LogTerm: small(), Index: small(), Commit: small(), Hint: small(),
				Context: small()}
			for range rnd.IntN(4) {
				m.Entries = append(m.Entries, raft.Entry{Term: small(), Index: m.Index + 1 + uint64(len(m.Entries)),
					Type: raft.EntryType(rnd.IntN(3))})
			}
			if rnd.IntN(3) == 0 {
				m.Snapshot = snapshotAt(small(), small(), voters(1, 2, 3))
			}
			_ = p.Step(m)
			if rnd.IntN(3) == 0 {
				p.Tick()
			}
			for p.HasReady() {
				rd, err := p.Ready()
				p.must(err)
				p.write(rd)
				p.Advance()
			}
			now := p.Status().HardState
			if now.Term < before.Term || now.Commit < before.Commit {
				t.Fatalf("%+v became %+v by %+v", before, now, m)
			}
			before = now
		}
	}
}

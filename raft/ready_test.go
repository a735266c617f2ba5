package raft_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"tinykv/raft"
)

// faultyStorage fails where it is told to.
type faultyStorage struct {
	raft.Storage
	entries, term, snapshot error
}

func (s *faultyStorage) Entries(lo, hi, max uint64) ([]raft.Entry, error) {
	if s.entries != nil {
		return nil, s.entries
	}
	return s.Storage.Entries(lo, hi, max)
}

func (s *faultyStorage) Term(i uint64) (uint64, error) {
	if s.term != nil {
		return 0, s.term
	}
	return s.Storage.Term(i)
}

func (s *faultyStorage) Snapshot() (raft.Snapshot, error) {
	if s.snapshot != nil {
		return raft.Snapshot{}, s.snapshot
	}
	return s.Storage.Snapshot()
}

// panics returns what f panics with.
func panics(f func()) (v any) {
	defer func() { v = recover() }()
	f()
	return nil
}

// The order of Ready and Advance is the caller's duty, and breaking it is named.
func TestContractPanics(t *testing.T) {
	p := newPeer(t, 1, voters(1))
	if got := panics(p.Advance); got != raft.ErrAdvanceWithoutReady {
		t.Errorf("Advance first: %v", got)
	}
	p.must(p.Campaign())
	if _, err := p.Ready(); err != nil {
		t.Fatal(err)
	}
	if got := panics(func() { _, _ = p.Ready() }); got != raft.ErrReadyTwice {
		t.Errorf("Ready twice: %v", got)
	}
	if p.HasReady() {
		t.Error("HasReady while a Ready is out")
	}
	if got := panics(func() { p.Persisted(1) }); got != raft.ErrAckInSyncMode {
		t.Errorf("Persisted in sync mode: %v", got)
	}
}

// A fresh node asks for nothing, and a Ready that is done is not asked for again.
func TestNothingToDo(t *testing.T) {
	p := newPeer(t, 1, voters(1, 2, 3))
	if p.HasReady() {
		t.Error("a fresh node has a Ready")
	}
	c := newCluster(t, 3)
	c.elect(1)
	for _, p := range c.peers {
		if p.HasReady() {
			t.Errorf("node %d still has a Ready", p.cfg.ID)
		}
	}
}

// Every kind of effect makes a Ready, and each is in exactly one.
func TestReadyHoldsEachEffectOnce(t *testing.T) {
	p := newPeer(t, 1, voters(1, 2, 3))
	p.must(p.Step(raft.Message{Type: raft.MsgApp, From: 2, To: 1, Term: 1, Commit: 1, Entries: entries(0, 1, 1)}))
	rd := p.ready()
	if rd.HardState != (raft.HardState{Term: 1, Commit: 1}) || rd.SoftState == nil || rd.SoftState.Lead != 2 ||
		len(rd.Entries) != 2 || len(rd.CommittedEntries) != 1 || len(rd.Messages) != 1 || !rd.MustSync {
		t.Fatalf("%+v", rd)
	}
	if p.HasReady() {
		t.Fatal("something is left")
	}
	p.must(p.Step(raft.Message{Type: raft.MsgHeartbeat, From: 2, To: 1, Term: 1, Commit: 2}))
	rd = p.ready()
	if rd.HardState.Commit != 2 || rd.SoftState != nil || len(rd.Entries) != 0 || len(rd.CommittedEntries) != 1 ||
		rd.MustSync {
		t.Errorf("%+v", rd)
	}
}

// Votes and acknowledgements wait for the disk; so does everything that shows a term which is not durable yet.
func TestPromisesAreDeferred(t *testing.T) {
	p := newPeer(t, 1, voters(1, 2, 3), noPreVote)
	p.must(p.Step(raft.Message{Type: raft.MsgVote, From: 2, To: 1, Term: 1}))
	if rd := p.ready(); len(rd.Deferred()) != 1 || rd.HardState.Vote != 2 {
		t.Errorf("vote: %+v", rd)
	}
	p.must(p.Step(raft.Message{Type: raft.MsgApp, From: 2, To: 1, Term: 1, Entries: entries(0, 1)}))
	if rd := p.ready(); len(rd.Deferred()) != 1 || len(rd.Entries) != 1 {
		t.Errorf("acknowledgement: %+v", rd)
	}
	// A single voter is elected at once; its learner must not hear of the term before it is durable.
	q := newPeer(t, 1, raft.ConfState{Voters: []uint64{1}, Learners: []uint64{2}})
	q.must(q.Campaign())
	if rd := q.ready(); len(rd.Immediate()) != 0 || len(find(rd.Messages, raft.MsgApp)) != 1 {
		t.Errorf("appends of a term that is not durable: %+v", rd)
	}
}

// What comes in between Ready and Advance is kept for the next Ready.
func TestInputBetweenReadyAndAdvance(t *testing.T) {
	p := newPeer(t, 1, voters(1))
	p.must(p.Campaign())
	p.drain()
	p.must(p.Propose([]byte("a")))
	rd, err := p.Ready()
	p.must(err)
	p.must(p.Propose([]byte("b")))
	p.write(rd)
	p.apply(rd)
	p.Advance()
	p.drain()
	if !slices.Equal(p.payloads(), []string{"a", "b"}) {
		t.Errorf("applied %q", p.payloads())
	}
}

// An append that truncates what a Ready has handed out and the disk has not acknowledged (§5.3).
func TestTruncationBetweenReadyAndAdvance(t *testing.T) {
	p := newPeer(t, 1, voters(1, 2, 3))
	p.must(p.Step(raft.Message{Type: raft.MsgApp, From: 2, To: 1, Term: 1, Entries: entries(0, 1, 1, 1)}))
	rd, err := p.Ready()
	p.must(err)
	p.must(p.Step(raft.Message{Type: raft.MsgApp, From: 3, To: 1, Term: 2, Index: 1, LogTerm: 1, Entries: entries(1, 2)}))
	p.write(rd)
	p.Advance()
	p.drain()
	if got := p.terms(); !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("the disk has %v", got)
	}
	if rd.Entries[1].Term != 1 {
		t.Error("a Ready that was handed out changed")
	}
}

// Committed entries come in portions of MaxApplyBytes, all of them, in order.
func TestApplyInPortions(t *testing.T) {
	p := newPeer(t, 1, voters(1, 2, 3), func(c *raft.Config) { c.MaxApplyBytes = 100 })
	var ents []raft.Entry
	for i := range uint64(10) {
		ents = append(ents, raft.Entry{Term: 1, Index: i + 1, Data: make([]byte, 24)})
	}
	p.must(p.Step(raft.Message{Type: raft.MsgApp, From: 2, To: 1, Term: 1, Commit: 10, Entries: ents}))
	n := 0
	for p.HasReady() {
		if rd := p.ready(); len(rd.CommittedEntries) > 2 {
			t.Errorf("%d entries at once", len(rd.CommittedEntries))
		}
		n++
	}
	if len(p.done) != 10 || n != 5 {
		t.Errorf("applied %d in %d Readies", len(p.done), n)
	}
}

// A restart goes on from what is durable; what was applied is not applied again.
func TestRestart(t *testing.T) {
	c := newCluster(t, 1)
	p := c.elect(1)
	for range 5 {
		p.must(p.Propose([]byte("x")))
	}
	c.settle()
	q := startPeer(t, 1, p.disk, func(c *raft.Config) { c.Applied = 4 })
	q.drain()
	if len(q.done) != 2 || q.done[0].Index != 5 || q.Term() != 1 {
		t.Errorf("applied %v in term %d", q.done, q.Term())
	}
}

// Durable states that a crash can leave are all good to start from; those it cannot leave are refused.
func TestRestartFromAnyDurableState(t *testing.T) {
	tests := []struct {
		name string
		hard raft.HardState
		opt  option
		bad  bool
		term uint64
	}{
		{"the hard state of the last entries is lost", raft.HardState{Term: 1, Vote: 3}, nil, false, 2},
		{"nothing was known to be committed", raft.HardState{Term: 2}, nil, false, 2},
		{"committed beyond the log", raft.HardState{Term: 2, Commit: 9}, nil, true, 0},
		{"applied beyond what was known to be committed", raft.HardState{Term: 2, Commit: 1},
			func(c *raft.Config) { c.Applied = 2 }, false, 2},
		{"applied beyond the log", raft.HardState{Term: 2, Commit: 1},
			func(c *raft.Config) { c.Applied = 3 }, true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			disk := logOf(voters(1, 2, 3), 1, 2)
			disk.SetHardState(tt.hard)
			cfg := raft.Config{ID: 1, Storage: disk, Rand: rand.New(rand.NewPCG(1, 1))}
			if tt.opt != nil {
				tt.opt(&cfg)
			}
			rn, err := raft.NewRawNode(cfg)
			if errors.Is(err, raft.ErrBadConfig) != tt.bad {
				t.Fatalf("NewRawNode: %v", err)
			}
			if !tt.bad && rn.Term() != tt.term {
				t.Errorf("term %d", rn.Term())
			}
		})
	}
}

// An error of Storage reaches the caller, changes nothing, and when it is over everything goes on.
func TestStorageErrorsAreHandedUp(t *testing.T) {
	broken := errors.New("disk on fire")
	disk := logOf(voters(1, 2, 3), 1, 1, 1)
	st := &faultyStorage{Storage: disk, term: broken}
	cfg := raft.Config{ID: 1, Storage: st, Rand: rand.New(rand.NewPCG(1, 1))}
	if _, err := raft.NewRawNode(cfg); !errors.Is(err, broken) {
		t.Errorf("NewRawNode: %v", err)
	}
	st.term = nil
	rn, err := raft.NewRawNode(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{RawNode: rn, t: t, cfg: cfg, disk: disk}
	st.term = broken
	m := app(2, 1, 2, 1, 2)
	m.To = 1
	if err := p.Step(m); !errors.Is(err, broken) {
		t.Errorf("Step: %v", err)
	}
	st.term = nil
	p.must(p.Step(m))
	st.entries = broken
	if _, err := p.Ready(); !errors.Is(err, broken) {
		t.Errorf("Ready: %v", err)
	}
	st.entries = nil
	p.drain()
	if len(p.done) != 2 {
		t.Errorf("applied %v", p.done)
	}
}

// A Config that cannot work is refused, and says why.
func TestBadConfigs(t *testing.T) {
	for _, o := range []option{
		func(c *raft.Config) { c.ID = 0 },
		func(c *raft.Config) { c.Storage = nil },
		func(c *raft.Config) { c.Rand = nil },
		func(c *raft.Config) { c.ElectionTicks, c.HeartbeatTicks = 3, 3 },
		func(c *raft.Config) { c.HeartbeatTicks = -1 },
		func(c *raft.Config) { c.ReadMode, c.DisableCheckQuorum = raft.ReadLease, true },
		func(c *raft.Config) { c.LeaseTicks = 10 },
	} {
		cfg := raft.Config{ID: 1, Storage: raft.NewMemoryStorage(), Rand: rand.New(rand.NewPCG(1, 1))}
		o(&cfg)
		if _, err := raft.NewRawNode(cfg); !errors.Is(err, raft.ErrBadConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// With AsyncStorage Readies overlap: entries count when their own write is reported, and are applied when durable.
func TestAsyncStorage(t *testing.T) {
	p := newPeer(t, 1, voters(1), func(c *raft.Config) { c.AsyncStorage = true })
	p.must(p.Campaign())
	var taken []raft.Ready
	take := func() {
		for p.HasReady() {
			rd, err := p.Ready()
			p.must(err)
			p.Advance()
			taken = append(taken, rd)
		}
	}
	take()
	p.must(p.Propose([]byte("a")))
	take()
	p.must(p.Propose([]byte("b")))
	take()
	if p.Status().HardState.Commit != 0 || len(taken) != 3 {
		t.Fatalf("commit %d, %d Readies", p.Status().HardState.Commit, len(taken))
	}
	p.write(taken[0])
	p.write(taken[1])
	p.Persisted(taken[1].Number)
	if got := p.Status().HardState.Commit; got != 2 {
		t.Fatalf("commit %d", got)
	}
	taken = nil
	take()
	if len(taken[0].CommittedEntries) != 2 || p.Status().Applied != 0 {
		t.Errorf("%+v", taken)
	}
	p.Applied(2)
	if got := p.Status().Applied; got != 2 {
		t.Errorf("applied %d", got)
	}
	if got := panics(func() { p.Applied(3) }); got != raft.ErrAckOutOfRange {
		t.Errorf("Applied beyond: %v", got)
	}
	if got := panics(func() { p.Persisted(99) }); got != raft.ErrAckOutOfRange {
		t.Errorf("Persisted beyond: %v", got)
	}
}

// A pause holds back what is to be applied, and nothing else.
func TestPauseApply(t *testing.T) {
	p := newPeer(t, 1, voters(1))
	p.must(p.Campaign())
	p.drain()
	applied := p.Status().Applied
	p.PauseApply(true)
	p.must(p.Propose([]byte("a")))
	p.drain()
	if s := p.Status(); s.Applied != applied || s.HardState.Commit != applied+1 || p.HasReady() {
		t.Errorf("paused after %d: applied %d, committed %d, more to do: %v", applied, s.Applied, s.HardState.Commit, p.HasReady())
	}
	p.PauseApply(false)
	p.drain()
	if got := p.Status().Applied; got != applied+1 {
		t.Errorf("after the pause: applied %d, want %d", got, applied+1)
	}
}

// An entry that was truncated and came back is not durable because of its first write: acknowledgements go by write.
func TestAsyncStorageRewrittenEntry(t *testing.T) {
	p := newPeer(t, 1, voters(1, 2, 3), func(c *raft.Config) { c.AsyncStorage = true })
	take := func() raft.Ready {
		rd, err := p.Ready()
		p.must(err)
		p.Advance()
		return rd
	}
	to1 := func(m raft.Message) raft.Message { m.To = 1; return m }
	p.must(p.Step(to1(app(2, 2, 0, 0, 0, entries(0, 2)...))))
	first := take()
	p.must(p.Step(to1(app(3, 3, 0, 0, 0, entries(0, 3)...))))
	take()
	p.must(p.Step(to1(app(2, 4, 0, 0, 1, entries(0, 2, 4)...))))
	take()
	p.Persisted(first.Number)
	for p.HasReady() {
		if rd := take(); len(rd.CommittedEntries) > 0 {
			t.Error("applied an entry whose last write is not durable")
		}
	}
}

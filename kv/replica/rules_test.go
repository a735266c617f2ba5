package replica

import (
	"errors"
	"fmt"
	"testing"

	"tinykv/kv/command"
	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/snapshot"
	"tinykv/raft"
)

// Persisting (raft, "What must be durable before what is sent").

func TestAVoteIsAPromise(t *testing.T) {
	p := newPeer(t, members3())
	p.hear(second, raft.Message{Type: raft.MsgVote, Term: 6, Index: 5, LogTerm: 5})
	w := p.take()
	if len(w.Immediate) > 0 || types(w.Deferred) != "VoteResp>2 " || w.Durability != engine.Synced {
		t.Errorf("immediate %s, deferred %s, durability %d", types(w.Immediate), types(w.Deferred), w.Durability)
	}
	p.carryOut()
	p.crash()
	if h := p.node.HardState(); h.Term != 6 || h.Vote != second.ID {
		t.Errorf("after a crash it knows %+v", h)
	}
}

func TestAnAcknowledgementIsAPromise(t *testing.T) {
	p := newPeer(t, members3())
	p.follow(6, 5, raft.Entry{}, raft.Entry{})
	w := p.take()
	if len(w.Immediate) > 0 || types(w.Deferred) != "AppResp>2 " || w.Durability != engine.Synced {
		t.Errorf("immediate %s, deferred %s, durability %d", types(w.Immediate), types(w.Deferred), w.Durability)
	}
	p.carryOut()
	p.crash()
	if got := p.node.LastIndex(); got != 7 {
		t.Errorf("after a crash the log ends at %d", got)
	}
}

func TestTheCommitIndexNeedsNoSync(t *testing.T) {
	p := newPeer(t, members3())
	p.follow(6, 5, raft.Entry{})
	p.settle()
	p.hear(second, raft.Message{Type: raft.MsgHeartbeat, Commit: 6})
	w := p.take()
	if w.Durability != engine.Buffered || w.Log.Len() != 1 || w.Data.used != 1 {
		t.Errorf("durability %d, %d writes to the log, %d to the data", w.Durability, w.Log.Len(), w.Data.used)
	}
}

func TestALeaderSendsBeforeItsOwnLogIsDurable(t *testing.T) {
	p := newPeer(t, members3())
	p.lead()
	p.propose(1, "k")
	w := p.take()
	if types(w.Immediate) != "App>2 App>3 " || len(w.Deferred) > 0 || w.Durability != engine.Synced {
		t.Errorf("immediate %s, deferred %s, durability %d", types(w.Immediate), types(w.Deferred), w.Durability)
	}
	for _, m := range w.Immediate {
		if m.From != me || m.Epoch != p.region.Epoch || m.RegionID != testRegion {
			t.Errorf("envelope %+v", m)
		}
	}
}

func TestWhatALeaderOverwritesIsGoneAfterACrash(t *testing.T) {
	p := newPeer(t, members3())
	p.follow(6, 5, raft.Entry{}, raft.Entry{}, raft.Entry{})
	p.settle()
	p.hear(third, raft.Message{Type: raft.MsgApp, Term: 7, Index: 6, LogTerm: 6, Entries: []raft.Entry{{Index: 7, Term: 7}}})
	p.settle()
	p.crash()
	if term, err := p.node.TermOf(7); p.node.LastIndex() != 7 || term != 7 || err != nil {
		t.Errorf("the log ends at %d with term %d, %v", p.node.LastIndex(), term, err)
	}
}

// R1, R4: applying.

func write(epoch region.Epoch, b *engine.Batch) raft.Entry {
	data, err := command.Encode(command.Write{Epoch: epoch, Batch: b})
	if err != nil {
		panic(err)
	}
	return raft.Entry{Data: data}
}

func TestTheEpochIsComparedAgainWhenAWriteIsApplied(t *testing.T) {
	outside := region.Range{Start: []byte("b"), End: []byte("d")}
	for _, c := range []struct {
		name  string
		epoch region.Epoch
		key   string
		want  bool
	}{
		{"as it is", region.Epoch{ConfVer: 1, Version: 1}, "c", true},
		{"other members", region.Epoch{ConfVer: 9, Version: 1}, "c", true},
		{"an older version", region.Epoch{ConfVer: 1, Version: 0}, "c", false},
		{"a newer version", region.Epoch{ConfVer: 1, Version: 2}, "c", false},
		{"a key outside", region.Epoch{ConfVer: 1, Version: 1}, "a", false},
	} {
		p := newPeer(t, members3())
		p.region.Range = outside
		p.follow(6, 6, write(c.epoch, putBatch(c.key, "v")))
		p.settle()
		if got := p.has(c.key); got != c.want {
			t.Errorf("%s: applied: %v", c.name, got)
		}
		if p.applied.Index != 6 {
			t.Errorf("%s: the position is %v", c.name, p.applied)
		}
	}
}

func TestTheProposerLearnsThatTheEpochMovedOn(t *testing.T) {
	p := newPeer(t, members3())
	p.lead()
	p.propose(1, "k")
	p.settle()
	p.region.Epoch.Version++ // as a split would
	var moved *region.EpochNotMatchError
	if answers := p.ack(); len(answers) != 1 || !errors.As(answers[0].Err, &moved) || p.has("k") {
		t.Errorf("answers %v, applied: %v", answers, p.has("k"))
	}
}

func TestEachBatchIsCompleteInItself(t *testing.T) {
	p := newPeer(t, members3())
	var entries []raft.Entry
	for i := range 5 {
		b := new(engine.Batch)
		b.Put(engine.Default, fmt.Appendf(nil, "k%d", i), make([]byte, 6<<20))
		entries = append(entries, write(p.region.Epoch, b))
	}
	p.cfg.Raft.MaxApplyBytes = 1 << 30
	p.open()
	p.follow(6, 10, entries...)
	p.turn()
	w := p.take()
	if n := len(w.Data.Batches()); n != 3 {
		t.Fatalf("%d batches", n)
	}
	for i, b := range w.Data.Batches() {
		if err := b.Check(); err != nil {
			t.Error(err)
		}
		p.must(p.cfg.Data.Write(b, engine.Synced))
		s, err := p.cfg.Data.Snapshot()
		p.must(err)
		applied, _, err := ReadApplied(s, testRegion)
		p.must(err)
		p.must(s.Close())
		if want := uint64(7 + 2*i - i/2); applied.Index != want {
			t.Errorf("after batch %d the position is %v, want %d", i, applied, want)
		}
		for k := range 5 {
			if got, want := p.has(fmt.Sprint("k", k)), uint64(k)+6 <= applied.Index; got != want {
				t.Errorf("after batch %d, k%d is there: %v", i, k, got)
			}
		}
	}
}

func TestAnEntryThatDoesNotDecodeIsCorrupt(t *testing.T) {
	p := newPeer(t, members3())
	good := write(p.region.Epoch, putBatch("k", "v"))
	good.Data[3] ^= 1
	var refused *RefusedError
	err := p.Step(p.from(second, raft.Message{Type: raft.MsgApp, Term: 6, Index: 5, LogTerm: 5,
		Entries: []raft.Entry{{Index: 6, Term: 6, Data: good.Data}}}))
	if !errors.As(err, &refused) || refused.Reason != BadEntry {
		t.Errorf("received: %v", err)
	}
	if p.node.Term() != 5 {
		t.Errorf("what was refused had an effect: term %d", p.node.Term())
	}
	// One that came by other ways, such as a disk, ends the store.
	p.applied = raftlog.Position{Index: 5, Term: 5}
	err = p.apply([]raft.Entry{{Index: 6, Term: 6, Data: good.Data}}, &p.w)
	if !errors.Is(err, ErrCorrupt) {
		t.Errorf("applied: %v", err)
	}
}

// R5: reads.

func TestAReadWaitsUntilItsIndexIsApplied(t *testing.T) {
	p := newPeer(t, []region.Peer{me}, func(c *Config) { c.Raft.MaxApplyBytes = 1 })
	p.lead()
	for i := range uint64(3) {
		p.propose(i+1, "k")
	}
	p.turn() // they are durable, and so committed; from here on one is applied each turn
	committed := p.node.HardState().Commit
	p.must(p.Read(9, request()))
	for range 10 {
		for _, a := range p.turn().Answers {
			if a.ID == 9 && (p.applied.Index != committed || a.Err != nil || !a.Read || a.Term != p.node.Term()) {
				t.Errorf("applied %d of %d, answer %+v", p.applied.Index, committed, a)
			} else if a.ID == 9 {
				return
			}
		}
	}
	t.Error("no answer")
}

func TestOneRoundServesAllReadsOfATurn(t *testing.T) {
	p := newPeer(t, members3())
	p.lead()
	for id := range uint64(5) {
		p.must(p.Read(id+1, request()))
	}
	w := p.turn()
	if types(w.Immediate) != "Heartbeat>2 Heartbeat>3 " || len(w.Answers) > 0 {
		t.Fatalf("sent %s, answered %v", types(w.Immediate), w.Answers)
	}
	round := w.Immediate[0].Raft.Context
	p.must(p.Read(6, request())) // after the round began: it needs the next
	p.hear(second, raft.Message{Type: raft.MsgHeartbeatResp, Context: round})
	if answers := p.settle(); len(answers) != 5 {
		t.Errorf("answered %v", answers)
	}
}

func TestOnlyALeaderReads(t *testing.T) {
	p := newPeer(t, members3())
	p.follow(6, 5)
	p.settle()
	var notLeader *region.NotLeaderError
	if err := p.Read(1, request()); !errors.As(err, &notLeader) || notLeader.Leader != second {
		t.Errorf("got %v", err)
	}
}

// A turn takes all that came since the last one: an election, a read, and the heartbeat of another leader among it.
func TestAReadInTheTurnOfAnElection(t *testing.T) {
	for _, deposed := range []bool{false, true} {
		p := newPeer(t, members3())
		p.must(p.node.Campaign())
		p.settle()
		p.hear(second, raft.Message{Type: raft.MsgPreVoteResp, Term: p.node.Term() + 1})
		p.settle()
		p.hear(second, raft.Message{Type: raft.MsgVoteResp})
		p.must(p.Read(1, request()))
		if deposed {
			p.hear(second, raft.Message{Type: raft.MsgHeartbeat, Term: p.node.Term() + 1})
		}
		answers := p.settle()
		if !deposed {
			if len(answers) > 0 {
				t.Errorf("nothing is committed in its term, and it answers %v", answers)
			}
			p.ack() // its first entry; then the round begins
			p.hear(second, raft.Message{Type: raft.MsgHeartbeatResp, Context: p.w.Immediate[0].Raft.Context})
			answers = p.settle()
			if len(answers) != 1 || answers[0].Err != nil {
				t.Errorf("it leads, and answers %v", answers)
			}
			continue
		}
		var notLeader *region.NotLeaderError
		if len(answers) != 1 || !errors.As(answers[0].Err, &notLeader) || notLeader.Leader != second {
			t.Errorf("it was deposed before its turn, and answers %v", answers)
		}
	}
}

func TestTheLeaseWaitsForAnEntryOfTheTerm(t *testing.T) {
	p := newPeer(t, members3(), func(c *Config) { c.Raft.MaxApplyBytes, c.Raft.ReadMode = 1, raft.ReadLease })
	p.follow(6, 25, make([]raft.Entry, 20)...)
	p.turn() // they are durable; from here on one is applied each turn
	p.tick(10)
	p.must(p.node.Campaign())
	p.turn()
	p.hear(second, raft.Message{Type: raft.MsgPreVoteResp, Term: 7})
	p.turn()
	p.hear(second, raft.Message{Type: raft.MsgVoteResp})
	p.turn()
	p.tick(1)
	w := p.turn()
	round := w.Immediate[0].Raft.Context
	p.hear(second, raft.Message{Type: raft.MsgAppResp, Index: p.node.LastIndex(), Context: round})
	if p.node.LeaseTicks() == 0 || p.applied.Index > 15 {
		t.Fatalf("raft's lease: %d ticks, applied %v", p.node.LeaseTicks(), p.applied)
	}
	for range 30 {
		for _, v := range p.turn().Views {
			if own := v.Applied.Term == v.Term; own != (v.LeaseUntil > 0) {
				t.Errorf("in term %d, applied %v, lease until %v", v.Term, v.Applied, v.LeaseUntil)
			}
		}
	}
	// It is counted from the tick at which the round began.
	if want := (11 + 8) * testTick; p.published.LeaseUntil != want {
		t.Errorf("lease until %v, want %v", p.published.LeaseUntil, want)
	}
}

func TestALeaseIsWithdrawnBeforeATransferIsSent(t *testing.T) {
	p := newPeer(t, members3(), func(c *Config) { c.Raft.ReadMode = raft.ReadLease })
	p.tick(10)
	p.lead()
	p.tick(1)
	w := p.turn()
	p.hear(second, raft.Message{Type: raft.MsgHeartbeatResp, Context: w.Immediate[0].Raft.Context})
	p.settle()
	if p.published.LeaseUntil == 0 {
		t.Fatal("no lease")
	}
	p.must(p.TransferLeader(request(), second.ID))
	w = p.take()
	if types(w.Immediate) != "TimeoutNow>2 " || len(w.Revoked) != 1 || w.Revoked[0].LeaseUntil != 0 {
		t.Errorf("sent %s, withdrawn %v", types(w.Immediate), w.Revoked)
	}
}

// R6: compaction.

func TestTheLogIsCutAtWhatIsAllowedAndDurable(t *testing.T) {
	for _, c := range []struct{ allowed, durable, want uint64 }{
		{0, 9, 5}, {8, 0, 5}, {8, 6, 6}, {8, 8, 8}, {8, 12, 8}, {4, 9, 5},
	} {
		p := newPeer(t, []region.Peer{me})
		p.lead()
		for i := range uint64(6) {
			p.propose(i+1, "k")
		}
		p.settle()
		p.allow(c.allowed, 6, p.applied.Index)
		p.DataDurable(c.durable)
		p.settle()
		state, _, err := p.cfg.Log.State(testRegion)
		p.must(err)
		if state.Truncated.Index != c.want {
			t.Errorf("allowed %d, durable %d: cut at %v, want %d", c.allowed, c.durable, state.Truncated, c.want)
		}
	}
}

// allow applies a CompactLog up to an index as the entry own.
func (p *peer) allow(index, term, own uint64) {
	p.t.Helper()
	p.must(p.allowCompaction(&command.CompactLog{Index: index, Term: term}, own))
}

func TestACompactionThatCantBeRightDoesNothing(t *testing.T) {
	p := newPeer(t, []region.Peer{me})
	p.lead()
	for i := range uint64(10) {
		p.propose(i+1, "k")
	}
	p.settle()
	for _, c := range []struct{ index, term, own, want uint64 }{
		{10, 6, 12, 10}, {7, 6, 13, 10}, {10, 6, 13, 10}, {14, 6, 14, 10}, {15, 6, 14, 10}, {12, 5, 14, 10}, {12, 7, 14, 10},
		{12, 6, 14, 12}, {13, 6, 14, 13},
	} {
		if p.allow(c.index, c.term, c.own); p.compact.target != c.want {
			t.Errorf("%d/%d as entry %d: the log may be cut up to %d, want %d", c.index, c.term, c.own, p.compact.target, c.want)
		}
	}
}

// A proposal that was lost with the term that it was made in is not waited for.
func TestALostCompactionIsNotWaitedFor(t *testing.T) {
	p := newPeer(t, members3(), func(c *Config) { c.Limits.CompactEntries = 5 })
	p.lead()
	for i := range uint64(10) {
		p.propose(i+1, "k")
	}
	p.settle()
	p.hear(third, raft.Message{Type: raft.MsgAppResp, Index: p.node.LastIndex()})
	p.ack()
	for i := range uint64(10) {
		p.propose(i+100, "k")
	}
	p.tick(1)
	p.settle()
	lost := p.compact.proposed
	if lost == 0 || lost <= p.applied.Index {
		t.Fatalf("proposed %d, applied %d", lost, p.applied.Index)
	}
	p.compact.lead(p.compact.term + 1)
	if p.compact.proposed != 0 {
		t.Errorf("in the next term it waits for entry %d", p.compact.proposed)
	}
}

func TestOneCompactionAtATimeIsProposed(t *testing.T) {
	p := newPeer(t, members3(), func(c *Config) { c.Limits.CompactEntries = 5 })
	p.lead()
	for i := range uint64(10) {
		p.propose(i+1, "k")
	}
	p.settle()
	p.hear(third, raft.Message{Type: raft.MsgAppResp, Index: p.node.LastIndex()})
	p.ack()
	last := p.node.LastIndex()
	p.tick(1)
	p.settle()
	p.tick(3)
	p.settle()
	if got := p.node.LastIndex(); got != last+1 {
		t.Errorf("%d entries were appended by four ticks without a quorum", got-last)
	}
	p.ack()
	if p.compact.target != last {
		t.Errorf("the log may be cut at %d, want %d", p.compact.target, last)
	}
}

func TestCompactionByBytes(t *testing.T) {
	p := newPeer(t, []region.Peer{me}, func(c *Config) { c.Limits.CompactBytes = 10 << 10 })
	p.lead()
	for i := range uint64(20) {
		_, err := p.Propose(i+1, request(), 0, putBatch("k", string(make([]byte, 1<<10))))
		p.must(err)
		p.settle()
		p.tick(1)
		p.settle()
	}
	if p.compact.target < 15 || p.compact.target == p.applied.Index {
		t.Errorf("the log may be cut at %d, applied %d", p.compact.target, p.applied.Index)
	}
	p.DataDurable(p.applied.Index)
	p.settle()
	if p.compact.bytes > 10<<10 {
		t.Errorf("%d bytes are kept", p.compact.bytes)
	}
}

// A log that was large before a restart is large after it.
func TestBytesAreKnownAfterARestart(t *testing.T) {
	p := newPeer(t, []region.Peer{me}, func(c *Config) { c.Limits.CompactBytes = 10 << 10 })
	p.lead()
	for i := range uint64(9) {
		_, err := p.Propose(i+1, request(), 0, putBatch("k", string(make([]byte, 1<<10))))
		p.must(err)
		p.settle()
	}
	p.crash()
	p.settle()
	if p.compact.bytes < 9<<10 {
		t.Fatalf("%d bytes after a restart", p.compact.bytes)
	}
	p.lead()
	_, err := p.Propose(10, request(), 0, putBatch("k", string(make([]byte, 1<<10))))
	p.must(err)
	p.settle()
	p.tick(1)
	p.settle()
	if p.compact.target == start.Index {
		t.Error("a log of more than 10 KiB may not be cut")
	}
}

func TestCompactionSparesASnapshotOnItsWay(t *testing.T) {
	p := newPeer(t, members3(), func(c *Config) { c.Limits.CompactEntries, c.Limits.MaxLagEntries = 5, 100 })
	p.lead()
	for i := range uint64(10) {
		p.propose(i+1, "k")
	}
	p.settle()
	p.ack()
	if got := p.compactUpTo(); got != 0 {
		t.Errorf("third has nothing, and may lag: compacted up to %d", got)
	}
	p.hear(third, raft.Message{Type: raft.MsgAppResp, Index: 10})
	if got := p.compactUpTo(); got != 10 {
		t.Errorf("third has entry 10: compacted up to %d", got)
	}
	p.compact.kept = raftlog.Position{Index: 14, Term: 6} // third needs a snapshot now
	p.compact.target = 14
	var b raftlog.Batch
	b.Compact(testRegion, p.compact.kept)
	p.must(p.cfg.Log.Write(&b, engine.Synced))
	p.Unreachable(third.StoreID)
	p.hear(third, raft.Message{Type: raft.MsgHeartbeatResp})
	w := p.turn()
	if len(w.Streams) != 1 || w.Streams[0].Head.To != third || w.Streams[0].Head.Position != p.applied {
		t.Fatalf("streams %v", w.Streams)
	}
	if got := p.compactUpTo(); got != p.applied.Index {
		t.Errorf("third gets the snapshot at %v: compacted up to %d", p.applied, got)
	}
	p.SnapshotSent(third.ID, false)
	if got := p.compactUpTo(); got != 0 {
		t.Errorf("third did not get it: compacted up to %d", got)
	}
	p.cfg.Limits.MaxLagEntries = 3
	if got := p.compactUpTo(); got != p.applied.Index {
		t.Errorf("third lags too far: compacted up to %d, want %d", got, p.applied.Index)
	}
}

// A new leader has heard of nobody yet, and must not take that for lagging.
func TestCompactionSparesWhoWasNotHeardYet(t *testing.T) {
	p := newPeer(t, members3(), func(c *Config) { c.Limits.CompactEntries, c.Limits.MaxLagEntries = 2, 4 })
	p.must(p.node.Campaign())
	p.settle()
	p.hear(second, raft.Message{Type: raft.MsgPreVoteResp, Term: p.node.Term() + 1})
	p.settle()
	p.hear(second, raft.Message{Type: raft.MsgVoteResp})
	p.settle()
	p.ack() // second has everything, third has said nothing since the election
	for i := range uint64(4) {
		p.propose(i+1, "k")
	}
	p.settle()
	p.ack()
	if last := p.node.LastIndex(); last != 10 || p.applied.Index != 10 {
		t.Fatalf("last %d, applied %d", last, p.applied.Index)
	}
	p.tick(1)
	if p.compact.floor != start.Index || p.compact.proposed != 11 {
		t.Errorf("floor %d, proposed %d: third is more than 4 entries behind the floor", p.compact.floor, p.compact.proposed)
	}
	p.cfg.Limits.MaxLagEntries = 20
	if got := p.compactUpTo(); got != 0 {
		t.Errorf("third may have everything: compacted up to %d", got)
	}
	p.hear(third, raft.Message{Type: raft.MsgAppResp, Index: 9})
	if got := p.compactUpTo(); got != 9 {
		t.Errorf("third has entry 9: compacted up to %d", got)
	}
}

// R7: snapshots sent.

func TestASnapshotIsOneState(t *testing.T) {
	p := newPeer(t, members3())
	p.lead()
	p.propose(1, "before")
	p.settle()
	p.ack()
	snap, err := p.makeSnapshot()
	p.must(err)
	at := p.applied
	p.propose(2, "after")
	p.settle()
	p.ack()
	if snap.Metadata.Index != at.Index || snap.Metadata.Term != at.Term || len(snap.Metadata.ConfState.Voters) != 3 {
		t.Errorf("%+v, applied %v", snap.Metadata, at)
	}
	held := &p.cfg.Tickets.live[0]
	_, before := held.source.Get(engine.Default, []byte("before"))
	_, after := held.source.Get(engine.Default, []byte("after"))
	if before != nil || !errors.Is(after, engine.ErrNotFound) {
		t.Errorf("before: %v, after: %v", before, after)
	}
}

// The position is that of the state, not that of the turn whose writes are on their way.
func TestASnapshotKnowsWhatIsInIt(t *testing.T) {
	p := newPeer(t, []region.Peer{me})
	p.lead()
	before := p.applied
	p.propose(1, "k")
	p.turn()
	p.take()
	if p.applied.Index != before.Index+1 {
		t.Fatalf("applied %v", p.applied)
	}
	snap, err := p.makeSnapshot()
	p.must(err)
	if snap.Metadata.Index != before.Index {
		t.Errorf("a state with entries up to %v is said to have those up to %d", before, snap.Metadata.Index)
	}
}

func TestTicketsAreBounded(t *testing.T) {
	p := newPeer(t, members3())
	for range 2 {
		_, err := p.makeSnapshot()
		p.must(err)
	}
	if _, err := p.makeSnapshot(); !errors.Is(err, raft.ErrSnapshotTemporarilyUnavailable) {
		t.Errorf("the third: %v", err)
	}
	p.must(p.cfg.Tickets.live[0].source.Close()) // as who streamed it does
	p.cfg.Tickets.End(1)
	if _, err := p.makeSnapshot(); err != nil {
		t.Error(err)
	}
	p.cfg.Tickets.Release()
	p.must(p.cfg.Data.Close()) // which waits for open snapshots
}

// R8: snapshots received.

func (p *peer) snapshotHead(index, term uint64) *snapshot.Head {
	return &snapshot.Head{ClusterID: testCluster, RegionID: testRegion, From: second, To: me, Region: p.region,
		Position: raftlog.Position{Index: index, Term: term}, Term: term,
		ConfState: raft.ConfState{Voters: []uint64{11, 12, 13}}}
}

func TestASnapshotIsAcceptedByOneSyncedWrite(t *testing.T) {
	p := newPeer(t, members3())
	p.must(p.ReceiveSnapshot(p.snapshotHead(50, 6), "s"))
	w := p.take()
	if w.Durability != engine.Synced || types(w.Deferred) != "AppResp>2 " || len(w.Immediate) > 0 || len(w.Installs) != 1 {
		t.Errorf("durability %d, immediate %s, deferred %s, installs %v", w.Durability, types(w.Immediate), types(w.Deferred), w.Installs)
	}
	p.carryOut()
	state, _, err := p.cfg.Log.State(testRegion)
	p.must(err)
	if want := (raftlog.Position{Index: 50, Term: 6}); state.Install == nil || state.Last != want || state.Hard.Term != 6 {
		t.Errorf("the log has %+v", state)
	}
	if err := p.ReceiveSnapshot(p.snapshotHead(60, 6), "t"); reasonOf(err) != Installing {
		t.Errorf("another one meanwhile: %v", err)
	}
}

func reasonOf(err error) Reason {
	var refused *RefusedError
	if !errors.As(err, &refused) {
		return NumReasons
	}
	return refused.Reason
}

func TestNothingIsAppliedBeforeTheSnapshotIsInstalledNotEvenAfterACrash(t *testing.T) {
	p := newPeer(t, members3())
	p.must(p.ReceiveSnapshot(p.snapshotHead(50, 6), "s"))
	p.settle()
	p.follow(6, 51, write(p.region.Epoch, putBatch("k", "v")))
	p.settle()
	check := func(when string) {
		t.Helper()
		p.hear(second, raft.Message{Type: raft.MsgHeartbeat, Term: 6, Commit: 51})
		p.settle()
		if p.has("k") || p.node.HardState().Commit != 51 {
			t.Errorf("%s: applied: %v, committed %d", when, p.has("k"), p.node.HardState().Commit)
		}
	}
	check("installing")
	p.crash()
	w := p.turn()
	if len(w.Installs) != 1 || w.Installs[0].Spool != "s" {
		t.Fatalf("after a crash it installs %v", w.Installs)
	}
	records := w.Installs[0].Records
	check("after a crash")
	p.must(p.cfg.Data.Write(records, engine.Synced))
	if p.Installed("other") || !p.Installed("s") {
		t.Error("it does not know its spool")
	}
	w = p.turn()
	state, _, err := p.cfg.Log.State(testRegion)
	p.must(err)
	if fmt.Sprint(w.Discards) != "[s]" || !p.has("k") || state.Install != nil {
		t.Errorf("discarded %v, applied: %v, to be installed %v", w.Discards, p.has("k"), state.Install)
	}
}

func TestTheMembersAreThoseOfTheSnapshotFromTheMomentItIsAccepted(t *testing.T) {
	p := newPeer(t, members3())
	head := p.snapshotHead(50, 6)
	head.Region.Peers = append(members3(), region.Peer{ID: 14, StoreID: 4})
	head.Region.Epoch.ConfVer = 2
	head.ConfState.Voters = []uint64{11, 12, 13, 14}
	p.must(p.ReceiveSnapshot(head, "s"))
	p.settle()
	for _, when := range []string{"installing", "after a crash"} {
		conf := p.node.Status().ConfState
		if len(conf.Voters) != 4 || len(p.Region().Peers) != 4 || p.Region().Epoch.ConfVer != 2 {
			t.Errorf("%s: members %v, region %v", when, conf, p.Region())
		}
		p.crash()
	}
}

func TestOfTwoSnapshotsOneIsInstalled(t *testing.T) {
	p := newPeer(t, members3())
	p.must(p.ReceiveSnapshot(p.snapshotHead(50, 6), "older"))
	p.must(p.ReceiveSnapshot(p.snapshotHead(60, 6), "newer"))
	w := p.turn()
	if len(w.Installs) != 1 || w.Installs[0].Spool != "newer" || fmt.Sprint(w.Discards) != "[older]" {
		t.Errorf("installs %v, discards %v", w.Installs, w.Discards)
	}
}

// Messages that are refused.

func TestMessagesThatNoCorrectPeerSendsChangeNothing(t *testing.T) {
	p := newPeer(t, members3())
	p.lead()
	p.settle()
	stranger := region.Peer{ID: 99, StoreID: 9}
	for _, c := range []struct {
		name   string
		from   region.Peer
		m      raft.Message
		change func(*Message)
		want   Reason
	}{
		{"earlier peer", second, raft.Message{Type: raft.MsgHeartbeat}, func(m *Message) { m.To.ID = 3 }, StalePeer},
		{"envelope of another", second, raft.Message{Type: raft.MsgHeartbeat}, func(m *Message) { m.From = third }, BadMessage},
		{"member of another store", region.Peer{ID: second.ID, StoreID: 9}, raft.Message{Type: raft.MsgHeartbeat, Term: 90}, nil,
			BadMessage},
		{"removed peer", stranger, raft.Message{Type: raft.MsgPreVote, Term: 90}, func(m *Message) { m.Epoch.ConfVer = 0 }, StaleEpoch},
		{"answer of a stranger", stranger, raft.Message{Type: raft.MsgAppResp}, nil, UnknownSender},
		{"snapshot as a message", second, raft.Message{Type: raft.MsgSnap, Term: 90, Snapshot: new(raft.Snapshot)}, nil, BadMessage},
		{"forwarded proposal", second, raft.Message{Type: raft.MsgProp, Entries: []raft.Entry{{}}}, nil, BadMessage},
		{"forwarded wish to lead", second, raft.Message{Type: raft.MsgTransferLeader, Context: second.ID}, nil, BadMessage},
		{"absurd term", second, raft.Message{Type: raft.MsgApp, Term: 1 << 40, Index: 5, LogTerm: 5}, nil, BadMessage},
		{"acknowledgement of the future", second, raft.Message{Type: raft.MsgAppResp, Index: 1 << 40}, nil, BadMessage},
		{"second leader of the term", second, raft.Message{Type: raft.MsgHeartbeat}, nil, BadMessage},
		{"oversized entry", second, raft.Message{Type: raft.MsgApp, Term: 90, Index: 5, LogTerm: 5,
			Entries: []raft.Entry{{Index: 6, Term: 90, Data: make([]byte, command.MaxSize+1)}}}, nil, BadEntry},
		{"member change of nobody", second, raft.Message{Type: raft.MsgApp, Term: 90, Index: 5, LogTerm: 5,
			Entries: []raft.Entry{{Index: 6, Term: 90, Type: raft.EntryConfChange, Data: raft.ConfChange{
				Changes: []raft.ConfChangeSingle{{Type: raft.ConfChangeAddNode, NodeID: 5}}}.Encode()}}}, nil, BadEntry},
	} {
		m := p.from(c.from, c.m)
		if c.m.Type == raft.MsgProp || c.m.Type == raft.MsgTransferLeader {
			m.Raft.Term = 0
		}
		if c.change != nil {
			c.change(m)
		}
		before := p.node.Status()
		if got := reasonOf(p.Step(m)); got != c.want {
			t.Errorf("%s: refused as %v, want %v", c.name, got, c.want)
		}
		if after := p.node.Status(); fmt.Sprint(after) != fmt.Sprint(before) || p.HasReady() {
			t.Errorf("%s: changed %v to %v", c.name, before, after)
		}
	}
}

func TestAPeerWithoutAStateTakesNoEntriesFromTheStart(t *testing.T) {
	p := newPeer(t, members3())
	fresh, err := New(&p.cfg, 2, me)
	p.must(err)
	err = fresh.Step(&Message{RegionID: 2, From: second, To: me, Raft: raft.Message{Type: raft.MsgApp, From: second.ID, To: me.ID,
		Term: 3, Entries: []raft.Entry{{Index: 1, Term: 3}}, Commit: 1}})
	if reasonOf(err) != Uninitialized || fresh.node.LastIndex() != 0 {
		t.Errorf("got %v, log ends at %d", err, fresh.node.LastIndex())
	}
}

// Records.

func TestDamagedRecordsAreCorrupt(t *testing.T) {
	rec := Record{Peer: me, Region: region.Region{ID: 9, Range: region.Range{Start: []byte("a"), End: []byte("b")},
		Epoch: region.Epoch{ConfVer: 3, Version: 4}, Peers: members3()}, Tombstone: true,
		ConfState: raft.ConfState{Voters: []uint64{1, 2}, VotersOutgoing: []uint64{3}, Learners: []uint64{4}, AutoLeave: true}}
	value := rec.encode()
	if got, err := decodeRecord(value); err != nil || fmt.Sprint(got) != fmt.Sprint(rec) {
		t.Errorf("%v comes back as %v, %v", rec, got, err)
	}
	for i := range value {
		bad := append([]byte(nil), value...)
		bad[i] ^= 4
		if _, err := decodeRecord(bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
		if _, err := decodeRecord(value[:i]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
}

package raft

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// The arithmetic inside, in tables.

// What a majority of match indexes allows to be committed (§5.3, figure 2).
func TestQuorumValue(t *testing.T) {
	match := map[uint64]uint64{1: 10, 2: 5, 3: 7, 4: 2, 5: 9}
	tests := []struct {
		voters, outgoing []uint64
		want             uint64
	}{
		{[]uint64{1}, nil, 10},
		{[]uint64{1, 2}, nil, 5},
		{[]uint64{1, 2, 3}, nil, 7},
		{[]uint64{1, 2, 3, 4}, nil, 5},
		{[]uint64{1, 2, 3, 4, 5}, nil, 7},
		{[]uint64{1, 2, 3}, []uint64{4}, 2},
		{[]uint64{1, 3, 5}, []uint64{1, 2, 4}, 5},
		{[]uint64{6, 7, 8}, nil, 0},
		{[]uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, nil, 0},
	}
	for _, tt := range tests {
		m := membership{voters: tt.voters, outgoing: tt.outgoing}
		if got := m.quorumValue(func(id uint64) uint64 { return match[id] }); got != tt.want {
			t.Errorf("%v and %v: %d, want %d", tt.voters, tt.outgoing, got, tt.want)
		}
	}
}

// How an election stands (§5.2; joint: §6).
func TestTally(t *testing.T) {
	yes, no := func(id uint64) ballot { return ballot{id, true} }, func(id uint64) ballot { return ballot{id, false} }
	tests := []struct {
		name             string
		voters, outgoing []uint64
		votes            []ballot
		want             voteResult
	}{
		{"none yet", []uint64{1, 2, 3}, nil, nil, votePending},
		{"one of three", []uint64{1, 2, 3}, nil, []ballot{yes(1)}, votePending},
		{"two of three", []uint64{1, 2, 3}, nil, []ballot{yes(1), yes(2)}, voteWon},
		{"a stranger's", []uint64{1, 2, 3}, nil, []ballot{yes(1), yes(9)}, votePending},
		{"two refusals of three", []uint64{1, 2, 3}, nil, []ballot{no(2), no(3)}, voteLost},
		{"a tie of four", []uint64{1, 2, 3, 4}, nil, []ballot{yes(1), yes(2), no(3), no(4)}, voteLost},
		{"joint, one half", []uint64{1, 2, 3}, []uint64{4, 5, 6}, []ballot{yes(1), yes(2), yes(3)}, votePending},
		{"joint, lost in one half", []uint64{1, 2, 3}, []uint64{4, 5, 6}, []ballot{yes(1), yes(2), no(4), no(5)}, voteLost},
		{"joint, both", []uint64{1, 2, 3}, []uint64{3, 4, 5}, []ballot{yes(1), yes(3), yes(4)}, voteWon},
	}
	for _, tt := range tests {
		m := membership{voters: tt.voters, outgoing: tt.outgoing}
		if got := m.tally(tt.votes); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// The window of appends in flight against a plain list.
func TestWindow(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		w := window{maxCount: 1 + rnd.IntN(20), maxBytes: 1 + rnd.Uint64N(1000)}
		var plain []flight
		index := uint64(0)
		for range 200 {
			switch rnd.IntN(5) {
			case 0, 1, 2:
				if w.full() {
					continue
				}
				index += 1 + rnd.Uint64N(3)
				f := flight{last: index, bytes: rnd.Uint64N(200)}
				w.add(f.last, f.bytes)
				plain = append(plain, f)
			case 3:
				to := index - min(index, rnd.Uint64N(10))
				w.freeTo(to)
				plain = slices.DeleteFunc(plain, func(f flight) bool { return f.last <= to })
			case 4:
				w.freeFirst()
				plain = plain[min(1, len(plain)):]
			}
			var bytes uint64
			for _, f := range plain {
				bytes += f.bytes
			}
			full := len(plain) >= w.maxCount || len(plain) > 0 && bytes >= w.maxBytes
			if w.count != len(plain) || w.bytes != bytes || w.full() != full || w.count > w.maxCount {
				t.Fatalf("%+v, want %v", w, plain)
			}
		}
	}
}

// How a leader's view of a follower changes with its answers.
func TestProgress(t *testing.T) {
	fresh := func(s ProgressState, match, next uint64) *progress {
		p := &progress{state: s, match: match, next: next}
		p.window.maxCount, p.window.maxBytes = 10, 1000
		return p
	}
	tests := []struct {
		name        string
		p           *progress
		act         func(p *progress) bool
		news        bool
		match, next uint64
		state       ProgressState
	}{
		{"probe answered", fresh(ProgressProbe, 0, 5), func(p *progress) bool { return p.acked(4) }, true, 4, 5,
			ProgressReplicate},
		{"old answer to a probe", fresh(ProgressProbe, 3, 5), func(p *progress) bool { return p.acked(2) }, false, 3, 5,
			ProgressProbe},
		{"replicate answered", fresh(ProgressReplicate, 3, 9), func(p *progress) bool { return p.acked(6) }, true, 6, 9,
			ProgressReplicate},
		{"replicate refused", fresh(ProgressReplicate, 3, 9), func(p *progress) bool { return p.rejected(6, 5) }, true, 3, 4,
			ProgressProbe},
		{"old refusal", fresh(ProgressReplicate, 6, 9), func(p *progress) bool { return p.rejected(5, 2) }, false, 6, 9,
			ProgressReplicate},
		{"probe refused", fresh(ProgressProbe, 0, 9), func(p *progress) bool { return p.rejected(8, 3) }, true, 0, 4,
			ProgressProbe},
		{"hint not below", fresh(ProgressProbe, 0, 9), func(p *progress) bool { return p.rejected(8, 50) }, true, 0, 8,
			ProgressProbe},
		{"hint below match", fresh(ProgressProbe, 5, 9), func(p *progress) bool { return p.rejected(8, 1) }, true, 5, 6,
			ProgressProbe},
		{"refusal of another probe", fresh(ProgressProbe, 0, 9), func(p *progress) bool { return p.rejected(5, 1) }, false, 0,
			9, ProgressProbe},
		{"refusal at zero", fresh(ProgressProbe, 0, 1), func(p *progress) bool { return p.rejected(0, 0) }, false, 0, 1,
			ProgressProbe},
	}
	for _, tt := range tests {
		if got := tt.act(tt.p); got != tt.news || tt.p.match != tt.match || tt.p.next != tt.next || tt.p.state != tt.state {
			t.Errorf("%s: %v, %+v", tt.name, got, tt.p)
		}
	}
	p := fresh(ProgressSnapshot, 0, 1)
	p.pendingSnapshot = 8
	if p.acked(5); p.state != ProgressSnapshot {
		t.Error("an answer below the snapshot ended it")
	}
	if p.acked(8); p.state != ProgressReplicate || p.next != 9 {
		t.Errorf("after the snapshot: %+v", p)
	}
}

// The unstable tail against a plain log: what was handed out never changes, whatever is truncated later.
func TestUnstableKeepsWhatItHandedOut(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		u := unstable{offset: 1}
		var plain []Entry // the whole log
		type handed struct{ slice, copy []Entry }
		var out []handed
		for step := range uint64(200) {
			switch rnd.IntN(6) {
			case 0, 1, 2:
				e := Entry{Index: u.last() + 1, Term: step, Data: make([]byte, rnd.IntN(3000))}
				u.push(e)
				plain = append(plain, e)
			case 3:
				if u.last() == 0 {
					continue
				}
				i := 1 + rnd.Uint64N(u.last())
				u.truncate(i)
				plain = plain[: i-1 : i-1]
			case 4:
				if e := u.offerEntries(); len(e) > 0 {
					out = append(out, handed{e, slices.Clone(e)})
				}
			case 5:
				if u.offered >= u.offset {
					u.stableTo(u.offset + rnd.Uint64N(u.offered-u.offset+1))
				}
			}
			checkUnstable(t, &u, plain)
		}
		for _, h := range out {
			if !slices.EqualFunc(h.slice, h.copy, sameEntry) {
				t.Fatal("what was handed out changed")
			}
		}
	}
}

func sameEntry(a, b Entry) bool { return a.Index == b.Index && a.Term == b.Term }

func checkUnstable(t *testing.T, u *unstable, plain []Entry) {
	t.Helper()
	if u.last() != uint64(len(plain)) || u.offered > u.last() || u.offset > u.last()+1 {
		t.Fatalf("last %d offered %d offset %d, want %d entries", u.last(), u.offered, u.offset, len(plain))
	}
	if !slices.EqualFunc(u.entries, plain[u.offset-1:], sameEntry) {
		t.Fatalf("entries %v, want %v", u.entries, plain[u.offset-1:])
	}
}

// Where a follower's log can agree with the leader's at most (end of §5.3).
func TestLastNotAfterTerm(t *testing.T) {
	s := NewMemoryStorage()
	terms := []uint64{1, 1, 2, 2, 5, 5, 7}
	for i, term := range terms {
		if err := s.Append([]Entry{{Index: uint64(i) + 1, Term: term}}); err != nil {
			t.Fatal(err)
		}
	}
	l, err := newRaftLog(s, HardState{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ from, term, floor, index, there uint64 }{
		{7, 7, 0, 7, 7}, {7, 6, 0, 6, 5}, {7, 4, 0, 4, 2}, {99, 4, 0, 4, 2}, {3, 9, 0, 3, 2}, {7, 0, 0, 0, 0},
		{7, 1, 3, 3, 2},
	} {
		index, there, err := l.lastNotAfterTerm(tt.from, tt.term, tt.floor)
		if index != tt.index || there != tt.there || err != nil {
			t.Errorf("%+v: %d of term %d, %v", tt, index, there, err)
		}
	}
}

// MemoryStorage keeps to the contract of Storage.
func TestMemoryStorage(t *testing.T) {
	s := NewMemoryStorage()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.Append([]Entry{{Index: 1, Term: 1}, {Index: 2, Term: 1}, {Index: 3, Term: 1}}))
	held, err := s.Entries(2, 4, ^uint64(0))
	must(err)
	must(s.Append([]Entry{{Index: 3, Term: 2}}))
	if held[1].Term != 1 {
		t.Error("what was handed out changed")
	}
	if got, _ := s.Entries(1, 4, 20); len(got) != 1 {
		t.Errorf("%d entries in 20 bytes", len(got))
	}
	if err := s.Append([]Entry{{Index: 9, Term: 2}}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a gap: %v", err)
	}
	must(s.CreateSnapshot(2, ConfState{Voters: []uint64{1}}, nil))
	must(s.Compact(2))
	if term, err := s.Term(2); term != 1 || err != nil {
		t.Errorf("term before the first entry: %d, %v", term, err)
	}
	if _, err := s.Term(1); err != ErrCompacted {
		t.Errorf("compacted: %v", err)
	}
	if _, err := s.Entries(2, 4, 1); err != ErrCompacted {
		t.Errorf("compacted: %v", err)
	}
	if _, err := s.Entries(3, 5, 1); err != ErrUnavailable {
		t.Errorf("beyond the end: %v", err)
	}
	if err := s.Compact(3); err == nil {
		t.Error("compacted what no snapshot covers")
	}
	must(s.Append([]Entry{{Index: 1, Term: 1}, {Index: 2, Term: 1}, {Index: 3, Term: 3}}))
	if term, _ := s.Term(3); term != 3 {
		t.Errorf("term %d", term)
	}
	if err := s.ApplySnapshot(Snapshot{Metadata: SnapshotMetadata{Index: 1, Term: 1}}); err == nil {
		t.Error("went back to an older snapshot")
	}
}

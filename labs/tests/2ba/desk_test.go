// Package stage2ba_test grades exercise 2ba: persisting a Ready, from the raft log of all regions to the order of the effects
// of a turn.
//
// desk_test.go holds the rules of the handout, and the workbench for a log alone; that for whole stores is package storedesk.
package stage2ba_test

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/labs/tests/explain"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

// The workbench in short words.
type (
	desk    = storedesk.Desk
	server  = storedesk.Store
	options = storedesk.Options
)

// The rules of the handout 2ba.
var (
	replaced = explain.Rule{ID: "INV-2ba.1",
		Says: "a log holds what was appended last: what that replaces is gone, from memory and from disk"}
	portions = explain.Rule{ID: "INV-2ba.2",
		Says: "entries are read in portions: the first one always, and then as many as fit, without a gap"}
	absent = explain.Rule{ID: "INV-2ba.3",
		Says: "what a log does not have is refused by its name: compacted or not there; the term before the first is known"}
	immutable = explain.Rule{ID: "INV-2ba.4",
		Says: "an entry that was handed out is never changed, whatever is written later"}
	damage = explain.Rule{ID: "INV-2ba.5",
		Says: "damage and faults of a disk are errors, never an entry that was not written, and never a shorter list"}
	memory = explain.Rule{ID: "INV-2ba.6",
		Says: "the newest entries come out of memory, which is bounded; what was opened to read the others is closed"}
	promises = explain.Rule{ID: "INV-2ba.7",
		Says: "a vote, an acknowledgement or a new term leaves only when what it promises is durable"}
	restarts = explain.Rule{ID: "INV-2ba.8",
		Says: "a store that starts again has the term, the vote and the entries that it promised, " +
			"and goes on from its commit index"}
	counted = explain.Rule{ID: "INV-2ba.9",
		Says: "a turn writes to the log at most once, for all regions, and syncs if and only if that holds a promise"}
	ordered = explain.Rule{ID: "INV-2ba.10",
		Says: "a lease is withdrawn before messages leave, and answers and views follow the data that they tell of"}
	concluded = explain.Rule{ID: "INV-2ba.11",
		Says: "a turn that was carried out is told to raft, once, and what that makes possible comes in the next turn"}
	addressed = explain.Rule{ID: "INV-2ba.12",
		Says: "a message bears its region, its epoch, who sends it and where the peer is that it is for"}
	together = explain.Rule{ID: "INV-2ba.13",
		Says: "a cluster of such stores loses nothing that it acknowledged, whoever crashes between any two effects"}
)

// shelf is a raft log on a disk, with a record of what was done to it.
type shelf struct {
	t      *testing.T
	rule   explain.Rule
	done   []string
	disk   *storedesk.Disk
	engine *storedesk.Engine
	log    raftlog.Log
	cache  uint64
	notes  []string
}

// Sizes of entry caches: one that holds whatever a test writes, and one that holds nothing.
const (
	large = 1 << 20
	none  = 1
)

// newShelf opens a log on an empty disk. Region 1 is there, behind 5/5, as a store begins it; and region 2, behind 5/5, too.
func newShelf(t *testing.T, rule explain.Rule, cacheBytes uint64) *shelf {
	t.Helper()
	s := &shelf{t: t, rule: rule, disk: storedesk.NewDisk(1), cache: cacheBytes}
	s.open()
	for region := uint64(1); region <= 2; region++ {
		s.write(engine.Synced, func(b *raftlog.Batch) {
			b.Create(region, raftlog.Position{Index: 5, Term: 5}, raft.HardState{Term: 5, Commit: 5})
		})
	}
	s.done = []string{fmt.Sprintf("a log with a cache of %d bytes, whose regions 1 and 2 begin behind 5/5", cacheBytes)}
	return s
}

func (s *shelf) say(format string, args ...any) {
	s.done = append(s.done, fmt.Sprintf(format, args...))
}

func (s *shelf) broken(want, format string, args ...any) {
	s.t.Helper()
	done := s.done
	if n := len(done); n > 25 {
		done = append([]string{fmt.Sprintf("(%d steps before these)", n-25)}, done[n-25:]...)
	}
	s.rule.Broken(s.t, strings.Join(done, "\n"), want, fmt.Sprintf(format, args...), s.notes...)
}

func (s *shelf) check(ok bool, want, format string, args ...any) {
	s.t.Helper()
	if !ok {
		s.broken(want, format, args...)
	}
}

func (s *shelf) open() {
	s.t.Helper()
	e, err := s.disk.Mount()
	if err == nil {
		s.engine = e
		s.log, err = raftlog.Open(e, raftlog.Options{CacheBytes: s.cache})
	}
	s.check(err == nil, "a log that opens", "error: %v", err)
}

// reopen crashes and opens the log again.
func (s *shelf) reopen(keep storedesk.Keep) {
	s.t.Helper()
	s.say("the process crashes, and %v; the log is opened again", keep)
	s.disk.Crash(keep)
	s.open()
}

func (s *shelf) write(d engine.Durability, fill func(b *raftlog.Batch)) {
	s.t.Helper()
	var b raftlog.Batch
	fill(&b)
	err := s.log.Write(&b, d)
	s.check(err == nil, "the batch is written", "error: %v", err)
}

// appends appends entries of region 1, Synced.
func (s *shelf) appends(first uint64, terms ...uint64) {
	s.t.Helper()
	list := entries(first, terms...)
	s.say("Append(region 1, %s), Synced", storedesk.ShowEntries(list))
	s.write(engine.Synced, func(b *raftlog.Batch) { b.Append(1, list) })
}

// compacts drops entries of region 1.
func (s *shelf) compacts(index, term uint64) {
	s.t.Helper()
	s.say("Compact(region 1, %d/%d)", index, term)
	s.write(engine.Buffered, func(b *raftlog.Batch) { b.Compact(1, raftlog.Position{Index: index, Term: term}) })
}

// holds checks that the log of a region has exactly these entries behind truncated: read all at once, one by one, and each
// by its term.
func (s *shelf) holds(region uint64, truncated raftlog.Position, want []raft.Entry) {
	s.t.Helper()
	last := truncated
	if n := len(want); n > 0 {
		last = raftlog.Position{Index: want[n-1].Index, Term: want[n-1].Term}
	}
	state, _, err := s.log.State(region)
	s.check(err == nil && state.Truncated == truncated && state.Last == last,
		fmt.Sprintf("the log of region %d goes from behind %v to %v", region, truncated, last),
		"from behind %v to %v, error %v", state.Truncated, state.Last, err)
	if len(want) == 0 {
		return
	}
	s.reads(region, want[0].Index, last.Index+1, math.MaxUint64, want)
	for _, e := range want {
		s.reads(region, e.Index, e.Index+1, 0, []raft.Entry{e})
		s.term(region, e.Index, e.Term)
	}
	s.term(region, truncated.Index, truncated.Term)
}

// reads checks what Entries returns.
func (s *shelf) reads(region, lo, hi, maxBytes uint64, want []raft.Entry) {
	s.t.Helper()
	got, err := s.log.Entries(region, lo, hi, maxBytes)
	if err != nil || !reflect.DeepEqual(got, want) {
		s.broken(fmt.Sprintf("Entries(region %d, %d, %d, %s) is %s", region, lo, hi, bytes(maxBytes),
			storedesk.ShowEntries(want)), "%s, %s", storedesk.ShowEntries(got), explain.Error(err))
	}
}

func (s *shelf) term(region, index, want uint64) {
	s.t.Helper()
	got, err := s.log.Term(region, index)
	s.check(err == nil && got == want, fmt.Sprintf("Term(region %d, %d) is %d", region, index, want), "%d, %s", got,
		explain.Error(err))
}

func bytes(n uint64) string {
	if n == math.MaxUint64 {
		return "no limit"
	}
	return fmt.Sprintf("%d bytes", n)
}

// entries makes entries from first on, one for each term; each holds its own name.
func entries(first uint64, terms ...uint64) []raft.Entry {
	list := make([]raft.Entry, len(terms))
	for i, term := range terms {
		index := first + uint64(i)
		list[i] = raft.Entry{Index: index, Term: term, Data: fmt.Appendf(nil, "%03d/%03d", index, term)}
	}
	return list
}

// entryBytes is what one of entries counts against a limit: its data, of 7 bytes, and 16.
const entryBytes = 7 + 16

func join(lists ...[]raft.Entry) []raft.Entry {
	var all []raft.Entry
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// begin is where the regions of a shelf begin.
var begin = raftlog.Position{Index: 5, Term: 5}

// recovered returns what f panics with, or nil.
func recovered(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

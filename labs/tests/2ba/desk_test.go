// Package stage2ba_test grades exercise 2ba: persisting a Ready, from the raft log of all regions to the order of the effects
// of a turn.
//
// desk_test.go holds the rules of the handout, and the workbench for a log alone; that for whole stores is package storedesk.
package stage2ba_test

import (
	"fmt"
	"math"
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

// shelf is a raft log alone.
type shelf struct{ *storedesk.Shelf }

// Sizes of entry caches: one that holds whatever a test writes, and one that holds nothing.
const (
	large = 1 << 20
	none  = 1
)

func newShelf(t *testing.T, rule explain.Rule, cacheBytes uint64) *shelf {
	t.Helper()
	return &shelf{storedesk.NewShelf(t, rule, cacheBytes)}
}

// appends appends entries of region 1, Synced.
func (s *shelf) appends(first uint64, terms ...uint64) {
	s.T.Helper()
	list := entries(first, terms...)
	s.Say("Append(region 1, %s), Synced", storedesk.ShowEntries(list))
	s.Write(engine.Synced, func(b *raftlog.Batch) { b.Append(1, list) })
}

// compacts drops entries of region 1.
func (s *shelf) compacts(index, term uint64) {
	s.T.Helper()
	s.Say("Compact(region 1, %d/%d)", index, term)
	s.Write(engine.Buffered, func(b *raftlog.Batch) { b.Compact(1, raftlog.Position{Index: index, Term: term}) })
}

// holds checks that the log of a region has exactly these entries behind truncated: read all at once, one by one, and each
// by its term.
func (s *shelf) holds(region uint64, truncated raftlog.Position, want []raft.Entry) {
	s.T.Helper()
	last := truncated
	if n := len(want); n > 0 {
		last = raftlog.Position{Index: want[n-1].Index, Term: want[n-1].Term}
	}
	state, _, err := s.Log.State(region)
	s.Check(err == nil && state.Truncated == truncated && state.Last == last,
		fmt.Sprintf("the log of region %d goes from behind %v to %v", region, truncated, last),
		"from behind %v to %v, error %v", state.Truncated, state.Last, err)
	if len(want) == 0 {
		return
	}
	s.Reads(region, want[0].Index, last.Index+1, math.MaxUint64, want)
	for _, e := range want {
		s.Reads(region, e.Index, e.Index+1, 0, []raft.Entry{e})
		s.Term(region, e.Index, e.Term)
	}
	s.Term(region, truncated.Index, truncated.Term)
}

var entries = storedesk.NamedEntries

// entryBytes is what one of entries counts against a limit: its data, of 7 bytes, and 16.
const entryBytes = 7 + 16

func join(lists ...[]raft.Entry) []raft.Entry {
	var all []raft.Entry
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

var begin = storedesk.ShelfBegin

// recovered returns what f panics with, or nil.
func recovered(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

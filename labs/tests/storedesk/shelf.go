// A raft log alone, without a store around it.

package storedesk

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/labs/tests/explain"
	"tinykv/raft"
)

// Shelf is a raft log on a disk, with a record of what was done to it.
type Shelf struct {
	T      *testing.T
	Rule   explain.Rule
	Done   []string
	Disk   *Disk
	Engine *Engine
	Log    raftlog.Log
	Cache  uint64   // bytes of the log's cache of entries
	Notes  []string // told with a broken rule
}

// ShelfBegin is the place before the first entry of the regions of a shelf.
var ShelfBegin = raftlog.Position{Index: 5, Term: 5}

// NewShelf opens a log on an empty disk. Regions 1 and 2 are there and begin behind ShelfBegin, as a store begins them.
func NewShelf(t *testing.T, rule explain.Rule, cacheBytes uint64) *Shelf {
	t.Helper()
	s := &Shelf{T: t, Rule: rule, Disk: NewDisk(1), Cache: cacheBytes}
	s.Open()
	for region := uint64(1); region <= 2; region++ {
		s.Write(engine.Synced, func(b *raftlog.Batch) {
			b.Create(region, ShelfBegin, raft.HardState{Term: ShelfBegin.Term, Commit: ShelfBegin.Index})
		})
	}
	s.Done = []string{fmt.Sprintf("a log with a cache of %d bytes, whose regions 1 and 2 begin behind 5/5", cacheBytes)}
	return s
}

// Say adds a line to what was done.
func (s *Shelf) Say(format string, args ...any) {
	s.Done = append(s.Done, fmt.Sprintf(format, args...))
}

// Brokenf ends the test: the rule is broken.
func (s *Shelf) Brokenf(want, format string, args ...any) {
	s.T.Helper()
	done := s.Done
	if n := len(done); n > 25 {
		done = append([]string{fmt.Sprintf("(%d steps before these)", n-25)}, done[n-25:]...)
	}
	s.Rule.Broken(s.T, strings.Join(done, "\n"), want, fmt.Sprintf(format, args...), s.Notes...)
}

// Check ends the test unless ok.
func (s *Shelf) Check(ok bool, want, format string, args ...any) {
	s.T.Helper()
	if !ok {
		s.Brokenf(want, format, args...)
	}
}

// Open opens the log that lies on the disk.
func (s *Shelf) Open() {
	s.T.Helper()
	e, err := s.Disk.Mount()
	if err == nil {
		s.Engine = e
		s.Log, err = raftlog.Open(e, raftlog.Options{CacheBytes: s.Cache})
	}
	s.Check(err == nil, "a log that opens", "error: %v", err)
}

// Reopen crashes and opens the log again.
func (s *Shelf) Reopen(keep Keep) {
	s.T.Helper()
	s.Say("the process crashes, and %v; the log is opened again", keep)
	s.Disk.Crash(keep)
	s.Open()
}

// Write writes a batch.
func (s *Shelf) Write(d engine.Durability, fill func(b *raftlog.Batch)) {
	s.T.Helper()
	var b raftlog.Batch
	fill(&b)
	err := s.Log.Write(&b, d)
	s.Check(err == nil, "the batch is written", "error: %v", err)
}

// Reads checks what Entries returns.
func (s *Shelf) Reads(region, lo, hi, maxBytes uint64, want []raft.Entry) {
	s.T.Helper()
	got, err := s.Log.Entries(region, lo, hi, maxBytes)
	s.Check(err == nil && reflect.DeepEqual(got, want),
		fmt.Sprintf("Entries(region %d, %d, %d, %s) is %s", region, lo, hi, ShowLimit(maxBytes), ShowEntries(want)),
		"%s, %s", ShowEntries(got), explain.Error(err))
}

// Term checks what Term returns.
func (s *Shelf) Term(region, index, want uint64) {
	s.T.Helper()
	got, err := s.Log.Term(region, index)
	s.Check(err == nil && got == want, fmt.Sprintf("Term(region %d, %d) is %d", region, index, want), "%d, %s", got,
		explain.Error(err))
}

// ShowLimit is a limit of Entries in words.
func ShowLimit(maxBytes uint64) string {
	if maxBytes == math.MaxUint64 {
		return "no limit"
	}
	return fmt.Sprintf("%d bytes", maxBytes)
}

// NamedEntries makes entries from an index on, one for each term; the data of each is its own name, of 7 bytes.
func NamedEntries(first uint64, terms ...uint64) []raft.Entry {
	list := make([]raft.Entry, len(terms))
	for i, term := range terms {
		index := first + uint64(i)
		list[i] = raft.Entry{Index: index, Term: term, Data: fmt.Appendf(nil, "%03d/%03d", index, term)}
	}
	return list
}

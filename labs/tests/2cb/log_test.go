// A raft log alone: what it is after a cut, in memory, on disk, and after a restart.

package stage2cb_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/labs/tests/explain"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

// shelf is a raft log alone.
type shelf struct{ *storedesk.Shelf }

// Sizes of entry caches: one that holds whatever a test writes, and one that holds nothing.
const (
	roomy = 4 << 20
	none  = 1
)

func newShelf(t *testing.T, rule explain.Rule, cacheBytes uint64) *shelf {
	t.Helper()
	return &shelf{storedesk.NewShelf(t, rule, cacheBytes)}
}

var first = storedesk.ShelfBegin

func at(index, term uint64) raftlog.Position { return raftlog.Position{Index: index, Term: term} }

// write writes a batch, Synced.
func (s *shelf) write(fill func(b *raftlog.Batch)) {
	s.T.Helper()
	s.Shelf.Write(engine.Synced, fill)
}

// appends appends entries of a region.
func (s *shelf) appends(region, from uint64, terms ...uint64) []raft.Entry {
	s.T.Helper()
	list := entries(from, terms...)
	s.Say("Append(region %d, %s)", region, storedesk.ShowEntries(list))
	s.write(func(b *raftlog.Batch) { b.Append(region, list) })
	return list
}

// cuts compacts the log of a region.
func (s *shelf) cuts(region uint64, upTo raftlog.Position) {
	s.T.Helper()
	s.Say("Compact(region %d, %s)", region, show(upTo))
	s.write(func(b *raftlog.Batch) { b.Compact(region, upTo) })
}

// touches writes something that has nothing to do with entries.
func (s *shelf) touches(region, term uint64) {
	s.T.Helper()
	s.write(func(b *raftlog.Batch) { b.SetHard(region, raft.HardState{Term: term, Commit: 5}) })
}

// holds checks that the log of a region is behind a place, and has exactly these entries: all at once, one by one, and by
// their terms; and that everything beyond is refused by its name.
func (s *shelf) holds(region uint64, truncated raftlog.Position, want []raft.Entry) {
	s.T.Helper()
	last := truncated
	if n := len(want); n > 0 {
		last = at(want[n-1].Index, want[n-1].Term)
	}
	state, _, err := s.Log.State(region)
	s.Check(err == nil && state.Truncated == truncated && state.Last == last,
		fmt.Sprintf("the log of region %d goes from behind %s to %s", region, show(truncated), show(last)),
		"from behind %s to %s, %s", show(state.Truncated), show(state.Last), explain.Error(err))
	s.Term(region, truncated.Index, truncated.Term)
	for index := truncated.Index; index > max(truncated.Index, 8)-8; index-- {
		s.refused(region, index, index+1, raft.ErrCompacted)
		s.refused(region, index, last.Index+1, raft.ErrCompacted)
		if index < truncated.Index {
			_, err := s.Log.Term(region, index)
			s.Check(errors.Is(err, raft.ErrCompacted), fmt.Sprintf("Term(region %d, %d) is refused: %v", region, index, raft.ErrCompacted),
				"%s", explain.Error(err))
		}
	}
	s.refused(region, last.Index+1, last.Index+2, raft.ErrUnavailable)
	if len(want) == 0 {
		return
	}
	s.Reads(region, want[0].Index, last.Index+1, math.MaxUint64, want)
	for _, e := range want {
		s.Reads(region, e.Index, e.Index+1, math.MaxUint64, []raft.Entry{e})
		s.Term(region, e.Index, e.Term)
	}
}

func (s *shelf) refused(region, lo, hi uint64, want error) {
	s.T.Helper()
	got, err := s.Log.Entries(region, lo, hi, math.MaxUint64)
	s.Check(errors.Is(err, want) && len(got) == 0, fmt.Sprintf("Entries(region %d, %d, %d) is refused: %v", region, lo, hi, want),
		"%s, %s", storedesk.ShowEntries(got), explain.Error(err))
}

// pairs is how many pairs lie on the disk.
func (s *shelf) pairs() (n int) {
	s.T.Helper()
	snap, err := s.Engine.Snapshot()
	s.Check(err == nil, "a snapshot of the log's engine", "error: %v", err)
	defer snap.Close()
	it, err := snap.Iterator(engine.Default, engine.IterOptions{})
	s.Check(err == nil, "an iterator", "error: %v", err)
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	s.Check(it.Close() == nil, "reading works", "it does not")
	return n
}

// leftFor lets a few unrelated writes happen and checks that no more lies on the disk than so many entries and what logs of
// two regions need beside them.
func (s *shelf) leftFor(entries int) {
	s.T.Helper()
	for i := range 4 {
		s.touches(1, 100+uint64(i))
	}
	s.Say("a few more writes")
	const beside = 4
	s.Check(s.pairs() <= entries+beside, fmt.Sprintf("%d entries are left on the disk, and the states of two regions", entries),
		"%d pairs", s.pairs())
}

var entries = storedesk.NamedEntries

// entryBytes is what one of entries counts against the bound of the cache.
const entryBytes = 7 + 16

func terms(n int, term uint64) []uint64 { return slices.Repeat([]uint64{term}, n) }

var caches = []uint64{roomy, 3 * entryBytes, none}

func TestCutLogBeginsInTheMiddle(t *testing.T) {
	for _, cache := range caches {
		for cut := range 6 {
			s := newShelf(t, begins, cache)
			list := s.appends(1, 6, 6, 6, 7, 7, 9, 9)
			last := list[cut]
			s.cuts(1, at(last.Index, last.Term))
			s.holds(1, at(last.Index, last.Term), list[cut+1:])
			s.Reopen(storedesk.LoseUnsynced)
			s.holds(1, at(last.Index, last.Term), list[cut+1:])
			more := s.appends(1, 12, 9, 10)
			s.holds(1, at(last.Index, last.Term), slices.Concat(list[cut+1:], more))
		}
	}
}

func TestCutsAndAppendsInOneBatch(t *testing.T) {
	for _, cache := range caches {
		s := newShelf(t, begins, cache)
		old := s.appends(1, 6, 6, 6, 6, 6)
		more := entries(10, 7, 7, 7)
		s.Say("in one batch: Append(region 1, %s), Compact(region 1, 11/7), Compact(region 1, 8/6), Append(region 1, [12/8])",
			storedesk.ShowEntries(more))
		tail := entries(12, 8)
		s.write(func(b *raftlog.Batch) {
			b.Append(1, more)
			b.Compact(1, at(11, 7))
			b.Compact(1, at(old[2].Index, 6))
			b.Append(1, tail)
		})
		s.holds(1, at(11, 7), tail)
		s.Reopen(storedesk.LoseUnsynced)
		s.holds(1, at(11, 7), tail)
		s.leftFor(1)
	}
}

func TestCutsNeverGoBack(t *testing.T) {
	for _, cache := range caches {
		s := newShelf(t, forward, cache)
		list := s.appends(1, 6, 6, 6, 7, 7, 9, 9)
		s.cuts(1, at(9, 7))
		for _, back := range []raftlog.Position{at(7, 6), at(9, 9), at(9, 6), at(5, 5), at(0, 0)} {
			s.cuts(1, back)
			s.holds(1, at(9, 7), list[4:])
		}
		s.Reopen(storedesk.LoseUnsynced)
		s.holds(1, at(9, 7), list[4:])
		s.cuts(1, at(8, 7))
		s.holds(1, at(9, 7), list[4:])
		s.cuts(1, at(11, 9))
		s.holds(1, at(11, 9), nil)
	}
}

// A cut behind the end is never asked for by a correct replica: better no store than a log that can't be.
func TestCutBehindTheEndIsRefused(t *testing.T) {
	for _, beyond := range []uint64{12, 13, 100} {
		s := newShelf(t, begins, roomy)
		list := s.appends(1, 6, 6, 6, 7, 7, 9, 9)
		s.Say("Compact(region 1, %d/9)", beyond)
		panicked := func() (value any) {
			defer func() { value = recover() }()
			var b raftlog.Batch
			b.Compact(1, at(beyond, 9))
			_ = s.Log.Write(&b, engine.Synced)
			return nil
		}()
		text := fmt.Sprint(panicked)
		s.Check(panicked != nil && !strings.Contains(text, "runtime error"), "a panic: the log ends at 11", "%v", panicked)
		for _, part := range []string{"region 1", fmt.Sprint(beyond), "11"} {
			s.Check(strings.Contains(text, part), "the panic names the region and both indexes", "%s", text)
		}
		s.Reopen(storedesk.KeepAll)
		s.holds(1, first, list)
	}
}

func TestOtherLogsAreLeftAlone(t *testing.T) {
	for _, cache := range caches {
		s := newShelf(t, tidy, cache)
		one, two := s.appends(1, 6, 6, 6, 6, 6, 6), s.appends(2, 6, 8, 8, 8, 8, 8)
		s.cuts(1, at(8, 6))
		s.holds(1, at(8, 6), one[3:])
		s.holds(2, first, two)
		s.cuts(2, at(9, 8))
		s.leftFor(2 + 1)
		s.Reopen(storedesk.LoseUnsynced)
		s.holds(1, at(8, 6), one[3:])
		s.holds(2, at(9, 8), two[4:])
	}
}

func TestCutEntriesLeaveTheDisk(t *testing.T) {
	for _, cache := range caches {
		s := newShelf(t, tidy, cache)
		list := s.appends(1, 6, terms(30, 6)...)
		s.cuts(1, at(10, 6))
		s.leftFor(25)
		s.Say("in one batch: Compact(region 1, 15/6), Compact(region 1, 20/6)")
		s.write(func(b *raftlog.Batch) {
			b.Compact(1, at(15, 6))
			b.Compact(1, at(20, 6))
		})
		s.leftFor(15)
		s.cuts(1, at(35, 6))
		s.leftFor(0)
		list = s.appends(1, 36, 7, 7)
		s.holds(1, at(35, 6), list)
		s.leftFor(2)
	}
}

// A cut may be large. Engines without cheap deletes of ranges take no more than some thousand entries at once, so one write
// removes at most 8192; those after it go on, also those of the next life.
func TestLargeCutsAreCleanedInPortions(t *testing.T) {
	const n, most = 20000, 8192
	for _, crash := range []bool{false, true} {
		s := newShelf(t, tidy, none)
		list := entries(6, terms(n, 6)...)
		s.Say("Append(region 1, %s)", storedesk.ShowEntries(list))
		s.write(func(b *raftlog.Batch) { b.Append(1, list) })
		last := list[n-2].Index
		before := s.pairs()
		s.cuts(1, at(last, 6))
		for i := range uint64(50) {
			now := s.pairs()
			s.Check(before-now <= most, fmt.Sprintf("one write removes at most %d entries", most), "%d", before-now)
			if before = now; now < 10 {
				break
			}
			if i == 0 && crash {
				s.Reopen(storedesk.LoseUnsynced)
			}
			s.touches(1, 200+i)
			s.Say("one more write")
		}
		s.leftFor(1)
		s.holds(1, at(last, 6), list[n-1:])
	}
}

// The cache is bounded over all regions: what was cut must not count, or it drives out what is needed.
func TestCutEntriesLeaveMemory(t *testing.T) {
	s := newShelf(t, tidy, 20*entryBytes)
	one := s.appends(1, 6, terms(10, 6)...)
	s.cuts(1, at(14, 6))
	two := s.appends(2, 6, terms(19, 7)...)
	taken := s.Engine.Snapshots
	s.Reads(2, 6, 25, math.MaxUint64, two)
	s.Reads(1, 15, 16, math.MaxUint64, one[9:])
	s.Check(s.Engine.Snapshots == taken, "20 entries are kept, for which there is room: they come out of memory",
		"%d reads of the disk", s.Engine.Snapshots-taken)
}

// Random appends, cuts and crashes: the log is that of a list in memory.
func TestRandomCutsMatchTheModel(t *testing.T) {
	for _, seed := range explain.Seeds(30) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		s := newShelf(t, begins, caches[rnd.IntN(len(caches))])
		s.Notes = []string{explain.Replay(t, "2cb", seed)}
		begin, list, term := first, []raft.Entry(nil), uint64(6)
		for range 50 {
			switch n := rnd.IntN(len(list) + 1); rnd.IntN(5) {
			case 0:
				s.Reopen([]storedesk.Keep{storedesk.LoseUnsynced, storedesk.KeepAll, storedesk.KeepSome}[rnd.IntN(3)])
			case 1:
				if n > 0 {
					begin = at(list[n-1].Index, list[n-1].Term)
					list = list[n:]
				}
				s.cuts(1, begin)
			case 2:
				s.cuts(1, at(begin.Index-rnd.Uint64N(5), begin.Term+rnd.Uint64N(2)))
			default:
				kept := len(list)
				if rnd.IntN(3) == 0 {
					kept = n
					term++
				}
				more := s.appends(1, begin.Index+uint64(kept)+1, terms(1+rnd.IntN(6), term)...)
				list = slices.Concat(list[:kept], more)
			}
			s.holds(1, begin, list)
		}
		s.leftFor(len(list))
	}
}

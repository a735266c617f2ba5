// Appending: what a log holds afterwards, in memory, on disk, and after a crash.

package stage2ba_test

import (
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/labs/tests/storedesk"
)

func TestAppendedEntriesAreRead(t *testing.T) {
	for _, cache := range []uint64{large, none} {
		s := newShelf(t, replaced, cache)
		s.holds(1, begin, nil)
		s.appends(6, 6, 6, 7)
		s.holds(1, begin, entries(6, 6, 6, 7))
		s.appends(9, 7)
		s.holds(1, begin, entries(6, 6, 6, 7, 7))
		s.Reopen(storedesk.LoseUnsynced)
		s.holds(1, begin, entries(6, 6, 6, 7, 7))
		s.holds(2, begin, nil)
	}
}

func TestConflictingTailIsReplaced(t *testing.T) {
	for _, cache := range []uint64{large, none} {
		s := newShelf(t, replaced, cache)
		s.appends(6, 6, 6, 6, 6)
		s.appends(8, 7, 7, 7)
		s.holds(1, begin, entries(6, 6, 6, 7, 7, 7))
		s.appends(6, 8, 8, 8, 8, 8)
		s.holds(1, begin, entries(6, 8, 8, 8, 8, 8))
		s.Reopen(storedesk.LoseUnsynced)
		s.holds(1, begin, entries(6, 8, 8, 8, 8, 8))
	}
}

// A leader of term 7 replaces five entries by one. Whoever looks on the disk must not find the other four.
func TestReplacedTailDoesNotComeBack(t *testing.T) {
	for _, cache := range []uint64{large, none} {
		s := newShelf(t, replaced, cache)
		s.appends(6, 6, 6, 6, 6, 6, 6)
		s.appends(8, 7)
		s.holds(1, begin, entries(6, 6, 6, 7))
		s.Reopen(storedesk.LoseUnsynced)
		s.holds(1, begin, entries(6, 6, 6, 7))
		s.appends(9, 8)
		s.Reopen(storedesk.LoseUnsynced)
		s.holds(1, begin, entries(6, 6, 6, 7, 8))
		s.appends(6, 9)
		s.Reopen(storedesk.KeepAll)
		s.holds(1, begin, entries(6, 9))
	}
}

func TestReplacedTailIsTheRegionsOwn(t *testing.T) {
	for _, cache := range []uint64{large, none} {
		s := newShelf(t, replaced, cache)
		s.Say("region 2 has the entries 6 to 12")
		other := entries(6, 6, 6, 6, 6, 6, 6, 6)
		s.Write(engine.Synced, func(b *raftlog.Batch) { b.Append(2, other) })
		s.appends(6, 6, 6, 6, 6)
		s.appends(7, 7)
		s.Reopen(storedesk.LoseUnsynced)
		s.holds(1, begin, entries(6, 6, 7))
		s.holds(2, begin, other)
	}
}

// One batch may replace what it has appended itself, or what it has compacted away.
func TestTailIsReplacedWithinABatch(t *testing.T) {
	for _, cache := range []uint64{large, none} {
		s := newShelf(t, replaced, cache)
		s.appends(6, 6, 6)
		s.Say("one batch: Append 8/6 9/6 10/6 11/6, Append 9/7, Append 10/7")
		s.Write(engine.Synced, func(b *raftlog.Batch) {
			b.Append(1, entries(8, 6, 6, 6, 6))
			b.Append(1, entries(9, 7))
			b.Append(1, entries(10, 7))
		})
		s.holds(1, begin, entries(6, 6, 6, 6, 7, 7))
		s.Reopen(storedesk.LoseUnsynced)
		s.holds(1, begin, entries(6, 6, 6, 6, 7, 7))
		s.Say("one batch: Compact 7/6, Append 8/8")
		at := raftlog.Position{Index: 7, Term: 6}
		s.Write(engine.Synced, func(b *raftlog.Batch) {
			b.Compact(1, at)
			b.Append(1, entries(8, 8))
		})
		s.holds(1, at, entries(8, 8))
		s.Reopen(storedesk.LoseUnsynced)
		s.holds(1, at, entries(8, 8))
	}
}

// A gap, or an entry in place of one that is compacted, is never written by a correct replica: better no store than that.
func TestAppendThatDoesNotFollowIsRefused(t *testing.T) {
	for _, first := range []uint64{5, 7, 9, 11} {
		s := newShelf(t, replaced, large)
		s.appends(6, 6, 6, 6, 6)
		s.compacts(7, 6)
		var b raftlog.Batch
		b.Append(1, entries(first, 6))
		s.Say("Append(region 1, %s)", storedesk.ShowEntries(entries(first, 6)))
		p := recovered(func() { _ = s.Log.Write(&b, engine.Synced) })
		if follows := first == 9; (p == nil) != follows {
			s.Brokenf(map[bool]string{true: "it is taken", false: "a panic"}[follows], "panic: %v", p)
		}
	}
}

// What is larger than an engine takes at once is written in parts: nothing is lost between them.
func TestLargeAppendsAreWrittenInParts(t *testing.T) {
	s := newShelf(t, replaced, none)
	list := entries(6, 6, 6, 6)
	for i := range list {
		list[i].Data = make([]byte, 6<<20)
		list[i].Data[0] = byte(i)
	}
	s.Say("Append of the entries 6 to 8, of 6 MiB each, then of entry 7 again, which is small")
	s.Write(engine.Synced, func(b *raftlog.Batch) { b.Append(1, list) })
	again := entries(7, 7)
	s.Write(engine.Synced, func(b *raftlog.Batch) { b.Append(1, again) })
	s.Reopen(storedesk.LoseUnsynced)
	state, _, err := s.Log.State(1)
	s.Check(err == nil && state.Last == raftlog.Position{Index: 7, Term: 7}, "the last entry is 7/7", "%v, %v",
		state.Last, err)
	got, err := s.Log.Entries(1, 6, 8, 20<<20)
	s.Check(err == nil && len(got) == 2 && len(got[0].Data) == 6<<20 && got[1].Term == 7, "the entries 6/6, of 6 MiB, and 7/7",
		"%s, error %v", storedesk.ShowEntries(got), err)
}

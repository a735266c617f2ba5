// Reading: portions, refusals, memory, damage.

package stage2ba_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/labs/tests/explain"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

// half is a shelf with the entries 6 to 13, of which the cache has the newest four.
func half(t *testing.T, rule explain.Rule) *shelf {
	t.Helper()
	s := newShelf(t, rule, large)
	s.appends(6, 6, 6, 6, 7)
	s.Reopen(storedesk.LoseUnsynced) // the cache of a log that was just opened is empty
	s.appends(10, 7, 8, 8, 8)
	return s
}

var halfEntries = entries(6, 6, 6, 6, 7, 7, 8, 8, 8)

func TestFirstEntryComesWhateverItsSize(t *testing.T) {
	s := half(t, portions)
	for lo := uint64(6); lo <= 13; lo++ {
		for _, limit := range []uint64{0, 1, entryBytes - 1, entryBytes, 2*entryBytes - 1} {
			s.Reads(1, lo, 14, limit, halfEntries[lo-6:lo-5])
		}
	}
}

func TestEntriesFitIntoMaxBytes(t *testing.T) {
	s := half(t, portions)
	for lo := uint64(6); lo <= 13; lo++ {
		for hi := lo + 1; hi <= 14; hi++ {
			for n := uint64(1); n <= 9; n++ {
				want := halfEntries[lo-6 : min(hi, lo+n)-6]
				s.Reads(1, lo, hi, n*entryBytes, want)
				s.Reads(1, lo, hi, (n+1)*entryBytes-1, want)
			}
			s.Reads(1, lo, hi, math.MaxUint64, halfEntries[lo-6:hi-6])
		}
	}
}

// Reading stops at the first entry that does not fit, though a later one might.
func TestPortionsHaveNoGaps(t *testing.T) {
	s := newShelf(t, portions, large)
	list := entries(6, 6, 6, 6, 6, 6, 6)
	list[1].Data, list[2].Data, list[4].Data = make([]byte, 100), make([]byte, 200), make([]byte, 100)
	s.Say("the entries 6 to 11, of which 7 has 100 bytes, 8 has 200, 10 has 100")
	s.Write(engine.Synced, func(b *raftlog.Batch) { b.Append(1, list[:3]) })
	s.Reopen(storedesk.LoseUnsynced)
	s.Write(engine.Synced, func(b *raftlog.Batch) { b.Append(1, list[3:]) })
	s.Reads(1, 6, 12, entryBytes+116+100, list[:2])
	s.Reads(1, 7, 12, 200, list[1:2])
	s.Reads(1, 8, 12, 30, list[2:3])
	s.Reads(1, 8, 12, 216+entryBytes, list[2:4])
	s.Reads(1, 8, 12, 216+entryBytes+60, list[2:4])
	s.Reads(1, 9, 12, entryBytes+60, list[3:4])
}

func TestEntriesThatAreNotThere(t *testing.T) {
	for _, cache := range []uint64{large, none} {
		s := newShelf(t, absent, cache)
		s.appends(6, 6, 6, 6, 6, 6)
		s.compacts(7, 6)
		for _, c := range []struct {
			region, lo, hi uint64
			want           error
		}{
			{1, 6, 8, raft.ErrCompacted}, {1, 7, 8, raft.ErrCompacted}, {1, 7, 11, raft.ErrCompacted}, {1, 1, 2, raft.ErrCompacted},
			{1, 5, 99, raft.ErrCompacted},
			{1, 8, 9, nil}, {1, 8, 11, nil}, {1, 10, 11, nil},
			{1, 8, 12, raft.ErrUnavailable}, {1, 10, 12, raft.ErrUnavailable}, {1, 11, 12, raft.ErrUnavailable},
			{1, 12, 13, raft.ErrUnavailable}, {2, 6, 7, raft.ErrUnavailable}, {2, 5, 6, raft.ErrCompacted},
			{9, 1, 2, raft.ErrUnavailable},
		} {
			got, err := s.Log.Entries(c.region, c.lo, c.hi, math.MaxUint64)
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				s.Brokenf(fmt.Sprintf("Entries(region %d, %d, %d): %v", c.region, c.lo, c.hi, orNil(c.want)), "%s, %v",
					storedesk.ShowEntries(got), orNil(err))
			}
		}
	}
}

func orNil(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

func TestTermIsKnownFromTruncatedToLast(t *testing.T) {
	for _, cache := range []uint64{large, none} {
		s := newShelf(t, absent, cache)
		s.Term(1, 5, 5)
		s.appends(6, 6, 6, 7, 8, 8)
		s.compacts(8, 7)
		for restarted := range 2 {
			s.Term(1, 8, 7)
			s.Term(1, 9, 8)
			s.Term(1, 10, 8)
			for index, want := range map[uint64]error{6: raft.ErrCompacted, 7: raft.ErrCompacted, 11: raft.ErrUnavailable,
				99: raft.ErrUnavailable} {
				term, err := s.Log.Term(1, index)
				s.Check(errors.Is(err, want), fmt.Sprintf("Term(%d): %v", index, want), "%d, %v", term, orNil(err))
			}
			term, err := s.Log.Term(9, 1)
			s.Check(errors.Is(err, raft.ErrUnavailable), "Term of an unknown region: "+raft.ErrUnavailable.Error(), "%d, %v",
				term, orNil(err))
			if restarted == 0 {
				s.Reopen(storedesk.KeepAll)
			}
		}
		s.compacts(10, 8)
		s.Term(1, 10, 8)
		s.holds(1, raftlog.Position{Index: 10, Term: 8}, nil)
	}
}

// A portion that was handed out is in a message to a follower, or is being applied, while the log goes on.
func TestHandedOutEntriesNeverChange(t *testing.T) {
	s := half(t, immutable)
	var held, copies [][]raft.Entry
	hold := func() {
		t.Helper()
		state, _, _ := s.Log.State(1)
		for lo := state.Truncated.Index + 1; lo <= state.Last.Index; lo++ {
			for hi := lo + 1; hi <= state.Last.Index+1; hi++ {
				got, err := s.Log.Entries(1, lo, hi, math.MaxUint64)
				s.Check(err == nil, "entries", "error: %v", err)
				own := append([]raft.Entry{}, got...)
				for i := range own {
					own[i].Data = append([]byte{}, own[i].Data...)
				}
				held, copies = append(held, got), append(copies, own)
			}
		}
	}
	for _, step := range []func(){
		func() { s.appends(14, 8) },
		func() { s.appends(12, 9, 9, 9, 9) },
		func() { s.appends(16, 9, 9) },
		func() { s.appends(16, 10) },
		func() { s.appends(11, 10) },
		func() { s.appends(12, 11, 11, 11) },
		func() { s.compacts(11, 10) },
		func() { s.appends(13, 12, 12) },
		func() { s.appends(12, 13, 13, 13, 13) },
	} {
		hold()
		step()
		for i := range held {
			if !reflect.DeepEqual(held[i], copies[i]) {
				s.Brokenf("what was handed out before stays "+storedesk.ShowEntries(copies[i]), "it is %s",
					storedesk.ShowEntries(held[i]))
			}
		}
	}
}

// Who appends to a portion, as raft does when it joins two, must not write into the log.
func TestPortionsHaveNoRoomBehindThem(t *testing.T) {
	s := half(t, immutable)
	for lo := uint64(6); lo <= 12; lo++ {
		for hi := lo + 1; hi <= 13; hi++ {
			got, err := s.Log.Entries(1, lo, hi, math.MaxUint64)
			s.Check(err == nil, "entries", "error: %v", err)
			s.Say("append(Entries(%d, %d), 77/77)", lo, hi)
			_ = append(got, entries(77, 77)...)
			s.holds(1, begin, halfEntries)
			s.Done = s.Done[:len(s.Done)-1]
		}
	}
}

func TestNewEntriesComeOutOfMemory(t *testing.T) {
	s := newShelf(t, memory, large)
	inMemory := func(from uint64, want []raft.Entry) {
		t.Helper()
		s.Engine.Snapshots = 0
		last := want[len(want)-1].Index
		s.Reads(1, from, last+1, math.MaxUint64, want)
		for _, e := range want {
			s.Reads(1, e.Index, last+1, entryBytes, []raft.Entry{e})
			s.Term(1, e.Index, e.Term)
		}
		s.Check(s.Engine.Snapshots == 0, "entries that were just appended are read without the engine",
			"%d snapshots of it were taken", s.Engine.Snapshots)
	}
	s.appends(6, 6, 6, 6)
	s.appends(9, 6, 6)
	inMemory(6, entries(6, 6, 6, 6, 6, 6))
	s.appends(9, 7, 7)
	s.appends(11, 7)
	inMemory(9, entries(9, 7, 7, 7)) // who drops the others at a conflict is right, too
	s.compacts(9, 7)
	s.appends(12, 8)
	inMemory(10, entries(10, 7, 7, 8))
	s.holds(1, raftlog.Position{Index: 9, Term: 7}, entries(10, 7, 7, 8))
}

// The ends of a log are asked for all the time: raft compares terms with each message.
func TestTermsOfTheEndsNeedNoRead(t *testing.T) {
	s := newShelf(t, memory, none)
	s.appends(6, 6, 6, 7, 8)
	s.compacts(7, 6)
	s.Engine.Snapshots = 0
	s.Term(1, 7, 6)
	s.Term(1, 9, 8)
	s.Check(s.Engine.Snapshots == 0, "the terms of Truncated and Last are known without the engine",
		"%d snapshots of it were taken",
		s.Engine.Snapshots)
}

func TestMemoryIsBounded(t *testing.T) {
	const bound = 20 * entryBytes
	s := newShelf(t, memory, bound)
	s.Say("200 entries are appended, some of which replace others, with a cache for 20")
	index := uint64(6)
	for i := range uint64(100) {
		term := 6 + i/10
		s.Write(engine.Buffered, func(b *raftlog.Batch) { b.Append(1, entries(index, term, term, term)) })
		index += 2 // the third is replaced
	}
	cached := uint64(0)
	for i := begin.Index + 1; i <= index; i++ {
		s.Engine.Snapshots = 0
		if _, err := s.Log.Entries(1, i, i+1, 0); err != nil {
			s.Brokenf("entry "+fmt.Sprint(i), "error: %v", err)
		}
		if s.Engine.Snapshots == 0 {
			cached++
		}
	}
	s.Check(cached*entryBytes <= bound, fmt.Sprintf("at most %d bytes of entries in memory", bound),
		"%d entries of %d bytes each",
		cached, entryBytes)
	s.Check(cached >= 3, "the newest entries in memory", "%d of them", cached)
	s.Engine.Snapshots = 0
	s.Reads(1, index, index+1, 0, entries(index, 15))
	s.Check(s.Engine.Snapshots == 0, "the last entry is in memory", "it is read from the engine")
}

func TestReadingLeavesNothingOpen(t *testing.T) {
	s := half(t, memory)
	closed := func(after string) {
		t.Helper()
		s.Check(s.Engine.OpenSnapshots == 0 && s.Engine.OpenIterators == 0, "no snapshot and no iterator is open after "+after,
			"%d snapshots and %d iterators", s.Engine.OpenSnapshots, s.Engine.OpenIterators)
	}
	closed("opening")
	s.Reads(1, 6, 14, math.MaxUint64, halfEntries)
	closed("reading all")
	s.Reads(1, 6, 14, 2*entryBytes, halfEntries[:2])
	closed("reading a portion")
	s.Term(1, 7, 6)
	closed("asking for a term")
	s.Engine.FailRead = errors.New("the disk is gone")
	_, _ = s.Log.Entries(1, 6, 14, math.MaxUint64)
	closed("a fault of the disk")
	s.Engine.FailRead = nil
	s.breaks(7)
	_, _ = s.Log.Entries(1, 6, 14, math.MaxUint64)
	closed("a damaged entry")
}

// keyOf is where an entry of region 1 lies in the engine (kv/raftlog/record.go).
func keyOf(index uint64) []byte {
	key := []byte{'e', 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, byte(index)}
	return key
}

// breaks changes a bit of an entry in the engine, behind the log's back.
func (s *shelf) breaks(index uint64) {
	s.T.Helper()
	s.Say("a bit of entry %d flips", index)
	snap, err := s.Engine.Engine.Snapshot()
	if err != nil {
		s.T.Fatal(err)
	}
	value, err := snap.Get(engine.Default, keyOf(index))
	_ = snap.Close()
	s.Check(err == nil, "entry "+fmt.Sprint(index)+" lies under its key", "error: %v", err)
	value[len(value)/2] ^= 4
	var b engine.Batch
	b.Put(engine.Default, keyOf(index), value)
	if err := s.Engine.Write(&b, engine.Synced); err != nil {
		s.T.Fatal(err)
	}
}

// loses removes an entry from the engine, behind the log's back.
func (s *shelf) loses(index uint64) {
	s.T.Helper()
	s.Say("entry %d is lost", index)
	var b engine.Batch
	b.Delete(engine.Default, keyOf(index))
	if err := s.Engine.Write(&b, engine.Synced); err != nil {
		s.T.Fatal(err)
	}
}

func TestDamagedEntryIsAnError(t *testing.T) {
	for name, harm := range map[string]func(s *shelf, index uint64){"broken": (*shelf).breaks, "lost": (*shelf).loses} {
		for index := uint64(6); index <= 9; index++ {
			s := half(t, damage)
			s.Reads(1, 6, 14, math.MaxUint64, halfEntries)
			harm(s, index)
			for lo := uint64(6); lo <= index; lo++ {
				for _, hi := range []uint64{index + 1, 14} {
					for _, limit := range []uint64{math.MaxUint64, (index - lo + 1) * entryBytes} {
						got, err := s.Log.Entries(1, lo, hi, limit)
						s.Check(errors.Is(err, raftlog.ErrCorrupt),
							fmt.Sprintf("Entries(%d, %d, %s) with entry %d %s: ErrCorrupt", lo, hi, storedesk.ShowLimit(limit),
								index, name), "%s, %v", storedesk.ShowEntries(got), orNil(err))
					}
				}
			}
			if index < 9 {
				s.Reads(1, index+1, 14, math.MaxUint64, halfEntries[index-5:])
			}
			if index > 6 {
				s.Reads(1, 6, index, math.MaxUint64, halfEntries[:index-6])
			}
			term, err := s.Log.Term(1, index)
			s.Check(errors.Is(err, raftlog.ErrCorrupt), fmt.Sprintf("Term(%d): ErrCorrupt", index), "%d, %v", term, orNil(err))
		}
	}
}

func TestFaultsOfTheDiskAreHandedUp(t *testing.T) {
	fault := errors.New("the disk is gone")
	s := half(t, damage)
	for _, set := range []func(err error){
		func(err error) { s.Engine.FailSnapshot = err },
		func(err error) { s.Engine.FailRead = err },
	} {
		s.Say("the disk fails")
		set(fault)
		for _, hi := range []uint64{7, 10, 14} {
			got, err := s.Log.Entries(1, 6, hi, math.MaxUint64)
			s.Check(errors.Is(err, fault), fmt.Sprintf("Entries(6, %d): the disk's error", hi), "%s, %v", storedesk.ShowEntries(got),
				orNil(err))
		}
		term, err := s.Log.Term(1, 7)
		s.Check(errors.Is(err, fault), "Term(7): the disk's error", "%d, %v", term, orNil(err))
		s.Reads(1, 10, 14, math.MaxUint64, halfEntries[4:])
		set(nil)
		s.Say("the disk works")
		s.Reads(1, 6, 14, math.MaxUint64, halfEntries)
	}
}

// Random appends, compactions and crashes: whatever the cache holds, the log is that of a list in memory.
func TestRandomLogsMatchTheModel(t *testing.T) {
	for _, seed := range explain.Seeds(30) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		cache := []uint64{none, 5 * entryBytes, 40 * entryBytes, large}[rnd.IntN(4)]
		s := newShelf(t, replaced, cache)
		s.Notes = []string{explain.Replay(t, "2ba", seed)}
		at, list, term := begin, []raft.Entry(nil), uint64(6)
		for range 60 {
			switch rnd.IntN(8) {
			case 0:
				s.Reopen([]storedesk.Keep{storedesk.LoseUnsynced, storedesk.KeepAll, storedesk.KeepSome}[rnd.IntN(3)])
			case 1:
				if n := rnd.IntN(len(list) + 1); n > 0 {
					at = raftlog.Position{Index: list[n-1].Index, Term: list[n-1].Term}
					s.Say("Compact(region 1, %d/%d), Synced", at.Index, at.Term)
					s.Write(engine.Synced, func(b *raftlog.Batch) { b.Compact(1, at) })
					list = list[n:]
				}
			default:
				keep := len(list)
				if rnd.IntN(3) == 0 {
					keep = rnd.IntN(len(list) + 1)
					term++
				}
				terms := make([]uint64, 1+rnd.IntN(6))
				for i := range terms {
					terms[i] = term
				}
				first := at.Index + uint64(keep) + 1
				s.appends(first, terms...)
				list = join(list[:keep], entries(first, terms...))
			}
			s.holds(1, at, list)
			for range 5 {
				if len(list) == 0 {
					break
				}
				i := rnd.IntN(len(list))
				j := i + 1 + rnd.IntN(len(list)-i)
				n := 1 + rnd.IntN(8)
				s.Reads(1, list[i].Index, list[j-1].Index+1, uint64(n*entryBytes), list[i:min(j, i+n)])
			}
		}
	}
}

package raftlog_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
	"tinykv/kv/engine/open"
	"tinykv/kv/raftlog"
	"tinykv/raft"
)

func newDisk(seed uint64) *mem.Disk {
	return mem.NewDisk(rand.New(rand.NewPCG(seed, 0)), mem.Options{})
}

func openOn(t testing.TB, disk *mem.Disk, opts raftlog.Options) raftlog.Log {
	t.Helper()
	e, err := mem.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	l, err := raftlog.Open(e, opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// entries makes entries from first on, one for each term.
func entries(first uint64, terms ...uint64) []raft.Entry {
	list := make([]raft.Entry, len(terms))
	for i, term := range terms {
		index := first + uint64(i)
		list[i] = raft.Entry{Index: index, Term: term, Data: fmt.Appendf(nil, "%d/%d", index, term)}
	}
	return list
}

func write(t testing.TB, l raftlog.Log, d engine.Durability, fill func(b *raftlog.Batch)) {
	t.Helper()
	var b raftlog.Batch
	fill(&b)
	if err := l.Write(&b, d); err != nil {
		t.Fatal(err)
	}
}

// all reads a whole log, one entry at a time and all at once.
func all(t testing.TB, l raftlog.Log, region uint64) []raft.Entry {
	t.Helper()
	s, _, err := l.State(region)
	if err != nil {
		t.Fatal(err)
	}
	var singly []raft.Entry
	for i := s.Truncated.Index + 1; i <= s.Last.Index; i++ {
		es, err := l.Entries(region, i, i+1, 0)
		if err != nil || len(es) != 1 {
			t.Fatalf("entry %d: %v, %v", i, es, err)
		}
		if term, err := l.Term(region, i); err != nil || term != es[0].Term {
			t.Fatalf("term of entry %d: %d, %v, the entry says %d", i, term, err, es[0].Term)
		}
		singly = append(singly, es[0])
	}
	if len(singly) > 0 {
		whole, err := l.Entries(region, s.Truncated.Index+1, s.Last.Index+1, 1<<30)
		if err != nil || !reflect.DeepEqual(whole, singly) {
			t.Fatalf("all entries: %v, %v; one at a time: %v", whole, err, singly)
		}
	}
	return singly
}

// Each engine keeps what was written, over a close and an open.
func TestEveryEngineKeepsLogs(t *testing.T) {
	for _, name := range open.Names {
		t.Run(name, func(t *testing.T) {
			if err := open.Check(name); err != nil {
				t.Skip(err) // badger needs a C compiler
			}
			dir := t.TempDir()
			reopen := func() raftlog.Log {
				e, err := open.Open(name, dir, open.Options{})
				if err != nil {
					t.Fatal(err)
				}
				l, err := raftlog.Open(e, raftlog.Options{})
				if err != nil {
					t.Fatal(err)
				}
				return l
			}
			l := reopen()
			write(t, l, engine.Synced, func(b *raftlog.Batch) {
				b.Append(1, entries(1, 1, 1, 2, 2, 2))
				b.SetHard(1, raft.HardState{Term: 2, Vote: 3, Commit: 2})
				b.Append(2, entries(1, 7))
			})
			write(t, l, engine.Synced, func(b *raftlog.Batch) {
				b.Append(1, entries(4, 3))
				b.Compact(1, raftlog.Position{Index: 2, Term: 1})
			})
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = reopen()
			defer l.Close()
			if ids, err := l.Regions(); err != nil || !slices.Equal(ids, []uint64{1, 2}) {
				t.Errorf("regions %v, %v", ids, err)
			}
			want := append(entries(3, 2), entries(4, 3)...)
			if got := all(t, l, 1); !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			s, ok, err := l.State(1)
			if err != nil || !ok || s.Hard != (raft.HardState{Term: 2, Vote: 3, Commit: 2}) ||
				s.Truncated != (raftlog.Position{Index: 2, Term: 1}) || s.Last != (raftlog.Position{Index: 4, Term: 3}) {
				t.Errorf("state %+v, %v, %v", s, ok, err)
			}
		})
	}
}

// What an append replaces does not come back behind it: not from memory, and not from the disk.
func TestReplacedTailIsGone(t *testing.T) {
	disk := newDisk(1)
	l := openOn(t, disk, raftlog.Options{})
	write(t, l, engine.Synced, func(b *raftlog.Batch) { b.Append(1, entries(1, 1, 1, 1, 1, 1)) })
	write(t, l, engine.Synced, func(b *raftlog.Batch) { b.Append(1, entries(3, 2)) })
	want := append(entries(1, 1, 1), entries(3, 2)...)
	for range 2 {
		if got := all(t, l, 1); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		if _, err := l.Entries(1, 4, 5, 0); !errors.Is(err, raft.ErrUnavailable) {
			t.Errorf("the replaced entry 4: %v", err)
		}
		disk.Crash()
		l = openOn(t, disk, raftlog.Options{})
	}
}

// Entries that were handed out stay what they were, whatever becomes of the log.
func TestEntriesHandedOutNeverChange(t *testing.T) {
	l := openOn(t, newDisk(1), raftlog.Options{})
	write(t, l, engine.Synced, func(b *raftlog.Batch) { b.Append(1, entries(1, 1, 1, 1, 1)) })
	held, err := l.Entries(1, 1, 5, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	part, err := l.Entries(1, 1, 3, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	write(t, l, engine.Synced, func(b *raftlog.Batch) { b.Append(1, entries(2, 2, 2, 2)) })
	_ = append(part, raft.Entry{Index: 99})
	write(t, l, engine.Synced, func(b *raftlog.Batch) { b.Compact(1, raftlog.Position{Index: 3, Term: 2}) })
	if want := entries(1, 1, 1, 1, 1); !reflect.DeepEqual(held, want) {
		t.Errorf("held %v, want %v", held, want)
	}
	if got, want := all(t, l, 1), entries(4, 2); !reflect.DeepEqual(got, want) {
		t.Errorf("the log %v, want %v", got, want)
	}
}

func TestReadsOutsideOfTheLogAreNamed(t *testing.T) {
	l := openOn(t, newDisk(1), raftlog.Options{})
	write(t, l, engine.Synced, func(b *raftlog.Batch) {
		b.Append(1, entries(1, 1, 1, 1))
		b.Compact(1, raftlog.Position{Index: 1, Term: 1})
	})
	for _, c := range []struct {
		lo, hi uint64
		want   error
	}{{1, 2, raft.ErrCompacted}, {2, 4, nil}, {2, 5, raft.ErrUnavailable}, {4, 5, raft.ErrUnavailable}} {
		if _, err := l.Entries(1, c.lo, c.hi, 1<<20); !errors.Is(err, c.want) {
			t.Errorf("entries [%d, %d): %v, want %v", c.lo, c.hi, err, c.want)
		}
	}
	for index, want := range map[uint64]error{0: raft.ErrCompacted, 1: nil, 3: nil, 4: raft.ErrUnavailable} {
		if _, err := l.Term(1, index); !errors.Is(err, want) {
			t.Errorf("term of %d: %v, want %v", index, err, want)
		}
	}
	if _, err := l.Entries(2, 1, 2, 0); !errors.Is(err, raft.ErrUnavailable) {
		t.Errorf("entries of an unknown region: %v", err)
	}
}

func TestLimitInBytesLetsOneEntryThrough(t *testing.T) {
	for _, cache := range []uint64{0, 1} { // all in the cache; nothing in it
		l := openOn(t, newDisk(1), raftlog.Options{CacheBytes: cache})
		write(t, l, engine.Synced, func(b *raftlog.Batch) { b.Append(1, entries(1, 1, 1, 1, 1)) })
		const each = 3 + 16
		for limit, want := range map[uint64]int{0: 1, each: 1, 2*each - 1: 1, 2 * each: 2, 100 * each: 4} {
			if got, err := l.Entries(1, 1, 5, limit); err != nil || len(got) != want {
				t.Errorf("cache of %d bytes, limit of %d: %d entries, %v; want %d", cache, limit, len(got), err, want)
			}
		}
	}
}

// However many regions a turn writes, it is one write and one sync; and it costs no sync if nothing in it is a promise.
func TestOneSyncForAllRegions(t *testing.T) {
	for _, regions := range []uint64{1, 100} {
		disk := newDisk(1)
		l := openOn(t, disk, raftlog.Options{})
		fill := func(first uint64) func(b *raftlog.Batch) {
			return func(b *raftlog.Batch) {
				for id := range regions {
					b.SetHard(id+1, raft.HardState{Term: 1})
					b.Append(id+1, entries(first, 1, 1))
				}
			}
		}
		before := disk.Stats()
		write(t, l, engine.Synced, fill(1))
		after := disk.Stats()
		if w, s := after.Writes-before.Writes, after.Syncs-before.Syncs; w != 1 || s != 1 {
			t.Errorf("%d regions: %d writes, %d syncs, want 1 and 1", regions, w, s)
		}
		write(t, l, engine.Buffered, fill(3))
		if s := disk.Stats().Syncs - after.Syncs; s != 0 {
			t.Errorf("%d regions: %d syncs for what is buffered", regions, s)
		}
	}
}

// The cache is bounded over all regions, and what is not in it is read from the disk.
func TestCacheIsBounded(t *testing.T) {
	const limit = 4 << 10
	disk := newDisk(1)
	e, err := mem.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	counting := &snapshots{Engine: e}
	l, err := raftlog.Open(counting, raftlog.Options{CacheBytes: limit})
	if err != nil {
		t.Fatal(err)
	}
	want := map[uint64][]raft.Entry{}
	for i := range uint64(100) {
		for id := uint64(1); id <= 3; id++ {
			e := raft.Entry{Index: i + 1, Term: 1, Data: make([]byte, 100)}
			e.Data[0] = byte(i)
			want[id] = append(want[id], e)
			write(t, l, engine.Synced, func(b *raftlog.Batch) { b.Append(id, []raft.Entry{e}) })
		}
	}
	counting.taken = 0
	for id := uint64(1); id <= 3; id++ {
		if _, err := l.Entries(id, 100, 101, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	if counting.taken != 0 {
		t.Errorf("the newest entry of each region was read from the disk")
	}
	cached := 0
	for id := uint64(1); id <= 3; id++ {
		for i := uint64(1); i <= 100; i++ {
			counting.taken = 0
			if _, err := l.Entries(id, i, i+1, 0); err != nil {
				t.Fatal(err)
			}
			if counting.taken == 0 {
				cached++
			}
		}
		if got := all(t, l, id); !reflect.DeepEqual(got, want[id]) {
			t.Errorf("region %d: what is read differs from what was written", id)
		}
	}
	if bytes := cached * (100 + 16); bytes > limit || bytes < limit/3 {
		t.Errorf("%d entries of %d bytes are cached, the limit is %d bytes", cached, 116, limit)
	}
}

// snapshots counts how often the engine is read.
type snapshots struct {
	engine.Engine
	taken int
}

func (e *snapshots) Snapshot() (engine.Snapshot, error) {
	e.taken++
	return e.Engine.Snapshot()
}

// Reading what is in the cache asks for no memory.
func TestReadingNewEntriesAllocatesNothing(t *testing.T) {
	l := openOn(t, newDisk(1), raftlog.Options{})
	write(t, l, engine.Synced, func(b *raftlog.Batch) { b.Append(1, entries(1, 1, 1, 1, 1)) })
	if n := testing.AllocsPerRun(100, func() { _, _ = l.Entries(1, 2, 5, 1<<20); _, _ = l.Term(1, 3) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What is compacted goes from the disk, too, though not with one write.
func TestCompactedEntriesLeaveTheDisk(t *testing.T) {
	disk := newDisk(1)
	e, err := mem.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	l, err := raftlog.Open(e, raftlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const n = 20_000
	terms := slices.Repeat([]uint64{1}, n)
	write(t, l, engine.Synced, func(b *raftlog.Batch) { b.Append(1, entries(1, terms...)) })
	write(t, l, engine.Synced, func(b *raftlog.Batch) { b.Compact(1, raftlog.Position{Index: n - 1, Term: 1}) })
	for range 3 {
		write(t, l, engine.Synced, func(b *raftlog.Batch) { b.SetHard(1, raft.HardState{Term: 1}) })
	}
	s, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	it, err := s.Iterator(engine.Default, engine.IterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	keys := 0
	for ok := it.First(); ok; ok = it.Next() {
		keys++
	}
	if keys != 2 { // the state, and the last entry
		t.Errorf("%d keys are left", keys)
	}
}

func TestDamageIsToldWithItsPlace(t *testing.T) {
	e, err := mem.Open(newDisk(1))
	if err != nil {
		t.Fatal(err)
	}
	l, err := raftlog.Open(e, raftlog.Options{CacheBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	write(t, l, engine.Synced, func(b *raftlog.Batch) { b.Append(5, entries(1, 1, 1, 1, 1)) })
	key := []byte{'e', 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 2}
	var b engine.Batch
	for what, damage := range map[string]func(){
		"a damaged entry": func() { b.Put(engine.Default, key, []byte("nonsense")) },
		"a missing entry": func() { b.Delete(engine.Default, key) },
	} {
		b.Reset()
		damage()
		if err := e.Write(&b, engine.Synced); err != nil {
			t.Fatal(err)
		}
		_, readErr := l.Entries(5, 1, 4, 1<<20)
		_, openErr := raftlog.Open(e, raftlog.Options{})
		for _, err := range []error{readErr, openErr} {
			if !errors.Is(err, raftlog.ErrCorrupt) || !strings.Contains(err.Error(), "entry 2 of region 5") {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// How large a log is must be known after a restart, too: it is what tells that it is too long.
func TestBytesAreCountedWhenALogIsOpened(t *testing.T) {
	disk := newDisk(1)
	l := openOn(t, disk, raftlog.Options{})
	list := entries(1, slices.Repeat([]uint64{1}, 10)...)
	for i := range list {
		list[i].Data = make([]byte, 100)
	}
	const each = 100 + 16
	want := func(when string, bytes uint64) {
		t.Helper()
		if got := l.Bytes(1); got != bytes {
			t.Errorf("%s: %d bytes, want %d", when, got, bytes)
		}
	}
	want("nothing", 0)
	write(t, l, engine.Synced, func(b *raftlog.Batch) { b.Append(1, list) })
	want("appended", 10*each)
	write(t, l, engine.Synced, func(b *raftlog.Batch) { b.Compact(1, raftlog.Position{Index: 4, Term: 1}) })
	want("compacted", 6*each)
	write(t, l, engine.Synced, func(b *raftlog.Batch) { b.Append(1, list[7:9]) })
	want("replaced", 8*each) // an estimate
	disk.Crash()
	l = openOn(t, disk, raftlog.Options{})
	want("opened again", 5*each)
	write(t, l, engine.Synced, func(b *raftlog.Batch) { b.Compact(1, raftlog.Position{Index: 9, Term: 1}) })
	want("compacted as a whole", 0)
	write(t, l, engine.Synced, func(b *raftlog.Batch) { b.Append(1, list[9:]) })
	want("one more", each)
	write(t, l, engine.Synced, func(b *raftlog.Batch) { b.Install(1, raftlog.Position{Index: 20, Term: 2}, raftlog.Install{}) })
	want("replaced by a snapshot", 0)
}

// A log that lost its end must not be taken for a shorter one: it had promised what is gone.
func TestCommitBeyondTheEndIsDamage(t *testing.T) {
	disk := newDisk(1)
	l := openOn(t, disk, raftlog.Options{})
	write(t, l, engine.Synced, func(b *raftlog.Batch) {
		b.Append(7, entries(1, 1, 1, 1))
		b.SetHard(7, raft.HardState{Term: 1, Commit: 3})
	})
	disk.Crash()
	l = openOn(t, disk, raftlog.Options{})
	write(t, l, engine.Synced, func(b *raftlog.Batch) { b.SetHard(7, raft.HardState{Term: 1, Commit: 4}) })
	disk.Crash()
	e, err := mem.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	_, err = raftlog.Open(e, raftlog.Options{})
	if !errors.Is(err, raftlog.ErrCorrupt) || !strings.Contains(err.Error(), "region 7") {
		t.Errorf("opened with error %v", err)
	}
}

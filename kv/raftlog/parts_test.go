package raftlog_test

import (
	"bytes"
	"errors"
	"testing"

	"tinykv/kv/command"
	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
	"tinykv/kv/raftlog"
	"tinykv/raft"
)

// large makes n entries of size bytes each.
func large(first uint64, n, size int) []raft.Entry {
	list := make([]raft.Entry, n)
	for i := range list {
		index := first + uint64(i)
		list[i] = raft.Entry{Index: index, Term: 2, Data: bytes.Repeat([]byte{byte(index)}, size)}
	}
	return list
}

// manyMiB fills a batch beyond what engines take at once, with one long append and with many regions.
func manyMiB(b *raftlog.Batch) {
	for region := uint64(1); region <= 4; region++ {
		b.Append(region, large(1, 2, 3<<20))
		b.SetHard(region, raft.HardState{Term: 2, Commit: 2})
	}
	b.Append(5, large(1, 9, 2<<20))
	b.SetHard(5, raft.HardState{Term: 2, Commit: 9})
}

func TestLargestCommandIsOneEntry(t *testing.T) {
	if command.MaxSize > raftlog.MaxEntryBytes {
		t.Errorf("a command may have %d bytes, an entry %d", command.MaxSize, raftlog.MaxEntryBytes)
	}
	l := openOn(t, newDisk(1), raftlog.Options{})
	write(t, l, engine.Synced, func(b *raftlog.Batch) {
		b.Append(1, []raft.Entry{{Index: 1, Term: 1 << 63, Data: make([]byte, raftlog.MaxEntryBytes)}})
	})
	var b raftlog.Batch
	b.Append(1, large(2, 1, raftlog.MaxEntryBytes+16))
	if err := l.Write(&b, engine.Synced); !errors.Is(err, engine.ErrTooLarge) {
		t.Errorf("an entry that is too large: got %v", err)
	}
	write(t, l, engine.Synced, func(b *raftlog.Batch) { b.Append(1, large(2, 1, 1)) })
}

func TestLargeBatchIsWrittenInParts(t *testing.T) {
	disk := newDisk(1)
	l := openOn(t, disk, raftlog.Options{})
	before := disk.Stats()
	write(t, l, engine.Synced, manyMiB)
	after := disk.Stats()
	if writes, syncs := after.Writes-before.Writes, after.Syncs-before.Syncs; writes != 3 || syncs != 1 {
		t.Errorf("42 MiB: %d writes, %d syncs; want 3 of at most 16 MiB, and 1", writes, syncs)
	}
	disk.Crash()
	wantManyMiB(t, openOn(t, disk, raftlog.Options{}), true)
}

// TestCrashBetweenPartsLeavesABeginning lets the disk become full at the second part.
func TestCrashBetweenPartsLeavesABeginning(t *testing.T) {
	disk := newDisk(1)
	l := openOn(t, disk, raftlog.Options{})
	disk.SetOptions(mem.Options{Capacity: 20 << 20})
	var b raftlog.Batch
	manyMiB(&b)
	if err := l.Write(&b, engine.Synced); !errors.Is(err, mem.ErrDiskFull) {
		t.Fatalf("got %v, want a full disk", err)
	}
	disk.SetOptions(mem.Options{})
	for range 3 {
		disk.Crash()
		wantManyMiB(t, openOn(t, disk, raftlog.Options{}), false)
	}
}

// wantManyMiB checks that each log is a beginning of what was written, and is not said to be committed beyond its end.
func wantManyMiB(t *testing.T, l raftlog.Log, complete bool) {
	t.Helper()
	var total uint64
	for region := uint64(1); region <= 5; region++ {
		s, _, err := l.State(region)
		if err != nil || s.Hard.Commit > s.Last.Index {
			t.Errorf("region %d: %+v, %v", region, s, err)
		}
		for _, e := range all(t, l, region) {
			if size := map[bool]int{true: 2 << 20, false: 3 << 20}[region == 5]; len(e.Data) != size {
				t.Errorf("region %d: entry %d has %d bytes, want %d", region, e.Index, len(e.Data), size)
			}
		}
		total += s.Last.Index
		if complete && s.Hard.Commit != s.Last.Index {
			t.Errorf("region %d: %+v", region, s)
		}
	}
	if complete && total != 4*2+9 {
		t.Errorf("%d entries, want 17", total)
	}
}

// Reading: from the cache if the entries are new, from the engine if they are old.

package raftlog

import (
	"errors"
	"fmt"

	"tinykv/kv/engine"
	"tinykv/raft"
)

// State implements Log.
func (l *engineLog) State(region uint64) (State, bool, error) {
	r, ok := l.regions[region]
	if !ok {
		return State{}, false, nil
	}
	return r.state, true, nil
}

// Bytes implements Log.
func (l *engineLog) Bytes(region uint64) uint64 {
	if r, ok := l.regions[region]; ok {
		return r.bytes
	}
	return 0
}

// Entries implements Log, by the measure of sizeOf. What the log does not have is refused (holding). What the cache has,
// from cacheFrom on, comes out of it, without a look at the engine and without a copy (limit). What lies before that is
// read (readEntries), and the two are joined: what follows from the cache goes on where reading stopped, and only as far
// as there is room. The cache itself is never written to (G4).
func (l *engineLog) Entries(region, lo, hi, maxBytes uint64) ([]raft.Entry, error) {
	r, err := l.holding(region, lo, hi)
	if err != nil {
		return nil, err
	}
	cacheFrom := r.cacheFrom()
	if lo >= cacheFrom {
		return limit(r.cache[lo-cacheFrom:hi-cacheFrom], maxBytes), nil
	}
	entries, size, err := l.readEntries(region, lo, min(hi, cacheFrom), maxBytes)
	if err != nil {
		return nil, err
	}
	for i := lo + uint64(len(entries)); i >= cacheFrom && i < hi; i++ {
		e := &r.cache[i-cacheFrom]
		if size += sizeOf(e); size > maxBytes {
			break
		}
		entries = append(entries, *e)
	}
	return entries, nil
}

// holding returns the log of a region if it has all entries in [lo, hi). Errors: raft.ErrUnavailable for a region that is
// not known, or if hi is beyond Last.Index+1; raft.ErrCompacted if lo is not after Truncated, whatever hi is.
func (l *engineLog) holding(region, lo, hi uint64) (*regionLog, error) {
	r, ok := l.regions[region]
	switch {
	case !ok:
		return nil, raft.ErrUnavailable
	case lo <= r.state.Truncated.Index:
		return nil, raft.ErrCompacted
	case hi > r.state.Last.Index+1:
		return nil, raft.ErrUnavailable
	}
	return r, nil
}

// limit returns the first entry, however large it is, and as many after it as fit into maxBytes together with it, by the
// measure of sizeOf. The result is a part of entries with no room behind it: who appends to it writes elsewhere.
func limit(entries []raft.Entry, maxBytes uint64) []raft.Entry {
	n, size := 0, uint64(0)
	for n < len(entries) {
		if size += sizeOf(&entries[n]); n > 0 && size > maxBytes {
			break
		}
		n++
	}
	return entries[:n:n]
}

// readEntries reads [lo, hi) from a snapshot of the engine, with one iterator over the keys from entryKey(lo) to
// entryKey(hi), and stops as limit does. The memory is the caller's: an iterator uses its own again. size is that of what
// it returns.
//
// Each entry is decoded (decodeEntry), and must have the index that comes next: one that lacks, within or at the end, is
// damage (corruptEntry, "is missing"). Errors: ErrCorrupt; what the engine answers, also at the end of the iteration (Err),
// with the entry and the region that were to be read. On every path the iterator and the snapshot are closed.
func (l *engineLog) readEntries(region, lo, hi, maxBytes uint64) (entries []raft.Entry, size uint64, err error) {
	snap, err := l.engine.Snapshot()
	if err != nil {
		return nil, 0, err
	}
	defer snap.Close()
	bounds := engine.IterOptions{Lower: entryKey(region, lo), Upper: entryKey(region, hi)}
	it, err := snap.Iterator(engine.Default, bounds)
	if err != nil {
		return nil, 0, err
	}
	defer it.Close()
	index := lo
	for ok := it.First(); ok; ok = it.Next() {
		e, err := decodeEntry(it.Key(), append([]byte(nil), it.Value()...))
		if err != nil {
			return nil, 0, err
		}
		if e.Index != index {
			return nil, 0, corruptEntry(region, index, "is missing")
		}
		if s := sizeOf(&e); len(entries) > 0 && size+s > maxBytes {
			return entries, size, nil
		} else {
			size += s
		}
		entries = append(entries, e)
		index++
	}
	if err := it.Err(); err != nil {
		return nil, 0, fmt.Errorf("read entry %d of region %d: %w", index, region, err)
	}
	if index < hi {
		return nil, 0, corruptEntry(region, index, "is missing")
	}
	return entries, size, nil
}

// Term implements Log. Truncated and Last are known without a look at the entries; Truncated even though its entry is gone.
// Of the others, those that the log does not have are refused (holding), those in the cache come out of it, and the rest is
// read (readEntry).
func (l *engineLog) Term(region, index uint64) (uint64, error) {
	if r, ok := l.regions[region]; ok {
		switch index {
		case r.state.Truncated.Index:
			return r.state.Truncated.Term, nil
		case r.state.Last.Index:
			return r.state.Last.Term, nil
		}
	}
	r, err := l.holding(region, index, index+1)
	if err != nil {
		return 0, err
	}
	if from := r.cacheFrom(); index >= from {
		return r.cache[index-from].Term, nil
	}
	e, err := l.readEntry(region, index)
	return e.Term, err
}

// readEntry reads one entry from the engine.
func (l *engineLog) readEntry(region, index uint64) (raft.Entry, error) {
	snap, err := l.engine.Snapshot()
	if err != nil {
		return raft.Entry{}, err
	}
	defer snap.Close()
	key := entryKey(region, index)
	value, err := snap.Get(engine.Default, key)
	if errors.Is(err, engine.ErrNotFound) {
		return raft.Entry{}, corruptEntry(region, index, "is missing")
	}
	if err != nil {
		return raft.Entry{}, fmt.Errorf("read entry %d of region %d: %w", index, region, err)
	}
	return decodeEntry(key, value)
}

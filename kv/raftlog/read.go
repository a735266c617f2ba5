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

// Entries implements Log. What the cache has comes out of it; what lies before that is read, and the two are joined.
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

// holding returns the log of a region if it has all entries in [lo, hi). Errors: raft.ErrCompacted, raft.ErrUnavailable.
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

// limit returns the first entry and as many after it as fit into maxBytes, with no room behind them.
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

// readEntries reads [lo, hi) from the engine, and stops as limit does. size is that of what it returns.
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

// Term implements Log.
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

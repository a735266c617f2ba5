// Opening: which regions there are, where their logs begin and end.

package raftlog

import (
	"cmp"
	"errors"
	"fmt"

	"tinykv/kv/engine"
)

// Options of a log in an engine. The zero value is fit for use.
type Options struct {
	// CacheBytes bounds the entries in memory, over all regions; 0: 32 MiB.
	CacheBytes uint64
}

const defaultCacheBytes = 32 << 20

// engineLog implements Log.
type engineLog struct {
	engine     engine.Engine
	cacheLimit uint64

	regions    map[uint64]*regionLog
	ordered    []*regionLog // the same, by id
	cacheBytes uint64       // of all regions

	batch   engine.Batch // of the present Write
	touched []*regionLog // by it
}

var _ Log = (*engineLog)(nil)

// Open opens the log that lies in e, which is the log's own from now on, and is closed with it. It reads the states of all
// regions, and every entry once. What it finds it makes durable: some of it may have survived a crash of
// the process by luck, and raft takes all that a log holds for promised. Errors: ErrCorrupt, those of the engine.
func Open(e engine.Engine, opts Options) (Log, error) {
	if opts.CacheBytes == 0 {
		opts.CacheBytes = defaultCacheBytes
	}
	l := &engineLog{engine: e, cacheLimit: opts.CacheBytes, regions: map[uint64]*regionLog{}}
	snap, err := e.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	if err := l.load(snap); err != nil {
		return nil, fmt.Errorf("open the raft log: %w", err)
	}
	if err := e.Write(&engine.Batch{}, engine.Synced); err != nil {
		return nil, fmt.Errorf("open the raft log: %w", err)
	}
	return l, nil
}

func (l *engineLog) load(snap engine.Snapshot) error {
	it, err := snap.Iterator(engine.Default, engine.IterOptions{Lower: []byte{statePrefix}, Upper: []byte{statePrefix + 1}})
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		if len(it.Key()) != regionKeySize {
			return fmt.Errorf("%w: key %q among the states", ErrCorrupt, it.Key())
		}
		if err := l.loadRegion(snap, it.Key(), it.Value()); err != nil {
			return err
		}
	}
	if err := it.Err(); err != nil {
		return err
	}
	return l.checkStrays(snap)
}

// loadRegion reads what is kept of one region.
func (l *engineLog) loadRegion(snap engine.Snapshot, key, value []byte) error {
	state, err := decodeState(key, value)
	if err != nil {
		return err
	}
	r := l.region(regionOf(key))
	installKey := regionKey(installPrefix, r.id)
	switch value, err := snap.Get(engine.Default, installKey); {
	case err == nil:
		if state.Install, err = decodeInstall(installKey, value); err != nil {
			return err
		}
	case !errors.Is(err, engine.ErrNotFound):
		return err
	}
	r.state, r.stored = state, true
	if err := r.findEnds(snap); err != nil {
		return err
	}
	if commit, last := r.state.Hard.Commit, r.state.Last.Index; commit > last {
		return fmt.Errorf("%w: region %d is committed up to %d, but its log ends at %d: entries were lost", ErrCorrupt, r.id, commit,
			last)
	}
	return nil
}

// findEnds finds the first entry on disk and the last, and looks at all between them: what is damaged or missing must not
// be found when it is to be applied or sent, but now, while the store can still refuse to start.
func (r *regionLog) findEnds(snap engine.Snapshot) error {
	s := &r.state
	s.Last = s.Truncated
	it, err := snap.Iterator(engine.Default, engine.IterOptions{
		Lower: entryKey(r.id, 0), Upper: regionKey(entryPrefix, r.id+1),
	})
	if err != nil {
		return err
	}
	defer it.Close()
	if !it.First() {
		return it.Err()
	}
	if first := indexOf(it.Key()); first <= s.Truncated.Index {
		r.dirtyFrom, r.dirtyTo = first, s.Truncated.Index
	}
	for ok := it.SeekGE(entryKey(r.id, s.Truncated.Index+1)); ok; ok = it.Next() {
		e, err := decodeEntry(it.Key(), it.Value())
		if err != nil {
			return err
		}
		if e.Index != s.Last.Index+1 {
			return corruptEntry(r.id, s.Last.Index+1, "is missing")
		}
		s.Last = Position{Index: e.Index, Term: e.Term}
		r.bytes += sizeOf(&e)
	}
	return it.Err()
}

// checkStrays wants every entry to be of a region with a state.
func (l *engineLog) checkStrays(snap engine.Snapshot) error {
	it, err := snap.Iterator(engine.Default, engine.IterOptions{Lower: []byte{entryPrefix}, Upper: []byte{entryPrefix + 1}})
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; {
		if len(it.Key()) != entryKeySize {
			return fmt.Errorf("%w: key %q among the entries", ErrCorrupt, it.Key())
		}
		region := regionOf(it.Key())
		if _, known := l.regions[region]; !known {
			return fmt.Errorf("%w: region %d has entries, but its state is missing", ErrCorrupt, region)
		}
		ok = it.SeekGE(regionKey(entryPrefix, region+1))
	}
	return it.Err()
}

// Regions implements Log.
func (l *engineLog) Regions() ([]uint64, error) {
	ids := make([]uint64, len(l.ordered))
	for i, r := range l.ordered {
		ids[i] = r.id
	}
	return ids, nil
}

// Close implements Log.
func (l *engineLog) Close() error { return l.engine.Close() }

func compareID(r *regionLog, id uint64) int { return cmp.Compare(r.id, id) }

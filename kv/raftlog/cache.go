// The entry cache: the newest entries of each region, as long as there is room for them. They are what followers are
// sent and what is applied, so that in a healthy cluster nothing is read from disk.

package raftlog

import (
	"slices"

	"tinykv/raft"
)

// regionLog is what is in memory of one region's log.
type regionLog struct {
	id    uint64
	state State
	bytes uint64 // an estimate of what the entries take

	// cache holds the entries up to state.Last, as far back as they were kept. Nobody writes into its array but behind
	// its end: parts of it are handed out (G4).
	cache      []raft.Entry
	cacheBytes uint64

	dirtyFrom, dirtyTo uint64 // entries that are not kept and still lie on the disk, if from is not beyond to

	staged  State // state, as the batch that is being written leaves it
	touched bool  // it is in that batch
	stored  bool  // its state is on disk, or in that batch
}

// cacheFrom is the index of the first entry in the cache; one behind the last if it is empty.
func (r *regionLog) cacheFrom() uint64 { return r.state.Last.Index + 1 - uint64(len(r.cache)) }

// cacheAppend puts entries, which are written by now, behind the cached ones that come before the first of them, and drops
// those that they replace; all of them, if the first one is not after the first that is cached. lastBefore is the index of
// the log's last entry until now: the last one cached. Where it drops any it goes on in a new array, for parts of the old
// one may be in other hands (G4). What comes and what goes is counted (cacheCount, cacheDrop), so that cacheShrink keeps
// the bound.
func (l *engineLog) cacheAppend(r *regionLog, lastBefore uint64, entries []raft.Entry) {
	from := lastBefore + 1 - uint64(len(r.cache))
	switch first := entries[0].Index; {
	case first <= from:
		l.cacheDrop(r)
	case first <= lastBefore:
		kept := r.cache[:first-from]
		for i := range r.cache[first-from:] {
			l.cacheCount(r, &r.cache[first-from:][i], -1)
		}
		r.cache = slices.Clip(slices.Clone(kept))
	}
	r.cache = append(r.cache, entries...)
	for i := range entries {
		l.cacheCount(r, &entries[i], 1)
	}
}

func (l *engineLog) cacheCount(r *regionLog, e *raft.Entry, sign int) {
	if sign < 0 {
		r.cacheBytes -= sizeOf(e)
		l.cacheBytes -= sizeOf(e)
		return
	}
	r.cacheBytes += sizeOf(e)
	l.cacheBytes += sizeOf(e)
}

// cacheDrop forgets what is cached of a region.
func (l *engineLog) cacheDrop(r *regionLog) {
	l.cacheBytes -= r.cacheBytes
	r.cache, r.cacheBytes = nil, 0
}

// cacheTruncate forgets the first n entries. The rest moves to a new array: the old one would keep them all in memory.
func (l *engineLog) cacheTruncate(r *regionLog, n int) {
	for i := range r.cache[:n] {
		l.cacheCount(r, &r.cache[i], -1)
	}
	r.cache = slices.Clone(r.cache[n:])
}

// cacheShrink makes room when there is too much: the region that has most gives up the older half of it. So the bound
// holds, and a busy region can't drive out the newest entries of the others.
func (l *engineLog) cacheShrink() {
	for l.cacheBytes > l.cacheLimit {
		most := l.ordered[0]
		for _, r := range l.ordered {
			if r.cacheBytes > most.cacheBytes {
				most = r
			}
		}
		l.cacheTruncate(most, (len(most.cache)+1)/2)
	}
}

// Writing: changes of many regions become one batch of the engine.

package raftlog

import (
	"fmt"
	"slices"

	"tinykv/kv/engine"
	"tinykv/raft"
)

// cleanEntries bounds how many entries that nobody needs are removed with one write: an engine without cheap range deletes
// takes no more, and nobody waits for the disk to be tidy.
const cleanEntries = 8192

// Write implements Log.
func (l *engineLog) Write(b *Batch, d engine.Durability) error {
	all := parts(b.updates)
	last := len(all) - 1
	for _, part := range all[:last] {
		if err := l.writePart(part, engine.Buffered); err != nil {
			return err
		}
	}
	return l.writePart(all[last], d)
}

// writePart writes what fits into one batch of the engine. Memory changes only after the engine has taken it.
func (l *engineLog) writePart(updates []update, d engine.Durability) error {
	l.batch.Reset()
	touched := l.stage(updates)
	err := l.engine.Write(&l.batch, d)
	for _, r := range touched {
		r.touched = false
	}
	if err != nil {
		return fmt.Errorf("write the raft log: %w", err)
	}
	for i := range updates {
		l.settle(&updates[i])
	}
	l.cacheShrink()
	return nil
}

// stage adds what the updates mean on disk to l.batch, and returns the regions that they touch. A region's state is
// written once, as it is at the end, and only if it is another than on disk: most turns add entries and nothing else.
func (l *engineLog) stage(updates []update) (touched []*regionLog) {
	touched = l.touched[:0]
	for i := range updates {
		u := &updates[i]
		r := l.region(u.region)
		if !r.touched {
			r.touched, r.staged = true, r.state
			touched = append(touched, r)
		}
		l.stageUpdate(r, u)
	}
	for _, r := range touched {
		if !l.isRemoved(r) {
			l.stageClean(r)
			l.stageState(r)
		}
	}
	l.touched = touched
	return touched
}

// isRemoved tells whether the batch that is being staged removes the region for good.
func (l *engineLog) isRemoved(r *regionLog) bool { return r.staged.Last == gone }

// gone is the place of a removed region's last entry while its batch is staged.
var gone = Position{Index: ^uint64(0)}

// stageUpdate adds one change. Of a region that was removed earlier in the batch nothing is left.
func (l *engineLog) stageUpdate(r *regionLog, u *update) {
	if l.isRemoved(r) {
		r.staged = State{}
	}
	switch u.kind {
	case appendEntries:
		l.stageAppend(r, u.entries)
	case setHard:
		r.staged.Hard = u.hard
	case compact:
		l.stageCompact(r, u.at)
	case beginInstall:
		l.stageInstall(r, u.at, &u.install)
	case endInstall:
		r.staged.Install = nil
		l.batch.Delete(engine.Default, regionKey(installPrefix, r.id))
	case create:
		l.stageRemove(r)
		r.staged = State{Hard: u.hard, Truncated: u.at, Last: u.at}
	case remove:
		l.stageRemove(r)
		l.batch.Delete(engine.Default, regionKey(statePrefix, r.id))
		r.staged, r.stored = State{Last: gone}, false
	}
}

// stageAppend adds entries to the batch, each under its key, and moves r.staged.Last to the last of them. Those of the log
// from the first one's index on are replaced; what lies behind the last of the new ones is deleted (G2), or it would come
// back after a restart. Entries that do not follow the log, or begin before its first one, are a broken invariant of ours:
// a panic that names the region and both indexes.
func (l *engineLog) stageAppend(r *regionLog, entries []raft.Entry) {
	first, last := entries[0].Index, &entries[len(entries)-1]
	if first <= r.staged.Truncated.Index || first > r.staged.Last.Index+1 {
		panic(fmt.Sprintf("raftlog: append of entry %d to the log of region %d, which goes from %d to %d", first, r.id,
			r.staged.Truncated.Index+1, r.staged.Last.Index))
	}
	for i := range entries {
		key := entryKey(r.id, entries[i].Index)
		l.put(key, encodeEntry(key, &entries[i]))
	}
	if last.Index < r.staged.Last.Index {
		l.deleteEntries(r.id, last.Index+1, r.staged.Last.Index)
	}
	r.staged.Last = Position{Index: last.Index, Term: last.Term}
}

// stageCompact moves r.staged.Truncated up to upTo; the entries up to there are not removed now, but by and by (leave,
// stageClean). A position that is not after Truncated changes nothing (G3). One behind the last entry is a broken invariant
// of ours: a panic that names the region and both indexes.
func (l *engineLog) stageCompact(r *regionLog, upTo Position) {
	if upTo.Index <= r.staged.Truncated.Index {
		return
	}
	if upTo.Index > r.staged.Last.Index {
		panic(fmt.Sprintf("raftlog: compaction of region %d up to %d, behind its last entry %d", r.id, upTo.Index,
			r.staged.Last.Index))
	}
	r.leave(upTo.Index)
	r.staged.Truncated = upTo
}

// leave notes that the entries from the first one that is kept up to last are to be removed by and by. Those that were
// noted before and are not removed yet lie right before them, and stay noted: r.dirtyFrom to r.dirtyTo is one range. It has
// to be called before r.staged.Truncated moves.
func (r *regionLog) leave(last uint64) {
	if r.dirtyFrom > r.dirtyTo {
		r.dirtyFrom = r.staged.Truncated.Index + 1
	}
	r.dirtyTo = last
}

// stageInstall lets the log begin, and end, at the snapshot's position, and writes what is to be installed, under its key.
// Entries behind the position are deleted at once, for others will take their places; those before it by and by.
func (l *engineLog) stageInstall(r *regionLog, at Position, in *Install) {
	if r.staged.Last.Index > at.Index {
		l.deleteEntries(r.id, at.Index+1, r.staged.Last.Index)
	}
	r.leave(min(r.staged.Last.Index, at.Index))
	r.staged.Truncated, r.staged.Last = at, at
	r.staged.Install = &Install{Spool: in.Spool, Head: in.Head}
	key := regionKey(installPrefix, r.id)
	l.put(key, encodeInstall(key, in))
}

// stageRemove deletes everything that lies under the region's keys, but its state.
func (l *engineLog) stageRemove(r *regionLog) {
	l.batch.DeleteRange(engine.Default, entryKey(r.id, 0), regionKey(entryPrefix, r.id+1))
	l.batch.Delete(engine.Default, regionKey(installPrefix, r.id))
	r.dirtyFrom, r.dirtyTo = 1, 0
}

// stageClean removes entries that are not kept any more (dirtyFrom to dirtyTo; nothing if from is beyond to), the oldest
// first, and at most cleanEntries of them. It is called for every region that a batch touches: so what is left is removed
// with later writes. That it forgets them before they are written is no loss: after a failed write there is no other.
func (l *engineLog) stageClean(r *regionLog) {
	if r.dirtyFrom > r.dirtyTo {
		return
	}
	end := min(r.dirtyTo, r.dirtyFrom+cleanEntries-1)
	l.deleteEntries(r.id, r.dirtyFrom, end)
	r.dirtyFrom = end + 1
}

// deleteEntries deletes [first, last].
func (l *engineLog) deleteEntries(region, first, last uint64) {
	l.batch.DeleteRange(engine.Default, entryKey(region, first), entryKey(region, last+1))
}

func (l *engineLog) stageState(r *regionLog) {
	if r.stored && r.staged.Hard == r.state.Hard && r.staged.Truncated == r.state.Truncated {
		return
	}
	r.stored = true
	key := regionKey(statePrefix, r.id)
	l.put(key, encodeState(key, &r.staged))
}

func (l *engineLog) put(key, value []byte) {
	l.batch.Take(engine.Op{Kind: engine.OpPut, CF: engine.Default, Key: key, Value: value})
}

// settle brings memory to where the disk is, one update after the other.
func (l *engineLog) settle(u *update) {
	r := l.region(u.region)
	s := &r.state
	switch u.kind {
	case appendEntries:
		last := u.entries[len(u.entries)-1]
		l.cacheAppend(r, s.Last.Index, u.entries)
		s.Last = Position{Index: last.Index, Term: last.Term}
		r.bytes += sizeOfAll(u.entries) // what they replace is not taken off
	case setHard:
		s.Hard = u.hard
	case compact:
		whole := s.Last.Index - s.Truncated.Index
		l.settleCompact(r, u.at)
		r.bytes = share(r.bytes, s.Last.Index-s.Truncated.Index, whole)
	case beginInstall:
		l.cacheDrop(r)
		s.Truncated, s.Last, r.bytes = u.at, u.at, 0
		s.Install = &Install{Spool: u.install.Spool, Head: u.install.Head}
	case endInstall:
		s.Install = nil
	case create:
		l.cacheDrop(r)
		r.bytes = 0
		*s = State{Hard: u.hard, Truncated: u.at, Last: u.at}
	case remove:
		l.cacheDrop(r)
		l.forget(r)
	}
}

// settleCompact brings memory to where stageCompact has brought the disk: Truncated, and the cache, which forgets the
// entries up to there that it holds (cacheTruncate). A position that is not after Truncated changes nothing.
func (l *engineLog) settleCompact(r *regionLog, upTo Position) {
	if upTo.Index <= r.state.Truncated.Index {
		return
	}
	if from := r.cacheFrom(); upTo.Index >= from {
		l.cacheTruncate(r, int(upTo.Index+1-from))
	}
	r.state.Truncated = upTo
}

// share is what a part of some entries takes, if all of them together take so many bytes.
func share(bytes, part, whole uint64) uint64 {
	if whole == 0 {
		return 0
	}
	return uint64(float64(bytes) * float64(part) / float64(whole))
}

// region returns a region's log; that of an unknown region is empty and begins at 1.
func (l *engineLog) region(id uint64) *regionLog {
	r, ok := l.regions[id]
	if !ok {
		r = &regionLog{id: id, dirtyFrom: 1}
		l.regions[id] = r
		at, _ := slices.BinarySearchFunc(l.ordered, id, compareID)
		l.ordered = slices.Insert(l.ordered, at, r)
	}
	return r
}

func (l *engineLog) forget(r *regionLog) {
	delete(l.regions, r.id)
	if at, ok := slices.BinarySearchFunc(l.ordered, r.id, compareID); ok {
		l.ordered = slices.Delete(l.ordered, at, at+1)
	}
}

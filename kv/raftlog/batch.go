// Batch: what one turn of a store has to remember.

package raftlog

import "tinykv/raft"

// Batch collects changes to the logs of many regions. The zero value is an empty one. It does not copy entries: they are
// immutable (raft, "Ownership").
type Batch struct{ updates []update }

// update is one change of one region's log. Exactly one of its kinds is set.
type update struct {
	region  uint64
	kind    updateKind
	entries []raft.Entry
	hard    raft.HardState
	at      Position
	install Install
}

type updateKind uint8

const (
	appendEntries updateKind = iota + 1
	setHard
	compact
	beginInstall
	endInstall
	create
	remove
)

// Append adds entries to a log. They follow each other, and the first one follows one of the log's, or Truncated: what the
// log has from its index on is replaced, and gone even if the new entries are fewer.
func (b *Batch) Append(region uint64, entries []raft.Entry) {
	if len(entries) > 0 {
		b.updates = append(b.updates, update{region: region, kind: appendEntries, entries: entries})
	}
}

// SetHard replaces the hard state.
func (b *Batch) SetHard(region uint64, h raft.HardState) {
	b.updates = append(b.updates, update{region: region, kind: setHard, hard: h})
}

// Compact drops the entries up to upTo, which is one of them. A position that is not after Truncated changes nothing.
func (b *Batch) Compact(region uint64, upTo Position) {
	b.updates = append(b.updates, update{region: region, kind: compact, at: upTo})
}

// Install puts a snapshot in the place of the whole log: no entry is kept, Truncated and Last are the snapshot's position,
// and in is what remains to be done until Installed.
func (b *Batch) Install(region uint64, at Position, in Install) {
	b.updates = append(b.updates, update{region: region, kind: beginInstall, at: at, install: in})
}

// Installed says that the snapshot is installed, and durable.
func (b *Batch) Installed(region uint64) {
	b.updates = append(b.updates, update{region: region, kind: endInstall})
}

// Create begins the log of a region, after the position at. What is kept of the region is forgotten.
func (b *Batch) Create(region uint64, at Position, h raft.HardState) {
	b.updates = append(b.updates, update{region: region, kind: create, at: at, hard: h})
}

// Remove forgets everything of a region.
func (b *Batch) Remove(region uint64) {
	b.updates = append(b.updates, update{region: region, kind: remove})
}

// Len is the number of changes.
func (b *Batch) Len() int { return len(b.updates) }

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	clear(b.updates)
	b.updates = b.updates[:0]
}

// A batch that is larger than what an engine takes at once: cut into parts that may each be the last one a crash leaves.
//
//	updates    append 1   hard 1   append 2              hard 2   append 3   hard 3
//	parts      [..........................] [.....................] [..............]
//	written    Buffered                     Buffered                as asked for
//
// Any prefix of the updates is a state that a store may have been in: a region's log is whole after each of them, and the
// last thing that Raft may lose is a hard state that comes behind its entries (package raft, "What must be durable before
// what is sent", rule 1). Nothing is promised before the last part is durable, and with it all before.

package raftlog

import "tinykv/kv/engine"

const (
	// maxPartBytes leaves room in an engine's batch for the states of regions that are counted more than once.
	maxPartBytes = engine.MaxBatchSize - 1<<10

	// maxRunBytes is about how much of an append goes into one part: less, and parts would be many; more, and they would
	// be filled badly.
	maxRunBytes = 1 << 20

	entryDiskBytes  = engine.OpOverhead + entryKeySize + 16         // of an entry beside its data
	updateDiskBytes = 4*(engine.OpOverhead+2*entryKeySize) + 2*1<<6 // of an update beside its entries: deletes, state
)

// parts cuts updates so that each part fits into one write of an engine. Almost always that is one part. An append is cut
// between its entries, never in one.
func parts(updates []update) [][]update {
	total := 0
	for i := range updates {
		total += updates[i].diskBytes()
	}
	if total <= maxPartBytes {
		return [][]update{updates}
	}
	var all [][]update
	var part []update
	room := maxPartBytes
	for _, u := range updates {
		for _, piece := range u.pieces() {
			size := piece.diskBytes()
			if size > room && len(part) > 0 {
				all, part, room = append(all, part), nil, maxPartBytes
			}
			part = append(part, piece)
			room -= size
		}
	}
	return append(all, part)
}

// diskBytes bounds what the update adds to an engine's batch, by the measure of its Size.
func (u *update) diskBytes() int {
	size := updateDiskBytes + len(u.install.Spool) + len(u.install.Head)
	for i := range u.entries {
		size += entryDiskBytes + len(u.entries[i].Data)
	}
	return size
}

// pieces cuts an append into several that do the same one after the other. What the first of them replaces, it removes
// to the end.
func (u *update) pieces() []update {
	if u.kind != appendEntries {
		return []update{*u}
	}
	var pieces []update
	for rest := u.entries; len(rest) > 0; {
		run := limit(rest, maxRunBytes)
		pieces = append(pieces, update{region: u.region, kind: appendEntries, entries: run})
		rest = rest[len(run):]
	}
	return pieces
}

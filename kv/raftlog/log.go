// The contract of a raft log.

package raftlog

import (
	"errors"

	"tinykv/kv/engine"
	"tinykv/raft"
)

// Position names an entry: two logs that both have it are equal up to there (Log Matching, Raft §5.3). Zero is the place
// before the first entry.
type Position struct{ Index, Term uint64 }

// State is what is kept of one region beside its entries.
type State struct {
	Hard      raft.HardState
	Truncated Position // the entry just before the first one kept
	Last      Position // the last one; Truncated if none is kept
	Install   *Install // a snapshot that was accepted and is not installed yet, or nil
}

// Install remembers a snapshot that took the place of the log: it must be installed before anything else is applied, by
// whoever finds this after a crash, too.
type Install struct {
	Spool string // where it is
	Head  []byte // what it is; encoded by package snapshot
}

// Log keeps the raft logs of all regions of a store. Its methods belong to one goroutine at a time. Any error of
// reading or writing that is not named here is the engine's.
type Log interface {
	// Regions lists the regions of which anything is kept, ascending.
	Regions() ([]uint64, error)

	// State returns what is kept of a region, and false if nothing is.
	State(region uint64) (State, bool, error)

	// Entries returns the entries of a region in [lo, hi): the first one, and then as many as fit into maxBytes. lo is
	// less than hi. The slice is immutable. Errors: raft.ErrCompacted if lo is not after Truncated;
	// raft.ErrUnavailable if hi is beyond Last.Index+1; ErrCorrupt.
	Entries(region, lo, hi, maxBytes uint64) ([]raft.Entry, error)

	// Term returns the term of the entry at index, from Truncated to Last. Errors as those of Entries.
	Term(region, index uint64) (uint64, error)

	// Bytes is about how much the entries of a region take: counted when the log is opened, estimated from then on. 0 for a
	// region that is not known.
	Bytes(region uint64) uint64

	// Write does all that the batch says, or nothing, in its order. With Synced it is durable when Write returns nil, and
	// so is all that was written before. It takes over the entries of the batch, and leaves the batch to the caller.
	// Of a batch that is larger than an engine takes at once (16 MiB) a crash may leave a beginning: some updates, and
	// the first entries of one. So the entries of a region belong before its hard state. An entry's data has at most
	// MaxEntryBytes, or it is engine.ErrTooLarge.
	// Errors: those of engine.Engine's Write; after one the log takes no more.
	Write(b *Batch, d engine.Durability) error

	// Close ends it.
	Close() error
}

// ErrCorrupt: what is on disk is not what was written. The text names the region and the entry. The store must not go on
// with that log: its peers have what it had, and bring up another store under another id.
var ErrCorrupt = errors.New("raftlog: corrupt")

// MaxEntryBytes bounds the data of an entry: it is one value of the engine, with its type, term and checksum.
const MaxEntryBytes = engine.MaxValueSize - 16

// entryOverheadBytes is what an entry counts beside its data, against limits in bytes.
const entryOverheadBytes = 16

func sizeOf(e *raft.Entry) uint64 { return uint64(len(e.Data)) + entryOverheadBytes }

func sizeOfAll(entries []raft.Entry) (size uint64) {
	for i := range entries {
		size += sizeOf(&entries[i])
	}
	return size
}

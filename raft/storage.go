package raft

// Storage is what this package reads of the durable state. It never writes: that is what Ready asks the caller to do.
// What Storage returns must contain all that was acknowledged by Advance (or Persisted), and nothing is asked of it
// beyond. Returned slices are immutable (see doc.go, "Ownership"). Any error but the named ones is handed up to the
// caller of NewRawNode, Step or Ready, and leaves the state machine where it was.
type Storage interface {
	// InitialState returns the hard state and the configuration in force at the applied index (or, if the application
	// keeps none, at the snapshot).
	InitialState() (HardState, ConfState, error)

	// Entries returns the entries from lo on and before hi: at least the first, and then as many as fit into maxBytes.
	// It returns ErrCompacted if lo is before FirstIndex, ErrUnavailable if hi is after LastIndex+1.
	Entries(lo, hi, maxBytes uint64) ([]Entry, error)

	// Term returns the term of the entry at index, which lies in [FirstIndex-1, LastIndex]: the term of the entry just
	// before the first is known from the snapshot. ErrCompacted and ErrUnavailable as above.
	Term(index uint64) (uint64, error)

	// FirstIndex is the index of the first entry that Entries can return: one after the snapshot's.
	FirstIndex() (uint64, error)

	// LastIndex is the index of the last entry, or of the snapshot if there is none.
	LastIndex() (uint64, error)

	// Snapshot returns a snapshot to send: not before FirstIndex-1, and made of applied entries only.
	// ErrSnapshotTemporarilyUnavailable if it has to be made first.
	Snapshot() (Snapshot, error)
}

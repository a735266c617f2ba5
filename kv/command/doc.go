// Package command has what is replicated: the commands that a region's log holds, and how they are written as bytes.
//
//	proposer:  Command ──► Encode ──► raft entry
//	replica:   raft entry ──► Decode ──► Command ──► applied, in the order of the log, on every replica alike
//
// A command says what to do, never what was read: applying it needs nothing but the state before it, so all replicas come
// to the same state.
//
// Invariants:
//
//	C1  Decode(Encode(c)) equals c; other bytes are an error, never a different command and never a panic
//	C2  what a version writes, every later version reads
//	C3  a decoded batch shares the entry's memory, which nobody changes (raft, "Ownership")
//
// Membership changes are no commands: Raft must understand them, so they travel as its own entries. An entry without
// bytes is Raft's, too: the no-op that opens a term.
package command

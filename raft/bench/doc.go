// Package bench measures package raft side by side with the Raft that most systems use, go.etcd.io/raft/v3. It is a
// module of its own, so that nobody who uses this tree carries that dependency.
//
//	cd raft/bench && go test -bench . -count 5
//
// Both are driven by the same kind of loop: three nodes in one goroutine, in-memory storage, all that a Ready asks for
// done in order. What is measured is all that the library and its storage cost on three nodes.
//
// # What is compared
//
//	one             a proposal, then Readies and messages until it is applied; the payload is the client's, and shared
//	one-allocated   the same, with a payload that is allocated for each proposal, as a server does
//	64-calls        64 proposals before the first Ready
//	batch-of-64     the same, but the other library is given one message with 64 entries, the best it can do
//	ReadIndex       1 and 64 reads that wait together
//
// # Where the floor is
//
// Neither library copies a payload, so its size matters only through the allocator: Floor allocates a payload and keeps
// an entry for it in three slices, without any protocol. With 4 KiB that alone takes longer (0.75 us) than package raft
// takes for a whole entry of 16 B on three nodes (0.72 us), because 4 KiB of memory are cleared, written and collected.
// The advantage at one-allocated/4096B is therefore smaller: both carry the floor. Of the bytes that package raft itself
// allocates for an entry, on three nodes together,
//
//	144 B   are the entry in three unstable logs,
//	144 B   the entry in three storages, and
//	the rest, about 450 B, the messages of the Readies: they belong to whoever took the Ready, and are not used again.
package bench

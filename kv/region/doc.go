// Package region has the facts about a region as values: its range of keys, its epoch, its peers. To change one is to
// make a new one.
//
// The key space is cut into regions. Each is replicated by a Raft group of its own, whose members are its peers, one
// per store:
//
//	keys    ""            "g"            "p"             end
//	         [  region 1  )[  region 2   )[   region 3   )
//	store 1     peer 11        peer 21
//	store 2     peer 12                       peer 32
//	store 3     peer 13        peer 23        peer 33
//
// A region is not a place but a history: it is split, merged, and moves from store to store. Its epoch tells how far
// it is in that history, so that whoever knows an older state of it, such as a client with a cache, finds out.
//
// Invariants:
//
//	R1  of two states of one region, the newer has no smaller number in its epoch, and one that is greater
//	R2  equal Version means equal Range; equal ConfVer means equal Peers
//	R3  the id of a peer is never used again, so a message to a peer of the past reaches nobody else
//
// The values share their slices when copied: treat them as immutable.
package region

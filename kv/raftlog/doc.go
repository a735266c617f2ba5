// Package raftlog keeps the raft logs of all regions of a store: their entries, their hard states, and which snapshot
// is being installed. It is what a promise to another store is kept by: everything in it that was written Synced is
// there after a crash.
//
//	replicas ──► Batch: Append, SetHard, Compact, … of many regions ──► Write ──► one engine batch, one sync
//	                                                                     │
//	raft, through Entries and Term ◄── entry cache (newest entries) ◄────┘
//	                               ◄── engine (older ones)
//
// Log is the interface; Open gives the one that lies in an engine of its own. A store writes all that one turn of its
// loop has to remember, of all regions, as one Batch: so the price of a sync is shared by all of them.
//
// Invariants of each region:
//
//	G1  its entries are those from Truncated.Index+1 to Last.Index, without a gap, their terms never falling
//	G2  what an append replaces is gone, from memory and from disk: no old entry comes back behind newer ones
//	G3  Truncated never goes back, but for a region that was removed and begins anew
//	G4  an entry handed out is never changed (raft, "Ownership")
//	G5  damage is ErrCorrupt, and never an entry that was not written
//
// Example:
//
//	var b raftlog.Batch
//	b.SetHard(7, raft.HardState{Term: 2, Vote: 1})
//	b.Append(7, entries)
//	err := log.Write(&b, engine.Synced)
//
// What it leaves out: it does not know what entries mean, when a log may be compacted, and where the data is.
package raftlog

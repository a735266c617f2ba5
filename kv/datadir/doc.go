// Package datadir is a store's data directory: what is in it, and whose it is.
//
//	DIR/
//	  IDENTITY     text: format, kind, engine, cluster, store; see identity.go
//	  engine/      the data
//	  scheduler/   a standalone store: records of the scheduler that runs in the same process
//	  raft/        a replicated store: the raft log, in an engine of its own
//	  snapshots/   a replicated store: snapshots that are being received or installed
//
// A directory that is opened with the wrong engine, as the wrong kind of store, or by a store of another cluster or another
// id, would be ruined without anyone noticing at first: two stores that answer for one have each other's votes. So the
// directory itself says what it is, and Open looks before it touches anything.
//
// # What always holds
//
//  1. Open changes nothing when it answers with an error.
//
//  2. IDENTITY is replaced as a whole: after a crash it is the old one or the new one.
//
//  3. A store has its ids before it tells anyone of them: Join makes them durable first, so a crash in between loses at
//     most a few numbers of the scheduler's, and never makes one store two.
//
//  4. A replicated store writes its first state into its logs once, and before it says anything to another store. Begun
//     tells that this was done: logs that are empty after that were lost, and must not be begun anew, for the store would
//     have forgotten its votes.
//
//  5. No two directories of replicated stores have the same nonce: by it the scheduler tells a store from another process
//     that was given the same id.
//
// # Example
//
//	dir, err := datadir.Open("data", datadir.Wanted{Engine: "pebble"})
//	db, err := open.Open(dir.Identity().Engine, dir.Engine(), open.Options{})
//	if !dir.Identity().Joined() {
//		err = dir.Join(ids)
//	}
//
// It has no lock of its own: the engine's lock keeps a second process out, before anything is written.
package datadir

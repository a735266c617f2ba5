// Package datadir is a store's data directory: what is in it, and whose it is.
//
//	DIR/
//	  IDENTITY     text: format, engine, cluster, store; see identity.go
//	  engine/      the engine's files
//	  scheduler/   records of the scheduler that runs in the same process
//
// A directory that is opened with the wrong engine, or by a store of another cluster, would be ruined without anyone
// noticing at first. So the directory itself says what it is, and Open looks before it touches anything.
//
// # What always holds
//
//  1. Open changes nothing when it answers with an error.
//  2. IDENTITY is replaced as a whole: after a crash it is the old one or the new one.
//  3. A store has its ids before it tells anyone of them: Join makes them durable first, so a crash in between loses at
//     most a few numbers of the scheduler's, and never makes one store two.
//
// # Example
//
//	dir, err := datadir.Open("data", "pebble")
//	db, err := open.Open(dir.Identity().Engine, dir.Engine(), open.Options{})
//	if !dir.Identity().Joined() {
//		err = dir.Join(ids)
//	}
//
// It has no lock of its own: the engine's lock keeps a second process out, before anything is written.
package datadir

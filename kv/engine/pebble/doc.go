// Package pebble keeps engine data in github.com/cockroachdb/pebble, a log-structured merge tree: the engine of
// servers.
//
//	Write ─► batch ─► pebble: log ─► memory table ─► tables, compacted in levels
//	                    │                            keys: family byte, user key
//	                   fuse ─► file system           no failure of the disk ends the process
//
// Invariants of the wrapper:
//
//  1. Write asks the fuse, and not pebble, whether the batch is safe. Once any change of the disk failed, nothing
//     is changed there any more, and every Write is engine.ErrFailed.
//  2. Open looks first, read-only (verify.go): at the sums that Close left, or after a crash at the note (note.go),
//     the manifest, the logs and the tables. What it refuses it has not touched; a first open that fails leaves
//     nothing behind.
//  3. The directory is locked from before that look until the sums are written.
//
// Concurrent writes share a sync: pebble groups them. A range delete is one entry, however many keys it covers, and
// atomic with its batch.
//
// What it leaves out: ingestion of tables, checkpoints, and a choice of sizes. options.go has one that is small: a fresh
// store takes some KiB of disk, its log is preallocated as it grows to 8 MiB; memory is bounded by a cache of 16 MiB and
// four memory tables of 8 MiB, for a raft log three of 64 MiB, for the data behind one three of 32 MiB.
//
// After a crash, damage in the very last record of the log can't be told from a write that was torn, and is dropped as
// such; nor can a log be told from a torn one that was cut off, by somebody else, behind what the note says: what was
// written in the last second before the crash.
package pebble

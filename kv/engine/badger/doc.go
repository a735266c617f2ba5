// Package badger keeps engine data in github.com/Connor1996/badger, a log-structured merge tree that was written
// for TinyKV's first life: the engine of the first exercise, small enough to be understood, and to be used with
// care.
//
//	Write ─► group ─► one transaction ─► badger: value log ─► memory table ─► tables       keys: family byte, user key
//	          share a sync     │ stage: operations as pending writes                       values: checksum, value
//	                           │ commit: watched, and read back
//
//	keys.go stage.go snapshot.go iterator.go size.go      the engine
//	group.go commit.go seal.go verify.go verifylog.go     the precautions
//
// What badger does, and what is done about it, each with a test that fails without it:
//
//   - Commit returns nil although the log could not be written or synced: every transaction writes a number, which
//     is read back.
//   - Behind a failed write the next Commit waits for ever: a watchdog ends the wait, and the engine is
//     engine.ErrFailed.
//   - A point get in an old snapshot can miss a key that is there: reads of snapshots go through an iterator.
//   - Tables have no checksums: every value carries one, Close leaves sums of all files for Open to check, and sums of
//     new tables are noted while the store is open.
//   - A damaged table ends the process at Open, a damaged manifest deletes tables: everything is checked before
//     badger sees it, of a table without a sum at least the form.
//   - An error is dropped when the log's buffer overflows: the buffer holds the largest transaction.
//   - An entry that was handed over is changed: none is used twice.
//   - A transaction that syncs not is torn by a loss of power, as a memory table may be flushed in its midst: every
//     write is synced.
//   - Defaults take 607 MiB of memory and 256 MiB of disk: options are small (16 MiB of disk, 20 of memory for a
//     fresh store).
//
// It needs cgo. In a program that was built without a C compiler, Open answers ErrNoCgo.
//
// What it leaves out: a range delete that is cheaper than deleting each key; one that covers more keys than a batch
// may hold is engine.ErrTooLarge, and must be made in parts (package inparts does it). An estimate of sizes that is cheaper than a walk.
// After a crash, checksums of tables that were made in the last second or since the last write; and a notice that the
// newest log is gone or empty, if the process died within a second of its beginning. Damage in the last transaction
// of the log is taken for a torn end.
package badger

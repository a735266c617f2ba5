// Package mem is an engine in memory that plays a disk. Tests and simulations run on it: it is fast, it has no
// goroutines, and the same seed gives the same outcome. A Disk survives the crash of the process that used it, and
// does what disks do: it loses what was not synced, tears the last write, is slow, is full, fails to sync, flips
// bits.
//
//	        Write                                              Open
//	          │ 1 encode with checksum                           │ check and replay
//	          ▼                                                  │
//	Disk   [rec][rec][rec][rec]│[rec][rec][re                    ▼
//	        ▲ durable           ▲ synced   ▲ torn by Crash    [rec][rec][rec][rec][rec][rec]
//	          │ 2 apply
//	          ▼
//	tree   (cf, key, newest version first) ─► versions; values point into the records
//
// Invariants:
//
//  1. A batch is one record. Recovery keeps a record whole or drops it whole, and drops every record behind one it
//     dropped.
//  2. A record is on the disk before its batch is visible; if Synced was asked for, it is durable before its batch
//     is visible.
//  3. A snapshot at sequence number n sees of each key the newest version numbered <= n. A version goes away only
//     when a newer one exists that every open snapshot sees.
//  4. A damaged record among those that were synced is ErrCorrupt; a damaged one behind them is a torn write and is
//     dropped.
//  5. No clock and no randomness but the source that was handed to NewDisk.
//
// Use:
//
//	disk := mem.NewDisk(rand.New(rand.NewPCG(seed, 0)), mem.Options{})
//	e, err := mem.Open(disk)
//	...                      // write, some of it Synced
//	disk.Crash()             // e is dead from here on
//	e, err = mem.Open(disk)  // finds everything synced, and a prefix of the rest
//
// What it leaves out: cost in wall-clock time (a driver reads Stats.Busy and lets virtual time pass), partial
// reads, several files, and a size on the disk that a real engine would have. Everything is in memory twice: in the
// record and as keys of the tree.
package mem

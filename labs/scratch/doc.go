// Package scratch makes directories for temporary files that do not outlive who made them.
//
//	Make("grade") ── sweep: the directories of processes that are gone ──► removed
//	      │
//	      └────────► $TMPDIR/labs-grade-1234567/   owner (locked while the process lives)
//
// A process that ends by itself removes its directory. One that is killed, or whose machine loses power, can't: the
// next that makes a directory does it.
//
// What always holds:
//
//  1. A directory whose maker lives is never removed by another: the operating system holds its lock, and gives it back
//     when the process ends in whatever way. A process number could have been given to another meanwhile.
//  2. Only directories that this user made are removed, and symbolic links are never followed.
//  3. Trouble with the remains of others is no trouble of who makes a directory.
//
// Example:
//
//	dir, err := scratch.Make("grade")
//	defer dir.Remove()
//	binary := filepath.Join(dir.Path, "stage.test")
//
// Where there are no such locks, only what was not touched for a day is removed.
package scratch

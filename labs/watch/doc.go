// Package watch runs something again whenever files were saved.
//
//	editor ── saves ──► Files (fsnotify) ── names ──► Loop ── after a quiet moment ──► run(ctx, names)
//	                                                   │
//	                                                   └ a run that is still going is cancelled: its result would be
//	                                                   of old code
//
// What always holds:
//
//  1. There is never more than one run at a time, and none begins before the one before it has returned.
//  2. Every change is followed by a run that began after it, however changes and runs fall together.
//  3. A burst of changes (a formatter, git checkout) is one run.
//
// Loop takes its changes from a channel and its time from the clock of its goroutine, so tests run it in a bubble of
// testing/synctest with changes of their own. What Files leaves out: it looks at single directories, not at trees; say
// anew what to look at with Watch when the directories change.
package watch

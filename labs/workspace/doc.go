// Package workspace is the place where a learner works: a copy of the tree with holes in it, which needs its origin
// no more.
//
//	clone of TinyKV                      a learner's workspace
//	  the reference        ──Create──>     the starter: the reference with holes, handouts and graded tests
//	  labs/mutants                         Makefile, README.md for a learner
//	                                       .labs/workspace.json      from which stage on it has holes
//	                                       .labs/catchup.json        up to which the reference's are used; not in git
//	                                       .labs/reference.tar.gz    the reference, for solution, catchup and proof
//	                                       .git                      one commit: git diff shows the learner's work
//
// What always holds:
//
//  1. Create writes only into a directory that was empty or did not exist, outside the clone; if it fails, it leaves
//     none.
//  2. Nothing in a workspace names the machine or the clone: it can be copied, pushed and cloned.
//  3. No solution stands in plain sight: not in the code, its tests, the mutants or the history. It is in the archive.
//  4. Once Create has returned, everything works without a network.
//  5. The same tree gives the same archive, byte for byte.
//  6. A stage is tested with the reference's functions for all later stages, laid over the learner's files for as long
//     as the compiler runs. Its tests can use the whole system, and nothing of a later stage, written or not, costs it
//     points.
//
// Example:
//
//	here, err := workspace.Find(".")        // a workspace, or the reference itself
//	reference, err := here.Reference()      // from the archive, or from the files that git tracks
//	over, notes, err := here.Overlay("2ab") // what is laid over the learner's files when 2ab is tested
//
// What is tracked decides what the reference is: a file that git does not know is not handed out. Without git,
// everything is taken that is no build product. Modules within the module (benchmarks, unmodified clients) stay behind.
package workspace

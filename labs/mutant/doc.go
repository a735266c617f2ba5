// Package mutant grades the graders: wrong programs that the graded tests must fail, and right programs that they must
// pass.
//
//	labs/mutants/1a.toml   ── each a few edits of the reference ──►  overlay ──► the tests of 1a ──► killed by TestX,
//	or survived labs/variants/1a.toml  ── the same form ────────────────────►  overlay ──► the tests of 1a ──►
//	accepted, or rejected by TestX
//
// A mutant is a mistake that learners make, with what it does to the system. One that survives shows a hole in the
// tests. A variant is a correct program of another design; one that is rejected shows a test that demands more than
// the contract says.
//
//	[[mutant]]
//	name = "batch_in_pieces"
//	bug = "each operation is committed in its own transaction"
//	consequence = "a reader or a crash sees half a batch"
//	survives = "why no test can see it"     # only if that is so; it then counts neither way
//	  [[mutant.edit]]
//	  file = "kv/engine/badger/write.go"
//	  old = '''text that occurs exactly once in the file'''
//	  new = '''what stands there instead'''
//
// What always holds:
//
//  1. The reference is only read. Edits go through an overlay.
//  2. A mutant counts as killed only if a test failed that passes on the reference: the reference is run first. An
//     edit that does not fit or does not compile is an error of the corpus and not a kill.
//  3. The tests of its own stage decide, nobody else's.
//  4. The result is the same whatever order the tests run in. (The test that killed a mutant the last time runs first.)
//
// Example:
//
//	corpus, err := mutant.Load(root, mutant.Mutants, stage)
//	results, err := mutant.Run(ctx, mutant.Options{Root: root, Stage: stage, Entries: corpus})
//	fmt.Println(mutant.Score(results))
//
// With Options.All every test runs against each mutant, and Idle lists the tests that fail for none: a test that no
// mistake needs, or a mistake that the corpus lacks.
//
// What it leaves out: it makes no mutants by itself. Random changes of operators mostly yield programs that nobody
// would write.
package mutant

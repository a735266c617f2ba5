// Package proof shows that the course is sound: that what a learner is given can be solved, is graded fairly, and is
// told truly.
//
// For each stage k, in a copy of the reference:
//
//	table       its tests are exactly the Test functions of its directory; each hole has a contract of some length
//	handout     every file and function that it names exists in the starter, it names every hole, has hints
//	corpus      the edits of its mutants and variants fit the reference
//	secret      no hole's body stands in any file of the workspace that begins with k
//	starter     the tree with the holes of k and later stages compiles and vets
//	red         in it, with the stages after k laid over it, each test of k fails at a hole
//	green       on the reference, the tests of k pass
//	earlier     in the starter, as they are graded, the tests of the stages before k pass
//	solution    putting k's functions into the starter gives the starter of the stage after k, to the byte
//	catchup     with the stages before k laid over the very first starter, that compiles and vets
//	commands    in a real workspace, each command of the handout does what the handout says
//
// Each is a check of its own (Checks lists them), so a problem is named by stage and check, and one can be run alone:
//
//	go run ./labs proof 1a --only red
//
// Commands of a handout are the blocks that begin with ```sh. Each is run as one script, and a word behind says what
// is expected:
//
//	```sh           it succeeds in the workspace as it was laid out
//	```sh fails     it fails there
//	```sh done      it succeeds once the stage is solved
//	```sh shown     it is not run: it waits for a person, or never ends
//
// What was shown once need not be shown again while nothing of what it depends on has changed: the tests of a stage
// depend on the packages that they import, on the modules, and on labs. With Options.Memo such facts are kept
// between runs. That is how make test proves the stages that a change touches; go run ./labs proof shows everything.
//
// What is not shown here: that wrong programs fail and right ones of other designs pass. That is for package mutant.
package proof

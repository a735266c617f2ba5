// Package graft puts functions of the reference in the place of a learner's: over the files, to catch up, or into
// them, as a solution.
//
//	reference                     learner                        Over: two files                 Into: one file
//	func Get  (hole of 1a)        func Get   (does not work)     (blank lines)                   func Get  (reference)
//	func Put  (hole of 1b)        func Put   (learner's)         func Put  (learner's)           func Put  (learner's)
//	func seek (helper of Get)     func find  (helper of Get)     (blank lines)                   func seek (reference)
//	                                                             reference_get.go: Get, seek
//
// Whole files would not do: one file may hold holes of several stages, and those after the stage are the learner's.
// So functions are exchanged by name, wherever in the package the learner has them, and with them what they alone use.
//
// What always holds:
//
//  1. What remains of a learner's file keeps its line numbers under Over, so that messages point at the learner's
//     own lines.
//  2. A function that the learner has yet to write, of another stage, is never given away.
//  3. A helper of the reference whose name the learner uses for something else is renamed, not the learner's.
//  4. Given code that the learner changed stays as the learner has it.
//  5. Into over an untouched starter gives the reference's text.
//
// Over serves two ends: who catches up gets the stages before one, and the tests of a stage get those after it (Later).
//
// Where a learner's file does not parse: if nothing in it is still to be written, the reference's file stands in for
// it, and a note says so; otherwise the file stays, and the compiler tells its author where it breaks.
//
// Example:
//
//	changes, notes, err := graft.Over(learner, graft.Course{Reference: reference, Hollow: stages, Take: stages[:1]})
//
// What it can't do: if the learner changed a given type so that the reference's functions no longer fit it, the
// compiler says so, in a file named reference_*.go.
package graft

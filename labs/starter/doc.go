// Package starter makes what a learner begins with: the reference with holes in it.
//
//	reference file                                starter file
//	// Get returns the value of key. ...          // Get returns the value of key. ...
//	func (s *snapshot) Get(...) { 12 lines }  ->  func (s *snapshot) Get(...) { panic("1a: ... is yours to write") }
//	func seekExactly(...) { ... }             ->  (gone: only Get used it)
//	import "bytes"                            ->  (gone: only seekExactly used it)
//
// The holes are named by the course table, and the reference carries no mark of them: so the two can't drift apart,
// and a renamed function is an error here rather than a hole that silently closed.
//
// What always holds:
//
//  1. A hole keeps its signature and its doc comment, which is the contract of the exercise. A hole without one is
//     an error.
//  2. What only the bodies of holes used is gone: imports, unexported functions, methods, types, constants and
//     variables, in all files of the package.
//     What the contract of a hole names is given, though: see Pruned.
//  3. The result is formatted, compiles and vets, if the reference does. The same input gives the same bytes.
//
// The tests beside a hollowed package stay, since they help a learner: go test ./kv/engine/badger is a good question
// to ask at any time. Only those go that could not compile, as they test a helper that is gone, with what only they
// used. None of them is graded; the graded tests use exported names alone and are never touched.
//
// A hole of a whole file stands for each function of the file that something else can reach: exported ones, and
// those that other files use. The rest of the file's functions are helpers like any others.
//
// Example:
//
//	changes, err := starter.Hollow(reference, starter.Holes(course.From(course.Stages(), "1b")))
//	tree := changes.Over(reference)
//
// It leaves out the workspace around the code: that is package workspace.
package starter

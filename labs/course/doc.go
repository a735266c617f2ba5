// Package course is the one table of the course: its stages, what each hollows out of the reference, and what its
// tests are worth.
//
//	reference ──(holes of the stages from here on)──> starter ──(a learner)──> tests of the stage ──> points
//
// Everything else in labs reads this table and nothing else knows it: the code of the product carries not one mark
// of the course. A stage stands here only once it exists as a whole: handout, tests, mutants.
//
// What always holds; Check tells what is broken:
//
//  1. Stage ids are unique and in the order in which a learner takes them.
//  2. No hole belongs to two stages.
//  3. Each test of a stage has points, and its name is unique in the stage.
//
// Example:
//
//	stages, err := course.Select("1")      // 1a, 1b: all of project 1
//	for _, s := range stages {
//		fmt.Println(s.ID, s.Title, s.Points())
//	}
//
// It leaves out whether the files and functions that it names exist: that takes a tree, and is shown by package proof.
package course

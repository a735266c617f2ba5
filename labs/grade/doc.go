// Package grade runs the graded tests of the course and says what each of them is worth.
//
//	stages ── build ──► one test binary per stage ── run ──► one process per test ── judge ──► TestResult ──► Report
//	            │            (guard inside)             │
//	            └ compiler's messages                   └ own process group, time limit, memory limit, bounded output
//
// A learner's code may not compile, panic at a hole, hang, eat all memory, end the process or print what a passing
// test prints. Each of these costs the points of the test that met it and of no other, because each test has a process
// of its own.
//
// What always holds:
//
//  1. A test passes only if its own PASS event came, exactly once, without a FAIL or SKIP; its process ended with
//     status 0; and the guard's proof was printed. The guard is a TestMain that the grader compiles into the test
//     binary: after the tests have run, it prints a random word made for this build. Text that a program prints, and
//     os.Exit(0), are no proof.
//  2. Everything is compiled before the first test runs, and a stage whose binary changed meanwhile earns nothing.
//  3. When Run returns, all processes that it started are gone, those included that left their process group (on Linux
//     they are found by a mark in their environment), and so are its files.
//  4. Results stand in the order of the course, whatever order they came in, and a test that has no row earns no
//     points.
//  5. The learner's tree is only read.
//  6. A program that hangs before any test begins is found out once for each stage, in seconds: its other tests are
//     not run.
//  7. If the tree does not compile with what is laid over it for a stage, it gets a second chance with what Fallback
//     says. (Labs lays the reference's functions of later stages over a learner's, which may not fit code that a
//     learner has changed much.) A notice in the report says so.
//
// Example:
//
//	stages, _ := course.Select("1a")
//	report, err := grade.Run(ctx, grade.Options{Root: ".", Stages: stages})
//	fmt.Println(report.Points(), "of", report.MaxPoints())
//
// Three ways to use it: Run grades a tree as it stands, a learner's own check. Pristine lays a learner's code into a
// copy of the course, so that edited tests, helpers and build files change nothing: an instructor's grade. LoadPack
// adds tests that the learner has not seen.
//
// What is not defended. Code under test runs in the process that tests it, as the user who grades. Code that means to
// cheat can search its own memory for the guard's word, reach into package testing by unsafe or assembly, or clear the
// mark from the environment of a process that it starts; it can read and write all that the user can, use the network
// and fill the disk. Pristine reports imports by which most of this is done. Who grades strangers runs labs grade in a
// container without network, with limits on processes, memory and disk, and throws the container away.
package grade

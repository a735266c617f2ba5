// What a grade is made of: outcomes, results per test and per stage, the report.

package grade

import (
	"time"

	"tinykv/labs/course"
)

// Outcome says how a test ended. Only Passed earns points.
type Outcome string

// The outcomes.
const (
	Passed     Outcome = "passed"      // its own PASS event came, its process proved that it ran to the end, exit status 0
	Failed     Outcome = "failed"      // it reported a failure, or its process ended without the proof
	NotWritten Outcome = "not written" // it ran into a hole: a function that the learner has yet to write
	TimedOut   Outcome = "timed out"   // it was killed at its time limit
	NeverBegan Outcome = "never began" // the program hangs before any test begins: in an init function, a package variable
	Crashed    Outcome = "crashed"     // a panic, a fatal error of the runtime, a data race, a signal, or too much memory
	NotBuilt   Outcome = "not built"   // the stage's tests do not compile, or the test is not among them
	NotRun     Outcome = "not run"     // the run was interrupted before the test's result was known
)

// TestResult is what became of one test.
type TestResult struct {
	Stage, Test       string
	Points, MaxPoints int // Points is MaxPoints if the test passed and else 0
	Outcome           Outcome
	Message           string        // why it did not pass, in one line or a few, without stack dumps; empty if it passed
	Holes             []string      // the holes it ran into: "snapshot.Get in kv/engine/badger/read.go"
	Output            string        // what the test printed, bounded in size
	Duration          time.Duration // of the test's process
	Replay            string        // a command that runs this test alone
	PlainReplay       string        // the same without labs, if it can be said: a go test command
	Traces            []string      // files that it left, relative to the tree: runs that broke something; pictures of them
	TestReplays       []string      // what the test itself printed after "replay:", such as the command with its seed
}

// StageResult is what became of one stage. If BuildError is set, every test has the outcome NotBuilt; if
// Hang is set, every test has NeverBegan.
type StageResult struct {
	Stage      course.Stage
	Hidden     bool // from a pack that the learner does not see
	Tests      []TestResult
	Unwritten  []string // holes of the stage that are as they were handed out, whether a test ran into them or not
	BuildError string   // the compiler's messages, with files relative to the tree
	Hang       string   // why the tests were given up that are NeverBegan: what was seen of the first
}

// Report is the outcome of one run over some stages. Its order is that of the course, whatever order the tests ran in.
type Report struct {
	Stages      []StageResult
	Interrupted bool     // some results are NotRun because the run was interrupted
	Notices     []string // what an instructor should know about the tree: what was not used, what is unusual
	Duration    time.Duration
}

// Points is the sum of the points of the stage's tests.
func (s StageResult) Points() int {
	sum := 0
	for _, t := range s.Tests {
		sum += t.Points
	}
	return sum
}

// MaxPoints is what the stage's tests can earn.
func (s StageResult) MaxPoints() int {
	sum := 0
	for _, t := range s.Tests {
		sum += t.MaxPoints
	}
	return sum
}

// Duration is the sum of what the stage's tests took, each for itself, whatever ran at the same time. Building them is
// not counted: it says more about the build cache than about the code.
func (s StageResult) Duration() time.Duration {
	sum := time.Duration(0)
	for _, t := range s.Tests {
		sum += t.Duration
	}
	return sum
}

// PassedTests counts the tests that passed.
func (s StageResult) PassedTests() int {
	n := 0
	for _, t := range s.Tests {
		if t.Outcome == Passed {
			n++
		}
	}
	return n
}

// Passed says that every test of the stage passed. A stage without tests has not passed: nothing was shown.
func (s StageResult) Passed() bool { return len(s.Tests) > 0 && s.PassedTests() == len(s.Tests) }

// Points is the sum over all stages.
func (r *Report) Points() int {
	sum := 0
	for _, s := range r.Stages {
		sum += s.Points()
	}
	return sum
}

// MaxPoints is the sum over all stages.
func (r *Report) MaxPoints() int {
	sum := 0
	for _, s := range r.Stages {
		sum += s.MaxPoints()
	}
	return sum
}

// Passed says that every test of every stage passed and that there was at least one stage.
func (r *Report) Passed() bool {
	for _, s := range r.Stages {
		if !s.Passed() {
			return false
		}
	}
	return len(r.Stages) > 0
}

// Each yields every test result in the order of the report.
func (r *Report) Each(yield func(StageResult, TestResult) bool) {
	for _, s := range r.Stages {
		for _, t := range s.Tests {
			if !yield(s, t) {
				return
			}
		}
	}
}

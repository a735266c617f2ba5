// Run: build the stages' tests, run each test in a process of its own, collect the results in the order of the course.

package grade

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"tinykv/labs/course"
	"tinykv/labs/overlay"
	"tinykv/labs/scratch"
)

// Limits of a test, beside its own time limit.
const (
	DefaultMemoryBytes = 3 << 29 // 1.5 GiB: what a test's process and its children may hold together
	DefaultJobs        = 2       // tests at a time; more would make the slow ones time out on a small machine
	// long enough for an honest program on a machine that is busy
	DefaultStartLimit = 10 * time.Second
	// for a program after another one hung in its start: it is likely to have the same package in it
	startLimitAgain = 3 * time.Second
)

// Options say what to grade and how. Root and Stages are needed, the zero value of the rest is the default.
type Options struct {
	Root    string                           // the tree to grade: a directory with a go.mod
	Stages  []course.Stage                   // what to grade, in the order of the report
	Only    *regexp.Regexp                   // grade only tests whose name matches; nil: all
	First   func(stage, test string) bool    // these tests run before the others; the order of the report stays
	Jobs    int                              // tests at a time; 0: DefaultJobs
	Overlay func(stage string) overlay.Files // changes laid over the tree for a stage; nil: none
	// what is laid over it instead if the tree does not compile with Overlay; nil: nothing is tried instead
	Fallback    func(stage string) overlay.Files
	Race        bool                    // build with the race detector (needs a C compiler)
	MemoryBytes int64                   // 0: DefaultMemoryBytes
	HeadBytes   int                     // kept from the beginning of a test's output; 0: 192 KiB. Its end is kept as well
	StartLimit  time.Duration           // within which a test must begin in its process; 0: DefaultStartLimit
	Hidden      func(stage string) bool // the stage comes from a hidden pack; nil: none does
	Env         []string                // added to the environment of go build and of the tests
	// tests see PATH, LANG and TZ of the environment and nothing else: it may hold secrets
	CleanEnv    bool
	Args        []string                        // added to the arguments of each test's process: -seed=7
	TraceDir    string                          // where in the tree traces that tests leave are kept; "": nowhere
	Replay      func(stage, test string) string // the command that runs one test again; nil: go run ./labs test
	Observe     func(Event)                     // told of progress, one call at a time; may be nil
	StopAtFirst bool                            // stop at the first test that does not pass; the rest is NotRun
}

// Event is a piece of progress. Exactly one of the fields after Stage says what happened.
type Event struct {
	Stage    string
	Building bool        // the stage's tests are being compiled
	Built    bool        // they have been, with Err if it failed
	Err      string      // with Built: the compiler's messages
	Hangs    string      // the stage's program hangs before any test begins, so that no more of its tests are run
	Started  string      // the test of this name began
	Done     *TestResult // a test ended; the reader must not change it
}

// Run grades. It returns a report even if the context is cancelled meanwhile: what is known until then, the rest
// NotRun. The error is about the grader's own work (no temporary directory, no go command), never about the learner's
// code. When it returns, every process it started is gone and so is every file it made.
//
// All stages are compiled before the first test runs, so that code under test can't touch what is still to be compiled.
func Run(ctx context.Context, opts Options) (*Report, error) {
	opts = opts.withDefaults()
	start := time.Now()
	var err error
	if opts.Root, err = filepath.Abs(opts.Root); err != nil {
		return nil, fmt.Errorf("find the tree to grade: %w", err)
	}
	dir, err := scratch.Make("grade")
	if err != nil {
		return nil, err
	}
	defer dir.Remove()

	r := &runner{opts: opts, scratch: dir.Path}
	ctx, r.stop = context.WithCancel(ctx)
	defer r.stop()
	if err := r.build(ctx); err != nil {
		return nil, err
	}
	r.runTests(ctx)

	r.checkBinaries()
	report := r.report()
	report.Duration = time.Since(start)
	return report, nil
}

func (o Options) withDefaults() Options {
	if o.Jobs <= 0 {
		o.Jobs = DefaultJobs
	}
	if o.MemoryBytes <= 0 {
		o.MemoryBytes = DefaultMemoryBytes
	}
	if o.HeadBytes <= 0 {
		o.HeadBytes = outputHeadBytes
	}
	if o.StartLimit <= 0 {
		o.StartLimit = DefaultStartLimit
	}
	if o.Hidden == nil {
		o.Hidden = func(string) bool { return false }
	}
	if o.Replay == nil {
		o.Replay = func(stage, test string) string {
			return fmt.Sprintf("go run ./labs test %s --run %s", stage, test)
		}
	}
	return o
}

// runner is one run. The slices parallel to opts.Stages are filled by build, the tests' results by runTests.
type runner struct {
	opts    Options
	scratch string // removed at the end
	stop    context.CancelFunc
	stages  []*stageRun

	mu   sync.Mutex // guards calls of opts.Observe and what follows
	hung bool       // a stage's program hangs before any test begins
}

// stageRun is one stage of a run.
type stageRun struct {
	course.Stage
	tests     []course.Test // those that Only selects
	binary    *binary
	buildErr  string
	changes   overlay.Files
	note      string // what the person must know about how it was built
	unwritten []string
	results   []TestResult // parallel to tests; a result without an outcome is not known

	// guarded by runner.mu
	began bool   // a test of it began
	hang  string // what was seen of the program that hangs before any test begins
}

func (r *runner) observe(e Event) {
	if r.opts.Observe == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opts.Observe(e)
}

// build compiles every stage's tests, one after the other: the go command uses all processors by itself, and two linkers
// at a time take more memory than a small machine has to spare.
func (r *runner) build(ctx context.Context) error {
	for i, stage := range r.opts.Stages {
		s := r.newStage(stage)
		r.stages = append(r.stages, s)
		if len(s.tests) == 0 || ctx.Err() != nil {
			continue
		}
		r.observe(Event{Stage: s.ID, Building: true})
		binary, buildErr, err := r.compile(ctx, s, filepath.Join(r.scratch, fmt.Sprintf("stage%d.test", i)))
		if ctx.Err() != nil {
			continue // interrupted: nothing is known of it
		}
		if err != nil {
			return err
		}
		s.binary, s.buildErr = binary, buildErr
		r.observe(Event{Stage: s.ID, Built: true, Err: buildErr})
	}
	return nil
}

// compile compiles a stage's tests; if they don't compile, then with what may be laid over the tree instead. Which
// messages are told, if neither compiles: those that are about the learner's own files.
func (r *runner) compile(ctx context.Context, s *stageRun, out string) (*binary, string, error) {
	binary, buildErr, err := compile(ctx, r.opts, s, out)
	if err != nil || buildErr == "" || ctx.Err() != nil || r.opts.Fallback == nil {
		return binary, buildErr, err
	}
	changes := s.changes
	s.changes = r.opts.Fallback(s.ID)
	if len(s.changes.Changes(changes)) == 0 {
		return binary, buildErr, err
	}
	binary, again, err := compile(ctx, r.opts, s, out)
	switch {
	case err != nil || again == "":
		s.note = fmt.Sprintf("the reference's functions for the stages after %s don't fit your code, so your own were "+
			"used (%s)", s.ID, lastLine(buildErr))
		return binary, "", err
	case strings.Contains(buildErr, graftedPrefix):
		return nil, again, nil
	default:
		s.changes = changes
		return nil, buildErr, nil
	}
}

// graftedPrefix is in the name of each file that brings functions of the reference.
const graftedPrefix = "reference_"

// lastLine is the last message of a compiler, without the summary that may follow it.
func lastLine(messages string) string {
	lines := strings.FieldsFunc(messages, func(r rune) bool { return r == '\n' })
	for _, line := range slices.Backward(lines) {
		if strings.Contains(line, ".go:") {
			return strings.TrimSpace(line)
		}
	}
	return strings.TrimSpace(messages)
}

// newStage prepares a stage: which of its tests run, and what is laid over the tree for it.
func (r *runner) newStage(stage course.Stage) *stageRun {
	s := &stageRun{Stage: stage, unwritten: Unwritten(r.opts.Root, stage)}
	if r.opts.Overlay != nil {
		s.changes = r.opts.Overlay(stage.ID)
	}
	for _, t := range stage.Tests {
		if r.opts.Only == nil || r.opts.Only.MatchString(t.Name) {
			s.tests = append(s.tests, t)
		}
	}
	s.results = make([]TestResult, len(s.tests))
	return s
}

// runTests runs the tests of all stages that were built, opts.Jobs at a time.
func (r *runner) runTests(ctx context.Context) {
	type job struct {
		s     *stageRun
		index int
	}
	var jobs []job
	for _, s := range r.stages {
		for i := range s.tests {
			jobs = append(jobs, job{s, i})
		}
	}
	if r.opts.First != nil {
		slices.SortStableFunc(jobs, func(a, b job) int {
			return rank(r.opts.First(a.s.ID, a.s.tests[a.index].Name)) - rank(r.opts.First(b.s.ID, b.s.tests[b.index].Name))
		})
	}
	parallel(r.opts.Jobs, len(jobs), func(i int) {
		s, index := jobs[i].s, jobs[i].index
		if ctx.Err() != nil {
			return
		}
		result := r.runTest(ctx, s, s.tests[index])
		if result.Outcome == NotRun {
			return
		}
		s.results[index] = result
		r.observe(Event{Stage: s.ID, Done: &result})
		if r.opts.StopAtFirst && result.Outcome != Passed {
			r.stop()
		}
	})
}

func rank(first bool) int {
	if first {
		return 0
	}
	return 1
}

// runTest runs one test and judges it.
func (r *runner) runTest(ctx context.Context, s *stageRun, t course.Test) TestResult {
	if s.buildErr != "" || s.binary == nil {
		return r.result(s, t, verdict{outcome: NotBuilt, message: "the stage's tests do not compile"}, execution{})
	}
	if !s.binary.tests[t.Name] {
		message := fmt.Sprintf("there is no %s in %s", t.Name, s.TestDir)
		return r.result(s, t, verdict{outcome: NotBuilt, message: message}, execution{})
	}
	if r.hangs(s) {
		v := verdict{outcome: NeverBegan, message: "not run: the program hangs before any test begins"}
		return r.result(s, t, v, execution{})
	}
	r.observe(Event{Stage: s.ID, Started: t.Name})
	exec := execute(ctx, s.binary, t, r.startLimit(), r.opts)
	if len(s.changes) > 0 {
		exec.rewrite(func(text string) string { return throughLabs(text, s.Stage) })
	}
	v := judge(exec, s.binary.place)
	r.noteBeginning(s, exec, v)
	return r.result(s, t, v, exec)
}

func (r *runner) startLimit() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hung {
		return min(startLimitAgain, r.opts.StartLimit)
	}
	return r.opts.StartLimit
}

// hangs says that the stage's program is known to hang before any test begins.
func (r *runner) hangs(s *stageRun) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return s.hang != ""
}

// noteBeginning learns from a test's process whether the program of its stage hangs before any test begins.
func (r *runner) noteBeginning(s *stageRun, e execution, v verdict) {
	r.mu.Lock()
	s.began = s.began || e.began
	found := v.outcome == NeverBegan && !s.began && s.hang == ""
	if found {
		s.hang, r.hung = printable(v.message), true
	}
	r.mu.Unlock()
	if found {
		r.observe(Event{Stage: s.ID, Hangs: s.hang})
	}
}

// goTestSeed is a command with which a test says how one seed is played again.
var goTestSeed = regexp.MustCompile(`go test (\./\S+) (?:-\S+ )*-run '\^?(\w+)[^']*' -seed=(\d+)`)

// throughLabs rewrites such commands of a stage's tests: go test alone would not lay over the tree what grading does.
func throughLabs(text string, s course.Stage) string {
	return goTestSeed.ReplaceAllStringFunc(text, func(command string) string {
		m := goTestSeed.FindStringSubmatch(command)
		if m[1] != "./"+s.TestDir {
			return command
		}
		return fmt.Sprintf("go run ./labs test %s --run %s --seed %s", s.ID, m[2], m[3])
	})
}

func (r *runner) result(s *stageRun, t course.Test, v verdict, exec execution) TestResult {
	result := TestResult{
		Stage: s.ID, Test: t.Name, MaxPoints: t.Points,
		Outcome: v.outcome, Message: printable(v.message), Holes: v.holes,
		Output: printable(exec.output), Duration: exec.duration,
		Replay: r.opts.Replay(s.ID, t.Name), TestReplays: exec.replays,
		Traces: exec.traces,
	}
	if v.outcome == Passed {
		result.Points = t.Points
	}
	if len(s.changes) == 0 && !r.opts.Hidden(s.ID) {
		race := ""
		if r.opts.Race {
			race = "-race "
		}
		result.PlainReplay = fmt.Sprintf("go test -trimpath %s-count=1 -run '^%s$' ./%s", race, t.Name, s.TestDir)
	}
	return result
}

// checkBinaries takes back the results of a stage whose test binary is no longer the one that was built: code under
// test must have replaced it, so that nothing it said afterwards counts.
func (r *runner) checkBinaries() {
	for _, s := range r.stages {
		if s.binary == nil || s.binary.unchanged() {
			continue
		}
		for i := range s.results {
			if s.results[i].Outcome != "" {
				s.results[i].Outcome, s.results[i].Points = Failed, 0
				s.results[i].Message = "the test binary was changed while it was being graded"
			}
		}
	}
}

// report collects the results. What is not known is NotRun.
func (r *runner) report() *Report {
	report := &Report{}
	for _, s := range r.stages {
		if len(s.tests) == 0 && r.opts.Only != nil {
			continue
		}
		sr := StageResult{Stage: s.Stage, Hidden: r.opts.Hidden(s.ID), BuildError: s.buildErr, Hang: s.hang,
			Unwritten: s.unwritten}
		for i, t := range s.tests {
			result := s.results[i]
			if result.Outcome == "" {
				v := verdict{outcome: NotRun, message: "the run was interrupted before this test's result was known"}
				result = r.result(s, t, v, execution{})
				report.Interrupted = true
			}
			sr.Tests = append(sr.Tests, result)
		}
		if s.note != "" {
			report.Notices = append(report.Notices, s.note)
		}
		report.Stages = append(report.Stages, sr)
	}
	return report
}

// parallel calls do(0) … do(n-1), jobs at a time, begun in this order.
func parallel(jobs, n int, do func(int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, jobs)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			do(i)
		})
	}
	wg.Wait()
}

// Running a corpus: the reference first, then each entry against the tests of its stage.

package mutant

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"tinykv/labs/course"
	"tinykv/labs/grade"
	"tinykv/labs/overlay"
)

// Verdict is what became of an entry.
type Verdict string

// The verdicts. The first two are of mutants, the next two of variants, the last two of both.
const (
	Killed   Verdict = "killed"
	Survived Verdict = "survived"
	Accepted Verdict = "accepted"
	Rejected Verdict = "rejected"
	Broken   Verdict = "broken"  // an error of the corpus: an edit does not fit, or the result does not compile
	NotRun   Verdict = "not run" // interrupted
)

// Result is one entry with its verdict.
type Result struct {
	Entry    Entry
	Verdict  Verdict
	Test     string        // the first test that failed
	Outcome  grade.Outcome // how
	Others   []string      // with Options.All: the other tests that failed
	Message  string        // what it said; of a broken entry, what is wrong with it
	Duration time.Duration // of building and testing
}

// Good says that the verdict is as it should be: a mutant killed, or excused by a reason; a variant accepted.
func (r Result) Good() bool {
	return r.Verdict == Killed || r.Verdict == Accepted || r.Verdict == Survived && r.Entry.Survives != ""
}

// Options say what to run.
type Options struct {
	Root    string // the reference
	Stage   course.Stage
	Entries []Entry // of that stage
	// run all tests of each entry, not only until the first fails
	All  bool
	Jobs int // entries at a time; 0: 2
	// the test that failed the last time, or ""; may be nil
	LastKill func(Entry) string
	// told of each result, from several goroutines; may be nil
	Done  func(Result)
	Grade func(context.Context, grade.Options) (*grade.Report, error) // nil: grade.Run
}

const defaultJobs = 2

// Run runs the entries and returns their results in the same order. An error means that no verdict is possible: the
// reference itself fails a test, or the grader does not work. If the context is cancelled, what is not known is NotRun.
func Run(ctx context.Context, opts Options) ([]Result, error) {
	if opts.Grade == nil {
		opts.Grade = grade.Run
	}
	if opts.Jobs <= 0 {
		opts.Jobs = defaultJobs
	}
	results := make([]Result, len(opts.Entries))
	for i, e := range opts.Entries {
		results[i] = Result{Entry: e, Verdict: NotRun}
	}
	if len(opts.Entries) == 0 {
		return results, nil
	}
	if err := checkReference(ctx, opts); err != nil || ctx.Err() != nil {
		return results, err
	}
	tree, err := overlay.Read(opts.Root)
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(opts.Entries))
	slots := make(chan struct{}, opts.Jobs)
	var wg sync.WaitGroup
	for i := range opts.Entries {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() == nil {
				results[i], errs[i] = runOne(ctx, opts, tree, opts.Entries[i])
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return results, nil
}

// checkReference runs the tests of the stage on the reference: what a test says of a mutant counts only if it passes
// there.
func checkReference(ctx context.Context, opts Options) error {
	report, err := opts.Grade(ctx, grade.Options{Root: opts.Root, Stages: []course.Stage{opts.Stage}, Jobs: opts.Jobs})
	if err != nil || ctx.Err() != nil {
		return err
	}
	for s, t := range report.Each {
		if s.BuildError != "" {
			return fmt.Errorf("the tests of stage %s do not compile on the reference: %s", opts.Stage.ID, s.BuildError)
		}
		if t.Outcome != grade.Passed {
			return fmt.Errorf("the reference itself fails %s of stage %s (%s), so nothing can be said of its mutants",
				t.Test, opts.Stage.ID, t.Message)
		}
	}
	return nil
}

func runOne(ctx context.Context, opts Options, tree overlay.Files, e Entry) (Result, error) {
	start := time.Now()
	result, err := judge(ctx, opts, tree, e)
	result.Duration = time.Since(start)
	if err == nil && result.Verdict != NotRun && opts.Done != nil {
		opts.Done(result)
	}
	return result, err
}

func judge(ctx context.Context, opts Options, tree overlay.Files, e Entry) (Result, error) {
	changes, err := overlay.Apply(tree, e.Edits)
	if err != nil {
		return Result{Entry: e, Verdict: Broken, Message: err.Error()}, nil
	}
	last := ""
	if opts.LastKill != nil {
		last = opts.LastKill(e)
	}
	report, err := opts.Grade(ctx, grade.Options{
		Root: opts.Root, Stages: []course.Stage{opts.Stage}, Overlay: func(string) overlay.Files { return changes },
		Jobs: 1, StopAtFirst: !opts.All,
		First: func(_, test string) bool { return test == last },
	})
	if err != nil {
		return Result{}, err
	}
	return verdict(e, report), nil
}

// verdict reads the report of one entry.
func verdict(e Entry, report *grade.Report) Result {
	result := Result{Entry: e, Verdict: Accepted}
	bad := Rejected
	if e.Kind == Mutants {
		result.Verdict, bad = Survived, Killed
	}
	unknown := false
	for s, t := range report.Each {
		switch {
		case s.BuildError != "":
			return Result{Entry: e, Verdict: Broken, Message: "it does not compile: " + s.BuildError}
		case t.Outcome == grade.Passed:
		case t.Outcome == grade.NotRun:
			unknown = true
		case result.Test == "":
			result.Verdict, result.Test, result.Outcome, result.Message = bad, t.Test, t.Outcome, t.Message
		default:
			result.Others = append(result.Others, t.Test)
		}
	}
	if unknown && result.Test == "" {
		result.Verdict = NotRun
	}
	return result
}

// Idle lists the tests of a stage that failed for no entry: if all tests of each were run, they show nothing that
// another does not show as well, or the corpus lacks the mistake that they are about.
func Idle(stage course.Stage, results []Result) []string {
	var idle []string
	for _, t := range stage.Tests {
		busy := slices.ContainsFunc(results, func(r Result) bool {
			return r.Test == t.Name || slices.Contains(r.Others,
				t.Name)
		})
		if !busy {
			idle = append(idle, t.Name)
		}
	}
	return idle
}

// Tests: one stage's tests, compiled once and run as often as one likes, with arguments of one's own. A soak plays its
// seeds so, in many short processes.

package grade

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"tinykv/labs/course"
	"tinykv/labs/scratch"
)

// Tests are the compiled tests of one stage. Run may be called by several goroutines at a time.
type Tests struct {
	Note string // what a person must know about how they were built; empty if nothing

	dir    *scratch.Dir
	runner runner
	stage  *stageRun
}

// Build compiles the tests of a stage, as Run does; of opts it reads the tree, what is laid over it, and the limits.
// buildErr is what the code under test did wrong, in the compiler's words; err is trouble of the grader itself. In
// either case there are no tests. The caller closes what it gets.
func Build(ctx context.Context, opts Options, stage course.Stage) (t *Tests, buildErr string, err error) {
	opts = opts.withDefaults()
	if opts.Root, err = filepath.Abs(opts.Root); err != nil {
		return nil, "", fmt.Errorf("find the tree to test: %w", err)
	}
	dir, err := scratch.Make("grade")
	if err != nil {
		return nil, "", err
	}
	t = &Tests{dir: dir, runner: runner{opts: opts, scratch: dir.Path}}
	t.stage = t.runner.newStage(stage)
	t.stage.binary, buildErr, err = t.runner.compile(ctx, t.stage, filepath.Join(dir.Path, "stage.test"))
	if err == nil {
		err = ctx.Err()
	}
	if err != nil || buildErr != "" {
		t.Close()
		return nil, buildErr, err
	}
	t.Note = t.stage.note
	return t, "", nil
}

// Run runs one test of the stage in a process of its own, with arguments for it, and judges it. The result is NotRun if
// the context was cancelled meanwhile.
func (t *Tests) Run(ctx context.Context, test course.Test, args ...string) TestResult {
	r := runner{opts: t.runner.opts, scratch: t.runner.scratch}
	r.opts.Args = append(slices.Clone(r.opts.Args), args...)
	return r.runTest(ctx, t.stage, test)
}

// Close removes the binary.
func (t *Tests) Close() { t.dir.Remove() }

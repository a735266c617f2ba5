// labs soak: the seeded tests of a stage with thousands of seeds.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tinykv/labs/course"
	"tinykv/labs/grade"
	"tinykv/labs/overlay"
	"tinykv/labs/report"
	"tinykv/labs/soak"
	"tinykv/labs/workspace"
)

// soakDir keeps the failures of soaks, below the root of the tree.
const soakDir = ".labs/soak"

// soakFlags are the flags of labs soak.
type soakFlags struct {
	seeds, first uint64
	minutes      float64
	limit        time.Duration // minutes, as a duration; 0: no end
	share        time.Duration // what of it belongs to the next stage
	jobs         int
	failures     int
	run          string
	race         bool
}

func init() { register(soakCommand()) }

func soakCommand() *cobra.Command {
	var f soakFlags
	command := &cobra.Command{
		Use:   "soak STAGE...",
		Short: "Play the seeded tests of stages with thousands of seeds",
		Long: `Play the seeded tests of stages with thousands of seeds, in many processes, and show how far it is. Several
stages (2b) are played one after the other, and share the time.

A failure does not end it: each is kept as a file below .labs/soak with the command that plays the seed again, what
the test said, and the trace of the run, for some with a picture of what clients saw beside it; labs replay FILE plays it. End it with ctrl-C whenever you like: what is
known till then is told. The exit status is 0 only if everything that was asked for was played and nothing failed.`,
		Example: "  labs soak 2aa --seeds 10000\n  labs soak 2b --minutes 10 --jobs 4\n" +
			"  labs soak 2ab --run TestClusterKeepsItsLog --first 10001 --seeds 10000",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			here, stages, err := hereAnd(args)
			if err != nil {
				return err
			}
			if f.minutes < 0 {
				return errors.New("--minutes can't be negative")
			}
			f.limit = time.Duration(f.minutes * float64(time.Minute))
			if !cmd.Flags().Changed("seeds") && f.minutes > 0 {
				f.seeds = 0
			} else if f.seeds == 0 {
				return errors.New("say how many seeds, or for how many minutes")
			}
			return soakStages(cmd.Context(), cmd.OutOrStdout(), here, stages, f)
		},
	}
	flags := command.Flags()
	flags.Uint64Var(&f.seeds, "seeds", 1000, "how many seeds each test plays")
	flags.Uint64Var(&f.first, "first", 1, "the first seed")
	flags.Float64Var(&f.minutes, "minutes", 0, "play for this time, all stages together; without --seeds, whatever seed it has reached")
	flags.IntVar(&f.jobs, "jobs", grade.DefaultJobs, "processes at a time")
	flags.IntVar(&f.failures, "failures", 5, "give a test up after so many")
	flags.StringVar(&f.run, "run", "", "only the `test` of this name")
	flags.BoolVar(&f.race, "race", false, "build with the race detector (slower, needs a C compiler)")
	return command
}

// tests returns those of the stage that play seeds and are asked for.
func (f *soakFlags) tests(s course.Stage) []course.Test {
	var seeded []course.Test
	for _, t := range s.Tests {
		if t.Seeded && (f.run == "" || f.run == t.Name) {
			seeded = append(seeded, t)
		}
	}
	return seeded
}

func (f *soakFlags) noTests() error {
	if f.run != "" {
		return fmt.Errorf("--run %s is no test of these stages that plays seeds", f.run)
	}
	return errors.New("no test of these stages plays seeds")
}

// soakStages plays the stages that have seeded tests, one after the other. A stage that can't be played leaves its time
// to the others, and makes the end a failure.
func soakStages(ctx context.Context, w io.Writer, here *workspace.Space, stages []course.Stage, f soakFlags) error {
	seeded := map[string][]course.Test{}
	for _, s := range stages {
		if tests := f.tests(s); len(tests) > 0 {
			seeded[s.ID] = tests
		}
	}
	stages = slices.DeleteFunc(slices.Clone(stages), func(s course.Stage) bool { return seeded[s.ID] == nil })
	if len(stages) == 0 {
		return f.noTests()
	}
	good, left := true, f.limit
	for i, s := range stages {
		if f.limit > 0 {
			f.share = max(left/time.Duration(len(stages)-i), 1) // 0 would be no end
		}
		result, err := soakStage(ctx, w, here, s, seeded[s.ID], f)
		left -= min(result.Took, f.share) // the last spans of a stage take nothing from the next
		if ctx.Err() != nil {
			return errSilent
		}
		if err != nil {
			fmt.Fprintf(w, "✗ %s  %v\n", s.ID, err)
		}
		good = good && result.Good() && err == nil
	}
	if !good {
		return errSilent
	}
	return nil
}

// buildStage compiles the tests of a stage of the tree one stands in, with what is laid over it and as opts say.
func buildStage(ctx context.Context, w io.Writer, here *workspace.Space, s course.Stage, opts grade.Options) (
	*grade.Tests, error,
) {
	overlays, err := overlaysFor(w, here, []course.Stage{s})
	if err != nil {
		return nil, err
	}
	opts.Root = here.Root
	opts.Overlay = func(stage string) overlay.Files { return overlays[stage] }
	if here.Learner {
		opts.Fallback = func(stage string) overlay.Files { return withoutLater(here, stage) }
	}
	tests, buildErr, err := grade.Build(ctx, opts, s)
	if err != nil {
		return nil, err
	}
	if buildErr != "" {
		fmt.Fprintln(w, buildErr)
		return nil, fmt.Errorf("the tests of stage %s do not compile", s.ID)
	}
	if tests.Note != "" {
		report.Note(w, tests.Note)
	}
	return tests, nil
}

// soakStage plays the tests of one stage and tells how it went. Without an error, what the result says is known.
func soakStage(ctx context.Context, w io.Writer, here *workspace.Space, s course.Stage, tests []course.Test,
	f soakFlags) (soak.Result, error) {
	fmt.Fprintf(w, "%s %s: building\n", s.ID, s.Title)
	binary, err := buildStage(ctx, w, here, s, grade.Options{Race: f.race, TraceDir: soakDir})
	if err != nil {
		return soak.Result{}, err
	}
	defer binary.Close()
	screen := soakScreen{w: w, live: isLively(w), stage: s.ID, limit: f.share}
	for _, t := range tests {
		screen.line("  %s", t.Name)
	}
	var keepErr error
	result := soak.Run(ctx, soak.Options{
		Tests: tests, First: f.first, Seeds: f.seeds, For: screen.limit, Jobs: f.jobs, MaxFailures: f.failures,
		Play: func(ctx context.Context, span soak.Span) grade.TestResult {
			return binary.Run(ctx, span.Test, fmt.Sprintf("-seed=%d", span.First), fmt.Sprintf("-seeds=%d", span.Seeds))
		},
		Failed: func(failure soak.Failure) {
			file, err := keepFailure(here.Root, s, failure)
			keepErr = firstError(keepErr, err)
			screen.failure(failure, file)
		},
		Tell: screen.tell,
	})
	screen.end(result)
	return result, keepErr
}

// soakScreen is what a person sees of a soak: a line that moves on a terminal, else a line now and then.
type soakScreen struct {
	w     io.Writer
	live  bool
	stage string
	limit time.Duration
	told  time.Duration
}

// soakTellEvery is how often a line is written where no line can move.
const soakTellEvery = 10 * time.Second

// clearLine goes back to the beginning of the line and empties it.
const clearLine = "\r\x1b[2K"

func (s *soakScreen) line(format string, args ...any) {
	if s.live {
		fmt.Fprint(s.w, clearLine)
	}
	fmt.Fprintf(s.w, format+"\n", args...)
}

func (s *soakScreen) tell(r soak.Result) {
	switch {
	case s.live:
		fmt.Fprint(s.w, clearLine+s.text(r))
	case r.Took-s.told >= soakTellEvery:
		s.told = r.Took
		fmt.Fprintln(s.w, s.text(r))
	}
}

// text is the progress in a line.
func (s *soakScreen) text(r soak.Result) string {
	played := fmt.Sprintf("%d seeds", r.Done)
	if r.Total > 0 {
		played = fmt.Sprintf("%d of %d seeds", r.Done, r.Total)
	}
	rate := float64(r.Done) / max(r.Took.Seconds(), 0.001)
	text := fmt.Sprintf("%s  %s  %.0f/s  %d failures", s.stage, played, rate, r.Failures)
	left := time.Duration(-1)
	if r.Total > 0 && rate > 0 {
		left = time.Duration(float64(r.Total-r.Done) / rate * float64(time.Second))
	}
	if s.limit > 0 && (left < 0 || s.limit-r.Took < left) {
		left = s.limit - r.Took
	}
	if left >= 0 {
		text += fmt.Sprintf("  %v left", left.Round(time.Second))
	}
	return text
}

func (s *soakScreen) failure(f soak.Failure, file string) {
	head, _, _ := strings.Cut(f.Result.Message, "\n")
	s.line("%s", report.Cut(fmt.Sprintf("✗ %s%s: %s", f.Test.Name, seedSuffix(f), head), report.Columns(s.w)))
	if file != "" {
		s.line("    go run ./labs replay %s", file)
	}
}

func seedSuffix(f soak.Failure) string {
	if f.Seed == 0 {
		return ""
	}
	return fmt.Sprintf(" seed %d", f.Seed)
}

// end tells the result.
func (s *soakScreen) end(r soak.Result) {
	rate := float64(r.Done) / max(r.Took.Seconds(), 0.001)
	s.line("%s  %d seeds played in %v (%.0f/s), %d failures",
		s.stage, r.Done, r.Took.Round(time.Second/10), rate, r.Failures)
	if len(r.GivenUp) > 0 {
		s.line("  given up: %s", strings.Join(r.GivenUp, ", "))
	}
	if r.Interrupted {
		s.line("  interrupted: the rest was not played")
	}
}

// failureHeader begins the file of a failure, so that labs replay knows it.
const failureHeader = "# failure of labs soak, version 1"

// keepFailure writes a failure into the tree and returns the file's name.
func keepFailure(root string, s course.Stage, f soak.Failure) (string, error) {
	name := fmt.Sprintf("%s-%s-seed%d.txt", s.ID, f.Test.Name, f.Seed)
	replay := f.Result.Replay
	if f.Seed != 0 {
		replay = fmt.Sprintf("%s --seed %d", replay, f.Seed)
	} else {
		name = fmt.Sprintf("%s-%s.txt", s.ID, f.Test.Name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n# test: %s %s\n# seed: %d\n# replay: %s\n", failureHeader, s.ID, f.Test.Name, f.Seed, replay)
	for _, kept := range tracesOf(f) {
		fmt.Fprintf(&b, "# %s: %s\n", keptKind(kept), kept)
	}
	fmt.Fprintf(&b, "\n%s\n", f.Result.Message)
	if f.Result.Output != "" {
		fmt.Fprintf(&b, "\nAll that it printed:\n\n%s\n", f.Result.Output)
	}
	dir := filepath.Join(root, filepath.FromSlash(soakDir))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("keep a failure: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(b.String()), 0o644); err != nil {
		return "", fmt.Errorf("keep a failure: %w", err)
	}
	return path.Join(soakDir, name), nil
}

// keptKind says what a file is that a test left, by its ending.
func keptKind(file string) string {
	if path.Ext(file) == ".html" {
		return "picture"
	}
	return "trace"
}

// tracesOf returns the traces and pictures that belong to the failure's seed: a process may have left several.
func tracesOf(f soak.Failure) []string {
	own := fmt.Sprintf("seed%d", f.Seed)
	return slices.DeleteFunc(slices.Clone(f.Result.Traces), func(name string) bool {
		rest, ok := strings.CutSuffix(strings.TrimSuffix(name, path.Ext(name)), own)
		return !ok || rest == "" || rest[len(rest)-1] >= '0' && rest[len(rest)-1] <= '9'
	})
}

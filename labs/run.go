// One run of graded tests as a person asks for it: progress, summary, memory of results, reports to files.

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"tinykv/labs/course"
	"tinykv/labs/grade"
	"tinykv/labs/overlay"
	"tinykv/labs/report"
	"tinykv/labs/workspace"
)

// outputDir keeps what failing tests printed, below the root of the tree.
const outputDir = ".labs/output"

// traceDir keeps the runs with which seeded tests failed, for labs replay.
const traceDir = ".labs/traces"

// runFlags are the flags of the commands that run graded tests.
type runFlags struct {
	run        string
	jobs       int
	verbose    bool
	race       bool
	seed       uint64 // hand it to the tests; 0: they choose
	seeds      uint64
	json       string
	junit      string
	gradescope string
}

func (f *runFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.IntVar(&f.jobs, "jobs", grade.DefaultJobs, "tests to run at a time")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "show all that a failing test printed")
	flags.StringVar(&f.json, "json", "",
		"write the report to this `file`, as labs/report/schema/report.schema.json describes it")
	flags.StringVar(&f.junit, "junit", "", "write the report to this `file` as JUnit's XML")
	flags.StringVar(&f.gradescope, "gradescope", "", "write the report to this `file` as Gradescope's results.json")
}

// only compiles --run: the exact name of a test, else a regular expression.
func (f *runFlags) only(stages []course.Stage) (*regexp.Regexp, error) {
	if f.run == "" {
		return nil, nil
	}
	re, err := regexp.Compile(f.run)
	if err != nil {
		return nil, fmt.Errorf("--run %q is not a regular expression: %w", f.run, err)
	}
	found := false
	for _, s := range stages {
		for _, t := range s.Tests {
			if t.Name == f.run {
				return regexp.MustCompile("^" + f.run + "$"), nil
			}
			found = found || re.MatchString(t.Name)
		}
	}
	if !found {
		return nil, fmt.Errorf("--run %q matches no test of these stages", f.run)
	}
	return re, nil
}

// writeReports writes the files that the flags ask for.
func (f *runFlags) writeReports(r *grade.Report) error {
	for _, format := range []struct {
		file  string
		write func(io.Writer, *grade.Report) error
	}{{f.json, report.JSON}, {f.junit, report.JUnit}, {f.gradescope, report.Gradescope}} {
		if format.file == "" {
			continue
		}
		if err := writeReport(format.file, r, format.write); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	return nil
}

func writeReport(file string, r *grade.Report, write func(io.Writer, *grade.Report) error) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	return firstError(write(out, r), out.Close())
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// hereAnd returns the tree that one stands in, and the stages that words name; without words all.
func hereAnd(words []string) (*workspace.Space, []course.Stage, error) {
	stages, err := course.Select(words...)
	if err != nil {
		return nil, nil, err
	}
	here, err := workspace.Find(".")
	return here, stages, err
}

// isTerminal says whether a person is likely to look at what is written to w as it is written.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// isLively says whether what is written to w may move the cursor: on a terminal, unless its owner wants plain lines.
func isLively(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// runStages grades the stages of a tree, shows how it goes, and remembers the results in it.
func runStages(ctx context.Context, w io.Writer, here *workspace.Space, f runFlags,
	opts grade.Options) (*grade.Report, error) {
	only, err := f.only(opts.Stages)
	if err != nil {
		return nil, err
	}
	root := here.Root
	last, err := report.ReadLast(root)
	if err != nil {
		return nil, err
	}
	sources := map[string]string{}
	for _, s := range opts.Stages {
		sources[s.ID] = fingerprint(here, s)
	}
	overlays, err := overlaysFor(w, here, opts.Stages)
	if err != nil {
		return nil, err
	}
	var selected func(string) bool
	if only != nil {
		selected = only.MatchString
	}
	progress := report.NewProgress(w, opts.Stages, selected, report.ProgressOptions{
		First: opts.First, Live: isLively(w), Verbose: f.verbose,
		Saved: func(stage, test string, t grade.TestResult) string { return saveOutput(root, stage, test, t.Output) },
	})
	opts.Root, opts.Only, opts.Jobs, opts.Race, opts.Observe = root, only, f.jobs, f.race, progress.Observe
	opts.Overlay = func(stage string) overlay.Files { return overlays[stage] }
	if here.Learner {
		opts.Fallback = func(stage string) overlay.Files { return withoutLater(here, stage) }
	}
	if f.race {
		opts.Replay = func(stage, test string) string {
			return fmt.Sprintf("go run ./labs test %s --run %s --race", stage, test)
		}
	}
	if f.seed != 0 {
		opts.Args = append(opts.Args, fmt.Sprintf("-seed=%d", f.seed))
	}
	if f.seeds != 0 {
		opts.Args = append(opts.Args, fmt.Sprintf("-seeds=%d", f.seeds))
	}
	opts.TraceDir = traceDir
	r, err := grade.Run(ctx, opts)
	if err != nil {
		progress.Finish(&grade.Report{})
		return nil, err
	}
	progress.Finish(r)
	if len(opts.Args) > 0 { // with other seeds than its own, a test says nothing about the points
		return r, firstError(report.Summary(w, r), f.writeReports(r))
	}
	forgetOutputs(root, r)
	last.Add(r, sources, time.Now())
	return r, firstError(report.Summary(w, r), last.Write(root), f.writeReports(r))
}

// fingerprint is a word for the files that the tests of a stage are built from, and for what they are caught up with.
func fingerprint(here *workspace.Space, s course.Stage) string {
	word := grade.Fingerprint(here.Root, s.TestDir)
	for _, taken := range here.CaughtUp(s.ID) {
		word += " " + taken.ID
	}
	return word
}

// withoutLater returns what is laid over the tree for a stage if the reference's functions for later stages don't fit
// the learner's code.
func withoutLater(here *workspace.Space, stage string) overlay.Files {
	changes, _, err := here.CatchUpOverlay(stage)
	if err != nil {
		return overlay.Files{}
	}
	return changes
}

// overlaysFor returns what is laid over the tree for each stage, and tells the learner what there is to tell, each note
// once.
func overlaysFor(w io.Writer, here *workspace.Space, stages []course.Stage) (map[string]overlay.Files, error) {
	all := map[string]overlay.Files{}
	told := map[string]bool{}
	for _, s := range stages {
		changes, notes, err := here.Overlay(s.ID)
		if err != nil {
			return nil, err
		}
		all[s.ID] = changes
		for _, note := range notes {
			if !told[note] {
				told[note] = true
				report.Note(w, note)
			}
		}
	}
	return all, nil
}

// saveOutput keeps what a failing test printed and returns the file's name, or "" if it could not be kept.
func saveOutput(root, stage, test, output string) string {
	name := filepath.Join(filepath.FromSlash(outputDir), stage, test+".txt")
	path := filepath.Join(root, name)
	if os.MkdirAll(filepath.Dir(path), 0o755) != nil || os.WriteFile(path, []byte(output+"\n"), 0o644) != nil {
		return ""
	}
	return name
}

// forgetOutputs removes the kept output of tests that pass by now.
func forgetOutputs(root string, r *grade.Report) {
	for _, t := range r.Each {
		if t.Outcome == grade.Passed {
			os.Remove(filepath.Join(root, filepath.FromSlash(outputDir), t.Stage, t.Test+".txt"))
		}
	}
}

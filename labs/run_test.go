// Runs as a person asks for them, over a small tree of its own: memory, files, hidden packs, watching, interrupting.

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tinykv/labs/course"
	"tinykv/labs/grade"
	"tinykv/labs/overlay"
	"tinykv/labs/report"
	"tinykv/labs/watch"
	"tinykv/labs/workspace"
)

var sumStage = course.Stage{
	ID: "9a", Project: 9, Title: "A sum", TestDir: "labs/tests/9a", Handout: "labs/handouts/9a.md",
	Holes: []course.Hole{{File: "sum/sum.go", Func: "Of"}},
	Tests: []course.Test{{Name: "TestTwo", Points: 3}, {Name: "TestNone", Points: 2}, {Name: "TestSlow", Points: 1}},
}

const (
	sumHole  = "package sum\n\n// Of adds.\nfunc Of(n ...int) int { panic(\"9a: Of is yours to write\") }\n"
	sumRight = "package sum\n\n// Of adds.\nfunc Of(n ...int) (s int) {\n" +
		"\tfor _, x := range n {\n\t\ts += x\n\t}\n\treturn s\n}\n"
	sumWrong = "package sum\n\n// Of adds.\nfunc Of(n ...int) int {\n\treturn 0\n}\n"
	sumTests = `package stage9a_test

import (
	"os"
	"testing"
	"time"

	"example.com/tiny/sum"
)

func TestTwo(t *testing.T) {
	if got := sum.Of(1, 2); got != 3 {
		t.Fatalf("1 + 2 = %d", got)
	}
}

func TestNone(t *testing.T) {
	if got := sum.Of(); got != 0 {
		t.Fatalf("no sum = %d", got)
	}
}

// TestSlow waits as long as the file named by SLOW is there.
func TestSlow(t *testing.T) {
	for os.Getenv("SLOW") != "" {
		if _, err := os.Stat(os.Getenv("SLOW")); err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
}
`
)

func sumTree(t *testing.T, source string) *workspace.Space {
	t.Helper()
	root := t.TempDir()
	err := overlay.Files{
		"go.mod": []byte("module example.com/tiny\n\ngo 1.26\n"), "sum/sum.go": []byte(source),
		"labs/tests/9a/sum_test.go": []byte(sumTests),
	}.WriteTo(root)
	if err != nil {
		t.Fatal(err)
	}
	return &workspace.Space{Root: root}
}

func TestARunIsRememberedAndReported(t *testing.T) {
	here := sumTree(t, sumWrong)
	f := runFlags{jobs: 2, json: filepath.Join(t.TempDir(), "report.json")}
	var out bytes.Buffer
	r, err := runStages(t.Context(), &out, here, f, grade.Options{Stages: []course.Stage{sumStage}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Points() != 3 || r.Passed() {
		t.Errorf("%d points, passed %v; want 3 points of a failed run", r.Points(), r.Passed())
	}
	last, err := report.ReadLast(here.Root)
	if err != nil {
		t.Fatal(err)
	}
	lines := last.Lines([]course.Stage{sumStage}, func(s course.Stage) string { return fingerprint(here, s) })
	if lines[0].Points != 3 || lines[0].Note != "" {
		t.Errorf("status after the run: %+v, want 3 points and no note", lines[0])
	}
	output, err := os.ReadFile(filepath.Join(here.Root, outputDir, "9a/TestTwo.txt"))
	if err != nil || !strings.Contains(string(output), "1 + 2 = 0") {
		t.Errorf("the kept output is %q (%v)", output, err)
	}
	var doc struct{ Points int }
	if data, err := os.ReadFile(f.json); err != nil || json.Unmarshal(data, &doc) != nil || doc.Points != 3 {
		t.Errorf("the report has %d points (%v), want 3", doc.Points, err)
	}

	if err := os.WriteFile(filepath.Join(here.Root, "sum/sum.go"), []byte(sumRight), 0o644); err != nil {
		t.Fatal(err)
	}
	lines = last.Lines([]course.Stage{sumStage}, func(s course.Stage) string { return fingerprint(here, s) })
	if lines[0].Note != "edited since" {
		t.Errorf("status after an edit: %+v, want a note that files changed", lines[0])
	}
	if r, err = runStages(t.Context(), &out, here, runFlags{jobs: 2},
		grade.Options{Stages: []course.Stage{sumStage}}); err != nil || !r.Passed() {
		t.Fatalf("the mended tree does not pass (%v):\n%s", err, out.String())
	}
	if _, err := os.Stat(filepath.Join(here.Root, outputDir, "9a/TestTwo.txt")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the output of a test that passes by now is still kept (%v)", err)
	}
}

// What comes from the reference may not fit code that a learner has changed much. Then theirs is graded alone.
func TestWhatDoesNotFitIsLeftOut(t *testing.T) {
	stages := []course.Stage{sumStage}
	odd := overlay.Files{"sum/reference_sum.go": []byte("package sum\n\nvar x = undefined\n")}
	opts := grade.Options{
		Root: sumTree(t, sumRight).Root, Stages: stages,
		Overlay:  func(string) overlay.Files { return odd },
		Fallback: func(string) overlay.Files { return overlay.Files{} },
	}
	r, err := grade.Run(t.Context(), opts)
	if err != nil || !r.Passed() || len(r.Notices) != 1 || !strings.Contains(r.Notices[0], "undefined: undefined") {
		t.Errorf("error %v, passed %v, notices %q; want a pass and a notice with the reason", err, r.Passed(), r.Notices)
	}

	// If theirs does not compile either, the messages are about their files.
	opts.Root = sumTree(t, strings.Replace(sumRight, "return s", "return z", 1)).Root
	r, err = grade.Run(t.Context(), opts)
	if err != nil || !strings.Contains(r.Stages[0].BuildError, "sum/sum.go:8:9: undefined: z") ||
		strings.Contains(r.Stages[0].BuildError, "reference_") {
		t.Errorf("error %v, messages %q; want those of sum/sum.go", err, r.Stages[0].BuildError)
	}

	// Where it fits, nothing else is tried.
	fits := overlay.Files{"sum/reference_sum.go": []byte("package sum\n\nvar X = 1\n")}
	opts.Overlay = func(string) overlay.Files { return fits }
	opts.Fallback = func(string) overlay.Files { t.Error("the other way was tried"); return nil }
	opts.Root = sumTree(t, sumRight).Root
	if r, err := grade.Run(t.Context(), opts); err != nil || !r.Passed() || len(r.Notices) > 0 {
		t.Errorf("error %v, notices %q", err, r.Notices)
	}
}

func TestASeedIsHandedOnAndCountsForNothing(t *testing.T) {
	here := worldTree(t, "17")
	stages := []course.Stage{seededStage}
	for seed, points := range map[uint64]int{16: 3, 17: 0} {
		var out bytes.Buffer
		r, err := runStages(t.Context(), &out, here, runFlags{jobs: 1, run: "TestWorlds", seed: seed}, grade.Options{Stages: stages})
		if err != nil || r.Points() != points {
			t.Errorf("seed %d: %d points, %v; want %d\n%s", seed, r.Points(), err, points, out.String())
		}
	}
	if _, err := os.Stat(filepath.Join(here.Root, ".labs/traces/worlds-seed17.trace")); err != nil {
		t.Errorf("the trace was not kept: %v", err)
	}
	last, err := report.ReadLast(here.Root)
	if err != nil {
		t.Fatal(err)
	}
	if line := last.Lines(stages, func(course.Stage) string { return "" })[0]; line.Points != 0 {
		t.Errorf("a run of one seed is on the board: %+v", line)
	}
}

func TestRunSelectsByNameOrPattern(t *testing.T) {
	stages := []course.Stage{sumStage}
	for pattern, want := range map[string][]string{"": {"TestTwo", "TestNone", "TestSlow"}, "TestTwo": {"TestTwo"},
		"o": {"TestTwo", "TestNone", "TestSlow"}} {
		f := runFlags{run: pattern}
		re, err := f.only(stages)
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range sumStage.Tests {
			if got := re == nil || re.MatchString(test.Name); got != slices.Contains(want, test.Name) {
				t.Errorf("--run %q: %s selected: %v", pattern, test.Name, got)
			}
		}
	}
	for _, pattern := range []string{"(", "TestTwoo"} {
		f := runFlags{run: pattern}
		if _, err := f.only(stages); err == nil {
			t.Errorf("--run %q: no error", pattern)
		}
	}
}

func TestAnInstructorsGradeWithAHiddenPack(t *testing.T) {
	theCourse, learner, pack := sumTree(t, sumHole), sumTree(t, sumRight), t.TempDir()
	err := overlay.Files{
		grade.PackFile: []byte("name = \"final\"\n[[test]]\nname = \"TestThree\"\npoints = 4\nstage = \"9a\"\n"),
		"three_test.go": []byte("package final\n\nimport (\n\t\"testing\"\n\n\t\"example.com/tiny/sum\"\n)\n\n" +
			"func TestThree(t *testing.T) {\n" +
			"\tif sum.Of(1, 1, 1) != 3 {\n\t\tt.Fatal(\"not 3\")\n\t}\n}\n"),
	}.WriteTo(pack)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(learner.Root, "labs/tests/9a/sum_test.go"), []byte("package nonsense"),
		0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "results.json")
	var out bytes.Buffer
	r, err := gradeTree(t.Context(), &out, gradeJob{
		course: theCourse.Root, learner: learner.Root, table: []course.Stage{sumStage}, stages: []course.Stage{sumStage},
		packs: []string{pack}, flags: runFlags{jobs: 2, gradescope: file},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Points() != 10 || !r.Passed() {
		t.Errorf("%d points, passed %v, want 10:\n%s", r.Points(), r.Passed(), out.String())
	}
	for _, want := range []string{"final/9a", "not used, because it is the course's to write: labs/tests/9a/sum_test.go"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
	data, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(data), `"visibility": "hidden"`) {
		t.Errorf("results.json hides nothing (%v):\n%s", err, data)
	}
	if _, err := os.Stat(filepath.Join(learner.Root, ".labs")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was written into the learner's tree (%v)", err)
	}
}

// TestWatchGradesAgainAfterASave injects the changes: no file system events, no waiting for one's editor.
func TestWatchGradesAgainAfterASave(t *testing.T) {
	here := sumTree(t, sumWrong)
	out := &syncBuffer{}
	var looked fakeFiles
	w := watcher{out: out, here: here, stages: []course.Stage{sumStage}, flags: runFlags{jobs: 1}, files: &looked}
	changes := make(chan string)
	runs := 0
	watch.Loop(t.Context(), changes, func(ctx context.Context, changed []string) {
		w.run(ctx, changed)
		runs++
		switch runs {
		case 1:
			if err := os.WriteFile(filepath.Join(here.Root, "sum/sum.go"), []byte(sumRight), 0o644); err != nil {
				t.Error(err)
			}
			go func() { changes <- "sum/sum.go" }()
		case 2:
			close(changes)
		}
	})
	text := out.String()
	if runs != 2 || !strings.Contains(text, "3 of 6 points") || !strings.Contains(text, "  sum/sum.go\n") ||
		!strings.Contains(text, "6 of 6 points") {
		t.Errorf("%d runs; want two, with 3 and then 6 of 6 points:\n%s", runs, text)
	}
	if want := []string{"labs/tests/9a", "sum"}; !slices.Equal(looked.dirs, want) {
		t.Errorf("looked at %v, want %v", looked.dirs, want)
	}
}

type fakeFiles struct{ dirs []string }

func (f *fakeFiles) Watch(dirs []string) { f.dirs = dirs }

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestInterruptingARunTellsWhatIsKnown cancels, as ctrl-C does, while a test waits for ever.
func TestInterruptingARunTellsWhatIsKnown(t *testing.T) {
	here := sumTree(t, sumWrong)
	slow := filepath.Join(t.TempDir(), "slow")
	if err := os.WriteFile(slow, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SLOW", slow)
	ctx, cancel := context.WithCancel(t.Context())
	out := &syncBuffer{}
	go func() { // the first two are known once the third is all that runs
		for !strings.Contains(out.String(), "TestNone") && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	r, err := runStages(ctx, out, here, runFlags{jobs: 1}, grade.Options{Stages: []course.Stage{sumStage}})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Interrupted || r.Passed() || r.Points() != 2 || r.Stages[0].Tests[2].Outcome != grade.NotRun {
		t.Errorf("interrupted %v, %d points, TestSlow %s; want 2 points and TestSlow not run", r.Interrupted, r.Points(),
			r.Stages[0].Tests[2].Outcome)
	}
	if !strings.Contains(out.String(), "2 of 6 points, 1 of 3 tests") || !strings.Contains(out.String(), "interrupted") {
		t.Errorf("the output does not tell what is known:\n%s", out.String())
	}
}

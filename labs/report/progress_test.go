// What a person sees while tests run, and what labs remembers afterwards.

package report_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"tinykv/labs/course"
	"tinykv/labs/grade"
	"tinykv/labs/report"
)

var shown = []course.Stage{{ID: "1a", Title: "The engine", Tests: []course.Test{
	{Name: "TestRight", Points: 5}, {Name: "TestWrong", Points: 4}, {Name: "TestHole", Points: 2}, {Name: "TestLate",
		Points: 1},
	{Name: "TestBoom", Points: 1}, {Name: "TestNever", Points: 3}}}}

const plainProgress = `1a  The engine
  ✓ TestRight   5/5   0.12 s
  ✗ TestWrong   0/4   0.12 s
      got <nil> & 3
      want 4
      at labs/tests/1a/get_test.go:12
      replay: go run ./labs test 1a --run TestWrong --seed 7
      output: out/1a/TestWrong
  ○ TestHole    0/2  not written yet: Engine.Write in kv/engine/badger/write.go
  ✗ TestLate    0/1   0.12 s
      timed out: still running after 10s, so it was stopped
      again:  go run ./labs test 1a --run TestLate
      or:     go test -count=1 -run '^TestLate$' ./labs/tests/1a
      output: out/1a/TestLate
  ✗ TestBoom    0/1   0.12 s
      crashed: panic: boom
      again:  go run ./labs test 1a --run TestBoom
      or:     go test -count=1 -run '^TestBoom$' ./labs/tests/1a
      output: out/1a/TestBoom
  · 1 test not run
`

// TestProgressKeepsTheOrderOfTheCourse hands results in another order; what is shown does not change, and nothing waits
// longer than it must.
func TestProgressKeepsTheOrderOfTheCourse(t *testing.T) {
	r := sample()
	var out bytes.Buffer
	p := report.NewProgress(&out, shown, nil, report.ProgressOptions{
		Saved: func(stage, test string, _ grade.TestResult) string { return "out/" + stage + "/" + test },
	})
	p.Observe(grade.Event{Stage: "1a", Building: true})
	p.Observe(grade.Event{Stage: "1a", Built: true})
	for _, i := range []int{1, 0, 4, 2, 3} {
		result := r.Stages[0].Tests[i]
		p.Observe(grade.Event{Stage: "1a", Started: result.Test})
		p.Observe(grade.Event{Stage: "1a", Done: &result})
		if i == 1 && out.Len() > 0 {
			t.Errorf("TestWrong is shown before TestRight, which comes first:\n%s", out.String())
		}
		if i == 0 && !strings.Contains(out.String(), "TestWrong") {
			t.Error("TestRight and TestWrong are known and not shown")
		}
	}
	p.Finish(r)
	if out.String() != plainProgress {
		t.Errorf("shown:\n%s\nwant:\n%s", out.String(), plainProgress)
	}
}

// TestProgressFitsItsTerminal writes to no terminal, which counts as one of 80 columns.
func TestProgressFitsItsTerminal(t *testing.T) {
	for want, holes := range map[string][]string{
		"0/2  not written yet: walk in scan.go\n":  {"walk in scan.go"},
		"0/2  not written yet: walk\n":             {"walk in kv/engine/badger/scan.go"},
		"0/2  needs iterator.walkBothWays\n":       {"iterator.walkBothWays in kv/engine/badger/scan.go"},
		"0/2  needs iterator.walkBothWays, ite…\n": {"iterator.walkBothWays in scan.go", "iterator.seek in scan.go"},
	} {
		test := grade.TestResult{
			Stage: "1a", Test: "TestForgottenIteratorIsClosedInTime", MaxPoints: 2, Outcome: grade.NotWritten, Holes: holes,
			Message: "not written yet: " + strings.Join(holes, ", "),
		}
		stage := course.Stage{ID: "1a", Tests: []course.Test{{Name: test.Test, Points: 2}}}
		r := &grade.Report{Stages: []grade.StageResult{{Stage: stage, Unwritten: holes, Tests: []grade.TestResult{test}}}}
		var out bytes.Buffer
		report.NewProgress(&out, []course.Stage{stage}, nil, report.ProgressOptions{}).Finish(r)
		if err := report.Summary(&out, r); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
				t.Errorf("a line of %d columns: %s", n, line)
			}
		}
		if !strings.Contains(out.String(), want) || !strings.Contains(out.String(), "○ "+holes[0]) {
			t.Errorf("no row that ends in %q, or the list lacks %q:\n%s", want, holes[0], out.String())
		}
	}
}

func TestProgressShowsWhatFailedLastTimeFirst(t *testing.T) {
	r := sample()
	var out bytes.Buffer
	p := report.NewProgress(&out, shown, nil, report.ProgressOptions{
		First: func(_, test string) bool { return test == "TestBoom" },
	})
	p.Finish(r)
	if boom, right := strings.Index(out.String(), "TestBoom"), strings.Index(out.String(), "TestRight"); boom < 0 ||
		boom > right {
		t.Errorf("TestBoom failed the last time and is not shown first:\n%s", out.String())
	}
}

func TestALiveLineIsRemovedAtTheEnd(t *testing.T) {
	r := sample()
	var out bytes.Buffer
	p := report.NewProgress(&out, shown, nil, report.ProgressOptions{Live: true})
	p.Observe(grade.Event{Stage: "1a", Started: "TestRight"})
	p.Finish(r)
	if !strings.Contains(out.String(), "0/6") || strings.Contains(out.String()[strings.LastIndex(out.String(),
		"\x1b[2K"):], "0/6") {
		t.Errorf("live output %q; want a line with 0/6 that is cleared at the end", out.String())
	}
}

func TestACompileErrorIsShownOnceInsteadOfEachTest(t *testing.T) {
	r := sample()
	stages := []course.Stage{{ID: "1b", Title: "The raw service", Tests: []course.Test{{Name: "TestGet", Points: 6}}}}
	var out bytes.Buffer
	p := report.NewProgress(&out, stages, nil, report.ProgressOptions{})
	p.Finish(r)
	want := "1b  The raw service\n  ✗ it does not compile, so it earns 0 points:\n" +
		"    kv/raw/get.go:3:1: syntax error <here>\n"
	if out.String() != want {
		t.Errorf("shown:\n%s\nwant:\n%s", out.String(), want)
	}
}

func TestAHangBeforeAnyTestIsShownOnceInsteadOfEachTest(t *testing.T) {
	const hang = "the program hangs before any test begins: 10s after its start none had\nit was at kv/raw/get.go:3"
	stage := course.Stage{ID: "1b", Title: "The raw service", Tests: []course.Test{{Name: "TestGet"}, {Name: "TestPut"}}}
	result := grade.StageResult{Stage: stage, Hang: hang}
	for i, message := range []string{hang, "not run"} {
		result.Tests = append(result.Tests, grade.TestResult{
			Stage: "1b", Test: stage.Tests[i].Name, Outcome: grade.NeverBegan, Message: message,
		})
	}
	want := "1b  The raw service\n  ✗ it never gets to a test, so it earns 0 points:\n    " +
		strings.ReplaceAll(hang, "\n", "\n    ") + "\n"
	for _, live := range []bool{false, true} { // told by events, or by the report alone
		var out bytes.Buffer
		p := report.NewProgress(&out, []course.Stage{stage}, nil, report.ProgressOptions{})
		if live {
			p.Observe(grade.Event{Stage: "1b", Hangs: hang})
			for i := range result.Tests {
				p.Observe(grade.Event{Stage: "1b", Done: &result.Tests[i]})
			}
		}
		p.Finish(&grade.Report{Stages: []grade.StageResult{result}})
		if out.String() != want {
			t.Errorf("shown:\n%s\nwant:\n%s", out.String(), want)
		}
	}
}

func TestSummaryTellsWhatIsNotWritten(t *testing.T) {
	var out bytes.Buffer
	if err := report.Summary(&out, sample()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Not written yet\n  ○ Engine.Get in kv/engine/badger/read.go\n" +
			"  ○ Engine.Write in kv/engine/badger/write.go — 1 test stops here\n", "note: not used: go.mod\n",
		"✗ 12 of 29 points, 2 of 9 tests, 3.0 s, interrupted\n", "does not compile", "1 of 7 tests",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the summary lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("the summary has colours although it is not written to a terminal")
	}
}

func TestTheBoardOfARunAndWhatIsRememberedShowTheSame(t *testing.T) {
	r := sample()
	root := t.TempDir()
	last, err := report.ReadLast(root)
	if err != nil {
		t.Fatal(err)
	}
	stage := r.Stages[0].Stage
	for i := range r.Stages[0].Tests {
		test := &r.Stages[0].Tests[i]
		test.Duration = time.Duration(i*i) * 7 * time.Millisecond
		test.Outcome = []grade.Outcome{grade.Passed, grade.NotBuilt, grade.Failed}[i%3]
		test.Points = (3 - i%3) / 3 * test.MaxPoints
		stage.Tests = append(stage.Tests, course.Test{Name: test.Test, Points: test.MaxPoints})
	}
	last.Add(r, nil, time.Unix(1, 0))
	if err := last.Write(root); err != nil {
		t.Fatal(err)
	}
	if last, err = report.ReadLast(root); err != nil {
		t.Fatal(err)
	}
	now, then := report.Lines(r)[0], last.Lines([]course.Stage{stage}, func(course.Stage) string { return "" })[0]
	if now != then || now.Duration == 0 {
		t.Errorf("the run: %+v\nremembered: %+v", now, then)
	}
}

func TestTheLastResultsAreRemembered(t *testing.T) {
	root := t.TempDir()
	last, err := report.ReadLast(root)
	if err != nil {
		t.Fatal(err)
	}
	sources := func(course.Stage) string { return "then" }
	if line := last.Lines(shown, sources)[0]; line.State != "not run yet" || line.MaxPoints != 16 {
		t.Errorf("before any run: %+v, want not run yet, of 16 points", line)
	}
	last.Add(sample(), map[string]string{"1a": "then"}, time.Unix(1, 0))
	if err := last.Write(root); err != nil {
		t.Fatal(err)
	}
	if last, err = report.ReadLast(root); err != nil {
		t.Fatal(err)
	}
	line := last.Lines(shown, sources)[0]
	if line.Points != 5 || line.Passed != 1 || line.Tests != 6 || line.State != "1 of 6 tests" || line.Note != "" {
		t.Errorf("after a run: %+v, want 5 points, 1 of 6 tests, nothing changed", line)
	}
	line = last.Lines(shown, func(course.Stage) string { return "now" })[0]
	if line.Points != 5 || line.Note != "edited since" {
		t.Errorf("after a change: %+v, want 5 points and a note", line)
	}
	if !last.Failed("1a", "TestWrong") || last.Failed("1a", "TestRight") || last.Failed("1a", "TestNever") {
		t.Error("of the three, only TestWrong is known to have failed")
	}
	if _, kept := last.Tests["midterm/1a"]; kept {
		t.Error("the results of a hidden pack were kept in the tree")
	}
}

// TestASingleTestDoesNotForgetTheOthers: labs test --run X updates X alone.
func TestASingleTestDoesNotForgetTheOthers(t *testing.T) {
	last, err := report.ReadLast(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	last.Add(sample(), map[string]string{"1a": "then"}, time.Unix(1, 0))
	again := sample()
	again.Stages = again.Stages[:1]
	again.Stages[0].Tests = again.Stages[0].Tests[1:2]
	again.Stages[0].Tests[0].Outcome, again.Stages[0].Tests[0].Points = grade.Passed, 4
	last.Add(again, map[string]string{"1a": "now"}, time.Unix(2, 0))
	line := last.Lines(shown, func(course.Stage) string { return "now" })[0]
	if line.Points != 9 || line.Note != "edited since" {
		t.Errorf("%+v; want 9 points, some of them of files as they were", line)
	}
}

func TestADamagedMemoryIsAnErrorThatHelps(t *testing.T) {
	for _, content := range []string{"{", `{"format": 99}`} {
		root := t.TempDir()
		file := filepath.Join(root, report.LastFile)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := report.ReadLast(root); err == nil || !strings.Contains(err.Error(), "remove the file") {
			t.Errorf("%q: error %v, want what to do", content, err)
		}
	}
}

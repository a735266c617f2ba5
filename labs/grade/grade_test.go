// Every kind of ending, shown with a real test binary: one run over the synthetic tree, then questions about its
// report.

package grade_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tinykv/labs/course"
	"tinykv/labs/grade"
)

func sharedRun(t *testing.T) *grade.Report {
	t.Helper()
	shared.once.Do(func() {
		layOut(t, shared.root)
		if shared.err = os.MkdirAll(shared.scratch, 0o755); shared.err != nil {
			return
		}
		os.Setenv("TMPDIR", shared.scratch)
		defer os.Unsetenv("TMPDIR")
		shared.report, shared.err = grade.Run(context.Background(), grade.Options{
			Root:        shared.root,
			Stages:      []course.Stage{stage9a, stage9b, stage9c, stage9d},
			Jobs:        4,
			MemoryBytes: 256 << 20,
			Observe:     func(e grade.Event) { shared.events = append(shared.events, e) },
		})
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.report
}

func find(t *testing.T, r *grade.Report, name string) grade.TestResult {
	t.Helper()
	for _, test := range r.Each {
		if test.Test == name {
			return test
		}
	}
	t.Fatalf("no result of %s", name)
	return grade.TestResult{}
}

// TestEveryEndingIsJudged has one row for each way in which a test's process can end.
func TestEveryEndingIsJudged(t *testing.T) {
	report := sharedRun(t)
	for _, want := range []struct {
		test    string
		outcome grade.Outcome
		points  int
		message string // a regular expression
	}{
		{"TestPasses", grade.Passed, 5, `^$`},
		{"TestFails", grade.Failed, 0, `^Wrong\(\) = 41\nwant 42\nat labs/tests/9a/box_test.go:26$`},
		{"TestSubtests", grade.Failed, 0, `^want_41: got 42\nat labs/tests/9a/box_test.go:\d+\n\(and 2 more that failed\)$`},
		{"TestHole", grade.NotWritten, 0, `^not written yet: Put in box/box.go$`},
		{"TestHoleInMethod", grade.NotWritten, 0, `^not written yet: Box.Take in box/box.go$`},
		{"TestHoleInGoroutine", grade.NotWritten, 0, `^not written yet: Put in box/box.go$`},
		{"TestPanics", grade.Crashed, 0,
			`^panic: runtime error: index out of range \[3\] with length 3\nat box/box.go:\d+$`},
		{"TestHangs", grade.TimedOut, 0, `^still running after 1s, so it was stopped\nit was at box/box.go:30$`},
		{"TestSpins", grade.TimedOut, 0, `^still running after 1s, so it was stopped`},
		{"TestExits", grade.Crashed, 0, `^panic: unexpected call to os.Exit\(0\) during test`},
		{"TestForges", grade.Failed, 0, `^the process printed that the test passed, but ended \(exit status 0\)`},
		{"TestBoasts", grade.Failed, 0, `^wrong after all\n`},
		{"TestSkips", grade.Failed, 0, `^it was skipped, and a skipped test earns nothing: no time$`},
		{"TestDeadlock", grade.Crashed, 0, `^fatal error: all goroutines are asleep - deadlock!\nat box/box.go:33$`},
		{"TestOverflows", grade.Crashed, 0, `^fatal error: stack overflow\nat labs/tests/9a/box_test.go:\d+$`},
		{"TestEats", grade.Crashed, 0, `^killed because it held \d+ MiB of memory; the limit is 256 MiB$`},
		{"TestFloods", grade.Failed, 0, `^drowned\n`},
		{"TestLeavesChild", grade.Passed, 7, `^$`},
		{"TestForks", grade.Crashed, 0, `^killed because it had started \d+ processes$`},
		{"TestFillsTheDisk", grade.Failed, 0, `file too large`},
		{"TestMissing", grade.NotBuilt, 0, `^there is no TestMissing in labs/tests/9a$`},
		{"TestNeverBuilt", grade.NotBuilt, 0, `^the stage's tests do not compile$`},
		{"TestNeverBegins", grade.NeverBegan, 0, `^the program hangs before any test begins: 1s after its start none had\n` +
			`it was at asleep/asleep.go:\d+\nlook for an init function, or a package variable's value, that loops or waits$`},
		{"TestAnything", grade.NotBuilt, 0, `^the stage's tests do not compile$`},
	} {
		got := find(t, report, want.test)
		if got.Outcome != want.outcome || got.Points != want.points ||
			!regexp.MustCompile(want.message).MatchString(got.Message) {
			t.Errorf("%s: %s, %d points, %q\nwant %s, %d points, %q\noutput:\n%s", want.test, got.Outcome, got.Points,
				got.Message,
				want.outcome, want.points, want.message, got.Output)
		}
	}
	if report.Points() != 12 || report.Passed() || report.Interrupted {
		t.Errorf("%d points, passed %v, interrupted %v; want 12 points of a run that did not pass", report.Points(),
			report.Passed(), report.Interrupted)
	}
}

func TestReportHasTheOrderOfTheCourse(t *testing.T) {
	var got, want []string
	for _, test := range sharedRun(t).Each {
		got = append(got, test.Test)
	}
	for _, s := range []course.Stage{stage9a, stage9b, stage9c, stage9d} {
		for _, test := range s.Tests {
			want = append(want, test.Name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("order %v\nwant %v", got, want)
	}
}

func TestBuildErrorIsTheCompilersMessage(t *testing.T) {
	report := sharedRun(t)
	if got := report.Stages[1].BuildError; !strings.Contains(got, "broken/broken.go:3:25: cannot use") ||
		strings.Contains(got, shared.root) || strings.Contains(got, "goroutine") {
		t.Errorf("build error %q; want the compiler's message about broken/broken.go:3:25", got)
	}
	want := "labs/tests/9d/main_test.go: graded tests can't have a TestMain: the grader adds its own"
	if got := report.Stages[3].BuildError; got != want {
		t.Errorf("build error %q, want %q", got, want)
	}
}

func TestEveryFailureShowsHowToRunItAgain(t *testing.T) {
	got := find(t, sharedRun(t), "TestFails")
	if want := "go run ./labs test 9a --run TestFails"; got.Replay != want {
		t.Errorf("replay %q, want %q", got.Replay, want)
	}
	if want := "go test -trimpath -count=1 -run '^TestFails$' ./labs/tests/9a"; got.PlainReplay != want {
		t.Errorf("plain replay %q, want %q", got.PlainReplay, want)
	}
	if want := []string{"go run ./labs test 9a --run TestFails --seed 7"}; !slices.Equal(got.TestReplays, want) {
		t.Errorf("the test's own replays %q, want %q", got.TestReplays, want)
	}
}

func TestOutputIsBoundedAndKeepsBothEnds(t *testing.T) {
	got := find(t, sharedRun(t), "TestFloods").Output
	if len(got) > 400<<10 || !strings.Contains(got, "bytes left out") || !strings.Contains(got, "drowned") {
		t.Errorf("%d bytes of output, want less than 400 KiB with a gap and the end", len(got))
	}
	if out := find(t, sharedRun(t), "TestPasses").Output; out != "    box_test.go:17: all is well" {
		t.Errorf("output %q, want what the test printed and nothing of the framing", out)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	report := sharedRun(t)
	entries, err := os.ReadDir(shared.scratch)
	if err != nil || len(entries) > 0 {
		t.Errorf("files left behind: %v (%v)", entries, err)
	}
	m := regexp.MustCompile(`child (\d+)`).FindStringSubmatch(find(t, report, "TestLeavesChild").Output)
	if m == nil {
		t.Fatal("the test did not print the id of its child")
	}
	pid, _ := strconv.Atoi(m[1])
	if err := waitGone(pid); err != nil {
		t.Errorf("process %d, which left its process group, is still there", pid)
	}
}

// waitGone waits until a killed process is gone from the table of processes, which its new parent decides. A zombie is
// gone.
func waitGone(pid int) error {
	deadline := time.Now().Add(5 * time.Second)
	for {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return nil
		}
		if time.Now().After(deadline) {
			return syscall.EBUSY
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestNothingIsToldOfAnInterruptedBuild cancels while the go command runs: that is no compile error of the learner's.
func TestNothingIsToldOfAnInterruptedBuild(t *testing.T) {
	sharedRun(t)
	ctx, cancel := context.WithCancel(t.Context())
	report, err := grade.Run(ctx, grade.Options{Root: shared.root, Stages: []course.Stage{stage9a},
		Observe: func(e grade.Event) {
			if e.Building {
				cancel()
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	if s := report.Stages[0]; !report.Interrupted || s.BuildError != "" || s.Tests[0].Outcome != grade.NotRun {
		t.Errorf("interrupted %v, build error %q, outcome %s; want an interrupted run about which nothing is known",
			report.Interrupted, s.BuildError, s.Tests[0].Outcome)
	}
}

func TestAMissingCCompilerIsToldAsSuch(t *testing.T) {
	sharedRun(t)
	stage := stage9a
	stage.NeedsC = true
	for env, want := range map[string]string{
		"CGO_ENABLED=0":                   "this stage needs cgo, which is switched off",
		"CC=a-compiler-that-is-not-there": "this stage needs a C compiler, and a-compiler-that-is-not-there is not there",
	} {
		report, err := grade.Run(t.Context(), grade.Options{
			Root: shared.root, Stages: []course.Stage{stage}, Only: regexp.MustCompile("^TestPasses$"),
			Env: []string{"CGO_ENABLED=1", env},
		})
		if err != nil {
			t.Fatal(err)
		}
		if s := report.Stages[0]; !strings.Contains(s.BuildError, want) || s.Tests[0].Outcome != grade.NotBuilt {
			t.Errorf("%s: %s, %q; want %q", env, s.Tests[0].Outcome, s.BuildError, want)
		}
	}
}

func TestNoPlaceForTheGoCommandsCachesIsNobodysCode(t *testing.T) {
	sharedRun(t)
	nowhere := filepath.Join(shared.root, "go.mod", "cache") // below a file, so that nobody can make it
	for _, env := range []string{"GOCACHE=" + nowhere, "GOCACHE=off"} {
		_, err := grade.Run(t.Context(), grade.Options{Root: shared.root, Stages: []course.Stage{stage9c},
			Env: []string{env}})
		if err == nil || !strings.Contains(err.Error(), "set HOME, or GOCACHE") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v; want one line that says what to do", env, err)
		}
	}
}

// TestAChangedTreeIsSeenInItsFingerprint covers what labs status relies on.
func TestAChangedTreeIsSeenInItsFingerprint(t *testing.T) {
	root := t.TempDir()
	layOut(t, root)
	dirs, files, err := grade.Sources(root, "labs/tests/9a")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(dirs, []string{"labs/tests/9a", "box"}) || !slices.Equal(files, []string{"box/box.go",
		"labs/tests/9a/box_test.go"}) {
		t.Errorf("directories %v, files %v; want those of the test and of package box", dirs, files)
	}
	change := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before := grade.Fingerprint(root, "labs/tests/9a")
	change("asleep/asleep.go", "package asleep // not a source of 9a")
	change("box/box_test.go", "package box // a test beside the code is not one either")
	if grade.Fingerprint(root, "labs/tests/9a") != before || before == "" {
		t.Error("the fingerprint changed, though none of the sources did")
	}
	change("box/box.go", "package box; func syntax error")
	if grade.Fingerprint(root, "labs/tests/9a") == before {
		t.Error("the fingerprint did not change with box/box.go")
	}
}

// TestAProgramThatHangsBeforeItsTestsIsFoundOutOnce has tests whose time limit would be minutes each.
func TestAProgramThatHangsBeforeItsTestsIsFoundOutOnce(t *testing.T) {
	sharedRun(t)
	asleep := course.Stage{ID: "9c", Project: 9, TestDir: "labs/tests/9c"}
	for _, name := range []string{"TestNeverBegins", "TestNorThis", "TestNorThat"} {
		asleep.Tests = append(asleep.Tests, course.Test{Name: name, Points: 2, TimeoutSeconds: 300})
	}
	again := asleep
	again.ID = "9e"
	var started, told []string
	report, err := grade.Run(t.Context(), grade.Options{
		Root: shared.root, Stages: []course.Stage{asleep, again}, Jobs: 1, StartLimit: time.Second,
		Observe: func(e grade.Event) {
			if e.Started != "" {
				started = append(started, e.Stage+" "+e.Started)
			}
			if e.Hangs != "" {
				told = append(told, e.Stage)
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"9c TestNeverBegins", "9e TestNeverBegins"}; !slices.Equal(started, want) {
		t.Errorf("%v were run; want the first of each stage", started)
	}
	if want := []string{"9c", "9e"}; !slices.Equal(told, want) {
		t.Errorf("told of %v, want each stage once", told)
	}
	for s, test := range report.Each {
		if test.Outcome != grade.NeverBegan || test.Points != 0 || !strings.Contains(s.Hang, "asleep/asleep.go") {
			t.Errorf("%s %s: %s, %d points; the stage: %q", s.Stage.ID, test.Test, test.Outcome, test.Points, s.Hang)
		}
	}
	if report.Interrupted || report.Passed() {
		t.Error("the run counts as interrupted or passed")
	}
}

func TestProgressIsToldInOrder(t *testing.T) {
	sharedRun(t)
	state := map[string]string{}
	done := 0
	for _, e := range shared.events {
		switch {
		case e.Built && state[e.Stage] != "":
			t.Errorf("stage %s was built twice", e.Stage)
		case e.Built:
			state[e.Stage] = "built"
		case (e.Started != "" || e.Done != nil) && state[e.Stage] != "built":
			t.Errorf("a test of %s came before its build was done", e.Stage)
		case e.Started != "":
			state[e.Started] = "started"
		case e.Done != nil:
			done++
			if state[e.Done.Test] != "started" && e.Done.Outcome != grade.NotBuilt {
				t.Errorf("%s was done before it started", e.Done.Test)
			}
		}
	}
	if want := len(stage9a.Tests) + 3; done != want {
		t.Errorf("%d results told, want %d", done, want)
	}
}

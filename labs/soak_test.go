// Soak and replay as a person asks for them, over a small tree whose seeded test fails for one seed.

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"tinykv/labs/course"
	"tinykv/labs/overlay"
	"tinykv/labs/workspace"
)

var seededStage = course.Stage{
	ID: "9a", Project: 9, Title: "A world", TestDir: "labs/tests/9a", Handout: "labs/handouts/9a.md",
	Tests: []course.Test{{Name: "TestPlain", Points: 1}, {Name: "TestWorlds", Points: 3, Seeded: true}},
}

// seededTests breaks something with the seed that world.Bad says, leaves a trace then, and plays a trace.
const seededTests = `package stage9a_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tiny/world"
)

var (
	seed   = flag.Uint64("seed", 1, "")
	seeds  = flag.Uint64("seeds", 1, "")
	replay = flag.String("replay", "", "")
)

func TestPlain(t *testing.T) {}

func TestWorlds(t *testing.T) {
	if *replay != "" {
		text, err := os.ReadFile(*replay)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("the story of", strings.Count(string(text), "tick"), "ticks")
		fmt.Println(strings.Repeat("a long line of it\n", 50_000))
		if world.Bad != 0 {
			t.Fatal("it broke again")
		}
		return
	}
	for s := *seed; s < *seed+*seeds; s++ {
		if s != world.Bad {
			continue
		}
		file := filepath.Join(os.TempDir(), "tinykv-traces", fmt.Sprintf("worlds-seed%d.trace", s))
		os.MkdirAll(filepath.Dir(file), 0o755)
		trace := fmt.Sprintf("# trace of worlds, version 1\n# test: ./labs/tests/9a TestWorlds\n# seed: %d\ntick\ntick\n", s)
		os.WriteFile(file, []byte(trace), 0o644)
		picture := strings.TrimSuffix(file, ".trace") + ".html"
		os.WriteFile(picture, []byte("<html>"), 0o644)
		t.Fatalf("two leaders\n    trace:    %s\n    picture:  %s\n    replay:   go test ./labs/tests/9a -count=1 -run '^TestWorlds$' -seed=%d",
			file, picture, s)
	}
}
`

func worldTree(t *testing.T, bad string) *workspace.Space {
	t.Helper()
	root := t.TempDir()
	err := overlay.Files{
		"go.mod":                      []byte("module example.com/tiny\n\ngo 1.26\n"),
		"world/world.go":              []byte("package world\n\nvar Bad uint64 = " + bad + "\n"),
		"labs/tests/9a/world_test.go": []byte(seededTests),
	}.WriteTo(root)
	if err != nil {
		t.Fatal(err)
	}
	return &workspace.Space{Root: root}
}

func TestASoakKeepsItsFailuresAndReplayPlaysThem(t *testing.T) {
	here := worldTree(t, "17")
	f := soakFlags{seeds: 60, jobs: 2, failures: 5}
	tests := f.tests(seededStage)
	if len(tests) != 1 {
		t.Fatalf("seeded tests %v", tests)
	}
	var out bytes.Buffer
	result, err := soakStage(t.Context(), &out, here, seededStage, tests, f)
	if err != nil || result.Good() {
		t.Fatalf("%+v, %v\n%s", result, err, out.String())
	}
	const file = ".labs/soak/9a-TestWorlds-seed17.txt"
	for _, want := range []string{"✗ TestWorlds seed 17: two leaders\n    go run ./labs replay " + file,
		"60 seeds played in", ", 1 failures"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
	record, err := os.ReadFile(filepath.Join(here.Root, file))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# replay: go run ./labs test 9a --run TestWorlds --seed 17\n",
		"# trace: .labs/soak/worlds-seed17.trace\n", "trace:    .labs/soak/worlds-seed17.trace",
		"# picture: .labs/soak/worlds-seed17.html\n", "picture:  .labs/soak/worlds-seed17.html"} {
		if !strings.Contains(string(record), want) {
			t.Errorf("what was kept lacks %q:\n%s", want, record)
		}
	}

	header, fields, err := readFields(filepath.Join(here.Root, file))
	if err != nil || header != failureHeader || fields["seed"] != "17" {
		t.Fatalf("%q %v %v", header, fields, err)
	}
	kept, err := readKept(here.Root, filepath.Join(here.Root, fields["trace"]))
	if err != nil || kept.picture != filepath.Join(here.Root, ".labs/soak/worlds-seed17.html") {
		t.Fatalf("%+v, %v", kept, err)
	}
	kept.stage, kept.pkg = seededStage, "" // which the course's table does not have
	out.Reset()
	if err := kept.replay(t.Context(), &out, here); err == nil || !strings.Contains(out.String(), "the story of 2 ticks") ||
		strings.Count(out.String(), "a long line") != 50_000 ||
		!strings.Contains(out.String(), "9a TestWorlds: failed: it broke again") {
		t.Errorf("replay: %v\n%.1000s", err, out.String())
	}
	outside := &keptRun{pkg: "./labs/tests/9a", test: "TestWorlds", trace: kept.trace}
	out.Reset()
	if err := outside.replay(t.Context(), &out, here); err == nil || !strings.Contains(out.String(), "it broke again") {
		t.Errorf("replay by the go command: %v\n%.1000s", err, out.String())
	}

	out.Reset()
	if err := listKept(&out, here.Root); err != nil || !strings.Contains(out.String(), "labs replay "+file+"\n") ||
		strings.Contains(out.String(), ".html") {
		t.Errorf("the list of kept runs: %v\n%s", err, out.String())
	}

	// Once the code is right, the trace and the seed say so.
	mended := worldTree(t, "0")
	for _, kept := range []*keptRun{kept, {stage: seededStage, test: "TestWorlds", seed: 17}} {
		out.Reset()
		if err := kept.replay(t.Context(), &out, mended); err != nil || !strings.Contains(out.String(), "nothing broke") {
			t.Errorf("replay of the mended code: %v\n%s", err, out.String())
		}
	}
	out.Reset()
	if result, err := soakStage(t.Context(), &out, mended, seededStage, tests, f); err != nil || !result.Good() {
		t.Errorf("soak of the mended code: %+v, %v\n%s", result, err, out.String())
	}
}

// TestStagesAreSoakedInTurnAndShareTheTime plays three stages, of which one has no seeded tests and one does not compile.
func TestStagesAreSoakedInTurnAndShareTheTime(t *testing.T) {
	here := worldTree(t, "0")
	plain, broken := seededStage, seededStage
	plain.ID, plain.Tests = "9b", seededStage.Tests[:1]
	broken.ID, broken.TestDir = "9c", "labs/tests/9c"
	source := overlay.Files{"labs/tests/9c/broken_test.go": []byte("package stage9c_test\n\nvar x int = \"x\"\n")}
	if err := source.WriteTo(here.Root); err != nil {
		t.Fatal(err)
	}
	second := seededStage
	second.ID, second.Title = "9d", "Another world"
	stages := []course.Stage{broken, seededStage, plain, second}

	var out bytes.Buffer
	err := soakStages(t.Context(), &out, here, stages, soakFlags{limit: 3 * time.Second, jobs: 2})
	if err == nil {
		t.Error("a stage did not compile, and the soak counts as good")
	}
	told := out.String()
	for _, want := range []string{"broken_test.go:3:13", "✗ 9c  the tests of stage 9c do not compile",
		`9a  [1-9]\d* seeds played`, `9d  [1-9]\d* seeds played`} {
		if !regexp.MustCompile(want).MatchString(told) {
			t.Errorf("the output lacks %q:\n%s", want, told)
		}
	}
	if strings.Contains(told, "9b") || strings.Index(told, "9c A world") > strings.Index(told, "9a A world") {
		t.Errorf("not the stages with seeds, in their order:\n%s", told)
	}
	out.Reset()
	if err := soakStages(t.Context(), &out, here, stages[1:], soakFlags{seeds: 20, jobs: 2}); err != nil ||
		strings.Count(out.String(), "20 seeds played") != 2 {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestASoakOfWhatDoesNotCompileSaysSo(t *testing.T) {
	here := worldTree(t, "x")
	var out bytes.Buffer
	_, err := soakStage(t.Context(), &out, here, seededStage, seededStage.Tests[1:], soakFlags{seeds: 1, jobs: 1})
	if err == nil || !strings.Contains(out.String(), "world/world.go:3:18: undefined: x") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestWhatIsNoKeptRunIsRefusedInOneLine(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ text, want string }{
		"empty":              {"", "neither a trace nor a failure"},
		"binary":             {"\x00\xff\xfe", "neither a trace nor a failure"},
		"no test":            {"# trace of rafttest, version 1\n0.0 tick 1\n", "does not say which test"},
		"an odd test":        {"# trace of rafttest, version 1\n# test: -x; rm Test\n", "does not say which test"},
		"an odd test of sim": {"# trace of sim, version 1\n# test: kv/sim TestX\n# seed: 3\n", "does not say which test"},
		"an unknown stage":   {failureHeader + "\n# test: 9z TestX\n# seed: 1\n", "9z"},
		"without a seed":     {failureHeader + "\n# test: 1a TestPutThenGet\n", "which seed"},
		"a trace of itself":  {failureHeader + "\n# test: 1a TestX\n# trace: gone.trace\n# seed: x\n", "which seed"},
	} {
		file := filepath.Join(dir, strings.ReplaceAll(name, " ", "_"))
		if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := readKept(dir, file)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line with %q", name, err, c.want)
		}
	}
	if _, err := readKept(dir, filepath.Join(dir, "nowhere")); err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestTheSoakCommandAsksForWhatItNeeds(t *testing.T) {
	for _, wrong := range [][]string{{}, {"9z"}, {"1a"}, {"1a", "--seeds", "0"}, {"1a", "--minutes", "-1"},
		{"1a", "--run", "TestPutThenGet"}} {
		if out, err := typed(t, soakCommand(), "", wrong...); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("soak %v: error %v, want one line\n%s", wrong, err, out)
		}
	}
}

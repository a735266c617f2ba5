package rafttest

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// How a test plays seeds: Seeds, and the flags that it obeys.
//
//	-seed N          play this one seed; with -v, tell its story whether it fails or not
//	-seeds N         play N seeds instead of the test's own number, and say how far it is
//	-seed A -seeds N play the seeds A, A+1, ... A+N-1: a part of a soak
//	-replay FILE     play the decisions of a trace, as far as they still apply

// World is a kind of cluster that a test plays seeds in.
type World struct {
	Options
	Name  string            // tells several worlds of one test apart in what is printed; may be empty
	Seeds int               // how many the test plays by itself; default 40
	Must  []string          // sights (Result.Saw) that have to occur in some seed, or the test is about nothing
	Rules map[string]string // by invariant (doc.go): what a failure begins with, say a rule of the test's own text
}

// Seeds plays seeds in a world and ends the test at the first that breaks an invariant. It says which invariant, how
// the run came there, and the command that plays the seed again; and it leaves the whole run in a file, as a trace.
func Seeds(t testing.TB, w World) {
	t.Helper()
	if file := flagValue("replay"); file != "" {
		replayFile(t, w, file)
		return
	}
	first, count := w.flags()
	seen, begin, events := map[string]int{}, time.Now(), 0
	told := begin
	for seed := first; seed < first+count; seed++ {
		res := Run(seed, w.Options)
		events += res.Events
		for _, s := range res.Saw {
			seen[s.What] += s.Count
		}
		if res.Err != nil {
			w.failed(t, res)
		}
		if flagValue("seeds") != "0" && time.Since(told) > time.Second {
			told = time.Now()
			fmt.Fprintf(os.Stderr, "%s: %d of %d seeds, %d events\n", w.title(t), seed-first+1, count, events)
		}
	}
	if count == 1 && testing.Verbose() {
		w.Options.Trace = true
		res := Run(first, w.Options)
		io.WriteString(os.Stdout, strings.Join(res.Trace, "\n")+"\n")
		return
	}
	for _, what := range w.Must {
		if seen[what] == 0 && count >= w.defaultSeeds() {
			t.Errorf("%s: %d seeds, and this never happened: %s", w.title(t), count, what)
		}
	}
	t.Logf("%s: %d seeds, %d events, %.0f a second, saw %v", w.title(t), count, events,
		float64(events)/time.Since(begin).Seconds(), seen)
}

func (w *World) defaultSeeds() uint64 {
	if w.Seeds == 0 {
		return 40
	}
	return uint64(w.Seeds)
}

// flags returns the first seed and how many there are.
func (w *World) flags() (first, count uint64) {
	first, count = 1, w.defaultSeeds()
	seed, seeds := number(flagValue("seed")), number(flagValue("seeds"))
	if seed != 0 {
		first, count = seed, 1
	}
	if seeds != 0 {
		count = seeds
	}
	return first, count
}

func (w *World) title(t testing.TB) string {
	if w.Name == "" {
		return t.Name()
	}
	return t.Name() + ": " + w.Name
}

// failed ends the test with all there is to say about a run that broke something.
func (w *World) failed(t testing.TB, res Result) {
	t.Helper()
	w.Options.Trace, w.Options.Record = true, true
	again := Run(res.Seed, w.Options)
	if again.Hash != res.Hash {
		t.Fatalf("seed %d is not the same run twice: %v, then %v. Is there a map's order, a clock or global randomness "+
			"in the code?", res.Seed, res.Err, again.Err)
	}
	t.Fatal(w.message(again, fmt.Sprintf("seed %d, after %d events", again.Seed, again.Events)) + w.saveTrace(t, again) +
		"    replay:   " + replayCommand(packagePath(), t.Name(), res.Seed))
}

// replayCommand plays a seed again. The graded tests of the course are run by its own command, which completes the code
// under test.
func replayCommand(path, test string, seed uint64) string {
	if stage, ok := strings.CutPrefix(path, "./labs/tests/"); ok {
		top, _, _ := strings.Cut(test, "/")
		return fmt.Sprintf("go run ./labs test %s --run %s --seed %d", stage, top, seed)
	}
	return fmt.Sprintf("go test %s -count=1 -run '%s' -seed=%d", path, runPattern(test), seed)
}

// saveTrace leaves a run in a file that has the same name each time, and says where.
func (w *World) saveTrace(t testing.TB, res Result) string {
	trace := Trace{Test: packagePath() + " " + t.Name(), World: w.Name, Decisions: res.Decisions}
	trace.Broke = res.Err.Error() + "\n" + res.State
	name := strings.NewReplacer("/", "-", " ", "_", ".", "").Replace(packagePath() + "-" + t.Name() + "-" + w.Name)
	file := filepath.Join(os.TempDir(), "tinykv-traces", fmt.Sprintf("%s-seed%d.trace", strings.Trim(name, "-"), res.Seed))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Sprintf("    trace:    not kept: %v\n", err)
	}
	if err := os.WriteFile(file, []byte(trace.Format()), 0o644); err != nil {
		return fmt.Sprintf("    trace:    not kept: %v\n", err)
	}
	return fmt.Sprintf("    trace:    %s\n", file)
}

// storyLines is how much of a story a failure shows: what led to it, and still one screen.
const storyLines = 40

// message tells of a run that broke something.
func (w *World) message(res Result, when string) string {
	var b strings.Builder
	invariant, text := "failed", res.Err.Error()
	if f, ok := res.Err.(failure); ok {
		invariant, text = f.invariant, f.text
	}
	if rule := w.Rules[invariant]; rule != "" {
		invariant = rule
	}
	fmt.Fprintf(&b, "%s\n    got:      %s\n", invariant, strings.ReplaceAll(text, "\n", "\n              "))
	fmt.Fprintf(&b, "    when:     %s", when)
	if w.Name != "" {
		fmt.Fprintf(&b, ", in the world %q", w.Name)
	}
	story := res.Trace[max(0, len(res.Trace)-storyLines):]
	fmt.Fprintf(&b, "\n    story:    (its end; times in ticks)\n    %s\n", strings.Join(story, "\n    "))
	fmt.Fprintf(&b, "    nodes:    %s\n", strings.ReplaceAll(res.State, "\n", "\n              "))
	return b.String()
}

// replayFile is the part of Seeds for -replay.
func replayFile(t testing.TB, w World, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("cannot read the trace: %v", err)
	}
	trace, err := ParseTrace(string(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if _, name, _ := strings.Cut(trace.Test, " "); name != t.Name() {
		t.Skipf("the trace belongs to %s", trace.Test)
	}
	if trace.World != w.Name {
		t.Logf("the trace does not belong to the world %q", w.Name)
		return
	}
	w.Options.Trace = true
	res := Play(trace.Decisions, w.Options)
	if testing.Verbose() {
		io.WriteString(os.Stdout, strings.Join(res.Trace, "\n")+"\n")
	}
	played := fmt.Sprintf("%d decisions of %s, %d of them no longer apply", len(trace.Decisions), file, res.Skipped)
	if res.Err != nil {
		t.Fatal(strings.TrimSpace(w.message(res.Result, played)))
	}
	t.Logf("nothing broke: %s", played)
}

// runPattern is what -run wants for the name of a test.
func runPattern(name string) string {
	return "^" + strings.ReplaceAll(name, "/", "$/^") + "$"
}

// packagePath names the package under test for go test: a test runs in the directory of its package.
func packagePath() string {
	dir, err := os.Getwd()
	if err != nil {
		return "."
	}
	for root := dir; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			rel, _ := filepath.Rel(root, dir)
			return "./" + filepath.ToSlash(rel)
		}
		if root == filepath.Dir(root) {
			return "."
		}
	}
}

// The flags belong to the test binary. Another package of it may have defined one already, with the same meaning.
func init() {
	define := func(name, usage string) {
		if flag.Lookup(name) == nil {
			flag.Uint64(name, 0, usage)
		}
	}
	define("seed", "play this one seed (or, with -seeds, begin with it)")
	define("seeds", "play so many seeds; 0: the test's own number")
	flag.String("replay", "", "play the decisions of this trace")
}

func flagValue(name string) string { return flag.Lookup(name).Value.String() }

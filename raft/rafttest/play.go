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

// How a test plays seeds, in this simulator or another: PlaySeeds, and the flags that it obeys.
//
//	-seed N          play this one seed; with -v, tell its story whether it fails or not
//	-seeds N         play N seeds instead of the test's own number, and say how far it is
//	-seed A -seeds N play the seeds A, A+1, ... A+N-1: a part of a soak
//	-replay FILE     play the decisions of a trace, as far as they still apply

// Simulation is a simulator, and what a test wants of it.
type Simulation struct {
	World string            // tells several of one test apart in what is printed; may be empty
	Seeds int               // how many the test plays by itself; default 40
	Must  []string          // sights that have to occur in some seed, or the test is about nothing
	Rules map[string]string // by invariant: what a failure begins with, say a rule of the test's own text

	// Run plays a seed. Only if it is to be told there is a story and a trace.
	Run func(seed uint64, tell bool) Outcome
	// Replay plays what Outcome.Trace made, or what somebody made of it. The error is about the text.
	Replay func(trace string) (Outcome, error)
}

// Outcome is what a run leaves.
type Outcome struct {
	Seed   uint64
	Err    error // nil, or what broke: a Failure, most often
	Hash   uint64
	Events int
	Saw    []Sight

	Story  []string                        // what happened, line by line
	State  string                          // where everybody stands, if Err is not nil
	Trace  func(test, world string) string // the run as a file; its second line is "# test: " and the test
	Beside []Beside                        // more files about the failure

	Decisions, Skipped int // of a replay: how many there were, and how many no longer apply
}

// Beside is a file that is kept beside the trace of a failure.
type Beside struct {
	What    string // for the reader: "picture"
	Ending  string // of the file's name: ".html"
	Content []byte
}

// PlaySeeds plays seeds and ends the test at the first that breaks an invariant. It says which invariant, how the run
// came there, and the command that plays the seed again; and it leaves the whole run in a file, as a trace.
func PlaySeeds(t testing.TB, s Simulation) {
	t.Helper()
	if file := flagValue("replay"); file != "" {
		s.replayFile(t, file)
		return
	}
	first, count := s.flags()
	seen, begin, events := map[string]int{}, time.Now(), 0
	told := begin
	for seed := first; seed < first+count; seed++ {
		out := s.Run(seed, false)
		events += out.Events
		for _, sight := range out.Saw {
			seen[sight.What] += sight.Count
		}
		if out.Err != nil {
			s.failed(t, out)
		}
		if flagValue("seeds") != "0" && time.Since(told) > time.Second {
			told = time.Now()
			fmt.Fprintf(os.Stderr, "%s: %d of %d seeds, %d events\n", s.title(t), seed-first+1, count, events)
		}
	}
	if count == 1 && testing.Verbose() {
		io.WriteString(os.Stdout, strings.Join(s.Run(first, true).Story, "\n")+"\n")
		return
	}
	for _, what := range s.Must {
		if seen[what] == 0 && count >= s.defaultSeeds() {
			t.Errorf("%s: %d seeds, and this never happened: %s", s.title(t), count, what)
		}
	}
	s.logPlayed(t, count, events, time.Since(begin), seen)
}

// logPlayed tells how far it came. It is no helper: the log stands under this file's name, and a failure under the test's.
func (s *Simulation) logPlayed(t testing.TB, seeds uint64, events int, took time.Duration, seen map[string]int) {
	t.Logf("%s: %d seeds, %d events, %.0f a second, saw %v", s.title(t), seeds, events, float64(events)/took.Seconds(), seen)
}

func (s *Simulation) defaultSeeds() uint64 {
	if s.Seeds == 0 {
		return 40
	}
	return uint64(s.Seeds)
}

// flags returns the first seed and how many there are.
func (s *Simulation) flags() (first, count uint64) {
	first, count = 1, s.defaultSeeds()
	seed, seeds := number(flagValue("seed")), number(flagValue("seeds"))
	if seed != 0 {
		first, count = seed, 1
	}
	if seeds != 0 {
		count = seeds
	}
	return first, count
}

func (s *Simulation) title(t testing.TB) string {
	if s.World == "" {
		return t.Name()
	}
	return t.Name() + ": " + s.World
}

// failed ends the test with all there is to say about a run that broke something.
func (s *Simulation) failed(t testing.TB, out Outcome) {
	t.Helper()
	again := s.Run(out.Seed, true)
	if again.Hash != out.Hash {
		t.Fatalf("seed %d is not the same run twice: %v, then %v. Is there a map's order, a clock or global randomness "+
			"in the code?", out.Seed, out.Err, again.Err)
	}
	t.Fatal(s.message(again, fmt.Sprintf("seed %d, after %d events", again.Seed, again.Events)) + s.keep(t, again) +
		"    replay:   " + replayCommand(packagePath(), t.Name(), out.Seed))
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

// keep leaves a run in files that have the same names each time, and says where.
func (s *Simulation) keep(t testing.TB, out Outcome) string {
	name := strings.NewReplacer("/", "-", " ", "_", ".", "").Replace(packagePath() + "-" + t.Name() + "-" + s.World)
	name = filepath.Join(os.TempDir(), "tinykv-traces", fmt.Sprintf("%s-seed%d", strings.Trim(name, "-"), out.Seed))
	said := keepFile("trace", name+".trace", []byte(out.Trace(packagePath()+" "+t.Name(), s.World)))
	for _, b := range out.Beside {
		said += keepFile(b.What, name+b.Ending, b.Content)
	}
	return said
}

func keepFile(what, file string, content []byte) string {
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, content, 0o644)
	}
	if err != nil {
		return fmt.Sprintf("    %-9s not kept: %v\n", what+":", err)
	}
	return fmt.Sprintf("    %-9s %s\n", what+":", file)
}

// storyLines is how much of a story a failure shows: what led to it, and still one screen.
const storyLines = 40

// message tells of a run that broke something.
func (s *Simulation) message(out Outcome, when string) string {
	var b strings.Builder
	invariant, text := "failed", out.Err.Error()
	if f, ok := out.Err.(Failure); ok {
		invariant, text = f.Invariant, f.Text
	}
	if rule := s.Rules[invariant]; rule != "" {
		invariant = rule
	}
	fmt.Fprintf(&b, "%s\n    got:      %s\n", invariant, strings.ReplaceAll(text, "\n", "\n              "))
	fmt.Fprintf(&b, "    when:     %s", when)
	if s.World != "" {
		fmt.Fprintf(&b, ", in the world %q", s.World)
	}
	story := out.Story[max(0, len(out.Story)-storyLines):]
	fmt.Fprintf(&b, "\n    story:    (its end; times in ticks)\n    %s\n", strings.Join(story, "\n    "))
	fmt.Fprintf(&b, "    nodes:    %s\n", strings.ReplaceAll(out.State, "\n", "\n              "))
	return b.String()
}

// replayFile is the part of PlaySeeds for -replay.
func (s *Simulation) replayFile(t testing.TB, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("cannot read the trace: %v", err)
	}
	test, world := belongsTo(string(text))
	if _, name, _ := strings.Cut(test, " "); test != "" && name != t.Name() {
		t.Skipf("the trace belongs to %s", test)
	}
	if test != "" && world != s.World {
		t.Logf("the trace does not belong to the world %q", s.World)
		return
	}
	out, err := s.Replay(string(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if testing.Verbose() {
		io.WriteString(os.Stdout, strings.Join(out.Story, "\n")+"\n")
	}
	played := fmt.Sprintf("%d decisions of %s, %d of them no longer apply", out.Decisions, file, out.Skipped)
	if out.Err != nil {
		t.Fatal(strings.TrimSpace(s.message(out, played)))
	}
	t.Logf("nothing broke: %s", played)
}

// belongsTo reads from the head of a trace which test wrote it, and in which of its worlds.
func belongsTo(text string) (test, world string) {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			break
		}
		if value, ok := strings.CutPrefix(line, "# test: "); ok {
			test = strings.TrimSpace(value)
		}
		if value, ok := strings.CutPrefix(line, "# world: "); ok {
			world = strings.TrimSpace(value)
		}
	}
	return test, world
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

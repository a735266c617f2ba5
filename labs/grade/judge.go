// Judge: what a test process did is turned into an outcome and a message. A function of values, so that every case is
// a table test.

package grade

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"tinykv/labs/course"
)

// execution is all that is known of one test process.
type execution struct {
	transcript
	output    string
	exit      int    // exit status; -1 if a signal ended it
	signal    string // the signal that ended it
	startErr  error  // the process did not start
	cancelled bool   // the run was interrupted
	limit     time.Duration
	timedOut  bool

	startLimit time.Duration // within which the test must have begun; else it timed out
	memory     int64         // bytes it held when it was killed for that; 0 if it was not
	memoryMax  int64
	processes  int // how many processes it had started when it was killed for that; 0 if it was not
	duration   time.Duration
	traces     []string // files that it left and that were kept
}

// verdict is what judge says.
type verdict struct {
	outcome Outcome
	message string
	holes   []string
}

// judge decides. The order of the cases is from the surest reason to the vaguest.
func judge(e execution, p place) verdict {
	if e.cancelled {
		return verdict{outcome: NotRun, message: "interrupted"}
	}
	if e.startErr != nil {
		return verdict{outcome: Failed, message: "the test's process could not be started: " + e.startErr.Error()}
	}
	if passed(e) {
		return verdict{outcome: Passed}
	}
	if holes := findHoles(e.output, p); len(holes) > 0 {
		return verdict{NotWritten, "not written yet: " + strings.Join(holes, ", "), holes}
	}
	switch {
	case e.memory > 0:
		return verdict{outcome: Crashed, message: fmt.Sprintf(
			"killed because it held %d MiB of memory; the limit is %d MiB", e.memory>>20, e.memoryMax>>20)}
	case e.processes > 0:
		return verdict{outcome: Crashed, message: fmt.Sprintf("killed because it had started %d processes", e.processes)}
	case e.timedOut && !e.began:
		return verdict{outcome: NeverBegan, message: neverBeganMessage(e, p)}
	case e.timedOut:
		return verdict{outcome: TimedOut, message: timeoutMessage(e, p)}
	}
	if message, ok := crashMessage(e, p); ok {
		return verdict{outcome: Crashed, message: message}
	}
	return verdict{outcome: Failed, message: failureMessage(e, p)}
}

// passed is the whole condition of a pass. Text that the code under test prints can forge the event, but not the
// proof; and the proof with status 0 says that nothing failed, but not that the test ran.
func passed(e execution) bool {
	return e.proved && e.proofCode == 0 && e.exit == 0 && !e.timedOut && e.memory == 0 && e.processes == 0 &&
		e.passes == 1 && e.fails == 0 && e.skips == 0
}

var (
	// all that course.ParsePanicText would find one by one
	holePanic  = regexp.MustCompile(`\b([0-9][a-z]*): (\S+) is yours to write`)
	panicLine  = regexp.MustCompile(`(?m)^(panic|fatal error): (.*)$`)
	raceLine   = regexp.MustCompile(`(?m)^WARNING: DATA RACE$`)
	recovered  = regexp.MustCompile(` \[recovered[^\]]*\]$`) // package testing catches a panic and throws it again
	traceFile  = regexp.MustCompile(`(?m)^\s+(\S+\.go):(\d+)`)
	outOfMemo  = "runtime: out of memory"
	quitHeader = "SIGQUIT: quit"
)

// findHoles lists the holes that the output tells of, in the order they were met.
func findHoles(output string, p place) []string {
	var holes []string
	for _, m := range holePanic.FindAllStringSubmatchIndex(output, -1) {
		id, name := output[m[2]:m[3]], output[m[4]:m[5]]
		file := p.holes[course.PanicText(id, name)]
		if file == "" {
			file, _ = p.firstFrame(output[m[1]:])
		}
		if file != "" {
			name += " in " + file
		}
		if !slices.Contains(holes, name) {
			holes = append(holes, name)
		}
	}
	return holes
}

// firstFrame is the first position in a stack trace that lies in the learner's module and not in its tests, else the
// first in its tests.
func (p place) firstFrame(trace string) (file, line string) {
	for _, m := range traceFile.FindAllStringSubmatch(trace, -1) {
		name, ours := strings.CutPrefix(m[1], p.module+"/")
		if !ours || p.module == "" {
			continue
		}
		if !strings.HasSuffix(name, "_test.go") {
			return name, m[2]
		}
		if file == "" {
			file, line = name, m[2]
		}
	}
	return file, line
}

// at formats the first frame of a trace as a suffix.
func (p place) at(trace string) string {
	file, line := p.firstFrame(trace)
	if file == "" {
		return ""
	}
	return "\nat " + file + ":" + line
}

func timeoutMessage(e execution, p place) string {
	message := fmt.Sprintf("still running after %v, so it was stopped", e.limit)
	_, dump, found := strings.Cut(e.output, quitHeader)
	if !found {
		return message
	}
	for _, goroutine := range strings.Split(dump, "\n\n") {
		if strings.Contains(goroutine, "."+e.test+"(") {
			return message + strings.Replace(p.at(goroutine), "\nat", "\nit was at", 1)
		}
	}
	return message + strings.Replace(p.at(dump), "\nat", "\nit was at", 1)
}

func neverBeganMessage(e execution, p place) string {
	message := fmt.Sprintf("the program hangs before any test begins: %v after its start none had", e.startLimit)
	if _, dump, found := strings.Cut(e.output, quitHeader); found {
		message += strings.Replace(p.at(dump), "\nat", "\nit was at", 1)
	}
	return message + "\nlook for an init function, or a package variable's value, that loops or waits"
}

// crashMessage tells a crash by what the runtime printed.
func crashMessage(e execution, p place) (string, bool) {
	if m := raceLine.FindStringIndex(e.output); m != nil {
		return "data race: two goroutines use the same memory, one of them writes" + p.at(e.output[m[1]:]), true
	}
	if e.proved {
		return "", false // the tests ran to their end, so nothing crashed, whatever was printed
	}
	if strings.Contains(e.output, outOfMemo) {
		return "out of memory", true
	}
	// A log line may begin with "panic:" as well. What the runtime prints is followed by a goroutine's trace.
	for _, m := range panicLine.FindAllStringSubmatchIndex(e.output, -1) {
		rest := e.output[m[1]:]
		if strings.Contains(rest, "\ngoroutine ") || strings.Contains(rest, "\nruntime stack:") {
			return recovered.ReplaceAllString(e.output[m[0]:m[1]], "") + p.at(rest), true
		}
	}
	if e.signal != "" {
		return "the process was ended by a signal: " + e.signal, true
	}
	return "", false
}

// failureMessage is the reason that the test gave, or else what can be said about how its process ended.
func failureMessage(e execution, p place) string {
	switch {
	case e.fails == 0 && e.skips > 0:
		return "it was skipped, and a skipped test earns nothing" + reasonSuffix(e)
	case e.fails == 0 && !e.proved && e.passes > 0:
		return fmt.Sprintf("the process printed that the test passed, but ended (exit status %d) before the test was over",
			e.exit)
	case e.fails == 0 && !e.proved:
		return fmt.Sprintf("the process ended (exit status %d) in the middle of the test: "+
			"does the code call os.Exit or log.Fatal?", e.exit)
	case e.fails == 0 && e.passes != 1:
		return "the test did not report a result of its own"
	}
	reason, others := pickReason(e, p)
	if reason == nil {
		return "it failed and gave no reason"
	}
	message := reason.text
	if sub, ok := strings.CutPrefix(reason.test, e.test+"/"); ok {
		message = sub + ": " + message
	}
	message += "\nat " + path.Join(p.testDir, reason.at)
	if others > 0 {
		message += fmt.Sprintf("\n(and %d more that failed)", others)
	}
	return message
}

func reasonSuffix(e execution) string {
	if len(e.blocks) == 0 {
		return ""
	}
	return ": " + e.blocks[len(e.blocks)-1].text
}

// pickReason finds the first thing that a failed test or subtest said that was more than a log line, and counts the
// failed subtests beside it. What is said in the stage's own files comes before what others say, a simulator's log of
// how far it came.
func pickReason(e execution, p place) (reason *block, others int) {
	subtests := 0
	for _, name := range e.failed {
		if name != e.test && !hasFailedChild(e.failed, name) {
			subtests++
		}
	}
	ofFailed := func(b block) bool { return slices.Contains(e.failed, b.test) && p.mayBeReason(b) }
	for _, accept := range []func(block) bool{
		func(b block) bool { return ofFailed(b) && p.files[fileOf(b)] },
		ofFailed,
		p.mayBeReason,
		func(b block) bool { return true },
	} {
		if i := slices.IndexFunc(e.blocks, accept); i >= 0 {
			return &e.blocks[i], max(subtests-1, 0)
		}
	}
	return nil, 0
}

// mayBeReason tells whether a test may have said it about a failure: it is no call that only logs, and more than the
// command that plays a seed again.
func (p place) mayBeReason(b block) bool {
	return !p.logs[b.at] && (!replayLine.MatchString(b.text) || strings.Contains(b.text, "\n"))
}

// fileOf is the file in which the text was said, or the helper was called that said it.
func fileOf(b block) string {
	file, _, _ := strings.Cut(b.at, ":")
	return file
}

func hasFailedChild(failed []string, name string) bool {
	return slices.ContainsFunc(failed, func(other string) bool { return strings.HasPrefix(other, name+"/") })
}

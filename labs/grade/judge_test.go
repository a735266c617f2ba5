// Endings that are too slow or too rare to be shown with a real process, as recorded texts; and the reading of torn
// output.

package grade

import (
	"strings"
	"testing"
)

var testPlace = place{module: "tinykv", testDir: "labs/tests/1a", files: map[string]bool{"x_test.go": true},
	holes: map[string]string{"1a: Open": "kv/engine/badger/open.go"}}

const raceText = `==================
WARNING: DATA RACE
Write at 0x00c000012345 by goroutine 8:
  tinykv/kv/engine/badger.(*Engine).Write()
      tinykv/kv/engine/badger/write.go:33 +0x44
  tinykv/labs/tests/1a_test.TestX.func1()
      tinykv/labs/tests/1a/x_test.go:20 +0x30

Previous read at 0x00c000012345 by goroutine 7:
==================
`

const trappedHole = `panic: 1a: Open is yours to write

goroutine 7 [running]:
tinykv/kv/engine/badger.Open(...)
	tinykv/kv/engine/badger/open.go:12
`

func TestRecordedEndings(t *testing.T) {
	for name, c := range map[string]struct {
		e       execution
		outcome Outcome
		message string
	}{
		"a race in a test that passed otherwise": {
			execution{transcript: transcript{test: "TestX", proved: true, passes: 1}, exit: 66, output: raceText},
			Crashed, "data race: two goroutines use the same memory, one of them writes\nat kv/engine/badger/write.go:33",
		},
		"a race in a test that failed for it": {
			execution{transcript: transcript{test: "TestX", proved: true, proofCode: 1, fails: 1}, exit: 1, output: raceText},
			Crashed, "data race: two goroutines use the same memory, one of them writes\nat kv/engine/badger/write.go:33",
		},
		"no memory": {
			execution{output: "fatal error: runtime: out of memory\n\nruntime stack:\n", exit: 2}, Crashed, "out of memory",
		},
		"a signal": {
			execution{signal: "segmentation fault", exit: -1}, Crashed, "the process was ended by a signal: segmentation fault",
		},
		"a log line that looks like a panic": {
			execution{output: "panic: not really\n", exit: 3}, Failed,
			"the process ended (exit status 3) in the middle of the test: does the code call os.Exit or log.Fatal?",
		},
		"a hole behind a recover, so that the test hangs": {
			execution{output: "handler: " + trappedHole, timedOut: true}, NotWritten,
			"not written yet: Open in kv/engine/badger/open.go",
		},
		"a hole that the table does not know": {
			execution{output: strings.ReplaceAll(trappedHole, "Open", "Shut"), exit: 2}, NotWritten,
			"not written yet: Shut in kv/engine/badger/open.go",
		},
		"a pass without proof": {
			execution{transcript: transcript{passes: 1}}, Failed,
			"the process printed that the test passed, but ended (exit status 0) before the test was over",
		},
		"proof of nothing: the test did not run": {
			execution{transcript: transcript{proved: true}}, Failed, "the test did not report a result of its own",
		},
		"a second PASS event": {
			execution{transcript: transcript{proved: true, passes: 2}}, Failed, "the test did not report a result of its own",
		},
		"proof of failure with a forged exit status": {
			execution{transcript: transcript{proved: true, proofCode: 1, passes: 1}}, Failed, "it failed and gave no reason",
		},
		"a failure of several lines that ends with its replay, after a log of a simulator": {
			execution{transcript: transcript{test: "TestX", proved: true, proofCode: 1, fails: 1, failed: []string{"TestX"},
				blocks: []block{
					{"TestX", "play.go:30", "TestX: 5 seeds, 300 events"},
					{"TestX", "x_test.go:11", "replay: go run ./labs test 1a --run TestX --seed 2"},
					{"TestX", "x_test.go:11", "two leaders\n    replay:   go run ./labs test 1a --run TestX --seed 3"},
				}}, exit: 1},
			Failed, "two leaders\n    replay:   go run ./labs test 1a --run TestX --seed 3\nat labs/tests/1a/x_test.go:11",
		},
		"a failure that only a helper elsewhere tells": {
			execution{transcript: transcript{test: "TestX", proved: true, proofCode: 1, fails: 1, failed: []string{"TestX"},
				blocks: []block{{"TestX", "desk.go:30", "the desk is on fire"}}}, exit: 1},
			Failed, "the desk is on fire\nat labs/tests/1a/desk.go:30",
		},
		"interrupted": {execution{cancelled: true, transcript: transcript{proved: true, passes: 1}}, NotRun, "interrupted"},
	} {
		if v := judge(c.e, testPlace); v.outcome != c.outcome || v.message != c.message {
			t.Errorf("%s: %s, %q\nwant %s, %q", name, v.outcome, v.message, c.outcome, c.message)
		}
	}
}

// TestTornOutputIsReadTheSame cuts a transcript at every byte: how the operating system splits output must not matter.
func TestTornOutputIsReadTheSame(t *testing.T) {
	const text = "\x16=== RUN   TestX\nno end of line\x16=== RUN   TestX/sub\n    x_test.go:5: first\n        second\n" +
		"\x16--- FAIL: TestX/sub (0.00s)\n\x16--- FAIL: TestX (0.00s)\n\x16FAIL\n\nN0NCE 1\n"
	read := func(cut int) (t transcript, out string) {
		t = transcript{test: "TestX", nonce: "N0NCE", headMax: outputHeadBytes}
		t.Write([]byte(text[:cut]))
		t.Write([]byte(text[cut:]))
		return t, t.text()
	}
	whole, want := read(0)
	if !whole.proved || whole.proofCode != 1 || whole.fails != 1 || !whole.began || len(whole.failed) != 2 ||
		len(whole.blocks) != 1 || whole.blocks[0] != (block{"TestX/sub", "x_test.go:5", "first\nsecond"}) {
		t.Fatalf("read %+v", whole)
	}
	if strings.Contains(want, "N0NCE") || strings.ContainsRune(want, framing) {
		t.Fatalf("the text shows the proof or framing: %q", want)
	}
	for cut := range text {
		got, out := read(cut)
		if out != want || got.proved != whole.proved || len(got.blocks) != 1 || got.blocks[0] != whole.blocks[0] {
			t.Fatalf("cut at byte %d: %q, %+v\nwant %q", cut, out, got.blocks, want)
		}
	}
}

// FuzzTranscript: no output makes the reader fail, keep more than it may, or see a proof that it was not given.
func FuzzTranscript(f *testing.F) {
	f.Add("\x16--- PASS: TestX (0.00s)\n")
	f.Add("    x_test.go:5: a\n        b\n\x16=== NAME  \n")
	f.Add("replay: \x16\x16\n\xff")
	f.Fuzz(func(t *testing.T, text string) {
		tr := transcript{test: "TestX", nonce: "a word that is not in the text", headMax: outputHeadBytes}
		for range 3 {
			tr.Write([]byte(text))
		}
		out := printable(tr.text())
		if tr.proved || len(out) > 4*(outputHeadBytes+2*outputTailBytes+lineBytes) || len(tr.replays) > maxReplays {
			t.Fatalf("proved %v, %d bytes kept, %d replays", tr.proved, len(out), len(tr.replays))
		}
	})
}

package sim_test

import (
	"reflect"
	"strings"
	"testing"

	"tinykv/kv/sim"
)

// TestSameSeedSameRun : a seed is a run, to the last event.
func TestSameSeedSameRun(t *testing.T) {
	for _, w := range worlds {
		a, b := sim.Run(3, w.Options), sim.Run(3, w.Options)
		if a.Hash != b.Hash || a.Events != b.Events {
			t.Errorf("%s: seed 3: %x after %d events, then %x after %d", w.Name, a.Hash, a.Events, b.Hash, b.Events)
		}
		if c := sim.Run(103, w.Options); c.Hash == a.Hash {
			t.Errorf("%s: seeds 3 and 103 are the same run", w.Name)
		}
	}
}

// TestTraceIsTheRun : the decisions of a run, written as text and read back, are the same run, told in the same words.
func TestTraceIsTheRun(t *testing.T) {
	for _, w := range worlds {
		const seed = 1
		opts := w.Options
		opts.Trace = true
		run := sim.Run(seed, opts)
		text := (&sim.Trace{Test: "x", Seed: seed, Decisions: run.Decisions}).Format()
		trace, err := sim.ParseTrace(text)
		if err != nil {
			t.Fatal(err)
		}
		again := sim.Play(trace.Seed, trace.Decisions, opts)
		for i := range min(len(run.Story), len(again.Story)) {
			if run.Story[i] != again.Story[i] {
				t.Fatalf("%s: line %d of the story was\n%s\nand is\n%s", w.Name, i, run.Story[i], again.Story[i])
			}
		}
		if again.Hash != run.Hash || again.Skipped > 0 || len(run.Story) != len(again.Story) {
			t.Errorf("%s: %x, then %x; %d decisions skipped; %d lines, then %d", w.Name, run.Hash, again.Hash, again.Skipped,
				len(run.Story), len(again.Story))
		}
	}
}

// TestTraceOfPieces : a list of decisions in which some are missing is still a run without broken invariants.
func TestTraceOfPieces(t *testing.T) {
	for _, w := range worlds {
		opts := w.Options
		opts.Record = true
		run := sim.Run(7, opts)
		for _, keep := range []int{2, 5} {
			var some []sim.Decision
			for i, d := range run.Decisions {
				if i%keep != 0 || d.Verb == sim.VerbStart && d.At == 0 {
					some = append(some, d)
				}
			}
			if p := sim.Play(7, some, w.Options); p.Err != nil {
				t.Errorf("%s, one decision in %d left out: %v", w.Name, keep, p.Err)
			}
		}
	}
}

func TestParseTrace(t *testing.T) {
	const text = `# trace of sim, version 1
# test: ./kv/sim TestSeeds/three
# world: three stores
# seed: 17
0.000 start 1
12.34567891 crash 2
12.400 crash 2 within WriteLog 1
12.400 crash 2 before any 3
12.500 stop 3
#   s3 was told something
13.000 pause 1 for 40.000
13.000 stall 1 for 4.000
13.000 stall 1 before Publish for 4.000
13.000 jump 1 for 0.50000001
13.000 drift 1 slow
14.000 call 3 of 1 put 0,4 at 2 for 23.000
14.000 cut 1->2
14.000 delay 2->1 for 30.000
14.000 mend
14.000 weather lose 10 repeat 20 slow 100
15.000 disk 2 log full
15.000 flip 2 data
15.000 transfer 2 to 3
15.000 change 2 add 1001 on 4
15.000 stray 1 term
15.000 calm without 2,3
16.000 calm
# broke: one-answer: store 1
`
	trace, err := sim.ParseTrace(text)
	if err != nil {
		t.Fatal(err)
	}
	trace.Decisions[4].Told = []string{"s3 was told something"}
	if got := trace.Format(); got != text {
		t.Errorf("read and written:\n%s", got)
	}
	again, err := sim.ParseTrace(trace.Format())
	if err != nil || len(again.Decisions) != 22 {
		t.Fatalf("%v, %d decisions", err, len(again.Decisions))
	}
	again.Decisions[4].Told = trace.Decisions[4].Told
	if !reflect.DeepEqual(again, trace) {
		t.Errorf("%+v", again)
	}
	for _, bad := range []string{"tick 1", "start", "start x", "start 1 2", "cut 1", "crash 1 after Send 1", "12.0",
		"call 1 of 0 put 0 at 1", "call 1 of 0 put a at 1 for 2.0", "calm with 1", "weather lose 1", "pause 1", "disk 1 log wet"} {
		if _, err := sim.ParseTrace("# trace of sim, version 1\n" + bad); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := sim.ParseTrace("start 1"); err == nil {
		t.Error("a text without the header is accepted")
	}
}

package rafttest_test

import (
	"reflect"
	"slices"
	"testing"

	"tinykv/raft/rafttest"
)

// TestTraceIsTheRun : the decisions of a run, written as text and read back, are the same run.
func TestTraceIsTheRun(t *testing.T) {
	for _, w := range worlds {
		const seed = 1
		w.opts.Record, w.opts.Trace = true, true
		run := rafttest.Run(seed, w.opts)
		text := (&rafttest.Trace{Test: "x", Decisions: run.Decisions}).Format()
		trace, err := rafttest.ParseTrace(text)
		if err != nil {
			t.Fatal(err)
		}
		again := rafttest.Play(trace.Decisions, w.opts)
		if again.Err != nil || again.Skipped > 0 || again.Acks != run.Acks || again.Reads != run.Reads {
			t.Errorf("%s: seed %d: %v, %d decisions skipped, %d writes, %d reads; the run had %d and %d", w.name, seed,
				again.Err, again.Skipped, again.Acks, again.Reads, run.Acks, run.Reads)
		}
		for i := range min(len(run.Trace), len(again.Trace)) {
			if run.Trace[i] != again.Trace[i] {
				t.Fatalf("%s: seed %d: line %d of the story was\n%s\nand is\n%s", w.name, seed, i, run.Trace[i], again.Trace[i])
			}
		}
		if again.Hash != run.Hash || len(run.Trace) != len(again.Trace) {
			t.Errorf("%s: seed %d: %x, then %x; %d lines, then %d", w.name, seed, run.Hash, again.Hash, len(run.Trace),
				len(again.Trace))
		}
	}
}

// TestTraceOfPieces : a list of decisions in which some are missing is still a run without broken invariants.
func TestTraceOfPieces(t *testing.T) {
	for _, w := range worlds {
		w.opts.Record = true
		run := rafttest.Run(7, w.opts)
		for _, keep := range []int{2, 5} {
			var some []rafttest.Decision
			for i, d := range run.Decisions {
				if i%keep != 0 || d.Verb == rafttest.VerbStart {
					some = append(some, d)
				}
			}
			p := rafttest.Play(some, w.opts)
			if p.Err != nil || p.Skipped == 0 || p.Applied == 0 {
				t.Errorf("%s, one decision in %d left out: %v, %d applied, %d skipped", w.name, keep, p.Err, p.Applied, p.Skipped)
			}
		}
	}
}

func TestParseTrace(t *testing.T) {
	const text = `# trace of rafttest, version 1
# test: ./raft/rafttest TestSeeds/three
# world: three nodes
0.0000 start 1 rand 8271
10.3100 tick 1
#   n1 was told something
10.5200 deliver 1->3 PreVote ~1
10.6000 synced 2 ! crash at 3 keep 1 torn
11.0000 drop 1->2 App
11.0000 repeat 1->2 App
11.0000 apply 3
12.0000 crash 3 keep 0
12.0000 crash 3 keep 2 torn
12.0000 propose 1 command 17 count 3
12.0000 read 2
12.0000 transfer 2 to 3
12.0000 change 2 explicit +1 -2 ~3
12.0000 flush 2 keeping 7
12.0000 report 1->2 snapshot failed
12.0000 unreachable 1->2
12.0000 cut 1->2
12.0000 mend
12.0000 calm
# broke: election-safety: nodes 1 and 2 lead term 4
`
	trace, err := rafttest.ParseTrace(text)
	if err != nil {
		t.Fatal(err)
	}
	trace.Decisions[1].Told = []string{"n1 was told something"}
	if got := trace.Format(); got != text {
		t.Errorf("read and written:\n%s", got)
	}
	if trace.Test != "./raft/rafttest TestSeeds/three" || len(trace.Decisions) != 19 {
		t.Errorf("%+v", trace)
	}
	again, err := rafttest.ParseTrace(trace.Format())
	again.Decisions[1].Told = trace.Decisions[1].Told
	if err != nil || !reflect.DeepEqual(again, trace) {
		t.Errorf("%v, %+v", err, again)
	}
	for _, bad := range []string{"", "tick", "tick x", "sneeze 1", "deliver 1", "propose 1 count", "12.0"} {
		if bad == "" {
			bad = "x"
		}
		if _, err := rafttest.ParseTrace("# trace of rafttest, version 1\n" + bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestTraceGoesOnToLiveness : a list that ends where the calm begins is judged by a fair schedule after it.
func TestTraceGoesOnToLiveness(t *testing.T) {
	for _, w := range worlds {
		w.opts.Record = true
		run := rafttest.Run(3, w.opts)
		calm := slices.IndexFunc(run.Decisions, func(d rafttest.Decision) bool { return d.Verb == rafttest.VerbCalm })
		upTo := rafttest.Play(run.Decisions[:calm], w.opts)
		after := run.Decisions[:calm+1]
		for id := range uint64(8) { // all nodes are back
			after = append(after[:len(after):len(after)], rafttest.Decision{Verb: rafttest.VerbStart, Node: id + 1})
		}
		p := rafttest.Play(after, w.opts)
		if upTo.Err != nil || p.Err != nil || p.Acks < upTo.Acks+3 || p.Reads < upTo.Reads+3 {
			t.Errorf("%s: %v, %v; %d writes and %d reads, after the calm %d and %d", w.name, upTo.Err, p.Err, upTo.Acks,
				upTo.Reads, p.Acks, p.Reads)
		}
	}
}

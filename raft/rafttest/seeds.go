package rafttest

import (
	"testing"
)

// World is a kind of cluster that a test plays seeds in.
type World struct {
	Options
	Name  string            // tells several worlds of one test apart in what is printed; may be empty
	Seeds int               // how many the test plays by itself; default 40
	Must  []string          // sights (Result.Saw) that have to occur in some seed, or the test is about nothing
	Rules map[string]string // by invariant (doc.go): what a failure begins with, say a rule of the test's own text
}

// Seeds plays seeds in a world and ends the test at the first that breaks an invariant, as PlaySeeds does.
func Seeds(t testing.TB, w World) {
	t.Helper()
	PlaySeeds(t, Simulation{World: w.Name, Seeds: w.Seeds, Must: w.Must, Rules: w.Rules,
		Run: w.run, Replay: w.replay})
}

func (w *World) run(seed uint64, tell bool) Outcome {
	opts := w.Options
	opts.Trace, opts.Record = tell, tell
	return outcome(Run(seed, opts))
}

func (w *World) replay(text string) (Outcome, error) {
	trace, err := ParseTrace(text)
	if err != nil {
		return Outcome{}, err
	}
	opts := w.Options
	opts.Trace = true
	p := Play(trace.Decisions, opts)
	out := outcome(p.Result)
	out.Decisions, out.Skipped = len(trace.Decisions), p.Skipped
	return out, nil
}

func outcome(res Result) Outcome {
	return Outcome{Seed: res.Seed, Err: res.Err, Hash: res.Hash, Events: res.Events, Saw: res.Saw, Story: res.Trace,
		State: res.State, Trace: func(test, world string) string {
			trace := Trace{Test: test, World: world, Decisions: res.Decisions}
			if res.Err != nil {
				trace.Broke = res.Err.Error() + "\n" + res.State
			}
			return trace.Format()
		}}
}

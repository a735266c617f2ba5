// Playing seeds in tests: rafttest.PlaySeeds with this simulator.

package sim

import (
	"testing"

	"tinykv/raft/rafttest"
)

// World is a kind of cluster that a test plays seeds in.
type World struct {
	Options
	Name  string            // tells several worlds of one test apart in what is printed; may be empty
	Seeds int               // how many the test plays by itself; default 40
	Must  []string          // sights (Result.Saw) that have to occur in some seed, or the test is about nothing
	Rules map[string]string // by invariant (doc.go): what a failure begins with, say a rule of the test's own text
}

// Seeds plays seeds in a world and ends the test at the first that breaks an invariant. It says which invariant, how the
// run came there, and the command that plays the seed again; and it leaves the whole run in a file, as a trace, and the
// picture of a history that is not linearizable beside it. It obeys the flags of rafttest: -seed, -seeds, -replay.
func Seeds(t testing.TB, w World) {
	t.Helper()
	rafttest.PlaySeeds(t, rafttest.Simulation{World: w.Name, Seeds: w.Seeds, Must: w.Must, Rules: w.Rules,
		Run: w.run, Replay: w.replay})
}

func (w *World) run(seed uint64, tell bool) rafttest.Outcome {
	opts := w.Options
	opts.Trace, opts.Record = tell, tell
	return outcome(Run(seed, opts))
}

func (w *World) replay(text string) (rafttest.Outcome, error) {
	trace, err := ParseTrace(text)
	if err != nil {
		return rafttest.Outcome{}, err
	}
	opts := w.Options
	opts.Trace = true
	p := Play(trace.Seed, trace.Decisions, opts)
	out := outcome(p.Result)
	out.Decisions, out.Skipped = len(trace.Decisions), p.Skipped
	return out, nil
}

func outcome(res Result) rafttest.Outcome {
	out := rafttest.Outcome{Seed: res.Seed, Err: res.Err, Hash: res.Hash, Events: res.Events, Saw: res.Saw, Story: res.Story,
		State: res.State, Trace: func(test, world string) string {
			trace := Trace{Test: test, World: world, Seed: res.Seed, Decisions: res.Decisions}
			if res.Err != nil {
				trace.Broke = res.Err.Error() + "\n" + res.State
			}
			return trace.Format()
		}}
	if len(res.Picture) > 0 {
		out.Beside = append(out.Beside, rafttest.Beside{What: "picture", Ending: ".html", Content: res.Picture})
	}
	return out
}

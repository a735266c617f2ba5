// Whole clusters under faults: what clients see is checked for linearizability, and leases against each other.

package stage2bc_test

import (
	"testing"

	"tinykv/kv/sim"
	"tinykv/labs/tests/explain"
	"tinykv/raft"
)

// rules are what the simulator's invariants mean in this stage.
var rules = map[string]string{
	"fresh":             broken(newest),
	"swap-atomic":       broken(newest),
	"linearizable":      broken(together),
	"one-lease":         broken(ends),
	"published-applied": broken(news),
	"monotone":          broken(news),
	"one-answer":        broken(oneAnswer),
	"answers":           broken(oneAnswer),
	"converge":          broken(oneAnswer),
	"ticks":             broken(ends),
	"liveness":          broken(together),
	"bounded":           broken(refused),
	"halt":              "A store ended by itself. Reads and views have nothing that may fail: look at the text of the error.",
}

func broken(r explain.Rule) string { return r.ID + " is broken: " + r.Says + "." }

var byLease = raft.Config{ReadMode: raft.ReadLease}

func TestReadsWhileLeadersFall(t *testing.T) {
	sim.Seeds(t, sim.World{Seeds: 20, Rules: rules, Options: sim.Options{Favour: sim.FavourLeaders, Ticks: 300}})
}

func TestLeasesWhileLeadersFall(t *testing.T) {
	sim.Seeds(t, sim.World{Seeds: 20, Rules: rules, Must: []string{"lease read"},
		Options: sim.Options{Favour: sim.FavourLeaders, Raft: byLease, Ticks: 300}})
}

func TestLeasesOnClocksThatDrift(t *testing.T) {
	sim.Seeds(t, sim.World{Seeds: 20, Rules: rules, Must: []string{"lease read", "paused"},
		Options: sim.Options{Favour: sim.FavourClocks, Raft: byLease, Ticks: 300}})
}

func TestLeasesWhileSnapshotsAreInstalled(t *testing.T) {
	sim.Seeds(t, sim.World{Seeds: 15, Rules: rules, Must: []string{"lease read"},
		Options: sim.Options{Favour: sim.FavourSnapshots, Raft: byLease, Ticks: 300}})
}

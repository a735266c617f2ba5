// Whole clusters under faults: what clients see is checked for linearizability, and leases against each other.

package stage2bc_test

import (
	"testing"

	"tinykv/kv/sim"
	"tinykv/raft"
)

// rules words the invariants of package sim that are about reading.
var rules = map[string]string{
	"linearizable":      together.ID + ": " + together.Says,
	"one-lease":         ends.ID + ": " + ends.Says,
	"published-applied": news.ID + ": " + news.Says,
	"one-answer":        oneAnswer.ID + ": " + oneAnswer.Says,
	"answers":           oneAnswer.ID + ": " + oneAnswer.Says,
	"converge":          oneAnswer.ID + ": " + oneAnswer.Says,
	"liveness":          together.ID + ": " + together.Says,
}

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

// Whole clusters whose logs are so short that who was away for a moment needs a snapshot.

package stage2cc_test

import (
	"testing"

	"tinykv/kv/replica"
	"tinykv/kv/sim"
)

// rules are what the simulator's invariants mean in this stage.
var rules = map[string]string{
	"snapshot":             broken(whole),
	"snapshots-closed":     broken(leaks),
	"bounded":              broken(single),
	"replicas-equal":       broken(replaces),
	"durable":              broken(restarts),
	"restart":              broken(restarts),
	"halt":                 broken(restarts),
	"log-kept":             broken(restarts),
	"monotone":             broken(goesOn),
	"published-applied":    broken(goesOn),
	"apply-order":          broken(goesOn),
	"applied-once":         broken(goesOn),
	"one-answer":           broken(fates),
	"answers":              broken(fates),
	"refused-applied":      broken(fates),
	"data-removed":         broken(replaces),
	"persist-before-send":  broken(accepted),
	"durable-quorum":       broken(accepted),
	"acknowledged-applied": broken(together),
	"state-machine-safety": broken(together),
	"atomic-batch":         broken(together),
	"linearizable":         broken(together),
	"liveness":             broken(together),
	"converge":             broken(together),
	"rest":                 broken(together),
}

func TestStoresFallBehindAndCatchUp(t *testing.T) {
	sim.Seeds(t, sim.World{Seeds: 20, Rules: rules, Options: sim.Options{Ticks: 250, Favour: sim.FavourSnapshots},
		Must: []string{"snapshot installed", "stream broken", "crash"}})
}

// Five stores of which each may hold one state to be sent: who lags waits for a ticket.
func TestOneTicketServesAll(t *testing.T) {
	sim.Seeds(t, sim.World{Seeds: 12, Rules: rules, Options: sim.Options{Ticks: 250, Stores: 5, Favour: sim.FavourSnapshots,
		Limits: replica.Limits{MaxSnapshots: 1}}, Must: []string{"snapshot installed", "stream broken"}})
}

// Clusters: a crash before any effect, and seeds.

package stage2ba_test

import (
	"fmt"
	"testing"

	"tinykv/kv/sim"
	"tinykv/labs/tests/explain"
	"tinykv/labs/tests/storedesk"
)

// The leader, or a follower, crashes before any of its effects while three values are written. What was acknowledged is on
// all stores in the end.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	for _, id := range []uint64{1, 2} {
		var acked []*storedesk.Request
		eachCrash(t, func() (*desk, *server) {
			d := storedesk.Open(t, together, options{})
			d.Elect(1)
			watchPromises(d)
			return d, d.Store(id)
		}, func(d *desk, s *server) {
			acked = nil
			for i := range 3 {
				if d.Store(1).Core != nil {
					acked = append(acked, d.Store(1).Writes(fmt.Sprint("k", i), fmt.Sprint(i)))
					d.Run()
				}
			}
			d.Tick(1)
		}, func(d *desk, s *server) {
			leader := d.AwaitLeader()
			d.Tick(3)
			for i, r := range acked {
				if got := leader.Get(fmt.Sprint("k", i)); r.Acknowledged() && got != fmt.Sprint(i) {
					d.Brokenf(fmt.Sprintf("k%d=%d, which was acknowledged", i, i), "store %d, which leads, has k%d=%s", leader.ID, i, got)
				}
			}
			for _, o := range d.Stores {
				d.Check(o.Pairs() == leader.Pairs(), fmt.Sprintf("store %d has what the leader has: %s", o.ID, leader.Pairs()),
					"%s", o.Pairs())
			}
		})
	}
}

// rules are what the simulator's invariants mean in this stage.
var rules = map[string]string{
	"persist-before-send":  broken(promises),
	"durable":              broken(restarts),
	"restart":              broken(restarts),
	"published-applied":    broken(ordered),
	"acknowledged-applied": broken(ordered),
	"one-lease":            broken(ordered),
	"address":              broken(addressed),
	"one-answer":           broken(concluded),
	"applied-once":         broken(concluded),
	"liveness":             broken(concluded),
	"converge":             broken(concluded),
	"disk":                 broken(damage),
	"linearizable":         broken(together),
	"durable-quorum":       broken(together),
	"election-safety":      broken(together),
	"state-machine-safety": broken(together),
	"apply-order":          broken(together),
	"replicas-equal":       broken(together),
	"log-kept":             broken(together),
	"monotone":             broken(together),
}

func broken(r explain.Rule) string { return r.ID + " is broken: " + r.Says + "." }

func TestStoresSurviveCrashesBetweenEffects(t *testing.T) {
	sim.Seeds(t, sim.World{Seeds: 15, Rules: rules, Options: sim.Options{Ticks: 250},
		Must: []string{"crash before WriteLog", "crash before Send", "elected"}})
}

func TestStoresSurviveLeadersThatCrash(t *testing.T) {
	sim.Seeds(t, sim.World{Seeds: 10, Rules: rules, Options: sim.Options{Ticks: 250, Favour: sim.FavourLeaders},
		Must: []string{"crash", "leader cut off"}})
}

func TestStoresSurviveSlowDisks(t *testing.T) {
	sim.Seeds(t, sim.World{Seeds: 10, Rules: rules, Options: sim.Options{Ticks: 250, Favour: sim.FavourSlowDisks},
		Must: []string{"crash"}})
}

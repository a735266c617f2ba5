// Package stage2bc_test grades exercise 2bc: linearizable reads, by an index that a quorum confirms, and by a lease.
//
// desk_test.go holds the rules of the handout, and what its tests share. index_test.go and waiting_test.go are about
// reads that go through the loop, lease_test.go about what is published of a lease, readers_test.go about who trusts it.
package stage2bc_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/labs/tests/explain"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

// The workbench in short words.
type (
	desk    = storedesk.Desk
	node    = storedesk.Store
	request = storedesk.Request
	options = storedesk.Options
)

var open = storedesk.Open

// The rules of the handout 2bc.
var (
	newest = explain.Rule{ID: "INV-2bc.1",
		Says: "a read sees every write that was acknowledged before the read was asked for"}
	confirmed = explain.Rule{ID: "INV-2bc.2",
		Says: "a read is answered only after a quorum has followed this leader in a round that began after the read came"}
	appliedFirst = explain.Rule{ID: "INV-2bc.3",
		Says: "a read is answered only when its index is applied, and does not wait for anything after that"}
	oneAnswer = explain.Rule{ID: "INV-2bc.4",
		Says: "each read gets one answer, also if leadership is lost, the store stops, or its caller leaves"}
	oneRound = explain.Rule{ID: "INV-2bc.5",
		Says: "all reads of a turn share one round of messages"}
	refused = explain.Rule{ID: "INV-2bc.6",
		Says: "what can't be served is refused by its name: not the leader, a wrong picture, too many reads that wait"}
	ends = explain.Rule{ID: "INV-2bc.7",
		Says: "a lease ends when the promise of the quorum does, however late ticks were given"}
	ownTerm = explain.Rule{ID: "INV-2bc.8",
		Says: "a lease is published only by a leader whose data holds all that was acknowledged: an entry of its term is applied"}
	withdrawn = explain.Rule{ID: "INV-2bc.9",
		Says: "a lease is withdrawn before a message leaves that may make another leader, and before the store ends"}
	news = explain.Rule{ID: "INV-2bc.10",
		Says: "what is published is true when it is published, and is published only if it is news"}
	careful = explain.Rule{ID: "INV-2bc.11",
		Says: "a reader trusts a view that fits its request, before its lease ends, and looks at it before it takes a snapshot"}
	cheap = explain.Rule{ID: "INV-2bc.12",
		Says: "a leader has a lease as long as a quorum follows it; then reads cost no message and do not wait for the loop"}
	together = explain.Rule{ID: "INV-2bc.13",
		Says: "whatever is lost, late or crashes: what clients see could have come from one copy of the data"}
)

// leaseTicks is how long leases are in these tests.
const leaseTicks = 8

// withLeases makes every store trust leases.
func withLeases(c *store.Config) {
	c.Raft.ReadMode, c.Raft.ElectionTicks, c.Raft.LeaseTicks = raft.ReadLease, 10, leaseTicks
}

// inPortions makes every store apply one entry in a turn.
func inPortions(c *store.Config) { c.Raft.MaxApplyBytes = 1 }

// all makes one change of the configuration out of several.
func all(changes ...func(c *store.Config)) func(c *store.Config) {
	return func(c *store.Config) {
		for _, change := range changes {
			change(c)
		}
	}
}

// isAnswer tells whether a message answers a leader, so that it may confirm a round.
func isAnswer(m *replica.Message) bool {
	return m.Raft.Type == raft.MsgHeartbeatResp || m.Raft.Type == raft.MsgAppResp
}

// holdAnswers keeps the answers of all followers from their leader, until Release.
func holdAnswers(d *desk) {
	d.Say("the network holds what followers answer")
	d.Net = func(m *replica.Message) storedesk.Fate {
		if isAnswer(m) {
			return storedesk.Hold
		}
		return storedesk.Deliver
	}
}

// letThrough delivers what was held, and holds nothing any more.
func letThrough(d *desk) {
	d.Heal()
	d.Release()
	d.Run()
}

// deposes lets a store hear of a leader of the next term, store 2.
func deposes(d *desk, s *node) {
	m := d.Envelope(2, s.ID, raft.Message{Type: raft.MsgHeartbeat, Term: s.View().Term + 1})
	d.Say("store %d hears of a leader of the next term: %s", s.ID, storedesk.ShowMessage(&m))
	d.Arrive(m)
}

// serves ends the test unless a read of one key was answered with the value.
func serves(d *desk, r *request, want string) {
	d.T.Helper()
	d.Check(r.Acknowledged(), r.What+" is answered", "%s", r)
	d.Check(len(r.Values) == 1 && r.Values[0] == want, fmt.Sprintf("%s sees %q", r.What, want), "it sees %q", r.Values)
}

// notLeader ends the test unless a request was answered with NotLeaderError, which names the leader's store; 0: any.
func notLeader(d *desk, r *request, leader uint64) {
	d.T.Helper()
	e, ok := storedesk.ErrorAs[*region.NotLeaderError](r)
	d.Check(ok, r.What+" is answered: NotLeaderError", "%s", r)
	d.Check(leader == 0 || e.Leader.StoreID == leader, fmt.Sprintf("it names the leader, on store %d", leader), "%v", e)
}

// cancelled ends the test unless a read was answered with ErrCancelled.
func cancelled(d *desk, r *request) {
	d.T.Helper()
	d.Check(errors.Is(r.Err(), store.ErrCancelled), r.What+" is answered: ErrCancelled", "%s", r)
}

// leased tells whether readers may trust a lease of a store now.
func leased(s *node, regionID ...uint64) bool {
	v := s.View(regionID...)
	return s.Core != nil && v.LeaseUntil > s.Clock()
}

// hasLease ends the test unless readers may trust a lease of a store now: what a test says of leases that end is about those
// that there were.
func hasLease(d *desk, s *node) {
	d.T.Helper()
	rule := d.Rule
	d.Rule = cheap
	d.Check(leased(s), fmt.Sprintf("a lease of store %d, which a quorum follows", s.ID), "%s; it is %v",
		showLease(s.View().LeaseUntil), s.Clock())
	d.Rule = rule
}

// showLease is the end of a lease on the store's clock.
func showLease(until time.Duration) string {
	if until == 0 {
		return "no lease"
	}
	return fmt.Sprintf("a lease until %v", until)
}

// inTheMiddle has a store apply many entries, one in a turn, and calls now when the n-th of its data writes is done. Since
// their commitment is known before, reads that come then wait for the rest. It returns the last key, whose value is "v".
func inTheMiddle(t *testing.T, d *desk, leader *node, n int, now func(written int)) (last string) {
	t.Helper()
	written := 0
	d.After = func(s *node, e store.Effect) {
		if _, ok := e.(store.WriteData); ok && s == leader {
			written++
			now(written)
		}
	}
	for i := range n {
		last = fmt.Sprintf("key%02d", i)
		leader.Writes(last, "v")
	}
	d.Run()
	d.After = nil
	return last
}

// writesTogether writes the keys key00, key01 and so on at once. All are acknowledged, and the followers have the entries,
// but have not heard yet that they are committed.
func writesTogether(d *desk, s *node, n int) {
	d.T.Helper()
	var writes []*request
	for i := range n {
		writes = append(writes, s.Writes(fmt.Sprintf("key%02d", i), "v"))
	}
	d.Run()
	for _, w := range writes {
		d.Acked(w)
	}
}

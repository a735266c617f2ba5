// What a transfer does to leases, and how a leader without a vote finds its successor.

package stage3aa_test

import (
	"fmt"
	"testing"

	"tinykv/raft"
	"tinykv/raft/rafttest"
)

// leaseDesk is a cluster whose node 1 leads with a lease.
func leaseDesk(t *testing.T) (*desk, *node) {
	t.Helper()
	d := cluster(t, lease, upTo(3), with(raft.Config{ReadMode: raft.ReadLease}))
	p := d.Elect(1)
	d.Tick(2)
	d.Check(p.InLease(), "a leader whose heartbeats were just answered is in its lease", "InLease is false")
	return d, p
}

// readsAt asks for a read and reports whether it is served with no answer of any other node.
func readsAlone(n *node, id uint64) bool {
	n.D.T.Helper()
	n.Must(fmt.Sprintf("ReadIndex(%d)", id), n.ReadIndex(id))
	before := len(n.Reads)
	n.Drain()
	return len(n.Reads) > before
}

// A lease lasts LeaseTicks from the round that a quorum answered.
func TestLeaseRunsOut(t *testing.T) {
	d, p := leaseDesk(t)
	d.Check(readsAlone(p, 1), "a read in the lease is served at once", "it waits")
	d.Isolate(1)
	d.Tick(8) // LeaseTicks; the last round was begun at the last tick before
	d.Check(!p.InLease() && !readsAlone(p, 2), "8 ticks after the last round that was answered the lease is over",
		"InLease is %v", p.InLease())
}

// With ReadQuorum there is no lease at all.
func TestNoLeaseWithoutLeaseMode(t *testing.T) {
	d := cluster(t, lease, upTo(3))
	p := d.Elect(1)
	d.Tick(2)
	d.Check(!p.InLease() && !readsAlone(p, 1), "with ReadQuorum each read asks a quorum", "InLease is %v", p.InLease())
}

// While a transfer is tried reads ask a quorum: the target is about to win without waiting for the lease.
func TestNoLeaseWhileLeadershipMoves(t *testing.T) {
	d, p := leaseDesk(t)
	d.Isolate(3)
	p.Proposes("makes node 3 lag")
	d.Run()
	transfer(p, 3)
	d.Check(!p.InLease(), "no lease from the wish on", "InLease is true")
	d.Check(!readsAlone(p, 1), "a read waits for a quorum", "it was served at once")
	d.Tick(1)
	d.Check(!p.InLease(), "no lease, whatever is answered meanwhile", "InLease is true")
}

// TimeoutNow may arrive late, after the leader gave up. Then the target wins while others still hear from the leader:
// its lease would promise what nobody keeps.
func TestLeaseStaysGivenUpAfterTimeoutNow(t *testing.T) {
	d, p := leaseDesk(t)
	term := p.Term()
	var late []raft.Message
	d.Lost = func(m raft.Message) bool {
		if m.Type == raft.MsgTimeoutNow {
			late = append(late, m)
		}
		return m.Type == raft.MsgTimeoutNow
	}
	transfer(p, 3)
	d.Tick(12)
	leads(d, 1, term)
	d.Check(len(late) > 0, "node 3 was told", "it was not")
	d.Check(!p.InLease() && !readsAlone(p, 1), "no lease in this term, also after the transfer was given up",
		"InLease is %v", p.InLease())
	d.Lost = nil
	d.Isolate(1) // the old leader is cut off, and TimeoutNow arrives
	d.Node(3).Hear(late[0])
	d.Run()
	d.Check(!p.InLease(), "the old leader, which may be deposed by now, trusts no lease", "InLease is true")
}

// The same when another wish came in between: the first target was told all the same.
func TestLeaseStaysGivenUpWhateverIsWishedNext(t *testing.T) {
	d, p := leaseDesk(t)
	d.Isolate(2)
	p.Proposes("x")
	d.Tick(1)
	d.Check(p.InLease(), "a lease, granted by node 3", "InLease is false")
	d.Lost = func(m raft.Message) bool { return m.Type == raft.MsgTimeoutNow }
	transfer(p, 3)
	d.Run()
	transfer(p, 2) // which lacks an entry, and is told nothing
	d.Tick(12)
	d.Check(p.Role() == raft.StateLeader && !p.InLease() && !readsAlone(p, 1),
		"a leader without a lease: node 3 was told to campaign, and may lead by now", "it is a %v, InLease is %v", p.Role(),
		p.InLease())
}

// A lease is the term's: the next leader has one of its own.
func TestNextTermHasALeaseAgain(t *testing.T) {
	d, p := leaseDesk(t)
	transfer(p, 3)
	d.Tick(2)
	p = d.Node(3)
	leads(d, 3, p.Term())
	d.Tick(2)
	d.Check(p.InLease(), "the new leader has a lease", "InLease is false")
	transfer(p, 1)
	d.Tick(3)
	d.Check(d.Node(1).InLease(), "so has the first one when it leads again", "InLease is false")
}

// dismiss lets the leader remove itself, and returns when it has applied that.
func dismiss(d *desk, p *node) {
	d.T.Helper()
	p.Changes(removal(p.ID))
	d.Run()
}

// A leader that is removed hands over as soon as it can (dissertation §4.2.2).
func TestRemovedLeaderHandsOver(t *testing.T) {
	d := cluster(t, successor, upTo(3))
	p := d.Elect(1)
	term := p.Term()
	dismiss(d, p)
	lead := d.Node(2).Lead()
	d.Check(lead == 2 || lead == 3, "node 2 or 3 leads, without a tick", "node %d does", lead)
	leads(d, lead, term+1)
}

// A leader without a vote takes no proposal, even if it has found no successor yet.
func TestLeaderWithoutAVoteTakesNoProposals(t *testing.T) {
	d := cluster(t, successor, upTo(3))
	p := d.Elect(1)
	d.Lost = func(m raft.Message) bool { return m.Type == raft.MsgTimeoutNow }
	dismiss(d, p)
	d.Check(p.Role() == raft.StateLeader, "node 1 leads until somebody else does", "it is a %v", p.Role())
	dropsProposals(p)
	d.Tick(5)
	dropsProposals(p)
}

// The successor must have the whole log, a voter that lags is brought up to date first, and a call that was lost is
// repeated to whoever can lead.
func TestSuccessorHasTheWholeLog(t *testing.T) {
	d := cluster(t, successor, upTo(3))
	p := d.Elect(1)
	p.Changes(removal(1))
	removed := p.LastIndex()
	p.Proposes("tail")
	tellsOnlyWhoHasAll(p, d, 2)
	ms := p.Drain()
	d.Say("nodes 2 and 3 get the change, and not the tail")
	for _, m := range find(ms, raft.MsgApp) {
		if len(m.Entries) > 0 && m.Index < removed {
			m.Entries = m.Entries[:removed-m.Index]
			for _, answer := range d.Node(m.To).Hear(m) {
				p.Hear(answer)
			}
		}
	}
	dropsProposals(p) // with no successor in sight
	d.Run()
	d.Tick(30)
	lead := d.Node(2).Lead()
	d.Check(lead == 2 || lead == 3, "node 2 or 3 leads in the end", "node %d", lead)
	n := d.Node(lead)
	d.Check(len(n.Payloads()) == 1, "and has the tail", "it applied %q", n.Payloads())
}

// The first call is lost: an election timeout later there is another one.
func TestLostCallOfARemovedLeaderIsRepeated(t *testing.T) {
	d := cluster(t, successor, upTo(3))
	p := d.Elect(1)
	calls := 0
	d.Lost = func(m raft.Message) bool {
		if m.Type == raft.MsgTimeoutNow {
			calls++
		}
		return m.Type == raft.MsgTimeoutNow && calls == 1
	}
	dismiss(d, p)
	d.Check(calls == 1 && p.Role() == raft.StateLeader, "node 1 told one node to campaign, and leads on",
		"%d were told, it is a %v",
		calls, p.Role())
	d.Tick(12)
	d.Check(calls >= 2, "the call is repeated after an election timeout", "%d calls", calls)
	lead := d.Node(2).Lead()
	d.Check(lead == 2 || lead == 3, "node 2 or 3 leads in the end", "node %d does", lead)
}

// A learner is up to date too, and is no successor; nor is who does not answer.
func TestSuccessorVotesAndIsAlive(t *testing.T) {
	d := cluster(t, successor, raft.ConfState{Voters: []uint64{2, 3, 4}, Learners: []uint64{1}})
	p := d.Elect(3)
	d.Tick(1)
	d.Isolate(2)
	dismiss(d, p)
	d.Tick(2)
	told := d.SentOf(raft.MsgTimeoutNow)
	d.Check(len(told) > 0, "node 3 tells somebody to campaign", "nobody")
	for _, m := range told {
		d.Check(m.To == 4, "node 4 is told: 2 lacks the change, 1 has no vote", "node %d was", m.To)
	}
}

// A leader that votes hands over only when asked.
func TestLeaderWithAVoteStays(t *testing.T) {
	d := cluster(t, successor, upTo(3))
	p := d.Elect(1)
	term := p.Term()
	p.Changes(removal(3))
	p.Proposes("x")
	d.Tick(25)
	leads(d, 1, term)
	d.Check(len(d.SentOf(raft.MsgTimeoutNow)) == 0, "nobody is told to campaign", "%d were",
		len(d.SentOf(raft.MsgTimeoutNow)))
}

var rules = map[string]string{}

func init() {
	for _, invariant := range []string{"election-safety", "log-matching", "leader-completeness", "state-machine-safety",
		"monotone", "persist-before-send", "durable-quorum", "linearizable-read", "liveness", "one-answer", "panic"} {
		rules[invariant] = safety.ID + " is broken: " + safety.Says + ": " + invariant
	}
}

// Transfers all the time, while nodes crash and the network fails.
func TestTransfersUnderFaults(t *testing.T) {
	for _, w := range []rafttest.World{
		{Name: "quorum", Options: rafttest.Options{Favour: rafttest.FavourTransfers}, Must: []string{"transfer asked"}},
		{Name: "lease", Options: rafttest.Options{Favour: rafttest.FavourTransfers, Ticks: 600,
			Config: raft.Config{ReadMode: raft.ReadLease}}, Must: []string{"transfer asked"}},
		{Name: "changing", Options: rafttest.Options{Favour: rafttest.FavourTransfers, Spares: 2, Ticks: 600},
			Must: []string{"transfer asked"}},
	} {
		w.Seeds, w.Rules = 30, rules
		rafttest.Seeds(t, w)
	}
}

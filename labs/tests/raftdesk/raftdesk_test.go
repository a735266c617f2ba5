// The workbench itself: what it records, and what its network loses. That it drives nodes as it should is shown by all
// tests that use it.

package raftdesk

import (
	"slices"
	"strings"
	"testing"

	"tinykv/labs/tests/explain"
	"tinykv/raft"
)

var rule = explain.Rule{ID: "INV-9a.1", Says: "a rule"}

func TestRecordIsItsEnd(t *testing.T) {
	d := Open(t, rule)
	for i := range 30 {
		d.Say("step %d", i)
	}
	lines := strings.Split(d.Record(), "\n")
	if len(lines) != 21 || lines[0] != "(10 steps before these)" || lines[20] != "step 29" {
		t.Errorf("the record of 30 steps is %d lines:\n%s", len(lines), d.Record())
	}
}

func TestQuietTicksAreOneLine(t *testing.T) {
	d := Open(t, rule).Cluster(UpTo(1))
	d.Done = nil
	d.Tick(3)
	d.Say("something")
	d.Tick(1)
	if want := []string{"3 ticks pass", "something", "a tick passes"}; !slices.Equal(d.Done, want) {
		t.Errorf("the record is %q, want %q", d.Done, want)
	}
}

func TestNetworkLosesWhatIsCut(t *testing.T) {
	d := NewCluster(t, rule, UpTo(3))
	d.Elect(1)
	heard := func(id uint64) bool {
		d.Sent = nil
		d.Tick(1)
		return len(Find(d.Sent, raft.MsgHeartbeat, id)) > 0
	}
	d.Isolate(3)
	if heard(3) || !heard(2) {
		t.Error("node 3 alone is cut off, and hears nothing")
	}
	d.Lost = func(m raft.Message) bool { return m.To == 2 }
	if heard(2) {
		t.Error("what Lost says is lost reaches node 2")
	}
	d.Heal()
	if !heard(2) || !heard(3) {
		t.Error("after Heal both hear the leader")
	}
}

func TestWhatIsAppliedIsCounted(t *testing.T) {
	d := NewCluster(t, rule, UpTo(3), With(raft.Config{ElectionTicks: 20}))
	n := d.Elect(1)
	n.Proposes("x")
	n.Changes(AddLearner(4))
	d.Run()
	d.Tick(2)
	for _, n := range d.Nodes {
		if !slices.Equal(n.Payloads(), []string{"x"}) || len(n.Status().ConfState.Learners) != 1 {
			t.Errorf("applied %q: %s", n.Payloads(), n.Where())
		}
		if n.Config.ElectionTicks != 20 || n.Config.ID != n.ID {
			t.Errorf("node %d runs with %+v", n.ID, n.Config)
		}
	}
}

// Commands on stores as processes, against processes that only take notes.

package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// notes is three stores that do nothing but remember what was asked of them.
type notes struct {
	asked  []string
	cut    map[uint64]bool
	failed error
}

func (n *notes) note(what string, store uint64) error {
	n.asked = append(n.asked, fmt.Sprint(what, " ", store))
	return n.failed
}

func (n *notes) Stores() []uint64                              { return []uint64{1, 2, 3} }
func (n *notes) Kill(store uint64) error                       { return n.note("kill", store) }
func (n *notes) Pause(store uint64) error                      { return n.note("pause", store) }
func (n *notes) Resume(store uint64) error                     { return n.note("resume", store) }
func (n *notes) Restart(_ context.Context, store uint64) error { return n.note("restart", store) }
func (n *notes) Lead(_ context.Context, store uint64) error    { return n.note("lead", store) }
func (n *notes) Cut(_ context.Context, store uint64) error {
	n.cut[store] = true
	return n.note("cut", store)
}
func (n *notes) Heal(_ context.Context, store uint64) (err error) { return n.note("heal", store) }

func (n *notes) List(context.Context) []Process {
	return []Process{
		{Store: 1, Address: "a:1", PID: 11, State: "alive", Cut: n.cut[1],
			Regions: []ProcessRegion{{ID: 4, Leader: 1, Term: 6, Applied: 20}}},
		{Store: 2, Address: "a:2", PID: 12, State: "alive", Cut: n.cut[2],
			Regions: []ProcessRegion{{ID: 4, Leader: 2, Term: 7, Applied: 30}}},
		{Store: 3, Address: "a:3", State: "killed"},
	}
}

// order runs lines in a shell that has processes, and returns what it said.
func order(t *testing.T, n *notes, lines ...string) string {
	t.Helper()
	var out bytes.Buffer
	s := New(Options{Out: &out, Processes: n})
	for _, line := range lines {
		if err := s.RunLine(t.Context(), line); err != nil {
			fmt.Fprintln(&out, "error:", err)
		}
	}
	return out.String()
}

func TestEachOrderReachesTheStoreItNames(t *testing.T) {
	n := &notes{cut: map[uint64]bool{}}
	said := order(t, n, "kill 1", "restart 1", "pause 2", "resume 2", "cut 3", "cut 2", "heal 3", "leader 2")
	want := "kill 1, restart 1, pause 2, resume 2, cut 3, cut 2, heal 3, lead 2"
	if got := strings.Join(n.asked, ", "); got != want || said != strings.Repeat("OK\n", 8) {
		t.Errorf("asked for %s, want %s; said %q", got, want, said)
	}
}

func TestHealWithoutAStoreHealsThoseThatAreCutOff(t *testing.T) {
	n := &notes{cut: map[uint64]bool{1: true, 2: true}}
	if said := order(t, n, "heal"); said != "OK\n" || fmt.Sprint(n.asked) != "[heal 1 heal 2]" {
		t.Errorf("asked for %v, said %q", n.asked, said)
	}
}

func TestOrdersForNobodyAndOrdersThatFailAreToldInALine(t *testing.T) {
	n := &notes{cut: map[uint64]bool{}}
	for _, line := range []string{"kill 9", "kill x", "heal 0", `kill ""`} {
		if said := order(t, n, line); !strings.Contains(said, "the stores are 1 2 3") || len(n.asked) > 0 {
			t.Errorf("%s: %q, asked for %v", line, said, n.asked)
		}
	}
	n.failed = errors.New("store 1 does not run")
	if said := order(t, n, "kill 1"); said != "error: store 1 does not run\n" {
		t.Errorf("%q", said)
	}
}

func TestStatusBelievesTheHighestTermAboutWhoLeads(t *testing.T) {
	said := order(t, &notes{cut: map[uint64]bool{1: true}}, "status")
	for _, want := range []string{"alive, cut off", "killed", "(region 4 is led by store 2 in term 7)"} {
		if !strings.Contains(said, want) {
			t.Errorf("status lacks %q:\n%s", want, said)
		}
	}
}

func TestOnlyAShellWithProcessesHasOrdersForThem(t *testing.T) {
	if _, err := newTable(nil).find("kill"); err == nil {
		t.Error("a shell without processes has kill")
	}
	with := newTable(&notes{})
	for _, c := range with {
		if got := order(t, &notes{}, "help "+c.name); !strings.HasPrefix(got, c.usage()+"\n") {
			t.Errorf("help %s: %s", c.name, got)
		}
	}
	if candidates, _ := with.complete("pause "); fmt.Sprint(candidates) != "[1 2 3]" {
		t.Errorf("pause is completed by %v", candidates)
	}
}

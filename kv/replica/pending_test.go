package replica

import (
	"errors"
	"testing"

	"tinykv/kv/raftlog"
	"tinykv/kv/region"
)

var errResult = errors.New("the entry's result")

// queueOf has the proposals (index, term) with the ids 1, 2, ...
func queueOf(positions ...at) *pendingWrites {
	q := new(pendingWrites)
	for i, p := range positions {
		q.add(pendingWrite{id: uint64(i + 1), index: p.index, term: p.term})
	}
	return q
}

// outcome says how each id was answered: r by its result, s stale, u undetermined, and - if it waits.
func outcome(t *testing.T, q *pendingWrites, w *Work, n int) string {
	t.Helper()
	out := make([]byte, n)
	for i := range out {
		out[i] = '-'
	}
	var stale *region.StaleCommandError
	var undetermined *region.UndeterminedError
	for _, a := range w.Answers {
		if out[a.ID-1] != '-' {
			t.Errorf("%d is answered twice", a.ID)
		}
		switch {
		case errors.Is(a.Err, errResult):
			out[a.ID-1] = 'r'
		case errors.As(a.Err, &stale):
			out[a.ID-1] = 's'
		case errors.As(a.Err, &undetermined):
			out[a.ID-1] = 'u'
		}
	}
	for _, p := range q.queue {
		if out[p.id-1] != '-' {
			t.Errorf("%d is answered and waits", p.id)
		}
	}
	return string(out)
}

// at is a position, short enough for a table.
type at struct{ index, term uint64 }

func TestTheFateOfAProposalByWhatIsApplied(t *testing.T) {
	for _, c := range []struct {
		name    string
		waiting []at
		applied at
		want    string
	}{
		{"its own entry", []at{{7, 2}, {8, 2}}, at{7, 2}, "r-"},
		{"an entry before it", []at{{7, 2}}, at{6, 2}, "-"},
		{"another term at its index", []at{{7, 2}}, at{7, 3}, "s"},
		{"a later term before its index", []at{{7, 2}, {9, 2}}, at{6, 3}, "ss"},
		{"an earlier term at its index: the later one may overwrite nothing that is committed", []at{{7, 3}}, at{7, 2}, "-"},
		{"two terms at one index", []at{{7, 2}, {7, 3}}, at{7, 3}, "sr"},
		{"an earlier leadership of its own", []at{{7, 2}, {8, 2}, {8, 4}}, at{8, 2}, "---"},
	} {
		q, w := queueOf(c.waiting...), new(Work)
		q.applied(c.applied.index, c.applied.term, errResult, w)
		if got := outcome(t, q, w, len(c.waiting)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestTheFateOfAProposalUnderASnapshot(t *testing.T) {
	for _, c := range []struct {
		waiting, upTo at
		want          string
	}{
		{at{7, 2}, at{9, 2}, "u"},
		{at{7, 2}, at{9, 3}, "u"},
		{at{9, 2}, at{9, 2}, "u"},
		{at{10, 2}, at{9, 3}, "s"},
		{at{10, 2}, at{9, 2}, "-"},
		{at{8, 4}, at{9, 3}, "-"},
	} {
		q, w := queueOf(c.waiting), new(Work)
		q.covered(raftlog.Position{Index: c.upTo.index, Term: c.upTo.term}, w)
		if got := outcome(t, q, w, 1); got != c.want {
			t.Errorf("%v under a snapshot up to %v: got %s, want %s", c.waiting, c.upTo, got, c.want)
		}
	}
}

func TestCancelledProposalsWaitWhileTheirLeaderLeads(t *testing.T) {
	q, w := queueOf(at{7, 2}, at{8, 2}, at{9, 4}), new(Work)
	if !q.cancel(1) || !q.cancel(3) || q.cancel(9) {
		t.Fatal("cancel does not find what waits")
	}
	q.dismiss(4, w)
	if got := outcome(t, q, w, 3); got != "u--" {
		t.Errorf("leading in term 4: %s", got)
	}
	q.dismiss(0, w)
	if got := outcome(t, q, w, 3); got != "u-u" {
		t.Errorf("leading no more: %s", got)
	}
	q.abandon("end", w)
	if got := outcome(t, q, w, 3); got != "uuu" {
		t.Errorf("at the end: %s", got)
	}
}

// Stores that are wrong, to see that it is found: how one is made of a right one, and the test.

package sim

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/raft/rafttest"
)

// wrong is a store that does what it is told, but for one thing.
type wrong struct {
	core
	p      *process
	turns  int
	event  func(w *wrong, e store.Event) []store.Event
	turn   func(w *wrong, effects []store.Effect) []store.Effect
	clock  func(now time.Duration) time.Duration
	extra  []store.Effect // before the effects of the next turn
	done   func(w *wrong)
	failed bool
	lost   []byte
}

func (w *wrong) now(now time.Duration) time.Duration {
	if w.clock != nil {
		return w.clock(now)
	}
	return now
}

func (w *wrong) Handle(now time.Duration, e store.Event) {
	events := []store.Event{e}
	if w.event != nil {
		events = w.event(w, e)
	}
	for _, e := range events {
		w.core.Handle(w.now(now), e)
	}
}

func (w *wrong) Turn(now time.Duration) []store.Effect {
	effects := slices.Concat(w.extra, w.core.Turn(w.now(now)))
	w.extra = nil
	w.turns++
	if w.turn != nil && len(effects) > 0 {
		if effects = w.turn(w, effects); len(effects) == 0 {
			w.core.Done(w.now(now))
		}
	}
	return effects
}

func (w *wrong) Done(now time.Duration) {
	if w.done != nil {
		w.done(w)
	}
	w.core.Done(w.now(now))
}

// lose deletes a pair behind everybody's back, and returns its value.
func (p *process) lose(cf engine.CF, key []byte) []byte {
	s, err := p.engine.Snapshot()
	if err != nil {
		return nil
	}
	value, _ := s.Get(cf, key)
	_ = s.Close()
	b := new(engine.Batch)
	b.Delete(cf, key)
	_ = p.engine.Write(b, engine.Buffered)
	return value
}

func (w *wrong) Fail(err error) {
	w.failed = true
	w.core.Fail(err)
}

// every picks one turn in n, but not the first ones.
func (w *wrong) every(n int) bool { return w.turns > 20 && w.turns%n == 0 }

// moved puts all effects of one kind behind those of another.
func moved[What, Behind store.Effect](effects []store.Effect) []store.Effect {
	var what, rest []store.Effect
	at := 0
	for _, e := range effects {
		if _, ok := e.(What); ok {
			what = append(what, e)
			continue
		}
		rest = append(rest, e)
		if _, ok := e.(Behind); ok {
			at = len(rest)
		}
	}
	return slices.Concat(rest[:at], what, rest[at:])
}

func without[What store.Effect](effects []store.Effect) []store.Effect {
	return slices.DeleteFunc(slices.Clone(effects), func(e store.Effect) bool { _, ok := e.(What); return ok })
}

// changed changes the effects of one kind.
func changed[What store.Effect](effects []store.Effect, change func(What) store.Effect) []store.Effect {
	effects = slices.Clone(effects)
	for i, e := range effects {
		if what, ok := e.(What); ok {
			effects[i] = change(what)
		}
	}
	return effects
}

// answered changes the answers of a turn.
func answered(effects []store.Effect, change func([]replica.Answer) []replica.Answer) []store.Effect {
	effects = slices.Clone(effects)
	for i, e := range effects {
		if a, ok := e.(store.Answer); ok {
			effects[i] = store.Answer{Answers: change(slices.Clone(a.Answers))}
		}
	}
	return effects
}

// hideOwn removes answers to requests that the wrong store has made itself.
func hideOwn(as []replica.Answer) []replica.Answer {
	return slices.DeleteFunc(as, func(a replica.Answer) bool { return a.ID >= 1<<40 })
}

// find plays seeds of a mistake until it is found.
func (m *mistake) find(t *testing.T) Result {
	t.Helper()
	const seeds = 30
	for seed := uint64(1); seed <= seeds; seed++ {
		if res := m.cluster(seed).run(); res.Err != nil {
			return res
		}
	}
	t.Fatalf("not found in %d seeds", seeds)
	return Result{}
}

// cluster is one whose stores all make the mistake.
func (m *mistake) cluster(seed uint64) *Cluster {
	opts := m.opts
	opts.Record = true
	c := newCluster(seed, opts)
	c.replace = func(p *process, good core) core {
		w := m.wrong
		w.core, w.p = good, p
		return &w
	}
	return c
}

func invariantOf(res Result) string {
	var broken rafttest.Failure
	errors.As(res.Err, &broken)
	return broken.Invariant
}

// TestMistakesAreFound : a simulator that finds nothing wrong proves nothing. Each mistake must be found within a few
// seeds, and called by its name. Its trace, as the file that is kept, must lead to the same failure, event by event.
func TestMistakesAreFound(t *testing.T) {
	found := map[string]bool{}
	for i := range mistakes {
		m := &mistakes[i]
		t.Run(m.name, func(t *testing.T) {
			res := m.find(t)
			t.Logf("seed %d: %v", res.Seed, res.Err)
			broken := invariantOf(res)
			found[broken] = true
			if !slices.Contains(m.found, broken) {
				t.Errorf("seed %d: found as %v, want one of %v", res.Seed, res.Err, m.found)
			}
			if broken == "linearizable" && len(res.Picture) == 0 {
				t.Error("there is no picture of the history")
			}
			m.replay(t, &res)
		})
	}
	if t.Failed() {
		return
	}
	for _, name := range invariants(t) {
		if !found[name] && name != "history-undecided" { // which is about the checker
			t.Errorf("no mistake breaks %s", name)
		}
	}
}

// replay plays the trace of a failure.
func (m *mistake) replay(t *testing.T, res *Result) {
	t.Helper()
	text := (&Trace{Test: "x", Seed: res.Seed, Decisions: res.Decisions}).Format()
	trace, err := ParseTrace(text)
	if err != nil {
		t.Fatal(err)
	}
	again := m.cluster(trace.Seed).replay(trace.Decisions)
	if again.Hash != res.Hash || invariantOf(again.Result) != invariantOf(*res) {
		t.Errorf("seed %d: %x, %v; its trace: %x, %v", res.Seed, res.Hash, res.Err, again.Hash, again.Err)
	}
}

// invariants are the names that doc.go lists.
func invariants(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(text), "// # Invariants\n")
	list, _, _ = strings.Cut(list, "// # ")
	for line := range strings.Lines(list) {
		if words := strings.Fields(strings.TrimPrefix(line, "//\t")); strings.HasPrefix(line, "//\t") && len(words) > 1 {
			names = append(names, words[0])
		}
	}
	if len(names) < 30 {
		t.Fatalf("doc.go lists only %v", names)
	}
	return names
}

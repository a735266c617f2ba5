// The engine against a model: random batches, snapshots, reads and reopenings, compared with sorted maps.

package stage1a_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tinykv/kv/engine"
	"tinykv/labs/tests/explain"
)

// model is what an engine should hold.
type model map[engine.CF]map[string]string

func newModel() model {
	return model{engine.Default: {}, engine.Lock: {}, engine.Write: {}}
}

func (m model) clone() model {
	c := model{}
	for cf, pairs := range m {
		c[cf] = maps.Clone(pairs)
	}
	return c
}

func (m model) apply(op engine.Op) {
	switch op.Kind {
	case engine.OpPut:
		m[op.CF][string(op.Key)] = string(op.Value)
	case engine.OpDelete:
		delete(m[op.CF], string(op.Key))
	case engine.OpDeleteRange:
		for k := range m[op.CF] {
			if k >= string(op.Key) && (len(op.Value) == 0 || k < string(op.Value)) {
				delete(m[op.CF], k)
			}
		}
	}
}

// pairs lists a range in order.
func (m model) pairs(cf engine.CF, lower, upper string) []pair {
	var list []pair
	for k, v := range m[cf] {
		if k >= lower && (upper == "" || k < upper) {
			list = append(list, pair{k, v})
		}
	}
	sortPairs(list)
	return list
}

func sortPairs(list []pair) {
	slices.SortFunc(list, func(a, b pair) int { return strings.Compare(a.k, b.k) })
}

// randomKey draws from few keys, so that they meet: some are prefixes of others, some have the extreme bytes.
func randomKey(rng *rand.Rand) string {
	const alphabet = "\x00\x01ab!\xfe\xff"
	n := 1 + rng.IntN(3)
	key := make([]byte, n)
	for i := range key {
		key[i] = alphabet[rng.IntN(len(alphabet))]
	}
	return string(key)
}

func randomBound(rng *rand.Rand) string {
	if rng.IntN(3) == 0 {
		return ""
	}
	return randomKey(rng)
}

// event is one step of a random history.
type event struct {
	kind string // "write", "take", "release", "read", "reopen"
	ops  []engine.Op
	how  engine.Durability
	n    int // which snapshot
}

func (e event) String() string {
	switch e.kind {
	case "write":
		return fmt.Sprintf("Write{%s}", show(e.ops))
	case "take":
		return "take a snapshot"
	case "release":
		return "close the oldest snapshot"
	case "read":
		return "read everything in all snapshots"
	}
	return "close all snapshots and the engine, and open it again"
}

func randomHistory(rng *rand.Rand, steps int) []event {
	var events []event
	for range steps {
		switch n := rng.IntN(20); {
		case n < 12:
			ev := event{kind: "write", how: engine.Durability(rng.IntN(2))}
			for range 1 + rng.IntN(6) {
				cf, key := engine.CFs[rng.IntN(3)], randomKey(rng)
				switch rng.IntN(10) {
				case 0, 1:
					ev.ops = append(ev.ops, del(cf, key))
				case 2:
					ev.ops = append(ev.ops, delRange(cf, randomBound(rng), randomBound(rng)))
				default:
					ev.ops = append(ev.ops, put(cf, key, strings.Repeat("v", rng.IntN(3))+fmt.Sprint(rng.IntN(10))[rng.IntN(2):]))
				}
			}
			events = append(events, ev)
		case n < 15:
			events = append(events, event{kind: "take"})
		case n < 17:
			events = append(events, event{kind: "release"})
		case n < 19:
			events = append(events, event{kind: "read"})
		default:
			events = append(events, event{kind: "reopen"})
		}
	}
	return append(events, event{kind: "take"}, event{kind: "read"})
}

// TestRandomHistoriesMatchTheModel runs random histories. One that fails is made short before it is told.
func TestRandomHistoriesMatchTheModel(t *testing.T) {
	needEngine(t)
	for _, seed := range explain.Seeds(5) {
		events := randomHistory(rand.New(rand.NewPCG(seed, 2)), 60)
		if _, _, bad := runHistory(t, events); bad == "" {
			continue
		}
		events = explain.Shrink(events, 40, func(e []event) bool {
			_, _, bad := runHistory(t, e)
			return bad != ""
		})
		rule, want, got := runHistory(t, events)
		if got == "" { // it needs luck: tell the long one
			rule, want, got = newest, "the model", "another result, which did not come again"
		}
		var done []string
		for _, e := range events {
			done = append(done, e.String())
		}
		rule.Broken(t, strings.Join(done, "\n"), want, got, explain.Replay(t, "1a", seed))
	}
}

type held struct {
	s engine.Snapshot
	m model
}

// runHistory runs the events on a fresh engine and describes the first difference to the model.
func runHistory(t *testing.T, events []event) (rule explain.Rule, want, got string) {
	dir := filepath.Join(t.TempDir(), "db")
	e, err := openEngine(dir)
	if err != nil {
		return durable, "an engine", err.Error()
	}
	m := newModel()
	var snaps []held
	defer func() {
		for _, h := range snaps {
			h.s.Close()
		}
		e.Close()
	}()
	for _, ev := range events {
		switch ev.kind {
		case "write":
			if err := e.Write(batchOf(ev.ops...), ev.how); err != nil {
				return refused, "no error from " + ev.String() + ": the batch is legal", explain.Error(err)
			}
			for _, op := range ev.ops {
				m.apply(op)
			}
		case "take":
			s, err := e.Snapshot()
			if err != nil {
				return frozen, "a snapshot", explain.Error(err)
			}
			snaps = append(snaps, held{s, m.clone()})
		case "release":
			if len(snaps) > 0 {
				if err := snaps[0].s.Close(); err != nil {
					return release, "no error from Close of a snapshot", explain.Error(err)
				}
				snaps = snaps[1:]
			}
		case "read":
			for i, h := range snaps {
				if want, got := compare(h); got != "" {
					rule := newest
					if strings.Contains(want, "ward") { // by iterator
						rule = exactly
					} else if i < len(snaps)-1 || !maps.EqualFunc(h.m, m, maps.Equal) {
						rule = frozen
					}
					return rule, want, got
				}
			}
		case "reopen":
			for _, h := range snaps {
				h.s.Close()
			}
			snaps = nil
			if err := e.Close(); err != nil {
				return durable, "no error from Close", explain.Error(err)
			}
			if e, err = openEngine(dir); err != nil {
				return durable, "an engine", explain.Error(err)
			}
			s, err := e.Snapshot()
			if err != nil {
				return durable, "a snapshot", explain.Error(err)
			}
			want, got := compare(held{s, m})
			s.Close()
			if got != "" {
				// What comes at once from a fresh engine was wrong before: only what it lost is a fault of the opening.
				if strings.Contains(want, "ward") {
					return exactly, want, got
				}
				return durable, want, got
			}
		}
	}
	return explain.Rule{}, "", ""
}

// compare reads all of a snapshot, by iterator in both directions and by Get.
func compare(h held) (want, got string) {
	for _, cf := range engine.CFs {
		list := h.m.pairs(cf, "", "")
		it, err := h.s.Iterator(cf, engine.IterOptions{})
		if err != nil {
			return "an iterator", explain.Error(err)
		}
		var up, down []pair
		for ok := it.First(); ok && len(up) <= len(list); ok = it.Next() {
			up = append(up, pair{string(it.Key()), string(it.Value())})
		}
		for ok := it.Last(); ok && len(down) <= len(list); ok = it.Prev() {
			down = append(down, pair{string(it.Key()), string(it.Value())})
		}
		slices.Reverse(down)
		if err := it.Close(); err != nil {
			return "no error from the iterator", explain.Error(err)
		}
		if !slices.Equal(up, list) {
			return fmt.Sprintf("%v forward: %s", cf, pairs(list, firstDiff(list, up))), pairs(up, firstDiff(list, up))
		}
		if !slices.Equal(down, list) {
			return fmt.Sprintf("%v backward (shown in order): %s", cf, pairs(list, firstDiff(list, down))), pairs(down,
				firstDiff(list, down))
		}
		for _, p := range list {
			if v, err := h.s.Get(cf, []byte(p.k)); err != nil || string(v) != p.v {
				return fmt.Sprintf("Get(%v, %q): the value %q", cf, p.k, p.v), explain.Value(v, err)
			}
		}
		for _, k := range []string{"a", "\x00", "\xff", "ab", "!"} {
			if _, has := h.m[cf][k]; has {
				continue
			}
			if v, err := h.s.Get(cf, []byte(k)); !errors.Is(err, engine.ErrNotFound) {
				return fmt.Sprintf("Get(%v, %q): engine.ErrNotFound", cf, k), explain.Value(v, err)
			}
		}
	}
	return "", ""
}

func firstDiff(a, b []pair) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return i
}

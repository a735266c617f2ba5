// Random histories with crashes, against a model that is nothing but slices.

package raftlog_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
	"tinykv/kv/raftlog"
	"tinykv/raft"
)

// kept is a region in the model.
type kept struct {
	state   raftlog.State
	entries []raft.Entry
}

// world is the model of a whole log, at one moment.
type world map[uint64]kept

func (w world) clone() world {
	c := world{}
	for id, k := range w {
		c[id] = kept{k.state, slices.Clone(k.entries)}
	}
	return c
}

// step fills the batch with one random change of one region, and does the same to the model.
func (w world) step(rng *rand.Rand, b *raftlog.Batch) {
	id := 1 + rng.Uint64N(3)
	k := w[id]
	s := &k.state
	switch n := rng.IntN(20); {
	case n < 10:
		first := s.Last.Index + 1 - min(s.Last.Index-max(s.Truncated.Index, s.Hard.Commit), rng.Uint64N(4))
		term := s.Last.Term + rng.Uint64N(2) + 1
		es := entries(first, slices.Repeat([]uint64{term}, 1+rng.IntN(5))...)
		b.Append(id, es)
		k.entries = append(slices.Clone(k.entries[:first-s.Truncated.Index-1]), es...)
	case n < 14:
		s.Hard = raft.HardState{Term: rng.Uint64N(9), Vote: rng.Uint64N(3), Commit: rng.Uint64N(s.Last.Index + 1)}
		b.SetHard(id, s.Hard)
	case n < 17 && len(k.entries) > 0:
		upTo := k.entries[rng.IntN(len(k.entries))]
		b.Compact(id, raftlog.Position{Index: upTo.Index, Term: upTo.Term})
		k.entries = slices.Clone(k.entries[upTo.Index-s.Truncated.Index:])
		s.Truncated = raftlog.Position{Index: upTo.Index, Term: upTo.Term}
	case n == 17:
		at := raftlog.Position{Index: max(s.Truncated.Index, s.Hard.Commit) + rng.Uint64N(20) + 1, Term: s.Last.Term + 1}
		in := raftlog.Install{Spool: fmt.Sprint("spool", at.Index), Head: []byte{byte(at.Index)}}
		b.Install(id, at, in)
		k = kept{state: raftlog.State{Hard: s.Hard, Truncated: at, Install: &in}}
	case n == 18:
		b.Installed(id)
		s.Install = nil
	case n == 19 && rng.IntN(3) == 0:
		b.Remove(id)
		delete(w, id)
		return
	default:
		at := raftlog.Position{Index: rng.Uint64N(9), Term: 1}
		b.Create(id, at, raft.HardState{Term: 1, Commit: at.Index})
		k = kept{state: raftlog.State{Hard: raft.HardState{Term: 1, Commit: at.Index}, Truncated: at}}
	}
	k.state.Last = k.state.Truncated
	if n := len(k.entries); n > 0 {
		k.state.Last = raftlog.Position{Index: k.entries[n-1].Index, Term: k.entries[n-1].Term}
	}
	w[id] = k
}

// differs compares a log with the model; "" if they agree.
func (w world) differs(t *testing.T, l raftlog.Log) string {
	ids, err := l.Regions()
	if err != nil {
		return err.Error()
	}
	if len(ids) != len(w) {
		return fmt.Sprintf("regions %v, want %d of them", ids, len(w))
	}
	for _, id := range ids {
		want, ok := w[id]
		got, _, err := l.State(id)
		if err != nil || !ok || !reflect.DeepEqual(got, want.state) {
			return fmt.Sprintf("region %d: state %+v, %v; want %+v (%v)", id, got, err, want.state, ok)
		}
		if es := all(t, l, id); len(es) != len(want.entries) || len(es) > 0 && !reflect.DeepEqual(es, want.entries) {
			return fmt.Sprintf("region %d: entries %v, want %v", id, es, want.entries)
		}
	}
	return ""
}

// TestHistoriesSurviveCrashes writes batches of random changes, some of them Synced. After a crash the log must be what it
// was after some batch that is not before the last Synced one.
func TestHistoriesSurviveCrashes(t *testing.T) {
	for seed := range uint64(25) {
		rng := rand.New(rand.NewPCG(seed, 1))
		disk := mem.NewDisk(rand.New(rand.NewPCG(seed, 2)), mem.Options{})
		opts := raftlog.Options{CacheBytes: 1 + rng.Uint64N(2000)}
		l := openOn(t, disk, opts)
		now := world{}
		possible := []world{now.clone()} // what a crash may leave
		for step := range 200 {
			var b raftlog.Batch
			for range 1 + rng.IntN(4) {
				now.step(rng, &b)
			}
			d := engine.Buffered
			if rng.IntN(3) == 0 {
				d = engine.Synced
				possible = nil
			}
			if err := l.Write(&b, d); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
			possible = append(possible, now.clone())
			if diff := now.differs(t, l); diff != "" {
				t.Fatalf("seed %d, step %d: %s", seed, step, diff)
			}
			if rng.IntN(10) > 0 {
				continue
			}
			disk.Crash()
			l = openOn(t, disk, opts)
			var diffs []string
			i := slices.IndexFunc(possible, func(w world) bool {
				diffs = append(diffs, w.differs(t, l))
				return diffs[len(diffs)-1] == ""
			})
			if i < 0 {
				t.Fatalf("seed %d, step %d: after a crash the log is none of those it may be:\n%s", seed, step,
					strings.Join(diffs, "\n"))
			}
			now = possible[i].clone()
			possible = []world{now.clone()} // an open makes durable what it finds
		}
	}
}

package sim

import (
	"errors"
	"slices"
	"testing"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/raft"
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
	hidden map[uint64]bool
	failed bool
	last   replica.View
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
		effects = w.turn(w, effects)
	}
	return effects
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

// wrongs are the mistakes that a store can make, and which invariants may find each.
var wrongs = []struct {
	name  string
	opts  Options
	wrong wrong
	found []string
}{
	{"promises before the log is written", Options{}, wrong{turn: func(_ *wrong, effects []store.Effect) []store.Effect {
		return moved[store.WriteLog, store.Send](effects)
	}}, []string{"persist-before-send"}},

	{"no sync of the log", Options{}, wrong{turn: func(_ *wrong, effects []store.Effect) []store.Effect {
		effects = slices.Clone(effects)
		for i, e := range effects {
			if l, ok := e.(store.WriteLog); ok {
				effects[i] = store.WriteLog{Batch: l.Batch, Durability: engine.Buffered}
			}
		}
		return effects
	}}, []string{"persist-before-send"}},

	{"answers before the data is written", Options{}, wrong{turn: func(_ *wrong, effects []store.Effect) []store.Effect {
		return moved[store.WriteData, store.Answer](effects)
	}}, []string{"acknowledged-applied"}},

	{"an answer that is lost", Options{Calm: true}, wrong{turn: func(w *wrong, effects []store.Effect) []store.Effect {
		if w.every(50) {
			return answered(effects, func([]replica.Answer) []replica.Answer { return nil })
		}
		return effects
	}}, []string{"one-answer", "converge"}},

	{"an answer twice", Options{Calm: true}, wrong{turn: func(w *wrong, effects []store.Effect) []store.Effect {
		return answered(effects, func(as []replica.Answer) []replica.Answer { return append(as, as[0]) })
	}}, []string{"one-answer"}},

	{"an error that nobody knows", Options{}, wrong{turn: func(w *wrong, effects []store.Effect) []store.Effect {
		return answered(effects, func(as []replica.Answer) []replica.Answer {
			if as[0].Err != nil {
				as[0].Err = errors.New("oops")
			}
			return as
		})
	}}, []string{"answers"}},

	{"never, and then it happens", Options{}, wrong{turn: func(w *wrong, effects []store.Effect) []store.Effect {
		return answered(effects, func(as []replica.Answer) []replica.Answer {
			if as[0].Err == nil && !as[0].Read && w.every(7) {
				as[0].Err = store.ErrCancelled
			}
			return as
		})
	}}, []string{"refused-applied"}},

	{"a write that is applied twice", Options{Calm: true}, wrong{
		event: func(w *wrong, e store.Event) []store.Event {
			if write, ok := e.(store.Write); ok && write.ID%20 == 0 {
				again := write
				again.ID += 1 << 40
				return []store.Event{write, again}
			}
			return []store.Event{e}
		},
		turn: func(_ *wrong, effects []store.Effect) []store.Effect {
			return answered(effects, hideOwn)
		}}, []string{"applied-once"}},

	{"data that is not written", Options{Calm: true}, wrong{turn: func(w *wrong, effects []store.Effect) []store.Effect {
		if w.every(31) {
			return without[store.WriteData](effects)
		}
		return effects
	}}, []string{"acknowledged-applied", "published-applied"}},

	{"data that nobody wrote", Options{Calm: true}, wrong{turn: func(w *wrong, effects []store.Effect) []store.Effect {
		for _, e := range effects {
			if d, ok := e.(store.WriteData); ok && w.every(31) {
				d.Batch.Put(engine.Default, []byte("key1"), value(1, ""))
			}
		}
		return effects
	}}, []string{"replicas-equal"}},

	{"half of a batch", Options{}, wrong{turn: func(w *wrong, effects []store.Effect) []store.Effect {
		for i, e := range effects {
			d, ok := e.(store.WriteData)
			if !ok {
				continue
			}
			half := new(engine.Batch)
			for op := range d.Batch.Ops() {
				if op.CF != engine.Write {
					half.Take(op)
				}
			}
			effects[i] = store.WriteData{Batch: half}
		}
		return effects
	}}, []string{"replicas-equal", "atomic-batch"}},

	{"a read without a quorum", Options{Favour: FavourLeaders, Ticks: 800}, wrong{
		event: func(w *wrong, e store.Event) []store.Event {
			if r, ok := e.(store.Read); ok && w.p.view.Leads() {
				w.extra = append(w.extra, store.Answer{Answers: []replica.Answer{{ID: r.ID, Read: true}}})
				return nil
			}
			return []store.Event{e}
		}}, []string{"linearizable"}},

	{"a write that is bound to no term", Options{Calm: true, Keys: 1}, wrong{
		event: func(w *wrong, e store.Event) []store.Event {
			if write, ok := e.(store.Write); ok {
				write.Term = 0
				e = write
			}
			if w.turns%100 != 50 { // leadership goes back and forth
				return []store.Event{e}
			}
			to := firstPeer(1 + w.p.id%3)
			rc := store.RequestContext{RegionID: firstRegion}
			return []store.Event{e, store.TransferLeader{ID: 1 << 40, RequestContext: rc, To: to}}
		},
		turn: func(_ *wrong, effects []store.Effect) []store.Effect {
			return answered(effects, hideOwn)
		}}, []string{"swap-atomic", "linearizable"}},

	{"a lease that is too long", Options{Favour: FavourLeaders, Raft: raft.Config{ReadMode: raft.ReadLease}}, wrong{
		turn: func(w *wrong, effects []store.Effect) []store.Effect {
			for _, e := range effects {
				if p, ok := e.(store.Publish); ok {
					for i := range p.Views {
						if p.Views[i].LeaseUntil > 0 {
							p.Views[i].LeaseUntil += 40 * tick
						}
					}
				}
			}
			return effects
		}}, []string{"linearizable", "one-lease"}},

	{"a log that is cut too early", Options{}, wrong{turn: func(w *wrong, effects []store.Effect) []store.Effect {
		for _, e := range effects {
			if l, ok := e.(store.WriteLog); ok && w.every(11) {
				l.Batch.Compact(firstRegion, raftlog.Position(w.p.view.Applied))
			}
		}
		return effects
	}}, []string{"log-kept", "panic"}},

	{"words after a failure", Options{Favour: FavourBadDisks}, wrong{
		turn: func(w *wrong, effects []store.Effect) []store.Effect {
			if w.failed {
				return append([]store.Effect{store.SyncData{}}, effects...)
			}
			return effects
		}}, []string{"fail-stop"}},

	{"good news after a failure", Options{Favour: FavourBadDisks}, wrong{
		turn: func(w *wrong, effects []store.Effect) []store.Effect {
			return answered(effects, func(as []replica.Answer) []replica.Answer {
				if w.failed {
					as[0].Err = nil
				}
				return as
			})
		}}, []string{"fail-stop", "acknowledged-applied"}},

	{"a message to nobody", Options{Calm: true}, wrong{turn: func(w *wrong, effects []store.Effect) []store.Effect {
		for _, e := range effects {
			if s, ok := e.(store.Send); ok {
				s.Messages[0].To.StoreID = 9
			}
		}
		return effects
	}}, []string{"address"}},

	{"a clock that stands still", Options{Calm: true}, wrong{clock: func(time.Duration) time.Duration { return 0 }},
		[]string{"ticks"}},

	{"nobody votes", Options{Calm: true, Ticks: 50}, wrong{event: func(_ *wrong, e store.Event) []store.Event {
		if m, ok := e.(store.Receive); ok && m.Raft.Type == raft.MsgVote {
			return nil
		}
		return []store.Event{e}
	}}, []string{"liveness"}},

	{"a snapshot that is kept", Options{Calm: true}, wrong{turn: func(w *wrong, effects []store.Effect) []store.Effect {
		if w.every(50) {
			_, _ = w.p.engine.Snapshot()
		}
		return effects
	}}, []string{"snapshots-closed"}},

	{"a view of the future", Options{Calm: true}, wrong{turn: func(w *wrong, effects []store.Effect) []store.Effect {
		for _, e := range effects {
			if p, ok := e.(store.Publish); ok {
				p.Views[0].Applied.Index++
			}
		}
		return effects
	}}, []string{"published-applied"}},
}

// TestMistakesAreFound : a simulator that finds nothing wrong proves nothing. Each mistake must be found within a few
// seeds, and called by its name.
func TestMistakesAreFound(t *testing.T) {
	const seeds = 30
	for _, m := range wrongs {
		t.Run(m.name, func(t *testing.T) {
			for seed := uint64(1); seed <= seeds; seed++ {
				m.opts.Record = true
				c := newCluster(seed, m.opts)
				c.replace = func(p *process, good core) core {
					w := m.wrong
					w.core, w.p = good, p
					return &w
				}
				res := c.run()
				if res.Err == nil {
					continue
				}
				var broken rafttest.Failure
				if !errors.As(res.Err, &broken) || !slices.Contains(m.found, broken.Invariant) {
					t.Fatalf("seed %d: found as %v, want one of %v", seed, res.Err, m.found)
				}
				t.Logf("seed %d: %v", seed, res.Err)
				if broken.Invariant == "linearizable" && len(res.Picture) == 0 {
					t.Error("there is no picture of the history")
				}
				return
			}
			t.Errorf("not found in %d seeds", seeds)
		})
	}
}

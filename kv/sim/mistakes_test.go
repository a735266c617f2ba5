// The mistakes that must be found: at least one for each invariant.

package sim

import (
	"errors"
	"slices"
	"time"

	"tinykv/kv/command"
	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/raft"
)

// mistake is what a store can do wrong, and which invariants may find it.
type mistake struct {
	name  string
	opts  Options
	wrong wrong
	found []string
}

var mistakes = []mistake{
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
			if r, ok := e.(store.Read); ok && w.p.view.Leads() && w.p.waiting[r.ID].call.kind == callGet {
				w.extra = append(w.extra, store.Answer{Answers: []replica.Answer{{ID: r.ID, Read: true}}})
				return nil
			}
			return []store.Event{e}
		}}, []string{"fresh"}},

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
		}}, []string{"fresh", "linearizable", "one-lease"}},

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

	{"an applied position that falls", Options{Calm: true}, wrong{turn: func(w *wrong, effects []store.Effect) []store.Effect {
		return changed(effects, func(d store.WriteData) store.Effect {
			if at := w.p.mirror.applied; w.every(31) && at > 20 {
				replica.PutApplied(d.Batch, firstRegion, raftlog.Position{Index: at - 5, Term: 6})
			}
			return d
		})
	}}, []string{"apply-order"}},

	{"another entry than the leader's", Options{Calm: true}, wrong{event: func(w *wrong, e store.Event) []store.Event {
		m, ok := e.(store.Receive)
		if !ok || len(m.Raft.Entries) == 0 || len(m.Raft.Entries[0].Data) == 0 || w.turns < 50 {
			return []store.Event{e}
		}
		other := new(engine.Batch)
		other.Put(engine.Default, []byte("key1"), value(1, ""))
		entry := m.Raft.Entries[0]
		entry.Data, _ = command.Encode(command.Write{Epoch: w.p.view.Region.Epoch, Batch: other})
		m.Raft.Entries = append([]raft.Entry{entry}, m.Raft.Entries[1:]...)
		return []store.Event{m}
	}}, []string{"state-machine-safety"}},

	{"a refusal that is taken for a vote", Options{Favour: FavourLeaders, Ticks: 800}, wrong{
		event: func(_ *wrong, e store.Event) []store.Event {
			if m, ok := e.(store.Receive); ok && m.Raft.Type == raft.MsgVoteResp {
				m.Raft.Reject = false
				return []store.Event{m}
			}
			return []store.Event{e}
		}}, []string{"election-safety"}},

	{"one acknowledgement that counts for two", Options{Stores: 5}, wrong{event: func(w *wrong, e store.Event) []store.Event {
		m, ok := e.(store.Receive)
		if !ok || m.Raft.Type != raft.MsgAppResp || m.Raft.Reject {
			return []store.Event{e}
		}
		other := m
		other.From = region.Peer{ID: firstPeer(1 + m.From.StoreID%5), StoreID: 1 + m.From.StoreID%5}
		other.Raft.From = other.From.ID
		return []store.Event{m, other}
	}}, []string{"durable-quorum"}},

	{"a log that forgets a term", Options{}, wrong{event: func(w *wrong, e store.Event) []store.Event {
		hard := w.p.durable.hard
		if _, ok := e.(store.Stop); ok && hard.Term > 6 {
			hard.Term, hard.Vote = hard.Term-1, 0
			var b raftlog.Batch
			b.SetHard(firstRegion, hard)
			_ = w.p.raftLog.Write(&b, engine.Synced)
		}
		return []store.Event{e}
	}}, []string{"durable"}},

	{"a term that falls", Options{Calm: true}, wrong{turn: func(w *wrong, effects []store.Effect) []store.Effect {
		return changed(effects, func(p store.Publish) store.Effect {
			if w.every(30) {
				p.Views[0].Term--
			}
			return p
		})
	}}, []string{"monotone"}},

	{"data that outlives its peer", Options{Favour: FavourMembers, Spares: 2}, wrong{
		turn: func(_ *wrong, effects []store.Effect) []store.Effect {
			return changed(effects, func(d store.WriteData) store.Effect {
				rest, buried := new(engine.Batch), false
				for op := range d.Batch.Ops() {
					buried = buried || op.CF == engine.Meta && op.Kind == engine.OpDelete
					if op.Kind != engine.OpDeleteRange {
						rest.Take(op)
					}
				}
				if buried {
					d.Batch = rest
				}
				return d
			})
		}}, []string{"data-removed"}},

	{"an installation without its records", Options{Favour: FavourSnapshots}, wrong{
		turn: func(_ *wrong, effects []store.Effect) []store.Effect {
			return changed(effects, func(in store.Install) store.Effect {
				in.Records = new(engine.Batch)
				return in
			})
		}}, []string{"snapshot"}},

	{"always busy", Options{Calm: true}, wrong{turn: func(w *wrong, effects []store.Effect) []store.Effect {
		w.extra = []store.Effect{store.Publish{}}
		return effects
	}}, []string{"rest"}},

	{"spools that are kept", Options{Favour: FavourSnapshots}, wrong{
		turn: func(_ *wrong, effects []store.Effect) []store.Effect {
			return without[store.Discard](effects)
		}}, []string{"bounded"}},

	{"an end that nobody asked for", Options{Calm: true, Clients: 1}, wrong{
		turn: func(w *wrong, effects []store.Effect) []store.Effect {
			if w.every(50) && len(w.p.waiting) == 0 {
				return append(effects, store.Halt{Err: errors.New("bored")})
			}
			return effects
		}}, []string{"halt"}},

	{"a log that is removed at the end", Options{}, wrong{event: func(w *wrong, e store.Event) []store.Event {
		if _, ok := e.(store.Stop); ok {
			var b raftlog.Batch
			b.Remove(firstRegion)
			_ = w.p.raftLog.Write(&b, engine.Synced)
		}
		return []store.Event{e}
	}}, []string{"restart"}},

	{"a store that takes no entries", Options{Calm: true}, wrong{event: func(w *wrong, e store.Event) []store.Event {
		m, ok := e.(store.Receive)
		if leader := w.p.c.leader(); ok && len(m.Raft.Entries) > 0 && leader != nil && w.p.id == 1+leader.id%3 {
			return nil
		}
		return []store.Event{e}
	}}, []string{"converge"}},

	{"half of a pair that is lost", Options{Calm: true}, wrong{turn: func(w *wrong, effects []store.Effect) []store.Effect {
		if w.every(20) {
			w.p.lose(engine.Write, []byte("pair"))
		}
		return effects
	}}, []string{"atomic-batch"}},

	{"a key that is not seen for a moment", Options{Calm: true, Keys: 1}, wrong{
		turn: func(w *wrong, effects []store.Effect) []store.Effect {
			swaps := slices.ContainsFunc(w.p.latched, func(a *attempt) bool { return a.call.kind == callSwap })
			if _, answers := effects[0].(store.Answer); answers && !swaps {
				w.lost = w.p.lose(engine.Default, []byte("key1"))
			}
			return effects
		},
		done: func(w *wrong) {
			if len(w.lost) > 0 {
				b := new(engine.Batch)
				b.Put(engine.Default, []byte("key1"), w.lost)
				_ = w.p.engine.Write(b, engine.Synced) // or a crash would take it back
			}
			w.lost = nil
		}}, []string{"linearizable"}},

	{"a value that nobody put", Options{Calm: true}, wrong{turn: func(w *wrong, effects []store.Effect) []store.Effect {
		if w.every(40) {
			b := new(engine.Batch)
			b.Put(engine.Default, []byte("key1"), []byte("nobody put this"))
			_ = w.p.engine.Write(b, engine.Buffered)
		}
		return effects
	}}, []string{"disk"}},
}

// Histories: clients that share keys, while stores crash and cables break, and a checker that judges what they saw.

package replicated

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"tinykv/kv/engine"
	"tinykv/raft"
)

const (
	historyClients = 6
	historyKeys    = 3
	historyTime    = 40 * time.Second // virtual
	historyTimeout = 3 * time.Second  // of a call: longer than an election
)

// act is one call of a client: a put of a value, or a get.
type act struct {
	key   string
	write bool
	value string // what was written, or read
}

// registers is the model: each key holds one value.
var registers = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(act).key
			byKey[key] = append(byKey[key], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		if in := input.(act); in.write {
			return true, in.value
		}
		return output.(act).value == state.(string), state
	},
	DescribeOperation: func(input, output any) string {
		if in := input.(act); in.write {
			return fmt.Sprintf("put %s %s", in.key, in.value)
		}
		return fmt.Sprintf("get %s = %s", input.(act).key, output.(act).value)
	},
}

// record is the history of a run, and what happened in it.
type record struct {
	mu      sync.Mutex // guards all below
	began   time.Time
	history []porcupine.Operation
	seen    map[string]int
}

func (r *record) now() int64 { return int64(time.Since(r.began)) }

func (r *record) note(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[what]++
}

// keep adds a call to the history, with its outcome: one that is known not to have happened is left out, and one of which
// nobody knows may happen at any later time.
func (r *record) keep(client int, call int64, in, out act, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	op := porcupine.Operation{ClientId: client, Input: in, Output: out, Call: call, Return: int64(time.Since(r.began))}
	switch unknown := isUndetermined(err); {
	case err == nil && in.write:
		r.seen["write"]++
	case err == nil:
		r.seen["read"]++
	case in.write && unknown:
		op.Return = math.MaxInt64
		r.seen["write of unknown fate"]++
	default:
		r.seen["refused"]++
		return
	}
	r.history = append(r.history, op)
}

// client calls until ctx ends. It asks the store that answered last, and another one when that refuses.
func (w *world) client(ctx context.Context, id int, rng *rand.Rand, r *record) {
	at := 1 + rng.Uint64N(uint64(len(w.nodes)))
	for n := 0; ctx.Err() == nil; n++ {
		in := act{key: fmt.Sprint("k", rng.IntN(historyKeys)), write: rng.IntN(2) == 0}
		out := in
		if in.write {
			in.value = fmt.Sprintf("%d.%d", id, n)
		}
		store := w.running(at)
		if store == nil {
			at = 1 + rng.Uint64N(uint64(len(w.nodes)))
			time.Sleep(tick)
			continue
		}
		call, limit := r.now(), historyTimeout
		callCtx, cancel := context.WithTimeout(w.Context(), limit)
		var err error
		if in.write {
			err = store.Write(callCtx, w.nodes[at].rc(), put(in.key, in.value))
		} else {
			out.value, err = readFrom(callCtx, store, w.nodes[at], in.key)
		}
		cancel()
		r.keep(id, call, in, out, err)
		if err != nil {
			at = 1 + rng.Uint64N(uint64(len(w.nodes)))
		}
		time.Sleep(time.Duration(rng.Int64N(int64(tick))))
	}
}

func readFrom(ctx context.Context, s *Store, n *node, key string) (string, error) {
	snap, err := s.Snapshot(ctx, n.rc())
	if err != nil {
		return "", err
	}
	defer snap.Close()
	value, err := snap.Get(engine.Default, []byte(key))
	if errors.Is(err, engine.ErrNotFound) {
		return "", nil
	}
	return string(value), err
}

// nemesis hurts the cluster until ctx ends, and then mends it.
func (w *world) nemesis(ctx context.Context, rng *rand.Rand, r *record) {
	for ctx.Err() == nil {
		time.Sleep(time.Duration(rng.Int64N(int64(20 * tick))))
		id := 1 + rng.Uint64N(uint64(len(w.nodes)))
		switch rng.IntN(5) {
		case 0, 1:
			id = w.believed(id)
			w.cut(id)
			time.Sleep(time.Duration(rng.Int64N(int64(40 * tick))))
			w.heal(id)
			r.note("cut")
		case 2, 3:
			w.exchange(id, func(n *node) { n.crash() })
			time.Sleep(time.Duration(rng.Int64N(int64(20 * tick))))
			w.exchange(id, func(n *node) { n.start() })
			r.note("crash")
		case 4:
			_ = w.running(w.believed(id)).TransferLeader(ctx, regionID, regionID+id) // it may not lead
			r.note("transfer")
		}
	}
}

// believed is a store that believes that it leads, or id if there is none.
func (w *world) believed(id uint64) uint64 {
	w.turn.Lock()
	defer w.turn.Unlock()
	for _, other := range w.all() {
		if v := w.nodes[other].view(); v.Leads() {
			return other
		}
	}
	return id
}

// running returns a store if it runs. The tests' clients and the nemesis are the only ones that race for this.
func (w *world) running(id uint64) *Store {
	w.turn.Lock()
	defer w.turn.Unlock()
	return w.nodes[id].store
}

// exchange lets the nemesis end or start a store.
func (w *world) exchange(id uint64, how func(*node)) {
	w.turn.Lock()
	defer w.turn.Unlock()
	how(w.nodes[id])
}

func TestHistoriesOfSharedKeysAreLinearizable(t *testing.T) {
	for _, mode := range []raft.ReadMode{raft.ReadLease, raft.ReadQuorum} {
		seen := map[string]int{}
		for seed := range uint64(3) {
			name := fmt.Sprintf("reads %d, seed %d", mode, seed)
			inWorld(t, 3, func(o *Options) { o.Raft.ReadMode = mode; o.Limits.CompactEntries = 50 }, func(w *world) {
				r := &record{began: time.Now(), seen: seen}
				ctx, cancel := context.WithTimeout(w.Context(), historyTime)
				defer cancel()
				var wait sync.WaitGroup
				for id := range historyClients {
					wait.Go(func() { w.client(ctx, id, rand.New(rand.NewPCG(seed, uint64(id))), r) })
				}
				wait.Go(func() { w.nemesis(ctx, rand.New(rand.NewPCG(seed, 1000)), r) })
				wait.Wait()
				w.same(w.all()...)
				r.judge(w, name)
			})
		}
		t.Logf("reads %d: %v", mode, seen)
		for _, what := range []string{"write", "read", "write of unknown fate", "cut", "crash", "transfer"} {
			if seen[what] == 0 {
				t.Errorf("reads %d: there was no %s, so it was not tested", mode, what)
			}
		}
	}
}

// judge hands the history to the checker. Not to know is a failure, too.
func (r *record) judge(w *world, name string) {
	w.Helper()
	for i := range r.history {
		if r.history[i].Return == math.MaxInt64 {
			r.history[i].Return = int64(historyTime) * 2 // it may have happened up to the end, or after it
		}
	}
	result, info := porcupine.CheckOperationsVerbose(registers, r.history, 0)
	if result == porcupine.Ok {
		return
	}
	path := filepath.Join(w.ArtifactDir(), "history.html")
	if err := porcupine.VisualizePath(registers, info, path); err != nil {
		w.Log(err)
	}
	w.Errorf("%s: the history of %d calls is %v; its picture is in %s", name, len(r.history), result, path)
}

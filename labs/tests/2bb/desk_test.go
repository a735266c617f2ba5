// Package stage2bb_test grades exercise 2bb: from a client's write to an entry, and from a committed entry to data and an
// answer.
//
// desk_test.go holds the rules of the handout; the workbench is package storedesk.
package stage2bb_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tinykv/kv/command"
	"tinykv/kv/engine"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/labs/tests/explain"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

// The workbench in short words.
type (
	desk    = storedesk.Desk
	server  = storedesk.Store
	options = storedesk.Options
	request = storedesk.Request
)

var open = storedesk.Open

// The rules of the handout 2bb.
var (
	admitted = explain.Rule{ID: "INV-2bb.1",
		Says: "a request whose picture of the region is wrong is refused by the name of what is wrong, and proposes nothing"}
	leads = explain.Rule{ID: "INV-2bb.2",
		Says: "only the leader proposes, and only in the term that is demanded; who does not lead names who does"}
	fits = explain.Rule{ID: "INV-2bb.3",
		Says: "a batch is taken whole or not at all: no key outside of the region, no family but those of users, " +
			"no size beyond the limits"}
	bounded = explain.Rule{ID: "INV-2bb.4",
		Says: "a write that can't be taken now is refused as busy, and has no effect"}
	acknowledged = explain.Rule{ID: "INV-2bb.5",
		Says: "a write is acknowledged when its own entry, by index and term, is applied here, and not before"}
	lost = explain.Rule{ID: "INV-2bb.6",
		Says: "a proposal whose place an entry of a later term has taken is answered as stale, and never takes effect"}
	waits = explain.Rule{ID: "INV-2bb.7",
		Says: "a caller waits for the fate of its entry, also when leadership is lost, and is answered once"}
	cancelled = explain.Rule{ID: "INV-2bb.8",
		Says: "who gives up is answered by fate as long as the peer leads in the term of the proposal, " +
			"and after that as undetermined"}
	once = explain.Rule{ID: "INV-2bb.9",
		Says: "what an entry does and the applied position are one batch: each entry is applied exactly once, " +
			"whatever a crash leaves"}
	again = explain.Rule{ID: "INV-2bb.10",
		Says: "Version, keys and families are compared again where an entry is applied; what does not fit changes nothing, " +
			"on any replica"}
	corrupt = explain.Rule{ID: "INV-2bb.11",
		Says: "an entry that can't be applied ends the store: nothing is skipped"}
	covered = explain.Rule{ID: "INV-2bb.12",
		Says: "a snapshot tells only what can be known: within it undetermined, after it and of an earlier term stale"}
	together = explain.Rule{ID: "INV-2bb.13",
		Says: "a cluster of such stores keeps what it acknowledged, and seems to be one store to those who write and read"}
)

// last is the index of the end of a store's log.
func last(s *server) uint64 { return s.State().Last.Index }

// refused ends the test unless a request was answered with an error of kind E, and returns it.
func refused[E error](d *desk, r *request, why string) E {
	d.T.Helper()
	e, ok := storedesk.ErrorAs[E](r)
	if !ok {
		d.Brokenf(fmt.Sprintf("%T, because %s", e, why), "%s", typed(r))
	}
	return e
}

// typed shows what became of a request, with the type of its error: texts of different errors may look alike.
func typed(r *request) string {
	if r.Err() == nil {
		return r.String()
	}
	return fmt.Sprintf("%s (%T)", r, r.Err())
}

// batch makes a batch of operations.
func batch(ops ...engine.Op) *engine.Batch {
	b := new(engine.Batch)
	for _, op := range ops {
		b.Take(op)
	}
	return b
}

func putOp(cf engine.CF, key, value string) engine.Op {
	return engine.Op{Kind: engine.OpPut, CF: cf, Key: []byte(key), Value: []byte(value)}
}

func deleteOp(key string) engine.Op {
	return engine.Op{Kind: engine.OpDelete, CF: engine.Default, Key: []byte(key)}
}

func rangeOp(start, end string) engine.Op {
	return engine.Op{Kind: engine.OpDeleteRange, CF: engine.Default, Key: []byte(start), Value: []byte(end)}
}

// unchanged ends the test if something was added to the log of a store.
func unchanged(d *desk, s *server, before uint64) {
	d.T.Helper()
	d.Check(last(s) == before, fmt.Sprintf("nothing is proposed: store %d's log ends at %d", s.ID, before),
		"it ends at %d", last(s))
}

// model is what a data store holds when it has applied entries, by the rules of the region in the beginning.
type model struct {
	region region.Region
	pairs  [3]map[string]string
}

func newModel(r region.Region) *model {
	m := &model{region: r}
	for i := range m.pairs {
		m.pairs[i] = map[string]string{}
	}
	return m
}

func (m *model) apply(e *raft.Entry) {
	if e.Type != raft.EntryNormal || len(e.Data) == 0 {
		return
	}
	c, err := command.Decode(e.Data)
	w, ok := c.(command.Write)
	if err != nil || !ok || w.Epoch.Version != m.region.Epoch.Version {
		return
	}
	for op := range w.Batch.Ops() {
		pairs := m.pairs[op.CF]
		switch op.Kind {
		case engine.OpPut:
			pairs[string(op.Key)] = string(op.Value)
		case engine.OpDelete:
			delete(pairs, string(op.Key))
		case engine.OpDeleteRange:
			for key := range pairs {
				if bytes.Compare([]byte(key), op.Key) >= 0 && (len(op.Value) == 0 || key < string(op.Value)) {
					delete(pairs, key)
				}
			}
		}
	}
}

// String is in the form of Store.Pairs, for values that are plain and short.
func (m *model) String() string {
	var lines []string
	for i, pairs := range m.pairs {
		var keys []string
		for key := range pairs {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for j, key := range keys {
			keys[j] = key + "=" + pairs[key]
		}
		if len(keys) > 0 {
			lines = append(lines, fmt.Sprintf("%v: %s", engine.CF(i), strings.Join(keys, " ")))
		}
	}
	return strings.Join(lines, "\n")
}

// consistent ends the test unless a store's data is what the entries up to its applied position make. Its log must hold all
// of them.
func consistent(d *desk, s *server) {
	d.T.Helper()
	at := s.Applied()
	m := newModel(d.Regions[0])
	entries := s.Entries()
	for i := range entries {
		if entries[i].Index <= at.Index {
			m.apply(&entries[i])
		}
	}
	if got := s.Pairs(); got != m.String() {
		d.Brokenf(fmt.Sprintf("store %d, which has applied up to %d, has what the entries up to there make: %s", s.ID,
			at.Index, m),
			"%s", got)
	}
}

// wholeBatches checks every write to the data store before it is carried out: each batch holds the applied position of its
// region, so that no crash can part the two.
func wholeBatches(d *desk) func(s *server, e store.Effect) {
	return func(s *server, e store.Effect) {
		w, ok := e.(store.WriteData)
		if !ok {
			return
		}
		positions := 0
		for op := range w.Batch.Ops() {
			if op.CF == engine.Meta && len(op.Key) == 9 && op.Key[0] == 'a' {
				positions++
			}
		}
		d.Check(positions > 0, "each batch for the data store has an applied position in it",
			"store %d is to write one of %d operations and %d bytes without: %s", s.ID, w.Batch.Len(), w.Batch.Size(),
			storedesk.ShowBatch(w.Batch))
		d.Check(w.Batch.Size() <= engine.MaxBatchSize, "no batch is larger than an engine takes",
			"store %d is to write %d bytes", s.ID,
			w.Batch.Size())
	}
}

// written makes an entry with a write of any epoch.
func written(index, term uint64, epoch region.Epoch, b *engine.Batch) raft.Entry {
	data, err := command.Encode(command.Write{Epoch: epoch, Batch: b})
	if err != nil {
		panic(err)
	}
	return raft.Entry{Index: index, Term: term, Data: data}
}

// tells delivers a leader's append to a store, as if store 1 had sent it, and lets it work. What it sends is lost.
func tells(d *desk, s *server, term, after, afterTerm, commit uint64, entries ...raft.Entry) {
	d.T.Helper()
	m := d.Envelope(1, s.ID, raft.Message{Type: raft.MsgApp, Term: term, Index: after, LogTerm: afterTerm, Commit: commit,
		Entries: entries})
	d.Say("%s", storedesk.ShowMessage(&m))
	d.Arrive(m)
	d.Run()
}

func loseAll(*replica.Message) storedesk.Fate { return storedesk.Lose }

// first is the region's first epoch.
var first = region.Epoch{ConfVer: 1, Version: 1}

// isOf tells whether an error is of a kind; for tables.
func isOf[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

func broken(r explain.Rule) string { return r.ID + " is broken: " + r.Says + "." }

// eachCrash plays a story with a crash before each effect of a store in turn, for all that a crash may do, until the story
// ends without one. Whatever a crash leaves must be consistent when the store starts again.
func eachCrash(t *testing.T, begin func() (*desk, *server), story, after func(d *desk, s *server)) {
	t.Helper()
	for _, keep := range []storedesk.Keep{storedesk.LoseUnsynced, storedesk.KeepAll, storedesk.KeepSome} {
		for n := 0; ; n++ {
			d, s := begin()
			left := n
			d.Before = func(o *server, e store.Effect) {
				if o == s && left == 0 {
					d.Say("before %s:", s.Name(e))
					s.Crash(keep)
				}
				if o == s {
					left--
				}
			}
			story(d, s)
			if s.Core != nil {
				if n == 0 {
					d.Broken("a store that has something to do", "no effect at all")
				}
				break
			}
			d.Before = nil
			s.Start()
			consistent(d, s)
			after(d, s)
		}
	}
}

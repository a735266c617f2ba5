// The workbench for streams, receivers and installers alone: a region with keys from "d" to "m", which are in an engine
// together with those of other regions, and of the store itself.

package stage2cc_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/snapshot"
	"tinykv/labs/tests/explain"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

// table is what one of these tests works on.
type table struct {
	t    *testing.T
	rule explain.Rule
	done []string
	disk uint64
}

func newTable(t *testing.T, rule explain.Rule) *table { return &table{t: t, rule: rule} }

// say records a step.
func (b *table) say(format string, args ...any) {
	b.done = append(b.done, fmt.Sprintf(format, args...))
}

// check ends the test unless ok.
func (b *table) check(ok bool, want, format string, args ...any) {
	b.t.Helper()
	if !ok {
		steps := b.done
		if n := len(steps); n > 30 {
			steps = slices.Concat([]string{fmt.Sprintf("(%d steps before these)", n-30)}, steps[n-30:])
		}
		b.rule.Broken(b.t, strings.Join(steps, "\n"), want, fmt.Sprintf(format, args...))
	}
}

// must ends the test if something that has to work does not.
func (b *table) must(what string, err error) {
	b.t.Helper()
	b.check(err == nil, what+" works", "%s", explain.Error(err))
}

// The region's range, and a head for store 3.
var span = region.Range{Start: []byte("d"), End: []byte("m")}

func headOf(keys region.Range) snapshot.Head {
	peers := []region.Peer{storedesk.Peer(1, 1), storedesk.Peer(1, 2), storedesk.Peer(1, 3)}
	return snapshot.Head{ClusterID: storedesk.ClusterID, RegionID: 1, From: peers[0], To: peers[2],
		Region:   region.Region{ID: 1, Range: keys, Epoch: region.Epoch{ConfVer: 3, Version: 4}, Peers: peers},
		Position: raftlog.Position{Index: 42, Term: 6}, Term: 7, ConfState: raft.ConfState{Voters: []uint64{11, 12, 13}}}
}

// wanted is what store 3 takes.
var wanted = snapshot.Wanted{ClusterID: storedesk.ClusterID, StoreID: 3}

// pair is a pair of an engine.
type pair struct {
	cf         engine.CF
	key, value string
}

func (p pair) String() string {
	return fmt.Sprintf("%v %s=%s", p.cf, explain.Bytes([]byte(p.key)), explain.Bytes([]byte(p.value)))
}

func order(a, b pair) int {
	if a.cf != b.cf {
		return int(a.cf) - int(b.cf)
	}
	return strings.Compare(a.key, b.key)
}

// engineWith makes an engine that holds pairs.
func (b *table) engineWith(pairs ...pair) *storedesk.Engine {
	b.t.Helper()
	b.disk++
	e, err := storedesk.NewDisk(b.disk).Mount()
	b.must("opening an engine", err)
	batch := new(engine.Batch)
	for _, p := range pairs {
		if batch.Size()+len(p.key)+len(p.value)+engine.OpOverhead > engine.MaxBatchSize {
			b.must("writing pairs", e.Write(batch, engine.Synced))
			batch.Reset()
		}
		batch.Put(p.cf, []byte(p.key), []byte(p.value))
	}
	b.must("writing pairs", e.Write(batch, engine.Synced))
	return e
}

// pairsOf are all pairs of an engine, in order.
func (b *table) pairsOf(e engine.Engine) []pair {
	b.t.Helper()
	s, err := e.Snapshot()
	b.must("a snapshot", err)
	defer s.Close()
	var all []pair
	for _, cf := range engine.CFs {
		it, err := s.Iterator(cf, engine.IterOptions{})
		b.must("an iterator", err)
		for ok := it.First(); ok; ok = it.Next() {
			all = append(all, pair{cf, string(it.Key()), string(it.Value())})
		}
		b.must("reading all pairs", it.Close())
	}
	return all
}

// inside are the pairs that belong to a region.
func inside(all []pair, keys region.Range) (found []pair) {
	for _, p := range all {
		if p.cf != engine.Meta && keys.Contains([]byte(p.key)) {
			found = append(found, p)
		}
	}
	return found
}

// outside are the others.
func outside(all []pair, keys region.Range) []pair {
	in := inside(all, keys)
	return slices.DeleteFunc(slices.Clone(all), func(p pair) bool { return slices.Contains(in, p) })
}

// everywhere are pairs in and around the range from "d" to "m", in all families.
func everywhere(mark string) (all []pair) {
	for _, cf := range engine.CFs {
		for _, key := range []string{"\x00", "c", "c\xff\xff", "d", "d\x00", "e", "eee", "h", "l\xff\xff", "m", "m\x00", "z"} {
			all = append(all, pair{cf, key, fmt.Sprint(mark, " ", cf, " ", len(all))})
		}
	}
	return all
}

// chunks reads a source to its end.
func (b *table) chunks(e engine.Engine, h snapshot.Head, chunkBytes int) []snapshot.Chunk {
	b.t.Helper()
	snap, err := e.Snapshot()
	b.must("a snapshot", err)
	defer snap.Close()
	source := snapshot.NewSource(snap, h, chunkBytes)
	var all []snapshot.Chunk
	b.say("a source is read to its end, in chunks of %d bytes (0: the default)", chunkBytes)
	for range 100_000 {
		c, err := source.Next()
		if errors.Is(err, io.EOF) {
			b.say("a stream of %d pairs is cut into %d chunks", len(inside(b.pairsOf(e), h.Region.Range)), len(all))
			return all
		}
		b.must("reading the next chunk", err)
		all = append(all, c)
	}
	b.rule = streamed
	b.check(false, "a stream that ends", "100000 chunks, and no end")
	return nil
}

// stream is a small region in many chunks.
func (b *table) stream() (snapshot.Head, []snapshot.Chunk) {
	b.t.Helper()
	var all []pair
	for i := range 12 {
		for _, cf := range engine.CFs[:3] {
			all = append(all, pair{cf, fmt.Sprintf("e%02d", i), fmt.Sprintf("%v %d", cf, i)})
		}
	}
	h := headOf(span)
	chunks := b.chunks(b.engineWith(all...), h, 80)
	if len(chunks) < 8 {
		b.rule = streamed
		b.check(false, "a head, several chunks of each of three families, an end", "%d chunks in all", len(chunks))
	}
	return h, chunks
}

// shelf is a spool that holds its users to the contract of drafts: each ends once, by Commit or by Discard.
type shelf struct {
	*snapshot.Memory
	b          *table
	failCommit error // what Commit answers, if it is set
}

func (b *table) newSpool() *shelf {
	return &shelf{Memory: snapshot.NewMemory(rand.New(rand.NewPCG(1, 2))), b: b}
}

func (s *shelf) Create(name string) (snapshot.Draft, error) {
	d, err := s.Memory.Create(name)
	if err != nil {
		return nil, err
	}
	return &draft{Draft: d, shelf: s}, nil
}

type draft struct {
	snapshot.Draft
	shelf *shelf
	over  bool
}

func (d *draft) end() {
	d.shelf.b.t.Helper()
	d.shelf.b.check(!d.over, "a draft is ended once, by Commit or by Discard", "twice")
	d.over = true
}

func (d *draft) Commit() error {
	d.end()
	if d.shelf.failCommit != nil {
		_ = d.Draft.Discard()
		return d.shelf.failCommit
	}
	return d.Draft.Commit()
}

func (d *draft) Discard() error {
	d.end()
	return d.Draft.Discard()
}

// receive gives chunks to a receiver until one is refused, and closes it.
func receive(spool snapshot.Spool, w snapshot.Wanted, chunks ...snapshot.Chunk) (name string, complete bool, err error) {
	r := snapshot.NewReceiver(spool, w)
	defer r.Close()
	for _, c := range chunks {
		if complete, err = r.Accept(slices.Clone(c)); err != nil {
			return "", false, err
		}
	}
	return r.Name(), complete, nil
}

// refuses ends the test unless chunks are refused by one of these errors, and nothing of them is kept.
func (b *table) refuses(what string, w snapshot.Wanted, chunks []snapshot.Chunk, want ...error) {
	b.t.Helper()
	spool := b.newSpool()
	_, complete, err := receive(spool, w, chunks...)
	b.check(!complete, what+" is not complete", "it is taken")
	for _, kind := range want {
		if errors.Is(err, kind) {
			names, _ := spool.List()
			b.check(len(names) == 0 && spool.Used() == 0, what+" leaves nothing in the spool", "%v, %d bytes", names, spool.Used())
			return
		}
	}
	b.check(false, fmt.Sprintf("%s is refused with %v", what, want), "%s", explain.Error(err))
}

// joined are the bytes of a spool that holds these chunks.
func joined(chunks []snapshot.Chunk) []byte {
	var all []byte
	for _, c := range chunks {
		all = append(all, c...)
	}
	return all
}

// recordKey is the key of what makes an installation complete, in these tests.
const recordKey = "record"

func records() *engine.Batch {
	b := new(engine.Batch)
	b.Put(engine.Meta, []byte(recordKey), []byte("42"))
	return b
}

// installation is one on its way.
type installation struct {
	b         *table
	e         *storedesk.Engine
	data      engine.Snapshot
	installer *snapshot.Installer
}

// begin begins to install what is in a spool.
func (b *table) begin(e *storedesk.Engine, h snapshot.Head, spool []byte) *installation {
	b.t.Helper()
	data, err := e.Snapshot()
	b.must("a snapshot of the old data", err)
	return &installation{b, e, data, snapshot.NewInstaller(bytes.NewReader(spool), h, data, records())}
}

// step writes the next batch; false behind the last one.
func (i *installation) step() (more bool, err error) {
	batch, err := i.installer.Next()
	if errors.Is(err, io.EOF) {
		return false, i.end()
	}
	if err != nil {
		_ = i.end()
		return false, err
	}
	i.b.say("the installer's next batch: %d operations of %d bytes: %s", batch.Len(), batch.Size(), storedesk.ShowBatch(batch))
	return true, i.e.Write(batch, engine.Buffered)
}

func (i *installation) end() error { return i.data.Close() }

// install installs to the end.
func (b *table) install(e *storedesk.Engine, h snapshot.Head, spool []byte) (batches int, err error) {
	b.t.Helper()
	in := b.begin(e, h, spool)
	for batches = 0; batches < 10_000; batches++ {
		if more, err := in.step(); !more {
			return batches, err
		}
	}
	b.check(false, "an installation that ends", "10000 batches")
	return 0, nil
}

// recorded tells whether the records are there.
func recorded(all []pair) bool {
	return slices.ContainsFunc(all, func(p pair) bool { return p.cf == engine.Meta && p.key == recordKey })
}

// same ends the test unless two lists of pairs are equal.
func (b *table) same(what string, got, want []pair) {
	b.t.Helper()
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			b.check(false, fmt.Sprintf("%s: %v among %d pairs", what, want[i], len(want)), "it is missing; there are %d", len(got))
		case i >= len(want):
			b.check(false, fmt.Sprintf("%s: %d pairs", what, len(want)), "%v, too; there are %d", got[i], len(got))
		case got[i] != want[i]:
			b.check(false, fmt.Sprintf("%s: %v", what, want[i]), "%v", got[i])
		}
	}
}

// allRefusals are the errors by which a stream may be refused.
var allRefusals = []error{snapshot.ErrCorrupt, snapshot.ErrNewer, snapshot.ErrOutOfOrder, snapshot.ErrForeign,
	snapshot.ErrOutside, snapshot.ErrTooLarge}

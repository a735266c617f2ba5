// The batches that replace a region's data.

package stage2cc_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
	"tinykv/kv/region"
	"tinykv/kv/snapshot"
	"tinykv/labs/tests/explain"
	"tinykv/labs/tests/storedesk"
)

// What the region had is gone, what the snapshot has is there, and all else is as it was: neighbours, the store's records.
func TestRegionIsReplaced(t *testing.T) {
	fresh := []pair{{engine.Default, "e", "new"}, {engine.Default, "f", ""}, {engine.Write, "d", "new"}, {engine.Write, "l", "new"}}
	for _, keys := range []region.Range{span, {}, {Start: span.Start}, {End: span.End}} {
		b := newTable(t, replaces)
		b.say("a snapshot with the keys %v is installed over other data", keys)
		h := headOf(keys)
		chunks := b.chunks(b.engineWith(fresh...), h, 50)
		old := everywhere("old")
		e := b.engineWith(old...)
		_, err := b.install(e, h, joined(chunks))
		b.must("installing", err)
		got := b.pairsOf(e)
		b.same("in the region", inside(got, keys), inside(fresh, keys))
		b.same("around it", outside(got, keys), append(outside(old, keys), pair{engine.Meta, recordKey, "42"}))
	}
}

// A region that was empty here, or is empty there.
func TestEmptyRegionsAreInstalled(t *testing.T) {
	for _, old := range [][]pair{nil, everywhere("old")} {
		for _, fresh := range [][]pair{nil, {{engine.Lock, "e", "new"}}} {
			b := newTable(t, replaces)
			b.say("a snapshot of %d pairs is installed over %d", len(fresh), len(inside(old, span)))
			h := headOf(span)
			e := b.engineWith(old...)
			_, err := b.install(e, h, joined(b.chunks(b.engineWith(fresh...), h, 0)))
			b.must("installing", err)
			b.same("in the region", inside(b.pairsOf(e), span), slices.Clone(fresh))
			b.check(recorded(b.pairsOf(e)), "it is complete", "the records are missing")
		}
	}
}

// large is a region for several batches: of deletes, which count keys, and of pairs.
func large(mark string, keys, values int) (all []pair) {
	for i := range keys {
		all = append(all, pair{engine.CFs[i%3], fmt.Sprintf("e%05d%s", i, strings.Repeat("k", 9000)), mark})
	}
	for i := range values {
		all = append(all, pair{engine.CFs[i%3], fmt.Sprintf("h%03d", i), mark + strings.Repeat("v", 700<<10)})
	}
	return all
}

// Each batch bounds the memory that an installation takes, and how long others wait behind it. Deletes are cut to pieces,
// too: an engine may have to delete the keys one by one.
func TestBatchesAreBounded(t *testing.T) {
	b := newTable(t, replaces)
	h := headOf(span)
	fresh := large("new", 100, 14)
	spool := joined(b.chunks(b.engineWith(fresh...), h, 0))
	old := large("old", 1100, 2)
	e := b.engineWith(append(old, everywhere("around")...)...)
	in := b.begin(e, h, spool)
	batches := 0
	rest := inside(append(old, everywhere("around")...), span)
	for {
		batch, err := in.installer.Next()
		if err != nil {
			break
		}
		batches++
		b.say("batch %d: %d operations of %d bytes", batches, batch.Len(), batch.Size())
		b.check(batch.Size() <= snapshot.BatchBytes+engine.MaxKeySize+1024, fmt.Sprintf("batches of about %d bytes at most",
			snapshot.BatchBytes), "%d", batch.Size())
		gone := 0
		rest = slices.DeleteFunc(rest, func(p pair) bool {
			for op := range batch.Ops() {
				if deletes(&op, p) {
					gone += len(p.key) + engine.OpOverhead
					return true
				}
			}
			return false
		})
		b.check(gone <= snapshot.BatchBytes+engine.MaxKeySize, fmt.Sprintf("each batch deletes keys of %d bytes at most, or one more",
			snapshot.BatchBytes), "%d", gone)
		b.must("writing a batch", e.Write(batch, engine.Buffered))
	}
	b.must("closing the old data", in.end())
	b.check(batches >= 5 && batches < 100, "some batches: about one for each MiB", "%d", batches)
	b.check(e.OpenIterators == 0, "nothing is open", "%d iterators", e.OpenIterators)
	b.same("in the region", inside(b.pairsOf(e), span), fresh)
}

func deletes(op *engine.Op, p pair) bool {
	switch {
	case op.CF != p.cf:
		return false
	case op.Kind == engine.OpDelete:
		return p.key == string(op.Key)
	}
	return op.Kind == engine.OpDeleteRange && p.key >= string(op.Key) && (len(op.Value) == 0 || p.key < string(op.Value))
}

// The records make the snapshot the applied state. They are the end of the last batch, and not in any before.
func TestRecordsComeWithTheLastBatch(t *testing.T) {
	b := newTable(t, replaces)
	h := headOf(span)
	spool := joined(b.chunks(b.engineWith(large("new", 10, 14)...), h, 0))
	e := b.engineWith(everywhere("old")...)
	in := b.begin(e, h, spool)
	for batches := 0; ; batches++ {
		had := recorded(b.pairsOf(e))
		more, err := in.step()
		b.must("the next batch", err)
		if !more {
			b.check(had && batches > 2, "the records are there when the last of several batches is written", "%v after %d batches", had,
				batches)
			break
		}
		b.check(!had, "the records come with the last batch", "another one follows")
	}
}

// A spool that went bad since it was received: the installation ends with an error, and is never complete. The disk is not
// trusted, not even at the very end.
func TestDamagedSpoolIsNeverInstalled(t *testing.T) {
	b := newTable(t, replaces)
	h, chunks := b.stream()
	spool := joined(chunks)
	try := func(what string, bad []byte, kinds ...error) {
		b.t.Helper()
		e := b.engineWith(everywhere("old")...)
		_, err := b.install(e, h, bad)
		b.check(slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) }),
			fmt.Sprintf("a spool %s is an error: one of %v", what, kinds), "%s", explain.Error(err))
		b.check(!recorded(b.pairsOf(e)), fmt.Sprintf("a spool %s is never complete", what), "the records are there")
	}
	for at := range spool {
		bad := slices.Clone(spool)
		bad[at] ^= 1 << (at % 8)
		try(fmt.Sprintf("with a flipped bit in byte %d", at), bad, allRefusals...)
	}
	for _, size := range []int{0, 1, len(spool) / 2, len(spool) - len(chunks[len(chunks)-1]), len(spool) - 1} {
		try(fmt.Sprintf("that is cut off after %d of %d bytes", size, len(spool)), spool[:size], snapshot.ErrCorrupt)
	}
	try("with bytes behind its end", append(slices.Clone(spool), 0), allRefusals...)
	try("with two snapshots", append(slices.Clone(spool), spool...), allRefusals...)
}

// The spool of another snapshot than the one that was accepted.
func TestForeignSpoolIsNotInstalled(t *testing.T) {
	for name, change := range map[string]func(h *snapshot.Head){
		"at another position":    func(h *snapshot.Head) { h.Position.Index++ },
		"for another peer":       func(h *snapshot.Head) { h.To.ID++ },
		"of another region":      func(h *snapshot.Head) { h.RegionID, h.Region.ID = 2, 2 },
		"of another epoch":       func(h *snapshot.Head) { h.Region.Epoch.Version++ },
		"of other members":       func(h *snapshot.Head) { h.ConfState.Voters = []uint64{11, 12} },
		"of another term's head": func(h *snapshot.Head) { h.Term++ },
	} {
		b := newTable(t, replaces)
		_, chunks := b.stream()
		h := headOf(span)
		change(&h)
		b.say("a snapshot was accepted that is %s than the spool", name)
		old := everywhere("old")
		e := b.engineWith(old...)
		batches, err := b.install(e, h, joined(chunks))
		b.check(errors.Is(err, snapshot.ErrForeign), "it is refused with ErrForeign", "%v", err)
		b.check(batches == 0, "before anything is written", "%d batches", batches)
		b.same("the data", b.pairsOf(e), old)
	}
}

// The old data can't be read.
func TestOldDataThatCannotBeReadIsAnError(t *testing.T) {
	b := newTable(t, replaces)
	h, chunks := b.stream()
	broke := errors.New("the disk broke")
	e := b.engineWith(everywhere("old")...)
	e.FailRead = broke
	_, err := b.install(e, h, joined(chunks))
	e.FailRead = nil
	b.check(errors.Is(err, broke), "the error of the disk", "%v", err)
	b.check(e.OpenIterators == 0 && e.OpenSnapshots == 0, "nothing is open", "%d iterators", e.OpenIterators)
	b.check(!recorded(b.pairsOf(e)), "it is not complete", "the records are there")
}

// A crash after any batch, with any part of what was written kept. Begun anew, on what is left, it comes to the same state;
// and the records are never there without all of it.
func TestInstallationIsBegunAnew(t *testing.T) {
	fresh, old := large("new", 10, 8), append(large("old", 550, 1), everywhere("around")...)
	old = append(old, pair{engine.Default, "ghost", "old"})
	b := newTable(t, restarts)
	h := headOf(span)
	spool := joined(b.chunks(b.engineWith(fresh...), h, 0))
	want := inside(fresh, span)
	around := outside(old, span)
	for stop, finished := 0, false; !finished; stop++ {
		b.done = nil
		disk := mem.NewDisk(rand.New(rand.NewPCG(uint64(stop), 3)), mem.Options{})
		e := b.mount(disk)
		batch := new(engine.Batch)
		for _, p := range old {
			batch.Put(p.cf, []byte(p.key), []byte(p.value))
		}
		b.must("writing the old data", e.Write(batch, engine.Synced))
		in := b.begin(e, h, spool)
		for range stop {
			more, err := in.step()
			b.must("the next batch", err)
			if !more {
				finished = true
				break
			}
		}
		b.say("a crash after %d batches", stop)
		disk.Crash()
		e = b.mount(disk)
		got := b.pairsOf(e)
		if recorded(got) {
			b.same("in the region, when the records are there", inside(got, span), want)
			continue
		}
		_, err := b.install(e, h, spool)
		b.must("installing anew", err)
		got = b.pairsOf(e)
		b.same("in the region, after it was begun anew", inside(got, span), want)
		b.same("around it", slices.DeleteFunc(outside(got, span), func(p pair) bool { return p.key == recordKey }), slices.Clone(around))
	}
}

func (b *table) mount(disk *mem.Disk) *storedesk.Engine {
	b.t.Helper()
	e, err := mem.Open(disk)
	b.must("opening an engine", err)
	return &storedesk.Engine{Engine: e}
}

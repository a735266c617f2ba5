// A region's state as a stream of chunks.

package stage2cc_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/region"
	"tinykv/kv/snapshot"
)

// What arrives is what the region has: all pairs of its range, of the three families of users, byte by byte, and nothing
// that belongs to its neighbours or to the store.
func TestStreamIsTheRegion(t *testing.T) {
	for _, keys := range []region.Range{span, {}, {Start: span.Start}, {End: span.End}, {Start: []byte("d"), End: []byte("d\x00")},
		{Start: []byte("f"), End: []byte("g")}} {
		for _, chunkBytes := range []int{1, 40, 100, 0} {
			b := newTable(t, streamed)
			b.say("a region with the keys %v is streamed, in chunks of %d bytes (0: the default)", keys, chunkBytes)
			all := everywhere("new")
			h := headOf(keys)
			chunks := b.chunks(b.engineWith(all...), h, chunkBytes)
			to := b.engineWith()
			_, err := b.install(to, h, joined(chunks))
			b.must("installing what was streamed", err)
			got := b.pairsOf(to)
			b.check(recorded(got), "it is complete", "the records are missing")
			b.same("what arrives", inside(got, region.Range{}), inside(all, keys))
		}
	}
}

// A source reads one state, whatever is written while it goes on, and holds nothing open between two chunks. The engine
// spoils the bytes that its iterators returned as soon as they move.
func TestStreamIsOfOneState(t *testing.T) {
	b := newTable(t, streamed)
	all := everywhere("old")
	e := b.engineWith(all...)
	snap, err := e.Snapshot()
	b.must("a snapshot", err)
	h := headOf(span)
	source := snapshot.NewSource(snap, h, 1)
	var spool []byte
	for n := 0; ; n++ {
		c, err := source.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		b.must("the next chunk", err)
		spool = append(spool, c...)
		b.check(e.OpenIterators == 0, "between two chunks nothing is open", "%d iterators", e.OpenIterators)
		later := new(engine.Batch)
		later.DeleteRange(engine.Lock, []byte("d"), []byte("m"))
		later.Put(engine.Default, fmt.Appendf(nil, "k%d", n), []byte("later"))
		b.must("writing meanwhile", e.Write(later, engine.Buffered))
	}
	b.must("closing the state", snap.Close())
	to := b.engineWith()
	_, err = b.install(to, h, spool)
	b.must("installing what was streamed", err)
	b.same("what arrives", inside(b.pairsOf(to), span), inside(all, span))
}

// The size of chunks bounds the memory of both sides, and their number what they cost.
func TestChunksAreBounded(t *testing.T) {
	const most = 4096
	b := newTable(t, streamed)
	var all []pair
	total := 0
	for i := range 300 {
		p := pair{engine.CFs[i%3], fmt.Sprintf("e%03d", i), strings.Repeat("v", 37*(i%23))}
		all = append(all, p)
		total += len(p.key) + len(p.value) + 3
	}
	all = append(all, pair{engine.Lock, "e100+", strings.Repeat("large", 2*most)})
	e := b.engineWith(all...)
	chunks := b.chunks(e, headOf(span), most)
	larger := 0
	for i, c := range chunks {
		if len(c) > most {
			larger++
			b.check(strings.Contains(string(c), "large"), fmt.Sprintf("at most %d bytes in chunk %d", most, i), "%d", len(c))
			b.check(len(c) < 10*most+200, "a pair that is larger than a chunk goes alone", "a chunk of %d bytes", len(c))
		}
	}
	b.check(larger == 1, "one chunk is larger: it has a pair that is", "%d are", larger)
	b.check(len(chunks) <= 3*total/most+12, fmt.Sprintf("chunks that are well filled: at most %d", 3*total/most+12), "%d", len(chunks))
	to := b.engineWith()
	_, err := b.install(to, headOf(span), joined(chunks))
	b.must("installing what was streamed", err)
	b.same("what arrives", inside(b.pairsOf(to), span), inside(all, span))
}

// A disk that fails in the middle must not look like the end of the region.
func TestFailureEndsTheStream(t *testing.T) {
	broke := errors.New("the disk broke")
	b := newTable(t, streamed)
	e := b.engineWith(everywhere("new")...)
	clean := len(b.chunks(e, headOf(span), 1))
	want := 1 + len(inside(everywhere("new"), span)) + 1
	b.check(clean == want, fmt.Sprintf("a head, a chunk for each pair, an end: %d chunks", want), "%d", clean)
	for at := 1; at < clean-1; at++ {
		snap, err := e.Snapshot()
		b.must("a snapshot", err)
		source := snapshot.NewSource(snap, headOf(span), 1)
		for range at {
			_, err := source.Next()
			b.must("the next chunk", err)
		}
		b.say("the disk fails after %d of %d chunks", at, clean)
		e.FailRead = broke
		var failed error
		for n := 0; n < clean && failed == nil; n++ {
			_, failed = source.Next()
		}
		e.FailRead = nil
		b.check(errors.Is(failed, broke), "the error of the disk", "%v", failed)
		b.check(e.OpenIterators == 0, "nothing is open", "%d iterators", e.OpenIterators)
		b.must("closing the state", snap.Close())
	}
}

// Random regions go through a source, a receiver and an installer, and come out as they went in.
func TestRandomRegionsArrive(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 7))
		b := newTable(t, streamed)
		keys := []region.Range{span, {}, {Start: span.Start}, {End: span.End}}[rng.IntN(4)]
		h := headOf(keys)
		random := func(n int) (all []pair) {
			seen := map[string]bool{}
			for range n {
				p := pair{engine.CFs[rng.IntN(4)], fmt.Sprintf("%c%d", 'a'+rng.IntN(26), rng.IntN(20)), strings.Repeat("v", rng.IntN(300))}
				if id := fmt.Sprint(p.cf, p.key); !seen[id] {
					seen[id] = true
					all = append(all, p)
				}
			}
			return all
		}
		sent, old := random(rng.IntN(200)), random(rng.IntN(200))
		chunkBytes := 30 + rng.IntN(1000)
		b.say("seed %d: %d pairs in chunks of %d bytes, over %d old ones, keys %v", seed, len(sent), chunkBytes, len(old), keys)
		chunks := b.chunks(b.engineWith(sent...), h, chunkBytes)
		spool := b.newSpool()
		name, complete, err := receive(spool, wanted, chunks...)
		b.must("receiving", err)
		b.check(complete, "the last chunk completes it", "it is not complete")
		file, err := spool.Open(name)
		b.must("opening the spool", err)
		bytes, err := io.ReadAll(file)
		b.must("reading the spool", err)
		to := b.engineWith(old...)
		_, err = b.install(to, h, bytes)
		b.must("installing", err)
		got := b.pairsOf(to)
		b.same("in the region", inside(got, keys), inside(sent, keys))
		b.same("around it", outside(got, keys), append(outside(old, keys), pair{engine.Meta, recordKey, "42"}))
	}
}

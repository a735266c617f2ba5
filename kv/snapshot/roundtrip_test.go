// A region arrives as it was, and nothing else changes.

package snapshot

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"tinykv/kv/engine"
)

func TestRandomRegionsArriveAsTheyWere(t *testing.T) {
	var empty, several int
	for seed := range uint64(400) {
		rng := random(seed)
		h := headOf(randomRange(rng))
		var sent, old engine.Batch
		randomPairs(rng, h.Region.Range, &sent)
		randomPairs(rng, h.Region.Range, &old)
		from, to := newEngine(t, &sent), newEngine(t, &old)
		chunks := chunksOf(t, NewSource(snapshotOf(t, from), h, 1+rng.IntN(3000)))

		spool := NewMemory(rng)
		name, complete, err := receive(spool, wanted(), chunks...)
		if err != nil || !complete {
			t.Fatalf("seed %d: complete %v, error %v", seed, complete, err)
		}
		_, oldOutside := contents(t, to, h.Region.Range)
		install(t, installer(t, spool, name, h, snapshotOf(t, to)), to, 1000)

		want, _ := contents(t, from, h.Region.Range)
		got, gotOutside := contents(t, to, h.Region.Range)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: range %v\n got %q\nwant %q", seed, h.Region.Range, got, want)
		}
		if wantOutside := append(oldOutside, `meta "applied"="1042"`); !slices.Equal(sorted(gotOutside), sorted(wantOutside)) {
			t.Fatalf("seed %d: outside of %v\n got %q\nwant %q", seed, h.Region.Range, gotOutside, wantOutside)
		}
		if len(want) == 0 {
			empty++
		}
		if len(chunks) > 8 {
			several++
		}
	}
	if empty == 0 || several == 0 {
		t.Errorf("%d empty regions, %d of several chunks: the test reached too little", empty, several)
	}
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

func TestTheStreamIsTheStateOfTheEngineSnapshot(t *testing.T) {
	var b engine.Batch
	for _, key := range []string{"a", "b", "c", "d"} {
		b.Put(engine.Default, []byte(key), []byte("old"))
	}
	e := newEngine(t, &b)
	source := NewSource(snapshotOf(t, e), headOf(span("", "")), 40)
	first, err := source.Next()
	must(t, err)

	var later engine.Batch
	later.DeleteRange(engine.Default, nil, nil)
	later.Put(engine.Lock, []byte("b"), nil)
	must(t, e.Write(&later, engine.Synced))

	chunks := append([]Chunk{first}, chunksOf(t, source)...)
	spool, to := NewMemory(random(1)), newEngine(t, &engine.Batch{})
	name, _, err := receive(spool, wanted(), chunks...)
	must(t, err)
	install(t, installer(t, spool, name, source.Head(), snapshotOf(t, to)), to, 100)
	want := []string{`default "a"="old"`, `default "b"="old"`, `default "c"="old"`, `default "d"="old"`}
	if got, _ := contents(t, to, span("", "")); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestChunksAreFullAndBounded: no chunk is larger than asked for unless it has a single pair, and none could have taken the
// first pair of the next.
func TestChunksAreFullAndBounded(t *testing.T) {
	rng := random(3)
	var b engine.Batch
	for range 300 {
		b.Put(families[rng.IntN(3)], randomBytes(rng, 1+rng.IntN(20)), randomBytes(rng, rng.IntN(300)))
	}
	const limit = 256
	chunks := chunksOf(t, NewSource(snapshotOf(t, newEngine(t, &b)), headOf(span("", "")), limit))
	single := 0
	for i, c := range chunks[1 : len(chunks)-1] {
		p, first, count := openedPairs(t, c)
		if len(c) > limit {
			single++
			if count != 1 {
				t.Errorf("chunk %d has %d bytes and %d pairs", i+1, len(c), count)
			}
		}
		if i == 0 {
			continue
		}
		before, _, _ := openedPairs(t, chunks[i])
		if p.cf == before.cf && len(chunks[i])+first <= limit {
			t.Errorf("chunk %d of %d bytes had room for the next pair, of %d bytes", i, len(chunks[i]), first)
		}
	}
	if single == 0 {
		t.Error("no pair was larger than a chunk: the test reached too little")
	}
}

// openedPairs reads a chunk of pairs: its first pair's size and how many there are.
func openedPairs(t *testing.T, c Chunk) (p pairs, first, count int) {
	t.Helper()
	_, _, body, err := c.open()
	must(t, err)
	p, err = openPairs(body)
	must(t, err)
	for p.more() {
		key, value, err := p.next()
		must(t, err)
		if count++; count == 1 {
			first = pairBytes(key, value)
		}
	}
	return p, first, count
}

func TestTheLargestPairTravels(t *testing.T) {
	key, value := bytes.Repeat([]byte{'k'}, engine.MaxKeySize), make([]byte, engine.MaxValueSize)
	var b engine.Batch
	b.Put(engine.Write, key, value)
	h := headOf(span("", ""))
	chunks := chunksOf(t, NewSource(snapshotOf(t, newEngine(t, &b)), h, 0))
	if len(chunks) != 3 || len(chunks[1]) > MaxChunkBytes {
		t.Fatalf("%d chunks, the second of %d bytes", len(chunks), len(chunks[1]))
	}
	spool, to := NewMemory(random(1)), newEngine(t, &engine.Batch{})
	name, complete, err := receive(spool, wanted(), chunks...)
	if err != nil || !complete {
		t.Fatal(complete, err)
	}
	install(t, installer(t, spool, name, h, snapshotOf(t, to)), to, 100)
	got, err := snapshotOf(t, to).Get(engine.Write, key)
	if err != nil || !bytes.Equal(got, value) {
		t.Errorf("%d bytes, error %v", len(got), err)
	}
}

func TestTheSameStateIsTheSameStream(t *testing.T) {
	h, chunks, e := smallStream(t)
	again := chunksOf(t, NewSource(snapshotOf(t, e), h, 60))
	if !slices.EqualFunc(chunks, again, func(a, b Chunk) bool { return bytes.Equal(a, b) }) {
		t.Error("a second stream of the same state is another one")
	}
}

func TestSourceReportsAnEngineThatIsGone(t *testing.T) {
	var b engine.Batch
	b.Put(engine.Default, []byte("k"), nil)
	snap := snapshotOf(t, newEngine(t, &b))
	source := NewSource(snap, headOf(span("", "")), 0)
	_, err := source.Next()
	must(t, err)
	must(t, snap.Close())
	if _, err := source.Next(); err == nil || err == io.EOF {
		t.Errorf("got %v, want the engine's error", err)
	}
}

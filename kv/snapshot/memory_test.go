// Memory is bounded by a chunk or a batch, however large the region is. Counted in live bytes and allocations.

package snapshot

import (
	"encoding/binary"
	"io"
	"runtime"
	"testing"

	"tinykv/kv/engine"
)

// endless is a state of an engine that is made while it is read: a number of pairs with values of one size in the family
// write.
type endless struct {
	pairs uint64
	value []byte
}

func (e *endless) Get(engine.CF, []byte) ([]byte, error) { return nil, engine.ErrNotFound }
func (e *endless) Close() error                          { return nil }

func (e *endless) Iterator(cf engine.CF, opts engine.IterOptions) (engine.Iterator, error) {
	it := &endlessIterator{state: e, at: e.pairs}
	if cf == engine.Write {
		it.at = 0
		if len(opts.Lower) == len(it.key) {
			it.at = binary.BigEndian.Uint64(opts.Lower)
		}
	}
	return it, nil
}

// endlessIterator knows only what a Source asks for.
type endlessIterator struct {
	engine.Iterator
	state *endless
	at    uint64
	key   [8]byte
}

func (it *endlessIterator) First() bool   { return it.at < it.state.pairs }
func (it *endlessIterator) Next() bool    { it.at++; return it.at < it.state.pairs }
func (it *endlessIterator) Value() []byte { return it.state.value }
func (it *endlessIterator) Err() error    { return nil }
func (it *endlessIterator) Close() error  { return nil }
func (it *endlessIterator) Key() []byte {
	binary.BigEndian.PutUint64(it.key[:], it.at)
	return it.key[:]
}

// hole is a Spool that forgets.
type hole struct{ Spool }

func (hole) Create(string) (Draft, error)       { return hole{}, nil }
func (hole) Write(p []byte) (int, error)        { return len(p), nil }
func (hole) Commit() error                      { return nil }
func (hole) Discard() error                     { return nil }
func (hole) Open(string) (io.ReadCloser, error) { return nil, ErrName }

// streamReader is a spool that is made while it is read.
type streamReader struct {
	source *Source
	rest   []byte
}

func (r *streamReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		c, err := r.source.Next()
		if err != nil {
			return 0, err
		}
		r.rest = c
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// live is what is reachable in memory.
func live() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// large is a region of 64 MiB, in pairs of a size.
func large(valueBytes int) *endless {
	return &endless{pairs: uint64(64 << 20 / valueBytes), value: make([]byte, valueBytes)}
}

func TestSendingAndReceivingTakeAFewChunksOfMemory(t *testing.T) {
	const limit = 4 * DefaultChunkBytes
	for _, valueBytes := range []int{100, 4 << 10, 100 << 10} {
		source := NewSource(large(valueBytes), headOf(span("", "")), 0)
		r := NewReceiver(hole{}, wanted())
		before, most, sent, chunks := live(), int64(0), 0, 0
		for {
			c, err := source.Next()
			if err == io.EOF {
				break
			}
			must(t, err)
			_, err = r.Accept(c)
			must(t, err)
			sent += len(c)
			if chunks++; chunks%16 == 0 {
				most = max(most, live()-before)
			}
			runtime.KeepAlive(c)
		}
		if sent < 63<<20 || most > limit {
			t.Errorf("%d bytes in values of %d: %d bytes were live, want at most %d", sent, valueBytes, most, limit)
		}
		runtime.KeepAlive(source)
		runtime.KeepAlive(r)
	}
}

func TestInstallingTakesAFewBatchesOfMemory(t *testing.T) {
	const limit = 3 * BatchBytes
	for _, valueBytes := range []int{100, 4 << 10, 100 << 10} {
		h := headOf(span("", ""))
		reader := &streamReader{source: NewSource(large(valueBytes), h, 0)}
		before := live()
		in := NewInstaller(reader, h, &endless{}, records())
		most, batches := int64(0), 0
		for {
			b, err := in.Next()
			if err == io.EOF {
				break
			}
			must(t, err)
			batches++
			most = max(most, live()-before)
			runtime.KeepAlive(b)
		}
		if batches < 64<<20/BatchBytes || most > limit {
			t.Errorf("%d batches of values of %d: %d bytes were live, want at most %d", batches, valueBytes, most, limit)
		}
		runtime.KeepAlive(in)
	}
}

func TestAllocationsOfAChunk(t *testing.T) {
	source := NewSource(large(1000), headOf(span("", "")), 0)
	r := NewReceiver(hole{}, wanted())
	var c Chunk
	next := func() {
		var err error
		if c, err = source.Next(); err != nil {
			t.Fatal(err)
		}
	}
	accept := func() {
		if _, err := r.Accept(c); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		next()
		accept()
	}
	if got := testing.AllocsPerRun(20, func() { next(); accept() }); got != 3 {
		t.Errorf("%v allocations for each chunk, want 3: the iterator, the chunk, the key to go on from", got)
	}
}

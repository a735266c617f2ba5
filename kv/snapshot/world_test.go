// What the tests share: regions with random contents, and ways through sender, network, receiver and installer.

package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/raft"
)

const (
	cluster   = 7
	hereStore = 2
	herePeer  = 12
)

// headOf is the head of a snapshot of region 5, which has keys in a range.
func headOf(keys region.Range) Head {
	from, to := region.Peer{ID: 11, StoreID: 1}, region.Peer{ID: herePeer, StoreID: hereStore}
	return Head{
		ClusterID: cluster, RegionID: 5, From: from, To: to,
		Region: region.Region{ID: 5, Range: keys, Epoch: region.Epoch{ConfVer: 3, Version: 4},
			Peers: []region.Peer{from, to}},
		Position: raftlog.Position{Index: 1042, Term: 8}, Term: 9,
		ConfState: raft.ConfState{Voters: []uint64{11, 12}},
	}
}

func span(start, end string) region.Range {
	return region.Range{Start: []byte(start), End: []byte(end)}
}

func wanted() Wanted { return Wanted{ClusterID: cluster, StoreID: hereStore} }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// newEngine is an engine on a simulated disk that contains what b says.
func newEngine(t testing.TB, b *engine.Batch) *mem.Engine {
	t.Helper()
	e, err := mem.Open(mem.NewDisk(random(1), mem.Options{}))
	must(t, err)
	must(t, e.Write(b, engine.Synced))
	return e
}

func snapshotOf(t testing.TB, e engine.Engine) engine.Snapshot {
	t.Helper()
	s, err := e.Snapshot()
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// contents lists all pairs of an engine, as text. Those inside of keys, Meta excepted, come in the first list.
func contents(t testing.TB, e engine.Engine, keys region.Range) (inside, outside []string) {
	t.Helper()
	s, err := e.Snapshot()
	must(t, err)
	defer s.Close()
	for _, cf := range engine.CFs {
		it, err := s.Iterator(cf, engine.IterOptions{})
		must(t, err)
		for ok := it.First(); ok; ok = it.Next() {
			pair := fmt.Sprintf("%v %s=%s", cf, text(it.Key()), text(it.Value()))
			if cf != engine.Meta && keys.Contains(it.Key()) {
				inside = append(inside, pair)
			} else {
				outside = append(outside, pair)
			}
		}
		must(t, it.Close())
	}
	return inside, outside
}

// text is bytes to be compared and read by people.
func text(p []byte) string {
	if len(p) > 100 {
		return fmt.Sprintf("%q... (%d bytes, %08x)", p[:20], len(p), crc32.Checksum(p, castagnoli))
	}
	return fmt.Sprintf("%q", p)
}

// records are what a replica would have written last.
func records() *engine.Batch {
	var b engine.Batch
	b.Put(engine.Meta, []byte("applied"), []byte("1042"))
	return &b
}

// chunksOf reads a source to its end.
func chunksOf(t testing.TB, s *Source) []Chunk {
	t.Helper()
	var all []Chunk
	for {
		c, err := s.Next()
		if err == io.EOF {
			return all
		}
		must(t, err)
		all = append(all, c)
	}
}

// receive gives chunks to a new Receiver until it refuses one, is complete, or there are no more.
func receive(spool Spool, w Wanted, chunks ...Chunk) (name string, complete bool, err error) {
	r := NewReceiver(spool, w)
	defer r.Close()
	for _, c := range chunks {
		if complete, err = r.Accept(c); err != nil {
			return "", false, err
		}
	}
	return r.Name(), complete, nil
}

// installer opens a spool and makes an Installer of it.
func installer(t testing.TB, spool Spool, name string, h Head, data engine.Snapshot) *Installer {
	t.Helper()
	file, err := spool.Open(name)
	must(t, err)
	t.Cleanup(func() { file.Close() })
	return NewInstaller(file, h, data, records())
}

// install writes at most limit batches, and the sync at the end. It returns how many there were.
func install(t testing.TB, in *Installer, e engine.Engine, limit int) (batches int, finished bool) {
	t.Helper()
	for ; batches < limit; batches++ {
		b, err := in.Next()
		if err == io.EOF {
			must(t, e.Write(&engine.Batch{}, engine.Synced))
			return batches, true
		}
		must(t, err)
		must(t, e.Write(b, engine.Buffered))
	}
	return batches, false
}

// randomPairs adds pairs to a batch: keys in, at, and around the bounds of a range, in all families, the store's own too;
// some long, some empty, some with the same key in several families.
func randomPairs(rng *rand.Rand, keys region.Range, b *engine.Batch) {
	if rng.IntN(8) == 0 {
		return
	}
	for range rng.IntN(60) {
		b.Put(engine.CFs[rng.IntN(len(engine.CFs))], randomKey(rng, keys), randomBytes(rng, rng.IntN(200)))
	}
	if rng.IntN(4) == 0 {
		key := append(bytes.Clone(keys.Start), bytes.Repeat([]byte{0}, engine.MaxKeySize-len(keys.Start))...)
		b.Put(engine.Write, key, randomBytes(rng, 3000))
	}
}

func randomKey(rng *rand.Rand, keys region.Range) []byte {
	switch rng.IntN(8) {
	case 0:
		if len(keys.Start) > 0 {
			return keys.Start
		}
	case 1:
		if len(keys.End) > 0 {
			return keys.End
		}
	case 2:
		return append(bytes.Clone(keys.End), 0)
	case 3:
		return append(bytes.Clone(keys.Start), 0)
	}
	return []byte(fmt.Sprintf("%c%d", 'a'+rng.IntN(26), rng.IntN(30)))
}

func randomBytes(rng *rand.Rand, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	return p
}

func randomRange(rng *rand.Rand) region.Range {
	bounds := []string{"", "c", "c\x00", "k", "s\xff", "z"}
	i := rng.IntN(len(bounds))
	j := i + 1 + rng.IntN(len(bounds)-i)
	if j == len(bounds) {
		return span(bounds[i], "")
	}
	return span(bounds[i], bounds[j])
}

// smallStream is a stream with several chunks of each family, and the engine it was read from.
func smallStream(t testing.TB) (Head, []Chunk, engine.Engine) {
	t.Helper()
	var b engine.Batch
	for i := range 9 {
		for _, cf := range engine.CFs {
			b.Put(cf, fmt.Appendf(nil, "k%d", i), fmt.Appendf(nil, "%v %d", cf, i))
		}
	}
	e := newEngine(t, &b)
	h := headOf(span("k1", "k8"))
	chunks := chunksOf(t, NewSource(snapshotOf(t, e), h, 60))
	if len(chunks) < 8 {
		t.Fatalf("the small stream has only %d chunks", len(chunks))
	}
	return h, chunks, e
}

// mustBeEmpty demands that nothing is left in a spool.
func mustBeEmpty(t testing.TB, m *Memory) {
	t.Helper()
	if names, _ := m.List(); len(names) > 0 || m.Used() > 0 || len(m.drafts) > 0 {
		t.Errorf("left in the spool: %q, %d bytes, %d drafts", names, m.Used(), len(m.drafts))
	}
}

// refusals are all the errors by which a stream may be refused.
var refusals = []error{ErrCorrupt, ErrNewer, ErrOutOfOrder, ErrForeign, ErrOutside, ErrTooLarge}

func isRefusal(err error) bool {
	return slices.ContainsFunc(refusals, func(kind error) bool { return errors.Is(err, kind) })
}

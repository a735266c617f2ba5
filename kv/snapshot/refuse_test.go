// What is not what was sent, or not for us, is refused, and nothing of it is kept.

package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"tinykv/kv/engine"
)

// flips yields every way to flip one bit of a byte string.
func flips(p []byte) func(func(int, []byte) bool) {
	return func(yield func(int, []byte) bool) {
		for bit := range len(p) * 8 {
			damaged := bytes.Clone(p)
			damaged[bit/8] ^= 1 << (bit % 8)
			if !yield(bit, damaged) {
				return
			}
		}
	}
}

func TestEveryFlippedBitIsRefusedOnArrival(t *testing.T) {
	_, chunks, _ := smallStream(t)
	for i, c := range chunks {
		for bit, damaged := range flips(c) {
			spool := NewMemory(random(1))
			stream := slices.Clone(chunks)
			stream[i] = damaged
			if _, complete, err := receive(spool, wanted(), stream[:i+1]...); !isRefusal(err) || complete {
				t.Fatalf("chunk %d, bit %d flipped: complete %v, error %v", i, bit, complete, err)
			}
			mustBeEmpty(t, spool)
		}
	}
}

func TestEveryShortenedChunkIsRefusedOnArrival(t *testing.T) {
	_, chunks, _ := smallStream(t)
	for i, c := range chunks {
		for n := range c {
			spool := NewMemory(random(1))
			stream := append(slices.Clone(chunks[:i]), c[:n:n])
			if _, _, err := receive(spool, wanted(), stream...); !isRefusal(err) {
				t.Fatalf("chunk %d cut to %d bytes: %v", i, n, err)
			}
			mustBeEmpty(t, spool)
		}
	}
}

func TestAStreamThatEndsEarlyLeavesNothing(t *testing.T) {
	_, chunks, _ := smallStream(t)
	for n := range chunks {
		spool := NewMemory(random(1))
		if _, complete, err := receive(spool, wanted(), chunks[:n]...); complete || err != nil {
			t.Fatalf("%d of %d chunks: complete %v, error %v", n, len(chunks), complete, err)
		}
		mustBeEmpty(t, spool)
	}
}

func TestChunksOutOfOrderAreRefused(t *testing.T) {
	_, chunks, _ := smallStream(t)
	for i := range chunks {
		for j := range chunks {
			if i == j {
				continue
			}
			swapped := slices.Clone(chunks)
			swapped[i], swapped[j] = swapped[j], swapped[i]
			refusedAs(t, ErrOutOfOrder, fmt.Sprint(i, " and ", j, " exchanged"), swapped)
		}
		if i < len(chunks)-1 {
			refusedAs(t, ErrOutOfOrder, fmt.Sprint(i, " missing"), slices.Delete(slices.Clone(chunks), i, i+1))
		}
		refusedAs(t, ErrOutOfOrder, fmt.Sprint(i, " twice"), slices.Insert(slices.Clone(chunks), i, chunks[i]))
	}
}

func refusedAs(t *testing.T, want error, what string, stream []Chunk) {
	t.Helper()
	if _, _, err := receive(NewMemory(random(1)), wanted(), stream...); !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func TestAChunkBehindTheEndDoesNoHarm(t *testing.T) {
	_, chunks, _ := smallStream(t)
	spool := NewMemory(random(1))
	r := NewReceiver(spool, wanted())
	for _, c := range chunks {
		_, err := r.Accept(c)
		must(t, err)
	}
	next := craft(kindPairs, uint32(len(chunks)), pairsBody(engine.Write, "k7", "x"))
	for _, c := range []Chunk{chunks[1], chunks[len(chunks)-1], next} {
		if complete, err := r.Accept(c); complete || !errors.Is(err, ErrOutOfOrder) {
			t.Errorf("complete %v, error %v, want ErrOutOfOrder", complete, err)
		}
	}
	must(t, r.Close())
	if names, _ := spool.List(); len(names) != 1 || names[0] != r.Name() {
		t.Errorf("the spools are %q, want %s", names, r.Name())
	}
}

// craft makes a chunk with a right checksum, whatever is in it.
func craft(k kind, number uint32, body []byte) Chunk {
	return sealChunk(append(beginChunk(nil, k, number), body...))
}

// pairsBody is the body of a chunk of pairs, given as key, value, key, value.
func pairsBody(cf engine.CF, pairs ...string) []byte {
	b := []byte{byte(cf)}
	for i := 0; i < len(pairs); i += 2 {
		b = appendPair(b, []byte(pairs[i]), []byte(pairs[i+1]))
	}
	return b
}

// TestALyingSenderIsRefused plays a sender that computes all checksums right.
func TestALyingSenderIsRefused(t *testing.T) {
	h := headOf(span("b", "m"))
	encoded, err := EncodeHead(h)
	must(t, err)
	head := craft(kindHead, 0, encoded)
	long := string(make([]byte, engine.MaxKeySize+1))
	for _, c := range []struct {
		what   string
		want   error
		stream []Chunk
	}{
		{"no head", ErrOutOfOrder, []Chunk{craft(kindPairs, 0, pairsBody(engine.Default, "c", ""))}},
		{"two heads", ErrOutOfOrder, []Chunk{head, craft(kindHead, 1, encoded)}},
		{"a head that is none", ErrCorrupt, []Chunk{craft(kindHead, 0, []byte("head"))}},
		{"a newer head", ErrNewer, []Chunk{craft(kindHead, 0, appendSum([]byte{headVersion + 1, 0}))}},
		{"an unknown kind", ErrCorrupt, []Chunk{head, craft(9, 1, nil)}},
		{"key below the range", ErrOutside, []Chunk{head, craft(kindPairs, 1, pairsBody(engine.Lock, "a", ""))}},
		{"key at the end of the range", ErrOutside, []Chunk{head, craft(kindPairs, 1, pairsBody(engine.Lock, "c", "", "m", ""))}},
		{"the store's own family", ErrOutside, []Chunk{head, craft(kindPairs, 1, pairsBody(engine.Meta, "c", ""))}},
		{"no family", ErrOutside, []Chunk{head, craft(kindPairs, 1, pairsBody(99, "c", ""))}},
		{"keys descend", ErrOutOfOrder, []Chunk{head, craft(kindPairs, 1, pairsBody(engine.Lock, "d", "", "c", ""))}},
		{"key twice", ErrOutOfOrder, []Chunk{head, craft(kindPairs, 1, pairsBody(engine.Lock, "d", "", "d", ""))}},
		{"keys descend across chunks", ErrOutOfOrder, []Chunk{head, craft(kindPairs, 1, pairsBody(engine.Lock, "d", "")),
			craft(kindPairs, 2, pairsBody(engine.Lock, "c", ""))}},
		{"families descend", ErrOutOfOrder, []Chunk{head, craft(kindPairs, 1, pairsBody(engine.Lock, "d", "")),
			craft(kindPairs, 2, pairsBody(engine.Default, "e", ""))}},
		{"no pairs", ErrCorrupt, []Chunk{head, craft(kindPairs, 1, []byte{0})}},
		{"an empty body", ErrCorrupt, []Chunk{head, craft(kindPairs, 1, nil)}},
		{"half a pair", ErrCorrupt, []Chunk{head, craft(kindPairs, 1, pairsBody(engine.Lock, "c", "value")[:5])}},
		{"a number with a second form", ErrCorrupt, []Chunk{head, craft(kindPairs, 1, []byte{0, 0x81, 0x00, 0, 'c'})}},
		{"a long key", ErrTooLarge, []Chunk{head, craft(kindPairs, 1, pairsBody(engine.Lock, "c"+long, ""))}},
		{"a large value", ErrTooLarge, []Chunk{head,
			craft(kindPairs, 1, pairsBody(engine.Lock, "c", string(make([]byte, engine.MaxValueSize+1))))}},
		{"a large chunk", ErrTooLarge, []Chunk{head, craft(kindPairs, 1, make([]byte, MaxChunkBytes))}},
		{"wrong totals", ErrCorrupt, []Chunk{head, craft(kindEnd, 1, make([]byte, endBytes))}},
		{"a long end", ErrCorrupt, []Chunk{head, craft(kindEnd, 1, make([]byte, endBytes+1))}},
	} {
		t.Run(c.what, func(t *testing.T) {
			spool := NewMemory(random(1))
			if _, complete, err := receive(spool, wanted(), c.stream...); complete || !errors.Is(err, c.want) {
				t.Errorf("complete %v, error %v, want %v", complete, err, c.want)
			}
			mustBeEmpty(t, spool)
		})
	}
}

func TestAnEmptyKeyIsRefused(t *testing.T) {
	encoded, err := EncodeHead(headOf(span("", "")))
	must(t, err)
	refusedAs(t, ErrOutOfOrder, "the empty key",
		[]Chunk{craft(kindHead, 0, encoded), craft(kindPairs, 1, pairsBody(engine.Default, "", "x"))})
}

// TestARunningChecksumSeesWhatTheOthersDoNot exchanges the contents of two chunks for others whose own checksums are right.
func TestARunningChecksumSeesWhatTheOthersDoNot(t *testing.T) {
	_, chunks, _ := smallStream(t)
	stream := slices.Clone(chunks)
	_, number, body, err := stream[2].open()
	must(t, err)
	body = bytes.Clone(body)
	body[len(body)-1] ^= 1 // of a value
	stream[2] = craft(kindPairs, number, body)
	refusedAs(t, ErrCorrupt, "another value with a right checksum", stream)
}

func TestASnapshotForOthersIsForeign(t *testing.T) {
	_, chunks, _ := smallStream(t)
	for _, w := range []Wanted{
		{ClusterID: cluster + 1, StoreID: hereStore},
		{ClusterID: cluster, StoreID: hereStore + 1},
		{ClusterID: cluster, StoreID: hereStore, RegionID: 6},
		{ClusterID: cluster, StoreID: hereStore, RegionID: 5, PeerID: herePeer + 1},
	} {
		spool := NewMemory(random(1))
		if _, _, err := receive(spool, w, chunks...); !errors.Is(err, ErrForeign) {
			t.Errorf("%+v: got %v, want ErrForeign", w, err)
		}
		mustBeEmpty(t, spool)
	}
	w := Wanted{ClusterID: cluster, StoreID: hereStore, RegionID: 5, PeerID: herePeer}
	if _, complete, err := receive(NewMemory(random(1)), w, chunks...); !complete || err != nil {
		t.Errorf("%+v: complete %v, error %v", w, complete, err)
	}
}

func TestAHeadThatContradictsItselfIsRefused(t *testing.T) {
	other, empty := headOf(span("", "")), headOf(span("b", "a"))
	other.Region.ID++
	for _, h := range []Head{other, empty} {
		encoded, err := EncodeHead(h)
		must(t, err)
		refusedAs(t, ErrCorrupt, fmt.Sprintf("%+v", h.Region), []Chunk{craft(kindHead, 0, encoded)})
	}
}

func TestTheSizeOfAStreamIsBounded(t *testing.T) {
	_, chunks, _ := smallStream(t)
	size := uint64(0)
	for _, c := range chunks {
		size += uint64(len(c))
	}
	w := wanted()
	w.MaxBytes = size
	if _, complete, err := receive(NewMemory(random(1)), w, chunks...); !complete || err != nil {
		t.Errorf("a stream of exactly the limit: complete %v, error %v", complete, err)
	}
	w.MaxBytes--
	spool := NewMemory(random(1))
	if _, _, err := receive(spool, w, chunks...); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a byte more than the limit: got %v, want ErrTooLarge", err)
	}
	mustBeEmpty(t, spool)
}

func TestAfterARefusalEverythingIsRefused(t *testing.T) {
	_, chunks, _ := smallStream(t)
	r := NewReceiver(NewMemory(random(1)), wanted())
	_, first := r.Accept(chunks[1])
	for _, c := range chunks {
		if _, err := r.Accept(c); err == nil || err.Error() != first.Error() {
			t.Fatalf("got %v, want %v", err, first)
		}
	}
}

// spoolBytes is a stream as it lies in a spool.
func spoolBytes(chunks []Chunk) []byte {
	var all []byte
	for _, c := range chunks {
		all = append(all, c...)
	}
	return all
}

// installError installs what is in a spool up to its first error, and tells whether the records came out.
func installError(t *testing.T, data []byte, h Head, e engine.Engine) (recorded bool, err error) {
	t.Helper()
	in := NewInstaller(bytes.NewReader(data), h, snapshotOf(t, e), records())
	for {
		b, err := in.Next()
		if err == io.EOF {
			return recorded, nil
		}
		if err != nil {
			return recorded, err
		}
		for op := range b.Ops() {
			recorded = recorded || op.CF == engine.Meta
		}
	}
}

func TestADamagedSpoolIsNeverInstalled(t *testing.T) {
	h, chunks, e := smallStream(t)
	whole := spoolBytes(chunks)
	if recorded, err := installError(t, whole, h, e); !recorded || err != nil {
		t.Fatalf("the whole spool: recorded %v, error %v", recorded, err)
	}
	for bit, damaged := range flips(whole) {
		if recorded, err := installError(t, damaged, h, e); recorded || !isRefusal(err) {
			t.Fatalf("bit %d of %d flipped: recorded %v, error %v", bit, 8*len(whole), recorded, err)
		}
	}
	for n := range whole {
		if recorded, err := installError(t, whole[:n], h, e); recorded || !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d of %d bytes: recorded %v, error %v", n, len(whole), recorded, err)
		}
	}
	if recorded, err := installError(t, append(whole, 0), h, e); recorded || !errors.Is(err, ErrCorrupt) {
		t.Errorf("a byte more: recorded %v, error %v", recorded, err)
	}
}

func TestAnotherSnapshotThanTheAcceptedOneIsNotInstalled(t *testing.T) {
	h, chunks, e := smallStream(t)
	h.Position.Index++
	if recorded, err := installError(t, spoolBytes(chunks), h, e); recorded || !errors.Is(err, ErrForeign) {
		t.Errorf("recorded %v, error %v, want ErrForeign", recorded, err)
	}
}

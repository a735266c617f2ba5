// Receiving: what is kept, and what is refused.

package stage2cc_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"

	"tinykv/kv/region"
	"tinykv/kv/snapshot"
)

// There is a spool once the last chunk was accepted, and then a crash does not take it away. Before that, a crash leaves
// nothing.
func TestSpoolIsThereWhenItIsComplete(t *testing.T) {
	b := newTable(t, whole)
	_, chunks := b.stream()
	for n := range len(chunks) + 1 {
		spool := b.newSpool()
		r := snapshot.NewReceiver(spool, wanted)
		for i, c := range chunks[:n] {
			complete, err := r.Accept(slices.Clone(c))
			b.must(fmt.Sprintf("accepting chunk %d", i), err)
			b.check(complete == (i == len(chunks)-1), fmt.Sprintf("complete with the last of %d chunks", len(chunks)),
				"chunk %d: complete is %v", i, complete)
			names, _ := spool.List()
			b.check((len(names) > 0) == complete, "a spool once it is complete, and not before", "after chunk %d: %v", i, names)
		}
		spool.Crash()
		names, _ := spool.List()
		if n < len(chunks) {
			b.check(len(names) == 0 && spool.Used() == 0, fmt.Sprintf("a crash after %d chunks leaves nothing", n), "%v", names)
		} else {
			b.check(slices.Equal(names, []string{r.Name()}), "a complete spool survives a crash", "%v", names)
			b.must("closing the receiver", r.Close())
			names, _ = spool.List()
			b.check(len(names) == 1, "a complete spool stays when the receiver is closed", "%v", names)
		}
	}
	spool := b.newSpool()
	r := snapshot.NewReceiver(spool, wanted)
	for _, c := range chunks[:3] {
		_, err := r.Accept(slices.Clone(c))
		b.must("accepting a chunk", err)
	}
	b.must("closing the receiver", r.Close())
	b.check(spool.Used() == 0, "a receiver that is closed too early leaves nothing", "%d bytes", spool.Used())
}

// What was kept is what was sent.
func TestSpoolHoldsTheStream(t *testing.T) {
	b := newTable(t, whole)
	h, chunks := b.stream()
	spool := b.newSpool()
	r := snapshot.NewReceiver(spool, wanted)
	for i, c := range chunks {
		_, err := r.Accept(slices.Clone(c))
		b.must("accepting a chunk", err)
		if i == 0 {
			got := r.Head()
			b.check(got.Position == h.Position && got.To == h.To && r.Name() != "", "with the first chunk the head and the name are known",
				"%+v %q", got, r.Name())
		}
	}
	file, err := spool.Open(r.Name())
	b.must("opening the spool", err)
	got := make([]byte, len(joined(chunks))+1)
	n, _ := file.Read(got)
	b.check(string(got[:n]) == string(joined(chunks)), fmt.Sprintf("a spool of %d bytes", len(got)-1), "%d bytes, or other ones", n)
}

// Any flipped bit of any chunk is found, and so is a chunk that is cut off.
func TestDamageIsFound(t *testing.T) {
	b := newTable(t, whole)
	_, chunks := b.stream()
	for i := range chunks {
		for at := range chunks[i] {
			bad := slices.Clone(chunks)
			bad[i] = slices.Clone(chunks[i])
			bad[i][at] ^= 1 << (at % 8)
			b.refuses(fmt.Sprintf("a stream with a flipped bit in byte %d of chunk %d", at, i), wanted, bad, allRefusals...)
		}
		bad := slices.Clone(chunks)
		bad[i] = chunks[i][:len(chunks[i])-1]
		b.refuses(fmt.Sprintf("a stream whose chunk %d is cut off", i), wanted, bad, allRefusals...)
		bad[i] = nil
		b.refuses(fmt.Sprintf("a stream whose chunk %d is empty", i), wanted, bad, allRefusals...)
	}
}

// Whole chunks that are not the next.
func TestDisorderIsFound(t *testing.T) {
	b := newTable(t, whole)
	_, chunks := b.stream()
	last := len(chunks) - 1
	for i := range last {
		b.refuses(fmt.Sprintf("a stream without chunk %d", i), wanted, slices.Delete(slices.Clone(chunks), i, i+1),
			snapshot.ErrOutOfOrder)
		b.refuses(fmt.Sprintf("a stream with chunk %d twice", i), wanted, slices.Insert(slices.Clone(chunks), i, chunks[i]),
			snapshot.ErrOutOfOrder)
		swapped := slices.Clone(chunks)
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
		b.refuses(fmt.Sprintf("a stream with the chunks %d and %d exchanged", i, i+1), wanted, swapped, snapshot.ErrOutOfOrder)
	}
	spool := b.newSpool()
	r := snapshot.NewReceiver(spool, wanted)
	for _, c := range chunks {
		_, err := r.Accept(slices.Clone(c))
		b.must("accepting a chunk", err)
	}
	for _, c := range []snapshot.Chunk{chunks[last], chunks[0], chunks[1]} {
		complete, err := r.Accept(slices.Clone(c))
		b.check(!complete && err != nil, "a chunk behind the last one is refused", "complete %v, error %v", complete, err)
	}
	names, _ := spool.List()
	b.check(len(names) == 1, "and does no harm to the spool", "%v", names)
}

// numbered gives a chunk another number, and seals it: what a program with a bug would send. (The format: kv/snapshot/chunk.go.)
func numbered(c snapshot.Chunk, number int) snapshot.Chunk {
	c = slices.Clone(c)
	binary.LittleEndian.PutUint32(c[2:], uint32(number))
	sum := crc32.Checksum(c[:len(c)-4], crc32.MakeTable(crc32.Castagnoli))
	binary.LittleEndian.PutUint32(c[len(c)-4:], sum)
	return c
}

// Chunks of another stream, each whole and with the right number: only the totals at the end tell, or the order of keys.
func TestStreamsAreNotMixed(t *testing.T) {
	b := newTable(t, whole)
	_, chunks := b.stream()
	last := len(chunks) - 1
	for i := 1; i < last; i++ {
		without := slices.Clone(chunks[:i])
		for j := i + 1; j <= last; j++ {
			without = append(without, numbered(chunks[j], j-1))
		}
		b.refuses(fmt.Sprintf("a stream that lacks chunk %d, numbered without a gap", i), wanted, without, snapshot.ErrCorrupt)
		repeated := slices.Clone(chunks[:i+1])
		for j := i; j <= last; j++ {
			repeated = append(repeated, numbered(chunks[j], j+1))
		}
		b.refuses(fmt.Sprintf("a stream that repeats chunk %d, numbered on", i), wanted, repeated, snapshot.ErrOutOfOrder)
	}
	changed := slices.Clone(chunks)
	changed[2] = slices.Clone(chunks[2])
	changed[2][len(changed[2])-5] ^= 1 // the last byte of a value
	changed[2] = numbered(changed[2], 2)
	b.refuses("a stream with a chunk of another one, in which a value differs", wanted, changed, snapshot.ErrCorrupt)
	b.refuses("a stream with a second head", wanted, slices.Insert(slices.Clone(chunks), 1, numbered(chunks[0], 1)),
		snapshot.ErrOutOfOrder)
}

// Keys that the region does not have would damage another one.
func TestKeysOutsideAreRefused(t *testing.T) {
	for _, keys := range []region.Range{{Start: []byte("f"), End: []byte("m")}, {Start: []byte("d"), End: []byte("e05")}} {
		b := newTable(t, whole)
		_, chunks := b.stream()
		h := headOf(keys)
		b.say("the head says that the region has only %v", keys)
		small := b.chunks(b.engineWith(), h, 0)
		lying := slices.Clone(chunks)
		lying[0] = small[0]
		b.refuses("a stream with keys outside of the region", wanted, lying, snapshot.ErrOutside)
		e := b.engineWith(everywhere("old")...)
		_, err := b.install(e, h, joined(lying))
		b.check(errors.Is(err, snapshot.ErrOutside), "it is not installed from a spool either: ErrOutside", "%v", err)
		b.check(!recorded(b.pairsOf(e)), "and never complete", "the records are there")
	}
}

// For another cluster, store, region or peer.
func TestStreamsForOthersAreRefused(t *testing.T) {
	b := newTable(t, whole)
	_, chunks := b.stream()
	for name, w := range map[string]snapshot.Wanted{
		"of another cluster": {ClusterID: 8, StoreID: 3},
		"for another store":  {ClusterID: 7, StoreID: 2},
		"of another region":  {ClusterID: 7, StoreID: 3, RegionID: 2},
		"for another peer":   {ClusterID: 7, StoreID: 3, PeerID: 12},
	} {
		b.refuses("a stream "+name, w, chunks[:1], snapshot.ErrForeign)
		b.refuses("a stream "+name, w, chunks, snapshot.ErrForeign)
	}
	_, complete, err := receive(b.newSpool(), snapshot.Wanted{ClusterID: 7, StoreID: 3, RegionID: 1, PeerID: 13}, chunks...)
	b.check(complete && err == nil, "one that fits in all of that is taken", "complete %v, %v", complete, err)
}

// A stranger may send without end.
func TestReceivingIsBounded(t *testing.T) {
	b := newTable(t, whole)
	_, chunks := b.stream()
	size := uint64(len(joined(chunks)))
	for _, c := range []struct {
		most uint64
		fits bool
	}{{size, true}, {size - 1, false}, {size + 1, true}, {size / 2, false}, {1, false}} {
		w := wanted
		w.MaxBytes = c.most
		if c.fits {
			_, complete, err := receive(b.newSpool(), w, chunks...)
			b.check(complete && err == nil, fmt.Sprintf("%d bytes are taken where %d are the limit", size, c.most), "%v", err)
			continue
		}
		spool := b.newSpool()
		r := snapshot.NewReceiver(spool, w)
		var err error
		for _, chunk := range chunks {
			if uint64(spool.Used())+uint64(len(chunk)) > c.most {
				chunk = slices.Clone(chunk)
				chunk[len(chunk)/2] ^= 1 // nobody looks at it any more
			}
			if _, err = r.Accept(slices.Clone(chunk)); err != nil {
				break
			}
			b.check(uint64(spool.Used()) <= c.most, fmt.Sprintf("never more than %d bytes are kept", c.most), "%d", spool.Used())
		}
		b.check(errors.Is(err, snapshot.ErrTooLarge) && spool.Used() == 0,
			"a chunk beyond the limit is ErrTooLarge, even if it is damaged, and nothing is kept",
			"%v, %d bytes", err, spool.Used())
	}
}

// After its first error a receiver keeps nothing, whatever else comes.
func TestRefusedIsRefusedForGood(t *testing.T) {
	b := newTable(t, whole)
	_, chunks := b.stream()
	for i := range chunks {
		spool := b.newSpool()
		r := snapshot.NewReceiver(spool, wanted)
		for _, c := range chunks[:i] {
			_, err := r.Accept(slices.Clone(c))
			b.must("accepting a chunk", err)
		}
		bad := slices.Clone(chunks[i])
		bad[len(bad)/2] ^= 1
		_, first := r.Accept(bad)
		b.check(first != nil, fmt.Sprintf("chunk %d with a flipped bit is refused", i), "it is taken")
		for _, c := range chunks[i:] {
			complete, err := r.Accept(slices.Clone(c))
			b.check(!complete && err != nil && err.Error() == first.Error(), "the same error for each further chunk", "complete %v, %v", complete, err)
		}
		b.must("closing the receiver", r.Close())
		names, _ := spool.List()
		b.check(len(names) == 0 && spool.Used() == 0, "nothing is kept", "%v, %d bytes", names, spool.Used())
	}
}

// The disk of the spool fails, or is full: at whatever chunk.
func TestSpoolThatFailsKeepsNothing(t *testing.T) {
	b := newTable(t, whole)
	_, chunks := b.stream()
	broke := errors.New("the disk broke")
	for i := range chunks {
		spool := b.newSpool()
		r := snapshot.NewReceiver(spool, wanted)
		for j, c := range chunks {
			if j == i {
				b.say("the disk of the spool fails when chunk %d of %d comes", i, len(chunks))
				spool.Fail(broke)
			}
			complete, err := r.Accept(slices.Clone(c))
			b.check((j >= i) == errors.Is(err, broke) && !complete, fmt.Sprintf("from chunk %d on the error of the disk", i),
				"chunk %d: complete %v, %v", j, complete, err)
		}
		names, _ := spool.List()
		b.check(len(names) == 0 && spool.Used() == 0, "nothing is kept", "%v, %d bytes", names, spool.Used())
	}
	spool := b.newSpool()
	spool.failCommit = broke
	b.say("the disk takes all chunks, and fails when the spool is committed")
	_, complete, err := receive(spool, wanted, chunks...)
	b.check(errors.Is(err, broke) && !complete, "a spool that can't be made durable is the disk's error", "complete %v, %v", complete, err)
}

// A snapshot that is sent again has a name of its own: the first one may be about to be installed.
func TestSameSnapshotTwiceIsTwoSpools(t *testing.T) {
	b := newTable(t, single)
	_, chunks := b.stream()
	spool := b.newSpool()
	first, _, err := receive(spool, wanted, chunks...)
	b.must("receiving", err)
	second, _, err := receive(spool, wanted, chunks...)
	b.must("receiving it once more", err)
	names, _ := spool.List()
	b.check(first != second && len(names) == 2, "two spools", "%v", names)
}

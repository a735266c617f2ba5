// Source: a region's state as a stream of chunks.

package snapshot

import (
	"bytes"
	"io"

	"tinykv/kv/engine"
)

// Source reads the state of a region out of an engine's snapshot, chunk by chunk. Between two calls it holds nothing open, so
// it needs no closing; the engine's snapshot is closed by its owner when the Source is no longer used. It belongs to one
// goroutine.
type Source struct {
	snap       engine.Snapshot
	head       Head
	chunkBytes int

	totals totals // of what was handed out
	family int    // index into families: the one that is being read
	from   []byte // where to go on reading in it
	ended  bool
	buf    []byte // the chunk that is being made
}

// NewSource makes a Source of the region that h is about. snap must be the state that h describes, and must not be closed
// before the Source is done with. Chunks have at most chunkBytes bytes, unless a single pair needs more; 0 means
// DefaultChunkBytes.
func NewSource(snap engine.Snapshot, h Head, chunkBytes int) *Source {
	if chunkBytes <= 0 {
		chunkBytes = DefaultChunkBytes
	}
	return &Source{snap: snap, head: h, chunkBytes: min(chunkBytes, MaxChunkBytes), from: h.Region.Range.Start}
}

// Head is what the snapshot is of, and for whom.
func (s *Source) Head() Head { return s.head }

// Next returns the next chunk, which the caller owns, and io.EOF behind the last one. The first is the head. Then come the
// pairs of the region's range, family by family (default, lock, write), in the order of their keys; a chunk takes as many
// pairs as fit into the size of chunks, and at least one. The last one is the end, with the totals of all before it.
//
// Other errors: ErrTooLarge for a head beyond its limit; those of the engine's snapshot. The stream is worthless then: tell
// the receiver that nothing more will come.
func (s *Source) Next() (Chunk, error) {
	if s.totals.chunks == 0 {
		return s.first()
	}
	for s.family < len(families) {
		s.buf = append(beginChunk(s.buf, kindPairs, s.totals.chunks), byte(families[s.family]))
		count, err := s.fill()
		if err != nil {
			return nil, err
		}
		if count > 0 {
			return s.seal(count), nil
		}
	}
	if s.ended {
		return nil, io.EOF
	}
	s.ended = true
	s.buf = s.totals.appendBody(beginChunk(s.buf, kindEnd, s.totals.chunks))
	return s.seal(0), nil
}

// first makes the chunk with the head.
func (s *Source) first() (Chunk, error) {
	body, err := EncodeHead(s.head)
	if err != nil {
		return nil, err
	}
	s.buf = append(beginChunk(s.buf, kindHead, 0), body...)
	return s.seal(0), nil
}

// fill adds pairs of the present family (families[s.family]) to the chunk that is being made (s.buf), as appendPair
// writes them, and returns how many: those of the region's range from s.from on, in the order of their keys, as long as
// the chunk with its checksum (pairBytes, sumBytes) is no larger than s.chunkBytes. The first one is added whatever its
// size, or there would be no end.
//
// The next call goes on where this one ended: at the first pair that did not fit (s.from, a copy of its key: an iterator's
// key is gone when it moves), or, if the family has no more, at the start of the range in the next family. Nothing stays
// open in between. Errors are those of the engine's snapshot: the iterator's own, too, which looks like the end of the
// family until it is asked (Err).
func (s *Source) fill() (count int, err error) {
	keys := s.head.Region.Range
	it, err := s.snap.Iterator(families[s.family], engine.IterOptions{Lower: s.from, Upper: keys.End})
	if err != nil {
		return 0, err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		key, value := it.Key(), it.Value()
		if count > 0 && len(s.buf)+pairBytes(key, value)+sumBytes > s.chunkBytes {
			s.from = bytes.Clone(key)
			return count, nil
		}
		s.buf = appendPair(s.buf, key, value)
		count++
	}
	s.family, s.from = s.family+1, keys.Start
	return count, it.Err()
}

// seal completes the chunk that is being made and counts it.
func (s *Source) seal(count int) Chunk {
	s.buf = sealChunk(s.buf)
	s.totals.add(s.buf, count)
	return bytes.Clone(s.buf)
}

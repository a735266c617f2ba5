// The stream: a head, pairs, and an end, in numbered chunks.
//
//	chunk  ┌───────────┬────────┬────────────┬────────────┬───────────────┬────────────┐
//	       │ version u8│ kind u8│ number  u32│ length  u32│ body          │ crc32c  u32│
//	       └───────────┴────────┴────────────┴────────────┴───────────────┴────────────┘
//	                     1 head   0                         an encoded Head
//	                     2 pairs  1, 2, ...                 family u8, then pairs in the order of their keys:
//	                                                        key length, value length: uvarint; key, value
//	                     3 end    the last                  pairs u64, bytes u64, crc64 u64
//
// Numbers of fixed width are little endian. length is that of the body; crc32c covers everything before it. The families
// come in the order default, lock, write; a chunk has pairs of one of them, at least one.
//
// The totals of the end are about everything before it: how many pairs there were, how many bytes the chunks had, and
// their running checksum. It is a CRC-64 (ECMA), because a CRC-32C would not do: over bytes that end in their own CRC-32C
// its value depends on nothing but their number.
//
// A chunk tells how long it is, so a spool is the chunks one behind the other.

package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"io"

	"tinykv/kv/engine"
)

// Chunk is a piece of a snapshot as it travels: bytes that carry their own checksum. Whoever is given one owns it; its bytes
// never change.
type Chunk []byte

const (
	// DefaultChunkBytes is the size that a Source cuts chunks to: small beside the memory of a store, large beside what
	// each costs on its way.
	DefaultChunkBytes = 256 << 10
	// MaxChunkBytes bounds every chunk: the largest pair has room in it. Transports must be able to carry it.
	MaxChunkBytes = engine.MaxKeySize + engine.MaxValueSize + 64
)

const (
	streamVersion = 1

	kindHead  kind = 1
	kindPairs kind = 2
	kindEnd   kind = 3

	headerBytes = 1 + 1 + 4 + 4
	numberAt    = 2
	lengthAt    = 6
	endBytes    = 8 + 8 + 8
)

type kind uint8

// families are what a region's data is made of, in the order in which it is sent. It is no copy of engine.CFs: a family that
// is added there, such as that of the store's own records, does not travel unless it is added here.
var families = []engine.CF{engine.Default, engine.Lock, engine.Write}

var ecma = crc64.MakeTable(crc64.ECMA)

// totals is what a stream was so far.
type totals struct {
	chunks uint32
	pairs  uint64
	bytes  uint64
	sum    uint64
}

// add counts a chunk.
func (t *totals) add(c Chunk, pairs int) {
	t.chunks++
	t.pairs += uint64(pairs)
	t.bytes += uint64(len(c))
	t.sum = crc64.Update(t.sum, ecma, c)
}

// appendBody appends the body of the end.
func (t *totals) appendBody(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, t.pairs)
	b = binary.LittleEndian.AppendUint64(b, t.bytes)
	return binary.LittleEndian.AppendUint64(b, t.sum)
}

// beginChunk puts the header of a chunk whose length is not known yet into b, which it empties first.
func beginChunk(b []byte, k kind, number uint32) []byte {
	b = append(b[:0], streamVersion, byte(k))
	b = binary.LittleEndian.AppendUint32(b, number)
	return binary.LittleEndian.AppendUint32(b, 0)
}

// sealChunk completes a chunk by its length and checksum.
func sealChunk(b []byte) []byte {
	binary.LittleEndian.PutUint32(b[lengthAt:], uint32(len(b)-headerBytes))
	return appendSum(b)
}

// open checks the frame of a chunk: its version, its length, its checksum. Errors: ErrCorrupt, ErrNewer, ErrTooLarge.
func (c Chunk) open() (k kind, number uint32, body []byte, err error) {
	if len(c) > MaxChunkBytes {
		return 0, 0, nil, fmt.Errorf("%w: a chunk of %d bytes, the limit is %d", ErrTooLarge, len(c), MaxChunkBytes)
	}
	if len(c) < headerBytes+sumBytes {
		return 0, 0, nil, fmt.Errorf("%w: a chunk of %d bytes", ErrCorrupt, len(c))
	}
	framed, err := cutSum(c)
	if err != nil {
		return 0, 0, nil, err
	}
	if c[0] > streamVersion {
		return 0, 0, nil, fmt.Errorf("%w: %d, it knows %d", ErrNewer, c[0], streamVersion)
	}
	body = framed[headerBytes:]
	if c[0] != streamVersion || c.length() != len(body) {
		return 0, 0, nil, fmt.Errorf("%w: version %d, %d bytes, says %d", ErrCorrupt, c[0], len(body), c.length())
	}
	return kind(c[1]), binary.LittleEndian.Uint32(c[numberAt:]), body, nil
}

// length is what the header says about the body.
func (c Chunk) length() int { return int(binary.LittleEndian.Uint32(c[lengthAt:])) }

// readChunk reads the next chunk out of a spool, unchecked. Errors: io.EOF behind the last one, ErrCorrupt, those of r.
func readChunk(r io.Reader) (Chunk, error) {
	var header [headerBytes]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, cutOff(err)
	}
	length := Chunk(header[:]).length()
	if length > MaxChunkBytes-headerBytes-sumBytes {
		return nil, fmt.Errorf("%w: a chunk of %d bytes", ErrCorrupt, length)
	}
	c := make(Chunk, headerBytes+length+sumBytes)
	copy(c, header[:])
	if _, err := io.ReadFull(r, c[headerBytes:]); err == io.EOF {
		return nil, cutOff(io.ErrUnexpectedEOF)
	} else if err != nil {
		return nil, cutOff(err)
	}
	return c, nil
}

func cutOff(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: cut off within a chunk", ErrCorrupt)
	}
	return err
}

// pairs are the pairs of a chunk that are still to be read.
type pairs struct {
	cf engine.CF
	d  decoder
}

func openPairs(body []byte) (pairs, error) {
	if len(body) < 2 {
		return pairs{}, fmt.Errorf("%w: a chunk without pairs", ErrCorrupt)
	}
	return pairs{cf: engine.CF(body[0]), d: decoder{rest: body[1:]}}, nil
}

// more tells whether there is another pair.
func (p *pairs) more() bool { return len(p.d.rest) > 0 }

// next reads a pair, which shares the chunk's memory. Error: ErrCorrupt.
func (p *pairs) next() (key, value []byte, err error) {
	keyBytes, valueBytes := p.d.number(), p.d.number()
	key, value = p.d.bytes(keyBytes), p.d.bytes(valueBytes)
	if p.d.bad {
		return nil, nil, fmt.Errorf("%w: a pair does not decode", ErrCorrupt)
	}
	return key, value, nil
}

// pairBytes is what a pair takes in a chunk.
func pairBytes(key, value []byte) int {
	return numberBytes(uint64(len(key))) + numberBytes(uint64(len(value))) + len(key) + len(value)
}

func appendPair(b, key, value []byte) []byte {
	b = appendNumbers(b, uint64(len(key)), uint64(len(value)))
	return append(append(b, key...), value...)
}

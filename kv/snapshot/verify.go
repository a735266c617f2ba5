// Verifying a stream: what Receiver and Installer both demand of it.

package snapshot

import (
	"bytes"
	"fmt"
	"slices"

	"tinykv/kv/engine"
)

// verifier is given the chunks of a stream one after the other and finds the first that does not belong there. It keeps the
// last key, and nothing else of what it has seen.
//
//	begin ── head ──► pairs ── end ──► ended
//	                  ▲   │
//	                  └───┘ keys ascend, within the region, within and across chunks; families ascend
type verifier struct {
	totals totals
	head   Head
	ended  bool

	family int    // index into families of the last chunk of pairs
	last   []byte // the last key of that family; empty if there was none
}

// verify takes the next chunk. It returns what it is, and its body, which shares the chunk's memory. A chunk passes that
//
//   - is whole (Chunk.open: version, length, checksum);
//   - may come now (verifier.inOrder);
//   - has a body that fits what came before: a head ([verifier.begin]), pairs ([verifier.pairs], which says how many), or
//     the end, which must agree with the totals of all chunks before it ([verifier.end]); another kind is ErrCorrupt.
//
// Then it counts in the totals ([totals.add]), the head and the end, too. After an error, which names the number of the
// chunk, the verifier is of no more use. Errors: ErrCorrupt, ErrNewer, ErrOutOfOrder, ErrOutside, ErrTooLarge.
func (v *verifier) verify(c Chunk) (kind, []byte, error) {
	k, number, body, err := c.open()
	if err == nil {
		err = v.inOrder(k, number)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("chunk %d: %w", v.totals.chunks, err)
	}
	count := 0
	switch k {
	case kindHead:
		err = v.begin(body)
	case kindPairs:
		count, err = v.pairs(body)
	case kindEnd:
		err = v.end(body)
	default:
		err = fmt.Errorf("%w: unknown kind %d", ErrCorrupt, k)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("chunk %d: %w", v.totals.chunks, err)
	}
	v.totals.add(c, count)
	return k, body, nil
}

// inOrder tells whether a chunk may come now.
func (v *verifier) inOrder(k kind, number uint32) error {
	switch {
	case v.ended:
		return fmt.Errorf("%w: chunk %d after the end", ErrOutOfOrder, number)
	case number != v.totals.chunks:
		return fmt.Errorf("%w: chunk %d is not the next", ErrOutOfOrder, number)
	case (k == kindHead) != (number == 0):
		return fmt.Errorf("%w: kind %d", ErrOutOfOrder, k)
	}
	return nil
}

func (v *verifier) begin(body []byte) (err error) {
	if v.head, err = DecodeHead(body); err != nil {
		return err
	}
	return v.head.check()
}

// pairs checks all pairs of a chunk and returns how many there are.
func (v *verifier) pairs(body []byte) (count int, err error) {
	p, err := openPairs(body)
	if err != nil {
		return 0, err
	}
	if err := v.enter(p.cf); err != nil {
		return 0, err
	}
	last := v.last
	for p.more() {
		key, value, err := p.next()
		if err != nil {
			return 0, err
		}
		if err := v.pair(last, key, value); err != nil {
			return 0, fmt.Errorf("key %q of family %v: %w", shorten(key), p.cf, err)
		}
		last = key
		count++
	}
	v.last = append(v.last[:0], last...) // last lies in the chunk
	return count, nil
}

// enter moves to the family of a chunk, from which there is no way back.
func (v *verifier) enter(cf engine.CF) error {
	i := slices.Index(families, cf)
	switch {
	case i < 0:
		return fmt.Errorf("%w: family %v", ErrOutside, cf)
	case i < v.family:
		return fmt.Errorf("%w: family %v after %v", ErrOutOfOrder, cf, families[v.family])
	case i > v.family:
		v.family, v.last = i, v.last[:0]
	}
	return nil
}

// pair checks one pair, given the key before it. An engine would take what passes.
func (v *verifier) pair(last, key, value []byte) error {
	switch {
	case len(key) > engine.MaxKeySize || len(value) > engine.MaxValueSize:
		return fmt.Errorf("%w: key of %d bytes, value of %d", ErrTooLarge, len(key), len(value))
	case bytes.Compare(key, last) <= 0: // an empty key is behind none
		return fmt.Errorf("%w: it does not come behind %q", ErrOutOfOrder, shorten(last))
	case !v.head.Region.Range.Contains(key):
		return fmt.Errorf("%w: region %d has %v", ErrOutside, v.head.RegionID, v.head.Region.Range)
	}
	return nil
}

func (v *verifier) end(body []byte) error {
	if !bytes.Equal(body, v.totals.appendBody(nil)) {
		return fmt.Errorf("%w: the totals at the end are not those of what came before it", ErrCorrupt)
	}
	v.ended = true
	return nil
}

// shorten keeps keys in errors readable.
func shorten(key []byte) []byte { return key[:min(len(key), 40)] }

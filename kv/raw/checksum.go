// Checksums of ranges, by which two stores can be compared.

package raw

import (
	"hash/crc64"

	"tinykv/kv/engine"
	"tinykv/kv/region"
)

// Checksum is what Checksum of a set of ranges adds up to.
type Checksum struct {
	XOR   uint64 // of the CRC-64 (ECMA polynomial) of each pair: of its key followed directly by its value
	Pairs uint64 // how many pairs
	Bytes uint64 // the lengths of their keys and values together
}

var ecma = crc64.MakeTable(crc64.ECMA)

// ChecksumOf adds up all live pairs of the ranges. Values count as clients know them, so what a time to live adds on
// disk plays no part, and two stores with the same pairs have the same checksum. Ranges that overlap count their
// common pairs once for each, which cancels them in XOR: keep ranges apart.
// Errors: ErrInvertedRange, ErrKeyTooLarge for any of the ranges; those of the snapshot.
func ChecksumOf(snap engine.Snapshot, cf engine.CF, ranges []region.Range, now uint64) (Checksum, error) {
	var sum Checksum
	for _, r := range ranges {
		if err := checkRange(r.Start, r.End); err != nil {
			return Checksum{}, err
		}
	}
	for _, r := range ranges {
		err := walk(snap, cf, r.Start, r.End, false, now, func(key, value []byte) (bool, error) {
			sum.add(key, value)
			return true, nil
		})
		if err != nil {
			return Checksum{}, err
		}
	}
	return sum, nil
}

func (c *Checksum) add(key, value []byte) {
	c.XOR ^= crc64.Update(crc64.Update(0, ecma, key), ecma, value)
	c.Pairs++
	c.Bytes += uint64(len(key) + len(value))
}

//go:build cgo

// Seals: badger's tables have no checksums, so every value carries one of ours.
//
//	┌─────────────────────────────────┬────────────┐
//	│ crc32c of encoded key and value │ value      │
//	│ u32, little-endian              │            │
//	└─────────────────────────────────┴────────────┘
//
// It also makes an empty value four bytes long, so that it can't be mistaken for a missing one.

package badger

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"tinykv/kv/engine"
)

const sealBytes = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal returns what is stored for value under an encoded key. It is a new slice.
func seal(encodedKey, value []byte) []byte {
	stored := make([]byte, sealBytes, sealBytes+len(value))
	binary.LittleEndian.PutUint32(stored, sealOf(encodedKey, value))
	return append(stored, value...)
}

// unseal returns the value that seal was given, as a part of stored. Error: engine.ErrCorrupt.
func unseal(encodedKey, stored []byte) ([]byte, error) {
	if len(stored) >= sealBytes && binary.LittleEndian.Uint32(stored) == sealOf(encodedKey, stored[sealBytes:]) {
		return stored[sealBytes:], nil
	}
	return nil, fmt.Errorf("%w: the value of key %q fails its checksum", engine.ErrCorrupt, encodedKey)
}

func sealOf(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

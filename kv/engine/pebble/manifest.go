// The form of pebble's manifest, as far as it must be read to tell a torn end from damage.

package pebble

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	chunkHeader = 7
	blockBytes  = 32 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// manifestChunk tells whether a good chunk begins at a byte of the manifest, and where the next one begins.
func manifestChunk(content []byte, at int) (next int, ok bool) {
	left := blockBytes - at%blockBytes
	if left < chunkHeader { // the rest of a block is too short for a chunk and stays empty
		at, left = at+left, blockBytes
	}
	if at+chunkHeader > len(content) {
		return 0, false
	}
	size, kind := int(binary.LittleEndian.Uint16(content[at+4:])), content[at+6]
	end := at + chunkHeader + size
	if kind < 1 || kind > 4 || chunkHeader+size > left || end > len(content) {
		return 0, false
	}
	return end, binary.LittleEndian.Uint32(content[at:]) == maskedSum(content[at+6:end])
}

// maskedSum is LevelDB's: a checksum that may lie among the data that it covers.
func maskedSum(p []byte) uint32 {
	c := crc32.Checksum(p, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

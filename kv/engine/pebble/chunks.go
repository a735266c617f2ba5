// The form of pebble's manifest and logs, as far as they must be read to tell a torn end from damage.
//
//	block     32 KiB; no chunk crosses its end, and what is too short for a chunk stays empty
//	manifest  ┌──────────┬──────────┬─────────┬─────────┐
//	  chunk   │ crc  u32 │ size u16 │ kind u8 │ payload │            kinds 1 to 4
//	          └──────────┴──────────┴─────────┴─────────┘
//	log       ┌──────────┬──────────┬─────────┬─────────┬────────────┬─────────┐
//	  chunk   │ crc  u32 │ size u16 │ kind u8 │ log u32 │ synced u64 │ payload │   kinds 9 to 12
//	          └──────────┴──────────┴─────────┴─────────┴────────────┴─────────┘
//
// Numbers are little-endian; the checksum covers all from kind on. "log" is the number of the log, as files are
// used again; "synced" is how many bytes of the file were durable when the chunk was made: a bad chunk below that
// is damage.

package pebble

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"

	"tinykv/kv/engine"
)

const (
	manifestHeader = 7
	logHeader      = 19
	blockBytes     = 32 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// goodChunk tells whether a good chunk with a header of so many bytes begins at a byte, behind the empty end of a
// block if need be. start is where it really begins.
func goodChunk(content []byte, at, header int) (start, end int, ok bool) {
	left := blockBytes - at%blockBytes
	if left < header {
		at, left = at+left, blockBytes
	}
	if at+header > len(content) {
		return at, at, false
	}
	size, kind := int(binary.LittleEndian.Uint16(content[at+4:])), content[at+6]
	lowest := byte(1)
	if header == logHeader {
		lowest = 9
	}
	end = at + header + size
	if kind < lowest || kind > lowest+3 || header+size > left || end > len(content) {
		return at, at, false
	}
	return at, end, binary.LittleEndian.Uint32(content[at:]) == maskedSum(content[at+6:end])
}

// maskedSum is LevelDB's: a checksum that may lie among the data that it covers.
func maskedSum(p []byte) uint32 {
	c := crc32.Checksum(p, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// verifyManifest looks for the beginning of a good record behind a bad one: then the bad one is no torn end, as
// each record is synced before the next is written. Kinds 1 and 2 begin a record; 3 and 4 may belong to the torn
// one.
func verifyManifest(d vfsDir, name string) error {
	content, err := d.read(name)
	if err != nil {
		return fmt.Errorf("%w: %v", engine.ErrCorrupt, err)
	}
	at := 0
	for at < len(content) {
		_, end, ok := goodChunk(content, at, manifestHeader)
		if !ok {
			break
		}
		at = end
	}
	for later := at + 1; later < len(content); later++ {
		if start, _, ok := goodChunk(content, later, manifestHeader); ok && content[start+6] <= 2 {
			return fmt.Errorf("%w: %s has a bad record at byte %d", engine.ErrCorrupt, d.Path(name), at)
		}
	}
	if at == 0 {
		return fmt.Errorf("%w: %s holds no record", engine.ErrCorrupt, d.Path(name))
	}
	return nil
}

// verifyLog looks behind the first bad chunk for one that says that the bad one had been durable.
func verifyLog(d vfsDir, name string) error {
	content, err := d.read(name)
	if err != nil {
		return err
	}
	var number uint32
	if _, err := fmt.Sscanf(name, "%d", &number); err != nil {
		return err
	}
	bad := 0
	for bad < len(content) {
		start, end, ok := goodChunk(content, bad, logHeader)
		if !ok || logNumber(content, start) != number {
			break
		}
		bad = end
	}
	used := len(bytes.TrimRight(content, "\x00")) // the rest is preallocated, but for the zeros that a chunk may end in
	content = content[:min(used+blockBytes, len(content))]
	for later := bad + 1; later < len(content); later++ {
		start, _, ok := goodChunk(content, later, logHeader)
		if ok && logNumber(content, start) == number && binary.LittleEndian.Uint64(content[start+11:]) > uint64(bad) {
			return fmt.Errorf("%w: %s has a bad record at byte %d", engine.ErrCorrupt, d.Path(name), bad)
		}
	}
	return nil
}

func logNumber(content []byte, chunk int) uint32 {
	return binary.LittleEndian.Uint32(content[chunk+7:])
}

// verifyLogs checks every log.
func verifyLogs(d vfsDir) error {
	names, err := d.fs.List(d.path)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".log") {
			if err := verifyLog(d, name); err != nil {
				return err
			}
		}
	}
	return nil
}

//go:build cgo

// The form of a table, checked as badger reads it: a table that was cut off, or that something was appended to,
// ends the process otherwise. It is all that can be checked of a table that was written so shortly before a crash
// that no sum of it was noted; its values have seals.
//
//	blocks │ block ends u32… │ base keys │ base key ends u32… │ count u32 │ bloom │ u32 │ hash │ u32 │ surf │ u32 │ ts u64
//
// It is read from its end. A block: entries, their ends u32…, count u32.

package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"tinykv/kv/engine"
	"tinykv/kv/engine/internal/sums"
)

var errTableForm = errors.New("not of the form of a table: it was cut off or changed")

func verifyTable(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	rest := content
	cut := func(n int64) (tail []byte) { // nil if there is not so much
		if n < 0 || n > int64(len(rest)) {
			return nil
		}
		tail = rest[int64(len(rest))-n:]
		rest = rest[:int64(len(rest))-n]
		return tail
	}
	cutU32 := func() int64 {
		if p := cut(4); p != nil {
			return int64(binary.LittleEndian.Uint32(p))
		}
		return -1
	}
	if cut(8) == nil { // timestamp
		return errTableForm
	}
	for _, unit := range []int64{1, 3, 1} { // surf, hash, bloom
		if cut(cutU32()*unit) == nil {
			return errTableForm
		}
	}
	blocks := cutU32()
	keyEnds := cut(4 * blocks)
	if blocks <= 0 || keyEnds == nil || !ascend(keyEnds) || cut(lastU32(keyEnds)) == nil {
		return errTableForm
	}
	blockEnds := cut(4 * blocks)
	if blockEnds == nil || !ascend(blockEnds) || lastU32(blockEnds) != int64(len(rest)) {
		return errTableForm
	}
	start := int64(0)
	for i := range blocks {
		end := int64(binary.LittleEndian.Uint32(blockEnds[4*i:]))
		if err := verifyBlock(rest[start:end]); err != nil {
			return fmt.Errorf("block at byte %d: %w", start, err)
		}
		start = end
	}
	return nil
}

func verifyBlock(block []byte) error {
	if len(block) < 4 {
		return errTableForm
	}
	entries := int64(binary.LittleEndian.Uint32(block[len(block)-4:]))
	ends := block[:len(block)-4]
	if entries <= 0 || 4*entries > int64(len(ends)) {
		return errTableForm
	}
	data := int64(len(ends)) - 4*entries
	if ends = ends[data:]; !ascend(ends) || lastU32(ends) != data {
		return errTableForm
	}
	return nil
}

func ascend(numbers []byte) bool {
	last := uint32(0)
	for ; len(numbers) >= 4; numbers = numbers[4:] {
		n := binary.LittleEndian.Uint32(numbers)
		if n < last {
			return false
		}
		last = n
	}
	return true
}

func lastU32(numbers []byte) int64 {
	return int64(binary.LittleEndian.Uint32(numbers[len(numbers)-4:]))
}

// verifyBlobLog checks that nothing is in the list of blob files: this engine has none, and badger panics on a list
// that is not of its form.
func verifyBlobLog(d sums.OSDir) error {
	const name = "blob_change.log"
	if size, err := d.Size(name); err == nil && size > 0 {
		return fmt.Errorf("%w: %s has %d bytes and should have 0", engine.ErrCorrupt, d.Path(name), size)
	}
	return nil
}

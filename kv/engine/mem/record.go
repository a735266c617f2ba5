// The record: how a batch lies on the disk.
//
//	┌────────────┬────────────┬──────────────────────────────────────────────────────┐
//	│ length  u32│ crc32c  u32│ payload: operations, one behind the other            │
//	└────────────┴────────────┴──────────────────────────────────────────────────────┘
//	                            kind u8, cf u8, key length u32, value length u32, key, value
//
// Numbers are little-endian. The checksum covers the length and the payload.

package mem

import (
	"encoding/binary"
	"hash/crc32"
	"iter"

	"tinykv/kv/engine"
)

const (
	recordHeader = 8
	opHeader     = 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encodeRecord turns operations into a record.
func encodeRecord(ops iter.Seq[engine.Op]) []byte {
	rec := make([]byte, recordHeader)
	for op := range ops {
		rec = append(rec, byte(op.Kind), byte(op.CF))
		rec = binary.LittleEndian.AppendUint32(rec, uint32(len(op.Key)))
		rec = binary.LittleEndian.AppendUint32(rec, uint32(len(op.Value)))
		rec = append(rec, op.Key...)
		rec = append(rec, op.Value...)
	}
	binary.LittleEndian.PutUint32(rec, uint32(len(rec)))
	binary.LittleEndian.PutUint32(rec[4:], recordSum(rec))
	return rec
}

// intact tells whether rec is a record as it was written.
func intact(rec []byte) bool {
	return len(rec) >= recordHeader && int(binary.LittleEndian.Uint32(rec)) == len(rec) &&
		binary.LittleEndian.Uint32(rec[4:]) == recordSum(rec)
}

// recordOps yields the operations of an intact record. Their slices point into it.
func recordOps(rec []byte) iter.Seq[engine.Op] {
	return func(yield func(engine.Op) bool) {
		for p := rec[recordHeader:]; len(p) > 0; {
			op := engine.Op{Kind: engine.OpKind(p[0]), CF: engine.CF(p[1])}
			keyEnd := opHeader + int(binary.LittleEndian.Uint32(p[2:]))
			valueEnd := keyEnd + int(binary.LittleEndian.Uint32(p[6:]))
			op.Key, op.Value = p[opHeader:keyEnd:keyEnd], p[keyEnd:valueEnd:valueEnd]
			if p = p[valueEnd:]; !yield(op) {
				return
			}
		}
	}
}

func recordSum(rec []byte) uint32 {
	return crc32.Update(crc32.Checksum(rec[:4], castagnoli), castagnoli, rec[recordHeader:])
}

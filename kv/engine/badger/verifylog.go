//go:build cgo

// Checking the value log, badger's log of transactions, after a crash: which of its ends is torn, and which is damaged.
//
//	entry   ┌──────────┬────────┬────────┬────────┬───────────┬─────┬───────┬────────────┐
//	        │ ^meta u8 │ klen   │ vlen   │ ulen   │ user meta │ key │ value │ crc32c     │
//	        │          │ u32    │ u32    │ u8     │           │     │       │ u32        │
//	        └──────────┴────────┴────────┴────────┴───────────┴─────┴───────┴────────────┘
//	transaction    entries with bit 6 of meta, then one with bit 7 whose key is "!badger!txn";
//	               keys end in 2^64-1-timestamp
//
// Numbers are big-endian. A first byte of 0 means that there is no entry.
//
// The engine commits one transaction at a time and syncs it before the next. So at most one transaction can be
// torn: if behind a bad entry there is the end of another, later transaction, the bad one had been durable, and the
// file is damaged.

package badger

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"slices"

	"tinykv/kv/engine"
)

const (
	logHeaderBytes = 10
	metaTxn        = 1 << 6
	metaFinish     = 1 << 7
)

var finishKey = []byte("!badger!txn")

// verifyLogs checks all log files from byte offset of number fid on, which is where badger will replay them.
func verifyLogs(dir string, fid, offset uint32) error {
	for ; ; fid, offset = fid+1, 0 {
		path := logPath(dir, fid)
		_, err := os.Stat(logPath(dir, fid+1))
		last := err != nil
		content, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("%w: %v", engine.ErrCorrupt, err)
		}
		if len(content) < valueLogBytes {
			if last && offset == 0 && len(bytes.Trim(content, "\x00")) == 0 {
				return nil // it was just being made
			}
			return fmt.Errorf("%w: %s has %d bytes and should have at least %d: it was cut off",
				engine.ErrCorrupt, path, len(content), valueLogBytes)
		}
		if err := verifyLog(content, int(offset), last); err != nil {
			return fmt.Errorf("%w: %s: %v", engine.ErrCorrupt, path, err)
		}
		if last {
			return nil
		}
	}
}

// growLog gives the last log file the size that it would have if a crash had not come while it was being made: badger
// does not, and a shorter one would pass for one that was cut off.
func growLog(dir string) error {
	logs, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
	if err != nil || len(logs) == 0 {
		return err
	}
	last := slices.Max(logs)
	info, err := os.Stat(last)
	if err != nil || info.Size() >= valueLogBytes {
		return err
	}
	return os.Truncate(last, valueLogBytes)
}

func logPath(dir string, fid uint32) string { return filepath.Join(dir, fmt.Sprintf("%06d.vlog", fid)) }

// verifyLog checks one file from a transaction's end on.
func verifyLog(content []byte, at int, last bool) error {
	var current, done uint64 // timestamps: of the transaction being read (0: none), and of the last whole one
	for at < len(content) {
		e, ok := readLogEntry(content, at)
		if !ok || e.meta&metaFinish == 0 && current != 0 && current != e.ts {
			break
		}
		at, current = e.end, e.ts
		if e.meta&metaFinish != 0 {
			current, done = 0, e.ts
		}
	}
	if at == len(content) && current == 0 {
		return nil
	}
	if !last {
		return fmt.Errorf("bad entry at byte %d, and there is a later file", at)
	}
	for rest := max(at-len(finishKey), 0); ; rest++ {
		i := bytes.Index(content[min(rest, len(content)):], finishKey)
		if i < 0 {
			return nil
		}
		rest += i
		e, ok := readLogEntry(content, rest-logHeaderBytes)
		if !ok || rest-logHeaderBytes < at || e.ts <= done { // older ones are left over from before an earlier crash
			continue
		}
		if current != 0 && e.ts != current {
			return fmt.Errorf("bad entry at byte %d, but transaction %d behind it is whole", at, e.ts)
		}
		current = e.ts // this one may be the torn one itself
	}
}

// wholeTransactions is where the transactions of a file end that begins with one. What lies behind may be the torn end
// of an earlier life, and is not to be counted on.
func wholeTransactions(content []byte) (end int) {
	var current, done uint64 // as in verifyLog
	for at := 0; at < len(content); {
		e, ok := readLogEntry(content, at)
		if !ok || e.ts <= done || current != 0 && current != e.ts {
			break
		}
		at, current = e.end, e.ts
		if e.meta&metaFinish != 0 {
			end, current, done = at, 0, e.ts
		}
	}
	return end
}

// logEntry is what matters of an entry.
type logEntry struct {
	meta byte
	ts   uint64
	end  int
}

// readLogEntry reads the entry at a byte of content and checks it.
func readLogEntry(content []byte, at int) (e logEntry, ok bool) {
	if at < 0 || at+logHeaderBytes > len(content) || content[at] == 0 {
		return e, false
	}
	h := content[at : at+logHeaderBytes]
	klen, vlen := int64(binary.BigEndian.Uint32(h[1:])), int64(binary.BigEndian.Uint32(h[5:]))
	keyAt := int64(at) + logHeaderBytes + int64(h[9])
	sumAt := keyAt + klen + vlen
	if klen < 8 || sumAt+4 > int64(len(content)) {
		return e, false
	}
	if crc32.Checksum(content[at:sumAt], castagnoli) != binary.BigEndian.Uint32(content[sumAt:]) {
		return e, false
	}
	ts := math.MaxUint64 - binary.BigEndian.Uint64(content[keyAt+klen-8:])
	return logEntry{meta: ^h[0], ts: ts, end: int(sumAt) + 4}, true
}

// How pebble is set up: small, checksummed, bloom filters, quiet.

package pebble

import (
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options are what a caller may choose. The zero value is right for a server.
type Options struct {
	Logger *slog.Logger // where pebble's own messages go; nil: nowhere
	FS     vfs.FS       // the file system; nil: the real one. Tests hand in one that crashes or fails.

	// Unlogged leaves out the write-ahead log, for data that can be written again from elsewhere, as a replica's can from
	// the log of its raft group. A write costs no disk then until its memory is full; Buffered writes that were not
	// flushed are lost with the process, from the end as ever; and Synced flushes all of them, which is slow.
	Unlogged bool

	// ShortLived says that what is written will soon be deleted again, oldest first, as in a raft log: then it need not be
	// written a second time, if there is memory in which it can wait for its end.
	ShortLived bool

	// Advice ends the errors about a damaged store: what whoever reads them can do. Empty: that there may be a backup.
	Advice string

	// VerifyBytes bounds how much of the tables Open reads to check their checksums before it changes anything; 0
	// means 256 MiB, which takes a fraction of a second. What is beyond is checked whenever it is read.
	VerifyBytes int64
}

const (
	cacheBytes         = 16 << 20
	bloomBitsPerKey    = 10 // one lookup in a hundred of an absent key reads a block in vain
	defaultVerifyBytes = 256 << 20
)

// shape is how much memory is filled before it is written as a table, and how many tables there may be that overlap before
// they are merged. More of both means that less is written in all, and that more memory and more tables are looked at.
type shape struct {
	memTableBytes uint64 // also the size of a log file
	memTables     int    // writers wait when so many are full
	overlapping   int    // tables of the first level
}

// shape chooses. The figures behind it: kv/replicated/bytes_test.go.
func (o *Options) shape() shape {
	switch {
	case o.ShortLived:
		// Twice what a raft log keeps (replica.Limits.CompactBytes): most of what is in memory when it is full is deleted,
		// and is not written at all.
		return shape{memTableBytes: 64 << 20, memTables: 3, overlapping: 8}
	case o.Unlogged:
		// It is flushed whenever the log that stands behind it is to be cut, so there are many small tables.
		return shape{memTableBytes: 32 << 20, memTables: 3, overlapping: 8}
	}
	return shape{memTableBytes: 8 << 20, memTables: 4, overlapping: 2}
}

// pebbleOptions makes the options of pebble on a file system.
func pebbleOptions(fs vfs.FS, opts Options, f *fuse) *pebble.Options {
	log, shape := opts.Logger, opts.shape()
	o := &pebble.Options{
		FS:                          fs,
		DisableWAL:                  opts.Unlogged,
		CacheSize:                   cacheBytes,
		MemTableSize:                shape.memTableBytes,
		MemTableStopWritesThreshold: shape.memTables,
		L0CompactionThreshold:       shape.overlapping,
		L0StopWritesThreshold:       24,
		MaxManifestFileSize:         1 << 20,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		FormatMajorVersion:          pebble.FormatNewest,
		Logger:                      logger{log, f},
		EventListener: &pebble.EventListener{
			// An error in the background means that memory and disk part ways: stop writing before it gets worse.
			BackgroundError: func(err error) { f.blow(err) },
			DataCorruption: func(i pebble.DataCorruptionInfo) {
				log.Error("pebble: corrupt data", "path", i.Path, "detail", fmt.Sprint(i.Details))
			},
			WriteStallBegin: func(i pebble.WriteStallBeginInfo) { log.Warn("pebble: writes wait", "reason", i.Reason) },
		},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBitsPerKey)
		o.Levels[i].FilterType = pebble.TableFilter
	}
	return o
}

// logger hands pebble's messages on. What pebble calls fatal blows the fuse instead of ending the process.
type logger struct {
	log  *slog.Logger
	fuse *fuse
}

func (l logger) Infof(format string, args ...any) {
	l.log.Debug("pebble: " + fmt.Sprintf(format, args...))
}
func (l logger) Errorf(format string, args ...any) {
	l.log.Warn("pebble: " + fmt.Sprintf(format, args...))
}
func (l logger) Fatalf(format string, args ...any) { l.fuse.blow(fmt.Errorf(format, args...)) }

//go:build cgo

// Opening: badger set up small, and checked.

package badger

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/Connor1996/badger"
	"github.com/Connor1996/badger/options"
	"github.com/ngaut/log"

	"tinykv/kv/engine"
	"tinykv/kv/engine/internal/sums"
)

const (
	tableBytes    = 8 << 20  // also the size of a memory table: no entry may be larger
	cacheBytes    = 16 << 20 // of blocks of tables
	valueLogBytes = 16 << 20 // preallocated: most of what a fresh store takes on disk

	// Badger drops the error of a write that it makes because this buffer is full. So it must hold any transaction,
	// with the 30 bytes that each entry gets at most, which engine.OpOverhead covers, and the sequence key.
	logBufferBytes = engine.MaxBatchSize + 1<<20

	// How much of the files Open reads to check them: a fraction of a second.
	defaultVerifyBytes = 256 << 20

	// A commit takes milliseconds. One that takes this long has lost its writer.
	defaultCommitTimeout = 30 * time.Second
)

func badgerOptions(dir string, opts Options) badger.Options {
	o := badger.DefaultOptions // 607 MiB of memory and 256 MiB of disk for an empty store
	o.Dir, o.ValueDir = dir, dir
	o.SyncWrites = true
	o.MaxTableSize = tableBytes
	o.MaxCacheSize = cacheBytes
	o.ValueLogFileSize = valueLogBytes
	o.ValueThreshold = 0 // all values in the tables: no blob files, which would need a collection of garbage
	o.LevelOneSize = 8 * tableBytes
	o.NumMemtables = 2
	o.NumCompactors = 1
	o.MaxSubCompaction = 1
	o.TableLoadingMode = options.MemoryMap
	o.ValueLogLoadingMode = options.FileIO
	o.TableBuilderOptions.Compression = options.None // processor time is scarcer than disk
	o.TableBuilderOptions.WriteBufferSize = 1 << 20
	o.ValueLogWriteOptions.WriteBufferSize = logBufferBytes
	if o.DoNotCompact = opts.NoCompaction; o.DoNotCompact {
		o.NumLevelZeroTablesStall = 1 << 20 // else writes would wait for a compaction
	}
	return o
}

// Open opens the store in dir, which it makes if it is missing. Before badger touches anything it is checked
// whether all is well. Errors: engine.ErrInUse, engine.ErrCorrupt, or what the file system says; all name dir or
// the file at fault.
func Open(dir string, opts Options) (*Engine, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	before, missing := os.ReadDir(dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open %s: can't make the directory: %w", dir, err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	e, fresh, err := open(dir, opts)
	if err != nil {
		if fresh {
			removeNew(dir, before, missing)
		}
		lock.Close()
		if errors.Is(err, engine.ErrCorrupt) {
			return nil, fmt.Errorf("open %s: %w; %s", dir, err, sums.Advice(dir, opts.Advice))
		}
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	e.lock = lock
	return e, nil
}

// removeNew removes what a first open made that failed: on a full disk, nothing should be left that fills it more.
func removeNew(dir string, before []os.DirEntry, missing error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range names {
		same := func(b os.DirEntry) bool { return b.Name() == entry.Name() }
		if !slices.ContainsFunc(before, same) {
			_ = os.Remove(filepath.Join(dir, entry.Name())) // the error of the open says more
		}
	}
	if missing != nil {
		_ = os.Remove(dir)
	}
}

// open is Open with the lock held and the directory there. fresh tells that there was no store.
func open(dir string, opts Options) (e *Engine, fresh bool, err error) {
	if opts.VerifyBytes == 0 {
		opts.VerifyBytes = defaultVerifyBytes
	}
	tables, fresh, err := verify(dir, opts.VerifyBytes)
	if err == nil {
		err = tables.Write(sums.OSDir(dir)) // from here on the directory is not what Close left
	}
	if err == nil {
		err = growLog(dir)
	}
	if err != nil {
		return nil, fresh, err
	}
	db, err := openBadger(badgerOptions(dir, opts))
	log.SetLevelByString("fatal") // badger logs errors that we report as values; its Open sets the level to warnings
	if err != nil {
		return nil, fresh, err
	}
	e = &Engine{dir: dir, db: db, tables: tables, log: opts.Logger, commitTimeout: defaultCommitTimeout}
	if e.sequence, err = readSequence(db); err != nil {
		return nil, fresh, errors.Join(err, db.Close())
	}
	return e, fresh, nil
}

// openBadger is badger.Open, which panics on damage that no check has found.
func openBadger(o badger.Options) (db *badger.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			text := strings.Join(strings.Fields(fmt.Sprint(p)), " ")
			db, err = nil, fmt.Errorf("%w: badger can't read %s: %s", engine.ErrCorrupt, o.Dir, text)
		}
	}()
	return badger.Open(o)
}

// Without a write-ahead log: what a write costs, what a crash leaves, what a failing disk does.

package pebble_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"tinykv/kv/engine"
	"tinykv/kv/engine/pebble"
)

// ledger notes what reaches a file system, but for the note (SUMS) and directories: what pebble removes in the back-
// ground after an open costs some of these, whenever that is.
type ledger struct {
	mu            sync.Mutex
	syncs, writes []string // paths
}

func (l *ledger) wrap(fs vfs.FS) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		switch {
		case strings.Contains(op.Path, "SUMS") || op.Path == "store":
		case isSync(op.Kind):
			l.syncs = append(l.syncs, op.Path)
		case op.Kind == errorfs.OpFileWrite:
			l.writes = append(l.writes, op.Path)
		}
		return nil
	}))
}

func (l *ledger) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.syncs, l.writes = nil, nil
}

// want checks how many tables were synced (and the manifest with them), and that nothing went to a log.
func (l *ledger) want(t *testing.T, after string, tables int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	count := func(part string) (n int) {
		for _, path := range l.syncs {
			if strings.Contains(path, part) {
				n++
			}
		}
		return n
	}
	ofTables, ofManifest := count(".sst"), count("MANIFEST")
	if ofTables != tables || (ofManifest > 0) != (tables > 0) || ofTables+ofManifest != len(l.syncs) {
		t.Errorf("%s: syncs of %v; want %d of tables, and of the manifest if there is one", after, l.syncs, tables)
	}
	if len(l.writes) > 0 && tables == 0 || slices.ContainsFunc(l.writes, isLog) {
		t.Errorf("%s: writes to %v", after, l.writes)
	}
}

// buffered puts pairs [from, to), each in a batch of its own.
func buffered(t *testing.T, e engine.Engine, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		var b engine.Batch
		b.Put(engine.Default, key(i), fmt.Appendf(nil, "%04d", i))
		b.Put(engine.Write, key(i), fmt.Appendf(nil, "%04d", i))
		must(t, e.Write(&b, engine.Buffered))
	}
}

func TestUnloggedBufferedWriteCostsNoDisk(t *testing.T) {
	l := &ledger{}
	e, err := pebble.Open("store", pebble.Options{FS: l.wrap(vfs.NewMem()), Unlogged: true})
	must(t, err)
	l.reset()
	buffered(t, e, 0, 1000)
	l.want(t, "1000 buffered writes", 0)
	must(t, e.Write(&engine.Batch{}, engine.Synced))
	l.want(t, "an empty synced batch", 1)
	must(t, e.Close())
}

// TestUnloggedCrashKeepsABeginning writes far more than memory holds, with a sync now and then, and loses power.
func TestUnloggedCrashKeepsABeginning(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			disk := vfs.NewCrashableMem()
			e, err := pebble.Open("store", pebble.Options{FS: disk, Unlogged: true})
			must(t, err)
			synced := 0
			const writes = 200
			for i := range writes {
				d := engine.Buffered
				if rng.IntN(60) == 0 {
					d, synced = engine.Synced, i+1
				}
				must(t, writeSized(e, i, 100<<10, d))
			}
			image := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
			after, err := pebble.Open("store", pebble.Options{FS: image, Unlogged: seed%2 == 0})
			must(t, err)
			if kept := wantPrefix(t, after, writes); kept < synced {
				t.Errorf("%d writes are left, %d were synced", kept, synced)
			}
			must(t, after.Close())
			must(t, e.Close())
		})
	}
}

// TestUnloggedSyncIsDurable loses power right behind each kind of sync.
func TestUnloggedSyncIsDurable(t *testing.T) {
	for name, sync := range map[string]func(e engine.Engine) error{
		"empty batch": func(e engine.Engine) error { return e.Write(&engine.Batch{}, engine.Synced) },
		"a write":     func(e engine.Engine) error { return writeSized(e, 10, 10, engine.Synced) },
		"close":       func(e engine.Engine) error { return e.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewCrashableMem()
			e, err := pebble.Open("store", pebble.Options{FS: disk, Unlogged: true})
			must(t, err)
			buffered(t, e, 0, 10)
			must(t, sync(e))
			after, err := pebble.Open("store", pebble.Options{FS: disk.CrashClone(vfs.CrashCloneCfg{}), Unlogged: true})
			must(t, err)
			if kept := wantPrefix(t, after, 11); kept < 10 {
				t.Errorf("%d of 10 writes are left", kept)
			}
			must(t, after.Close())
			if name != "close" {
				must(t, e.Close())
			}
		})
	}
}

// TestUnloggedDiskFaults lets the disk become full: the flush fails, and nobody is told that it went well.
func TestUnloggedDiskFaults(t *testing.T) {
	for _, at := range []string{".sst", "MANIFEST"} {
		t.Run(at, func(t *testing.T) {
			f := &faults{err: syscall.ENOSPC, match: func(op errorfs.Op) bool {
				return strings.Contains(op.Path, at) && (isSync(op.Kind) || op.Kind == errorfs.OpFileWrite)
			}}
			disk := vfs.NewCrashableMem()
			e, err := pebble.Open("store", pebble.Options{FS: f.wrap(disk), Unlogged: true})
			must(t, err)
			must(t, writeSized(e, 0, 10, engine.Synced))
			f.on.Store(true)
			must(t, writeSized(e, 1, 10, engine.Buffered)) // only memory
			answer := make(chan error, 1)
			go func() { answer <- writeSized(e, 2, 10, engine.Synced) }()
			select {
			case err := <-answer:
				if !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("a sync on a full disk: got %v", err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("a sync on a full disk does not end within 20 s")
			}
			for _, d := range []engine.Durability{engine.Buffered, engine.Synced} {
				if err := writeSized(e, 3, 10, d); !errors.Is(err, engine.ErrFailed) {
					t.Errorf("write after the failed one: got %v, want ErrFailed", err)
				}
			}
			must(t, e.Close())
			f.on.Store(false)
			after, err := pebble.Open("store", pebble.Options{FS: disk.CrashClone(vfs.CrashCloneCfg{}), Unlogged: true})
			must(t, err)
			if kept := wantPrefix(t, after, 3); kept < 1 {
				t.Error("what was synced before is lost")
			}
			must(t, after.Close())
		})
	}
}

// writeSized is write with a choice.
func writeSized(e engine.Engine, i, size int, d engine.Durability) error {
	value := make([]byte, max(size, 4))
	noise := rand.New(rand.NewPCG(uint64(i), 0))
	for j := range value {
		value[j] = byte(noise.Uint32())
	}
	copy(value, fmt.Sprintf("%04d", i))
	var b engine.Batch
	b.Put(engine.Default, key(i), value)
	b.Put(engine.Write, key(i), value[:4])
	return e.Write(&b, d)
}

// wantPrefix checks that of pairs 0 to n-1 a beginning is there, each whole, and returns how many.
func wantPrefix(t *testing.T, e engine.Engine, n int) (kept int) {
	t.Helper()
	s, err := e.Snapshot()
	must(t, err)
	defer s.Close()
	for kept < n {
		if _, err := s.Get(engine.Default, key(kept)); errors.Is(err, engine.ErrNotFound) {
			break
		}
		kept++
	}
	wantWritten(t, e, kept)
	for i := kept; i < n; i++ {
		_, err := s.Get(engine.Default, key(i))
		_, markErr := s.Get(engine.Write, key(i))
		if !errors.Is(err, engine.ErrNotFound) || !errors.Is(markErr, engine.ErrNotFound) {
			t.Fatalf("write %d is lost, but of write %d there is: %v, %v", kept, i, err, markErr)
		}
	}
	return kept
}

// What a failing disk does to the engine: an error for the writer, no crash of the process, nothing acknowledged lost.

package pebble_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"tinykv/kv/engine"
	"tinykv/kv/engine/enginetest"
	"tinykv/kv/engine/pebble"
)

// faults makes every operation that match picks fail with err, from the moment that on is set.
type faults struct {
	on    atomic.Bool
	err   error
	match func(errorfs.Op) bool
}

func (f *faults) wrap(fs vfs.FS) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if f.on.Load() && f.match(op) {
			return f.err
		}
		return nil
	}))
}

func isLog(path string) bool { return strings.HasSuffix(path, ".log") }

// TestDiskFaults lets one kind of operation fail for good under a running engine, which is made to write logs,
// tables and manifests.
func TestDiskFaults(t *testing.T) {
	full := error(syscall.ENOSPC)
	for _, c := range []struct {
		name  string
		match func(errorfs.Op) bool
	}{
		{"log_sync", func(op errorfs.Op) bool { return isLog(op.Path) && isSync(op.Kind) }},
		{"log_write", func(op errorfs.Op) bool { return isLog(op.Path) && op.Kind == errorfs.OpFileWrite }},
		{"log_create", func(op errorfs.Op) bool {
			return isLog(op.Path) && (op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpReuseForWrite)
		}},
		{"table_write", func(op errorfs.Op) bool {
			return strings.HasSuffix(op.Path, ".sst") &&
				op.Kind == errorfs.OpFileWrite
		}},
		{"table_create", func(op errorfs.Op) bool {
			return strings.HasSuffix(op.Path, ".sst") &&
				op.Kind == errorfs.OpCreate
		}},
		{"manifest_write", func(op errorfs.Op) bool {
			return strings.Contains(op.Path, "MANIFEST") && op.Kind == errorfs.OpFileWrite
		}},
		{"manifest_sync", func(op errorfs.Op) bool { return strings.Contains(op.Path, "MANIFEST") && isSync(op.Kind) }},
		{"every_write", func(op errorfs.Op) bool {
			return op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpFileClose
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &faults{err: full, match: c.match}
			disk := vfs.NewCrashableMem()
			e, err := pebble.Open("store", pebble.Options{FS: f.wrap(disk)})
			must(t, err)
			acknowledged := 0
			for ; acknowledged < 20; acknowledged++ {
				must(t, write(e, acknowledged, 1<<10))
			}
			f.on.Store(true)
			var failure error
			for ; acknowledged < 400; acknowledged++ { // up to 40 MiB: several logs, tables and compactions
				if failure = write(e, acknowledged, 100<<10); failure != nil {
					break
				}
			}
			if !errors.Is(failure, full) {
				t.Fatalf("writes to a disk on which %s fails: got %v after %d writes, want %v", c.name, failure,
					acknowledged, full)
			}
			for range 3 {
				if err := write(e, 9999, 10); !errors.Is(err, engine.ErrFailed) {
					t.Fatalf("write after the failed one: got %v, want ErrFailed", err)
				}
			}
			wantWritten(t, e, acknowledged)
			done := make(chan error, 1)
			go func() { done <- e.Close() }()
			select {
			case err := <-done:
				must(t, err)
			case <-time.After(20 * time.Second):
				t.Fatal("Close after a failure does not end within 20 s")
			}

			f.on.Store(false)
			rng := rand.New(rand.NewPCG(1, 1))
			for _, image := range []*vfs.MemFS{
				disk, disk.CrashClone(vfs.CrashCloneCfg{}),
				disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng}),
			} {
				e, err := pebble.Open("store", pebble.Options{FS: image})
				if err != nil {
					t.Fatalf("open once the disk is well: %v", err)
				}
				wantWritten(t, e, acknowledged)
				must(t, write(e, acknowledged+1, 10))
				must(t, e.Close())
			}
		})
	}
}

// TestCrashLosesNothingSynced takes images of the disk, as a loss of power would leave it, while writers are at work.
func TestCrashLosesNothingSynced(t *testing.T) {
	disk := vfs.NewCrashableMem()
	e, err := pebble.Open("store", pebble.Options{FS: disk})
	must(t, err)
	var written atomic.Int64
	done := make(chan error, 1)
	const writes = 300
	go func() {
		for i := range writes {
			if err := write(e, i, 60<<10); err != nil { // 18 MiB: logs are changed and tables written
				done <- err
				return
			}
			written.Store(int64(i + 1))
		}
		done <- nil
	}()
	rng := rand.New(rand.NewPCG(2, 2))
	for seed := range 12 {
		for next := int64(seed * writes / 12); written.Load() < next; {
			time.Sleep(time.Millisecond) // the writer is real, and so is the wait for it
		}
		acknowledged := int(written.Load())
		image := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: seed * 9, RNG: rng})
		after, err := pebble.Open("store", pebble.Options{FS: image})
		if err != nil {
			t.Fatalf("open after a crash behind %d writes: %v", acknowledged, err)
		}
		wantWritten(t, after, acknowledged)
		must(t, after.Close())
	}
	must(t, <-done)
	must(t, e.Close())
}

// TestReadErrorIsAnError lets reads of tables fail.
func TestReadErrorIsAnError(t *testing.T) {
	broken := errors.New("the cable fell out")
	f := &faults{err: broken, match: func(op errorfs.Op) bool {
		return strings.HasSuffix(op.Path, ".sst") && op.Kind == errorfs.OpFileReadAt
	}}
	disk := vfs.NewMem()
	e, err := pebble.Open("store", pebble.Options{FS: disk})
	must(t, err)
	for i := range 50 {
		must(t, write(e, i, 1<<10))
	}
	must(t, e.Close())
	e, err = pebble.Open("store", pebble.Options{FS: f.wrap(disk)}) // the log became a table
	must(t, err)
	must(t, e.Close())
	e, err = pebble.Open("store", pebble.Options{FS: f.wrap(disk)})
	must(t, err)
	f.on.Store(true)
	s, err := e.Snapshot()
	must(t, err)
	if _, err := s.Get(engine.Default, key(7)); !errors.Is(err, broken) {
		t.Errorf("Get from a table that can't be read: got %v, want %v", err, broken)
	}
	it, err := s.Iterator(engine.Default, engine.IterOptions{})
	if err == nil {
		if it.First() || !errors.Is(it.Err(), broken) || it.Valid() {
			t.Errorf("iterator over a table that can't be read: Err is %v, want %v", it.Err(), broken)
		}
		err = it.Close()
	}
	if !errors.Is(err, broken) {
		t.Errorf("closing it: got %v, want %v", err, broken)
	}
	f.on.Store(false)
	must(t, s.Close())
	// pebble reads tables in the background too, and may tell at the end what it met there.
	if err := e.Close(); err != nil && !errors.Is(err, broken) {
		t.Fatal(err)
	}
}

func isSync(k errorfs.OpKind) bool {
	return k == errorfs.OpFileSync || k == errorfs.OpFileSyncData || k == errorfs.OpFileSyncTo
}

func key(i int) []byte { return fmt.Appendf(nil, "key%04d", i) }

// write puts pair i in a batch with a mark, synced, with a value that does not compress.
func write(e engine.Engine, i, size int) error {
	rng := rand.New(rand.NewPCG(uint64(i), 0))
	value := make([]byte, size)
	enginetest.Noise(rng, value)
	copy(value, fmt.Sprintf("%04d", i))
	var b engine.Batch
	b.Put(engine.Default, key(i), value)
	b.Put(engine.Write, key(i), value[:4])
	return e.Write(&b, engine.Synced)
}

// wantWritten checks pairs 0 to n-1, and that both halves of every batch are there or none.
func wantWritten(t *testing.T, e engine.Engine, n int) {
	t.Helper()
	s, err := e.Snapshot()
	must(t, err)
	defer s.Close()
	for i := range n + 3 {
		got, err := s.Get(engine.Default, key(i))
		mark, markErr := s.Get(engine.Write, key(i))
		if errors.Is(err, engine.ErrNotFound) != errors.Is(markErr, engine.ErrNotFound) {
			t.Fatalf("batch %d is there in part: %v, %v", i, err, markErr)
		}
		if i < n && (err != nil || markErr != nil || string(got[:4]) != string(mark)) {
			t.Fatalf("of %d acknowledged writes, number %d can't be read: %v, %v", n, i, err, markErr)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

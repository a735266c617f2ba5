//go:build cgo

// Each precaution against badger has a test here that fails without it.

package badger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Connor1996/badger"
	"golang.org/x/sys/unix"

	"tinykv/kv/engine"
	"tinykv/kv/engine/enginetest"
	"tinykv/kv/engine/internal/sums"
)

// TestFailedSyncIsNotAcknowledged makes the sync of badger's log fail: badger's Commit says nil.
func TestFailedSyncIsNotAcknowledged(t *testing.T) {
	e := openForTest(t)
	writeForTest(t, e, "before", "1")
	r, w := pipe(t)
	replaceLog(t, e, w) // a pipe takes writes, and can't be synced
	err := e.Write(oneForTest("lost", "1"), engine.Synced)
	if !errors.Is(err, errSwallowed) {
		t.Fatalf("write whose sync fails: got %v, want the error %q", err, errSwallowed)
	}
	wantFailed(t, e)
	r.Close()
}

// TestFailedWriteIsNotAcknowledged makes the write to badger's log fail, as a full disk does.
func TestFailedWriteIsNotAcknowledged(t *testing.T) {
	e := openForTest(t)
	writeForTest(t, e, "before", "1")
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip("needs /dev/full:", err)
	}
	defer full.Close()
	replaceLog(t, e, full)
	err = e.Write(oneForTest("lost", "1"), engine.Synced)
	if !errors.Is(err, errSwallowed) {
		t.Fatalf("write to a full disk: got %v, want the error %q", err, errSwallowed)
	}
	wantFailed(t, e)
}

// TestHangingCommitEnds makes the write to badger's log block for ever.
func TestHangingCommitEnds(t *testing.T) {
	e := openForTest(t)
	writeForTest(t, e, "before", "1")
	e.commitTimeout = 50 * time.Millisecond
	r, w := pipe(t)
	fillPipe(t, w)
	replaceLog(t, e, w)
	done := make(chan error, 1)
	go func() { done <- e.Write(oneForTest("lost", "1"), engine.Synced) }()
	select {
	case err := <-done:
		if !errors.Is(err, errHanging) {
			t.Errorf("write that hangs: got %v, want the error %q", err, errHanging)
		}
	case <-time.After(20 * time.Second):
		t.Error("write that hangs: no answer within 20 s")
	}
	wantFailed(t, e)
	r.Close()                     // lets badger's writer go
	e.commitTimeout = time.Minute // and Close wait for it, however busy the machine is
}

// TestOldSnapshotFindsItsKeys shows that badger's own point get misses keys of an old snapshot, and that ours does not.
func TestOldSnapshotFindsItsKeys(t *testing.T) {
	e := openForTest(t)
	const keys, rounds = 400, 16
	key := func(i int) []byte { return fmt.Appendf(nil, "k%04d", i) }
	var b engine.Batch
	for i := range keys {
		b.Put(engine.Default, key(i), []byte("old"))
	}
	if err := e.Write(&b, engine.Synced); err != nil {
		t.Fatal(err)
	}
	s, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	value := make([]byte, 2<<10)
	for range rounds {
		b.Reset()
		for i := range keys {
			enginetest.Noise(rng, value)
			b.Put(engine.Default, key(i), value)
		}
		if err := e.Write(&b, engine.Synced); err != nil {
			t.Fatal(err)
		}
	}
	missed := 0
	for i := range keys {
		if _, err := s.(*snapshot).txn.Get(encodeKey(engine.Default, key(i))); errors.Is(err, badger.ErrKeyNotFound) {
			missed++
		}
		if got, err := s.Get(engine.Default, key(i)); err != nil || string(got) != "old" {
			t.Fatalf("Get(%q) in a snapshot from before %d overwrites: got %q and %v, want \"old\"",
				key(i), rounds, got, err)
		}
	}
	t.Logf("badger's own point get missed %d of %d keys", missed, keys)
}

// TestFlippedValueIsFound changes a stored value behind the seal.
func TestFlippedValueIsFound(t *testing.T) {
	e := openForTest(t)
	key := encodeKey(engine.Default, []byte("k"))
	stored := seal(key, []byte("value"))
	stored[len(stored)-1] ^= 1
	if err := e.db.Update(func(txn *badger.Txn) error { return txn.Set(key, stored) }); err != nil {
		t.Fatal(err)
	}
	s, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Get(engine.Default, []byte("k")); !errors.Is(err, engine.ErrCorrupt) {
		t.Errorf("Get of a flipped value: got %v, want ErrCorrupt", err)
	}
	it, err := s.Iterator(engine.Default, engine.IterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if it.First() || !errors.Is(it.Err(), engine.ErrCorrupt) || it.Next() {
		t.Errorf("iterator over a flipped value: Err is %v, want ErrCorrupt, and no move after it", it.Err())
	}
	if err := it.Close(); !errors.Is(err, engine.ErrCorrupt) {
		t.Errorf("close of an iterator that failed: got %v, want ErrCorrupt", err)
	}
}

// TestHugeRangeDeleteIsRefused covers more keys than one transaction may hold.
func TestHugeRangeDeleteIsRefused(t *testing.T) {
	e := openForTest(t)
	key := func(i int) []byte { return fmt.Appendf(nil, "%0*d", engine.MaxKeySize, i) }
	const keys = engine.MaxBatchSize/engine.MaxKeySize + 1
	for i := 0; i < keys; {
		var b engine.Batch
		for ; i < keys && b.Size() < engine.MaxBatchSize/2; i++ {
			b.Put(engine.Default, key(i), nil)
		}
		if err := e.Write(&b, engine.Synced); err != nil {
			t.Fatal(err)
		}
	}
	var b engine.Batch
	b.DeleteRange(engine.Default, nil, nil)
	if err := e.Write(&b, engine.Synced); !errors.Is(err, engine.ErrTooLarge) {
		t.Fatalf("delete of %d keys of %d bytes at once: got %v, want ErrTooLarge", keys, engine.MaxKeySize, err)
	}
	for _, half := range [][2][]byte{{nil, key(keys / 2)}, {key(keys / 2), nil}} {
		b.Reset()
		b.DeleteRange(engine.Default, half[0], half[1])
		if err := e.Write(&b, engine.Synced); err != nil {
			t.Fatalf("delete in halves: %v", err)
		}
	}
	if size, err := e.ApproximateSize(engine.Default, nil, nil); err != nil || size != 0 {
		t.Errorf("after the deletes: size %d and %v, want 0", size, err)
	}
}

// TestTornEndIsNotCountedOn leaves half a transaction at the end of the log, as kill -9 does, and lets the next life note
// what the log begins with before it writes over that end.
func TestTornEndIsNotCountedOn(t *testing.T) {
	whole, torn, killed := t.TempDir(), t.TempDir(), t.TempDir()
	e, err := Open(whole, Options{})
	if err != nil {
		t.Fatal(err)
	}
	crash := func(e *Engine, from, to string) { // badger's log of messages is for one engine at a time
		t.Helper()
		if err := errors.Join(os.CopyFS(to, os.DirFS(from)), e.Close()); err != nil {
			t.Fatal(err)
		}
	}
	writeForTest(t, e, "a", "1")
	writeForTest(t, e, "b", strings.Repeat("b", 4096))
	crash(e, whole, torn)
	log := filepath.Join(torn, newestLog(torn))
	content, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	end := wholeTransactions(content)
	copy(content[end-10:end], make([]byte, 10)) // the last bytes did not get there
	if err := os.WriteFile(log, content, 0o644); err != nil {
		t.Fatal(err)
	}
	second, err := Open(torn, Options{})
	if err != nil {
		t.Fatal(err)
	}
	writeForTest(t, second, "c", "3") // it is noted now
	writeForTest(t, second, "d", strings.Repeat("d", 1024))
	crash(second, torn, killed)
	third, err := Open(killed, Options{})
	if err != nil {
		t.Fatalf("after a torn end was written over: %v", err)
	}
	third.Close()
}

func openForTest(t *testing.T) *Engine {
	t.Helper()
	e, err := Open(t.TempDir(), Options{NoCompaction: true})
	if err != nil {
		t.Fatal(err)
	}
	e.commitTimeout = 5 * time.Second
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func oneForTest(key, value string) *engine.Batch {
	var b engine.Batch
	b.Put(engine.Default, []byte(key), []byte(value))
	return &b
}

func writeForTest(t *testing.T, e *Engine, key, value string) {
	t.Helper()
	if err := e.Write(oneForTest(key, value), engine.Synced); err != nil {
		t.Fatal(err)
	}
}

// wantFailed checks that the engine takes no writes any more and still reads what was there before.
func wantFailed(t *testing.T, e *Engine) {
	t.Helper()
	for range 2 {
		if err := e.Write(oneForTest("more", "1"), engine.Synced); !errors.Is(err, engine.ErrFailed) {
			t.Errorf("write after a failed one: got %v, want ErrFailed", err)
		}
	}
	s, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, err := s.Get(engine.Default, []byte("before")); err != nil || string(got) != "1" {
		t.Errorf("read after a failed write: got %q and %v, want what was acknowledged before", got, err)
	}
}

// replaceLog puts f in the place of the open log file of badger, under the same file descriptor.
func replaceLog(t *testing.T, e *Engine, f *os.File) {
	t.Helper()
	const fds = "/proc/self/fd"
	entries, err := os.ReadDir(fds)
	if err != nil {
		t.Skip("needs", fds, err)
	}
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join(fds, entry.Name()))
		if err != nil || filepath.Dir(target) != e.dir || !strings.HasSuffix(target, ".vlog") {
			continue
		}
		var fd int
		if _, err := fmt.Sscan(entry.Name(), &fd); err != nil {
			t.Fatal(err)
		}
		if err := unix.Dup3(int(f.Fd()), fd, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("badger has no log file open in", e.dir)
}

// pipe makes one whose descriptors block.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	r, w = os.NewFile(uintptr(fds[0]), "pipe"), os.NewFile(uintptr(fds[1]), "pipe")
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// fillPipe writes until nothing more fits.
func fillPipe(t *testing.T, w *os.File) {
	t.Helper()
	fd := int(w.Fd())
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 4096); ; {
		if _, err := unix.Write(fd, block); errors.Is(err, unix.EAGAIN) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
}

// TestTraceOfADeletedTable leaves what a kill leaves that comes while badger removes a table: it is empty, and not
// in use.
func TestTraceOfADeletedTable(t *testing.T) {
	dir := t.TempDir()
	e, err := Open(dir, Options{NoCompaction: true})
	if err != nil {
		t.Fatal(err)
	}
	writeForTest(t, e, "k", "v")
	if err := e.Close(); err != nil { // makes a table
		t.Fatal(err)
	}
	known, err := sums.Read(sums.OSDir(dir))
	if err != nil {
		t.Fatal(err)
	}
	trace := filepath.Join(dir, "000000c3.sst")
	if err := os.WriteFile(trace, []byte("a table that was in use when the store was opened"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := known.Add(sums.OSDir(dir), filepath.Base(trace), sums.Sums{}); err != nil {
		t.Fatal(err)
	}
	known = known.Only(func(name string) bool { return strings.HasSuffix(name, ".sst") })
	known.Clean = false
	if err := errors.Join(known.Write(sums.OSDir(dir)), os.Truncate(trace, 0)); err != nil {
		t.Fatal(err)
	}
	e, err = Open(dir, Options{NoCompaction: true})
	if err != nil {
		t.Fatalf("open after a kill while a table was removed: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

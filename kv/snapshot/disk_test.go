// The directory on a disk that crashes, fails and fills up, at each of its operations.

package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"tinykv/kv/engine"
)

var errBroken = errors.New("the disk is broken")

// shakyFiles is a file system in memory that knows what was synced. Its operations that change something are counted, and
// one of them may fail.
type shakyFiles struct {
	mem    *vfs.MemFS
	counts map[string]int
	ops    int
	failAt int // the operation that fails, and all after it if it stays broken; 0: none
	stays  bool
	short  bool // a write that fails writes its first half
}

func newShakyFiles() *shakyFiles {
	f := &shakyFiles{mem: vfs.NewCrashableMem(), counts: map[string]int{}}
	return f
}

// step counts an operation and tells whether it fails.
func (f *shakyFiles) step(what string) error {
	f.ops++
	f.counts[what]++
	if f.failAt > 0 && (f.ops == f.failAt || f.stays && f.ops > f.failAt) {
		return fmt.Errorf("%s: %w", what, errBroken)
	}
	return nil
}

func (f *shakyFiles) makeDir(path string) error {
	if err := f.step("mkdir"); err != nil {
		return err
	}
	return f.mem.MkdirAll(path, 0o755)
}

func (f *shakyFiles) syncDir(path string) error {
	if err := f.step("sync directory"); err != nil {
		return err
	}
	dir, err := f.mem.OpenDir(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (f *shakyFiles) list(path string) ([]string, error) { return f.mem.List(path) }

func (f *shakyFiles) exists(path string) (bool, error) {
	_, err := f.mem.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (f *shakyFiles) create(path string) (file, error) {
	if err := f.step("create"); err != nil {
		return nil, err
	}
	if there, _ := f.exists(path); there {
		return nil, fs.ErrExist
	}
	inner, err := f.mem.Create(path, "")
	return &shakyFile{fs: f, inner: inner}, err
}

func (f *shakyFiles) open(path string) (io.ReadCloser, error) { return f.mem.Open(path) }

func (f *shakyFiles) rename(from, to string) error {
	if err := f.step("rename"); err != nil {
		return err
	}
	return f.mem.Rename(from, to)
}

func (f *shakyFiles) remove(path string) error {
	if err := f.step("remove"); err != nil {
		return err
	}
	return f.mem.Remove(path)
}

type shakyFile struct {
	fs    *shakyFiles
	inner vfs.File
}

func (f *shakyFile) Write(p []byte) (int, error) {
	if err := f.fs.step("write"); err != nil {
		if f.fs.short {
			n, _ := f.inner.Write(bytes.Clone(p[:len(p)/2]))
			return n, err
		}
		return 0, err
	}
	return f.inner.Write(bytes.Clone(p)) // with the race detector on, pebble's file scribbles over what it is given
}

func (f *shakyFile) Sync() error {
	if err := f.fs.step("sync"); err != nil {
		return err
	}
	return f.inner.Sync()
}

func (f *shakyFile) Close() error { return f.inner.Close() }

// receiveOn receives the small stream on a disk.
func receiveOn(t *testing.T, f *shakyFiles, chunks []Chunk) (name string, complete bool, err error) {
	t.Helper()
	d, err := openDirectory("/spool", f)
	if err != nil {
		return "", false, err
	}
	return receive(d, wanted(), chunks...)
}

// onDisk lists the files, drafts too.
func onDisk(t *testing.T, f *shakyFiles) []string {
	t.Helper()
	names, err := f.mem.List("/spool")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	must(t, err)
	return names
}

func TestWhatReceivingCostsTheDisk(t *testing.T) {
	_, chunks, _ := smallStream(t)
	f := newShakyFiles()
	_, complete, err := receiveOn(t, f, chunks)
	if err != nil || !complete {
		t.Fatal(complete, err)
	}
	want := map[string]int{"mkdir": 1, "create": 1, "write": len(chunks), "sync": 1, "rename": 1,
		"sync directory": 2} // the parent, when the directory was made, and the directory
	if fmt.Sprint(f.counts) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", f.counts, want)
	}
}

func TestALargeDraftIsSyncedOnItsWay(t *testing.T) {
	f := newShakyFiles()
	d, err := openDirectory("/spool", f)
	must(t, err)
	draft, err := d.Create("x")
	must(t, err)
	for range 17 {
		_, err := draft.Write(make([]byte, 1<<20))
		must(t, err)
	}
	must(t, draft.Commit())
	if f.counts["sync"] != 3 {
		t.Errorf("%d syncs for 17 MiB, want 2 on the way and one at the end", f.counts["sync"])
	}
}

func TestADiskThatFailsOnceLeavesNothing(t *testing.T) {
	h, chunks, e := smallStream(t)
	for failAt := 1; ; failAt++ {
		f := newShakyFiles()
		f.failAt, f.short = failAt, true
		name, complete, err := receiveOn(t, f, chunks)
		if f.ops < failAt {
			break
		}
		switch {
		case complete && err == nil:
			t.Fatalf("operation %d failed, and nobody was told", failAt)
		case !errors.Is(err, errBroken):
			t.Fatalf("operation %d failed, and the error is %v", failAt, err)
		case len(onDisk(t, f)) > 0:
			t.Fatalf("operation %d failed, and %q is left, %q", failAt, onDisk(t, f), name)
		}
		f.failAt = 0
		name, complete, err = receiveOn(t, f, chunks)
		if err != nil || !complete {
			t.Fatalf("after operation %d failed: complete %v, error %v", failAt, complete, err)
		}
		mustInstall(t, f, name, h, e)
	}
}

// mustInstall demands that a spool can be installed.
func mustInstall(t *testing.T, f *shakyFiles, name string, h Head, e engine.Engine) {
	t.Helper()
	file, err := f.open("/spool/" + name)
	must(t, err)
	defer file.Close()
	data, err := io.ReadAll(file)
	must(t, err)
	if recorded, err := installError(t, data, h, e); !recorded || err != nil {
		t.Fatalf("spool %s: recorded %v, error %v", name, recorded, err)
	}
}

// TestAPowerCutLeavesAWholeSpoolOrNone stops at each operation, and crashes: the file system keeps any part of what was not
// synced. Then the store starts again.
func TestAPowerCutLeavesAWholeSpoolOrNone(t *testing.T) {
	h, chunks, e := smallStream(t)
	seen := map[string]int{}
	for seed := range uint64(30) {
		for failAt := 1; ; failAt++ {
			f := newShakyFiles()
			f.failAt, f.stays, f.short = failAt, true, true
			name, complete, _ := receiveOn(t, f, chunks)
			ended := f.ops < failAt
			rng := rand.New(rand.NewPCG(seed, uint64(failAt)))
			after := newShakyFiles()
			after.mem = f.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
			d, err := openDirectory("/spool", after)
			must(t, err)
			names, err := d.List()
			must(t, err)
			for _, file := range onDisk(t, after) {
				if strings.HasSuffix(file, draftSuffix) {
					t.Fatalf("seed %d, operation %d: %s is left after a start", seed, failAt, file)
				}
			}
			if complete && len(names) != 1 {
				t.Fatalf("seed %d: %s was complete, and after a crash there is %q", seed, name, names)
			}
			for _, name := range names {
				mustInstall(t, after, name, h, e)
			}
			seen[fmt.Sprint(complete, len(names))]++
			if ended {
				break
			}
		}
	}
	for _, outcome := range []string{"false 0", "false 1", "true 1"} {
		if seen[outcome] == 0 {
			t.Errorf("outcomes (complete, spools after the crash): %v; want %s sometimes", seen, outcome)
		}
	}
}

func TestARealFullDiskIsAnError(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	must(t, err)
	d, err := OpenDirectory(t.TempDir())
	must(t, err)
	draft, err := d.create("x")
	must(t, err)
	must(t, draft.file.Close())
	draft.file = full
	if _, err := draft.Write(make([]byte, 1000)); err == nil {
		t.Error("a write to a full disk succeeded")
	}
	must(t, draft.Discard())
	mustList(t, d)
	if entries, _ := os.ReadDir(d.path); len(entries) > 0 {
		t.Errorf("left: %v", entries)
	}
}

// What a program meets that opens an engine by name: other processes, bad directories, the size of a fresh store.

package open_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/engine/enginetest"
	"tinykv/kv/engine/open"
)

// childDir and childEngine tell this test binary to be a child: it opens the store, says so, and keeps it until its
// input ends.
const (
	childDir    = "TINYKV_TEST_DIR"
	childEngine = "TINYKV_TEST_ENGINE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(os.Getenv(childEngine), dir)
		return
	}
	os.Exit(m.Run())
}

// child prints how long the open took and how much memory the process takes then, in milliseconds and KiB.
func child(name, dir string) {
	start := time.Now()
	e, err := open.Open(name, dir, open.Options{})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	var b engine.Batch
	b.Put(engine.Default, []byte("k"), []byte("v"))
	if err := e.Write(&b, engine.Synced); err != nil {
		fmt.Println("error", err)
		return
	}
	fmt.Println("open", time.Since(start).Milliseconds(), residentKiB())
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

func residentKiB() (kib int) {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			_, _ = fmt.Sscan(rest, &kib)
		}
	}
	return kib
}

// startChild returns what the child printed. It is killed with the test.
func startChild(t *testing.T, name, dir string) string {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childDir+"="+dir, childEngine+"="+name)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = c.Process.Kill(); _ = c.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the child said %q and %v", line, err)
	}
	return line
}

// forEach runs a test for every engine that this build has.
func forEach(t *testing.T, test func(t *testing.T, name string)) {
	for _, name := range open.Names {
		t.Run(name, func(t *testing.T) {
			if err := open.Check(name); err != nil {
				t.Skip("left out: ", err)
			}
			test(t, name)
		})
	}
}

func TestUnknownEngine(t *testing.T) {
	e, err := open.Open("rocks", t.TempDir(), open.Options{})
	if err == nil || e != nil || !strings.Contains(err.Error(), "pebble, badger") {
		t.Errorf("open of an unknown engine: got %v and %v, want an error that lists the names", e, err)
	}
}

func TestDefaultIsKnown(t *testing.T) {
	e, err := open.Open(open.Default, t.TempDir(), open.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// A replica must be able to apply whatever its log says (see package inparts).
func TestDataThatCanBeWrittenAgainHasNoRangeTooLongToDelete(t *testing.T) {
	const keys = engine.MaxBatchSize/engine.MaxKeySize + 1 // too many for one transaction of badger's
	forEach(t, func(t *testing.T, name string) {
		e, err := open.Open(name, enginetest.MemoryDir(t), open.Options{Unlogged: true})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		b := &engine.Batch{}
		for i := range keys {
			b.Put(engine.Default, fmt.Appendf(nil, "%0*d", engine.MaxKeySize, i), nil)
			if b.Size() > engine.MaxBatchSize/2 || i == keys-1 {
				if err := e.Write(b, engine.Buffered); err != nil {
					t.Fatal(err)
				}
				b.Reset()
			}
		}
		b.DeleteRange(engine.Default, nil, nil)
		if err := e.Write(b, engine.Buffered); err != nil {
			t.Fatalf("delete %d keys of %d bytes: %v", keys, engine.MaxKeySize, err)
		}
		s, err := e.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if it, err := s.Iterator(engine.Default, engine.IterOptions{}); err != nil || it.First() {
			t.Errorf("a key is left, or %v", err)
		}
	})
}

func TestDirectoryInUse(t *testing.T) {
	forEach(t, func(t *testing.T, name string) {
		dir := filepath.Join(t.TempDir(), "store")
		if line := startChild(t, name, dir); !strings.HasPrefix(line, "open") {
			t.Fatal(line)
		}
		e, err := open.Open(name, dir, open.Options{})
		if !errors.Is(err, engine.ErrInUse) || e != nil || strings.Contains(err.Error(), "\n") ||
			!strings.Contains(err.Error(), dir) {
			t.Errorf("open of a directory in use by another process: got %v and %v, want one line with ErrInUse and its name",
				e, err)
		}
	})
}

func TestBadDirectory(t *testing.T) {
	forEach(t, func(t *testing.T, name string) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
		closed := filepath.Join(t.TempDir(), "closed")
		if err := os.Mkdir(closed, 0o555); err != nil {
			t.Fatal(err)
		}
		dirs := []string{file, filepath.Join(file, "below"), "/proc/nothing"}
		if os.Geteuid() != 0 { // root writes everywhere
			dirs = append(dirs, closed)
		}
		for _, dir := range dirs {
			e, err := open.Open(name, dir, open.Options{})
			if err == nil || e != nil {
				t.Errorf("open in %s: got %v and %v, want an error", dir, e, err)
			} else if text := err.Error(); strings.Contains(text, "\n") || !strings.Contains(text, dir) ||
				errors.Is(err, engine.ErrCorrupt) {
				t.Errorf("open in %s: the error should be one line that names it and not be ErrCorrupt: %v", dir, err)
			}
		}
		if content, err := os.ReadFile(file); err != nil || string(content) != "mine" {
			t.Errorf("a file in the place of the directory was changed: %q, %v", content, err)
		}
	})
}

// TestFreshStoreIsSmall starts a process with a fresh store and one pair.
func TestFreshStoreIsSmall(t *testing.T) {
	const mostDiskBytes, mostMemoryKiB, mostMillis = 20 << 20, 64 << 10, 1000
	forEach(t, func(t *testing.T, name string) {
		var millis, kib int
		var disk int64
		for try := range 3 { // other tests may keep the machine busy: one good try is enough
			dir := filepath.Join(t.TempDir(), fmt.Sprint("store", try))
			line := startChild(t, name, dir)
			if _, err := fmt.Sscanf(line, "open %d %d", &millis, &kib); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if disk = diskBytes(t, dir); millis <= mostMillis {
				break
			}
		}
		t.Logf("%s: %d KiB on disk, %d KiB of memory, %d ms to open and write", name, disk>>10, kib, millis)
		if disk > mostDiskBytes || !raceDetector && (kib > mostMemoryKiB || millis > mostMillis) {
			t.Errorf("limits: %d KiB on disk, %d KiB of memory, %d ms", mostDiskBytes>>10, mostMemoryKiB, mostMillis)
		}
	})
}

// diskBytes counts blocks, as preallocated ones count and holes do not.
func diskBytes(t *testing.T, dir string) (sum int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil {
			return err
		}
		sum += st.Blocks * 512
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

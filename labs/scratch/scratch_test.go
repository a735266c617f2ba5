package scratch_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"tinykv/labs/scratch"
)

// makerEnv makes this test binary a process that makes a directory, says which, and lives until it is killed.
const makerEnv = "LABS_SCRATCH_MAKER"

func TestMain(m *testing.M) {
	if os.Getenv(makerEnv) != "" {
		dir, err := scratch.Make("test")
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		path := dir.Path
		runtime.GC() // nobody refers to dir any more
		runtime.GC()
		fmt.Println(path)
		time.Sleep(time.Hour) // the runtime would end a process that waits for nothing
	}
	os.Exit(m.Run())
}

// maker starts such a process and returns its directory.
func maker(t *testing.T) (dir string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), makerEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	t.Cleanup(kill)
	lines := bufio.NewScanner(out)
	if !lines.Scan() || !exists(lines.Text()) {
		t.Fatalf("a process that makes a directory says %q", lines.Text())
	}
	return lines.Text(), kill
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func makeDir(t *testing.T) *scratch.Dir {
	t.Helper()
	dir, err := scratch.Make("test")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestADirectoryIsGoneAfterRemove(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := makeDir(t)
	stubborn := filepath.Join(dir.Path, "read-only")
	if err := os.Mkdir(stubborn, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(stubborn, "file"), nil, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(stubborn, 0o500); err != nil {
		t.Fatal(err)
	}
	if err := dir.Remove(); err != nil || exists(dir.Path) {
		t.Errorf("after Remove: error %v, still there %v", err, exists(dir.Path))
	}
}

func TestWhatAKilledProcessLeftIsRemovedByTheNextAndNothingElse(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	killed, kill := maker(t)
	living, _ := maker(t)
	own := makeDir(t)
	defer own.Remove()

	fresh := filepath.Join(temp, "labs-just-made") // its maker has not come to its lock yet
	old := filepath.Join(temp, "labs-made-long-ago")
	other := filepath.Join(temp, "of-another-program")
	for _, dir := range []string{fresh, old, other} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-48 * time.Hour)
	for _, dir := range []string{old, other} {
		if err := os.Chtimes(dir, long, long); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(other, filepath.Join(temp, "labs-link")); err != nil {
		t.Fatal(err)
	}

	kill()
	next := makeDir(t)
	defer next.Remove()
	for dir, want := range map[string]bool{
		killed: false, living: true, own.Path: true, next.Path: true, fresh: true, old: false, other: true,
		filepath.Join(temp, "labs-link"): true,
	} {
		if exists(dir) != want {
			t.Errorf("%s is there: %v, want %v", filepath.Base(dir), exists(dir), want)
		}
	}
}

func TestNoPlaceForTemporaryFilesSaysWhatToDo(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "not-there"))
	_, err := scratch.Make("test")
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want one that says which directory is missing", err)
	}
}

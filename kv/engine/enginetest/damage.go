// Damaged directories: an engine on disk must find out before it changes anything.

package enginetest

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tinykv/kv/engine"
)

// OpenDir opens an engine that lives in a directory.
type OpenDir func(dir string) (engine.Engine, error)

// Damage makes a store, and then for each of its files in turn cuts it off, flips a bit in it or removes it. Open
// must answer engine.ErrCorrupt in one line that names the file and says what to do, and leave the directory as it
// is. Empty files (locks, markers) are left alone.
func Damage(t *testing.T, open OpenDir) {
	dir := filepath.Join(MemoryDir(t), "store")
	makeStore(t, open, dir)
	for _, file := range filesOf(t, dir) {
		info, err := os.Stat(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() == 0 {
			continue
		}
		for _, damage := range damages {
			t.Run(damage.name+"/"+file, func(t *testing.T) {
				path := filepath.Join(dir, file)
				good, err := os.ReadFile(path)
				must(t, err)
				damage.do(t, path, info.Size())
				wantRefused(t, open, dir, file)
				must(t, os.WriteFile(path, good, 0o644))
			})
		}
	}
	t.Run("undamaged", func(t *testing.T) {
		e, err := open(dir)
		if err != nil {
			t.Fatalf("open of what was put right again: %v", err)
		}
		checkStore(t, e)
	})
}

var damages = []struct {
	name string
	do   func(t *testing.T, path string, size int64)
}{
	{"half", func(t *testing.T, path string, size int64) { must(t, os.Truncate(path, size/2)) }},
	{"empty", func(t *testing.T, path string, _ int64) { must(t, os.Truncate(path, 0)) }},
	{"removed", func(t *testing.T, path string, _ int64) { must(t, os.Remove(path)) }},
	{"flip_first", func(t *testing.T, path string, _ int64) { flip(t, path, 0) }},
	{"flip_middle", func(t *testing.T, path string, size int64) { flip(t, path, size/2) }},
}

func wantRefused(t *testing.T, open OpenDir, dir, file string) {
	t.Helper()
	before := hashDir(t, dir)
	e, err := open(dir)
	if err == nil {
		_ = e.Close()
		t.Fatalf("Open of a store whose file %s is damaged: got an engine, want ErrCorrupt", file)
	}
	if !errors.Is(err, engine.ErrCorrupt) {
		t.Errorf("Open of a store whose file %s is damaged:\ngot  %v\nwant ErrCorrupt", file, err)
	}
	if text := err.Error(); strings.Contains(text, "\n") || !strings.Contains(text, file) {
		t.Errorf("the error should be one line that names %s, but is\n%s", file, text)
	}
	if !strings.Contains(err.Error(), "restore "+dir+" from a backup") {
		t.Errorf("the error should say what to do, but is\n%v", err)
	}
	if after := hashDir(t, dir); after != before {
		t.Errorf("Open of a damaged store changed the directory:\nbefore %s\nafter  %s", before, after)
	}
}

const storeKeys = 3000

// CutAfterCrash is DamageAfterCrash for files that were cut off or removed, and for a flipped byte near the beginning
// of the first log of a store that is new. mark, if any, is the pattern of an empty file that may not be missing.
func CutAfterCrash(t *testing.T, open OpenDir, logs, mark string) {
	dir := filepath.Join(MemoryDir(t), "store")
	e, err := open(dir)
	must(t, err)
	for i := range 40 {
		var b engine.Batch
		b.Put(engine.Default, fmt.Appendf(nil, "key%05d", i), fmt.Appendf(nil, "%d-", i))
		must(t, e.Write(&b, engine.Synced))
	}
	image := copyDir(t, dir)
	t.Run("first_log", func(t *testing.T) {
		bad := copyDir(t, image)
		files, err := filepath.Glob(filepath.Join(bad, logs))
		must(t, err)
		content, err := os.ReadFile(files[0])
		must(t, err)
		flip(t, files[0], int64(len(strings.TrimRight(string(content), "\x00"))/10))
		wantRefused(t, open, bad, filepath.Base(files[0]))
	})
	must(t, e.Close())
	e, err = open(dir)
	must(t, err)
	fillStore(t, e)
	image = copyDir(t, dir)
	must(t, e.Close())
	for _, file := range filesOf(t, image) {
		size := int64(len(fileContent(t, filepath.Join(image, file))))
		isMark, _ := filepath.Match(mark, file)
		for _, damage := range damages {
			isLog, _ := filepath.Match(logs, file)
			name := damage.name
			if file == "LOCK" || size == 0 && (!isMark || name != "removed") || isLog && name != "removed" && name != "empty" ||
				strings.HasPrefix(name, "flip") {
				continue
			}
			t.Run(name+"/"+file, func(t *testing.T) {
				bad := filepath.Join(MemoryDir(t), "copy")
				must(t, os.CopyFS(bad, os.DirFS(image)))
				damage.do(t, filepath.Join(bad, file), size)
				if isMark {
					file = strings.TrimSuffix(mark, "*")
				}
				wantRefused(t, open, bad, file)
			})
		}
	}
	t.Run("undamaged", func(t *testing.T) {
		e, err := open(copyDir(t, image))
		must(t, err)
		checkStore(t, e)
	})
}

// RemovedLog removes or empties the newest log of a store that was killed after it had been written to for longer than
// an engine takes to note that there is one.
func RemovedLog(t *testing.T, open OpenDir, log string, note time.Duration) {
	dir := filepath.Join(MemoryDir(t), "store")
	e, err := open(dir)
	must(t, err)
	fillStore(t, e)
	time.Sleep(note) // the engine goes by the clock
	fillStore(t, e)
	for _, damage := range damages[1:3] {
		bad := copyDir(t, dir)
		damage.do(t, filepath.Join(bad, log), 0)
		t.Run(damage.name, func(t *testing.T) { wantRefused(t, open, bad, log) })
	}
	must(t, e.Close())
}

func fileContent(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	return content
}

// makeStore leaves a closed store with tables and a log.
func makeStore(t *testing.T, open OpenDir, dir string) {
	t.Helper()
	for range 2 { // the second time there are tables
		e, err := open(dir)
		if err != nil {
			t.Fatal(err)
		}
		fillStore(t, e)
		must(t, e.Close())
	}
}

func fillStore(t *testing.T, e engine.Engine) {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 7))
	for i := 0; i < storeKeys; {
		var b engine.Batch
		for range 100 {
			b.Put(engine.Default, fmt.Appendf(nil, "key%05d", i), fmt.Appendf(nil, "%d-%032x", i, rng.Uint64()))
			i++
		}
		must(t, e.Write(&b, engine.Synced))
	}
}

// checkStore reads what fillStore wrote and closes the engine.
func checkStore(t *testing.T, e engine.Engine) {
	t.Helper()
	s, err := e.Snapshot()
	must(t, err)
	for i := range storeKeys {
		got, err := s.Get(engine.Default, fmt.Appendf(nil, "key%05d", i))
		if err != nil || !strings.HasPrefix(string(got), fmt.Sprintf("%d-", i)) {
			t.Fatalf("key%05d: got %q and %v", i, got, err)
		}
	}
	must(t, s.Close())
	must(t, e.Close())
}

func filesOf(t *testing.T, dir string) (files []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			name, _ := filepath.Rel(dir, path)
			files = append(files, name)
		}
		return err
	}))
	return files
}

func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(MemoryDir(t), "copy")
	must(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

var hashTable = crc32.MakeTable(crc32.Castagnoli)

// hashDir tells names and contents.
func hashDir(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range filesOf(t, dir) {
		content, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		fmt.Fprintf(&all, " %s:%x", name, crc32.Checksum(content, hashTable))
	}
	return all.String()
}

func flip(t *testing.T, path string, at int64) {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	content[at] ^= 0x10
	must(t, os.WriteFile(path, content, 0o644))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// DamageAfterCrash is Damage for a store that was not closed: the directory is copied while the engine is open, as
// a kill would leave it. Damage at the end of a log can't be told from a torn write, so files whose path contains a
// key of damage ("/" before the name) are flipped at a byte that is well inside: that number, or a quarter of the
// file.
func DamageAfterCrash(t *testing.T, open OpenDir, damage map[string]int64) {
	dir := filepath.Join(MemoryDir(t), "store")
	e, err := open(dir)
	must(t, err)
	fillStore(t, e)
	image := copyDir(t, dir)
	must(t, e.Close())
	for _, file := range filesOf(t, image) {
		for part, at := range damage {
			if !strings.Contains("/"+file, part) {
				continue
			}
			t.Run("flip/"+file, func(t *testing.T) {
				bad := copyDir(t, image)
				info, err := os.Stat(filepath.Join(bad, file))
				must(t, err)
				flip(t, filepath.Join(bad, file), min(at, info.Size()/4))
				wantRefused(t, open, bad, file)
			})
		}
	}
	t.Run("undamaged", func(t *testing.T) {
		e, err := open(copyDir(t, image))
		if err != nil {
			t.Fatalf("open of what a kill left: %v", err)
		}
		checkStore(t, e)
	})
	t.Run("torn", func(t *testing.T) {
		torn := copyDir(t, image)
		tearLog(t, torn)
		e, err := open(torn)
		if err != nil {
			t.Fatalf("open of a store whose log ends in half a record: %v", err)
		}
		must(t, e.Close())
	})
}

// tearLog cuts the last bytes that are not zero off the newest log.
func tearLog(t *testing.T, dir string) {
	t.Helper()
	newest := ""
	for _, file := range filesOf(t, dir) { // in the order of their names, which are numbers
		if strings.HasSuffix(file, "log") {
			newest = filepath.Join(dir, file)
		}
	}
	content, err := os.ReadFile(newest)
	must(t, err)
	end := len(strings.TrimRight(string(content), "\x00"))
	clear(content[max(end-20, 0):end])
	must(t, os.WriteFile(newest, content, 0o644))
}

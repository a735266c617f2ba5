//go:build cgo

package badger_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/engine/badger"
	"tinykv/kv/engine/enginetest"
	"tinykv/kv/engine/internal/sums"
)

func openDir(dir string) (engine.Engine, error) {
	return badger.Open(dir, badger.Options{NoCompaction: true})
}

func TestDamagedFilesAreRefused(t *testing.T) { enginetest.Damage(t, openDir) }

func TestDamageIsToldFromATornLog(t *testing.T) {
	enginetest.DamageAfterCrash(t, openDir, map[string]int64{".vlog": 20_000, "MANIFEST": 1})
}

func TestCutFilesAreRefusedAfterACrash(t *testing.T) {
	enginetest.CutAfterCrash(t, openDir, "*.vlog", "")
}

func TestRemovedLogIsMissed(t *testing.T) {
	enginetest.RemovedLog(t, openDir, "000000.vlog", 1100*time.Millisecond)
}

// TestTableWithoutASumIsChecked damages tables as if a crash had come before their sums were noted.
func TestTableWithoutASumIsChecked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	e, err := openDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b engine.Batch
	b.Put(engine.Default, []byte("k"), make([]byte, 100<<10))
	if err := errors.Join(e.Write(&b, engine.Synced), e.Close()); err != nil {
		t.Fatal(err)
	}
	if err := (sums.Sums{}).Write(sums.OSDir(dir)); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.sst"))
	if len(files) == 0 {
		t.Fatal("Close made no table")
	}
	files = append(files, filepath.Join(dir, "blob_change.log"))
	for _, file := range files {
		good, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for name, bad := range map[string][]byte{
			"minus1":   good[:max(len(good)-1, 0)],
			"half":     good[:len(good)/2],
			"zero":     make([]byte, len(good)),
			"appended": append(bytes.Clone(good), 'x'),
		} {
			if len(good) == 0 && name != "appended" {
				continue
			}
			t.Run(name+"/"+filepath.Base(file), func(t *testing.T) {
				if err := os.WriteFile(file, bad, 0o644); err != nil {
					t.Fatal(err)
				}
				e, err := openDir(dir)
				if err == nil {
					_ = e.Close()
				}
				if !errors.Is(err, engine.ErrCorrupt) || !strings.Contains(err.Error(), file) {
					t.Fatalf("got %v, want ErrCorrupt and the path", err)
				}
				if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, bad) {
					t.Errorf("the file was changed, or %v", err)
				}
			})
		}
		if err := os.WriteFile(file, good, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFailedFirstOpenLeavesNothing lets badger fail on a store that it is making.
func TestFailedFirstOpenLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "LOCK"), 0o755); err != nil { // badger makes a file of this name
		t.Fatal(err)
	}
	if _, err := openDir(dir); err == nil {
		t.Fatal("open beside a directory in the place of a file: got an engine")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left are %v and %v, want only what was there before", left, err)
	}
}

// TestCrashWhileMaking leaves what a kill leaves that comes while a store is being made.
func TestCrashWhileMaking(t *testing.T) {
	for name, undo := range map[string]func(dir string) error{
		"no_log":         func(dir string) error { return os.Remove(filepath.Join(dir, "000000.vlog")) },
		"empty_log":      func(dir string) error { return os.Truncate(filepath.Join(dir, "000000.vlog"), 0) },
		"half_allocated": func(dir string) error { return os.Truncate(filepath.Join(dir, "000000.vlog"), 5<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			e, err := openDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			image := filepath.Join(t.TempDir(), "image")
			err = errors.Join(os.CopyFS(image, os.DirFS(dir)), undo(image), e.Close())
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				e, err := openDir(image)
				if err != nil {
					t.Fatalf("open after a crash while the store was being made: %v", err)
				}
				var b engine.Batch
				b.Put(engine.Default, []byte("k"), []byte("v"))
				if err := errors.Join(e.Write(&b, engine.Synced), os.RemoveAll(dir), os.CopyFS(dir,
					os.DirFS(image))); err != nil {
					t.Fatal(err)
				}
				_ = e.Close()
				image, dir = dir, image // the next round opens what a kill would leave now
			}
		})
	}
}

//go:build cgo

package badger_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/badger"
	"tinykv/kv/engine/enginetest"
)

func openDir(dir string) (engine.Engine, error) {
	return badger.Open(dir, badger.Options{NoCompaction: true})
}

func TestDamagedFilesAreRefused(t *testing.T) { enginetest.Damage(t, openDir) }

func TestDamageIsToldFromATornLog(t *testing.T) {
	enginetest.DamageAfterCrash(t, openDir, map[string]int64{".vlog": 20_000, "MANIFEST": 1})
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

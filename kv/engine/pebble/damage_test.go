package pebble_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"tinykv/kv/engine"
	"tinykv/kv/engine/enginetest"
	"tinykv/kv/engine/pebble"
)

func openDir(dir string) (engine.Engine, error) { return pebble.Open(dir, pebble.Options{}) }

func TestDamagedFilesAreRefused(t *testing.T) { enginetest.Damage(t, openDir) }

func TestDamageIsToldFromATornLog(t *testing.T) {
	enginetest.DamageAfterCrash(t, openDir, map[string]int64{".log": 20_000, "/MANIFEST": 20})
}

func TestCutFilesAreRefusedAfterACrash(t *testing.T) {
	enginetest.CutAfterCrash(t, openDir, "*.log", "marker.*")
}

// TestFailedFirstOpenLeavesNothing lets the disk be full while a store is being made.
func TestFailedFirstOpenLeavesNothing(t *testing.T) {
	for _, at := range []string{"SUMS.new", "MANIFEST-", "OPTIONS-", "dbtmp"} {
		t.Run(at, func(t *testing.T) {
			f := &faults{err: syscall.ENOSPC, match: func(op errorfs.Op) bool {
				return strings.Contains(op.Path, at) && op.Kind.ReadOrWrite() == errorfs.OpIsWrite &&
					op.Kind != errorfs.OpRemove
			}}
			f.on.Store(true)
			dir := filepath.Join(t.TempDir(), "store")
			e, err := pebble.Open(dir, pebble.Options{FS: f.wrap(vfs.Default)})
			if err == nil {
				_ = e.Close()
				t.Fatal("open on a full disk: got an engine")
			}
			if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, engine.ErrCorrupt) {
				t.Errorf("open on a full disk: got %v", err)
			}
			if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
				left, _ := os.ReadDir(dir)
				t.Errorf("what is left: %v", left)
			}
		})
	}
}

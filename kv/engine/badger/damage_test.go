//go:build cgo

package badger_test

import (
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/badger"
	"tinykv/kv/engine/enginetest"
)

func openDir(dir string) (engine.Engine, error) {
	return badger.Open(dir, badger.Options{NoCompaction: true})
}

func TestDamagedFilesAreRefused(t *testing.T) { enginetest.Damage(t, openDir) }

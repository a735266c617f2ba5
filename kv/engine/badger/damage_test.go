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

func TestDamageIsToldFromATornLog(t *testing.T) {
	enginetest.DamageAfterCrash(t, openDir, map[string]int64{".vlog": 20_000, "MANIFEST": 1})
}

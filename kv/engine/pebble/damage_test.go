package pebble_test

import (
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/enginetest"
	"tinykv/kv/engine/pebble"
)

func openDir(dir string) (engine.Engine, error) { return pebble.Open(dir, pebble.Options{}) }

func TestDamagedFilesAreRefused(t *testing.T) { enginetest.Damage(t, openDir) }

func TestDamageIsToldFromATornLog(t *testing.T) {
	enginetest.DamageAfterCrash(t, openDir, map[string]int64{".log": 20_000, "/MANIFEST": 20})
}

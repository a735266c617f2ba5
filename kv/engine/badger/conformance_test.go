//go:build cgo

// Badger behind our wrapper keeps the contract.

package badger_test

import (
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/badger"
	"tinykv/kv/engine/enginetest"
)

// fresh makes stores in memory, as the cases wait for thousands of syncs.
func fresh(t testing.TB) enginetest.Open { return in(enginetest.MemoryDir(t)) }

// freshWithCompaction makes them as a server does.
func freshWithCompaction(t testing.TB) enginetest.Open {
	dir := t.TempDir()
	return func() (engine.Engine, error) { return badger.Open(dir, badger.Options{}) }
}

func in(dir string) enginetest.Open {
	return func() (engine.Engine, error) { return badger.Open(dir, badger.Options{NoCompaction: true}) }
}

func TestConformance(t *testing.T) { enginetest.Run(t, fresh) }

func FuzzEngine(f *testing.F) { enginetest.Fuzz(f, "./kv/engine/badger", fresh) }

func BenchmarkEngine(b *testing.B) { enginetest.Benchmark(b, freshWithCompaction) }

// TestConformanceOnDisk runs the cases that write most where a user would, and beside badger's compactor.
func TestConformanceOnDisk(t *testing.T) {
	for _, name := range []string{"old_snapshot_survives_a_flood", "many_writers", "reopen_much"} {
		t.Run(name, func(t *testing.T) { enginetest.Lookup(name).Run(t, freshWithCompaction) })
	}
}

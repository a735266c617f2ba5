// Pebble behind our wrapper keeps the contract.

package pebble_test

import (
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/enginetest"
	"tinykv/kv/engine/pebble"
)

// fresh makes stores in memory, as the cases wait for thousands of syncs.
func fresh(t testing.TB) enginetest.Open { return in(enginetest.MemoryDir(t)) }

// freshOnDisk makes them where a user would.
func freshOnDisk(t testing.TB) enginetest.Open { return in(t.TempDir()) }

func in(dir string) enginetest.Open {
	return func() (engine.Engine, error) { return pebble.Open(dir, pebble.Options{}) }
}

func TestConformance(t *testing.T) { enginetest.Run(t, fresh) }

// Without a log the contract is the same; it only takes a flush to keep it.
func TestConformanceUnlogged(t *testing.T) {
	enginetest.Run(t, func(t testing.TB) enginetest.Open {
		dir := enginetest.MemoryDir(t)
		return func() (engine.Engine, error) { return pebble.Open(dir, pebble.Options{Unlogged: true}) }
	})
}

func FuzzEngine(f *testing.F) { enginetest.Fuzz(f, "./kv/engine/pebble", fresh) }

func BenchmarkEngine(b *testing.B) { enginetest.Benchmark(b, freshOnDisk) }

// TestConformanceOnDisk runs the cases that write most where a user would.
func TestConformanceOnDisk(t *testing.T) {
	for _, name := range []string{"old_snapshot_survives_a_flood", "many_writers", "reopen_much"} {
		t.Run(name, func(t *testing.T) { enginetest.Lookup(name).Run(t, freshOnDisk) })
	}
}

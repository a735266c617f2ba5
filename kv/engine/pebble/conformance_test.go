// Pebble behind our wrapper keeps the contract.

package pebble_test

import (
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/enginetest"
	"tinykv/kv/engine/pebble"
)

func fresh(t testing.TB) enginetest.Open {
	dir := t.TempDir()
	return func() (engine.Engine, error) { return pebble.Open(dir, pebble.Options{}) }
}

func TestConformance(t *testing.T) { enginetest.Run(t, fresh) }

func FuzzEngine(f *testing.F) { enginetest.Fuzz(f, "./kv/engine/pebble", fresh) }

func BenchmarkEngine(b *testing.B) { enginetest.Benchmark(b, fresh) }

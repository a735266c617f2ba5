//go:build cgo

// Badger behind our wrapper keeps the contract.

package badger_test

import (
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/badger"
	"tinykv/kv/engine/enginetest"
)

func fresh(t testing.TB) enginetest.Open {
	dir := t.TempDir()
	return func() (engine.Engine, error) { return badger.Open(dir, badger.Options{NoCompaction: true}) }
}

func TestConformance(t *testing.T) { enginetest.Run(t, fresh) }

func FuzzEngine(f *testing.F) { enginetest.Fuzz(f, "./kv/engine/badger", fresh) }

func BenchmarkEngine(b *testing.B) { enginetest.Benchmark(b, fresh) }

// The simulated disk's engine keeps the contract.

package mem_test

import (
	"math/rand/v2"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/enginetest"
	"tinykv/kv/engine/mem"
)

func fresh(testing.TB) enginetest.Open {
	disk := mem.NewDisk(rand.New(rand.NewPCG(1, 1)), mem.Options{})
	return func() (engine.Engine, error) { return mem.Open(disk) }
}

func TestConformance(t *testing.T) { enginetest.Run(t, fresh) }

func FuzzEngine(f *testing.F) { enginetest.Fuzz(f, "./kv/engine/mem", fresh) }

func BenchmarkEngine(b *testing.B) { enginetest.Benchmark(b, fresh) }

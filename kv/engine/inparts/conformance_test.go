// Engines that delete in parts keep the contract like any other.

package inparts

import (
	"math/rand/v2"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/enginetest"
	"tinykv/kv/engine/mem"
)

// smallLimit makes a part of nearly every range.
const smallLimit = 2 * (engine.OpOverhead + 8)

// fresh makes engines over the simulated disk whose parts are of at most limit bytes.
func fresh(limit int) enginetest.Factory {
	return func(testing.TB) enginetest.Open {
		disk := mem.NewDisk(rand.New(rand.NewPCG(1, 0)), mem.Options{})
		return func() (engine.Engine, error) { return openOn(disk, limit) }
	}
}

func openOn(disk *mem.Disk, limit int) (engine.Engine, error) {
	inner, err := mem.Open(disk)
	if err != nil {
		return nil, err
	}
	e := New(inner)
	e.limit = limit
	return e, nil
}

func TestConformance(t *testing.T)             { enginetest.Run(t, fresh(engine.MaxBatchSize)) }
func TestConformanceInSmallParts(t *testing.T) { enginetest.Run(t, fresh(smallLimit)) }

func FuzzEngine(f *testing.F) { enginetest.Fuzz(f, "./kv/engine/inparts", fresh(smallLimit)) }

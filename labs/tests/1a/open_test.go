package stage1a_test

import (
	"math/rand/v2"
	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
)

var disks = map[string]*mem.Disk{}

func openEngine(dir string) (engine.Engine, error) {
	if disks[dir] == nil {
		disks[dir] = mem.NewDisk(rand.New(rand.NewPCG(1, 0)), mem.Options{})
	}
	return mem.Open(disks[dir])
}

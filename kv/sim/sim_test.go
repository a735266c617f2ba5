package sim_test

import (
	"testing"

	"tinykv/kv/sim"
	"tinykv/raft"
)

// worlds are the kinds of cluster that seeds are played in.
var worlds = []sim.World{
	{Name: "three"},
	{Name: "calm", Options: sim.Options{Calm: true}},
	{Name: "five", Options: sim.Options{Stores: 5}},
	{Name: "lease", Options: sim.Options{Raft: raft.Config{ReadMode: raft.ReadLease}}},
	{Name: "leaders", Options: sim.Options{Favour: sim.FavourLeaders}},
	{Name: "snapshots", Options: sim.Options{Favour: sim.FavourSnapshots}},
	{Name: "slow disks", Options: sim.Options{Favour: sim.FavourSlowDisks}},
	{Name: "clocks", Options: sim.Options{Favour: sim.FavourClocks}},
	{Name: "clocks lease", Options: sim.Options{Favour: sim.FavourClocks, Raft: raft.Config{ReadMode: raft.ReadLease}}},
	{Name: "members", Options: sim.Options{Favour: sim.FavourMembers, Spares: 2}},
	{Name: "bad disks", Options: sim.Options{Favour: sim.FavourBadDisks}},
}

// TestSeeds plays clusters under faults and checks every invariant after every step.
func TestSeeds(t *testing.T) {
	for _, w := range worlds {
		t.Run(w.Name, func(t *testing.T) {
			w.Seeds = 60
			sim.Seeds(t, w)
		})
	}
}

package sim_test

import (
	"testing"

	"tinykv/kv/replica"
	"tinykv/kv/sim"
	"tinykv/raft"
)

// worlds are the kinds of cluster that seeds are played in, and what has to happen in some seed of each.
var worlds = []sim.World{
	{Name: "three", Must: []string{"crash within a write", "crash before WriteLog", "crash before Send", "partition", "paused",
		"blackout", "message lost", "message repeated", "log compacted", "snapshot installed", "disk failed", "ended properly",
		"stray message", "unknown outcome", "operator served", "swap", "latched key"}},
	{Name: "calm", Options: sim.Options{Calm: true}},
	{Name: "five", Options: sim.Options{Stores: 5}, Must: []string{"snapshot installed", "partition"}},
	{Name: "lease", Options: sim.Options{Raft: raft.Config{ReadMode: raft.ReadLease}},
		Must: []string{"lease read", "partition", "paused"}},
	{Name: "leaders", Options: sim.Options{Favour: sim.FavourLeaders}, Must: []string{"leader cut off", "leader hears late",
		"unknown outcome"}},
	{Name: "leaders and leases", Options: sim.Options{Favour: sim.FavourLeaders,
		Raft: raft.Config{ReadMode: raft.ReadLease, MaxApplyBytes: 100}}, Must: []string{"leader cut off", "lease read"}},
	{Name: "snapshots", Options: sim.Options{Favour: sim.FavourSnapshots}, Must: []string{"snapshot installed", "stream broken",
		"crash before InstallStep", "crash before Chunk", "damaged chunk refused", "snapshot sent twice",
		"leftover spool removed"}},
	{Name: "snapshots and leases", Options: sim.Options{Favour: sim.FavourSnapshots, Stores: 5,
		Raft: raft.Config{ReadMode: raft.ReadLease, EagerAppend: true}},
		Must: []string{"snapshot installed", "lease read", "handed to who installs", "stray snapshot"}},
	{Name: "slow disks", Options: sim.Options{Favour: sim.FavourSlowDisks}, Must: []string{"crash within a write"}},
	{Name: "slow disks and leases", Options: sim.Options{Favour: sim.FavourSlowDisks,
		Raft: raft.Config{ReadMode: raft.ReadLease, MaxApplyBytes: 100}}, Must: []string{"lease read"}},
	{Name: "clocks", Options: sim.Options{Favour: sim.FavourClocks}, Must: []string{"clock jumped", "paused"}},
	{Name: "clocks and leases", Options: sim.Options{Favour: sim.FavourClocks, Raft: raft.Config{ReadMode: raft.ReadLease}},
		Must: []string{"lease read", "paused", "leader cut off", "handed over"}},
	{Name: "members", Options: sim.Options{Favour: sim.FavourMembers, Spares: 2}, Must: []string{"peer buried",
		"snapshot installed", "change asked"}},
	{Name: "plain", Options: sim.Options{Raft: raft.Config{DisablePreVote: true, DisableCheckQuorum: true, EagerCommit: true,
		EagerAppend: true, SequentialAppend: true, LinearBacktrack: true}}, Must: []string{"snapshot installed"}},
	{Name: "narrow", Options: sim.Options{Clients: 12, Limits: replica.Limits{MaxWrites: 2, MaxReads: 2, MaxSnapshots: 1},
		Raft: raft.Config{MaxInflightMessages: 1, MaxMessageBytes: 100, MaxApplyBytes: 100, MaxUncommittedBytes: 1000}},
		Must: []string{"snapshot installed"}},
	{Name: "bad disks", Options: sim.Options{Favour: sim.FavourBadDisks}, Must: []string{"disk failed", "bit flipped",
		"corrupt disk refused"}},
}

// TestSeeds plays clusters under faults and checks every invariant after every step.
func TestSeeds(t *testing.T) {
	for _, w := range worlds {
		t.Run(w.Name, func(t *testing.T) {
			w.Seeds = 20
			sim.Seeds(t, w)
		})
	}
}

package rafttest_test

import (
	"testing"

	"tinykv/raft"
	"tinykv/raft/rafttest"
)

// worlds are the kinds of cluster that seeds are played in.
var worlds = []struct {
	name string
	opts rafttest.Options
	must []string // what has to happen in some seed, or the test is about nothing
}{
	{"three", rafttest.Options{}, []string{"crash", "writes lost in a crash", "partition", "one-way cut",
		"message lost", "message repeated", "log truncated", "snapshot installed", "stepped down",
		"read served by a follower", "transfer asked"}},
	{"five", rafttest.Options{Nodes: 5}, []string{"crash", "log truncated", "snapshot installed"}},
	{"calm", rafttest.Options{Calm: true}, []string{"read served"}},
	{"async", rafttest.Options{Config: raft.Config{AsyncStorage: true}}, []string{"log truncated", "snapshot installed"}},
	{"lease", rafttest.Options{Config: raft.Config{ReadMode: raft.ReadLease}}, []string{"read served"}},
	{"lease transfers", rafttest.Options{Config: raft.Config{ReadMode: raft.ReadLease}, Ticks: 600,
		Favour: rafttest.FavourTransfers}, []string{"transfer asked"}},
	{"lease restarts", rafttest.Options{Config: raft.Config{ReadMode: raft.ReadLease}, Ticks: 600,
		Favour: rafttest.FavourRestarts}, []string{"crash"}},
	{"lease strained", rafttest.Options{Config: raft.Config{ReadMode: raft.ReadLease}, Ticks: 800,
		Favour: rafttest.FavourLeases}, []string{"lease strained", "stepped down", "crash"}},
	{"changing", rafttest.Options{Spares: 3, Ticks: 800},
		[]string{"joint configuration", "configuration changed", "snapshot installed"}},
	{"changing async lease", rafttest.Options{Spares: 3, Ticks: 800,
		Config: raft.Config{AsyncStorage: true, ReadMode: raft.ReadLease}}, []string{"joint configuration"}},
	{"changing restarts", rafttest.Options{Nodes: 4, Spares: 2, Favour: rafttest.FavourRestarts},
		[]string{"configuration changed", "log truncated"}},
	{"five narrow async", rafttest.Options{Nodes: 5, Favour: rafttest.FavourTransfers, Config: raft.Config{
		AsyncStorage: true, MaxInflightMessages: 2, MaxMessageBytes: 60, MaxApplyBytes: 60}},
		[]string{"log truncated", "snapshot installed"}},
	{"leaders deposed", rafttest.Options{Favour: rafttest.FavourLeaders, Ticks: 800,
		Config: raft.Config{MaxMessageBytes: 1, DisablePreVote: true, DisableCheckQuorum: true}},
		[]string{"log truncated", "leader cut off"}},
	{"plain", rafttest.Options{Config: raft.Config{DisablePreVote: true, DisableCheckQuorum: true, EagerCommit: true,
		EagerAppend: true, SequentialAppend: true, LinearBacktrack: true, DisableForwarding: true}},
		[]string{"log truncated"}},
	{"narrow", rafttest.Options{Config: raft.Config{MaxInflightMessages: 1, MaxMessageBytes: 30, MaxApplyBytes: 30,
		MaxUncommittedBytes: 200}}, []string{"log truncated", "snapshot installed"}},
}

// TestSeeds plays clusters under faults and checks every invariant after every step.
func TestSeeds(t *testing.T) {
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) {
			rafttest.Seeds(t, rafttest.World{Options: w.opts, Seeds: 30, Must: w.must})
		})
	}
}

// TestSameSeedSameRun : a seed is a run, to the last event.
func TestSameSeedSameRun(t *testing.T) {
	for _, w := range worlds {
		for seed := uint64(1); seed <= 2; seed++ {
			a, b := rafttest.Run(seed, w.opts), rafttest.Run(seed, w.opts)
			if a.Hash != b.Hash || a.Events != b.Events {
				t.Errorf("%s: seed %d: %x after %d events, then %x after %d", w.name, seed, a.Hash, a.Events, b.Hash, b.Events)
			}
			if c := rafttest.Run(seed+100, w.opts); c.Hash == a.Hash {
				t.Errorf("%s: seeds %d and %d are the same run", w.name, seed, seed+100)
			}
		}
	}
}

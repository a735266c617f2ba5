package raft_test

import (
	"fmt"
	"math/rand/v2"

	"tinykv/raft"
)

// One node alone: it elects itself, commits what it is told, and serves a read. The loop is the one that every driver
// has, with a disk in place of the MemoryStorage and a network for the messages.
func Example() {
	disk := raft.NewMemoryStorage()
	disk.Bootstrap(raft.ConfState{Voters: []uint64{1}})
	node, err := raft.NewRawNode(raft.Config{ID: 1, Storage: disk, Rand: rand.New(rand.NewPCG(1, 2))})
	if err != nil {
		panic(err)
	}
	work := func() {
		for node.HasReady() {
			rd, err := node.Ready()
			if err != nil {
				panic(err)
			}
			if !rd.HardState.IsEmpty() { // written and flushed together with the entries, before anything is sent
				disk.SetHardState(rd.HardState)
			}
			if err := disk.Append(rd.Entries); err != nil {
				panic(err)
			}
			for _, e := range rd.CommittedEntries {
				fmt.Printf("apply %d of term %d: %q\n", e.Index, e.Term, e.Data)
			}
			for _, r := range rd.ReadStates {
				fmt.Printf("read %d may be served at %d\n", r.RequestID, r.Index)
			}
			node.Advance()
		}
	}
	for !node.IsLeader() {
		node.Tick()
		work()
	}
	if err := node.Propose([]byte("x=1")); err != nil {
		panic(err)
	}
	work()
	if err := node.ReadIndex(7); err != nil {
		panic(err)
	}
	work()
	// Output:
	// apply 2 of term 2: ""
	// apply 3 of term 2: "x=1"
	// read 7 may be served at 3
}

// Package raftdesk is the workbench of the graded tests of package raft: real nodes on disks in memory, a network that
// delivers at once except where a test cuts it, and a record of what happened, which is told when a rule of a handout
// turns out to be broken.
//
//	test ── Hear(message), Ticks, Campaigns, Proposes ──► Node: RawNode on a Disk ── Drain, Take ──► messages, Readies
//	test ── Run, Tick, Elect, Isolate ──► Desk: all nodes and the network between them ──► Sent
//	                  └──────── Say ────────► Done ──► Broken: what was done, expected and got
//
// What always holds:
//
//  1. A node is seen only through raft.RawNode and its messages, and is driven as the contract of Ready says.
//  2. Nothing is left to chance: a node's source of it is seeded by its id.
//  3. What a failure tells is in the protocol's notation, and ends with the steps that led there.
//
// Example:
//
//	d := raftdesk.Open(t, oneVote)
//	n := d.Fresh(1, raftdesk.Voters(1, 2, 3))
//	ms := n.Hear(raft.Message{Type: raft.MsgVote, From: 2, Term: 1})
//	if len(raftdesk.Find(ms, raft.MsgVoteResp, 2)) == 0 {
//		d.Broken("an answer to node 2", raftdesk.Spoken(ms))
//	}
//
// It leaves out seeds, delay and loss by chance: that is package rafttest.
package raftdesk

// Readies, done in the order of the contract: write, apply, send, Advance.

package raftdesk

import (
	"fmt"

	"tinykv/labs/tests/explain"
	"tinykv/raft"
	"tinykv/raft/rafttest"
)

// maxReadies ends the loop of a node that never has enough.
const maxReadies = 1000

// ready takes a Ready.
func (n *Node) ready() raft.Ready {
	n.D.T.Helper()
	rd, err := n.Ready()
	if err != nil {
		n.D.Broken("a Ready", explain.Error(err))
	}
	return rd
}

// Take takes a Ready, records what is in it, and does nothing about it yet.
func (n *Node) Take() raft.Ready {
	n.D.T.Helper()
	rd := n.ready()
	n.D.Say("node %d: Ready: %s", n.ID, ShowReady(&rd))
	return rd
}

// Write puts a Ready on the disk.
func (n *Node) Write(rd raft.Ready) {
	n.D.T.Helper()
	if n.D.BeforeWrite != nil {
		n.D.BeforeWrite(n, rd)
	}
	if rd.Snapshot != nil {
		if err := n.Disk.ApplySnapshot(*rd.Snapshot); err != nil {
			n.D.Broken("a snapshot that can be installed", explain.Error(err))
		}
		n.Installed, n.Applied = rd.Snapshot, nil
	}
	if err := n.Disk.Append(rd.Entries); err != nil {
		n.D.Broken("entries that follow the log", explain.Error(err))
	}
	if !rd.HardState.IsEmpty() {
		n.Disk.SetHardState(rd.HardState)
	}
	if n.D.AfterWrite != nil {
		n.D.AfterWrite(n, rd)
	}
}

// Apply applies what a Ready says is committed.
func (n *Node) Apply(rd raft.Ready) {
	n.D.T.Helper()
	for _, e := range rd.CommittedEntries {
		n.Applied = append(n.Applied, e)
		if n.D.AtApply != nil {
			n.D.AtApply(n, e)
		}
	}
	n.Reads = append(n.Reads, rd.ReadStates...)
}

// finish does a Ready, but for sending.
func (n *Node) finish(rd raft.Ready) {
	n.D.T.Helper()
	n.Write(rd)
	n.Apply(rd)
	n.Advance()
}

// Finish writes and applies a Ready, and calls Advance.
func (n *Node) Finish(rd raft.Ready) {
	n.D.T.Helper()
	n.finish(rd)
	n.D.Say("node %d: written, applied, Advance", n.ID)
}

// Does takes a Ready and does all of it.
func (n *Node) Does() raft.Ready {
	n.D.T.Helper()
	rd := n.Take()
	n.Finish(rd)
	return rd
}

// Settles does Readies until there is nothing to do, records each, and returns what they asked to send.
func (n *Node) Settles() []raft.Message {
	n.D.T.Helper()
	return n.settle(func() raft.Ready { return n.Does() })
}

// Drain does Readies until there is nothing to do, and returns, and records, what is to be sent.
func (n *Node) Drain() []raft.Message {
	n.D.T.Helper()
	out := n.drain()
	for i := range out {
		n.D.Say("     sends %s", rafttest.FormatMessage(&out[i]))
	}
	return out
}

func (n *Node) drain() []raft.Message {
	n.D.T.Helper()
	return n.settle(func() raft.Ready {
		rd := n.ready()
		n.finish(rd)
		return rd
	})
}

func (n *Node) settle(do func() raft.Ready) []raft.Message {
	n.D.T.Helper()
	var out []raft.Message
	for i := 0; n.HasReady(); i++ {
		if i == maxReadies {
			n.D.Broken("a node that is done after a while, when nothing more comes in",
				fmt.Sprintf("%d Readies, and HasReady is true", maxReadies))
		}
		out = append(out, do().Messages...)
	}
	return out
}

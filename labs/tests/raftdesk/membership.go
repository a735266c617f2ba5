// Changes of the configuration.

package raftdesk

import (
	"fmt"

	"tinykv/raft"
)

// AddVoter makes a node a voter.
func AddVoter(id uint64) raft.ConfChangeSingle {
	return raft.ConfChangeSingle{Type: raft.ConfChangeAddNode, NodeID: id}
}

// AddLearner makes a node a learner.
func AddLearner(id uint64) raft.ConfChangeSingle {
	return raft.ConfChangeSingle{Type: raft.ConfChangeAddLearner, NodeID: id}
}

// Remove removes a node.
func Remove(id uint64) raft.ConfChangeSingle {
	return raft.ConfChangeSingle{Type: raft.ConfChangeRemoveNode, NodeID: id}
}

// Change is a change of these steps.
func Change(steps ...raft.ConfChangeSingle) raft.ConfChange { return raft.ConfChange{Changes: steps} }

// Changes proposes a change of the configuration at a leader.
func (n *Node) Changes(steps ...raft.ConfChangeSingle) {
	n.D.T.Helper()
	n.Must(fmt.Sprintf("ProposeConfChange(%v)", steps), n.ProposeConfChange(Change(steps...)))
}

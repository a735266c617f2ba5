package raft

import "errors"

// The errors of this package are few, and each says what the caller should do. They come wrapped with what was
// attempted: compare with errors.Is.
var (
	// ErrProposalDropped : the proposal was not accepted here and now (no leader is known, a transfer is under way, too
	// much is uncommitted). Nothing was appended. Wait a little and propose again, perhaps elsewhere.
	ErrProposalDropped = errors.New("raft: proposal dropped")

	// ErrNoLeader : a request that only a leader can serve found none. Ask again after the next election.
	ErrNoLeader = errors.New("raft: no leader")

	// ErrConfChangePending : one configuration change at a time (§6). Wait until the one under way has been applied.
	ErrConfChangePending = errors.New("raft: a configuration change is pending")

	// ErrBadConfChange : the change is not possible from the present configuration: it would leave no voter, is of
	// unknown kind, names no node, or does not fit the joint state. Asking again does not help.
	ErrBadConfChange = errors.New("raft: impossible configuration change")

	// ErrNotPromotable : this node may not stand for election: it is no voter, or has a configuration change committed
	// and not yet applied.
	ErrNotPromotable = errors.New("raft: not promotable")

	// ErrBadTransfer : leadership cannot go there: the target is no voter.
	ErrBadTransfer = errors.New("raft: impossible leadership transfer")

	// ErrBadMessage : a message that no correct node sends. It was dropped without any effect.
	ErrBadMessage = errors.New("raft: bad message")

	// ErrNotForUs : a message for another node. It was dropped without any effect.
	ErrNotForUs = errors.New("raft: message for another node")

	// ErrUnknownPeer : an answer, or a request to the leader, from a node that is not in the configuration. It was
	// dropped without any effect. A node that has been removed hears nothing; tell it so by other means.
	ErrUnknownPeer = errors.New("raft: message from an unknown node")

	// ErrCompacted : Storage no longer has the entry, it lies before FirstIndex. This package then sends a snapshot.
	ErrCompacted = errors.New("raft: log is compacted there")

	// ErrUnavailable : Storage does not have the entry yet, it lies after LastIndex.
	ErrUnavailable = errors.New("raft: log does not reach there")

	// ErrSnapshotTemporarilyUnavailable : Storage is still making a snapshot. It is asked again after a heartbeat.
	ErrSnapshotTemporarilyUnavailable = errors.New("raft: snapshot is not ready yet")

	// ErrBadConfig : NewRawNode was given a Config, or found a durable state, that cannot work.
	ErrBadConfig = errors.New("raft: bad configuration")
)

// A caller that breaks the order of Ready and Advance is a programming error; going on would lose or repeat effects.
// These are the values of the panics.
var (
	// ErrReadyTwice : Ready was called while the one before it still awaits Advance.
	ErrReadyTwice = errors.New("raft: Ready called again before Advance")

	// ErrAdvanceWithoutReady : Advance was called with no Ready outstanding.
	ErrAdvanceWithoutReady = errors.New("raft: Advance called without Ready")

	// ErrAckOutOfRange : Persisted or Applied named something that was never handed out.
	ErrAckOutOfRange = errors.New("raft: acknowledged more than was handed out")

	// ErrAckInSyncMode : Persisted or Applied was called although Advance says both (Config.AsyncStorage is off).
	ErrAckInSyncMode = errors.New("raft: Persisted and Applied are for AsyncStorage only")
)

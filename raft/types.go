package raft

// The values of the protocol. All of them are plain structs: to change one is to make a new one. Byte slices and entry
// slices inside them are immutable from the moment they are handed to or by this package (see doc.go, "Ownership").

// None is the node id that means "nobody": no vote given, no leader known. No node may be called so.
const None uint64 = 0

// EntryType says how the bytes of an entry are to be read.
type EntryType uint8

const (
	// EntryNormal carries a command of the application. With empty Data it is the no-op that opens a term (§8).
	EntryNormal EntryType = iota
	// EntryConfChange carries an encoded ConfChange; whoever applies it calls RawNode.ApplyConfChange.
	EntryConfChange
)

// String returns the name used in traces.
func (t EntryType) String() string {
	switch t {
	case EntryNormal:
		return "normal"
	case EntryConfChange:
		return "conf"
	}
	return "unknown"
}

// Entry is one slot of the replicated log. Index and Term name it: two logs that hold an entry with the same index and
// term hold the same command there and are equal up to there (Log Matching, §5.3).
type Entry struct {
	Term  uint64
	Index uint64
	Type  EntryType
	Data  []byte
}

// size is what an entry counts against every limit in bytes: its payload and its two numbers as they roughly are on a
// wire. An empty entry counts too, so that a limit in bytes also bounds the number of entries.
func (e *Entry) size() uint64 { return uint64(len(e.Data)) + entryOverheadBytes }

// entryOverheadBytes is the price of an entry beyond its payload: term, index, type and length.
const entryOverheadBytes = 16

// HardState is what must survive a crash, beside the log and the snapshot (figure 2, "persistent state").
// Commit is no part of the safety argument (a node may forget it), it lets a restarted node apply its log at once.
type HardState struct {
	Term   uint64
	Vote   uint64
	Commit uint64
}

// IsEmpty reports whether nothing was ever recorded; a Ready uses the empty value for "unchanged".
func (h HardState) IsEmpty() bool { return h == HardState{} }

// SoftState is what an observer wants to know and nobody has to store.
type SoftState struct {
	Lead  uint64 // the leader of the current term as far as this node knows, or None
	State StateType
}

// StateType is the role a node plays in its current term (§5.1; pre-candidate: dissertation §9.6).
type StateType uint8

const (
	// StateFollower answers leaders and candidates and waits.
	StateFollower StateType = iota
	// StatePreCandidate asks whether it could win an election, without disturbing anybody's term.
	StatePreCandidate
	// StateCandidate asks for votes in a new term.
	StateCandidate
	// StateLeader orders the commands of its term.
	StateLeader
)

// String returns the name used in traces.
func (s StateType) String() string {
	switch s {
	case StateFollower:
		return "follower"
	case StatePreCandidate:
		return "pre-candidate"
	case StateCandidate:
		return "candidate"
	case StateLeader:
		return "leader"
	}
	return "unknown"
}

// ConfState is a configuration as a snapshot and a Storage keep it. The ids of each list are sorted and distinct.
//
//	Voters          decide; while VotersOutgoing is not empty, a majority of each of the two is needed (§6)
//	Learners        are sent the log, and count in no quorum (dissertation §4.2.1)
//	LearnersNext    vote in VotersOutgoing still, and become learners when the joint configuration is left
//	AutoLeave       the leader leaves the joint configuration by itself once that has been applied
type ConfState struct {
	Voters         []uint64
	VotersOutgoing []uint64
	Learners       []uint64
	LearnersNext   []uint64
	AutoLeave      bool
}

// SnapshotMetadata tells which prefix of the log a snapshot stands for: all entries up to Index, the last of which was
// of Term, and the configuration in force there (§7).
type SnapshotMetadata struct {
	Index     uint64
	Term      uint64
	ConfState ConfState
}

// Snapshot replaces a prefix of the log by the state it led to. Data is the application's own; this package only
// carries it (or a ticket for it: a large state is streamed beside the Raft messages).
type Snapshot struct {
	Data     []byte
	Metadata SnapshotMetadata
}

// ReadState answers one ReadIndex request: when everything up to Index has been applied here, the state machine may be
// read, and the read is linearizable (dissertation §6.4).
type ReadState struct {
	RequestID uint64
	Index     uint64
}

// SnapshotStatus is what the transport says about a snapshot it was given to deliver.
type SnapshotStatus uint8

const (
	// SnapshotFinish : it was delivered; whether it was installed is told by the follower's own answer.
	SnapshotFinish SnapshotStatus = iota
	// SnapshotFailure : it was not delivered and has to be sent anew.
	SnapshotFailure
)

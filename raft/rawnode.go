package raft

// RawNode is one member of one Raft group: the whole of this package for whoever drives it. It has no goroutine, lock,
// clock or file; all its methods are to be called from one goroutine at a time.
//
// Inputs are Tick, Step and the requests; they may come at any time, also between Ready and Advance. The output is
// Ready.
type RawNode struct {
	r *raft

	number      uint64 // of the last Ready
	outstanding bool   // it awaits Advance
	lastHard    HardState
	lastSoft    SoftState
}

// NewRawNode starts or restarts a node from what Config.Storage holds. It returns ErrBadConfig, wrapped with what is
// wrong, or an error of Storage.
func NewRawNode(cfg Config) (*RawNode, error) {
	r, err := newRaft(cfg)
	if err != nil {
		return nil, err
	}
	rn := &RawNode{r: r, lastSoft: r.softState()}
	rn.lastHard, _, err = cfg.Storage.InitialState()
	return rn, err
}

// Tick lets one unit of time pass. The caller decides how long it is; all nodes should agree.
func (rn *RawNode) Tick() { rn.r.tick() }

// Step handles a message from another node. A message that no correct node sends, or that is not for us, is dropped
// without any effect, and the error says why: ErrBadMessage, ErrNotForUs, ErrUnknownPeer. A forwarded request that
// cannot be served returns the same error as the request itself would. An error of Storage is handed up; the message
// then counts as lost. None of this is a reason to stop.
func (rn *RawNode) Step(m Message) error { return rn.r.step(&m) }

// Campaign starts an election now instead of at the next timeout, or returns ErrNotPromotable. A leader does nothing.
func (rn *RawNode) Campaign() error { return rn.r.campaignNow() }

// Propose asks for data to be appended to the log. It takes ownership of data. A nil error means that the leader
// appended it, or that it was sent on to the leader; it does not mean that it will ever be committed: watch
// CommittedEntries. On a leader the entry has the index LastIndex and the term Term just after the call.
// ErrProposalDropped means that nothing was done.
func (rn *RawNode) Propose(data []byte) error { return rn.r.propose(EntryNormal, data) }

// ProposeConfChange asks for a change of the configuration: like Propose, but one at a time (ErrConfChangePending), and
// only a change that is possible (ErrBadConfChange).
func (rn *RawNode) ProposeConfChange(cc ConfChange) error {
	return rn.r.propose(EntryConfChange, cc.Encode())
}

// ApplyConfChange brings a configuration change into force; call it while applying the committed entry that holds it
// (DecodeConfChange), before Advance. It returns the new configuration, to be stored with the applied index. With
// ErrBadConfChange nothing changed, here as on every other node.
func (rn *RawNode) ApplyConfChange(cc ConfChange) (ConfState, error) {
	err := rn.r.applyConfChange(cc)
	return rn.r.members.confState(), err
}

// ReadIndex asks for an index at which a linearizable read may be served; a ReadState with this id answers. The answer
// may be lost with a crash or never come without a leader: ask again after a while. ErrNoLeader means that nothing was
// done.
func (rn *RawNode) ReadIndex(id uint64) error { return rn.r.readIndex(id) }

// TransferLeader asks the leader, which may be this node, to hand leadership to another voter. Whether it worked shows
// in SoftState. While it is tried, for an election timeout at most, the leader drops proposals. ErrBadTransfer if the
// target is no voter, ErrNoLeader if nobody is there to ask.
func (rn *RawNode) TransferLeader(to uint64) error { return rn.r.transferLeader(to) }

// ReportUnreachable says that messages to a node were lost, so that a leader stops sending ahead.
func (rn *RawNode) ReportUnreachable(id uint64) { rn.r.reportUnreachable(id) }

// ReportSnapshot says what became of a MsgSnap to a node. Every one must be reported: until then, or until the node
// answers, it is sent nothing else.
func (rn *RawNode) ReportSnapshot(id uint64, status SnapshotStatus) { rn.r.reportSnapshot(id, status) }

// PauseApply makes Ready hand out no committed entries until it is called again with false: for an application that is
// busy, as while it installs a large snapshot in the background. Elections, replication and reads go on meanwhile.
func (rn *RawNode) PauseApply(pause bool) { rn.r.log.applyPaused = pause }

// TellCommit makes the leader tell everybody, with the next Ready, what is committed: for a caller about to stop
// ticking an idle group.
func (rn *RawNode) TellCommit() {
	if rn.r.role == StateLeader {
		rn.r.tellCommit()
	}
}

func (r *raft) softState() SoftState { return SoftState{Lead: r.lead, State: r.role} }

func (rn *RawNode) hardState() HardState {
	return HardState{Term: rn.r.term, Vote: rn.r.vote, Commit: rn.r.log.committed}
}

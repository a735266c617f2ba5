// What a peer takes from others, and what it refuses.

package replica

import (
	"errors"
	"fmt"
	"slices"

	"tinykv/kv/command"
	"tinykv/kv/region"
	"tinykv/raft"
)

// Step takes a message of another peer of the region. It is addressed to this store. A RefusedError means that it had
// no effect, and why. Any other error is the log's: the store can't go on.
func (r *Replica) Step(m *Message) error {
	if err := r.admitMessage(m); err != nil {
		return err
	}
	r.book.learn(m.From)
	return r.refusal(r.node.Step(m.Raft))
}

// admitMessage refuses, in this order: what is for another peer than this one (StalePeer); what disagrees about who
// it is from or to (BadMessage); what comes in the name of a member from a store that is not the member's (speaksFor;
// BadMessage); what replicas do not send (isSent; BadMessage); what comes from a peer that is no member, by its own,
// older picture of the region (StaleEpoch); entries that no replica could apply (checkEntries); and an append that
// begins before the first entry of every log, to a peer that has no state to apply it to (Uninitialized).
func (r *Replica) admitMessage(m *Message) error {
	switch {
	case m.To.ID != r.peer.ID:
		return refuse(StalePeer, fmt.Errorf("it is for peer %v, this is peer %v", m.To, r.peer))
	case m.Raft.From != m.From.ID || m.Raft.To != m.To.ID || m.RegionID != r.id:
		return refuse(BadMessage, errors.New("envelope and content disagree"))
	case !r.speaksFor(m.From):
		return refuse(BadMessage, fmt.Errorf("peer %d is not on store %d", m.From.ID, m.From.StoreID))
	case !isSent(m.Raft.Type):
		return refuse(BadMessage, fmt.Errorf("%v is not sent as a message", m.Raft.Type))
	case m.Epoch.ConfVer < r.region.Epoch.ConfVer && !slices.Contains(r.region.Peers, m.From):
		return refuse(StaleEpoch, fmt.Errorf("peer %v is no member since epoch %v", m.From, r.region.Epoch))
	case m.Raft.Type != raft.MsgApp:
		return nil
	case !r.Initialized() && m.Raft.Index == 0:
		return refuse(Uninitialized, nil)
	}
	return checkEntries(m.Raft.Entries)
}

// speaksFor tells whether a message may come from a peer on a store, as far as this one knows: a member speaks from its
// own store only. A peer never moves; whoever speaks in its name from elsewhere would vote and acknowledge for it.
func (r *Replica) speaksFor(from region.Peer) bool {
	for _, p := range r.region.Peers {
		if p.ID == from.ID {
			return p == from
		}
	}
	return true
}

// isSent tells whether replicas send messages of a type: not snapshots, which are streams, and not what a follower
// would forward to its leader, for requests are answered with the leader's name instead.
func isSent(t raft.MessageType) bool {
	switch t {
	case raft.MsgSnap, raft.MsgProp, raft.MsgReadIndex, raft.MsgReadIndexResp, raft.MsgTransferLeader:
		return false
	}
	return true
}

// checkEntries looks at what a leader wants appended: each command must be whole, so that nothing is acknowledged that
// could not be applied.
func checkEntries(entries []raft.Entry) error {
	for i := range entries {
		e := &entries[i]
		if err := checkEntry(e); err != nil {
			return refuse(entryReason(err), fmt.Errorf("entry %d: %w", e.Index, err))
		}
	}
	return nil
}

func checkEntry(e *raft.Entry) error {
	switch {
	case e.Type == raft.EntryConfChange:
		_, _, err := decodeConfChange(e.Data)
		return err
	case len(e.Data) == 0:
		return nil // opens a term
	}
	return command.Check(e.Data)
}

func entryReason(err error) Reason {
	if errors.Is(err, command.ErrNewer) {
		return NewerEntry
	}
	return BadEntry
}

// refusal turns raft's refusals into ours, and hands on the errors of its Storage.
func (r *Replica) refusal(err error) error {
	switch {
	case err == nil, errors.Is(err, raft.ErrNoLeader), errors.Is(err, raft.ErrBadTransfer):
		return nil // requests for a leader, which may be late
	case errors.Is(err, raft.ErrUnknownPeer):
		return refuse(UnknownSender, err)
	case errors.Is(err, raft.ErrBadMessage), errors.Is(err, raft.ErrNotForUs), errors.Is(err, raft.ErrBadConfChange):
		return refuse(BadMessage, err)
	}
	return fmt.Errorf("region %d: %w", r.id, err)
}

// Members come and go: a change of the configuration is an entry of the log, and the region's peers and epoch change
// where it is applied, on every replica at the same place.

package replica

import (
	"errors"
	"fmt"
	"slices"

	"tinykv/kv/engine"
	"tinykv/kv/region"
	"tinykv/raft"
)

// memberChange is the part of a configuration change that raft does not read (ConfChange.Context).
type memberChange struct {
	epoch region.Epoch // the region's, as the proposer saw it
	peer  region.Peer  // who comes, goes, or changes between voter and learner
}

func (c *memberChange) encode() []byte {
	b := appendNumbers([]byte{recordVersion}, c.epoch.ConfVer, c.epoch.Version, c.peer.ID, c.peer.StoreID)
	return seal(b)
}

func decodeMemberChange(b []byte) (memberChange, error) {
	d, err := unseal(b)
	if err != nil {
		return memberChange{}, err
	}
	c := memberChange{epoch: region.Epoch{ConfVer: d.number(), Version: d.number()}, peer: d.peer()}
	return c, d.err()
}

// decodeConfChange reads an entry of type EntryConfChange: raft's part, and ours, which is zero if raft's names no
// member.
func decodeConfChange(data []byte) (raft.ConfChange, memberChange, error) {
	cc, err := raft.DecodeConfChange(data)
	switch {
	case err != nil:
		return cc, memberChange{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	case len(cc.Changes) == 0:
		return cc, memberChange{}, nil
	}
	change, err := decodeMemberChange(cc.Context)
	if err == nil && (len(cc.Changes) != 1 || cc.Changes[0].NodeID != change.peer.ID) {
		err = fmt.Errorf("%w: a change of %d members, named as peer %v", ErrCorrupt, len(cc.Changes), change.peer)
	}
	return cc, change, err
}

// ChangePeer asks for a change of one member; id gets its answer in the Work of a later turn, when it is applied
// here. An error is the answer: nothing was or will be done. Refused are what Propose refuses, and changes that can't
// be (raft.ErrBadConfChange): of a peer that is no member, or of a store that has one already; and of the leader,
// which hands leadership over first, because those it leaves behind might not know that it may leave.
func (r *Replica) ChangePeer(id uint64, rc *RequestContext, kind raft.ConfChangeType, peer region.Peer) error {
	if err := r.check(rc); err != nil {
		return err
	}
	if err := r.checkLeads(); err != nil {
		return err
	}
	if err := r.checkChange(kind, peer); err != nil {
		return fmt.Errorf("%v peer %v: %w", kind, peer, err)
	}
	change := memberChange{epoch: r.region.Epoch, peer: peer}
	return r.propose(id, r.node.ProposeConfChange(raft.ConfChange{
		Changes: []raft.ConfChangeSingle{{Type: kind, NodeID: peer.ID}}, Context: change.encode(),
	}))
}

func (r *Replica) checkChange(kind raft.ConfChangeType, peer region.Peer) error {
	there, taken := r.region.PeerOn(peer.StoreID)
	switch {
	case peer.ID == raft.None || peer.StoreID == 0:
		return fmt.Errorf("%w: it has no id or no store", raft.ErrBadConfChange)
	case peer == r.peer && kind != raft.ConfChangeAddNode:
		return fmt.Errorf("%w: it leads; transfer leadership first", raft.ErrBadConfChange)
	case kind == raft.ConfChangeRemoveNode && there != peer:
		return fmt.Errorf("%w: it is no member", raft.ErrBadConfChange)
	case kind != raft.ConfChangeRemoveNode && taken && there != peer:
		return fmt.Errorf("%w: the store has peer %d", raft.ErrBadConfChange, there.ID)
	}
	return nil
}

// TransferLeader asks this peer, which leads, to hand leadership to another. Nil means that it has begun.
func (r *Replica) TransferLeader(rc *RequestContext, to uint64) error {
	if err := r.check(rc); err != nil {
		return err
	}
	if err := r.checkLeads(); err != nil {
		return err
	}
	return r.node.TransferLeader(to)
}

// confChange applies a configuration change, unless the members are not any more those that its proposer saw
// (EpochNotMatchError), or raft finds it impossible: then nothing changes, here as on every replica. The peers, the
// epoch, whose ConfVer grows by one, and the configuration are recorded in the batch that holds the applied position.
// A change without a member is raft's own: it leaves a joint configuration, and the region stays as it is.
func (a *application) confChange(e *raft.Entry) (result, err error) {
	cc, change, err := decodeConfChange(e.Data)
	if err != nil {
		return nil, err
	}
	next := a.region
	if len(cc.Changes) > 0 {
		if change.epoch.ConfVer != a.region.Epoch.ConfVer {
			return &region.EpochNotMatchError{Current: []region.Region{a.region}}, nil
		}
		next.Peers = changedPeers(a.region.Peers, cc.Changes[0].Type, change.peer)
		next.Epoch.ConfVer++
	}
	conf, err := a.node.ApplyConfChange(cc)
	if err != nil {
		return err, nil // ErrBadConfChange: as impossible everywhere
	}
	a.region, a.conf = next, conf
	a.noteRemoval()
	PutRecord(a.into(0), &Record{Peer: a.peer, Region: a.region, ConfState: a.conf})
	return nil, nil
}

// changedPeers returns a new list of peers.
func changedPeers(peers []region.Peer, kind raft.ConfChangeType, peer region.Peer) []region.Peer {
	rest := slices.DeleteFunc(slices.Clone(peers), func(p region.Peer) bool { return p.ID == peer.ID })
	if kind == raft.ConfChangeRemoveNode {
		return rest
	}
	return append(rest, peer)
}

// removal is the end of a peer that was removed from its region. It serves nothing any more, but goes on as a member of
// the raft group for a while: if it led, the others may need its vote to elect somebody else (dissertation §4.2.2).
type removal struct {
	ticks int // since it led last, or was removed
}

// noteRemoval notes whether this peer is a member still.
func (r *Replica) noteRemoval() {
	if r.removed == nil && r.Initialized() && !slices.Contains(r.region.Peers, r.peer) {
		r.removed = &removal{}
	}
}

// tickRemoval counts the ticks that a removed peer has left.
func (r *Replica) tickRemoval() {
	if r.removed == nil {
		return
	}
	r.removed.ticks++
	if r.node.IsLeader() {
		r.removed.ticks = 0
	}
}

// removalElections is for how many election timeouts a peer that was removed stays, to vote for a successor.
const removalElections = 4

// Condemned tells whether this peer was removed and is not needed any more: it is to be buried. Not while a snapshot is
// being installed, which writes its data.
func (r *Replica) Condemned() bool {
	return r.removed != nil && r.removed.ticks > removalElections*r.cfg.Raft.ElectionTicks && !r.installing()
}

// Condemn says that this peer was removed, as others know.
func (r *Replica) Condemn() {
	r.removed = &removal{ticks: removalElections*r.cfg.Raft.ElectionTicks + 1}
}

// Removed tells whether this peer was removed from its region, and knows.
func (r *Replica) Removed() bool { return r.removed != nil }

// errRemoved answers those who wait for a peer that was removed.
var errRemoved = errors.New("the peer was removed from its region")

// Bury adds to w what ends this peer: its data is deleted, its record becomes a tombstone, and everybody who waits is
// answered. When that is durable in the data store, and not before, the log of the region may be removed: until then,
// a crash may bring the peer back as it was.
func (r *Replica) Bury(w *Work) {
	r.Abandon(errRemoved.Error(), w)
	r.dropSpools(w)
	batch := w.Data.room(0)
	for _, cf := range engine.CFs[:engine.Meta] { // the records of other regions stay
		if r.Initialized() { // or its range would be that of all keys
			batch.DeleteRange(cf, r.region.Range.Start, r.region.Range.End)
		}
	}
	batch.Delete(engine.Meta, appliedKey(r.id))
	PutRecord(batch, &Record{Peer: r.peer, Region: r.region, ConfState: r.conf, Tombstone: true})
	r.Revoke(w)
	w.Views = append(w.Views, View{Region: r.region, Peer: r.peer, Gone: true})
}

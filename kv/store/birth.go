// Peers come into being by the first message for them, and end where they are removed.

package store

import (
	"errors"
	"fmt"

	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/raft"
)

// grave is a peer that was buried: its data is deleted, but its log is kept until that is durable.
type grave struct {
	regionID uint64
	asked    bool // a sync of the data store that covers it is under way
	durable  bool // the log may be removed
	removed  bool // by the present turn
}

// addressee returns the peer that a message is for. If there is none, or only an earlier one that knows less than the
// message proves, it is brought into being. The message is refused if
//
//   - it is for another store (OtherStore);
//   - its epoch is of the absurd future (BadMessage);
//   - it is for a peer that is history (StalePeer);
//   - there is no peer, and this is not the first thing that one would hear: a leader's append, heartbeat or
//     snapshot, or a candidate's question (UnknownRegion); or the last one's log is not removed yet (StalePeer);
//   - the store has as many peers as it may, or as many without data (TooMany).
func (s *Store) addressee(msg *replica.Message) (*member, error) {
	if msg.To.StoreID != s.cfg.StoreID {
		return nil, refusal(replica.OtherStore, fmt.Errorf("it is for store %d", msg.To.StoreID))
	}
	m := s.byRegion[msg.RegionID]
	if m != nil && isAbsurd(msg.Epoch, m.Region().Epoch) {
		return nil, refusal(replica.BadMessage, fmt.Errorf("epoch %v, ours is %v", msg.Epoch, m.Region().Epoch))
	}
	if m != nil && !s.outlived(m, msg) {
		return m, nil // which refuses what is for another peer
	}
	if m != nil {
		m.Condemn()
		s.touch(m) // the next turn buries it
	}
	return s.birth(msg)
}

// maxEpochJump is by how much an epoch may be ahead of ours. Each step is a change of the members or a split that a
// majority has applied, so no region gets there; and to believe it may cost a peer its data (outlived).
const maxEpochJump = 1 << 32

func isAbsurd(said, ours region.Epoch) bool {
	return ours != (region.Epoch{}) && (said.ConfVer > ours.ConfVer+maxEpochJump || said.Version > ours.Version+maxEpochJump)
}

// outlived tells whether a message proves that a member is history: it is one that a new peer may hear first
// (announces), for a later peer of this store, and either of a later epoch than the member knows, or the member knows
// nothing at all or was removed. Ids of peers are never used again, and a region has one peer on a store.
func (s *Store) outlived(m *member, msg *replica.Message) bool {
	if msg.To.ID <= m.Peer().ID || !announces(msg) {
		return false
	}
	return !m.Initialized() || m.Removed() || msg.Epoch.ConfVer > m.Region().Epoch.ConfVer
}

// birth brings the peer into being that a message is for.
func (s *Store) birth(msg *replica.Message) (*member, error) {
	switch {
	case s.byRegion[msg.RegionID] != nil || s.inGrave(msg.RegionID):
		return nil, refusal(replica.StalePeer, errors.New("its last peer is being removed"))
	case msg.To.ID <= s.tombs[msg.RegionID]:
		return nil, refusal(replica.StalePeer, fmt.Errorf("peer %v was removed", msg.To))
	case !announces(msg):
		return nil, refusal(replica.UnknownRegion, fmt.Errorf("%v for region %d", msg.Raft.Type, msg.RegionID))
	case len(s.members) >= s.shared.Limits.MaxPeers:
		return nil, refusal(replica.TooMany, fmt.Errorf("%d peers", len(s.members)))
	case s.newborns() >= s.shared.Limits.MaxNewborns:
		return nil, refusal(replica.TooMany, fmt.Errorf("%d peers wait for their first snapshot", s.newborns()))
	}
	r, err := replica.New(&s.shared, msg.RegionID, msg.To)
	if err != nil {
		return nil, err
	}
	return s.add(r), nil
}

// newborns counts the peers that wait for their first snapshot.
func (s *Store) newborns() (n int) {
	for _, m := range s.members {
		if !m.Initialized() {
			n++
		}
	}
	return n
}

// announces tells whether a message is one that a new peer may hear first.
func announces(msg *replica.Message) bool {
	if msg.RegionID == 0 || msg.To.ID == raft.None || msg.From.ID == raft.None || msg.From.StoreID == 0 {
		return false
	}
	switch msg.Raft.Type {
	case raft.MsgApp, raft.MsgHeartbeat, raft.MsgVote, raft.MsgPreVote, raft.MsgSnap:
		return true
	}
	return false
}

// bury ends a member that was removed from its region: what is to be done about what it leaves goes into w.
func (s *Store) bury(m *member, w *replica.Work) {
	m.Bury(w)
	s.remove(m)
	s.tombs[m.RegionID()] = m.Peer().ID
	s.graves = append(s.graves, grave{regionID: m.RegionID()})
}

func (s *Store) inGrave(regionID uint64) bool {
	for i := range s.graves {
		if s.graves[i].regionID == regionID {
			return true
		}
	}
	return false
}

func refusal(reason replica.Reason, err error) error {
	return &replica.RefusedError{Reason: reason, Err: err}
}

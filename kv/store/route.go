// Where an event goes.

package store

import (
	"errors"
	"fmt"

	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
	"tinykv/raft"
)

// route gives an event to whom it concerns.
func (s *Store) route(e Event) {
	switch e := e.(type) {
	case Write:
		s.write(&e)
	case Read:
		s.read(&e)
	case Cancel:
		s.cancel(&e)
	case Receive:
		s.receive(&e.Message)
	case SnapshotReceived:
		s.receiveSnapshot(&e)
	case StreamEnded:
		s.streamEnded(&e)
	case Unreachable:
		s.unreachable(e.StoreID)
	case InstallEnded:
		s.installEnded(&e)
	case DataSynced:
		s.dataSynced(e.Token)
	case TransferLeader:
		s.transferLeader(&e)
	case ChangePeer:
		s.changePeer(&e)
	case Stop:
		s.stopping = true
	}
}

// find returns the member that a request is for, or why there is none: the request is for another cluster
// (ClusterError), for another store (region.StoreNotMatchError), or for a region of which this store has no peer
// (region.NotFoundError).
func (s *Store) find(rc *RequestContext) (*member, error) {
	switch m := s.byRegion[rc.RegionID]; {
	case rc.ClusterID != 0 && rc.ClusterID != s.cfg.ClusterID:
		return nil, &ClusterError{Requested: rc.ClusterID, Actual: s.cfg.ClusterID}
	case rc.StoreID != 0 && rc.StoreID != s.cfg.StoreID:
		return nil, &region.StoreNotMatchError{Requested: rc.StoreID, Actual: s.cfg.StoreID}
	case m == nil:
		return nil, &region.NotFoundError{RegionID: rc.RegionID}
	default:
		return m, nil
	}
}

func (s *Store) answer(id uint64, err error) {
	s.answers = append(s.answers, replica.Answer{ID: id, Err: err})
}

func (s *Store) write(e *Write) {
	m, err := s.find(&e.RequestContext)
	if err != nil {
		s.answer(e.ID, err)
		return
	}
	done, err := m.Propose(e.ID, &e.RequestContext, e.Term, e.Batch)
	if err != nil || done {
		s.answer(e.ID, err)
		return
	}
	s.stats.Proposals++
	s.touch(m)
}

func (s *Store) read(e *Read) {
	m, err := s.find(&e.RequestContext)
	if err == nil {
		err = m.Read(e.ID, &e.RequestContext)
	}
	if err != nil {
		s.answers = append(s.answers, replica.Answer{ID: e.ID, Read: true, Err: err})
		return
	}
	s.stats.Reads++
	s.touch(m)
}

func (s *Store) transferLeader(e *TransferLeader) {
	m, err := s.find(&e.RequestContext)
	if err == nil {
		s.touch(m)
		err = m.TransferLeader(&e.RequestContext, e.To)
	}
	s.answer(e.ID, err)
}

func (s *Store) changePeer(e *ChangePeer) {
	m, err := s.find(&e.RequestContext)
	if err == nil {
		s.touch(m)
		err = m.ChangePeer(e.ID, &e.RequestContext, e.Type, e.Peer)
	}
	if err != nil {
		s.answer(e.ID, err)
	}
}

func (s *Store) cancel(e *Cancel) {
	m := s.byRegion[e.RegionID]
	if m == nil {
		return
	}
	if m.Cancel(e.ID) {
		s.answers = append(s.answers, replica.Answer{ID: e.ID, Read: true, Err: ErrCancelled})
	}
	s.touch(m)
}

// receive gives a message to the peer that it is for, which may have to be brought into being.
func (s *Store) receive(msg *replica.Message) {
	s.stats.MessagesReceived++
	m, err := s.addressee(msg)
	if err == nil {
		s.touch(m)
		err = m.Step(msg)
	}
	s.judge(err)
}

// judge counts a refusal. Any other error means that the store can't read its own disk.
func (s *Store) judge(err error) (refused bool) {
	var refusal *replica.RefusedError
	if errors.As(err, &refusal) {
		s.stats.Refused[refusal.Reason]++
		return true
	}
	if err != nil {
		s.fail(err)
	}
	return err != nil
}

// receiveSnapshot gives a snapshot to the peer that it is for, which may have to be brought into being. What is refused
// is discarded.
func (s *Store) receiveSnapshot(e *SnapshotReceived) {
	if s.judge(s.offerSnapshot(&e.Head, e.Spool)) {
		s.turn.discard(e.Spool)
	}
}

func (s *Store) offerSnapshot(head *snapshot.Head, spool string) error {
	if head.ClusterID != s.cfg.ClusterID {
		return refusal(replica.OtherCluster, fmt.Errorf("cluster %d", head.ClusterID))
	}
	for _, m := range s.members {
		if m.RegionID() != head.RegionID && m.Claims(head.Region.Range) {
			return refusal(replica.Overlap, fmt.Errorf("region %d holds a part of %v", m.RegionID(), head.Region.Range))
		}
	}
	m, err := s.addressee(&replica.Message{RegionID: head.RegionID, From: head.From, To: head.To,
		Epoch: head.Region.Epoch, Raft: raft.Message{Type: raft.MsgSnap}})
	if err != nil {
		return err
	}
	s.touch(m)
	return m.ReceiveSnapshot(head, spool)
}

func (s *Store) streamEnded(e *StreamEnded) {
	regionID, to, ok := s.shared.Tickets.End(e.Ticket)
	if m := s.byRegion[regionID]; ok && m != nil {
		m.SnapshotSent(to, e.OK)
		s.touch(m)
	}
}

func (s *Store) unreachable(storeID uint64) {
	for _, m := range s.members {
		m.Unreachable(storeID)
		s.touch(m)
	}
}

func (s *Store) installEnded(e *InstallEnded) {
	if e.Err != nil {
		s.fail(fmt.Errorf("installing a snapshot of region %d from spool %q: %w", e.RegionID, e.Spool, e.Err))
		return
	}
	if m := s.byRegion[e.RegionID]; m != nil && m.Installed(e.Spool) {
		s.touch(m)
	}
}

// refuse answers a request to a store that has ended.
func (s *Store) refuse(e Event) {
	busy := &region.BusyError{Reason: "it is stopping"}
	switch e := e.(type) {
	case Write:
		s.answer(e.ID, busy)
	case Read:
		s.answers = append(s.answers, replica.Answer{ID: e.ID, Read: true, Err: busy})
	case TransferLeader:
		s.answer(e.ID, busy)
	case ChangePeer:
		s.answer(e.ID, busy)
	case Receive, SnapshotReceived:
		s.stats.Refused[replica.Stopped]++
	}
}

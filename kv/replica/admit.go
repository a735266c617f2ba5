// Which requests a peer serves: the asker's picture of the cluster is compared with the truth.

package replica

import (
	"fmt"

	"tinykv/kv/engine"
	"tinykv/kv/region"
)

// RequestContext is the asker's picture of the cluster. Zero means "not said"; RegionID must be said.
type RequestContext struct {
	ClusterID uint64
	StoreID   uint64
	RegionID  uint64
	PeerID    uint64
	Epoch     region.Epoch
}

// check compares a request with this peer and its region as applied, in this order: the peer has no region yet, or was
// removed from it (NotFoundError); the request is for another peer (PeerNotMatchError); the epoch that it says is not the
// region's, older or newer (EpochNotMatchError with the region, so that the asker corrects its map); a snapshot is being
// installed, so that there is no state that anybody may see (BusyError). What the request does not say (zero) can't be
// wrong. The cluster and the store were compared before.
func (r *Replica) check(rc *RequestContext) error {
	switch {
	case !r.Initialized() || r.removed != nil:
		return &region.NotFoundError{RegionID: r.id}
	case rc.PeerID != 0 && rc.PeerID != r.peer.ID:
		return &region.PeerNotMatchError{Requested: rc.PeerID, Actual: r.peer.ID}
	case rc.Epoch != region.Epoch{} && rc.Epoch != r.region.Epoch:
		return &region.EpochNotMatchError{Current: []region.Region{r.region}}
	case r.installing():
		return &region.BusyError{Reason: "it is installing a snapshot"}
	}
	return nil
}

// checkLeads refuses what only a leader may do, and names the leader.
func (r *Replica) checkLeads() error {
	if r.node.IsLeader() {
		return nil
	}
	return r.notLeader()
}

// notLeader is the error of who does not lead (NotLeaderError). It names the leader, with the store that it is on
// (find), so that the asker goes there next; the zero Peer if none is known.
func (r *Replica) notLeader() error {
	return &region.NotLeaderError{RegionID: r.id, Leader: r.book.find(r.node.Lead())}
}

// checkBatch decides whether every replica could apply the batch: its size, its keys and values are what all engines
// take (Batch.Check, with recordRoomBytes left for the records that are written with it; beyond, ErrTooLarge), it
// touches no column family but those of users (Meta is ErrUnknownCF), and no key is outside of the region (inside;
// KeyNotInRegionError). It is asked when a write is proposed and again when it is applied, and gives the same answer
// on all replicas.
func checkBatch(batch *engine.Batch, reg *region.Region) error {
	if batch.Size() > engine.MaxBatchSize-recordRoomBytes {
		return fmt.Errorf("%w: batch of %d bytes, the limit is %d", engine.ErrTooLarge, batch.Size(),
			engine.MaxBatchSize-recordRoomBytes)
	}
	if err := batch.Check(); err != nil {
		return err
	}
	for op := range batch.Ops() {
		if op.CF == engine.Meta {
			return fmt.Errorf("%w: %v is the store's own", engine.ErrUnknownCF, op.CF)
		}
		if !inside(&op, &reg.Range) {
			return &region.KeyNotInRegionError{Key: op.Key, RegionID: reg.ID, Range: reg.Range}
		}
	}
	return nil
}

// inside tells whether all keys that the operation touches are in the range: its key, or, of OpDeleteRange, all from
// Key to Value, to the last key of all if Value is empty. A range of no keys touches none.
func inside(op *engine.Op, held *region.Range) bool {
	if op.Kind != engine.OpDeleteRange {
		return held.Contains(op.Key)
	}
	touched := region.Range{Start: op.Key, End: op.Value}
	return touched.IsEmpty() || held.Intersect(touched).Equal(touched)
}

// The first state of a store.

package store

import (
	"fmt"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/raft"
)

// firstPosition is where the log of a region begins that was not born by a split. It is not 0, so that no log begins
// with an entry that a peer without any state could take: such a peer must be sent a snapshot, from which it learns
// its region.
var firstPosition = raftlog.Position{Index: 5, Term: 5}

// Bootstrap writes the first state of this store's peer of r: the log is empty, everything up to firstPosition counts
// as applied, and the peers of r are the voters. All stores that have a peer in r do so with the same r. What is
// there already is left as it is, so it may be called again, also after a crash in between. It is to be called before
// Open.
func Bootstrap(log raftlog.Log, data engine.Engine, r region.Region, storeID uint64) error {
	peer, ok := r.PeerOn(storeID)
	if !ok {
		return fmt.Errorf("bootstrap: region %d has no peer on store %d", r.ID, storeID)
	}
	// The log comes first. Records without a log would look like a log that was lost (see Open).
	if err := bootstrapLog(log, r.ID); err != nil {
		return fmt.Errorf("bootstrap of region %d: %w", r.ID, err)
	}
	if err := bootstrapData(data, r, peer); err != nil {
		return fmt.Errorf("bootstrap of region %d: %w", r.ID, err)
	}
	return nil
}

func bootstrapLog(log raftlog.Log, id uint64) error {
	if _, there, err := log.State(id); err != nil || there {
		return err
	}
	var b raftlog.Batch
	b.Create(id, firstPosition, raft.HardState{Term: firstPosition.Term, Commit: firstPosition.Index})
	return log.Write(&b, engine.Synced)
}

func bootstrapData(data engine.Engine, r region.Region, peer region.Peer) error {
	s, err := data.Snapshot()
	if err != nil {
		return err
	}
	defer s.Close()
	if _, there, err := replica.ReadRecord(s, r.ID); err != nil || there {
		return err
	}
	rec := replica.Record{Peer: peer, Region: r}
	for _, p := range r.Peers {
		rec.ConfState.Voters = append(rec.ConfState.Voters, p.ID)
	}
	var b engine.Batch
	replica.PutRecord(&b, &rec)
	replica.PutApplied(&b, r.ID, firstPosition)
	return data.Write(&b, engine.Synced)
}

// Why a store refuses a request for a region. Each is about the asker's picture of the cluster, not about the data:
// correct the picture as the error says, then ask again. The last one is no refusal but the lack of an answer.

package region

import (
	"fmt"
	"time"
)

// NotFoundError: the store has no peer of the region. Ask the scheduler where the region is.
type NotFoundError struct {
	RegionID uint64
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("region %d is not on this store", e.RegionID)
}

// NotLeaderError: the peer on this store does not lead the region. Ask the leader, or the scheduler if Leader is zero.
type NotLeaderError struct {
	RegionID uint64
	Leader   Peer // zero if this store does not know it
}

func (e *NotLeaderError) Error() string {
	if e.Leader == (Peer{}) {
		return fmt.Sprintf("this store does not lead region %d and does not know who does", e.RegionID)
	}
	return fmt.Sprintf("region %d is led by peer %d on store %d", e.RegionID, e.Leader.ID, e.Leader.StoreID)
}

// EpochNotMatchError: the region was split, merged, or has other peers than the asker believes. Current holds what
// now covers the old range, as far as this store knows: learn it, and route again. Empty: forget the region and ask
// the scheduler.
type EpochNotMatchError struct {
	Current []Region
}

func (e *EpochNotMatchError) Error() string {
	return fmt.Sprintf("the region's epoch has moved on, current regions: %v", e.Current)
}

// StoreNotMatchError: the request was meant for another store, which had this address before. Look its address up
// again.
type StoreNotMatchError struct {
	Requested, Actual uint64
}

func (e *StoreNotMatchError) Error() string {
	return fmt.Sprintf("the request is for store %d, this is store %d", e.Requested, e.Actual)
}

// PeerNotMatchError: the region is on this store, but as another peer: it left and came back. Forget the region and ask
// the scheduler.
type PeerNotMatchError struct {
	Requested, Actual uint64
}

func (e *PeerNotMatchError) Error() string {
	return fmt.Sprintf("the request is for peer %d, the region's peer on this store is %d", e.Requested, e.Actual)
}

// KeyNotInRegionError: the region does not contain the key. Route the key again.
type KeyNotInRegionError struct {
	Key      []byte
	RegionID uint64
	Range    Range
}

func (e *KeyNotInRegionError) Error() string {
	return fmt.Sprintf("key %q is not in region %d [%q, %q)", e.Key, e.RegionID, e.Range.Start, e.Range.End)
}

// BusyError: the store has too much to do, or is about to stop. Ask again after Backoff, or after a pause of your own
// if it is 0.
type BusyError struct {
	Reason  string
	Backoff time.Duration
}

func (e *BusyError) Error() string { return "the store is busy: " + e.Reason }

// StaleCommandError: leadership changed before the command took effect, and it never will. Ask again.
type StaleCommandError struct{}

func (e *StaleCommandError) Error() string { return "the command is stale: leadership has changed" }

// UndeterminedError: the write was proposed and then lost sight of, so it may take effect, now or later, or never. Do not
// repeat it as if it had not happened: read, then decide.
type UndeterminedError struct {
	Reason string // for people; may be empty
}

func (e *UndeterminedError) Error() string {
	const text = "the write may or may not take effect"
	if e.Reason == "" {
		return text
	}
	return text + ": " + e.Reason
}

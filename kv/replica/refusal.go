// Why a message of another store is refused. Nothing that is refused has any effect but on a counter.

package replica

import "fmt"

// Reason is why a message or a snapshot was refused. Each has a counter of its own.
type Reason uint8

// The reasons.
const (
	// OtherCluster : a snapshot of another cluster.
	OtherCluster Reason = iota
	// OtherStore : it is addressed to another store.
	OtherStore
	// UnknownRegion : there is no peer of the region here, and this is no message that a new peer would get first.
	UnknownRegion
	// StalePeer : it is for, or from, a peer that is history: the store has, or had, a later one.
	StalePeer
	// StaleEpoch : the sender is no member, and its picture of the region is older than ours: it was removed.
	StaleEpoch
	// BadMessage : no correct peer sends this: raft says why (absurd terms and indexes among it).
	BadMessage
	// BadEntry : an entry whose command fails its checksum, or is larger than any command may be.
	BadEntry
	// NewerEntry : a command of a newer version than this program knows. Upgrade this store.
	NewerEntry
	// UnknownSender : an answer from a peer that is no member.
	UnknownSender
	// Uninitialized : the peer waits for its first snapshot and can't use this.
	Uninitialized
	// Installing : the peer is installing a snapshot and takes no other meanwhile.
	Installing
	// BadSnapshot : a snapshot that contradicts itself.
	BadSnapshot
	// Overlap : a snapshot of keys that another region of this store holds.
	Overlap
	// TooMany : the store has as many peers, or as many peers without data, as it may.
	TooMany
	// Stopped : the store has stopped or failed.
	Stopped
	// NumReasons is how many there are.
	NumReasons
)

var reasonNames = [NumReasons]string{
	OtherCluster: "other_cluster", OtherStore: "other_store", UnknownRegion: "unknown_region",
	StalePeer: "stale_peer", StaleEpoch: "stale_epoch", BadMessage: "bad_message", BadEntry: "bad_entry",
	NewerEntry: "newer_entry", UnknownSender: "unknown_sender", Uninitialized: "uninitialized",
	Installing: "installing", BadSnapshot: "bad_snapshot", Overlap: "overlap", TooMany: "too_many", Stopped: "stopped",
}

// String is the reason's name in metrics.
func (r Reason) String() string {
	if r >= NumReasons {
		return "unknown"
	}
	return reasonNames[r]
}

// RefusedError is a message that was refused. It had no effect.
type RefusedError struct {
	Reason Reason
	Err    error // what exactly; may be nil
}

func (e *RefusedError) Error() string {
	if e.Err == nil {
		return "refused: " + e.Reason.String()
	}
	return fmt.Sprintf("refused: %v: %v", e.Reason, e.Err)
}

// Unwrap returns what exactly was wrong.
func (e *RefusedError) Unwrap() error { return e.Err }

func refuse(reason Reason, err error) error { return &RefusedError{Reason: reason, Err: err} }

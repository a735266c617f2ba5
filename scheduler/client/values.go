// The values of the calls. Most are those the scheduler itself decides with.

package client

import (
	"tinykv/kv/region"
	"tinykv/scheduler/cluster"
	"tinykv/scheduler/tso"
)

// Values and errors that are the scheduler's own, so that a store needs no other package to speak of them.
type (
	Store      = cluster.Store
	StoreInfo  = cluster.StoreInfo
	StoreStats = cluster.StoreStats
	Label      = cluster.Label
	RegionInfo = cluster.RegionInfo
	Timestamp  = tso.Timestamp
)

// States of a Store.
const (
	Up        = cluster.Up
	Offline   = cluster.Offline
	Tombstone = cluster.Tombstone

	DirectoryLabel = cluster.DirectoryLabel
)

// Errors that no retry cures. Test with errors.Is.
var (
	// ErrNotBootstrapped: the cluster has no store yet. Start one.
	ErrNotBootstrapped = cluster.ErrNotBootstrapped
	// ErrUnknownStore: no store has this id.
	ErrUnknownStore = cluster.ErrUnknownStore
	// ErrTombstone: the store was removed for good.
	ErrTombstone = cluster.ErrTombstone
	// ErrInvalid: the scheduler found a rule broken that its text names.
	ErrInvalid = cluster.ErrInvalid
)

// Member is one scheduler.
type Member struct {
	ID   uint64
	Name string
	URLs []string
}

// Members is who schedules for a cluster.
type Members struct {
	ClusterID uint64
	Members   []Member
	Leader    Member
}

// RegionHeartbeat is the report of a region's leader.
type RegionHeartbeat struct {
	Region          region.Region
	Leader          region.Peer
	Term            uint64
	ApproximateSize uint64 // bytes
	ApproximateKeys uint64
}

// TimestampFromUint64 takes a timestamp's number apart.
func TimestampFromUint64(ts uint64) Timestamp { return tso.FromUint64(ts) }

// Store as a value, and what stores may do: join, change their address, report.

package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
)

// StoreState is where a store is in its life. It only moves forward.
type StoreState uint8

// The states. Their numbers are those of the wire and of the files.
const (
	Up        StoreState = iota // takes part
	Offline                     // its replicas are being moved away
	Tombstone                   // removed for good
)

// Label is one fact about where a store stands, such as zone=eu1. Replicas are spread over labels.
type Label struct {
	Key, Value string
}

// DirectoryLabel is the key of a label that a store may give itself: its value is drawn when its data directory is made,
// and tells it from any other process that was started with the same id.
const DirectoryLabel = "directory"

// Store is a process that holds replicas. Treat it as immutable.
type Store struct {
	ID            uint64
	Address       string // host:port where clients and other stores dial it
	StatusAddress string // host:port of its metrics, or ""
	Version       string // of its program, or ""
	State         StoreState
	Labels        []Label
}

// directory is the value of the DirectoryLabel, or "".
func (s *Store) directory() string {
	for _, l := range s.Labels {
		if l.Key == DirectoryLabel {
			return l.Value
		}
	}
	return ""
}

// StoreStats is what a store reports of itself every few seconds.
type StoreStats struct {
	StoreID     uint64
	Capacity    uint64 // bytes
	Available   uint64 // bytes
	UsedSize    uint64 // bytes
	RegionCount uint32
	Busy        bool
}

// StoreInfo is a store and the last that was heard of it.
type StoreInfo struct {
	Store      Store
	Stats      StoreStats
	LastMillis int64 // when it last reported, milliseconds since 1970 by the scheduler's clock; 0 = never
}

// PutStore lets a store join, or changes what is known of one that has joined: address, labels, version. Errors:
// ErrNotBootstrapped, ErrTombstone, and ErrInvalid for an id of zero, an address that cannot be dialled, or one that
// another live store has, and for a store that was known with another directory (DirectoryLabel).
func (c *Cluster) PutStore(s Store) (Change, error) {
	if !c.meta.Bootstrapped {
		return Change{}, ErrNotBootstrapped
	}
	if err := c.checkStore(s); err != nil {
		return Change{}, err
	}
	if old, ok := c.stores[s.ID]; ok {
		if was, is := old.Store.directory(), s.directory(); was != "" && is != "" && was != is {
			return Change{}, fmt.Errorf("%w: store %d at %s has another data directory; start it with that one, and give this "+
				"one an id of its own", ErrInvalid, s.ID, old.Store.Address)
		}
		s.State = old.Store.State // a store does not decide on that itself
	}
	meta := c.meta
	meta.Stores = append(slices.DeleteFunc(slices.Clone(meta.Stores), func(o Store) bool { return o.ID == s.ID }), s)
	slices.SortFunc(meta.Stores, func(a, b Store) int { return cmp.Compare(a.ID, b.ID) })
	return Change{Meta: meta, LastID: s.ID}, nil
}

// StoreHeartbeat notes what a store reports at the time now, in milliseconds since 1970. Errors: ErrNotBootstrapped,
// ErrUnknownStore, ErrTombstone.
func (c *Cluster) StoreHeartbeat(stats StoreStats, now int64) error {
	if !c.meta.Bootstrapped {
		return ErrNotBootstrapped
	}
	info, ok := c.stores[stats.StoreID]
	switch {
	case !ok:
		return unknownStore(stats.StoreID)
	case info.Store.State == Tombstone:
		return fmt.Errorf("heartbeat of store %d: %w", stats.StoreID, ErrTombstone)
	}
	info.Stats, info.LastMillis = stats, now
	c.stores[stats.StoreID] = info
	return nil
}

// Store returns the store with this id. Errors: ErrNotBootstrapped, ErrUnknownStore.
func (c *Cluster) Store(id uint64) (StoreInfo, error) {
	if !c.meta.Bootstrapped {
		return StoreInfo{}, ErrNotBootstrapped
	}
	info, ok := c.stores[id]
	if !ok {
		return StoreInfo{}, unknownStore(id)
	}
	return info, nil
}

// Stores returns all stores in the order of their ids, the removed ones among them.
func (c *Cluster) Stores() []StoreInfo {
	return slices.SortedFunc(maps.Values(c.stores), func(a,
		b StoreInfo) int {
		return cmp.Compare(a.Store.ID, b.Store.ID)
	})
}

// unknownStore carries the words by which TiKV's clients recognise the case.
func unknownStore(id uint64) error {
	return fmt.Errorf("invalid store ID %d, not found: %w", id, ErrUnknownStore)
}

func (c *Cluster) checkStore(s Store) error {
	if s.ID == 0 {
		return fmt.Errorf("%w: store id 0 (ask AllocID for one)", ErrInvalid)
	}
	if _, port, err := net.SplitHostPort(s.Address); err != nil || port == "" || port == "0" {
		return fmt.Errorf("%w: address %q of store %d cannot be dialled, it should be host:port", ErrInvalid,
			s.Address, s.ID)
	}
	for _, o := range c.stores {
		switch {
		case o.Store.ID == s.ID && o.Store.State == Tombstone:
			return fmt.Errorf("store %d: %w", s.ID, ErrTombstone)
		case o.Store.ID != s.ID && o.Store.State != Tombstone && o.Store.Address == s.Address:
			return fmt.Errorf("%w: store %d has address %s, store %d can't have it (was a directory emptied?)",
				ErrInvalid, o.Store.ID, s.Address, s.ID)
		}
	}
	return nil
}

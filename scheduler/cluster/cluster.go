// Cluster: what is durable of it, how it is born, and how changes to it are made.

package cluster

import (
	"errors"
	"fmt"

	"tinykv/kv/region"
)

// Meta is the part of the cluster that only the scheduler knows, so it has to be durable before it is true.
type Meta struct {
	ClusterID    uint64 // chosen at random when the scheduler first starts; never 0
	Bootstrapped bool
	Stores       []Store // by id
}

// Change is a decision that waits to become durable. First IDs.Skip LastID, then save Regions if there are any, then Meta,
// then Commit.
type Change struct {
	Meta    Meta
	Regions []region.Region // the first region of a cluster; otherwise empty
	LastID  uint64          // the greatest id that the change brings with it; nobody must be given it or a smaller one
}

// Cluster is the scheduler's view. It is not safe for use by several goroutines at once.
type Cluster struct {
	meta    Meta
	stores  map[uint64]StoreInfo
	regions regions
}

// New returns the cluster that was saved: meta, and the regions as far as they were saved. Regions that contradict
// each other are sorted out as if they were reported; reports will complete the rest. Error: ErrInvalid if meta
// cannot have been saved by us.
func New(meta Meta, saved []region.Region) (*Cluster, error) {
	if meta.ClusterID == 0 {
		return nil, fmt.Errorf("%w: cluster id 0", ErrInvalid)
	}
	c := &Cluster{stores: map[uint64]StoreInfo{}, regions: newRegions()}
	for _, s := range meta.Stores {
		if err := c.checkStore(s); err != nil && !errors.Is(err, ErrTombstone) {
			return nil, err
		}
		c.stores[s.ID] = StoreInfo{Store: s}
	}
	c.meta = meta
	if !meta.Bootstrapped {
		return c, nil // regions may be there from a bootstrap that a crash cut short
	}
	for _, r := range saved {
		if err := checkRegion(RegionInfo{Region: r}); err != nil {
			return nil, err
		}
		_, _ = c.regions.believe(RegionInfo{Region: r}) // refused means that a newer one was saved too
	}
	return c, nil
}

// ID is the cluster's id, which every request and every reply carries.
func (c *Cluster) ID() uint64 { return c.meta.ClusterID }

// Bootstrapped tells whether the cluster has its first store and region.
func (c *Cluster) Bootstrapped() bool { return c.meta.Bootstrapped }

// Bootstrap creates the cluster: its first store, and its first region, which covers all keys and has a peer on that
// store. Its other peers are on stores that are still to come: they agreed on the region without asking anybody, and
// whichever comes first brings it. Errors: ErrBootstrapped, ErrInvalid.
func (c *Cluster) Bootstrap(s Store, first region.Region) (Change, error) {
	if c.meta.Bootstrapped {
		return Change{}, ErrBootstrapped
	}
	s.State = Up
	if err := c.checkStore(s); err != nil {
		return Change{}, err
	}
	if err := checkRegion(RegionInfo{Region: first}); err != nil {
		return Change{}, err
	}
	if len(first.Range.Start) > 0 || len(first.Range.End) > 0 {
		return Change{}, fmt.Errorf("%w: the first region must cover all keys, not %v", ErrInvalid, first.Range)
	}
	if _, ok := first.PeerOn(s.ID); !ok {
		return Change{}, fmt.Errorf("%w: the first region must have a peer on store %d", ErrInvalid, s.ID)
	}
	last := max(s.ID, first.ID)
	for _, p := range first.Peers {
		last = max(last, p.ID, p.StoreID)
	}
	meta := Meta{ClusterID: c.meta.ClusterID, Bootstrapped: true, Stores: []Store{s}}
	return Change{Meta: meta, Regions: []region.Region{first}, LastID: last}, nil
}

// Commit makes a change true. Between the decision and its Commit the cluster's metadata must not be changed by
// another one.
func (c *Cluster) Commit(change Change) {
	c.meta = change.Meta
	for _, s := range change.Meta.Stores {
		info := c.stores[s.ID]
		info.Store = s
		c.stores[s.ID] = info
	}
	for _, r := range change.Regions {
		_, _ = c.regions.believe(RegionInfo{Region: r})
	}
}

// Region reports as they come in, the questions that are answered from them, and the reports no region can send.

package cluster

import (
	"fmt"
	"slices"

	"tinykv/kv/region"
)

// RegionInfo is what a region's leader reports. Treat it as immutable.
type RegionInfo struct {
	Region          region.Region
	Leader          region.Peer // the zero Peer: not known, as after a restart of the scheduler
	Term            uint64      // the leader's Raft term, 0 if there is none
	ApproximateSize uint64      // bytes
	ApproximateKeys uint64
}

// Believed says what a report changed.
type Believed struct {
	Meta    bool     // range or peers are new: worth saving
	Leader  bool     // another peer leads than before
	Removed []uint64 // ids of regions from the past that the report's range took the place of
}

// RegionHeartbeat hears a report of a region's leader. Errors: ErrNotBootstrapped; ErrStale, which is everyday life
// after a split or a change of leader; ErrInvalid.
func (c *Cluster) RegionHeartbeat(info RegionInfo) (Believed, error) {
	if !c.meta.Bootstrapped {
		return Believed{}, ErrNotBootstrapped
	}
	if err := checkRegion(info); err != nil {
		return Believed{}, err
	}
	return c.regions.believe(info)
}

// RegionByKey returns the region that holds key, or false if none has been reported.
func (c *Cluster) RegionByKey(key []byte) (RegionInfo, bool) { return c.regions.byKey(key) }

// PreviousRegion returns the region that ends where the one that holds key begins. False at the start of the key
// space, and where either has not been reported.
func (c *Cluster) PreviousRegion(key []byte) (RegionInfo, bool) { return c.regions.previous(key) }

// RegionByID returns the region with this id, or false.
func (c *Cluster) RegionByID(id uint64) (RegionInfo, bool) {
	return found(c.regions.byID[id])
}

// ScanRegions returns the regions that overlap keys, in order, at most limit of them; a limit of 0 or less is none at
// all. Where nothing was reported there are gaps.
func (c *Cluster) ScanRegions(keys region.Range, limit int) []RegionInfo {
	return c.regions.scan(keys, limit)
}

// Regions returns all regions as values to save, in the order of their keys.
func (c *Cluster) Regions() []region.Region {
	all := make([]region.Region, 0, len(c.regions.ordered))
	for _, info := range c.regions.ordered {
		all = append(all, info.Region)
	}
	return all
}

// checkRegion refuses what no region can be.
func checkRegion(info RegionInfo) error {
	r := info.Region
	switch {
	case r.ID == 0:
		return fmt.Errorf("%w: region id 0 (ask AllocID for one)", ErrInvalid)
	case r.Epoch.ConfVer == 0 || r.Epoch.Version == 0:
		return fmt.Errorf("%w: epoch %v of region %d, its numbers start at 1", ErrInvalid, r.Epoch, r.ID)
	case r.Range.IsEmpty():
		return fmt.Errorf("%w: range %v of region %d holds no keys", ErrInvalid, r.Range, r.ID)
	case len(r.Peers) == 0:
		return fmt.Errorf("%w: region %d has no peers", ErrInvalid, r.ID)
	}
	for i, p := range r.Peers {
		if p.ID == 0 || p.StoreID == 0 {
			return fmt.Errorf("%w: peer %v of region %d", ErrInvalid, p, r.ID)
		}
		for _, o := range r.Peers[:i] {
			if o.ID == p.ID || o.StoreID == p.StoreID {
				return fmt.Errorf("%w: peers %v and %v of region %d have an id or a store in common", ErrInvalid, o,
					p, r.ID)
			}
		}
	}
	if info.Leader != (region.Peer{}) && !slices.Contains(r.Peers, info.Leader) {
		return fmt.Errorf("%w: leader %v of region %d is none of its peers", ErrInvalid, info.Leader, r.ID)
	}
	return nil
}

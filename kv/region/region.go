// Package region has the facts about a region as values: its range, its epoch, its peers. To change one is to make a new one.
package region

import "bytes"

// Epoch tells old news of a region from new. Each number only grows.
type Epoch struct {
	ConfVer uint64 // grows with each membership change
	Version uint64 // grows with each split or merge
}

// Peer is one replica of a region. Its id is never used again, even when the same store gets the region back.
type Peer struct {
	ID      uint64
	StoreID uint64
}

// Range is the keys k with Start <= k < End. An empty End means "no end".
type Range struct {
	Start, End []byte
}

// Contains tells whether key is in the range.
func (r Range) Contains(key []byte) bool {
	return bytes.Compare(key, r.Start) >= 0 && (len(r.End) == 0 || bytes.Compare(key, r.End) < 0)
}

// Region is a contiguous range of keys and who holds it. Treat it as immutable: its slices are shared between copies.
type Region struct {
	ID    uint64
	Range Range
	Epoch Epoch
	Peers []Peer
}

// PeerOn returns the region's peer on a store.
func (r Region) PeerOn(storeID uint64) (Peer, bool) {
	for _, p := range r.Peers {
		if p.StoreID == storeID {
			return p, true
		}
	}
	return Peer{}, false
}

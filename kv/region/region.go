// Region, Range, Epoch and Peer.

package region

import (
	"bytes"
	"fmt"
)

// Epoch tells old news of a region from new. Each number only grows.
type Epoch struct {
	ConfVer uint64 // grows with each membership change
	Version uint64 // grows with each split or merge
}

// OlderThan tells whether e is from before o: one of its numbers is smaller. News of the same region with an older
// epoch are stale. Of two epochs of one history at most one is older than the other (R1).
func (e Epoch) OlderThan(o Epoch) bool { return e.ConfVer < o.ConfVer || e.Version < o.Version }

// String is for people: "2/5" is ConfVer 2, Version 5.
func (e Epoch) String() string { return fmt.Sprintf("%d/%d", e.ConfVer, e.Version) }

// Peer is one replica of a region. Its id is never used again, even when the same store gets the region back.
type Peer struct {
	ID      uint64
	StoreID uint64
}

// String is for people: "7 on store 2".
func (p Peer) String() string { return fmt.Sprintf("%d on store %d", p.ID, p.StoreID) }

// Range is the keys k with Start <= k < End. An empty End means "no end".
type Range struct {
	Start, End []byte
}

// Contains tells whether key is in the range.
func (r Range) Contains(key []byte) bool {
	return bytes.Compare(key, r.Start) >= 0 && (len(r.End) == 0 || bytes.Compare(key, r.End) < 0)
}

// IsEmpty tells whether no key is in the range: it ends before it starts, or where it starts.
func (r Range) IsEmpty() bool { return len(r.End) > 0 && bytes.Compare(r.Start, r.End) >= 0 }

// Overlaps tells whether some key is in both ranges.
func (r Range) Overlaps(o Range) bool { return !r.Intersect(o).IsEmpty() }

// Intersect returns the range of the keys that are in both. It may be empty.
func (r Range) Intersect(o Range) Range {
	both := r
	if bytes.Compare(o.Start, both.Start) > 0 {
		both.Start = o.Start
	}
	if len(both.End) == 0 || len(o.End) > 0 && bytes.Compare(o.End, both.End) < 0 {
		both.End = o.End
	}
	return both
}

// Equal tells whether both ranges have the same bounds.
func (r Range) Equal(o Range) bool { return bytes.Equal(r.Start, o.Start) && bytes.Equal(r.End, o.End) }

// String is for people: ["a", "b"), and ["a", end) if there is no end.
func (r Range) String() string {
	if len(r.End) == 0 {
		return fmt.Sprintf("[%q, end)", r.Start)
	}
	return fmt.Sprintf("[%q, %q)", r.Start, r.End)
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

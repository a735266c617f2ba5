// What stores say to each other.

package replica

import (
	"slices"

	"tinykv/kv/region"
	"tinykv/raft"
)

// Message is a raft message between two peers of a region, with what a store needs to find the peer and to judge
// whether the message is of this time.
//
// A snapshot is announced by no Message: it travels as a stream (see Stream), and its Head takes the message's place.
type Message struct {
	RegionID uint64
	From, To region.Peer
	Epoch    region.Epoch // the region's, as the sender has applied it
	Raft     raft.Message // From and To are the peers' ids
}

// maxStrangers bounds how many peers outside of the region are remembered. A follower may lag behind by a few changes
// of the members, never by many: a leader waits for each.
const maxStrangers = 8

// addressBook knows on which store a peer is. Raft speaks of ids only.
type addressBook struct {
	region    *region.Region // the members as they are applied here
	strangers []region.Peer  // who spoke to us and is no member, or not yet; oldest first
}

// learn remembers who spoke to us, so that it can be answered. Members need not be remembered.
func (b *addressBook) learn(p region.Peer) {
	if slices.Contains(b.region.Peers, p) || slices.Contains(b.strangers, p) {
		return
	}
	if len(b.strangers) == maxStrangers {
		b.strangers = append(b.strangers[:0], b.strangers[1:]...)
	}
	b.strangers = append(b.strangers, p)
}

// find returns the peer with this id; the zero Peer if it is not known.
func (b *addressBook) find(id uint64) region.Peer {
	for _, p := range b.region.Peers {
		if p.ID == id {
			return p
		}
	}
	for _, p := range b.strangers {
		if p.ID == id {
			return p
		}
	}
	return region.Peer{}
}

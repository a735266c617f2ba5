// Package regionpb translates the facts about a region between values and the messages of the wire. It is for the
// edges: servers and clients. Everything behind them works with the values of package region.
//
// What it leaves out: the roles of peers other than voter, until membership has learners.
package regionpb

import (
	"strings"

	"tinykv/kv/region"
	"tinykv/proto/metapb"
)

// FromRegion makes the message. It shares the bytes of the keys with r.
func FromRegion(r region.Region) *metapb.Region {
	m := &metapb.Region{
		Id: r.ID, StartKey: r.Range.Start, EndKey: r.Range.End, RegionEpoch: FromEpoch(r.Epoch),
		Peers: make([]*metapb.Peer, 0, len(r.Peers)),
	}
	for _, p := range r.Peers {
		m.Peers = append(m.Peers, FromPeer(p))
	}
	return m
}

// ToRegion makes the value. It shares the bytes of the keys with m. A nil message gives the zero value; nothing is
// validated.
func ToRegion(m *metapb.Region) region.Region {
	r := region.Region{
		ID:    m.GetId(),
		Range: region.Range{Start: m.GetStartKey(), End: m.GetEndKey()},
		Epoch: ToEpoch(m.GetRegionEpoch()),
	}
	for _, p := range m.GetPeers() {
		r.Peers = append(r.Peers, ToPeer(p))
	}
	return r
}

// FromEpoch makes the message.
func FromEpoch(e region.Epoch) *metapb.RegionEpoch {
	return &metapb.RegionEpoch{ConfVer: e.ConfVer, Version: e.Version}
}

// ToEpoch makes the value; that of nil is zero.
func ToEpoch(m *metapb.RegionEpoch) region.Epoch {
	return region.Epoch{ConfVer: m.GetConfVer(), Version: m.GetVersion()}
}

// FromPeer makes the message; that of the zero Peer is nil, as "no leader" is on the wire.
func FromPeer(p region.Peer) *metapb.Peer {
	if p == (region.Peer{}) {
		return nil
	}
	return &metapb.Peer{Id: p.ID, StoreId: p.StoreID}
}

// ToPeer makes the value; that of nil is zero.
func ToPeer(m *metapb.Peer) region.Peer {
	return region.Peer{ID: m.GetId(), StoreID: m.GetStoreId()}
}

// undeterminedMark begins the error string of a write of which nobody knows whether it takes effect. The public protocol has no
// kind of error for that, and a region error of no kind would make TiKV's client send the write again; at an error string it
// gives up and tells its user, which is what should happen.
const undeterminedMark = "undetermined: "

// FromUndetermined is the error string of a write that may or may not take effect.
func FromUndetermined(e *region.UndeterminedError) string { return undeterminedMark + e.Error() }

// IsUndetermined tells whether an error string says that the write may or may not take effect.
func IsUndetermined(text string) bool { return strings.HasPrefix(text, undeterminedMark) }

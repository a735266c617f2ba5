// Head: what a snapshot is of, and for whom.
//
//	┌───────────┬─────────┬──────────────────────────────────────────────────────────────────────────┬────────────┐
//	│ version u8│ flags u8│ fields                                                                   │ crc32c  u32│
//	└───────────┴─────────┴──────────────────────────────────────────────────────────────────────────┴────────────┘
//	              1: AutoLeave   uvarints: cluster, region, from (id, store), to (id, store);
//	                             region: id, conf version, version, start, end (length and bytes), peers (count, id and
//	                             store of each); index, term; voters, outgoing, learners, next learners (count, ids);
//	                             term of the message
//
// The checksum is little endian and covers everything before it. Every number has one form only, so equal heads are equal
// bytes.

package snapshot

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/raft"
)

// Head says what a snapshot is of, and for whom. It is the first chunk of a stream, and all that raft and its log keep of a
// snapshot. A Head shares its slices when copied: treat them as immutable.
type Head struct {
	ClusterID uint64
	RegionID  uint64
	From, To  region.Peer
	Region    region.Region    // as it was at Position
	Position  raftlog.Position // of the last entry whose effect is in the snapshot
	ConfState raft.ConfState   // at Position
	Term      uint64           // in which From led when it sent this
}

// maxHeadBytes has room for two of the largest keys and thousands of peers.
const maxHeadBytes = 128 << 10

const (
	headVersion   = 1
	flagAutoLeave = 1
	sumBytes      = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// EncodeHead returns the bytes of a Head, in memory of their own. Error: ErrTooLarge.
func EncodeHead(h Head) ([]byte, error) {
	flags := byte(0)
	if h.ConfState.AutoLeave {
		flags |= flagAutoLeave
	}
	b := []byte{headVersion, flags}
	b = appendNumbers(b, h.ClusterID, h.RegionID, h.From.ID, h.From.StoreID, h.To.ID, h.To.StoreID,
		h.Region.ID, h.Region.Epoch.ConfVer, h.Region.Epoch.Version)
	b = appendBytes(b, h.Region.Range.Start)
	b = appendBytes(b, h.Region.Range.End)
	b = appendNumbers(b, uint64(len(h.Region.Peers)))
	for _, p := range h.Region.Peers {
		b = appendNumbers(b, p.ID, p.StoreID)
	}
	b = appendNumbers(b, h.Position.Index, h.Position.Term)
	for _, ids := range h.members() {
		b = appendNumbers(b, uint64(len(*ids)))
		b = appendNumbers(b, *ids...)
	}
	b = appendNumbers(b, h.Term)
	if len(b)+sumBytes > maxHeadBytes {
		return nil, fmt.Errorf("%w: a head of %d bytes, the limit is %d", ErrTooLarge, len(b)+sumBytes, maxHeadBytes)
	}
	return appendSum(b), nil
}

// DecodeHead returns the Head whose bytes these are. It shares no memory with them. Empty keys and lists are nil. Errors:
// ErrCorrupt, ErrNewer, ErrTooLarge.
func DecodeHead(b []byte) (Head, error) {
	h, err := decodeHead(b)
	if err != nil {
		return Head{}, fmt.Errorf("head of a snapshot: %w", err)
	}
	return h, nil
}

func decodeHead(b []byte) (h Head, err error) {
	if len(b) > maxHeadBytes {
		return h, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(b), maxHeadBytes)
	}
	if b, err = cutSum(b); err != nil {
		return h, err
	}
	if len(b) < 2 {
		return h, fmt.Errorf("%w: %d bytes", ErrCorrupt, len(b))
	}
	if b[0] > headVersion {
		return h, fmt.Errorf("%w: %d, it knows %d", ErrNewer, b[0], headVersion)
	}
	if b[0] != headVersion || b[1]&^flagAutoLeave != 0 {
		return h, fmt.Errorf("%w: version %d, flags %#x", ErrCorrupt, b[0], b[1])
	}
	h.ConfState.AutoLeave = b[1]&flagAutoLeave != 0
	d := decoder{rest: b[2:]}
	d.head(&h)
	return h, d.end()
}

func (d *decoder) head(h *Head) {
	h.ClusterID, h.RegionID = d.number(), d.number()
	h.From, h.To = d.peer(), d.peer()
	h.Region.ID = d.number()
	h.Region.Epoch = region.Epoch{ConfVer: d.number(), Version: d.number()}
	h.Region.Range = region.Range{Start: d.ownBytes(), End: d.ownBytes()}
	for range d.count() {
		h.Region.Peers = append(h.Region.Peers, d.peer())
	}
	h.Position = raftlog.Position{Index: d.number(), Term: d.number()}
	for _, ids := range h.members() {
		for range d.count() {
			*ids = append(*ids, d.number())
		}
	}
	h.Term = d.number()
}

func (d *decoder) peer() region.Peer { return region.Peer{ID: d.number(), StoreID: d.number()} }

// members are the lists of the configuration in the order in which they are written.
func (h *Head) members() [4]*[]uint64 {
	c := &h.ConfState
	return [4]*[]uint64{&c.Voters, &c.VotersOutgoing, &c.Learners, &c.LearnersNext}
}

// check finds what no store would send: a head that contradicts itself.
func (h *Head) check() error {
	switch {
	case h.Region.ID != h.RegionID:
		return fmt.Errorf("%w: it is of region %d and says region %d", ErrCorrupt, h.Region.ID, h.RegionID)
	case h.Region.Range.IsEmpty():
		return fmt.Errorf("%w: region %d has the empty range %v", ErrCorrupt, h.RegionID, h.Region.Range)
	}
	return nil
}

func appendNumbers(b []byte, numbers ...uint64) []byte {
	for _, n := range numbers {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func appendBytes(b, p []byte) []byte { return append(appendNumbers(b, uint64(len(p))), p...) }

func appendSum(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// cutSum returns b without its last four bytes, which must be the checksum of the rest. Error: ErrCorrupt.
func cutSum(b []byte) ([]byte, error) {
	if len(b) < sumBytes {
		return nil, fmt.Errorf("%w: %d bytes", ErrCorrupt, len(b))
	}
	body, sum := b[:len(b)-sumBytes], binary.LittleEndian.Uint32(b[len(b)-sumBytes:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, fmt.Errorf("%w: the checksum does not match", ErrCorrupt)
	}
	return body, nil
}

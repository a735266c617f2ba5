// Head: what a snapshot is of, and for whom.

package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/raft"
)

// Head says what a snapshot is of, and for whom it was made. It takes the place of the raft message that it answers
// (raft.MsgSnap), so it has what that says.
type Head struct {
	ClusterID, RegionID uint64
	From, To            region.Peer
	Region              region.Region    // at Position
	Position            raftlog.Position // the last entry that is applied in the state
	ConfState           raft.ConfState   // at Position
	Term                uint64           // of the leader that sends it
}

// ErrCorrupt: these are not the bytes of a head. Do not believe anything of them.
var ErrCorrupt = errors.New("snapshot: corrupt")

const headVersion = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// EncodeHead returns the bytes of a head: version (1 byte), numbers as uvarints, keys as length and bytes, lists as length
// and elements, CRC-32C (4 bytes, little endian).
func EncodeHead(h Head) ([]byte, error) {
	b := []byte{headVersion}
	b = appendNumbers(b, h.ClusterID, h.RegionID, h.From.ID, h.From.StoreID, h.To.ID, h.To.StoreID, h.Position.Index,
		h.Position.Term, h.Term, h.Region.ID, h.Region.Epoch.ConfVer, h.Region.Epoch.Version)
	b = append(appendNumbers(b, uint64(len(h.Region.Range.Start))), h.Region.Range.Start...)
	b = append(appendNumbers(b, uint64(len(h.Region.Range.End))), h.Region.Range.End...)
	b = appendNumbers(b, uint64(len(h.Region.Peers)))
	for _, p := range h.Region.Peers {
		b = appendNumbers(b, p.ID, p.StoreID)
	}
	for _, ids := range confLists(&h.ConfState) {
		b = appendNumbers(appendNumbers(b, uint64(len(*ids))), *ids...)
	}
	autoLeave := uint64(0)
	if h.ConfState.AutoLeave {
		autoLeave = 1
	}
	b = appendNumbers(b, autoLeave)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)), nil
}

// DecodeHead reads what EncodeHead wrote. Anything else is ErrCorrupt.
func DecodeHead(b []byte) (Head, error) {
	n := len(b) - 4
	if n < 1 || crc32.Checksum(b[:n], castagnoli) != binary.LittleEndian.Uint32(b[n:]) || b[0] != headVersion {
		return Head{}, fmt.Errorf("%w: head of %d bytes", ErrCorrupt, len(b))
	}
	d := headDecoder{rest: b[1:n]}
	h := Head{ClusterID: d.number(), RegionID: d.number(), From: d.peer(), To: d.peer()}
	h.Position = raftlog.Position{Index: d.number(), Term: d.number()}
	h.Term = d.number()
	h.Region = region.Region{ID: d.number(), Epoch: region.Epoch{ConfVer: d.number(), Version: d.number()}}
	h.Region.Range = region.Range{Start: d.bytes(), End: d.bytes()}
	for range d.count() {
		h.Region.Peers = append(h.Region.Peers, d.peer())
	}
	for _, ids := range confLists(&h.ConfState) {
		for range d.count() {
			*ids = append(*ids, d.number())
		}
	}
	h.ConfState.AutoLeave = d.number() == 1
	if d.bad || len(d.rest) > 0 {
		return Head{}, fmt.Errorf("%w: head does not decode", ErrCorrupt)
	}
	return h, nil
}

// confLists are the lists of a configuration in the order in which they are written.
func confLists(c *raft.ConfState) [4]*[]uint64 {
	return [4]*[]uint64{&c.Voters, &c.VotersOutgoing, &c.Learners, &c.LearnersNext}
}

func appendNumbers(b []byte, numbers ...uint64) []byte {
	for _, n := range numbers {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// headDecoder reads numbers and bytes. After the first that is not there, everything is zero.
type headDecoder struct {
	rest []byte
	bad  bool
}

func (d *headDecoder) number() uint64 {
	v, n := binary.Uvarint(d.rest)
	if d.bad || n <= 0 {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// count reads how many things follow, each of one byte at least.
func (d *headDecoder) count() int {
	n := d.number()
	if n > uint64(len(d.rest)) {
		d.bad = true
		return 0
	}
	return int(n)
}

func (d *headDecoder) bytes() []byte {
	n := d.count()
	if n == 0 {
		return nil
	}
	p := append([]byte(nil), d.rest[:n]...)
	d.rest = d.rest[n:]
	return p
}

func (d *headDecoder) peer() region.Peer { return region.Peer{ID: d.number(), StoreID: d.number()} }

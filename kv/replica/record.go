// What a store remembers of its peers beside the log: two records of the column family engine.Meta for each region.
//
//	'a' region id (8 bytes)   the position up to which the data store has applied the region's log
//	'r' region id (8 bytes)   who this store's peer is, the region, the configuration; whether the peer was removed
//
// A value is: version (1 byte), numbers as uvarints, keys as length and bytes; at the end a CRC-32C (4 bytes, little
// endian), because not every engine has checksums of its own. Region ids in keys are big endian, so that they are
// in order.

package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/raft"
)

// Record is what a store remembers of its peer of a region. It is true at the applied position that is written with it,
// or was before.
type Record struct {
	Peer      region.Peer
	Region    region.Region
	ConfState raft.ConfState
	Tombstone bool // the peer was removed; it must not come back
}

const (
	recordVersion  = 1
	appliedPrefix  = 'a'
	regionPrefix   = 'r'
	recordKeyBytes = 9
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appliedKey(id uint64) []byte { return recordKey(appliedPrefix, id) }
func regionKey(id uint64) []byte  { return recordKey(regionPrefix, id) }

func recordKey(prefix byte, id uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, recordKeyBytes), prefix), id)
}

// PutApplied adds the record of the applied position to a batch.
func PutApplied(b *engine.Batch, id uint64, p raftlog.Position) {
	value := binary.AppendUvarint([]byte{recordVersion}, p.Index)
	value = binary.AppendUvarint(value, p.Term)
	b.Take(engine.Op{Kind: engine.OpPut, CF: engine.Meta, Key: appliedKey(id), Value: seal(value)})
}

// PutRecord adds the record of a peer to a batch.
func PutRecord(b *engine.Batch, rec *Record) {
	b.Take(engine.Op{Kind: engine.OpPut, CF: engine.Meta, Key: regionKey(rec.Region.ID), Value: rec.encode()})
}

// ReadApplied reads the applied position; false if there is none. Errors: ErrCorrupt, those of the engine.
func ReadApplied(s engine.Snapshot, id uint64) (raftlog.Position, bool, error) {
	value, err := s.Get(engine.Meta, appliedKey(id))
	if errors.Is(err, engine.ErrNotFound) {
		return raftlog.Position{}, false, nil
	}
	if err != nil {
		return raftlog.Position{}, false, fmt.Errorf("applied position of region %d: %w", id, err)
	}
	d, err := unseal(value)
	p := raftlog.Position{Index: d.number(), Term: d.number()}
	if err = errors.Join(err, d.err()); err != nil {
		return p, false, fmt.Errorf("applied position of region %d: %w", id, err)
	}
	return p, true, nil
}

// ReadRecord reads the record of a region's peer; false if there is none. Errors: ErrCorrupt, those of the engine.
func ReadRecord(s engine.Snapshot, id uint64) (Record, bool, error) {
	value, err := s.Get(engine.Meta, regionKey(id))
	if errors.Is(err, engine.ErrNotFound) {
		return Record{}, false, nil
	}
	if err != nil {
		return Record{}, false, fmt.Errorf("record of region %d: %w", id, err)
	}
	rec, err := decodeRecord(value)
	if err == nil && rec.Region.ID != id {
		err = fmt.Errorf("%w: it is of region %d", ErrCorrupt, rec.Region.ID)
	}
	if err != nil {
		return rec, false, fmt.Errorf("record of region %d: %w", id, err)
	}
	return rec, true, nil
}

// RecordedRegions lists the ids of all regions with a record, ascending. Errors are those of the engine.
func RecordedRegions(s engine.Snapshot) ([]uint64, error) {
	it, err := s.Iterator(engine.Meta, engine.IterOptions{Lower: []byte{regionPrefix}, Upper: []byte{regionPrefix + 1}})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var ids []uint64
	for ok := it.First(); ok; ok = it.Next() {
		if len(it.Key()) != recordKeyBytes {
			return nil, fmt.Errorf("%w: key %q among the records of regions", ErrCorrupt, it.Key())
		}
		ids = append(ids, binary.BigEndian.Uint64(it.Key()[1:]))
	}
	return ids, it.Err()
}

func (rec *Record) encode() []byte {
	flags := byte(0)
	if rec.Tombstone {
		flags |= 1
	}
	if rec.ConfState.AutoLeave {
		flags |= 2
	}
	b := []byte{recordVersion, flags}
	epoch := rec.Region.Epoch
	b = appendNumbers(b, rec.Peer.ID, rec.Peer.StoreID, rec.Region.ID, epoch.ConfVer, epoch.Version)
	b = appendBytes(b, rec.Region.Range.Start)
	b = appendBytes(b, rec.Region.Range.End)
	b = appendNumbers(b, uint64(len(rec.Region.Peers)))
	for _, p := range rec.Region.Peers {
		b = appendNumbers(b, p.ID, p.StoreID)
	}
	for _, ids := range rec.confLists() {
		b = appendNumbers(b, uint64(len(*ids)))
		b = appendNumbers(b, *ids...)
	}
	return seal(b)
}

func decodeRecord(value []byte) (Record, error) {
	d, err := unseal(value)
	if err != nil {
		return Record{}, err
	}
	var rec Record
	flags := d.byte()
	rec.Tombstone, rec.ConfState.AutoLeave = flags&1 != 0, flags&2 != 0
	rec.Peer = d.peer()
	rec.Region.ID = d.number()
	rec.Region.Epoch = region.Epoch{ConfVer: d.number(), Version: d.number()}
	rec.Region.Range = region.Range{Start: d.bytes(), End: d.bytes()}
	for range d.count() {
		rec.Region.Peers = append(rec.Region.Peers, d.peer())
	}
	for _, ids := range rec.confLists() {
		for range d.count() {
			*ids = append(*ids, d.number())
		}
	}
	return rec, d.err()
}

// confLists are the lists of the configuration in the order in which they are written.
func (rec *Record) confLists() [4]*[]uint64 {
	c := &rec.ConfState
	return [4]*[]uint64{&c.Voters, &c.VotersOutgoing, &c.Learners, &c.LearnersNext}
}

func appendNumbers(b []byte, numbers ...uint64) []byte {
	for _, n := range numbers {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func appendBytes(b, p []byte) []byte { return append(binary.AppendUvarint(b, uint64(len(p))), p...) }

// seal completes a value by its checksum.
func seal(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// unseal checks the checksum and the version of a value and returns the rest, to be read.
func unseal(b []byte) (*decoder, error) {
	if len(b) < 5 {
		return &decoder{bad: true}, fmt.Errorf("%w: %d bytes", ErrCorrupt, len(b))
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return &decoder{bad: true}, fmt.Errorf("%w: wrong checksum", ErrCorrupt)
	}
	if body[0] != recordVersion {
		return &decoder{bad: true}, fmt.Errorf("%w: version %d, not %d", ErrCorrupt, body[0], recordVersion)
	}
	return &decoder{rest: body[1:]}, nil
}

// decoder reads what appendNumbers and appendBytes wrote. After the first thing that is not there, everything is zero.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) byte() byte {
	if d.bad || len(d.rest) == 0 {
		d.bad = true
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) number() uint64 {
	v, n := binary.Uvarint(d.rest)
	if d.bad || n <= 0 {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// count reads how many things follow, each of one byte at least.
func (d *decoder) count() int {
	n := d.number()
	if n > uint64(len(d.rest)) {
		d.bad = true
		return 0
	}
	return int(n)
}

func (d *decoder) bytes() []byte {
	n := d.count()
	if n == 0 {
		return nil
	}
	p := append([]byte(nil), d.rest[:n]...)
	d.rest = d.rest[n:]
	return p
}

func (d *decoder) peer() region.Peer { return region.Peer{ID: d.number(), StoreID: d.number()} }

// err is ErrCorrupt if something was missing or is left over.
func (d *decoder) err() error {
	if d.bad || len(d.rest) > 0 {
		return fmt.Errorf("%w: does not decode", ErrCorrupt)
	}
	return nil
}

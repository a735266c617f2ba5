// How logs lie in the engine, all in its default column family. Numbers in keys are big endian, so that they are in order.
//
//	's' region u64               state: version u8; term, vote, commit, truncated index, truncated term: uvarint; crc32c u32
//	'i' region u64               install: version u8; length of spool uvarint, spool, head; crc32c u32
//	'e' region u64 index u64     entry: type u8; term uvarint; data; crc32c u32
//
// A checksum covers the key, too: a record in a wrong place is as bad as a wrong record. It is little endian.

package raftlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"tinykv/raft"
)

const (
	statePrefix   = 's'
	installPrefix = 'i'
	entryPrefix   = 'e'

	recordVersion = 1
	regionKeySize = 9
	entryKeySize  = 17
	sumBytes      = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func regionKey(prefix byte, region uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, regionKeySize), prefix), region)
}

func entryKey(region, index uint64) []byte {
	key := append(make([]byte, 0, entryKeySize), entryPrefix)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(key, region), index)
}

// seal ends a record with its checksum.
func seal(key, value []byte) []byte {
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
	return binary.LittleEndian.AppendUint32(value, sum)
}

// unseal returns a record without its checksum, or false if it is not what was sealed.
func unseal(key, value []byte) ([]byte, bool) {
	if len(value) < sumBytes {
		return nil, false
	}
	body, sum := value[:len(value)-sumBytes], binary.LittleEndian.Uint32(value[len(value)-sumBytes:])
	return body, crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, body) == sum
}

func encodeState(key []byte, s *State) []byte {
	value := append(make([]byte, 0, 64), recordVersion)
	for _, n := range []uint64{s.Hard.Term, s.Hard.Vote, s.Hard.Commit, s.Truncated.Index, s.Truncated.Term} {
		value = binary.AppendUvarint(value, n)
	}
	return seal(key, value)
}

func decodeState(key, value []byte) (s State, err error) {
	body, ok := unseal(key, value)
	if !ok || len(body) == 0 {
		return s, fmt.Errorf("%w: the state of region %d", ErrCorrupt, regionOf(key))
	}
	if body[0] > recordVersion {
		return s, fmt.Errorf("the state of region %d was written by a newer version (%d): run that version", regionOf(key), body[0])
	}
	body = body[1:]
	for _, n := range []*uint64{&s.Hard.Term, &s.Hard.Vote, &s.Hard.Commit, &s.Truncated.Index, &s.Truncated.Term} {
		size := 0
		if *n, size = binary.Uvarint(body); size <= 0 {
			return s, fmt.Errorf("%w: the state of region %d", ErrCorrupt, regionOf(key))
		}
		body = body[size:]
	}
	return s, nil
}

func encodeInstall(key []byte, in *Install) []byte {
	value := append(make([]byte, 0, len(in.Spool)+len(in.Head)+16), recordVersion)
	value = binary.AppendUvarint(value, uint64(len(in.Spool)))
	return seal(key, append(append(value, in.Spool...), in.Head...))
}

func decodeInstall(key, value []byte) (*Install, error) {
	if body, ok := unseal(key, value); ok && len(body) > 0 && body[0] == recordVersion {
		n, size := binary.Uvarint(body[1:])
		if rest := body[1+max(size, 0):]; size > 0 && n <= uint64(len(rest)) {
			return &Install{Spool: string(rest[:n]), Head: rest[n:]}, nil
		}
	}
	return nil, fmt.Errorf("%w: the snapshot to be installed of region %d", ErrCorrupt, regionOf(key))
}

func encodeEntry(key []byte, e *raft.Entry) []byte {
	value := make([]byte, 0, 1+binary.MaxVarintLen64+len(e.Data)+sumBytes)
	value = binary.AppendUvarint(append(value, byte(e.Type)), e.Term)
	return seal(key, append(value, e.Data...))
}

// decodeEntry returns the entry that lies under a key. It shares the memory of value. What was given no data has nil.
func decodeEntry(key, value []byte) (raft.Entry, error) {
	index := binary.BigEndian.Uint64(key[regionKeySize:])
	body, ok := unseal(key, value)
	if ok && len(body) > 1 {
		if term, size := binary.Uvarint(body[1:]); size > 0 {
			e := raft.Entry{Type: raft.EntryType(body[0]), Term: term, Index: index}
			if data := body[1+size:]; len(data) > 0 {
				e.Data = data[:len(data):len(data)]
			}
			return e, nil
		}
	}
	return raft.Entry{}, corruptEntry(regionOf(key), index, "is damaged")
}

func regionOf(key []byte) uint64 { return binary.BigEndian.Uint64(key[1:]) }
func indexOf(key []byte) uint64  { return binary.BigEndian.Uint64(key[regionKeySize:]) }

func corruptEntry(region, index uint64, what string) error {
	return fmt.Errorf("%w: entry %d of region %d %s", ErrCorrupt, index, region, what)
}

// How a value with its time to live is stored.
//
//	┌───────────────┬──────────────────────────────┬────────┐
//	│ value         │ expiry: 8 bytes, big-endian, │ flags: │
//	│               │ only if flags has bit 0      │ 1 byte │
//	└───────────────┴──────────────────────────────┴────────┘
//
// The flags come last so that the value can be cut off without being moved. Bits other than 0 are reserved: a value
// that has one was not written by this version.

package raw

import (
	"encoding/binary"
	"fmt"

	"tinykv/kv/engine"
)

const (
	flagExpires = 1 << 0
	expirySize  = 8 // bytes
	flagsSize   = 1 // bytes
)

// never is the expiry of a pair that does not expire.
const never = 0

// expiry turns a time to live into the second at which the pair is gone, NoTTL into never. Error: ErrBadTTL.
func expiry(ttl, now uint64) (uint64, error) {
	if ttl == NoTTL {
		return never, nil
	}
	if ttl > MaxTTL {
		return 0, fmt.Errorf("%w: %d seconds (as a signed number %d), at most %d",
			ErrBadTTL, ttl, int64(ttl), uint64(MaxTTL))
	}
	return now + ttl, nil
}

// expired tells whether a pair that expires at the given second is gone by now.
func expired(at, now uint64) bool { return at != never && now >= at }

// encodeValue returns the stored form of a value that expires at the second at. The result is new memory.
func encodeValue(value []byte, at uint64) []byte {
	stored := make([]byte, 0, len(value)+expirySize+flagsSize)
	stored = append(stored, value...)
	if at == never {
		return append(stored, 0)
	}
	return append(binary.BigEndian.AppendUint64(stored, at), flagExpires)
}

// decodeValue takes a stored value apart. The value is a part of stored, not a copy. Error: engine.ErrCorrupt.
func decodeValue(stored []byte) (value []byte, at uint64, err error) {
	end := len(stored) - flagsSize
	if end < 0 {
		return nil, 0, fmt.Errorf("a stored raw value without flags: %w", engine.ErrCorrupt)
	}
	switch flags := stored[end]; {
	case flags == 0:
		return stored[:end:end], never, nil
	case flags == flagExpires && end >= expirySize:
		end -= expirySize
		return stored[:end:end], binary.BigEndian.Uint64(stored[end:]), nil
	default:
		return nil, 0, fmt.Errorf("a stored raw value of %d bytes with flags %#x: %w",
			len(stored), flags, engine.ErrCorrupt)
	}
}

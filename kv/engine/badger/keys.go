//go:build cgo

// Column families in one key space: badger has only one, so each family has a byte that all its keys begin with.
//
//	'd' user key    default
//	'l' user key    lock
//	'w' user key    write
//	'm' user key    meta
//	0xff            the sequence key (see commit.go), behind all families
//
// No prefix may be '!': badger keeps such keys to itself and its iterators skip them.

package badger

import (
	"fmt"

	"tinykv/kv/engine"
)

var cfPrefix = [...]byte{engine.Default: 'd', engine.Lock: 'l', engine.Write: 'w', engine.Meta: 'm'}

// encodeKey returns the key under which badger keeps key of cf: the prefix of cf, which cfPrefix has, then key. The
// result is a new slice that shares nothing with key. The order of keys of one family stays as it is.
func encodeKey(cf engine.CF, key []byte) []byte {
	encoded := make([]byte, 0, 1+len(key))
	return append(append(encoded, cfPrefix[cf]), key...)
}

// decodeKey returns the user's part of a key that encodeKey made. The result is a part of encoded, not a copy.
func decodeKey(encoded []byte) []byte { return encoded[1:] }

// encodeRange turns the range [start, end) of cf into a range of encoded keys. An empty start means "from the first
// key of cf" and an empty end "to the last key of cf": neither may reach into a neighbouring family. The range is
// inverted if [start, end) is.
func encodeRange(cf engine.CF, start, end []byte) (lower, upper []byte) {
	if len(end) == 0 {
		return encodeKey(cf, start), []byte{cfPrefix[cf] + 1}
	}
	return encodeKey(cf, start), encodeKey(cf, end)
}

// checkCF is ErrUnknownCF for a column family that does not exist.
func checkCF(cf engine.CF) error {
	if !cf.Valid() {
		return fmt.Errorf("%w: %v", engine.ErrUnknownCF, cf)
	}
	return nil
}

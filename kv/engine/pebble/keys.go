// Column families in one key space: each has a byte that all its keys begin with.
//
//	'd' user key    default
//	'l' user key    lock
//	'w' user key    write
//	'm' user key    meta

package pebble

import (
	"fmt"

	"tinykv/kv/engine"
)

var cfPrefix = [...]byte{engine.Default: 'd', engine.Lock: 'l', engine.Write: 'w', engine.Meta: 'm'}

// encodeKey puts the prefix of cf before key.
func encodeKey(cf engine.CF, key []byte) []byte {
	return append([]byte{cfPrefix[cf]}, key...)
}

// encodeRange turns a range of cf, whose empty end means "to the last key", into a range of the whole key space
// that stays in cf. It reports false for a range that holds nothing.
func encodeRange(cf engine.CF, start, end []byte) (lower, upper []byte, ok bool) {
	lower = encodeKey(cf, start)
	if len(end) == 0 {
		return lower, []byte{cfPrefix[cf] + 1}, true
	}
	return lower, encodeKey(cf, end), string(start) < string(end)
}

func checkCF(cf engine.CF) error {
	if !cf.Valid() {
		return fmt.Errorf("%w: %v", engine.ErrUnknownCF, cf)
	}
	return nil
}

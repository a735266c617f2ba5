// The decoder of numbers and bytes, which heads and pairs are made of.

package snapshot

import (
	"encoding/binary"
	"fmt"
)

// decoder reads what appendNumbers and appendBytes wrote. After its first failure it reads zeros.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.rest)
	if d.bad || size <= 0 || size != numberBytes(n) {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

// count reads how many things follow, each of one byte at least, so that no memory is asked for in vain.
func (d *decoder) count() int {
	n := d.number()
	if n > uint64(len(d.rest)) {
		d.bad, d.rest = true, nil
		return 0
	}
	return int(n)
}

// bytes returns the next n bytes, which share the input's memory, with no room behind them to write into.
func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.bad, d.rest = true, nil
		return nil
	}
	p := d.rest[:n:n]
	d.rest = d.rest[n:]
	return p
}

// ownBytes reads a length and a copy of so many bytes; nil if there are none.
func (d *decoder) ownBytes() []byte {
	return append([]byte(nil), d.bytes(d.number())...)
}

// end is ErrCorrupt if something was missing or is left over.
func (d *decoder) end() error {
	if d.bad || len(d.rest) > 0 {
		return fmt.Errorf("%w: it does not decode", ErrCorrupt)
	}
	return nil
}

// numberBytes is the length of n as a uvarint: seven bits in each byte.
func numberBytes(n uint64) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

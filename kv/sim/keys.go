// The keys that clients share, and the values they put there.

package sim

import (
	"fmt"
	"strconv"
	"strings"

	"tinykv/kv/engine"
)

// keyspace is a few keys over all column families, by number from 1 on, and one pair: two keys, of different column
// families, that are only ever written and read together. So whoever sees half of a batch sees it there.
type keyspace struct{ singles []place }

// place is where a value is.
type place struct {
	cf  engine.CF
	key []byte
}

// thePair is the number of the pair, which counts as one key.
const thePair = 0

var (
	userCFs    = [...]engine.CF{engine.Default, engine.Lock, engine.Write}
	pairPlaces = []place{{engine.Default, []byte("pair")}, {engine.Write, []byte("pair")}}
)

func newKeyspace(n int) keyspace {
	var k keyspace
	for i := range n {
		k.singles = append(k.singles, place{userCFs[i%len(userCFs)], fmt.Appendf(nil, "key%d", i+1)})
	}
	return k
}

// What a clear deletes: a range of one family, which holds every third key.
var (
	clearedFrom = place{engine.Default, []byte("key")}
	clearedTo   = []byte("kez")
)

// cleared are the keys in that range.
func (k *keyspace) cleared() (keys []int) {
	for i, at := range k.singles {
		if at.cf == clearedFrom.cf {
			keys = append(keys, i+1)
		}
	}
	return keys
}

// size is how many keys there are beside the pair.
func (k *keyspace) size() int { return len(k.singles) }

// find returns the number of a key of the family default; it is added if it is new. Desks choose their keys.
func (k *keyspace) find(name string) int {
	for i, at := range k.singles {
		if at.cf == engine.Default && string(at.key) == name {
			return i + 1
		}
	}
	k.singles = append(k.singles, place{engine.Default, []byte(name)})
	return len(k.singles)
}

// places are what is behind a number.
func (k *keyspace) places(key int) []place {
	if key == thePair {
		return pairPlaces
	}
	return k.singles[key-1 : key]
}

// valuePad makes values of several sizes.
const valuePad = "........................................................................................"

// numberBytes is how much of a value is its number.
const numberBytes = 8

// value makes the bytes of the n-th value: v0000017 and what is put there, or something to fill it up.
func value(n uint32, text string) []byte {
	b := append(make([]byte, 0, numberBytes+len(valuePad)), "v0000000"...)
	for i, rest := len(b)-1, n; i > 0; i-- {
		b[i] = byte('0' + rest%10)
		rest /= 10
	}
	if text != "" {
		return append(b, text...)
	}
	return append(b, valuePad[:n*7%uint32(len(valuePad))]...)
}

// valueOf reads the number of a value; ok is false if no client ever put this.
func valueOf(b []byte) (n uint32, ok bool) {
	if len(b) < numberBytes || b[0] != 'v' {
		return 0, false
	}
	for _, digit := range b[1:numberBytes] {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		n = n*10 + uint32(digit-'0')
	}
	return n, true
}

func valueName(n uint32) string {
	if n == 0 {
		return "nothing"
	}
	return "v" + strconv.Itoa(int(n))
}

// describe tells of a batch in a few words.
func (k *keyspace) describe(b *engine.Batch) string {
	var parts []string
	for op := range b.Ops() {
		switch n, ok := valueOf(op.Value); {
		case op.CF == engine.Meta:
		case op.Kind == engine.OpDelete:
			parts = append(parts, fmt.Sprintf("%s.%s=nothing", op.CF, op.Key))
		case op.Kind == engine.OpPut && ok:
			parts = append(parts, fmt.Sprintf("%s.%s=%s", op.CF, op.Key, valueName(n)))
		default:
			parts = append(parts, fmt.Sprintf("%d %s.%q %d bytes", op.Kind, op.CF, op.Key, len(op.Value)))
		}
	}
	return strings.Join(parts, " ")
}

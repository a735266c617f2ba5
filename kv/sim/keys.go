// The keys that clients share, and the values they put there.

package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tinykv/kv/engine"
)

// keyspace is a few keys over all column families, and at last one pair: two keys, of different column families, that are
// only ever written and read together. So whoever sees half of a batch sees it there.
type keyspace struct {
	names []place // the last two are the pair
}

type place struct {
	cf  engine.CF
	key []byte
}

var userCFs = [...]engine.CF{engine.Default, engine.Lock, engine.Write}

func newKeyspace(n int) keyspace {
	var k keyspace
	for i := range n {
		k.names = append(k.names, place{userCFs[i%len(userCFs)], fmt.Appendf(nil, "key%d", i)})
	}
	k.names = append(k.names, place{engine.Default, []byte("pair")}, place{engine.Write, []byte("pair")})
	return k
}

// pair is the number of the pair in histories, where it counts as one key.
func (k *keyspace) pair() int { return len(k.names) - 2 }

// places are the keys behind a number.
func (k *keyspace) places(key int) []place {
	if key == k.pair() {
		return k.names[key:]
	}
	return k.names[key : key+1]
}

// valuePad makes values of several sizes.
const valuePad = "........................................................................................"

// value makes the bytes of the n-th value: v0000017 and some more.
func value(n uint32) []byte {
	b := append(make([]byte, 0, 8+len(valuePad)), "v0000000"...)
	for i, rest := len(b)-1, n; i > 0; i-- {
		b[i] = byte('0' + rest%10)
		rest /= 10
	}
	return append(b, valuePad[:n*7%uint32(len(valuePad))]...)
}

// valueOf reads the number of a value; ok is false if no client ever put this.
func valueOf(b []byte) (n uint32, ok bool) {
	if len(b) < 8 || b[0] != 'v' {
		return 0, false
	}
	for _, digit := range b[1:8] {
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

func (k *keyspace) keyList(keys []int) string {
	var parts []string
	for _, key := range keys {
		parts = append(parts, strconv.Itoa(key))
	}
	return strings.Join(slices.Clip(parts), ",")
}

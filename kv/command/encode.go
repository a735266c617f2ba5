// How a command is written.
//
//	┌───────────┬────────┬───────────────────────────────┬────────────┐
//	│ version u8│ kind u8│ body                          │ crc32c  u32│
//	└───────────┴────────┴───────────────────────────────┴────────────┘
//	 Write        1       conf version, version: uvarint; operations, one behind the other, up to the checksum:
//	                      kind u8, family u8, key length uvarint, value length uvarint, key, value
//	 CompactLog   2       index, term: uvarint
//
// The checksum is little endian and covers everything before it. It goes all the way with the command, from the proposer
// through every network and disk to each replica that applies it.

package command

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"tinykv/kv/engine"
)

const (
	version        = 1
	kindWrite      = 1
	kindCompactLog = 2

	headBytes = 2
	sumBytes  = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode returns the bytes of a command, in memory of their own. It asks for memory once. Error: ErrTooLarge.
func Encode(c Command) ([]byte, error) {
	size := sizeOf(c)
	if size > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, size, MaxSize)
	}
	buf := append(make([]byte, 0, size), version)
	switch c := c.(type) {
	case Write:
		buf = append(buf, kindWrite)
		buf = appendNumbers(buf, c.Epoch.ConfVer, c.Epoch.Version)
		for op := range c.Batch.Ops() {
			buf = append(buf, byte(op.Kind), byte(op.CF))
			buf = appendNumbers(buf, uint64(len(op.Key)), uint64(len(op.Value)))
			buf = append(append(buf, op.Key...), op.Value...)
		}
	case CompactLog:
		buf = appendNumbers(append(buf, kindCompactLog), c.Index, c.Term)
	}
	return binary.LittleEndian.AppendUint32(buf, crc32.Checksum(buf, castagnoli)), nil
}

// sizeOf is the exact length of what Encode returns.
func sizeOf(c Command) int {
	size := headBytes + sumBytes
	switch c := c.(type) {
	case Write:
		size += numberBytes(c.Epoch.ConfVer) + numberBytes(c.Epoch.Version)
		for op := range c.Batch.Ops() {
			k, v := len(op.Key), len(op.Value)
			size += 2 + numberBytes(uint64(k)) + numberBytes(uint64(v)) + k + v
		}
	case CompactLog:
		size += numberBytes(c.Index) + numberBytes(c.Term)
	}
	return size
}

func appendNumbers(buf []byte, a, b uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(buf, a), b)
}

// numberBytes is the length of n as a uvarint: seven bits in each byte.
func numberBytes(n uint64) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// Decode returns the command whose bytes these are. Keys and values of its batch are parts of data, which must not be
// changed any more. What it returns passes engine's Batch.Check. Errors: ErrCorrupt, ErrNewer.
func Decode(data []byte) (Command, error) {
	kind, d, err := open(data)
	if err != nil {
		return nil, err
	}
	a, b := d.number(), d.number()
	if kind == kindCompactLog {
		c := CompactLog{Index: a, Term: b}
		if len(d.rest) > 0 {
			d.fail("bytes behind its end")
		}
		return c, d.err
	}
	w := Write{Batch: &engine.Batch{}}
	w.Epoch.ConfVer, w.Epoch.Version = a, b
	w.Batch.Grow(d.count())
	for len(d.rest) > 0 && d.err == nil {
		w.Batch.Take(d.operation())
	}
	if d.err != nil {
		return nil, d.err
	}
	if err := w.Batch.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return w, nil
}

// Check tells whether Decode would take the bytes for what they are, by their checksum and their kind, without looking at
// what they say: for whoever only passes them on. Errors: ErrCorrupt, ErrNewer.
func Check(data []byte) error {
	_, _, err := open(data)
	return err
}

// open checks the frame and returns a decoder of the body.
func open(data []byte) (kind byte, d decoder, err error) {
	switch {
	case len(data) < headBytes+sumBytes || len(data) > MaxSize:
		return 0, d, fmt.Errorf("%w: %d bytes", ErrCorrupt, len(data))
	case data[0] > version:
		return 0, d, fmt.Errorf("%w: %d, this one knows %d", ErrNewer, data[0], version)
	}
	body, sum := data[:len(data)-sumBytes], binary.LittleEndian.Uint32(data[len(data)-sumBytes:])
	if crc32.Checksum(body, castagnoli) != sum {
		return 0, d, fmt.Errorf("%w: the checksum does not match", ErrCorrupt)
	}
	kind = body[1]
	if body[0] != version || kind != kindWrite && kind != kindCompactLog {
		return 0, d, fmt.Errorf("%w: version %d, kind %d", ErrCorrupt, body[0], kind)
	}
	return kind, decoder{rest: body[headBytes:]}, nil
}

// decoder reads what is left of a body. After its first failure it reads zeros.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrCorrupt, what)
	}
	d.rest = nil
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 || size != numberBytes(n) { // a number has one form only, or two commands had the same meaning
		d.fail("a number that is none")
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

// bytes returns the next n bytes, with no room behind them that somebody could write into.
func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.fail("it ends too early")
		return nil
	}
	p := d.rest[:n:n]
	d.rest = d.rest[n:]
	return p
}

func (d *decoder) operation() engine.Op {
	head := d.bytes(2)
	keyLen, valueLen := d.number(), d.number()
	key, value := d.bytes(keyLen), d.bytes(valueLen)
	if d.err != nil {
		return engine.Op{}
	}
	op := engine.Op{Kind: engine.OpKind(head[0]), CF: engine.CF(head[1]), Key: key, Value: value}
	switch op.Kind {
	case engine.OpPut, engine.OpDeleteRange:
	case engine.OpDelete:
		if len(value) > 0 {
			d.fail("a delete with a value")
		}
		op.Value = nil
	default:
		d.fail(fmt.Sprintf("operation of unknown kind %d", op.Kind))
	}
	return op
}

// count is the number of operations that are left, so that memory for them is asked for once.
func (d *decoder) count() int {
	probe := *d
	n := 0
	for len(probe.rest) > 0 && probe.err == nil {
		probe.bytes(2)
		keyLen, valueLen := probe.number(), probe.number()
		probe.bytes(keyLen)
		probe.bytes(valueLen)
		n++
	}
	return n
}

// The tree of versions: which value a key had at which sequence number.

package mem

import (
	"bytes"
	"cmp"
	"hash/crc32"
	"math"

	"github.com/petar/GoLLRB/llrb"

	"tinykv/kv/engine"
)

// version is what one batch made of one key. Its order in the tree: column family, key, newest first.
type version struct {
	cf      engine.CF
	key     []byte
	seq     uint64
	deleted bool
	value   []byte // points into the record on the disk
	sum     uint32 // of value, so that a flipped bit is found when it is read
}

// Less orders the tree.
func (v *version) Less(than llrb.Item) bool {
	w := than.(*version)
	if c := cmp.Or(cmp.Compare(v.cf, w.cf), bytes.Compare(v.key, w.key)); c != 0 {
		return c < 0
	}
	return v.seq > w.seq
}

func (v *version) intact() bool { return crc32.Checksum(v.value, castagnoli) == v.sum }

func (v *version) size() int64 { return int64(len(v.key) + len(v.value) + opHeader) }

// versions is the tree and what may be dropped from it.
type versions struct {
	tree    *llrb.LLRB
	garbage []superseded // in the order of since
	live    int64        // bytes of the newest versions
}

// superseded is a version that snapshots numbered >= since do not need.
type superseded struct {
	v     *version
	since uint64
}

func newVersions() *versions { return &versions{tree: llrb.New()} }

// apply does one operation as part of the batch numbered seq, the highest so far.
func (t *versions) apply(op engine.Op, seq uint64) {
	switch op.Kind {
	case engine.OpPut:
		sum := crc32.Checksum(op.Value, castagnoli)
		t.put(&version{cf: op.CF, key: bytes.Clone(op.Key), seq: seq, value: op.Value, sum: sum})
	case engine.OpDelete:
		t.remove(op.CF, op.Key, seq)
	case engine.OpDeleteRange:
		for v := t.atOrAfter(op.CF, op.Key, seq); v != nil; v = t.atOrAfter(op.CF, successor(v.key), seq) {
			if len(op.Value) > 0 && bytes.Compare(v.key, op.Value) >= 0 {
				return
			}
			t.remove(op.CF, v.key, seq)
		}
	}
}

// remove hides key with a mark of deletion, if it has a value.
func (t *versions) remove(cf engine.CF, key []byte, seq uint64) {
	if v := t.newest(cf, key, seq); v != nil && !v.deleted {
		t.put(&version{cf: cf, key: v.key, seq: seq, deleted: true})
	}
}

func (t *versions) put(v *version) {
	if old := t.newest(v.cf, v.key, v.seq); old != nil {
		if !old.deleted {
			t.live -= old.size()
		}
		if old.seq < v.seq && !old.deleted {
			t.garbage = append(t.garbage, superseded{old, v.seq})
		}
	}
	if v.deleted { // once nobody needs what it hides, it need not hide anything
		t.garbage = append(t.garbage, superseded{v, v.seq})
	} else {
		t.live += v.size()
	}
	t.tree.ReplaceOrInsert(v)
}

// collect drops what no snapshot numbered >= oldest needs.
func (t *versions) collect(oldest uint64) {
	for len(t.garbage) > 0 && t.garbage[0].since <= oldest {
		if v := t.garbage[0].v; t.tree.Get(v) == llrb.Item(v) { // else a later operation of its batch replaced it
			t.tree.Delete(v)
		}
		t.garbage[0].v = nil
		t.garbage = t.garbage[1:]
	}
}

// newest returns the version of key that a snapshot numbered seq sees, also if it is a deletion, or nil.
func (t *versions) newest(cf engine.CF, key []byte, seq uint64) (found *version) {
	t.tree.AscendGreaterOrEqual(&version{cf: cf, key: key, seq: seq}, func(i llrb.Item) bool {
		if v := i.(*version); v.cf == cf && bytes.Equal(v.key, key) {
			found = v
		}
		return false
	})
	return found
}

// atOrAfter returns the first pair at or after key that a snapshot numbered seq sees, or nil.
func (t *versions) atOrAfter(cf engine.CF, key []byte, seq uint64) (found *version) {
	var decided *version // the newest visible version of the key we are at: older ones don't count
	t.tree.AscendGreaterOrEqual(&version{cf: cf, key: key, seq: math.MaxUint64}, func(i llrb.Item) bool {
		v := i.(*version)
		switch {
		case v.cf != cf:
			return false
		case v.seq > seq || decided != nil && bytes.Equal(v.key, decided.key):
			return true
		case v.deleted:
			decided = v
			return true
		}
		found = v
		return false
	})
	return found
}

// before returns the last pair before key that a snapshot numbered seq sees, or nil. With end it is the last pair
// of cf.
func (t *versions) before(cf engine.CF, key []byte, end bool, seq uint64) *version {
	pivot := &version{cf: cf, key: key, seq: math.MaxUint64} // sorts before every version of key
	if end {
		pivot = &version{cf: cf + 1, seq: math.MaxUint64}
	}
	var found *version // the newest visible version so far of the key we are at: downwards, older ones come first
	t.tree.DescendLessOrEqual(pivot, func(i llrb.Item) bool {
		v := i.(*version)
		if v.cf != cf || found != nil && !found.deleted && !bytes.Equal(v.key, found.key) {
			return false
		}
		if v.seq <= seq {
			found = v
		}
		return true
	})
	if found != nil && found.deleted {
		return nil
	}
	return found
}

// successor is the least key above key.
func successor(key []byte) []byte { return append(bytes.Clone(key), 0) }

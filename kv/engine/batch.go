// Batch is what is written: a list of operations that an engine applies as one.

package engine

import (
	"fmt"
	"iter"
	"slices"
)

// OpKind says what an operation of a batch does.
type OpKind uint8

// The operations. Their numbers are part of the encoded batch.
const (
	OpPut         OpKind = iota + 1 // set Key to Value
	OpDelete                        // remove Key; not an error if it has no value
	OpDeleteRange                   // remove every key in [Key, Value); an empty Value means "to the last key"
)

// Op is one operation. For OpDeleteRange, Key is the start and Value the end of the range.
type Op struct {
	Kind       OpKind
	CF         CF
	Key, Value []byte
}

// Batch collects operations without touching any engine, so code that decides can return one as its result. The
// zero value is an empty batch. It copies what it is given. It is not safe for use by several goroutines at once.
type Batch struct {
	ops  []Op
	size int
}

// Put sets key to value in cf. An empty value is a value.
func (b *Batch) Put(cf CF, key, value []byte) {
	b.add(Op{OpPut, cf, clone(key), clone(value)})
}

// Delete removes key from cf.
func (b *Batch) Delete(cf CF, key []byte) {
	b.add(Op{OpDelete, cf, clone(key), nil})
}

// DeleteRange removes every key of cf in [start, end). An empty end means "to the last key". An inverted range
// removes nothing.
func (b *Batch) DeleteRange(cf CF, start, end []byte) {
	b.add(Op{OpDeleteRange, cf, clone(start), clone(end)})
}

// Append adds the operations of other behind those of b. The two share the bytes of keys and values, which nobody
// changes.
func (b *Batch) Append(other *Batch) {
	b.ops = append(b.ops, other.ops...)
	b.size += other.size
}

// Len is the number of operations.
func (b *Batch) Len() int { return len(b.ops) }

// Size is what the batch costs in bytes: the lengths of all keys and values, and OpOverhead for each operation.
// MaxBatchSize bounds it.
func (b *Batch) Size() int { return b.size }

// Check tells whether every engine would accept the batch: ErrEmptyKey, ErrTooLarge, ErrUnknownCF, or nil. Engines
// call it before they touch anything; whoever makes batches out of foreign input may call it to find the fault
// early.
func (b *Batch) Check() error {
	if b.size > MaxBatchSize {
		return fmt.Errorf("%w: batch of %d bytes, the limit is %d", ErrTooLarge, b.size, MaxBatchSize)
	}
	for i, op := range b.ops {
		if err := op.check(); err != nil {
			return fmt.Errorf("operation %d of the batch: %w", i, err)
		}
	}
	return nil
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() { clear(b.ops); b.ops = b.ops[:0]; b.size = 0 }

// Ops yields the operations in the order they were added. The slices belong to the batch: do not change or keep them.
func (b *Batch) Ops() iter.Seq[Op] {
	return func(yield func(Op) bool) {
		for _, op := range b.ops {
			if !yield(op) {
				return
			}
		}
	}
}

// Take adds an operation without copying its bytes: the caller gives them away, and nobody may change them any more.
func (b *Batch) Take(op Op) { b.add(op) }

// Grow makes room for n more operations.
func (b *Batch) Grow(n int) { b.ops = slices.Grow(b.ops, n) }

func (b *Batch) add(op Op) {
	b.ops = append(b.ops, op)
	b.size += len(op.Key) + len(op.Value) + OpOverhead
}

func (op Op) check() error {
	if op.CF >= numCFs {
		return fmt.Errorf("%w: %v", ErrUnknownCF, op.CF)
	}
	if len(op.Key) > MaxKeySize {
		return fmt.Errorf("%w: key of %d bytes, the limit is %d", ErrTooLarge, len(op.Key), MaxKeySize)
	}
	if op.Kind == OpDeleteRange {
		if len(op.Value) > MaxKeySize {
			return fmt.Errorf("%w: end of range of %d bytes, the limit is %d", ErrTooLarge, len(op.Value), MaxKeySize)
		}
		return nil
	}
	if len(op.Key) == 0 {
		return ErrEmptyKey
	}
	if len(op.Value) > MaxValueSize {
		return fmt.Errorf("%w: value of %d bytes, the limit is %d", ErrTooLarge, len(op.Value), MaxValueSize)
	}
	return nil
}

func clone(p []byte) []byte { return append([]byte{}, p...) }

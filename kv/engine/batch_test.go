package engine

import (
	"errors"
	"slices"
	"testing"
)

func TestBatchCopiesWhatItIsGiven(t *testing.T) {
	key, value := []byte("key"), []byte("value")
	var b Batch
	b.Put(Default, key, value)
	b.DeleteRange(Lock, key, value)
	key[0], value[0] = 'x', 'x'
	for op := range b.Ops() {
		if string(op.Key) != "key" || string(op.Value) != "value" {
			t.Errorf("after the caller changed its slices the batch holds %q %q", op.Key, op.Value)
		}
	}
}

func TestBatchCountsWhatItCosts(t *testing.T) {
	var b Batch
	b.Put(Write, []byte("abc"), []byte("12"))
	b.Delete(Write, []byte("abc"))
	if want := 3 + 2 + 3 + 2*OpOverhead; b.Size() != want || b.Len() != 2 {
		t.Errorf("size %d and %d operations, want %d and 2", b.Size(), b.Len(), want)
	}
	b.Reset()
	if b.Size() != 0 || b.Len() != 0 || len(slices.Collect(b.Ops())) != 0 {
		t.Errorf("after Reset: size %d, %d operations", b.Size(), b.Len())
	}
}

func TestBatchCheck(t *testing.T) {
	long := make([]byte, MaxKeySize+1)
	for _, c := range []struct {
		name string
		fill func(*Batch)
		want error
	}{
		{"empty batch", func(b *Batch) {}, nil},
		{"longest key", func(b *Batch) { b.Put(Default, long[1:], nil) }, nil},
		{"key too long", func(b *Batch) { b.Put(Default, long, nil) }, ErrTooLarge},
		{"key to delete too long", func(b *Batch) { b.Delete(Default, long) }, ErrTooLarge},
		{"start of range too long", func(b *Batch) { b.DeleteRange(Default, long, nil) }, ErrTooLarge},
		{"end of range too long", func(b *Batch) { b.DeleteRange(Default, nil, long) }, ErrTooLarge},
		{"range over everything", func(b *Batch) { b.DeleteRange(Default, nil, nil) }, nil},
		{"largest value", func(b *Batch) { b.Put(Default, []byte("k"), make([]byte, MaxValueSize)) }, nil},
		{"value too large", func(b *Batch) { b.Put(Default, []byte("k"), make([]byte, MaxValueSize+1)) }, ErrTooLarge},
		{"batch too large", func(b *Batch) {
			for range 3 {
				b.Put(Default, []byte("k"), make([]byte, MaxBatchSize/3))
			}
		}, ErrTooLarge},
		{"empty key", func(b *Batch) { b.Put(Default, nil, []byte("v")) }, ErrEmptyKey},
		{"empty key to delete", func(b *Batch) { b.Delete(Default, []byte{}) }, ErrEmptyKey},
		{"unknown family", func(b *Batch) { b.Put(numCFs, []byte("k"), nil) }, ErrUnknownCF},
	} {
		var b Batch
		b.Put(Default, []byte("good"), nil)
		c.fill(&b)
		if err := b.Check(); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestParseCF(t *testing.T) {
	for _, cf := range []CF{Default, Lock, Write} {
		if got, err := ParseCF(cf.String()); err != nil || got != cf {
			t.Errorf("ParseCF(%q): got %v and %v", cf.String(), got, err)
		}
	}
	if got, err := ParseCF(""); err != nil || got != Default {
		t.Errorf("ParseCF of the empty name: got %v and %v, want default", got, err)
	}
	for _, name := range []string{"defualt", Meta.String()} {
		if _, err := ParseCF(name); !errors.Is(err, ErrUnknownCF) {
			t.Errorf("ParseCF(%q): got %v, want ErrUnknownCF", name, err)
		}
	}
}

//go:build cgo

// With the engine that this is for.

package inparts

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/badger"
	"tinykv/kv/engine/enginetest"
)

func TestConformanceOfBadger(t *testing.T) {
	enginetest.Run(t, func(t testing.TB) enginetest.Open {
		dir := enginetest.MemoryDir(t)
		return func() (engine.Engine, error) {
			inner, err := badger.Open(dir, badger.Options{NoCompaction: true})
			if err != nil {
				return nil, err
			}
			return New(inner), nil
		}
	})
}

// A transaction of badger's has room for 1023 keys of 16 KiB.
func TestBadgerDeletesMoreKeysThanATransactionHolds(t *testing.T) {
	const perFamily = 700
	inner, err := badger.Open(enginetest.MemoryDir(t), badger.Options{NoCompaction: true})
	if err != nil {
		t.Fatal(err)
	}
	e := New(inner)
	defer e.Close()
	families := []engine.CF{engine.Default, engine.Lock, engine.Write}
	fillLong(t, e, families, perFamily)
	b := &engine.Batch{}
	for _, cf := range families { // each could be deleted by itself
		b.DeleteRange(cf, []byte("b"), []byte("c"))
	}
	b.Put(engine.Meta, []byte("applied"), []byte("1"))
	if err := e.Write(b, engine.Buffered); err != nil {
		t.Fatal(err)
	}
	for _, cf := range families {
		wantState(t, e, cf, "a=", "c=")
	}
	wantState(t, e, engine.Meta, "applied=1")

	fillLong(t, e, families[:1], 2*perFamily)
	one := &engine.Batch{}
	one.DeleteRange(engine.Default, nil, nil)
	if err := inner.Write(one, engine.Buffered); !errors.Is(err, engine.ErrTooLarge) {
		t.Fatalf("badger itself: got %v, want ErrTooLarge, or there is no need for this package", err)
	}
	if err := e.Write(one, engine.Buffered); err != nil {
		t.Fatal(err)
	}
	wantState(t, e, engine.Default)
}

// fillLong writes a, c, and between them keys of the greatest length.
func fillLong(t *testing.T, e engine.Engine, families []engine.CF, keys int) {
	t.Helper()
	for _, cf := range families {
		b := &engine.Batch{}
		b.Put(cf, []byte("a"), nil)
		b.Put(cf, []byte("c"), nil)
		for i := range keys {
			b.Put(cf, fmt.Appendf(bytes.Repeat([]byte("b"), engine.MaxKeySize-8), "%08d", i), nil)
			if b.Size() > engine.MaxBatchSize/2 || i == keys-1 {
				if err := e.Write(b, engine.Buffered); err != nil {
					t.Fatal(err)
				}
				b.Reset()
			}
		}
	}
}

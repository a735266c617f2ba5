package command

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/region"
)

func batch(ops ...engine.Op) *engine.Batch {
	b := &engine.Batch{}
	for _, op := range ops {
		b.Take(op)
	}
	return b
}

var samples = map[string]Command{
	"empty write": Write{Batch: &engine.Batch{}},
	"write of every kind": Write{
		Epoch: region.Epoch{ConfVer: 3, Version: 1 << 40},
		Batch: batch(
			engine.Op{Kind: engine.OpPut, CF: engine.Default, Key: []byte("k"), Value: bytes.Repeat([]byte("v"), 300)},
			engine.Op{Kind: engine.OpPut, CF: engine.Write, Key: []byte{0, 255}, Value: []byte{}},
			engine.Op{Kind: engine.OpDelete, CF: engine.Lock, Key: []byte("gone")},
			engine.Op{Kind: engine.OpDeleteRange, CF: engine.Default, Key: []byte("a"), Value: []byte("b")},
			engine.Op{Kind: engine.OpDeleteRange, CF: engine.Default, Key: []byte{}, Value: []byte{}},
		),
	},
	"compaction": CompactLog{Index: 1 << 60, Term: 7},
}

func encode(t testing.TB, c Command) []byte {
	t.Helper()
	data, err := Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// opsOf makes commands comparable: a batch's own memory is not part of what it says.
func opsOf(c Command) (Command, []engine.Op) {
	w, ok := c.(Write)
	if !ok {
		return c, nil
	}
	ops := slices.Collect(w.Batch.Ops())
	w.Batch = nil
	return w, ops
}

func TestDecodeGivesBackWhatWasEncoded(t *testing.T) {
	for name, want := range samples {
		got, err := Decode(encode(t, want))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		gotHead, gotOps := opsOf(got)
		wantHead, wantOps := opsOf(want)
		if !reflect.DeepEqual(gotHead, wantHead) || !reflect.DeepEqual(gotOps, wantOps) {
			t.Errorf("%s: got %v %v, want %v %v", name, gotHead, gotOps, wantHead, wantOps)
		}
	}
}

func TestDamageIsSeen(t *testing.T) {
	for name, c := range samples {
		data := encode(t, c)
		for i := range data {
			if _, err := Decode(data[:i]); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s cut to %d bytes: %v", name, i, err)
			}
			for bit := range 8 {
				flipped := bytes.Clone(data)
				flipped[i] ^= 1 << bit
				if _, err := Decode(flipped); err == nil {
					t.Errorf("%s with bit %d of byte %d flipped: no error", name, bit, i)
				}
				if err := Check(flipped); err == nil {
					t.Errorf("%s with bit %d of byte %d flipped: Check finds nothing", name, bit, i)
				}
			}
		}
	}
}

func TestNewerVersionIsNamed(t *testing.T) {
	data := encode(t, CompactLog{Index: 1})
	data[0] = version + 1
	if _, err := Decode(data); !errors.Is(err, ErrNewer) {
		t.Errorf("got %v, want ErrNewer", err)
	}
}

func TestWhatNoEngineTakesIsRefused(t *testing.T) {
	for name, op := range map[string]engine.Op{
		"unknown family": {Kind: engine.OpPut, CF: 9, Key: []byte("k")},
		"unknown kind":   {Kind: 9, Key: []byte("k")},
		"empty key":      {Kind: engine.OpPut},
		"large key":      {Kind: engine.OpPut, Key: make([]byte, engine.MaxKeySize+1)},
		"delete of what": {Kind: engine.OpDelete, Key: []byte("k"), Value: []byte("v")},
	} {
		if _, err := Decode(encode(t, Write{Batch: batch(op)})); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: got %v, want ErrCorrupt", name, err)
		}
	}
}

func TestLargestCommandFitsAndLargerIsRefused(t *testing.T) {
	put := func(size int) Write {
		return Write{Batch: batch(engine.Op{Kind: engine.OpPut, Key: []byte("k"), Value: make([]byte, size)})}
	}
	most := MaxSize - (len(encode(t, put(MaxSize-100))) - (MaxSize - 100))
	data := encode(t, put(most))
	if len(data) != MaxSize {
		t.Fatalf("the command has %d bytes, want %d", len(data), MaxSize)
	}
	if _, err := Decode(data); err != nil {
		t.Error(err)
	}
	if _, err := Encode(put(most + 1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

func TestDecodedBatchSharesTheEntrysMemory(t *testing.T) {
	data := encode(t, samples["write of every kind"])
	c, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	for op := range c.(Write).Batch.Ops() {
		if len(op.Key) > 0 && !within(op.Key, data) || len(op.Value) > 0 && !within(op.Value, data) {
			t.Errorf("%v was copied", op)
		}
		if cap(op.Key) > len(op.Key) || cap(op.Value) > len(op.Value) {
			t.Error("an append to a key or a value would write into the entry")
		}
	}
}

func within(part, whole []byte) bool {
	for i := range whole {
		if &whole[i] == &part[0] {
			return true
		}
	}
	return false
}

func TestMemoryIsAskedForOnce(t *testing.T) {
	var c Command = samples["write of every kind"]
	var data []byte
	if n := testing.AllocsPerRun(100, func() { data, _ = Encode(c) }); n > 1 {
		t.Errorf("Encode: %v allocations, want 1", n)
	}
	// The batch, its list of operations, the command itself.
	if n := testing.AllocsPerRun(100, func() { _, _ = Decode(data) }); n > 3 {
		t.Errorf("Decode: %v allocations, want at most 3", n)
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range samples {
		f.Add(encode(f, c))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Decode(data)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewer) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		if again := encode(t, c); !bytes.Equal(again, data) {
			t.Errorf("%x decodes to what encodes as %x", data, again)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	var c Command = Write{Batch: batch(engine.Op{Kind: engine.OpPut, Key: make([]byte, 16), Value: make([]byte, 256)})}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = Encode(c)
	}
}

func BenchmarkDecode(b *testing.B) {
	c := Write{Batch: batch(engine.Op{Kind: engine.OpPut, Key: make([]byte, 16), Value: make([]byte, 256)})}
	data := encode(b, c)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = Decode(data)
	}
}

// An engine that can't delete much at once is no obstacle.

package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/badger"
)

func TestInstallingDeletesMoreThanBadgerDeletesAtOnce(t *testing.T) {
	if !badger.Built {
		t.Skip("badger needs a C compiler")
	}
	e, err := badger.Open(filepath.Join(t.TempDir(), "badger"), badger.Options{})
	must(t, err)
	defer e.Close()
	var b engine.Batch
	long := bytes.Repeat([]byte{'-'}, engine.MaxKeySize-8)
	for i := range 1200 {
		b.Put(engine.Lock, append(fmt.Appendf(nil, "k%07d", i), long...), nil)
		if b.Size() > engine.MaxBatchSize/2 {
			must(t, e.Write(&b, engine.Buffered))
			b.Reset()
		}
	}
	b.Put(engine.Lock, []byte("z"), nil)
	must(t, e.Write(&b, engine.Buffered))
	var whole engine.Batch
	whole.DeleteRange(engine.Lock, []byte("k"), []byte("l"))
	if err := e.Write(&whole, engine.Buffered); !errors.Is(err, engine.ErrTooLarge) {
		t.Fatalf("badger deletes all of it at once (%v): the test reaches nothing", err)
	}

	var sent engine.Batch
	sent.Put(engine.Default, []byte("k1"), []byte("new"))
	h := headOf(span("k", "l"))
	spool := NewMemory(random(1))
	name, _, err := receive(spool, wanted(), chunksOf(t, NewSource(snapshotOf(t, newEngine(t, &sent)), h, 0))...)
	must(t, err)
	data, err := e.Snapshot()
	must(t, err)
	defer data.Close()
	install(t, installer(t, spool, name, h, data), e, 100)
	inside, outside := contents(t, e, h.Region.Range)
	if !slices.Equal(inside, []string{`default "k1"="new"`}) || len(outside) != 2 {
		t.Errorf("inside %q, outside %q", inside, outside)
	}
}

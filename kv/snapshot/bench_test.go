// How fast a region is read, received and installed, on pebble.

package snapshot

import (
	"io"
	"path/filepath"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/pebble"
)

// benchBytes is the size of the region: that of an ordinary one.
const benchBytes = 96 << 20

// benchStore is pebble with a region in it: values of 1 KiB.
func benchStore(b *testing.B) engine.Engine {
	e, err := pebble.Open(filepath.Join(b.TempDir(), "pebble"), pebble.Options{Unlogged: true})
	must(b, err)
	b.Cleanup(func() { e.Close() })
	rng := random(1)
	var batch engine.Batch
	for written := 0; written < benchBytes; written += 1 << 10 {
		batch.Put(families[rng.IntN(3)], randomBytes(rng, 20), randomBytes(rng, 1<<10))
		if batch.Size() > BatchBytes {
			must(b, e.Write(&batch, engine.Buffered))
			batch.Reset()
		}
	}
	must(b, e.Write(&batch, engine.Synced))
	return e
}

func BenchmarkSource(b *testing.B) {
	snap := snapshotOf(b, benchStore(b))
	b.SetBytes(benchBytes)
	for b.Loop() {
		source := NewSource(snap, headOf(span("", "")), 0)
		for {
			if _, err := source.Next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkReceiver(b *testing.B) {
	chunks := chunksOf(b, NewSource(snapshotOf(b, benchStore(b)), headOf(span("", "")), 0))
	d, err := OpenDirectory(filepath.Join(b.TempDir(), "snapshots"))
	must(b, err)
	b.SetBytes(benchBytes)
	for b.Loop() {
		name, _, err := receive(d, wanted(), chunks...)
		must(b, err)
		must(b, d.Remove(name))
	}
}

// BenchmarkInstaller installs over an older state of the same region, and waits until it is durable.
func BenchmarkInstaller(b *testing.B) {
	e := benchStore(b)
	h := headOf(span("", ""))
	d, err := OpenDirectory(filepath.Join(b.TempDir(), "snapshots"))
	must(b, err)
	name, _, err := receive(d, wanted(), chunksOf(b, NewSource(snapshotOf(b, e), h, 0))...)
	must(b, err)
	b.SetBytes(benchBytes)
	for b.Loop() {
		file, err := d.Open(name)
		must(b, err)
		data, err := e.Snapshot()
		must(b, err)
		in := NewInstaller(file, h, data, records())
		for {
			batch, err := in.Next()
			if err == io.EOF {
				break
			}
			must(b, err)
			must(b, e.Write(batch, engine.Buffered))
		}
		must(b, e.Write(&engine.Batch{}, engine.Synced))
		must(b, data.Close())
		must(b, file.Close())
	}
}

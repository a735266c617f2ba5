// Foreign bytes never panic, and what passes keeps the rules.

package snapshot

import (
	"bytes"
	"io"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/region"
)

// FuzzStream plays a sender that computes all checksums right: bytes are cut into chunks of any kind, behind a right head. What
// a Receiver accepts, an Installer installs, and only keys of the region are written.
func FuzzStream(f *testing.F) {
	_, chunks, _ := smallStream(f)
	var whole []byte
	for _, c := range chunks[1:] {
		k, _, body, err := c.open()
		must(f, err)
		whole = append(append(whole, byte(k), byte(len(body))), body...)
	}
	f.Add(whole)
	f.Add([]byte{byte(kindPairs), 3, 0, 1, 0, byte(kindEnd), 0})
	h := headOf(span("k1", "k8"))
	encoded, err := EncodeHead(h)
	must(f, err)
	f.Fuzz(func(t *testing.T, script []byte) {
		spool := NewMemory(random(1))
		r := NewReceiver(spool, wanted())
		defer r.Close()
		complete, err := r.Accept(craft(kindHead, 0, encoded))
		for number := uint32(1); err == nil && !complete; number++ {
			if len(script) < 2 {
				complete, err = r.Accept(craft(kindEnd, number, r.verifier.totals.appendBody(nil)))
				continue
			}
			k, n := kind(script[0]), min(int(script[1]), len(script)-2)
			complete, err = r.Accept(craft(k, number, script[2:2+n]))
			script = script[2+n:]
		}
		if err != nil {
			if !isRefusal(err) {
				t.Fatalf("an undocumented error: %v", err)
			}
			mustBeEmpty(t, spool)
			return
		}
		mustStayInside(t, spool, r.Name(), h)
	})
}

// mustStayInside demands that installing a spool succeeds and puts nothing outside of the region.
func mustStayInside(t *testing.T, spool Spool, name string, h Head) {
	t.Helper()
	in := installer(t, spool, name, h, snapshotOf(t, newEngine(t, &engine.Batch{})))
	for {
		b, err := in.Next()
		if err == io.EOF {
			return
		}
		must(t, err)
		must(t, b.Check())
		for op := range b.Ops() {
			if op.CF != engine.Meta && !h.Region.Range.Contains(op.Key) {
				t.Fatalf("%v key %q is outside of %v", op.CF, op.Key, h.Region.Range)
			}
		}
	}
}

// FuzzSpool installs any bytes: an error, or the snapshot itself.
func FuzzSpool(f *testing.F) {
	h, chunks, _ := smallStream(f)
	whole := spoolBytes(chunks)
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		in := NewInstaller(bytes.NewReader(data), h, &endless{}, records())
		for {
			_, err := in.Next()
			if err == io.EOF {
				return
			}
			if err != nil {
				if !isRefusal(err) {
					t.Fatalf("an undocumented error: %v", err)
				}
				return
			}
		}
	})
}

// FuzzChunk gives a Receiver any bytes, as a first chunk and as a second.
func FuzzChunk(f *testing.F) {
	_, chunks, _ := smallStream(f)
	for _, c := range chunks[:3] {
		f.Add([]byte(c))
	}
	encoded, err := EncodeHead(headOf(region.Range{}))
	must(f, err)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, before := range [][]Chunk{{}, {craft(kindHead, 0, encoded)}} {
			_, _, err := receive(NewMemory(random(1)), wanted(), append(before, data)...)
			if err != nil && !isRefusal(err) {
				t.Fatalf("an undocumented error: %v", err)
			}
		}
	})
}

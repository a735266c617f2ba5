// What a request that decides on a snapshot promises when leaders change, and what is said of a write whose fate nobody
// knows.

package server

import (
	"context"
	"strings"
	"sync"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/region"
	"tinykv/kv/region/regionpb"
	"tinykv/proto/kvrpcpb"
)

// terms is a storage whose snapshots know a term, and that writes in the present term only.
type terms struct {
	plain

	mu      sync.Mutex // guards all below
	now     uint64
	written []uint64 // the terms that writes asked for
	write   error    // answers the next write
}

type termedSnapshot struct {
	engine.Snapshot
	term uint64
}

func (s termedSnapshot) Term() uint64 { return s.term }

func (s *terms) Snapshot(ctx context.Context, rc *kvrpcpb.Context) (engine.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	snap, err := s.plain.Snapshot(ctx, rc)
	return termedSnapshot{snap, s.now}, err
}

func (s *terms) Write(ctx context.Context, rc *kvrpcpb.Context, b *engine.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written = append(s.written, rc.GetTerm())
	if err := s.write; err != nil {
		s.write = nil
		return err
	}
	if rc.GetTerm() != 0 && rc.GetTerm() != s.now {
		return &region.StaleCommandError{}
	}
	return s.plain.Write(ctx, rc, b)
}

func TestWhatWasDecidedInOneTermIsWrittenInNoOther(t *testing.T) {
	disk, _ := newPlain(t)
	storage := &terms{plain: disk, now: 7}
	d := open(t, storage, Options{})
	rc := &kvrpcpb.Context{RegionId: 4, ClusterId: 9}
	if _, err := d.kv.RawPut(d.ctx(), &kvrpcpb.RawPutRequest{Context: rc, Key: []byte("k"), Value: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	swap := &kvrpcpb.RawCASRequest{Context: rc, Key: []byte("k"), PreviousValue: []byte("1"), Value: []byte("2")}
	if got, err := d.kv.RawCompareAndSwap(d.ctx(), swap); err != nil || !got.Succeed {
		t.Fatalf("%v, %v", got, err)
	}
	if len(storage.written) != 2 || storage.written[0] != 0 || storage.written[1] != 7 {
		t.Errorf("the writes asked for the terms %v, want none for the put and 7 for the swap", storage.written)
	}

	err := d.server.change(d.ctx(), rc, "", [][]byte{[]byte("k")},
		func(engine.Snapshot, engine.CF) (*engine.Batch, error) {
			storage.mu.Lock()
			storage.now++ // another leader comes between the look and the write
			storage.mu.Unlock()
			b := &engine.Batch{}
			b.Put(engine.Default, []byte("k"), []byte("3"))
			return b, nil
		})
	if e := regionError(err); e.GetStaleCommand() == nil {
		t.Errorf("a write in another term than that of its snapshot: %v", err)
	}
}

func TestTheSweepIsNotBoundToTheTermOfItsFirstStep(t *testing.T) {
	disk, _ := newPlain(t)
	storage := &terms{plain: disk, now: 1}
	c := &clock{}
	c.seconds.Store(1000)
	d := open(t, storage, Options{Now: c.now})
	rc := &kvrpcpb.Context{RegionId: 4}
	for _, key := range []string{"a", "b"} {
		req := &kvrpcpb.RawPutRequest{Context: rc, Key: []byte(key), Value: []byte("1"), Ttl: 5}
		if _, err := d.kv.RawPut(d.ctx(), req); err != nil {
			t.Fatal(err)
		}
	}
	c.seconds.Add(10)
	for term := range uint64(2) { // a sweep in each term, with the same context
		storage.now = term + 1
		if _, err := d.server.SweepExpired(d.ctx(), rc); err != nil {
			t.Errorf("the sweep in term %d: %v", storage.now, err)
		}
	}
	if rc.GetTerm() != 0 {
		t.Errorf("the sweep bound the context of its caller to term %d", rc.GetTerm())
	}
}

func TestAWriteOfUnknownFateIsSaidToBeOneAndNotToBeSentAgain(t *testing.T) {
	disk, _ := newPlain(t)
	storage := &terms{plain: disk}
	d := open(t, storage, Options{})
	storage.write = &region.UndeterminedError{Reason: "the leader stepped down"}
	resp, err := d.kv.RawPut(d.ctx(), &kvrpcpb.RawPutRequest{Key: []byte("k"), Value: []byte("v")})
	if err != nil || resp.RegionError != nil || !regionpb.IsUndetermined(resp.Error) ||
		!strings.Contains(resp.Error, "stepped down") {
		t.Errorf("%v, %v: a region error would make clients send it again", resp, err)
	}
	storage.write = &region.UndeterminedError{}
	stream := d.stream()
	send(t, stream, 1, putRequest("k", "v"))
	answers, _ := receive(t, stream, 1)
	if text := answers[1].GetRawPut().GetError(); !regionpb.IsUndetermined(text) {
		t.Errorf("in a frame it is %v", answers[1])
	}
}

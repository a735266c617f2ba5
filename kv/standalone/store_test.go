package standalone

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
	"tinykv/kv/region"
	"tinykv/proto/kvrpcpb"
	"tinykv/proto/metapb"
)

var (
	me   = region.Peer{ID: 3, StoreID: 1}
	held = region.Region{
		ID: 2, Range: region.Range{Start: []byte("b"), End: []byte("m")},
		Epoch: region.Epoch{ConfVer: 1, Version: 4}, Peers: []region.Peer{me},
	}
)

func newStore(t *testing.T) *Store {
	t.Helper()
	e, err := mem.Open(mem.NewDisk(rand.New(rand.NewPCG(1, 0)), mem.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	s := New(e, Options{ClusterID: 7, Peer: me, Region: held})
	t.Cleanup(func() {
		s.Close()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// asked is a right request's context, changed.
func asked(change func(*kvrpcpb.Context)) *kvrpcpb.Context {
	rc := &kvrpcpb.Context{
		ClusterId: 7, RegionId: 2, RegionEpoch: &metapb.RegionEpoch{ConfVer: 1, Version: 4},
		Peer: &metapb.Peer{Id: 3, StoreId: 1},
	}
	change(rc)
	return rc
}

func TestRequestsWithAWrongPictureAreCorrected(t *testing.T) {
	s := newStore(t)
	for _, c := range []struct {
		name   string
		change func(*kvrpcpb.Context)
		want   error
	}{
		{"right", func(*kvrpcpb.Context) {}, nil},
		{"an old client names no cluster", func(rc *kvrpcpb.Context) { rc.ClusterId = 0 }, nil},
		{"a simple client names no peer", func(rc *kvrpcpb.Context) { rc.Peer = nil }, nil},
		{"other cluster", func(rc *kvrpcpb.Context) { rc.ClusterId = 8 }, &ClusterError{8, 7}},
		{"other store", func(rc *kvrpcpb.Context) { rc.Peer.StoreId = 9 }, &region.StoreNotMatchError{Requested: 9, Actual: 1}},
		{"other region", func(rc *kvrpcpb.Context) { rc.RegionId = 5 }, &region.NotFoundError{RegionID: 5}},
		{"no region", func(rc *kvrpcpb.Context) { rc.RegionId = 0 }, &region.NotFoundError{}},
		{"other peer", func(rc *kvrpcpb.Context) { rc.Peer.Id = 4 }, &region.PeerNotMatchError{Requested: 4, Actual: 3}},
		{"older", func(rc *kvrpcpb.Context) { rc.RegionEpoch.Version = 3 },
			&region.EpochNotMatchError{Current: []region.Region{held}}},
		{"newer", func(rc *kvrpcpb.Context) { rc.RegionEpoch.Version = 5 },
			&region.EpochNotMatchError{Current: []region.Region{held}}},
		{"no epoch", func(rc *kvrpcpb.Context) { rc.RegionEpoch = nil },
			&region.EpochNotMatchError{Current: []region.Region{held}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rc := asked(c.change)
			snap, err := s.Snapshot(t.Context(), rc)
			if !reflect.DeepEqual(err, c.want) {
				t.Errorf("Snapshot: %v, want %v", err, c.want)
			}
			if err == nil {
				snap.Close()
			}
			if err := s.Write(t.Context(), rc, batchOf("c", 1)); !reflect.DeepEqual(err, c.want) {
				t.Errorf("Write: %v, want %v", err, c.want)
			}
		})
	}
}

func TestWritesBeyondTheRegionAreRefused(t *testing.T) {
	s := newStore(t)
	for _, c := range []struct {
		start, end string // of a range to delete; or only a key to put
		ranged     bool
		inside     bool
	}{
		{start: "b", inside: true}, {start: "lzz", inside: true}, {start: "a"}, {start: "m"}, {start: "z"},
		{"b", "m", true, true}, {"c", "d", true, true}, {"z", "y", true, true}, {"a", "c", true, false},
		{"c", "n", true, false}, {"c", "", true, false}, {"", "c", true, false},
	} {
		b := &engine.Batch{}
		b.Put(engine.Default, []byte("c"), nil)
		if c.ranged {
			b.DeleteRange(engine.Default, []byte(c.start), []byte(c.end))
		} else {
			b.Put(engine.Lock, []byte(c.start), nil)
		}
		var outside *region.KeyNotInRegionError
		switch err := s.Write(t.Context(), s.Contexts()[0], b); {
		case c.inside && err != nil:
			t.Errorf("[%q, %q): %v, want it written", c.start, c.end, err)
		case !c.inside && !errors.As(err, &outside):
			t.Errorf("[%q, %q): %v, want KeyNotInRegionError", c.start, c.end, err)
		}
	}
}

func TestEndedContextsAreHeard(t *testing.T) {
	s := newStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Snapshot(ctx, s.Contexts()[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("Snapshot: %v", err)
	}
	if err := s.Write(ctx, s.Contexts()[0], &engine.Batch{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Write of nothing: %v", err)
	}
}

func TestBatchesThatNoEngineTakesAreRefusedAlone(t *testing.T) {
	s := newStore(t)
	for _, c := range []struct {
		batch *engine.Batch
		want  error
	}{
		{batchOf("c", engine.MaxValueSize+1), engine.ErrTooLarge},
		{batchOf("c"+string(make([]byte, engine.MaxKeySize)), 0), engine.ErrTooLarge},
	} {
		if err := s.Write(t.Context(), s.Contexts()[0], c.batch); !errors.Is(err, c.want) {
			t.Errorf("got %v, want %v", err, c.want)
		}
	}
}

// What goes wrong on the way, one kind at a time: after each the call must succeed, with the picture corrected.

package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tinykv/kv/client"
	"tinykv/kv/region"
	"tinykv/proto/errorpb"
	"tinykv/proto/kvrpcpb"
	"tinykv/proto/metapb"
)

// regionErrors are the kinds that pass.
var regionErrors = map[string]*errorpb.Error{
	"not_leader without a hint":      {NotLeader: &errorpb.NotLeader{}},
	"not_leader with a foreign hint": {NotLeader: &errorpb.NotLeader{Leader: &metapb.Peer{Id: 999, StoreId: 9}}},
	"region_not_found":               {RegionNotFound: &errorpb.RegionNotFound{}},
	"key_not_in_region":              {KeyNotInRegion: &errorpb.KeyNotInRegion{}},
	"epoch_not_match without a hint": {EpochNotMatch: &errorpb.EpochNotMatch{}},
	"server_is_busy":                 {ServerIsBusy: &errorpb.ServerIsBusy{Reason: "test", BackoffMs: 1}},
	"stale_command":                  {StaleCommand: &errorpb.StaleCommand{}},
	"store_not_match":                {StoreNotMatch: &errorpb.StoreNotMatch{}},
	"read_index_not_ready":           {ReadIndexNotReady: &errorpb.ReadIndexNotReady{}},
	"proposal_in_merging_mode":       {ProposalInMergingMode: &errorpb.ProposalInMergingMode{}},
	"data_is_not_ready":              {DataIsNotReady: &errorpb.DataIsNotReady{}},
	"region_not_initialized":         {RegionNotInitialized: &errorpb.RegionNotInitialized{}},
	"max_timestamp_not_synced":       {MaxTimestampNotSynced: &errorpb.MaxTimestampNotSynced{}},
	"mismatch_peer_id":               {MismatchPeerId: &errorpb.MismatchPeerId{}},
	"disk_full":                      {DiskFull: &errorpb.DiskFull{}},
	"a kind from the future":         {Message: "something new"},
}

// failTimes lets the first n requests fail.
func failTimes(n int, regionErr *errorpb.Error, err error) func(uint64, string, *kvrpcpb.Context) (*errorpb.Error,
	error) {
	return func(uint64, string, *kvrpcpb.Context) (*errorpb.Error, error) {
		if n == 0 {
			return nil, nil
		}
		n--
		return regionErr, err
	}
}

func TestRegionErrorsThatPassAreRetried(t *testing.T) {
	for name, regionErr := range regionErrors {
		for _, batch := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/frames=%v", name, batch), func(t *testing.T) {
				t.Parallel() // most of the time is pauses
				w := newWorld(t, "m")
				c := w.client(t, client.Options{Batch: batch})
				kv, ctx := c.Raw(), t.Context()
				for what, call := range map[string]func() error{
					"put": func() error { return kv.Put(ctx, []byte("a"), []byte("1")) },
					"batch get": func() error {
						_, err := kv.BatchGet(ctx,
							[][]byte{[]byte("a"), []byte("z")})
						return err
					},
					"scan back": func() error {
						_, err := kv.Scan(ctx, client.ScanOptions{Reverse: true},
							10)
						return err
					},
					"compare&swap": func() error {
						_, err := kv.CompareAndSwap(ctx,
							client.Swap{Key: []byte("z")})
						return err
					},
				} {
					w.set(func() { w.fail = failTimes(2, regionErr, nil) })
					if err := call(); err != nil {
						t.Errorf("%s: %v", what, err)
					}
				}
			})
		}
	}
}

func TestALeaderHintIsFollowedWithoutTheScheduler(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, client.Options{})
	put := func() {
		t.Helper()
		if err := c.Raw().Put(t.Context(), []byte("a"), nil); err != nil {
			t.Fatal(err)
		}
	}
	put()
	w.set(func() { w.lookups, w.calls = 0, map[string]int{}; w.leaders[1] = 3 })
	put()
	put()
	if w.lookups != 0 || w.count("RawPut") != 3 {
		t.Errorf("%d lookups and %d requests, want none, and one more than two", w.lookups, w.count("RawPut"))
	}
}

func TestASplitIsLearnedFromTheStoreWithoutTheScheduler(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, client.Options{})
	fill(w, "abxyz")
	if _, _, err := c.Raw().Get(t.Context(), []byte("a")); err != nil {
		t.Fatal(err)
	}
	w.believe() // the scheduler has not heard of the split
	w.split("m", 2)
	w.split("y", 3)
	w.set(func() { w.lookups = 0 })
	got, err := c.Raw().BatchGet(t.Context(), [][]byte{[]byte("a"), []byte("x"), []byte("z")})
	if err != nil || fmt.Sprintf("%s", got) != "[A X Z]" {
		t.Errorf("%s, %v", got, err)
	}
	pairs, err := c.Raw().Scan(t.Context(), client.ScanOptions{Reverse: true}, 100)
	if err != nil || len(pairs) != 5 {
		t.Errorf("%v, %v", pairs, err)
	}
	if w.lookups != 0 {
		t.Errorf("%d lookups, want none", w.lookups)
	}
}

func TestASplitInTheMiddleOfAScanLosesAndRepeatsNothing(t *testing.T) {
	for _, reverse := range []bool{false, true} {
		w := newWorld(t)
		c := w.client(t, client.Options{})
		w.set(func() {
			for i := range 3000 {
				w.pairs[fmt.Sprintf("%05d", i)] = "v"
			}
		})
		n := 0
		for _, err := range c.Raw().All(t.Context(), client.ScanOptions{Reverse: reverse}) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n%1000 == 500 {
				w.split(fmt.Sprintf("%05d", n*7%3000), uint64(n))
			}
		}
		if n != 3000 {
			t.Errorf("reverse=%v: %d pairs, want 3000", reverse, n)
		}
	}
}

func TestADeadStoreIsLeftForThePeerThatTookOver(t *testing.T) {
	for _, batch := range []bool{false, true} {
		w := newWorld(t)
		c := w.client(t, client.Options{Batch: batch})
		if err := c.Raw().Put(t.Context(), []byte("a"), nil); err != nil {
			t.Fatal(err)
		}
		w.believe()
		w.set(func() {
			w.leaders[1] = 2
			w.fail = func(store uint64, _ string, _ *kvrpcpb.Context) (*errorpb.Error, error) {
				if store == 1 {
					return nil, status.Error(codes.Unavailable, "dead")
				}
				return nil, nil
			}
		})
		// Of a write that was sent nobody knows whether it happened; the next one knows the way already.
		if err := c.Raw().Put(t.Context(), []byte("a"), []byte("2")); !errors.Is(err, client.ErrUndetermined) {
			t.Errorf("frames=%v: %v", batch, err)
		}
		if err := c.Raw().Put(t.Context(), []byte("a"), []byte("3")); err != nil {
			t.Errorf("frames=%v: %v", batch, err)
		}
	}
}

func TestAWriteThatNeverLeftIsSentElsewhere(t *testing.T) {
	for _, batch := range []bool{false, true} {
		w := newWorld(t)
		c := w.client(t, client.Options{Batch: batch})
		w.believe()
		w.set(func() {
			w.leaders[1] = 2
			delete(w.listeners, storeAddr(1)) // connection refused
		})
		if err := c.Raw().Put(t.Context(), []byte("a"), []byte("2")); err != nil {
			t.Errorf("frames=%v: a put: %v", batch, err)
		}
		pairs := []client.Pair{{Key: []byte("b")}, {Key: []byte("c")}}
		if err := w.client(t, client.Options{Batch: batch}).Raw().BatchPut(t.Context(), pairs); err != nil {
			t.Errorf("frames=%v: a batch: %v", batch, err)
		}
		_, err := w.client(t, client.Options{Batch: batch}).Raw().CompareAndSwap(t.Context(), client.Swap{Key: []byte("d")})
		if err != nil {
			t.Errorf("frames=%v: compare and swap: %v", batch, err)
		}
	}
}

// An election: the leader is gone, the others send us back to it until they notice, then know nobody, then have another.
func TestAWriteOutlastsAnElection(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, client.Options{})
	asked := 0
	dead := &metapb.Peer{Id: 11, StoreId: 1}
	w.believe()
	w.set(func() {
		delete(w.listeners, storeAddr(1))
		w.leaders[1] = 3
		w.fail = func(uint64, string, *kvrpcpb.Context) (*errorpb.Error, error) {
			asked++
			switch {
			case asked <= 4:
				return &errorpb.Error{NotLeader: &errorpb.NotLeader{RegionId: 1, Leader: dead}}, nil
			case asked <= 8:
				return &errorpb.Error{NotLeader: &errorpb.NotLeader{RegionId: 1}}, nil
			}
			return nil, nil
		}
	})
	if err := c.Raw().Put(t.Context(), []byte("a"), []byte("2")); err != nil {
		t.Fatal(err)
	}
	if asked > 12 {
		t.Errorf("%d requests to the two stores that live, of which 8 were answered by none", asked)
	}
}

func TestAWriteThatTheStoreLostSightOfIsUndeterminedAndNotSentAgain(t *testing.T) {
	for _, batch := range []bool{false, true} {
		w := newWorld(t)
		w.lostSight = true
		c := w.client(t, client.Options{Batch: batch})
		err := c.Raw().Put(t.Context(), []byte("a"), []byte("2"))
		if !errors.Is(err, client.ErrUndetermined) || errors.Is(err, client.ErrRefused) || w.count("RawPut") != 1 {
			t.Errorf("frames=%v: %v, sent %d times", batch, err, w.count("RawPut"))
		}
	}
}

func TestACallThatCannotSucceedEndsWithItsContextAndSaysWhy(t *testing.T) {
	busy := &errorpb.Error{Message: "write stall", ServerIsBusy: &errorpb.ServerIsBusy{BackoffMs: 1 << 40}}
	w := newWorld(t)
	c := w.client(t, client.Options{})
	w.set(func() { w.fail = failTimes(1<<30, busy, nil) })
	for what, call := range map[string]func(context.Context) error{
		"put": func(ctx context.Context) error { return c.Raw().Put(ctx, []byte("a"), nil) },
		"batch put": func(ctx context.Context) error {
			return c.Raw().BatchPut(ctx,
				[]client.Pair{{Key: []byte("a")}})
		},
	} {
		err := call(short(t))
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "write stall") ||
			errors.Is(err, client.ErrUndetermined) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestALostWriteIsUndeterminedAndALostReadIsSentAgain(t *testing.T) {
	w := newWorld(t)
	kv := w.client(t, client.Options{}).Raw()
	for call, write := range map[string]func() error{
		"RawPut":         func() error { return kv.Put(t.Context(), []byte("a"), nil) },
		"RawDelete":      func() error { return kv.Delete(t.Context(), []byte("a")) },
		"RawBatchPut":    func() error { return kv.BatchPut(t.Context(), []client.Pair{{Key: []byte("a")}}) },
		"RawBatchDelete": func() error { return kv.BatchDelete(t.Context(), [][]byte{[]byte("a")}) },
		"RawDeleteRange": func() error { return kv.DeleteRange(t.Context(), region.Range{}) },
		"RawCompareAndSwap": func() error {
			_, err := kv.CompareAndSwap(t.Context(), client.Swap{Key: []byte("a"), ExpectAbsent: true})
			return err
		},
	} {
		w.set(func() { w.fail = failTimes(1, nil, status.Error(codes.Unavailable, "cable cut")) })
		err := write()
		if !errors.Is(err, client.ErrUndetermined) || !strings.Contains(err.Error(), "cable cut") || w.count(call) != 1 {
			t.Errorf("%s: %v, sent %d times", call, err, w.count(call))
		}
	}
	w.set(func() { w.fail = failTimes(3, nil, status.Error(codes.Unavailable, "cable cut")) })
	if _, _, err := kv.Get(t.Context(), []byte("a")); err != nil || w.count("RawGet") != 4 {
		t.Errorf("get: %v, sent %d times", err, w.count("RawGet"))
	}
}

func TestErrorsThatDoNotPassEndAtOnce(t *testing.T) {
	tooLarge := failTimes(1<<30, &errorpb.Error{RaftEntryTooLarge: &errorpb.RaftEntryTooLarge{}}, nil)
	unwritten := failTimes(1<<30, nil, status.Error(codes.Unimplemented, "not written yet"))
	invalid := failTimes(1<<30, nil, status.Error(codes.InvalidArgument, "no"))
	for _, c := range []struct {
		name  string
		batch bool
		fail  func(uint64, string, *kvrpcpb.Context) (*errorpb.Error, error)
	}{
		{"raft_entry_too_large", false, tooLarge}, {"raft_entry_too_large", true, tooLarge},
		{"Unimplemented", false, unwritten}, {"Unimplemented", true, unwritten},
		{"InvalidArgument", false, invalid}, // in frames a status ends the stream, and says nothing about one request
	} {
		w := newWorld(t)
		w.fail = c.fail
		err := w.client(t, client.Options{Batch: c.batch}).Raw().Put(t.Context(), []byte("a"), nil)
		if n := w.count("RawPut"); n != 1 || !errors.Is(err, client.ErrRefused) || errors.Is(err,
			client.ErrUndetermined) {
			t.Errorf("%s, frames=%v: %v, sent %d times", c.name, c.batch, err, n)
		}
	}
}

func TestAStreamThatBreaksIsOpenedAgain(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, client.Options{Batch: true, Connections: 1})
	for range 3 {
		w.set(func() { w.fail = failTimes(1, nil, status.Error(codes.Internal, "stream broken")) })
		if _, _, err := c.Raw().Get(t.Context(), []byte("a")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAStoreThatHangsDoesNotHoldUpTheCaller(t *testing.T) {
	for _, batch := range []bool{false, true} {
		w := newWorld(t)
		c := w.client(t, client.Options{Batch: batch, Connections: 1})
		if err := c.Raw().Put(t.Context(), []byte("a"), nil); err != nil {
			t.Fatal(err)
		}
		w.mu.Lock() // every store hangs
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		err := c.Raw().Put(ctx, []byte("a"), nil)
		cancel()
		w.mu.Unlock()
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, client.ErrUndetermined) {
			t.Errorf("frames=%v: %v", batch, err)
		}
	}
}

func TestAnErrorQuotesTheBeginningOfALongKey(t *testing.T) {
	kv := newWorld(t).client(t, client.Options{}).Raw()
	err := kv.PutTTL(t.Context(), []byte(strings.Repeat("k", 8192)), nil, -time.Second)
	if err == nil || len(err.Error()) > 300 || !strings.Contains(err.Error(), `kkk"... (8192 bytes)`) {
		t.Errorf("error %.300v", err)
	}
}

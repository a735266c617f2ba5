package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tinykv/kv/engine"
	"tinykv/kv/raw"
	"tinykv/kv/region"
	"tinykv/proto/errorpb"
	"tinykv/proto/kvrpcpb"
	"tinykv/proto/tikvpb"
)

func TestErrorsBecomeWhatClientsUnderstand(t *testing.T) {
	s := New(nil, Options{})
	current := region.Region{ID: 4, Epoch: region.Epoch{ConfVer: 1, Version: 2}, Peers: []region.Peer{{ID: 5, StoreID: 1}}}
	for _, c := range []struct {
		err  error
		kind func(*errorpb.Error) bool
	}{
		{&region.NotFoundError{RegionID: 9}, func(e *errorpb.Error) bool { return e.GetRegionNotFound().GetRegionId() == 9 }},
		{&region.NotLeaderError{RegionID: 9}, func(e *errorpb.Error) bool {
			return e.GetNotLeader().GetRegionId() == 9 && e.GetNotLeader().GetLeader() == nil
		}},
		{&region.NotLeaderError{RegionID: 9, Leader: region.Peer{ID: 3, StoreID: 2}}, func(e *errorpb.Error) bool {
			return e.GetNotLeader().GetLeader().GetStoreId() == 2
		}},
		{&region.EpochNotMatchError{Current: []region.Region{current}}, func(e *errorpb.Error) bool {
			return e.GetEpochNotMatch().GetCurrentRegions()[0].GetPeers()[0].GetId() == 5
		}},
		{&region.EpochNotMatchError{}, func(e *errorpb.Error) bool { return e.GetEpochNotMatch() != nil }},
		{&region.StoreNotMatchError{Requested: 1, Actual: 2}, func(e *errorpb.Error) bool {
			return e.GetStoreNotMatch().GetRequestStoreId() == 1 && e.GetStoreNotMatch().GetActualStoreId() == 2
		}},
		{&region.PeerNotMatchError{Requested: 1, Actual: 2}, func(e *errorpb.Error) bool {
			return e.GetMismatchPeerId().GetRequestPeerId() == 1 && e.GetMismatchPeerId().GetStorePeerId() == 2
		}},
		{&region.KeyNotInRegionError{Key: []byte("k"), RegionID: 7, Range: region.Range{End: []byte("e")}},
			func(e *errorpb.Error) bool {
				return e.GetKeyNotInRegion().GetRegionId() == 7 && string(e.GetKeyNotInRegion().GetEndKey()) == "e"
			}},
		{&region.BusyError{Reason: "r", Backoff: time.Second}, func(e *errorpb.Error) bool {
			return e.GetServerIsBusy().GetReason() == "r" && e.GetServerIsBusy().GetBackoffMs() == 1000
		}},
		{&region.StaleCommandError{}, func(e *errorpb.Error) bool { return e.GetStaleCommand() != nil }},
		{&tooLargeError{regionID: 7, size: 99, err: engine.ErrTooLarge}, func(e *errorpb.Error) bool {
			return e.GetRaftEntryTooLarge().GetRegionId() == 7 && e.GetRaftEntryTooLarge().GetEntrySize() == 99
		}},
		{engine.ErrClosed, func(e *errorpb.Error) bool { return e.GetServerIsBusy() != nil }},
		{errTooLong, func(e *errorpb.Error) bool { return e.GetServerIsBusy().GetReason() == "deadline is exceeded" }},
	} {
		e, text, st := s.answerable(fmt.Errorf("attempted: %w", c.err))
		if e == nil || text != "" || st != nil || !c.kind(e) || e.GetMessage() == "" {
			t.Errorf("%T: %v, %q, %v", c.err, e, text, st)
		}
	}
	for _, err := range []error{raw.ErrEmptyKey, engine.ErrUnknownCF, engine.ErrFailed, engine.ErrCorrupt, errors.New("x")} {
		if e, text, st := s.answerable(err); e != nil || text == "" || st != nil {
			t.Errorf("%v: %v, %q, %v; want only a text", err, e, text, st)
		}
	}
	if e, text, st := s.answerable(context.Canceled); e != nil || text != "" || status.Code(st) != codes.Canceled {
		t.Errorf("canceled: %v, %q, %v", e, text, st)
	}
}

func TestBadInputOfScansIsSeenByEveryClient(t *testing.T) {
	storage, _ := newPlain(t)
	d := open(t, storage, Options{})
	scan, err := d.kv.RawScan(d.ctx(), &kvrpcpb.RawScanRequest{Limit: 1 << 31})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := d.kv.RawBatchGet(d.ctx(), &kvrpcpb.RawBatchGetRequest{Cf: "nosuch", Keys: [][]byte{{1}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]struct {
		region *errorpb.Error
		pairs  []*kvrpcpb.KvPair
	}{"RawScan": {scan.RegionError, scan.Kvs}, "RawBatchGet": {batch.RegionError, batch.Pairs}} {
		if got.region.GetRaftEntryTooLarge() == nil || got.region.GetMessage() == "" {
			t.Errorf("%s: region error %v, which clients that look only there take for nothing", name, got.region)
		}
		if len(got.pairs) != 1 || got.pairs[0].GetError().GetAbort() == "" {
			t.Errorf("%s: pairs %v, want one with an error", name, got.pairs)
		}
	}
}

func TestAnAnswerThatIsTooLargeIsToldFromOtherRefusals(t *testing.T) {
	s := New(nil, Options{})
	for _, c := range []struct {
		err      error
		tooLarge bool
	}{{raw.ErrResultTooLarge, true}, {raw.ErrBadLimit, false}} {
		refused, _, _ := s.pairsFailure(fmt.Errorf("scan: %w", c.err))
		if got := refused.GetRaftEntryTooLarge().GetEntrySize() > 0; got != c.tooLarge {
			t.Errorf("%v: told as too large: %v", c.err, got)
		}
	}
}

// narrow is a storage that takes smaller batches than its engine, as a replicated one does.
type narrow struct {
	plain
	most int
}

func (n narrow) Write(ctx context.Context, rc *kvrpcpb.Context, b *engine.Batch) error {
	if b.Size() > n.most {
		return fmt.Errorf("%w: %d bytes, the limit is %d", engine.ErrTooLarge, b.Size(), n.most)
	}
	return n.plain.Write(ctx, rc, b)
}

// However a batch comes that the storage does not take, the client is told of it, and of which region and size it was; the
// requests beside it are not harmed.
func TestABatchThatIsTooLargeIsRefusedForGood(t *testing.T) {
	storage, _ := newPlain(t)
	d := open(t, narrow{storage, 1000}, Options{})
	large := &kvrpcpb.RawBatchPutRequest{Context: &kvrpcpb.Context{RegionId: 4}}
	for i := range 10 {
		large.Pairs = append(large.Pairs, &kvrpcpb.KvPair{Key: fmt.Append(nil, i), Value: make([]byte, 100)})
	}
	check := func(how string, e *errorpb.Error, text string) {
		t.Helper()
		refused := e.GetRaftEntryTooLarge()
		if refused.GetRegionId() != 4 || refused.GetEntrySize() < 1000 || text != "" ||
			!strings.Contains(e.GetMessage(), "the limit is 1000") {
			t.Errorf("%s: region error %v and error %q, want raft_entry_too_large with region, size and limit", how, e, text)
		}
	}
	put, err := d.kv.RawBatchPut(d.ctx(), large)
	if err != nil {
		t.Fatal(err)
	}
	check("a call", put.GetRegionError(), put.GetError())
	swap, err := d.kv.RawCompareAndSwap(d.ctx(), &kvrpcpb.RawCASRequest{Context: large.Context, Key: []byte("k"),
		PreviousNotExist: true, Value: make([]byte, 1000)})
	if err != nil {
		t.Fatal(err)
	}
	check("a swap", swap.GetRegionError(), swap.GetError())
	stream := d.stream()
	send(t, stream, 1, putRequest("a", "1"),
		&batchRequest{Cmd: &tikvpb.BatchCommandsRequest_Request_RawBatchPut{RawBatchPut: large}}, putRequest("b", "2"))
	answers, _ := receive(t, stream, 3)
	check("in a frame", answers[2].GetRawBatchPut().GetRegionError(), answers[2].GetRawBatchPut().GetError())
	for _, id := range []uint64{1, 3} {
		if got := answers[id].GetRawPut(); got == nil || got.GetRegionError() != nil || got.GetError() != "" {
			t.Errorf("the put beside it: %v", answers[id])
		}
	}
}

func TestARangeThatHoldsTooMuchToBeDeletedIsATextForPeople(t *testing.T) {
	storage, _ := newPlain(t)
	d := open(t, narrow{storage, 0}, Options{})
	got, err := d.kv.RawDeleteRange(d.ctx(), &kvrpcpb.RawDeleteRangeRequest{StartKey: []byte("a"), EndKey: []byte("b")})
	if err != nil || got.GetRegionError() != nil || !strings.Contains(got.GetError(), "the limit is 0") {
		t.Errorf("%v, %v; want an error as text, for the entry is small", got, err)
	}
}

func TestConcurrentSwapsLoseNothing(t *testing.T) {
	storage, _ := newPlain(t)
	d := open(t, storage, Options{})
	const workers, each = 8, 30
	key := []byte("counter")
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for done := 0; done < each; {
				now, err := d.kv.RawGet(d.ctx(), &kvrpcpb.RawGetRequest{Key: key})
				if err != nil {
					t.Error(err)
					return
				}
				count := 0
				fmt.Sscan(string(now.GetValue()), &count) // none is zero
				swapped, err := d.kv.RawCompareAndSwap(d.ctx(), &kvrpcpb.RawCASRequest{
					Key: key, PreviousNotExist: now.GetNotFound(), PreviousValue: now.GetValue(),
					Value: fmt.Append(nil, count+1),
				})
				if err != nil || swapped.GetError() != "" {
					t.Error(err, swapped)
					return
				}
				if swapped.GetSucceed() {
					done++
				}
			}
		})
	}
	wait.Wait()
	resp, err := d.kv.RawGet(d.ctx(), &kvrpcpb.RawGetRequest{Key: key})
	if err != nil || string(resp.GetValue()) != fmt.Sprint(workers*each) {
		t.Errorf("after %d swaps the counter is %q, %v", workers*each, resp.GetValue(), err)
	}
}

// between lets something happen between the snapshot of a request and its write.
type between struct {
	plain
	looked func()
}

func (b between) Snapshot(ctx context.Context, rc *kvrpcpb.Context) (engine.Snapshot, error) {
	snap, err := b.plain.Snapshot(ctx, rc)
	b.looked()
	return snap, err
}

// Every kind of write keeps out of a swap that has begun.
func TestNoWriteSlipsIntoASwap(t *testing.T) {
	key := []byte("k")
	for name, write := range map[string]func(*Server, context.Context) error{
		"put": func(s *Server, ctx context.Context) error {
			_, err := s.RawPut(ctx, &kvrpcpb.RawPutRequest{Key: key, Value: []byte("other")})
			return err
		},
		"batch put": func(s *Server, ctx context.Context) error {
			_, err := s.RawBatchPut(ctx, &kvrpcpb.RawBatchPutRequest{Pairs: []*kvrpcpb.KvPair{{Key: []byte("z")}, {Key: key}}})
			return err
		},
		"delete": func(s *Server, ctx context.Context) error {
			_, err := s.RawDelete(ctx, &kvrpcpb.RawDeleteRequest{Key: key})
			return err
		},
		"delete range": func(s *Server, ctx context.Context) error {
			_, err := s.RawDeleteRange(ctx, &kvrpcpb.RawDeleteRangeRequest{StartKey: []byte("a")})
			return err
		},
		"swap": func(s *Server, ctx context.Context) error {
			_, err := s.RawCompareAndSwap(ctx, &kvrpcpb.RawCASRequest{Key: key, PreviousNotExist: true})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			storage, _ := newPlain(t)
			var server *Server
			once := sync.Once{}
			server = New(between{storage, func() {
				once.Do(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond) // it waits for the swap in vain
					defer cancel()
					if err := write(server, ctx); status.Code(err) != codes.DeadlineExceeded {
						t.Errorf("a write got between compare and swap: %v", err)
					}
				})
			}}, Options{})
			resp, err := server.RawCompareAndSwap(t.Context(), &kvrpcpb.RawCASRequest{Key: key, PreviousNotExist: true})
			if err != nil || !resp.GetSucceed() {
				t.Errorf("the swap got %v, %v", resp, err)
			}
		})
	}
}

func TestSweepLeavesWhatIsWrittenAnew(t *testing.T) {
	storage, _ := newPlain(t)
	time0 := &clock{}
	time0.seconds.Store(1000)
	looks := 0
	var server *Server
	server = New(between{storage, func() {
		if looks++; looks == 1 { // the sweep has found the pair and does not hold it yet
			resp, err := server.RawPut(t.Context(), &kvrpcpb.RawPutRequest{Key: []byte("k1"), Value: []byte("fresh")})
			if err != nil || resp.GetError() != "" {
				t.Error(resp, err)
			}
		}
	}}, Options{Now: time0.now})
	for i := range 3 {
		resp, err := server.RawPut(t.Context(), &kvrpcpb.RawPutRequest{Key: fmt.Append(nil, "k", i), Ttl: 5})
		if err != nil || resp.GetError() != "" {
			t.Fatal(resp, err)
		}
	}
	time0.seconds.Store(1005)
	removed, err := server.SweepExpired(t.Context(), nil)
	if err != nil || removed != 2 {
		t.Errorf("the sweep removed %d, %v; want 2", removed, err)
	}
	resp, err := server.RawGet(t.Context(), &kvrpcpb.RawGetRequest{Key: []byte("k1")})
	if err != nil || string(resp.GetValue()) != "fresh" {
		t.Errorf("the pair that was written anew is %v, %v", resp, err)
	}
}

func TestScanEndsWithItsRequest(t *testing.T) {
	storage, _ := newPlain(t)
	server := New(storage, Options{})
	var pairs []*kvrpcpb.KvPair
	for i := range 4 * checkEvery {
		pairs = append(pairs, &kvrpcpb.KvPair{Key: fmt.Appendf(nil, "%05d", i)})
	}
	if _, err := server.RawBatchPut(t.Context(), &kvrpcpb.RawBatchPutRequest{Pairs: pairs}); err != nil {
		t.Fatal(err)
	}
	snap, err := storage.Engine.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	ctx, leave := context.WithCancelCause(t.Context())
	defer leave(nil)
	it, err := interruptible(ctx, snap).Iterator(engine.Default, engine.IterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for ok := it.First(); ok; ok = it.Next() {
		if seen++; seen == 2 {
			leave(errTooLong)
		}
	}
	if seen > checkEvery || !errors.Is(it.Err(), errTooLong) || !errors.Is(it.Close(), errTooLong) {
		t.Errorf("the walk saw %d pairs and ended with %v", seen, it.Err())
	}
}

func TestFailingDiskAcknowledgesNothing(t *testing.T) {
	storage, disk := newPlain(t)
	d := open(t, storage, Options{})
	disk.FailSync(errors.New("the disk is full"))
	for i := range 3 {
		resp, err := d.kv.RawPut(d.ctx(), &kvrpcpb.RawPutRequest{Key: []byte("k"), Value: []byte("v")})
		if err != nil || resp.GetError() == "" {
			t.Errorf("put %d on a failed disk: %v, %v; want an error in the answer", i, resp, err)
		}
		swap, err := d.kv.RawCompareAndSwap(d.ctx(), &kvrpcpb.RawCASRequest{Key: []byte("x"), PreviousNotExist: true})
		if err != nil || swap.GetError() == "" || swap.GetSucceed() {
			t.Errorf("swap %d on a failed disk: %v, %v; want an error and no success", i, swap, err)
		}
	}
}

func TestCallsThatNobodyHasWrittenAreUnimplemented(t *testing.T) {
	storage, _ := newPlain(t)
	d := open(t, storage, Options{})
	if _, err := d.kv.KvGet(d.ctx(), &kvrpcpb.GetRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("KvGet: %v", err)
	}
}

func TestBrokenInvariantIsNamedAndEndsTheProcess(t *testing.T) {
	storage, _ := newPlain(t)
	unwanted := func(err error) { t.Errorf("taken for a function that is not written yet: %v", err) }
	for broken, server := range map[string]*Server{
		"invariant 7 is broken":      New(storage, Options{Unwritten: unwanted}),
		"x: Get is yours to write":   New(storage, Options{}), // nobody wants to know
		"Get is yours to write, too": New(storage, Options{Unwritten: unwanted}),
	} {
		func() {
			defer func() {
				if cause := recover(); cause == nil || fmt.Sprint(cause) != broken {
					t.Errorf("recovered %v, want the panic of the handler: %s", cause, broken)
				}
			}()
			server.serve(t.Context(), "RawGet", func(context.Context) (any, error) { panic(broken) })
		}()
	}
}

func TestAFunctionThatIsNotWrittenYetIsNamed(t *testing.T) {
	storage, _ := newPlain(t)
	var told error
	server := New(storage, Options{Unwritten: func(err error) { told = err }})
	for _, text := range []string{"x: Server.write is yours to write", "Server.write is yours to write"} {
		_, err := server.serve(t.Context(), "RawPut", func(context.Context) (any, error) { panic(text) })
		if status.Code(err) != codes.Unimplemented || !errors.Is(told, err) ||
			status.Convert(err).Message() != "RawPut met a hole: Server.write is yours to write" {
			t.Errorf("%s: answered %v, told %v", text, err, told)
		}
	}
}

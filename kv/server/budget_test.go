package server

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"tinykv/kv/region"
	"tinykv/proto/kvrpcpb"
	"tinykv/proto/tikvpb"
)

func TestChargesAreGivenBackOnce(t *testing.T) {
	b := newBudget(100)
	one, other := &charge{budget: b}, &charge{budget: b}
	if err := errors.Join(one.add(60), other.add(40)); err != nil {
		t.Fatal(err)
	}
	var busy *region.BusyError
	if err := one.add(1); !errors.As(err, &busy) {
		t.Errorf("beyond the budget: %v, want BusyError", err)
	}
	one.release()
	one.release()
	if left := b.left.Load(); left != 60 {
		t.Errorf("%d left of 100 after 60 of them were given back twice, want 60", left)
	}
	var none *charge
	none.release()
	if err := none.add(1 << 40); err != nil {
		t.Errorf("a request without a charge: %v", err)
	}
}

// Answers that hold the whole budget make others wait, in both ways in, and give everything back when they are taken.
func TestAnswersBeyondTheBudgetAreBusy(t *testing.T) {
	storage, _ := newPlain(t)
	d := open(t, storage, Options{})
	s := d.server
	const value, pairs = 1 << 10, 8
	for i := range pairs {
		put := &kvrpcpb.RawPutRequest{Key: fmt.Append(nil, "key", i), Value: make([]byte, value)}
		if _, err := d.kv.RawPut(d.ctx(), put); err != nil {
			t.Fatal(err)
		}
	}
	s.budget.left.Store(value * (pairs + 2))
	held := &charge{budget: s.budget}
	if err := held.add(value * 4); err != nil {
		t.Fatal(err)
	}
	scan := &kvrpcpb.RawScanRequest{Limit: pairs}
	isBusy := func() bool {
		t.Helper()
		resp, err := d.kv.RawScan(d.ctx(), scan)
		if err != nil {
			t.Fatal(err)
		}
		if busy := resp.GetRegionError().GetServerIsBusy() != nil; busy == (len(resp.GetKvs()) == pairs) {
			t.Fatalf("busy: %v, with %d pairs of %d", busy, len(resp.GetKvs()), pairs)
		} else {
			return busy
		}
		return false
	}
	if !isBusy() {
		t.Error("a scan beyond the budget was answered")
	}
	held.release()
	for range 3 { // each gives back what it took, when its call has ended
		eventually(t, func() bool { return s.budget.left.Load() == value*(pairs+2) })
		if isBusy() {
			t.Error("a scan within the budget was refused")
		}
	}
	stream := d.stream()
	eventually(t, func() bool { return s.budget.left.Load() == value*(pairs+2) })
	send(t, stream, 1, &batchRequest{Cmd: &tikvpb.BatchCommandsRequest_Request_RawScan{RawScan: scan}})
	if answers, _ := receive(t, stream, 1); len(answers[1].GetRawScan().GetKvs()) != pairs {
		t.Errorf("in a frame: %v", answers[1])
	}
	eventually(t, func() bool { return s.budget.left.Load() == value*(pairs+2) })
	if resp, err := d.kv.RawChecksum(d.ctx(), &kvrpcpb.RawChecksumRequest{Ranges: []*kvrpcpb.KeyRange{{}, {}, {}}}); err != nil ||
		resp.GetRegionError() != nil {
		t.Errorf("a checksum keeps nothing, and yet: %v, %v", resp, err)
	}
}

// eventually waits for what another goroutine does after it has answered.
func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for limit := time.Now().Add(5 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("what an answer held was not given back")
		}
	}
}

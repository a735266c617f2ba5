// How far a request may go: in time, and in what it returns.

package stage1b_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/raw"
	"tinykv/proto/kvrpcpb"
)

// stall is how long the storage of a test waits for the end of a context that should end at once.
const stall = patience / 2

// untilDone waits for the end of ctx as a storage that is stuck does, and gives up so that the test ends.
func untilDone(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(stall):
		return nil
	}
}

// TestRequestsEndInTime gives requests 20 ms, and lets the storage take longer.
func TestRequestsEndInTime(t *testing.T) {
	d := open(t, told)
	rc := &kvrpcpb.Context{MaxExecutionDurationMs: 20}
	get := call{`RawGet("k")`, func(d *desk) (answer, error) {
		return d.kv.RawGet(d.ctx(), &kvrpcpb.RawGetRequest{Context: rc, Key: []byte("k")})
	}}
	scan := call{`RawScan(limit 5000)`, func(d *desk) (answer, error) {
		return d.kv.RawScan(d.ctx(), &kvrpcpb.RawScanRequest{Context: rc, Limit: 5000})
	}}
	put := call{`RawPut("k", "put")`, func(d *desk) (answer, error) {
		return d.kv.RawPut(d.ctx(), &kvrpcpb.RawPutRequest{Context: rc, Key: []byte("k"), Value: []byte("put")})
	}}
	cas := call{`RawCompareAndSwap("k": if "old" then "swapped")`, func(d *desk) (answer, error) {
		return d.kv.RawCompareAndSwap(d.ctx(), &kvrpcpb.RawCASRequest{Context: rc, Key: []byte("k"),
			PreviousValue: []byte("old"), Value: []byte("swapped")})
	}}
	ends := func(c call, meanwhile string) {
		t.Helper()
		d.say("%s with max_execution_duration_ms 20, while %s", c.name, meanwhile)
		start := time.Now()
		r, err := c.do(d)
		took := time.Since(start)
		if tr := troubleOf(r, err); !tr.any() || took > stall {
			d.broken("an error soon after the 20 ms: the context that the storage, the latches and the iterators get ends then",
				fmt.Sprintf("%v, after %v", tr, took.Round(time.Millisecond)))
		}
		if cas, ok := r.(*kvrpcpb.RawCASResponse); ok && cas.GetSucceed() {
			d.broken("succeed false", "succeed true")
		}
	}
	d.put("k", "old")
	d.store.reset()
	d.store.onContext = untilDone
	for _, c := range []call{get, scan, put, cas} {
		ends(c, "the storage takes longer")
	}
	d.store.onContext = nil
	d.settled()

	// A compare-and-swap whose snapshot comes at once, and whose batch is stuck.
	asked := 0
	d.store.onContext = func(ctx context.Context) error {
		if asked++; asked == 1 {
			return nil
		}
		return untilDone(ctx)
	}
	ends(cas, "the storage takes longer to write")
	d.store.onContext = nil
	d.has("", "k", "old")

	// An endless scan: the storage is quick to give a snapshot, but then there is one pair after the other.
	const many, slowAt = 3000, 10
	var pairs []pair
	for i := range many {
		pairs = append(pairs, pair{fmt.Sprintf("k%04d", i), ""})
	}
	d.batchPut(pairs...)
	d.store.reset()
	var ctx context.Context
	d.store.onContext = func(c context.Context) error { ctx = c; return nil }
	d.store.onRead = func(n int) {
		if n == slowAt {
			_ = untilDone(ctx)
		}
	}
	ends(scan, fmt.Sprintf("the storage takes longer for pair %d of %d", slowAt, many))
	d.store.onContext, d.store.onRead = nil, nil
	if c, _ := d.store.counted(); c.moves > many/2 {
		d.broken("the walk ends with its request, some hundred pairs later at most: see interruptible",
			fmt.Sprintf("%d more moves of the iterator", c.moves-slowAt))
	}
	d.settled()

	waitForLatch(d, put, ends, cas)
	waitForLatch(d, cas, ends, put)

	// A client that leaves without a limit ends its request as well.
	for _, c := range []struct {
		name string
		do   func(ctx context.Context)
	}{
		{`RawGet("k")`, func(ctx context.Context) { d.kv.RawGet(ctx, &kvrpcpb.RawGetRequest{Key: []byte("k")}) }},
		{`RawPut("k", "x")`, func(ctx context.Context) { d.kv.RawPut(ctx, &kvrpcpb.RawPutRequest{Key: []byte("k")}) }},
		{`RawCompareAndSwap("k")`, func(ctx context.Context) {
			d.kv.RawCompareAndSwap(ctx, swap{key: "k", absent: true}.request())
		}},
	} {
		d.say("%s; its client leaves while the storage takes its time", c.name)
		ctx, leave := context.WithCancel(d.ctx())
		ended := make(chan error, 1)
		d.store.onContext = func(ctx context.Context) error {
			leave()
			err := untilDone(ctx)
			ended <- err
			return err
		}
		c.do(ctx)
		select {
		case err := <-ended:
			if err == nil {
				d.broken("the context that the storage got ends with the request", fmt.Sprintf("it goes on for %v", stall))
			}
		case <-time.After(patience):
			d.broken("the storage is asked", "it is not")
		}
	}
}

// waitForLatch holds the key of a second request by a first one whose batch is stuck: the second one ends in time too.
func waitForLatch(d *desk, first call, ends func(c call, meanwhile string), second call) {
	d.t.Helper()
	d.put("k", "old")
	d.store.reset()
	reached, release := make(chan struct{}), make(chan struct{})
	d.store.onWrite = func(n int) {
		if n == 1 {
			close(reached)
			<-release
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		first.do(d)
	}()
	select {
	case <-reached:
		ends(second, first.name+" writes that key and is not done")
		close(release)
	case <-time.After(patience):
		close(release)
		d.say("%s", first.name)
		d.broken("its batch reaches the storage", "it does not")
	}
	<-done
	d.store.onWrite = nil
}

// TestResultsAreBounded asks for more than one request may return.
func TestResultsAreBounded(t *testing.T) {
	d := open(t, bounded)
	const most = raw.MaxResultSize / raw.MaxValueSize // whole values
	value := []byte(strings.Repeat("v", raw.MaxValueSize))
	for i := range most + 1 {
		b, err := raw.Put(engine.Default, fmt.Appendf(nil, "%d", i), value, raw.NoTTL, 0)
		if err != nil {
			d.broken("a batch", err.Error())
		}
		if err := d.store.e.Write(b, engine.Buffered); err != nil {
			t.Fatal(err)
		}
	}
	d.at(func(snap engine.Snapshot) {
		for n := most; n <= most+1; n++ {
			check := func(what string, pairs []raw.Pair, err error) {
				t.Helper()
				d.say("%s of %d pairs of %d MiB each", what, n, raw.MaxValueSize>>20)
				if n == most && (err != nil || len(pairs) != n) {
					d.broken(fmt.Sprintf("%d pairs: together they are less than raw.MaxResultSize", n),
						fmt.Sprintf("%d pairs, error %v", len(pairs), err))
				}
				if n > most && (!errors.Is(err, raw.ErrResultTooLarge) || pairs != nil) {
					d.broken("no pairs, and an error that is raw.ErrResultTooLarge: together they are more than raw.MaxResultSize",
						fmt.Sprintf("%d pairs, error %v", len(pairs), err))
				}
			}
			var keys [][]byte
			for i := range n {
				keys = append(keys, fmt.Appendf(nil, "%d", i))
			}
			pairs, err := raw.BatchGet(snap, engine.Default, keys, 0)
			check("raw.BatchGet", pairs, err)
			pairs, err = raw.Scan(snap, engine.Default, raw.ScanOptions{Limit: uint32(n)}, 0)
			check("raw.Scan", pairs, err)
		}
		d.say("raw.Scan of the keys only")
		pairs, err := raw.Scan(snap, engine.Default, raw.ScanOptions{Limit: most + 1, KeyOnly: true}, 0)
		if err != nil || len(pairs) != most+1 {
			d.broken(fmt.Sprintf("%d pairs: what is not returned does not count", most+1),
				fmt.Sprintf("%d pairs, error %v", len(pairs), err))
		}
	})
}

// Writes: one request, one batch; and what is left of it after a crash.

package stage1b_test

import (
	"fmt"
	"testing"

	"tinykv/kv/engine"
	"tinykv/proto/kvrpcpb"
)

// wrote insists that the last request handed over exactly one batch, with this many operations.
func (d *desk) wrote(operations int) {
	d.t.Helper()
	_, batches := d.store.counted()
	if len(batches) != 1 {
		d.broken("one Write of the storage", fmt.Sprintf("%d of them", len(batches)))
	}
	if len(batches[0]) != operations {
		d.broken(fmt.Sprintf("a batch of %d operations", operations), fmt.Sprintf("a batch of %d", len(batches[0])))
	}
	d.store.reset()
}

func TestBatchPutIsOneWrite(t *testing.T) {
	d := open(t, oneBatch)
	var pairs []pair
	for i := range 40 {
		pairs = append(pairs, pair{fmt.Sprintf("k%02d", i), fmt.Sprint(i)})
	}
	d.store.reset()
	d.batchPut(pairs...)
	d.wrote(40)
	d.yields(query{limit: 100}, pairs...)

	d.rule = roundTrip
	d.batchPut(pair{"twice", "1"}, pair{"once", "x"}, pair{"twice", "2"})
	d.has("", "twice", "2") // the later pair wins
	d.has("", "once", "x")
	d.fine(d.tryBatchPut("")) // nothing to do is no error
	d.settled()
}

func TestBatchDeleteIsOneWrite(t *testing.T) {
	d := open(t, oneBatch)
	d.batchPut(pair{"a", "1"}, pair{"b", "2"}, pair{"c", "3"}, pair{"d", "4"})
	d.store.reset()
	d.fine(d.tryBatchDelete("", "a", "c", "missing", "d"))
	d.wrote(4)
	d.rule = roundTrip
	d.yields(query{limit: 10}, pair{"b", "2"})
	d.fine(d.tryBatchDelete("", "b", "b"))
	d.yields(query{limit: 10})
	d.fine(d.tryBatchDelete(""))
}

func TestDeleteRangeIsHalfOpen(t *testing.T) {
	d := open(t, roundTrip)
	all := []pair{{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}}
	for _, c := range []struct {
		start, end string
		left       []pair
	}{
		{"b", "d", []pair{all[0], all[3]}}, // the start goes, the end stays
		{"", "c", all[2:]},
		{"c", "", all[:2]},
		{"", "", nil},
		{"b", "b", all},
		{"bb", "bz", all},
	} {
		d.batchPut(all...)
		d.fine(d.tryBatchPut("lock", all...))
		d.store.reset()
		d.fine(d.tryDeleteRange("", c.start, c.end))
		if n, _ := d.store.counted(); n.writes > 1 {
			d.rule = oneBatch
			d.broken("one Write of the storage", fmt.Sprintf("%d of them", n.writes))
		}
		d.yields(query{limit: 10}, c.left...)
		d.yields(query{cf: "lock", limit: 10}, all...)
	}
	d.rule = bounded
	if tr := d.tryDeleteRange("", "d", "a"); !tr.any() {
		d.broken("an error: the range ends before it starts", "no error")
	}
	d.yields(query{cf: "lock", limit: 10}, all...)
}

// TestCrashLeavesWholeRequests crashes the disk in the middle of the writes of many requests.
func TestCrashLeavesWholeRequests(t *testing.T) {
	for round := range 8 {
		d := open(t, durable)
		const keys = 6
		acked := 0
		d.store.onWrite = func(n int) {}
		for n := 1; n <= 5+round; n++ {
			var pairs []pair
			for k := range keys {
				pairs = append(pairs, pair{fmt.Sprintf("%d", k), fmt.Sprint(n)})
			}
			if n == 5+round { // the last one gets no sync and no answer: the process dies within it
				d.store.writeErr = errDisk
				d.store.onWrite = func(int) {
					var b engine.Batch
					d.store.mu.Lock()
					for _, op := range d.store.writes[len(d.store.writes)-1] {
						b.Put(op.CF, op.Key, op.Value)
					}
					d.store.mu.Unlock()
					d.store.e.Write(&b, engine.Buffered)
				}
				if tr := d.tryBatchPut("", pairs...); !tr.any() {
					d.rule = told
					d.broken("an error: the storage failed", "no error")
				}
				break
			}
			d.batchPut(pairs...)
			acked = n
		}
		d.store.writeErr, d.store.onWrite = nil, nil
		d.say("crash within the last request, start again")
		d.store.disk.Crash()
		d.store.start()
		got, tr := d.scan(query{limit: 100})
		d.fine(tr)
		if len(got) != keys {
			d.broken(fmt.Sprintf("%d pairs", keys), list(got))
		}
		for _, p := range got {
			if p.v != got[0].v {
				d.rule = oneBatch
				d.broken("the same number in all keys: each request sets all of them", list(got))
			}
		}
		if got[0].v != fmt.Sprint(acked) && got[0].v != fmt.Sprint(acked+1) {
			d.broken(fmt.Sprintf("number %d, which was acknowledged, or %d, which was not", acked, acked+1), got[0].v)
		}
	}
}

func TestContextReachesTheStorage(t *testing.T) {
	d := open(t, told)
	rc := &kvrpcpb.Context{RegionId: 7, Term: 3}
	calls := map[string]func() (answer, error){
		"RawGet": func() (answer, error) {
			return d.kv.RawGet(d.ctx(), &kvrpcpb.RawGetRequest{Context: rc, Key: []byte("k")})
		},
		"RawPut": func() (answer, error) {
			return d.kv.RawPut(d.ctx(), &kvrpcpb.RawPutRequest{Context: rc, Key: []byte("k")})
		},
		"RawScan": func() (answer, error) { return d.kv.RawScan(d.ctx(), &kvrpcpb.RawScanRequest{Context: rc, Limit: 1}) },
		"RawDelete": func() (answer, error) {
			return d.kv.RawDelete(d.ctx(), &kvrpcpb.RawDeleteRequest{Context: rc, Key: []byte("k")})
		},
		"RawBatchGet": func() (answer, error) {
			return d.kv.RawBatchGet(d.ctx(), &kvrpcpb.RawBatchGetRequest{Context: rc, Keys: [][]byte{[]byte("k")}})
		},
		"RawBatchPut": func() (answer, error) {
			return d.kv.RawBatchPut(d.ctx(), &kvrpcpb.RawBatchPutRequest{Context: rc,
				Pairs: []*kvrpcpb.KvPair{{Key: []byte("k")}}})
		},
		"RawCompareAndSwap": func() (answer, error) {
			return d.kv.RawCompareAndSwap(d.ctx(), &kvrpcpb.RawCASRequest{Context: rc, Key: []byte("swap"),
				PreviousNotExist: true})
		},
	}
	for name, call := range calls {
		d.store.asked = nil
		d.say("%s with context{region_id 7}", name)
		r, err := call()
		d.fine(troubleOf(r, err))
		if len(d.store.asked) == 0 {
			d.broken("the storage is asked", "it is not")
		}
		for _, rc := range d.store.asked { // a compare-and-swap asks twice: for a snapshot, and to write
			if rc.GetRegionId() != 7 {
				d.broken("the storage is asked with the context of the request: it decides by it whether the region is here",
					fmt.Sprintf("region_id %d", rc.GetRegionId()))
			}
		}
	}
}

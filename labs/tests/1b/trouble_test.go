// What goes wrong: bad input, and a storage that fails.

package stage1b_test

import (
	"fmt"
	"strings"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/raw"
	"tinykv/kv/region"
	"tinykv/proto/errorpb"
	"tinykv/proto/kvrpcpb"
)

// call is one request of any kind, in few words.
type call struct {
	name string
	do   func(d *desk) (answer, error)
}

func TestBadInputIsAnswered(t *testing.T) {
	d := open(t, bounded)
	d.put("a", "1")
	long, huge := strings.Repeat("k", raw.MaxKeySize+1), strings.Repeat("v", raw.MaxValueSize+1)
	get := func(cf, key string) func(*desk) (answer, error) {
		return func(d *desk) (answer, error) {
			return d.kv.RawGet(d.ctx(), &kvrpcpb.RawGetRequest{Cf: cf, Key: []byte(key)})
		}
	}
	put := func(cf, key, value string) func(*desk) (answer, error) {
		return func(d *desk) (answer, error) {
			return d.kv.RawPut(d.ctx(), &kvrpcpb.RawPutRequest{Cf: cf, Key: []byte(key), Value: []byte(value)})
		}
	}
	del := func(cf, key string) func(*desk) (answer, error) {
		return func(d *desk) (answer, error) {
			return d.kv.RawDelete(d.ctx(), &kvrpcpb.RawDeleteRequest{Cf: cf, Key: []byte(key)})
		}
	}
	batchPut := func(pairs ...pair) func(*desk) (answer, error) {
		return func(d *desk) (answer, error) {
			req := &kvrpcpb.RawBatchPutRequest{}
			for _, p := range pairs {
				req.Pairs = append(req.Pairs, &kvrpcpb.KvPair{Key: []byte(p.k), Value: []byte(p.v)})
			}
			return d.kv.RawBatchPut(d.ctx(), req)
		}
	}
	scan := func(s query) func(*desk) (answer, error) {
		return func(d *desk) (answer, error) { return d.kv.RawScan(d.ctx(), s.request()) }
	}
	cas := func(key, value string) func(*desk) (answer, error) {
		return func(d *desk) (answer, error) {
			return d.kv.RawCompareAndSwap(d.ctx(), &kvrpcpb.RawCASRequest{Key: []byte(key), Value: []byte(value),
				PreviousNotExist: true})
		}
	}
	for _, c := range []call{
		{"RawGet of the empty key", get("", "")},
		{"RawGet of a key that is too long", get("", long)},
		{"RawGet in the family \"nosuch\"", get("nosuch", "a")},
		{"RawPut of the empty key", put("", "", "x")},
		{"RawPut of a key that is too long", put("", long, "x")},
		{"RawPut of a value that is too long", put("", "b", huge)},
		{"RawPut in the family \"nosuch\"", put("nosuch", "b", "x")},
		{"RawDelete of the empty key", del("", "")},
		{"RawDelete in the family \"Default\"", del("Default", "a")},
		{"RawBatchGet with the empty key among others", func(d *desk) (answer, error) {
			return d.kv.RawBatchGet(d.ctx(), &kvrpcpb.RawBatchGetRequest{Keys: bytesOf([]string{"a", ""})})
		}},
		{"RawBatchPut with the empty key at the end", batchPut(pair{"b", "2"}, pair{"c", "3"}, pair{"", "4"})},
		{"RawBatchPut with a long key at the end", batchPut(pair{"b", "2"}, pair{long, "4"})},
		{"RawBatchPut with a long value at the end", batchPut(pair{"b", "2"}, pair{"c", huge})},
		{"RawBatchPut of 3 pairs with 2 ttls", func(d *desk) (answer, error) {
			return d.kv.RawBatchPut(d.ctx(), &kvrpcpb.RawBatchPutRequest{Ttls: []uint64{1, 2}, Pairs: []*kvrpcpb.KvPair{
				{Key: []byte("x")}, {Key: []byte("y")}, {Key: []byte("z")}}})
		}},
		{"RawPut with a ttl of -1", func(d *desk) (answer, error) {
			return d.kv.RawPut(d.ctx(), &kvrpcpb.RawPutRequest{Key: []byte("b"), Ttl: 1<<64 - 1})
		}},
		{"RawBatchDelete with the empty key at the end", func(d *desk) (answer, error) {
			return d.kv.RawBatchDelete(d.ctx(), &kvrpcpb.RawBatchDeleteRequest{Keys: bytesOf([]string{"a", ""})})
		}},
		{"RawDeleteRange from z to a", func(d *desk) (answer, error) {
			return d.kv.RawDeleteRange(d.ctx(), &kvrpcpb.RawDeleteRangeRequest{StartKey: []byte("z"), EndKey: []byte("a")})
		}},
		{"RawScan from z up to a", scan(query{start: "z", end: "a", limit: 5})},
		{"RawScan from a down to z", scan(query{start: "a", end: "z", limit: 5, reverse: true})},
		{"RawScan in the family \"nosuch\"", scan(query{cf: "nosuch", limit: 5})},
		{"RawScan with a bound that is too long", scan(query{start: long + "k", limit: 5})},
		{"RawCompareAndSwap of the empty key", cas("", "x")},
		{"RawCompareAndSwap to a value that is too long", cas("b", huge)},
		{"RawCompareAndSwap to a value that is too long, where the condition does not hold", cas("a", huge)},
		{"RawCompareAndSwap with a negative time to live, where the condition does not hold",
			func(d *desk) (answer, error) {
				return d.kv.RawCompareAndSwap(d.ctx(), swap{key: "a", absent: true, value: "x", ttl: 1<<64 - 1}.request())
			}},
		{"RawCompareAndSwap in the family \"nosuch\"", func(d *desk) (answer, error) {
			return d.kv.RawCompareAndSwap(d.ctx(), &kvrpcpb.RawCASRequest{Cf: "nosuch", Key: []byte("b"),
				PreviousNotExist: true})
		}},
	} {
		before := d.stored(engine.Default)
		d.store.reset()
		d.say("%s", c.name)
		r, err := c.do(d)
		if tr := troubleOf(r, err); !tr.any() {
			d.broken("an error in the response", "no error")
		} else if !tr.final() {
			d.broken("an error at which a client gives up, and no region_error: after those it asks again by itself",
				tr.String())
		}
		if n, _ := d.store.counted(); n.writes > 0 {
			d.broken("nothing is written", fmt.Sprintf("%d batches were", n.writes))
		}
		if fmt.Sprint(before) != fmt.Sprint(d.stored(engine.Default)) {
			d.broken("the stored pairs are as before", "they changed")
		}
		d.settled()
	}
	d.has("", "a", "1") // and the service goes on
	d.put(long[1:], "the longest key")
	d.has("", long[1:], "the longest key")
	d.rule = exactly
	d.yields(query{start: long[1:], end: long[1:] + "\x00", limit: 5}, pair{long[1:], "the longest key"})
}

// requests are one legal request of each kind: those that read, and those that write.
func requests() (reads, writes []call) {
	reads = []call{
		{`RawGet("a")`, func(d *desk) (answer, error) {
			return d.kv.RawGet(d.ctx(),
				&kvrpcpb.RawGetRequest{Key: []byte("a")})
		}},
		{`RawGet("missing")`, func(d *desk) (answer, error) {
			return d.kv.RawGet(d.ctx(), &kvrpcpb.RawGetRequest{Key: []byte("missing")})
		}},
		{`RawBatchGet("a" "b")`, func(d *desk) (answer, error) {
			return d.kv.RawBatchGet(d.ctx(), &kvrpcpb.RawBatchGetRequest{Keys: bytesOf([]string{"a", "b"})})
		}},
		{`RawScan(limit 10)`, func(d *desk) (answer, error) { return d.kv.RawScan(d.ctx(), query{limit: 10}.request()) }},
		{`RawScan(limit 10, reverse)`, func(d *desk) (answer, error) {
			return d.kv.RawScan(d.ctx(), query{limit: 10, reverse: true}.request())
		}},
		{`RawGetKeyTTL("a")`, func(d *desk) (answer, error) {
			return d.kv.RawGetKeyTTL(d.ctx(), &kvrpcpb.RawGetKeyTTLRequest{Key: []byte("a")})
		}},
		{`RawChecksum(everything)`, func(d *desk) (answer, error) {
			return d.kv.RawChecksum(d.ctx(), &kvrpcpb.RawChecksumRequest{Ranges: []*kvrpcpb.KeyRange{{}}})
		}},
		{`RawCompareAndSwap("a": if "1" then "2")`, func(d *desk) (answer, error) {
			return d.kv.RawCompareAndSwap(d.ctx(), swap{key: "a", previous: "1", value: "2"}.request())
		}},
	}
	writes = []call{
		{`RawPut("a", "2")`, func(d *desk) (answer, error) {
			return d.kv.RawPut(d.ctx(), &kvrpcpb.RawPutRequest{Key: []byte("a"), Value: []byte("2")})
		}},
		{`RawBatchPut("a"="2" "c"="3")`, func(d *desk) (answer, error) {
			return d.kv.RawBatchPut(d.ctx(), &kvrpcpb.RawBatchPutRequest{Pairs: []*kvrpcpb.KvPair{
				{Key: []byte("a"), Value: []byte("2")}, {Key: []byte("c"), Value: []byte("3")}}})
		}},
		{`RawDelete("a")`, func(d *desk) (answer, error) {
			return d.kv.RawDelete(d.ctx(), &kvrpcpb.RawDeleteRequest{Key: []byte("a")})
		}},
		{`RawBatchDelete("a" "b")`, func(d *desk) (answer, error) {
			return d.kv.RawBatchDelete(d.ctx(), &kvrpcpb.RawBatchDeleteRequest{Keys: bytesOf([]string{"a", "b"})})
		}},
		{`RawDeleteRange(everything)`, func(d *desk) (answer, error) {
			return d.kv.RawDeleteRange(d.ctx(), &kvrpcpb.RawDeleteRangeRequest{})
		}},
		{`RawCompareAndSwap("a": if "1" then "2")`, func(d *desk) (answer, error) {
			return d.kv.RawCompareAndSwap(d.ctx(), swap{key: "a", previous: "1", value: "2"}.request())
		}},
	}
	return reads, writes
}

func TestFailedReadsAreTold(t *testing.T) {
	d := open(t, told)
	reads, _ := requests()
	for _, fault := range []struct {
		name string
		set  func(s *spy, on bool)
	}{
		{"every read of a snapshot fails", func(s *spy, on bool) {
			s.getErr, s.itErr = nil, nil
			if on {
				s.getErr, s.itErr = errDisk, errDisk
			}
		}},
		{"a Get finds damaged data, an iterator stops at the second move", func(s *spy, on bool) {
			s.getErr, s.breakAt = nil, 0
			if on {
				s.getErr, s.breakAt = fmt.Errorf("block 7: %w", engine.ErrCorrupt), 2
			}
		}},
		{"an iterator stops at its first move", func(s *spy, on bool) {
			s.getErr, s.breakAt = nil, 0
			if on {
				s.getErr, s.breakAt = errDisk, 1
			}
		}},
	} {
		for _, c := range reads {
			d.batchPut(pair{"a", "1"}, pair{"b", "2"})
			d.done = nil
			d.store.reset()
			fault.set(d.store, true)
			d.say("%s, while %s", c.name, fault.name)
			r, err := c.do(d)
			fault.set(d.store, false)
			n, _ := d.store.counted()
			if tr := troubleOf(r, err); n.faults > 0 && !tr.any() {
				d.broken("an error", fmt.Sprintf("a result: %s", strings.Join(strings.Fields(fmt.Sprint(r)), " ")))
			} else if got, ok := r.(*kvrpcpb.RawGetResponse); ok && tr.any() && (got.GetNotFound() || got.GetValue() != nil) {
				d.broken("an error alone: whether there is a value is not known", fmt.Sprint(got))
			}
			if n.faults > 0 && n.writes > 0 {
				d.broken("nothing is written: the value to compare with is not known", fmt.Sprintf("%d batches", n.writes))
			}
			d.settled()
		}
	}
	d.batchPut(pair{"a", "1"})
	d.has("", "a", "1") // and the service goes on

	// What is stored is no pair: somebody else wrote it, or it is damaged.
	d.done = nil
	d.say(`the storage has under "a" bytes that no put of the service has stored`)
	var b engine.Batch
	b.Put(engine.Default, []byte("a"), nil)
	if err := d.store.e.Write(&b, engine.Buffered); err != nil {
		t.Fatal(err)
	}
	for _, c := range reads {
		if c.name == `RawGet("missing")` {
			continue
		}
		d.say("%s", c.name)
		r, err := c.do(d)
		if tr := troubleOf(r, err); !tr.any() {
			d.broken("an error: the value can't be taken apart, and nobody knows what it was",
				fmt.Sprintf("a result: %s", strings.Join(strings.Fields(fmt.Sprint(r)), " ")))
		}
		d.settled()
	}
}

func TestFailedWritesAreNotAcknowledged(t *testing.T) {
	d := open(t, told)
	_, writes := requests()
	d.batchPut(pair{"a", "1"}, pair{"b", "2"})
	for _, c := range writes {
		d.store.reset()
		d.store.writeErr = errDisk
		d.say("%s, while the storage can't write", c.name)
		r, err := c.do(d)
		d.store.writeErr = nil
		if tr := troubleOf(r, err); !tr.any() {
			d.broken("an error: nothing was written", "no error")
		}
		if cas, ok := r.(*kvrpcpb.RawCASResponse); ok && cas.GetSucceed() {
			d.broken("succeed false: nothing was written", "succeed true")
		}
		d.settled()
	}
	// A request that failed holds nothing: the next one on the same keys goes through.
	for _, c := range writes {
		d.batchPut(pair{"a", "1"}, pair{"b", "2"})
		d.say("%s", c.name)
		r, err := c.do(d)
		d.fine(troubleOf(r, err))
	}
}

func TestRegionErrorsAreToldAsSuch(t *testing.T) {
	d := open(t, told)
	reads, writes := requests()
	d.batchPut(pair{"a", "1"}, pair{"b", "2"})
	notHere := &region.NotFoundError{RegionID: 9}
	for _, c := range append(reads, writes...) {
		d.store.snapErr, d.store.writeErr = notHere, notHere
		d.say("%s, while the storage says: %v", c.name, notHere)
		r, err := c.do(d)
		d.store.snapErr, d.store.writeErr = nil, nil
		tr := troubleOf(r, err)
		if tr.region.GetRegionNotFound().GetRegionId() != 9 {
			d.broken("region_error{region_not_found{region_id 9}}: the client looks for the region elsewhere", tr.String())
		}
		if tr.text != "" {
			d.broken("either a region_error or an error, not both: an error is final", tr.text)
		}
		d.settled()
	}
	// Each kind has a field of its own, by which the client knows what to do.
	for _, c := range []struct {
		err  error
		kind string
		told func(e *errorpb.Error) bool
	}{
		{&region.NotLeaderError{RegionID: 3}, "not_leader{region_id 3}, without a leader",
			func(e *errorpb.Error) bool {
				return e.GetNotLeader().GetRegionId() == 3 && e.GetNotLeader().GetLeader().GetId() == 0
			}},
		{&region.EpochNotMatchError{Current: []region.Region{{ID: 7}, {ID: 8}}},
			"epoch_not_match with the two current regions",
			func(e *errorpb.Error) bool { return len(e.GetEpochNotMatch().GetCurrentRegions()) == 2 }},
		{&region.KeyNotInRegionError{Key: []byte("a"), RegionID: 5}, "key_not_in_region{key a, region_id 5}",
			func(e *errorpb.Error) bool {
				return string(e.GetKeyNotInRegion().GetKey()) == "a" && e.GetKeyNotInRegion().GetRegionId() == 5
			}},
		{&region.StoreNotMatchError{Requested: 1, Actual: 2}, "store_not_match{1, 2}",
			func(e *errorpb.Error) bool {
				return e.GetStoreNotMatch().GetRequestStoreId() == 1 && e.GetStoreNotMatch().GetActualStoreId() == 2
			}},
		{&region.BusyError{Reason: "test"}, "server_is_busy",
			func(e *errorpb.Error) bool { return e.GetServerIsBusy() != nil }},
		{fmt.Errorf("snapshot: %w", engine.ErrClosed), "server_is_busy: the store is stopping",
			func(e *errorpb.Error) bool { return e.GetServerIsBusy() != nil }},
		{&region.StaleCommandError{}, "stale_command", func(e *errorpb.Error) bool { return e.GetStaleCommand() != nil }},
	} {
		d.store.snapErr = c.err
		d.say("RawGet(\"a\"), while the storage says: %v", c.err)
		r, err := d.kv.RawGet(d.ctx(), &kvrpcpb.RawGetRequest{Key: []byte("a")})
		d.store.snapErr = nil
		if tr := troubleOf(r, err); tr.region == nil || !c.told(tr.region) || tr.text != "" {
			d.broken("region_error: "+c.kind, tr.String())
		}
	}
	// The storage may also notice at the end, when it writes.
	for _, c := range writes {
		d.batchPut(pair{"a", "1"}, pair{"b", "2"})
		d.store.writeErr = &region.NotLeaderError{RegionID: 1, Leader: region.Peer{ID: 4, StoreID: 5}}
		d.say("%s, while the storage says: %v", c.name, d.store.writeErr)
		r, err := c.do(d)
		d.store.writeErr = nil
		tr := troubleOf(r, err)
		if got := tr.region.GetNotLeader(); got.GetRegionId() != 1 || got.GetLeader().GetStoreId() != 5 {
			d.broken("region_error{not_leader{region_id 1, leader on store 5}}", tr.String())
		}
		if cas, ok := r.(*kvrpcpb.RawCASResponse); ok && cas.GetSucceed() {
			d.broken("succeed false: nothing was written", "succeed true")
		}
		d.settled()
	}
}

// Scans: ranges, directions, limits, and what they cost.

package stage1b_test

import (
	"fmt"
	"slices"
	"testing"

	"tinykv/kv/raw"
	"tinykv/proto/kvrpcpb"
)

// shelf is a service with the pairs b d f h, and others in the neighbouring families.
func shelf(t *testing.T) *desk {
	d := open(t, exactly)
	d.batchPut(pair{"b", "2"}, pair{"d", "4"}, pair{"f", "6"}, pair{"h", "8"}, pair{"e", "x"})
	d.del("e")
	d.fine(d.tryBatchPut("lock", pair{"a", "l"}, pair{"c", "l"}, pair{"z", "l"}))
	d.fine(d.tryBatchPut("write", pair{"a", "w"}, pair{"g", "w"}, pair{"z", "w"}))
	return d
}

var b, dd, f, h = pair{"b", "2"}, pair{"d", "4"}, pair{"f", "6"}, pair{"h", "8"}

func TestScanForward(t *testing.T) {
	d := shelf(t)
	for _, c := range []struct {
		start, end string
		want       []pair
	}{
		{"", "", []pair{b, dd, f, h}},
		{"b", "h", []pair{b, dd, f}}, // the start belongs to it, the end does not
		{"c", "g", []pair{dd, f}},
		{"b\x00", "h\x00", []pair{dd, f, h}}, // a page goes on behind the last key
		{"d", "", []pair{dd, f, h}},
		{"", "d", []pair{b}},
		{"d", "d", nil},
		{"i", "", nil},
		{"", "a", nil},
		{"d", "d\x00", []pair{dd}},
		{"\xff", "", nil},
	} {
		d.yields(query{start: c.start, end: c.end, limit: 100}, c.want...)
	}
	d.settled()
}

func TestScanReverse(t *testing.T) {
	d := shelf(t)
	for _, c := range []struct {
		start, end string // from start downwards, exclusive, to end, inclusive
		want       []pair
	}{
		{"", "", []pair{h, f, dd, b}},
		{"h", "b", []pair{f, dd, b}}, // the start, above, does not belong to it; the end, below, does
		{"h\x00", "b", []pair{h, f, dd, b}},
		{"g", "c", []pair{f, dd}},
		{"f", "", []pair{dd, b}},
		{"", "f", []pair{h, f}},
		{"", "b\x00", []pair{h, f, dd}},
		{"d", "d", nil},
		{"b", "", nil},
		{"", "i", nil},
		{"d\x00", "d", []pair{dd}},
		{"\xff\xff", "", []pair{h, f, dd, b}},
	} {
		d.yields(query{start: c.start, end: c.end, limit: 100, reverse: true}, c.want...)
	}
	d.settled()
}

func TestScanLimit(t *testing.T) {
	d := shelf(t)
	up, down := []pair{b, dd, f, h}, []pair{h, f, dd, b}
	for limit := range uint32(6) { // a limit of 0 asks for nothing
		n := min(int(limit), 4)
		d.yields(query{limit: limit}, up[:n]...)
		d.yields(query{limit: limit, reverse: true}, down[:n]...)
		d.yields(query{start: "c", limit: limit}, up[1:min(1+int(limit), 4)]...)
		d.yields(query{start: "g", limit: limit, reverse: true}, down[1:min(1+int(limit), 4)]...)
		d.yields(query{start: "c", end: "g", limit: limit}, up[1:min(1+int(limit), 3)]...)
	}
	d.yields(query{limit: raw.MaxScanLimit}, up...)

	d.rule = bounded
	for _, limit := range []uint32{raw.MaxScanLimit + 1, 1<<31 - 1, 1 << 31, 1<<32 - 1} { // the last is what -1 becomes
		if got, tr := d.scan(query{limit: limit}); !tr.any() || len(got) > 1 {
			d.broken(fmt.Sprintf("an error: the largest limit is %d", raw.MaxScanLimit), fmt.Sprintf("%v, %s", tr, list(got)))
		}
	}
	d.settled()
}

func TestScanKeysOnly(t *testing.T) {
	d := shelf(t)
	for _, reverse := range []bool{false, true} {
		want := []pair{{"b", ""}, {"d", ""}, {"f", ""}, {"h", ""}}
		if reverse {
			slices.Reverse(want)
		}
		d.yields(query{limit: 10, keyOnly: true, reverse: reverse}, want...)
		d.yields(query{limit: 3, keyOnly: true, reverse: reverse}, want[:3]...)
	}
}

func TestScanPagesMeet(t *testing.T) {
	d := open(t, exactly)
	var all []pair
	for i := range 23 {
		all = append(all, pair{fmt.Sprintf("k%02d", i), fmt.Sprint(i)})
	}
	d.batchPut(all...)
	var got []pair
	for start := ""; len(got) <= len(all); {
		page, tr := d.scan(query{start: start, limit: 5})
		d.fine(tr)
		got = append(got, page...)
		if len(page) < 5 {
			break
		}
		start = page[4].k + "\x00"
	}
	d.same(all, got)
	got = nil
	for start := ""; len(got) <= len(all); {
		page, tr := d.scan(query{start: start, limit: 5, reverse: true})
		d.fine(tr)
		got = append(got, page...)
		if len(page) < 5 {
			break
		}
		start = page[4].k
	}
	slices.Reverse(got)
	d.same(all, got)
}

func TestRequestsCostWhatTheyReturn(t *testing.T) {
	d := open(t, cheap)
	var all []pair
	for i := range 200 {
		all = append(all, pair{fmt.Sprintf("%03d", i), "v"})
	}
	d.batchPut(all...)
	within := func(what string, most int, count func(counts) int) {
		t.Helper()
		if c, _ := d.store.counted(); count(c) > most {
			d.broken(fmt.Sprintf("at most %d %s", most, what), fmt.Sprint(count(c)))
		}
	}
	moves := func(c counts) int { return c.moves }
	gets := func(c counts) int { return c.gets }
	for _, s := range []query{
		{limit: 3}, {start: "100", limit: 3}, {limit: 3, reverse: true}, {start: "100", limit: 3, reverse: true},
		{start: "010", end: "012", limit: 100}, {start: "012", end: "010", limit: 100, reverse: true}, {limit: 0},
	} {
		d.store.reset()
		if _, tr := d.scan(s); tr.any() {
			d.fine(tr)
		}
		n := int(s.limit)
		if s.limit == 100 {
			n = 2
		}
		within("moves of iterators: one for each pair, and one to stop", n+1, moves)
		within("Gets of a snapshot: the iterator has the values", 0, gets)
		within("snapshots", 1, func(c counts) int { return c.snapshots })
	}
	d.store.reset()
	d.has("", "007", "v")
	within("reads for one key", 2, func(c counts) int { return c.gets + c.moves })
	d.store.reset()
	if _, tr := d.batchGet("", "000", "050", "100", "150"); tr.any() {
		d.fine(tr)
	}
	within("reads for four keys that are far apart", 8, func(c counts) int { return c.gets + c.moves })
	d.store.reset()
	d.put("new", "1")
	d.batchPut(pair{"new 1", "1"}, pair{"new 2", "2"})
	d.fine(d.tryBatchDelete("", "new", "new 1"))
	d.fine(d.tryDeleteRange("", "a", "z"))
	within("reads: a write looks at nothing", 0, func(c counts) int { return c.gets + c.moves })
	within("batches for four writes", 4, func(c counts) int { return c.writes })
	d.settled()
}

func TestBatchScanTakesEachRange(t *testing.T) {
	d := shelf(t)
	ranges := []*kvrpcpb.KeyRange{{StartKey: []byte("a"), EndKey: []byte("e")}, {StartKey: []byte("g")},
		{StartKey: []byte("c"), EndKey: []byte("g")}}
	d.say(`RawBatchScan([a,e) [g,) [c,g), each_limit 2)`)
	r, err := d.kv.RawBatchScan(d.ctx(), &kvrpcpb.RawBatchScanRequest{Ranges: ranges, EachLimit: 2})
	d.fine(troubleOf(r, err))
	d.same([]pair{b, dd, h, dd, f}, plain(r.GetKvs()))
	d.say(`RawBatchScan([a,e) [g,) [c,g), each_limit 1)`)
	r, err = d.kv.RawBatchScan(d.ctx(), &kvrpcpb.RawBatchScanRequest{Ranges: ranges, EachLimit: 1})
	d.fine(troubleOf(r, err))
	d.same([]pair{b, h, dd}, plain(r.GetKvs()))
	d.say(`RawBatchScan([a,e) [b,z), each_limit 2, reverse, key_only)`)
	ranges = []*kvrpcpb.KeyRange{{StartKey: []byte("e"), EndKey: []byte("a")}, {StartKey: []byte("z"),
		EndKey: []byte("b")}}
	r, err = d.kv.RawBatchScan(d.ctx(), &kvrpcpb.RawBatchScanRequest{Ranges: ranges, EachLimit: 2, Reverse: true,
		KeyOnly: true})
	d.fine(troubleOf(r, err))
	d.same([]pair{{"d", ""}, {"b", ""}, {"h", ""}, {"f", ""}}, plain(r.GetKvs()))
	d.settled()
}

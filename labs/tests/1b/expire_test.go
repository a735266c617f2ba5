// Time to live, and checksums. Time is handed in: the functions of kv/raw are asked directly.

package stage1b_test

import (
	"fmt"
	"hash/crc64"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/raw"
	"tinykv/kv/region"
	"tinykv/proto/kvrpcpb"
)

// at runs f on a snapshot of the store.
func (d *desk) at(f func(snap engine.Snapshot)) {
	d.t.Helper()
	snap, err := d.store.Snapshot(d.t.Context(), nil)
	if err != nil {
		d.t.Fatal(err)
	}
	defer snap.Close()
	f(snap)
}

func TestExpiredPairsAreMissing(t *testing.T) {
	d := open(t, expires)
	const now = 1_000_000
	write := func(b *engine.Batch, err error) {
		t.Helper()
		if err != nil {
			d.broken("a batch", err.Error())
		}
		if err := d.store.e.Write(b, engine.Synced); err != nil {
			t.Fatal(err)
		}
	}
	pairs := []raw.Pair{{Key: []byte("a"), Value: []byte("10s")}, {Key: []byte("b"), Value: []byte("stays")},
		{Key: []byte("c"), Value: []byte("20s")}, {Key: []byte("d"), Value: nil}}
	d.say(`raw.BatchPut(a b c d, ttls 10 0 20 20) at second 0`)
	write(raw.BatchPut(engine.Default, pairs, []uint64{10, raw.NoTTL, 20, 20}, now))
	d.say(`raw.BatchPut(e f, ttls 5: one for all) at second 0`)
	write(raw.BatchPut(engine.Default, []raw.Pair{{Key: []byte("e")}, {Key: []byte("f")}}, []uint64{5}, now))
	d.say(`raw.Put(g, ttl 3), then raw.Put(g, no ttl) at second 0`)
	write(raw.Put(engine.Default, []byte("g"), []byte("x"), 3, now))
	write(raw.Put(engine.Default, []byte("g"), []byte("y"), raw.NoTTL, now))

	for _, c := range []struct {
		second uint64
		live   string
	}{
		{0, "abcdefg"}, {4, "abcdefg"}, {5, "abcdg"}, {9, "abcdg"}, {10, "bcdg"}, {19, "bcdg"}, {20, "bg"}, {1 << 40, "bg"},
	} {
		d.at(func(snap engine.Snapshot) {
			when := fmt.Sprintf("at second %d", c.second)
			var keys [][]byte
			for _, k := range "abcdefg" {
				keys = append(keys, []byte(string(k)))
			}
			live := ""
			for _, k := range keys {
				if _, found, err := raw.Get(snap, engine.Default, k, now+c.second); err != nil {
					d.broken("no error", err.Error())
				} else if found {
					live += string(k)
				}
			}
			check := func(what, live string) {
				d.t.Helper()
				if live != c.live {
					d.say("%s %s", what, when)
					d.broken("the keys "+c.live, "the keys "+live)
				}
			}
			check("raw.Get of each key", live)
			found, err := raw.BatchGet(snap, engine.Default, keys, now+c.second)
			check("raw.BatchGet", names(d, found, err))
			up, err := raw.Scan(snap, engine.Default, raw.ScanOptions{Limit: 100}, now+c.second)
			check("raw.Scan", names(d, up, err))
			down, err := raw.Scan(snap, engine.Default, raw.ScanOptions{Limit: 100, Reverse: true}, now+c.second)
			check("raw.Scan in reverse (its result read backwards)", reversed(names(d, down, err)))
			// What has expired does not count for the limit.
			some, err := raw.Scan(snap, engine.Default, raw.ScanOptions{Limit: 2}, now+c.second)
			if got := names(d, some, err); got != c.live[:2] {
				d.say("raw.Scan with limit 2 %s", when)
				d.broken("the keys "+c.live[:2], "the keys "+got)
			}
			sum, err := raw.ChecksumOf(snap, engine.Default, []region.Range{{}}, now+c.second)
			if err != nil || sum.Pairs != uint64(len(c.live)) {
				d.say("raw.ChecksumOf %s", when)
				d.broken(fmt.Sprintf("%d pairs", len(c.live)), fmt.Sprintf("%d pairs, error %v", sum.Pairs, err))
			}
		})
	}

	ttl := func(key string, second uint64, want uint64, exists bool) {
		t.Helper()
		d.at(func(snap engine.Snapshot) {
			got, found, err := raw.TTL(snap, engine.Default, []byte(key), now+second)
			if err != nil || found != exists || got != want {
				d.say("raw.TTL(%s) at second %d", key, second)
				d.broken(fmt.Sprintf("%d seconds, found %v", want, exists), fmt.Sprintf("%d seconds, found %v, error %v", got,
					found, err))
			}
		})
	}
	ttl("a", 0, 10, true)
	ttl("a", 9, 1, true)
	ttl("a", 10, 0, false)
	ttl("b", 99, raw.NoTTL, true)
	ttl("nope", 0, 0, false)

	// For a compare-and-swap an expired pair is missing.
	d.at(func(snap engine.Snapshot) {
		for _, c := range []struct {
			swap    raw.Swap
			second  uint64
			succeed bool
		}{
			{raw.Swap{Key: []byte("a"), Expected: []byte("10s")}, 9, true},
			{raw.Swap{Key: []byte("a"), Expected: []byte("10s")}, 10, false},
			{raw.Swap{Key: []byte("a"), ExpectAbsent: true}, 9, false},
			{raw.Swap{Key: []byte("a"), ExpectAbsent: true}, 10, true},
			{raw.Swap{Key: []byte("d"), Expected: nil}, 20, false}, // its value was empty, but now it is missing
		} {
			r, b, err := raw.CompareAndSwap(snap, engine.Default, c.swap, now+c.second)
			if err != nil || r.Succeed != c.succeed || (b != nil) != c.succeed {
				d.say("raw.CompareAndSwap(%s, expect absent %v) at second %d", c.swap.Key, c.swap.ExpectAbsent, c.second)
				d.broken(fmt.Sprintf("succeed %v", c.succeed), fmt.Sprintf("succeed %v, a batch %v, error %v", r.Succeed,
					b != nil, err))
			}
			if gone := c.second >= 10; r.Existed == gone {
				d.broken(fmt.Sprintf("existed %v", !gone), fmt.Sprintf("existed %v", r.Existed))
			}
		}
	})
}

func names(d *desk, pairs []raw.Pair, err error) string {
	d.t.Helper()
	if err != nil {
		d.broken("no error", err.Error())
	}
	out := ""
	for _, p := range pairs {
		out += string(p.Key)
	}
	return out
}

func reversed(s string) string {
	out := ""
	for _, c := range s {
		out = string(c) + out
	}
	return out
}

func TestTimeToLiveOverTheWire(t *testing.T) {
	d := open(t, expires)
	d.say(`RawPut("k", "v", ttl 1000)`)
	r, err := d.kv.RawPut(d.ctx(), &kvrpcpb.RawPutRequest{Key: []byte("k"), Value: []byte("v"), Ttl: 1000})
	d.fine(troubleOf(r, err))
	d.has("", "k", "v")
	d.say(`RawBatchPut("l" "m", ttls 2000 0)`)
	rb, err := d.kv.RawBatchPut(d.ctx(), &kvrpcpb.RawBatchPutRequest{Ttls: []uint64{2000, 0}, Pairs: []*kvrpcpb.KvPair{
		{Key: []byte("l"), Value: []byte("v")}, {Key: []byte("m"), Value: []byte("v")}}})
	d.fine(troubleOf(rb, err))
	d.say(`RawBatchPut("n" "o", ttl 500)`)
	rb, err = d.kv.RawBatchPut(d.ctx(), &kvrpcpb.RawBatchPutRequest{Ttl: 500, Pairs: []*kvrpcpb.KvPair{
		{Key: []byte("n"), Value: []byte("v")}, {Key: []byte("o"), Value: []byte("v")}}})
	d.fine(troubleOf(rb, err))
	s, tr := d.swap(swap{key: "p", absent: true, value: "v", ttl: 700})
	d.fine(tr)
	if !s.GetSucceed() {
		d.broken("succeed true", "succeed false")
	}
	for key, most := range map[string]uint64{"k": 1000, "l": 2000, "m": 0, "n": 500, "o": 500, "p": 700} {
		d.say("RawGetKeyTTL(%q)", key)
		r, err := d.kv.RawGetKeyTTL(d.ctx(), &kvrpcpb.RawGetKeyTTLRequest{Key: []byte(key)})
		d.fine(troubleOf(r, err))
		if r.GetNotFound() || r.GetTtl() > most || r.GetTtl()+60 < most {
			d.broken(fmt.Sprintf("%d seconds, or a few less", most), fmt.Sprintf("%d seconds, not_found %v", r.GetTtl(),
				r.GetNotFound()))
		}
	}
	d.say(`RawGetKeyTTL("missing")`)
	rt, err := d.kv.RawGetKeyTTL(d.ctx(), &kvrpcpb.RawGetKeyTTLRequest{Key: []byte("missing")})
	d.fine(troubleOf(rt, err))
	if !rt.GetNotFound() {
		d.broken("not_found true", "not_found false")
	}
	k, l, m, n, o, p := pair{"k", "v"}, pair{"l", "v"}, pair{"m", "v"}, pair{"n", "v"}, pair{"o", "v"}, pair{"p", "v"}
	d.yields(query{limit: 10}, k, l, m, n, o, p)
	d.say("the clock of the store goes 600 seconds ahead")
	d.later.Store(600)
	d.yields(query{limit: 10}, k, l, m, p)
	d.yields(query{limit: 2, reverse: true}, p, m)
	d.lacks("", "n")
	d.say("600 seconds more")
	d.later.Store(1200)
	d.yields(query{limit: 10}, l, m)
	d.lacks("", "k")
	got, tr := d.batchGet("", "k", "l", "m", "n", "p")
	d.fine(tr)
	d.same([]pair{l, m}, got)
	s, tr = d.swap(swap{key: "l", previous: "v", value: "v", ttl: 9000})
	d.fine(tr)
	d.say(`RawGetKeyTTL("l")`)
	rt, err = d.kv.RawGetKeyTTL(d.ctx(), &kvrpcpb.RawGetKeyTTLRequest{Key: []byte("l")})
	d.fine(troubleOf(rt, err))
	if !s.GetSucceed() || rt.GetTtl() > 9000 || rt.GetTtl() < 8000 {
		d.broken("succeed true, then 9000 seconds, or a few less: a swap to the same value renews its time to live",
			fmt.Sprintf("succeed %v, %d seconds", s.GetSucceed(), rt.GetTtl()))
	}
	if s, tr = d.swap(swap{key: "k", previous: "v", value: "w"}); tr.any() || s.GetSucceed() || !s.GetPreviousNotExist() {
		d.broken("succeed false, previous_not_exist true: the pair has expired", fmt.Sprint(s))
	}
	d.settled()
}

func TestChecksum(t *testing.T) {
	d := open(t, roundTrip)
	all := []pair{{"a", "1"}, {"b", ""}, {"c", "three"}, {"d", "4"}}
	d.batchPut(all...)
	table := crc64.MakeTable(crc64.ECMA)
	for _, c := range []struct {
		ranges []*kvrpcpb.KeyRange
		keys   string
	}{
		{[]*kvrpcpb.KeyRange{{}}, "abcd"},
		{[]*kvrpcpb.KeyRange{{StartKey: []byte("b"), EndKey: []byte("d")}}, "bc"},
		{[]*kvrpcpb.KeyRange{{StartKey: []byte("d")}, {StartKey: []byte("a"), EndKey: []byte("b")}}, "ad"},
		{nil, ""},
	} {
		var xor, size uint64
		for _, p := range all {
			for _, k := range c.keys {
				if string(k) == p.k {
					xor ^= crc64.Checksum([]byte(p.k+p.v), table)
					size += uint64(len(p.k) + len(p.v))
				}
			}
		}
		d.say("RawChecksum over the keys %q", c.keys)
		r, err := d.kv.RawChecksum(d.ctx(), &kvrpcpb.RawChecksumRequest{Ranges: c.ranges})
		d.fine(troubleOf(r, err))
		if r.GetChecksum() != xor || r.GetTotalKvs() != uint64(len(c.keys)) || r.GetTotalBytes() != size {
			d.broken(fmt.Sprintf("checksum %x, %d pairs, %d bytes", xor, len(c.keys), size),
				fmt.Sprintf("checksum %x, %d pairs, %d bytes", r.GetChecksum(), r.GetTotalKvs(), r.GetTotalBytes()))
		}
		d.settled()
	}
}

// Single keys and lists of keys.

package stage1b_test

import (
	"fmt"
	"testing"

	"tinykv/kv/engine"
	"tinykv/proto/kvrpcpb"
)

func TestPutGetDelete(t *testing.T) {
	d := open(t, roundTrip)
	d.put("a", "1")
	d.has("", "a", "1")
	d.put("b", "2")
	d.put("a", "one")
	d.has("", "a", "one")
	d.has("", "b", "2")
	d.del("a")
	d.has("", "b", "2")
	d.rule = notEmpty
	d.lacks("", "a")
	d.rule = roundTrip
	d.put("a", "again")
	d.has("", "a", "again")
	d.del("never written") // is no error
	d.put("bytes \x00\xff!", "value \x00\xff")
	d.has("", "bytes \x00\xff!", "value \x00\xff")
	d.settled()
}

func TestMissingIsNotEmpty(t *testing.T) {
	d := open(t, notEmpty)
	d.lacks("", "a")
	d.put("a", "")
	d.has("", "a", "")
	d.put("a", "x")
	d.put("a", "")
	d.has("", "a", "")
	d.lacks("", "aa")
	d.lacks("lock", "a")
	got, tr := d.batchGet("", "missing", "a", "also missing")
	d.fine(tr)
	d.same([]pair{{"a", ""}}, got)
	d.yields(query{limit: 10}, pair{"a", ""})
	d.fine(d.tryBatchPut("", pair{"b", ""}, pair{"c", "3"}))
	d.has("", "b", "")
	d.del("a")
	d.lacks("", "a")
	got, tr = d.batchGet("", "a", "b", "c")
	d.fine(tr)
	d.same([]pair{{"b", ""}, {"c", "3"}}, got)
	d.yields(query{limit: 10}, pair{"b", ""}, pair{"c", "3"})
	d.yields(query{limit: 10, reverse: true}, pair{"c", "3"}, pair{"b", ""})
}

func TestColumnFamiliesByName(t *testing.T) {
	d := open(t, roundTrip)
	for _, cf := range []string{"", "lock", "write"} {
		d.fine(d.tryPut(cf, "k", "in "+cf))
	}
	d.has("default", "k", "in ") // the empty name is "default"
	d.has("", "k", "in ")
	d.has("lock", "k", "in lock")
	d.has("write", "k", "in write")
	d.fine(d.tryBatchPut("lock", pair{"l", "1"}, pair{"m", "2"}))
	got, tr := d.batchGet("lock", "k", "l", "m")
	d.fine(tr)
	d.same([]pair{{"k", "in lock"}, {"l", "1"}, {"m", "2"}}, got)
	d.fine(d.tryBatchDelete("lock", "k", "l"))
	d.yields(query{cf: "lock", limit: 10}, pair{"m", "2"})
	d.yields(query{cf: "lock", limit: 10, reverse: true}, pair{"m", "2"})
	d.yields(query{cf: "default", limit: 10}, pair{"k", "in "})
	d.fine(d.tryDeleteRange("write", "", ""))
	d.yields(query{cf: "write", limit: 10})
	d.has("", "k", "in ")
	d.has("lock", "m", "2")

	d.say(`RawDelete(lock, "m")`)
	r, err := d.kv.RawDelete(d.ctx(), &kvrpcpb.RawDeleteRequest{Cf: "lock", Key: []byte("m")})
	d.fine(troubleOf(r, err))
	d.lacks("lock", "m")
	d.say(`RawCompareAndSwap(lock, "k": if missing then "swapped")`)
	cas, err := d.kv.RawCompareAndSwap(d.ctx(), &kvrpcpb.RawCASRequest{Cf: "lock", Key: []byte("k"),
		PreviousNotExist: true, Value: []byte("swapped"), Ttl: 1000})
	d.fine(troubleOf(cas, err))
	if !cas.GetSucceed() {
		d.broken("succeed true: the key is missing in lock", "succeed false")
	}
	d.has("lock", "k", "swapped")
	d.has("", "k", "in ")
	for cf, has := range map[string]bool{"lock": true, "default": false} {
		d.say(`RawGetKeyTTL(%s, "k")`, cf)
		r, err := d.kv.RawGetKeyTTL(d.ctx(), &kvrpcpb.RawGetKeyTTLRequest{Cf: cf, Key: []byte("k")})
		d.fine(troubleOf(r, err))
		if r.GetNotFound() || r.GetTtl() > 0 != has {
			d.broken(fmt.Sprintf("found, with a time to live: %v", has), fmt.Sprint(r))
		}
	}
	d.say("RawBatchScan(lock, everything)")
	rs, err := d.kv.RawBatchScan(d.ctx(), &kvrpcpb.RawBatchScanRequest{Cf: "lock", Ranges: []*kvrpcpb.KeyRange{{}},
		EachLimit: 9})
	d.fine(troubleOf(rs, err))
	d.same([]pair{{"k", "swapped"}}, plain(rs.GetKvs()))
}

func TestBatchGetAnswersInOrder(t *testing.T) {
	d := open(t, roundTrip)
	d.batchPut(pair{"a", "1"}, pair{"b", "2"}, pair{"c", "3"}, pair{"d", "4"})
	d.store.reset()
	for _, c := range []struct {
		keys []string
		want []pair
	}{
		{[]string{"a", "b"}, []pair{{"a", "1"}, {"b", "2"}}},
		{[]string{"d", "a", "c"}, []pair{{"d", "4"}, {"a", "1"}, {"c", "3"}}},      // the order of the request
		{[]string{"x", "b", "y", "z", "c"}, []pair{{"b", "2"}, {"c", "3"}}},        // only what was found
		{[]string{"b", "b", "x", "b"}, []pair{{"b", "2"}, {"b", "2"}, {"b", "2"}}}, // a key asked for twice is answered twice
		{[]string{"x"}, nil},
		{nil, nil},
	} {
		got, tr := d.batchGet("", c.keys...)
		d.fine(tr)
		d.same(c.want, got)
	}
	d.settled()
}

func TestReadsOfOneRequestAreOfOneMoment(t *testing.T) {
	for _, hook := range []string{"snapshot", "read"} {
		d := open(t, oneView)
		// Behind the back of the request, all keys get a new number: before each snapshot it takes, or before each read.
		number := 0
		keys := []string{"a", "b", "c", "d", "e", "f"}
		bump := func(int) {
			number++
			var b engine.Batch
			for _, k := range keys {
				b.Put(engine.Default, []byte(k), d.encoded(fmt.Sprint(number)))
			}
			if err := d.store.e.Write(&b, engine.Buffered); err != nil {
				t.Error(err)
			}
		}
		bump(0)
		if hook == "snapshot" {
			d.store.onSnap = bump
		} else {
			d.store.onRead = bump
		}
		check := func(n int, got []pair, tr trouble) {
			t.Helper()
			d.fine(tr)
			for _, p := range got {
				if len(got) != n || p.v != got[0].v {
					d.broken("the same number in all "+fmt.Sprint(n)+" keys: every write sets all of them to one number", list(got),
						"while the request ran, another client wrote all keys anew before each "+hook)
				}
			}
			if len(got) != n {
				d.broken(fmt.Sprint(n, " pairs"), list(got))
			}
		}
		got, tr := d.batchGet("", keys...)
		check(6, got, tr)
		got, tr = d.scan(query{limit: 10})
		check(6, got, tr)
		got, tr = d.scan(query{limit: 4, reverse: true})
		check(4, got, tr)
		d.store.onSnap, d.store.onRead = nil, nil
		d.settled()
	}
}

// encoded returns the stored form of a value, as the service itself makes it.
func (d *desk) encoded(value string) []byte {
	r, err := d.kv.RawPut(d.ctx(), &kvrpcpb.RawPutRequest{Cf: "write", Key: []byte("probe"), Value: []byte(value)})
	if tr := troubleOf(r, err); tr.any() {
		d.t.Fatalf("RawPut: %v", tr)
	}
	return []byte(d.stored(engine.Write)["probe"])
}

func TestResultsAreCopies(t *testing.T) {
	d := open(t, owner)
	want := []pair{{"a", "first"}, {"b", "2"}, {"c", "the third"}, {"dd", ""}, {"e", "5th"}}
	d.batchPut(want...)
	d.yields(query{limit: 10}, want...)
	back := []pair{want[4], want[3], want[2], want[1], want[0]}
	d.yields(query{limit: 10, reverse: true}, back...)
	for i := range want {
		want[i].v = ""
	}
	d.yields(query{limit: 10, keyOnly: true}, want...)
	got, tr := d.batchGet("", "e", "a")
	d.fine(tr)
	d.same([]pair{{"e", "5th"}, {"a", "first"}}, got)
}

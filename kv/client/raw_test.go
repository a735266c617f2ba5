// Every operation of the raw API, over one region and over many, unary and in frames.

package client_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tinykv/kv/client"
	"tinykv/kv/region"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eachWay runs a test with unary calls and with frames, over one region and over three.
func eachWay(t *testing.T, test func(t *testing.T, w *world, c *client.Client)) {
	for _, batch := range []bool{false, true} {
		for _, bounds := range [][]string{nil, {"b", "d"}} {
			t.Run(fmt.Sprintf("frames=%v/regions=%d", batch, len(bounds)+1), func(t *testing.T) {
				w := newWorld(t, bounds...)
				test(t, w, w.client(t, client.Options{Batch: batch}))
			})
		}
	}
}

func TestAValueIsWhatWasPut(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, c *client.Client) {
		kv, ctx := c.Raw(), t.Context()
		if _, found, err := kv.Get(ctx, []byte("c")); found || err != nil {
			t.Errorf("before: %v, %v", found, err)
		}
		for key, value := range map[string]string{"a": "1", "c": "3", "empty": ""} {
			if err := kv.Put(ctx, []byte(key), []byte(value)); err != nil {
				t.Fatal(err)
			}
			got, found, err := kv.Get(ctx, []byte(key))
			if err != nil || !found || got == nil || string(got) != value {
				t.Errorf("get %q: %q, %v, %v", key, got, found, err)
			}
		}
		if err := kv.Delete(ctx, []byte("a")); err != nil {
			t.Fatal(err)
		}
		if _, found, err := kv.Get(ctx, []byte("a")); found || err != nil {
			t.Errorf("after delete: %v, %v", found, err)
		}
	})
}

func TestBatchesAreSplitByRegion(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, c *client.Client) {
		kv, ctx := c.Raw(), t.Context()
		var pairs []client.Pair
		for i := range 1500 { // more than one portion of a region
			pairs = append(pairs, client.Pair{Key: fmt.Appendf(nil, "%c%04d", 'a'+i%5, i), Value: fmt.Append(nil, i)})
		}
		pairs = append(pairs, client.Pair{Key: []byte("a0000"), Value: []byte("last")}, client.Pair{Key: []byte("e"),
			Value: nil})
		if err := kv.BatchPut(ctx, pairs); err != nil {
			t.Fatal(err)
		}
		got, err := kv.BatchGet(ctx, [][]byte{[]byte("e1499"), []byte("a0000"), []byte("nothing"), []byte("e"),
			[]byte("a0000")})
		if err != nil || string(got[0]) != "1499" || string(got[1]) != "last" || got[2] != nil || got[3] == nil ||
			len(got[3]) > 0 ||
			string(got[4]) != "last" {
			t.Errorf("%q, %v", got, err)
		}
		if err := kv.BatchDelete(ctx, [][]byte{[]byte("a0000"), []byte("e1499"), []byte("nothing")}); err != nil {
			t.Fatal(err)
		}
		if n := len(w.pairs); n != 1499 {
			t.Errorf("%d pairs are left, want 1499", n)
		}
		if err := kv.BatchPut(ctx, nil); err != nil {
			t.Errorf("an empty batch: %v", err)
		}
	})
}

func fill(w *world, keys string) {
	w.set(func() {
		for _, k := range keys {
			w.pairs[string(k)] = strings.ToUpper(string(k))
		}
	})
}

func TestScansGoAcrossRegionsBothWays(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, c *client.Client) {
		fill(w, "abcdefg")
		for _, q := range []struct {
			start, end string
			reverse    bool
			limit      int
			want       string
		}{
			{"", "", false, 100, "abcdefg"}, {"", "", true, 100, "gfedcba"},
			{"", "", false, 3, "abc"}, {"", "", true, 3, "gfe"}, {"", "", false, 0, ""}, {"", "", true, 0, ""},
			{"b", "e", false, 100, "bcd"}, {"e", "b", true, 100, "dcb"},
			{"b", "d", false, 100, "bc"}, {"d", "b", true, 100, "cb"}, // bounds of a region
			{"aa", "bb", false, 100, "b"}, {"bb", "aa", true, 100, "b"},
			{"c", "", false, 2, "cd"}, {"c", "", true, 2, "ba"},
			{"x", "", false, 100, ""}, {"x", "", true, 100, "gfedcba"}, {"a", "", true, 100, ""}, {"b", "", true, 100,
				"a"},
			{"c", "c", false, 100, ""}, {"c", "c", true, 100, ""},
		} {
			opts := client.ScanOptions{Start: []byte(q.start), End: []byte(q.end), Reverse: q.reverse}
			for _, keyOnly := range []bool{false, true} {
				opts.KeyOnly = keyOnly
				pairs, err := c.Raw().Scan(t.Context(), opts, q.limit)
				got := ""
				for _, p := range pairs {
					got += string(p.Key)
					if keyOnly != (p.Value == nil) || !keyOnly && string(p.Value) != strings.ToUpper(string(p.Key)) {
						t.Errorf("%+v: value %q", q, p.Value)
					}
				}
				if err != nil || got != q.want {
					t.Errorf("%+v: %s, %v", q, got, err)
				}
			}
		}
		if _, err := c.Raw().Scan(t.Context(), client.ScanOptions{}, -1); !errors.Is(err, client.ErrRefused) {
			t.Errorf("a negative limit: %v", err)
		}
	})
}

func TestAScanOfMoreThanAPageIsWhole(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, c *client.Client) {
		w.set(func() {
			for i := range 2500 {
				w.pairs[fmt.Sprintf("c%05d", i)] = "v"
			}
		})
		for _, reverse := range []bool{false, true} {
			n, last := 0, ""
			for p, err := range c.Raw().All(t.Context(), client.ScanOptions{Reverse: reverse}) {
				if err != nil {
					t.Fatal(err)
				}
				if n > 0 && (string(p.Key) > last) == reverse {
					t.Fatalf("%s after %s", p.Key, last)
				}
				n, last = n+1, string(p.Key)
			}
			if n != 2500 {
				t.Errorf("reverse=%v: %d pairs", reverse, n)
			}
			pairs, err := c.Raw().Scan(t.Context(), client.ScanOptions{Reverse: reverse}, 2049)
			if err != nil || len(pairs) != 2049 {
				t.Errorf("reverse=%v: %d pairs, %v", reverse, len(pairs), err)
			}
		}
	})
}

func TestReadsOfLargePairsAskForFewerAtATime(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, c *client.Client) {
		fill(w, "abcdefgh")
		w.set(func() { w.mostAtOnce = 1 })
		pairs, err := c.Raw().Scan(t.Context(), client.ScanOptions{}, 100)
		if err != nil || len(pairs) != 8 {
			t.Errorf("scan: %d pairs of 8, %v", len(pairs), err)
		}
		var keys [][]byte
		for _, p := range pairs {
			keys = append(keys, p.Key)
		}
		values, err := c.Raw().BatchGet(t.Context(), keys)
		if err != nil || len(values) != 8 {
			t.Fatalf("batch get: %d values of 8, %v", len(values), err)
		}
		for i, v := range values {
			if v == nil {
				t.Errorf("no value for %s", keys[i])
			}
		}
		w.set(func() { w.mostAtOnce = -1 }) // not even one
		if _, err := c.Raw().Scan(t.Context(), client.ScanOptions{}, 100); !errors.Is(err, client.ErrTooLarge) {
			t.Errorf("a pair that is too large alone: %v", err)
		}
		if _, err := c.Raw().BatchGet(t.Context(), keys); !errors.Is(err, client.ErrTooLarge) {
			t.Errorf("a value that is too large alone: %v", err)
		}
	})
}

func TestRangesAreDeletedAndSummedRegionByRegion(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, c *client.Client) {
		fill(w, "abcdefg")
		kv, ctx := c.Raw(), t.Context()
		sum, err := kv.Checksum(ctx, region.Range{})
		if err != nil || sum.Pairs != 7 || sum.Bytes != 14 || sum.XOR == 0 {
			t.Errorf("%+v, %v", sum, err)
		}
		if err := kv.DeleteRange(ctx, region.Range{Start: []byte("b"), End: []byte("f")}); err != nil {
			t.Fatal(err)
		}
		if sum, err := kv.Checksum(ctx, region.Range{Start: []byte("a"), End: []byte("g")}); err != nil ||
			sum.Pairs != 2 {
			t.Errorf("%+v, %v", sum, err)
		}
		if err := kv.DeleteRange(ctx, region.Range{}); err != nil || len(w.pairs) != 0 {
			t.Errorf("%d pairs are left, %v", len(w.pairs), err)
		}
	})
}

func TestCompareAndSwapAndTimesToLive(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, c *client.Client) {
		kv, ctx := c.Raw(), t.Context()
		got, err := kv.CompareAndSwap(ctx, client.Swap{Key: []byte("c"), ExpectAbsent: true, Value: []byte("1")})
		if err != nil || !got.Succeed || got.Existed || got.Previous != nil {
			t.Errorf("%+v, %v", got, err)
		}
		got, err = kv.CompareAndSwap(ctx, client.Swap{Key: []byte("c"), Expected: []byte("2"), Value: []byte("3")})
		if err != nil || got.Succeed || !got.Existed || string(got.Previous) != "1" {
			t.Errorf("%+v, %v", got, err)
		}
		if ttl, found, err := kv.TTL(ctx, []byte("c")); err != nil || !found || ttl != 7*time.Second {
			t.Errorf("%v, %v, %v", ttl, found, err)
		}
		if _, found, err := kv.TTL(ctx, []byte("none")); err != nil || found {
			t.Errorf("%v, %v", found, err)
		}
		if err := kv.PutTTL(ctx, []byte("c"), nil, -time.Second); !errors.Is(err, client.ErrRefused) {
			t.Errorf("a negative time to live: %v", err)
		}
	})
}

func TestAnErrorInTheAnswerIsNotRetried(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, c *client.Client) {
		err := c.Raw().Put(t.Context(), []byte("a"), make([]byte, 200))
		if !errors.Is(err, client.ErrRefused) || !strings.Contains(err.Error(), "too large") || errors.Is(err,
			client.ErrUndetermined) {
			t.Errorf("%v", err)
		}
		if n := w.count("RawPut"); n != 1 {
			t.Errorf("sent %d times", n)
		}
	})
}

func TestManyCallersShareFrames(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, client.Options{Batch: true, Connections: 1})
	var wg sync.WaitGroup
	const callers, each = 64, 20
	for i := range callers {
		wg.Go(func() {
			for j := range each {
				key := fmt.Appendf(nil, "%d/%d", i, j)
				if err := c.Raw().Put(t.Context(), key, key); err != nil {
					t.Error(err)
				}
				if got, _, err := c.Raw().Get(t.Context(), key); err != nil || string(got) != string(key) {
					t.Errorf("%q, %v: the answer of another request", got, err)
				}
			}
		})
	}
	wg.Wait()
	if n := w.count("frame"); n >= callers*each*2 {
		t.Errorf("%d frames for %d requests: nobody shared", n, callers*each*2)
	}
}

func TestAfterCloseCallsFail(t *testing.T) {
	for _, batch := range []bool{false, true} {
		w := newWorld(t)
		c := w.client(t, client.Options{Batch: batch})
		if err := c.Raw().Put(t.Context(), []byte("a"), nil); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, _, err := c.Raw().Get(t.Context(), []byte("a")); !errors.Is(err, client.ErrClosed) {
			t.Errorf("frames=%v: %v", batch, err)
		}
	}
}

// Every operation of the raw client, and the edges of each, against real servers: one store, and a cluster of three, with
// each engine.

package interop_test

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc64"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tikv/client-go/v2/config"
	"github.com/tikv/client-go/v2/rawkv"
)

// operations are run one after the other, each on an empty store.
var operations = []struct {
	name string
	run  func(t *testing.T, c *rawkv.Client)
}{
	{"get_returns_what_was_put", getReturnsWhatWasPut},
	{"missing_key_is_nil_and_empty_value_is_not", missingKeyIsNil},
	{"delete_removes_and_forgives", deleteRemoves},
	{"batches_cross_the_client's_own_limits", batches},
	{"ttl_is_told_and_kept", ttlIsToldAndKept},
	{"expired_key_is_gone_from_every_read", expiredKeyIsGone},
	{"delete_range_excludes_its_end", deleteRange},
	{"scan_goes_up_from_start_inclusive_to_end_exclusive", scan},
	{"reverse_scan_goes_down_from_start_exclusive_to_end_inclusive", reverseScan},
	{"column_families_are_separate", columnFamilies},
	{"compare_and_swap", compareAndSwap},
	{"compare_and_swap_by_many_loses_no_increment", compareAndSwapByMany},
	{"checksum_is_the_xor_of_crc64", checksum},
	{"large_values_pass", largeValues},
	{"scan_is_complete_or_an_error", tooLargeAResult},
	{"bad_input_is_an_error_at_once", badInput},
	{"many_goroutines_share_a_client", manyGoroutines},
}

func TestRawClientDoesEverythingItCan(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) { runOperations(t, start(t, engine).Scheduler) })
		t.Run(engine+"_three_stores", func(t *testing.T) { runOperations(t, startCluster(t, engine).Scheduler) })
	}
}

// TestRawClientWithoutFrames has the client send each request as a call of its own. By default nearly all of them
// travel in the frames of a stream (BatchCommands).
func TestRawClientWithoutFrames(t *testing.T) {
	t.Cleanup(config.UpdateGlobal(func(c *config.Config) { c.TiKVClient.MaxBatchSize = 0 }))
	runOperations(t, startCluster(t, "pebble").Scheduler)
}

func runOperations(t *testing.T, scheduler string) {
	client := connect(t, scheduler)
	for _, operation := range operations {
		t.Run(operation.name, func(t *testing.T) {
			empty(t, client)
			client.SetAtomicForCAS(false)
			operation.run(t, client)
		})
	}
}

// families are the column families that a store has.
var families = []string{"default", "lock", "write"}

// empty removes every key of every column family. All keys of these tests are less than the end of this range.
func empty(t *testing.T, c *rawkv.Client) {
	t.Helper()
	for _, family := range families {
		err := c.DeleteRange(t.Context(), nil, bytes.Repeat([]byte{0xff}, 16), rawkv.SetColumnFamily(family))
		check(t, err)
	}
}

func getReturnsWhatWasPut(t *testing.T, c *rawkv.Client) {
	for _, key := range []string{"a", "\x00", "\x00\x00", "\xff\xfe", "key with spaces", strings.Repeat("k", 1024)} {
		check(t, c.Put(t.Context(), []byte(key), []byte("first")))
		check(t, c.Put(t.Context(), []byte(key), []byte("value of "+key)))
		value, err := c.Get(t.Context(), []byte(key))
		check(t, err)
		if string(value) != "value of "+key {
			t.Errorf("get %q after two puts: got %q", key, value)
		}
	}
}

func missingKeyIsNil(t *testing.T, c *rawkv.Client) {
	value, err := c.Get(t.Context(), []byte("missing"))
	check(t, err)
	if value != nil {
		t.Errorf("get of a missing key: got %q, want nil", value)
	}
	check(t, c.Put(t.Context(), []byte("empty"), nil))
	value, err = c.Get(t.Context(), []byte("empty"))
	check(t, err)
	if value == nil || len(value) != 0 {
		t.Errorf("get of an empty value: got %#v, want a value of no bytes", value)
	}
}

func deleteRemoves(t *testing.T, c *rawkv.Client) {
	put(t, c, "a", "b", "c", "d")
	check(t, c.Delete(t.Context(), []byte("b")))
	check(t, c.Delete(t.Context(), []byte("b")))
	check(t, c.Delete(t.Context(), []byte("never was")))
	check(t, c.BatchDelete(t.Context(), keysOf("c", "c", "never was")))
	wantKeys(t, c, "a", "d")
}

// batches has more keys and bytes than fit one request of the client's: 512 keys of a read, 16 KiB of a write.
func batches(t *testing.T, c *rawkv.Client) {
	const count = 2000
	var keys, values [][]byte
	for i := range count {
		keys = append(keys, fmt.Appendf(nil, "batch-%05d", i))
		values = append(values, bytes.Repeat([]byte{byte(i)}, i%50))
	}
	check(t, c.BatchPut(t.Context(), keys, values))

	asked := slices.Clone(keys)
	asked = append(asked, []byte("batch-missing"), keys[7])
	got, err := c.BatchGet(t.Context(), asked)
	check(t, err)
	if len(got) != len(asked) {
		t.Fatalf("batch get of %d keys: got %d values", len(asked), len(got))
	}
	for i := range count {
		if got[i] == nil || !bytes.Equal(got[i], values[i]) {
			t.Fatalf("batch get of %q: got %q, want %q", keys[i], got[i], values[i])
		}
	}
	if got[count] != nil {
		t.Errorf("batch get of a missing key: got %q, want nil", got[count])
	}
	if !bytes.Equal(got[count+1], values[7]) {
		t.Errorf("batch get of a key for the second time: got %q, want %q", got[count+1], values[7])
	}

	check(t, c.BatchDelete(t.Context(), keys[:count-1]))
	wantKeys(t, c, string(keys[count-1]))
}

func ttlIsToldAndKept(t *testing.T, c *rawkv.Client) {
	check(t, c.PutWithTTL(t.Context(), []byte("mortal"), []byte("v"), 1000))
	check(t, c.Put(t.Context(), []byte("immortal"), []byte("v")))
	check(t, c.PutWithTTL(t.Context(), []byte("reborn"), []byte("v"), 1000))
	check(t, c.Put(t.Context(), []byte("reborn"), []byte("v")))
	check(t, c.BatchPutWithTTL(t.Context(), keysOf("b1", "b2", "b3"), keysOf("v", "v", ""), []uint64{2000, 0, 3000}))
	check(t, c.PutWithTTL(t.Context(), []byte("empty"), nil, 1000))

	for key, want := range map[string]uint64{
		"mortal": 1000, "immortal": 0, "reborn": 0, "b1": 2000, "b2": 0, "b3": 3000, "empty": 1000,
	} {
		ttl, err := c.GetKeyTTL(t.Context(), []byte(key))
		check(t, err)
		if ttl == nil {
			t.Errorf("time to live of %q: there is no such key", key)
			continue
		}
		if *ttl > want || *ttl+30 < want {
			t.Errorf("time to live of %q: got %d s, want %d s or a little less", key, *ttl, want)
		}
		value, err := c.Get(t.Context(), []byte(key))
		check(t, err)
		if wantValue := map[bool]string{true: "", false: "v"}[key == "b3" || key == "empty"]; string(value) != wantValue {
			t.Errorf("value of %q, which has a time to live: got %q, want %q", key, value, wantValue)
		}
	}
	ttl, err := c.GetKeyTTL(t.Context(), []byte("missing"))
	check(t, err)
	if ttl != nil {
		t.Errorf("time to live of a missing key: got %d, want nil", *ttl)
	}
}

func expiredKeyIsGone(t *testing.T, c *rawkv.Client) {
	check(t, c.PutWithTTL(t.Context(), []byte("a"), []byte("v"), 1))
	check(t, c.BatchPutWithTTL(t.Context(), keysOf("b", "c"), keysOf("v", "v"), []uint64{1, 1000}))
	eventually(t, 10*time.Second, "keys with a time to live of 1 s are gone", func() bool {
		return len(scanAll(t, c)) == 1
	})
	value, err := c.Get(t.Context(), []byte("a"))
	check(t, err)
	if value != nil {
		t.Errorf("get of an expired key: got %q, want nil", value)
	}
	values, err := c.BatchGet(t.Context(), keysOf("a", "b", "c"))
	check(t, err)
	if values[0] != nil || values[1] != nil || string(values[2]) != "v" {
		t.Errorf("batch get of two expired keys and a living one: got %q", values)
	}
	ttl, err := c.GetKeyTTL(t.Context(), []byte("a"))
	check(t, err)
	if ttl != nil {
		t.Errorf("time to live of an expired key: got %d, want nil", *ttl)
	}
	c.SetAtomicForCAS(true)
	previous, swapped, err := c.CompareAndSwap(t.Context(), []byte("b"), nil, []byte("new"))
	check(t, err)
	if !swapped || previous != nil {
		t.Errorf("swap of an expired key as if it were missing: swapped %v, previous %q", swapped, previous)
	}
}

func deleteRange(t *testing.T, c *rawkv.Client) {
	put(t, c, "a", "b", "b0", "c", "d", "e")
	check(t, c.Put(t.Context(), []byte("b"), []byte("v"), rawkv.SetColumnFamily("write")))
	check(t, c.DeleteRange(t.Context(), []byte("b"), []byte("d")))
	wantKeys(t, c, "a", "d", "e")

	check(t, c.DeleteRange(t.Context(), []byte("d"), []byte("d")))
	wantKeys(t, c, "a", "d", "e")

	check(t, c.DeleteRange(t.Context(), nil, []byte("b")))
	wantKeys(t, c, "d", "e")

	value, err := c.Get(t.Context(), []byte("b"), rawkv.SetColumnFamily("write"))
	check(t, err)
	if string(value) != "v" {
		t.Errorf("delete range of one column family took a key of another: got %q", value)
	}
}

func scan(t *testing.T, c *rawkv.Client) {
	put(t, c, "a", "b", "c", "d", "e")
	for _, test := range []struct {
		start, end string
		limit      int
		want       string
	}{
		{"", "", 100, "abcde"},
		{"", "", 3, "abc"},
		{"b", "", 100, "bcde"},
		{"b", "d", 100, "bc"},
		{"b", "d", 1, "b"},
		{"", "c", 100, "ab"},
		{"a0", "d0", 100, "bcd"},
		{"c", "c", 100, ""},
		{"d", "b", 100, ""},
		{"x", "", 100, ""},
		{"", "", 0, ""},
		{"", "", 10240, "abcde"},
	} {
		keys, values, err := c.Scan(t.Context(), []byte(test.start), []byte(test.end), test.limit)
		check(t, err)
		if got := string(bytes.Join(keys, nil)); got != test.want {
			t.Errorf("scan [%q, %q) limit %d: got %q, want %q", test.start, test.end, test.limit, got, test.want)
		}
		for i, value := range values {
			if string(value) != "value of "+string(keys[i]) {
				t.Errorf("scan [%q, %q): %q has the value %q", test.start, test.end, keys[i], value)
			}
		}
		keys, values, err = c.Scan(t.Context(), []byte(test.start), []byte(test.end), test.limit, rawkv.ScanKeyOnly())
		check(t, err)
		if got := string(bytes.Join(keys, nil)); got != test.want {
			t.Errorf("scan of keys [%q, %q): got %q, want %q", test.start, test.end, got, test.want)
		}
		if slices.ContainsFunc(values, func(value []byte) bool { return len(value) > 0 }) {
			t.Errorf("scan of keys only: got the values %q", values)
		}
	}
	if _, _, err := c.Scan(t.Context(), nil, nil, rawkv.MaxRawKVScanLimit+1); err == nil {
		t.Error("scan with a limit above the client's: got no error")
	}
}

func reverseScan(t *testing.T, c *rawkv.Client) {
	put(t, c, "a", "b", "c", "d", "e")
	for _, test := range []struct {
		start, end string
		limit      int
		want       string
	}{
		{"z", "", 100, "edcba"},
		{"z", "", 2, "ed"},
		{"e", "", 100, "dcba"},
		{"e", "b", 100, "dcb"},
		{"e", "b", 2, "dc"},
		{"e0", "a0", 100, "edcb"},
		{"c", "c", 100, ""},
		{"b", "d", 100, ""},
		{"a", "", 100, ""},
	} {
		keys, values, err := c.ReverseScan(t.Context(), []byte(test.start), []byte(test.end), test.limit)
		check(t, err)
		if got := string(bytes.Join(keys, nil)); got != test.want {
			t.Errorf("reverse scan from %q down to %q limit %d: got %q, want %q",
				test.start, test.end, test.limit, got, test.want)
		}
		for i, value := range values {
			if string(value) != "value of "+string(keys[i]) {
				t.Errorf("reverse scan from %q: %q has the value %q", test.start, keys[i], value)
			}
		}
		keys, values, err = c.ReverseScan(t.Context(), []byte(test.start), []byte(test.end), test.limit,
			rawkv.ScanKeyOnly())
		check(t, err)
		if got := string(bytes.Join(keys, nil)); got != test.want {
			t.Errorf("reverse scan of keys from %q: got %q, want %q", test.start, got, test.want)
		}
		if slices.ContainsFunc(values, func(value []byte) bool { return len(value) > 0 }) {
			t.Errorf("reverse scan of keys only: got the values %q", values)
		}
	}
}

func columnFamilies(t *testing.T, c *rawkv.Client) {
	for _, family := range families {
		in := rawkv.SetColumnFamily(family)
		check(t, c.Put(t.Context(), []byte("k"), []byte(family), in))
		check(t, c.BatchPut(t.Context(), keysOf("only in "+family), keysOf(family), in))
	}
	for _, family := range families {
		in := rawkv.SetColumnFamily(family)
		value, err := c.Get(t.Context(), []byte("k"), in)
		check(t, err)
		if string(value) != family {
			t.Errorf("get from %s: got %q", family, value)
		}
		keys, _, err := c.Scan(t.Context(), nil, nil, 100, in)
		check(t, err)
		if got := string(bytes.Join(keys, []byte(","))); got != "k,only in "+family {
			t.Errorf("scan of %s: got %q", family, got)
		}
	}
	value, err := c.Get(t.Context(), []byte("k"))
	check(t, err)
	if string(value) != "default" {
		t.Errorf("get without a column family: got %q, want the one from default", value)
	}

	check(t, c.BatchDelete(t.Context(), keysOf("k"), rawkv.SetColumnFamily("lock")))
	c.SetColumnFamily("lock")
	defer c.SetColumnFamily("")
	value, err = c.Get(t.Context(), []byte("k"))
	check(t, err)
	if value != nil {
		t.Errorf("get from lock after a delete there: got %q, want nil", value)
	}
	value, err = c.Get(t.Context(), []byte("k"), rawkv.SetColumnFamily("write"))
	check(t, err)
	if string(value) != "write" {
		t.Errorf("get from write after a delete from lock: got %q", value)
	}
}

func compareAndSwap(t *testing.T, c *rawkv.Client) {
	key := []byte("k")
	if _, _, err := c.CompareAndSwap(t.Context(), key, nil, []byte("1")); err == nil {
		t.Error("swap by a client that is not in atomic mode: got no error")
	}
	c.SetAtomicForCAS(true)
	for _, step := range []struct {
		expected, value []byte
		swapped         bool
		previous        []byte
	}{
		{[]byte("1"), []byte("x"), false, nil},
		{nil, []byte("1"), true, nil},
		{nil, []byte("x"), false, []byte("1")},
		{[]byte("0"), []byte("x"), false, []byte("1")},
		{[]byte("1"), []byte("2"), true, []byte("1")},
		{[]byte("2"), []byte{}, true, []byte("2")},
		{nil, []byte("x"), false, []byte{}},
		{[]byte{}, []byte("3"), true, []byte{}},
	} {
		previous, swapped, err := c.CompareAndSwap(t.Context(), key, step.expected, step.value)
		check(t, err)
		if swapped != step.swapped || !bytes.Equal(previous, step.previous) || (previous == nil) != (step.previous == nil) {
			t.Errorf("swap %#v for %q: got swapped %v, previous %#v; want %v, %#v",
				step.expected, step.value, swapped, previous, step.swapped, step.previous)
		}
	}
	value, err := c.Get(t.Context(), key)
	check(t, err)
	if string(value) != "3" {
		t.Errorf("after all swaps: got %q, want 3", value)
	}
	in := rawkv.SetColumnFamily("write")
	previous, swapped, err := c.CompareAndSwap(t.Context(), key, nil, []byte("1"), in)
	check(t, err)
	if !swapped || previous != nil {
		t.Errorf("swap in another column family: swapped %v, previous %q", swapped, previous)
	}
}

// compareAndSwapByMany counts with one key from many goroutines: a swap that is not atomic loses an increment.
func compareAndSwapByMany(t *testing.T, c *rawkv.Client) {
	const goroutines, increments = 8, 40
	key := []byte("counter")
	c.SetAtomicForCAS(true)
	check(t, c.Put(t.Context(), key, []byte("0")))
	together(t, goroutines, func(int) error {
		for range increments {
			for swapped := false; !swapped; {
				old, err := c.Get(t.Context(), key)
				if err != nil {
					return err
				}
				var n int
				if _, err := fmt.Sscan(string(old), &n); err != nil {
					return fmt.Errorf("the counter is %q: %w", old, err)
				}
				if _, swapped, err = c.CompareAndSwap(t.Context(), key, old, fmt.Append(nil, n+1)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	value, err := c.Get(t.Context(), key)
	check(t, err)
	if want := fmt.Sprint(goroutines * increments); string(value) != want {
		t.Errorf("%d increments: the counter is %q", goroutines*increments, value)
	}
}

func checksum(t *testing.T, c *rawkv.Client) {
	table := crc64.MakeTable(crc64.ECMA)
	expected := func(keys ...string) (sum rawkv.RawChecksum) {
		for _, key := range keys {
			pair := key + "value of " + key
			sum.Crc64Xor ^= crc64.Checksum([]byte(pair), table)
			sum.TotalKvs++
			sum.TotalBytes += uint64(len(pair))
		}
		return sum
	}
	put(t, c, "a", "b", "c", "d")
	for _, test := range []struct {
		start, end string
		want       rawkv.RawChecksum
	}{
		{"", "", expected("a", "b", "c", "d")},
		{"b", "d", expected("b", "c")},
		{"c", "", expected("c", "d")},
		{"x", "", expected()},
		{"c", "c", expected()},
	} {
		got, err := c.Checksum(t.Context(), []byte(test.start), []byte(test.end))
		check(t, err)
		if got != test.want {
			t.Errorf("checksum of [%q, %q): got %+v, want %+v", test.start, test.end, got, test.want)
		}
	}
}

func largeValues(t *testing.T, c *rawkv.Client) {
	for _, size := range []int{64 << 10, 1 << 20, 5 << 20} {
		value := bytes.Repeat([]byte("0123456789abcdef"), size/16)
		check(t, c.Put(t.Context(), []byte("large"), value))
		got, err := c.Get(t.Context(), []byte("large"))
		check(t, err)
		if !bytes.Equal(got, value) {
			t.Errorf("value of %d bytes: got %d bytes, or other ones", len(value), len(got))
		}
	}
}

// tooLargeAResult reads 40 MiB at once. A store may refuse that, but not leave out a part: the client would take what it
// gets for everything.
func tooLargeAResult(t *testing.T, c *rawkv.Client) {
	const count, size = 10, 4 << 20
	for i := range count {
		check(t, c.Put(t.Context(), fmt.Appendf(nil, "large-%d", i), bytes.Repeat([]byte{byte('0' + i)}, size)))
	}
	begin := time.Now()
	keys, _, err := c.Scan(t.Context(), nil, nil, 100)
	if err == nil && len(keys) != count {
		t.Errorf("scan of %d values of %d bytes: got %d of them and no error", count, size, len(keys))
	}
	if elapsed := time.Since(begin); elapsed > 10*time.Second {
		t.Errorf("scan of %d bytes took %v, with the error %v", count*size, elapsed, err)
	}
	keys, _, err = c.Scan(t.Context(), nil, nil, 100, rawkv.ScanKeyOnly())
	check(t, err)
	if len(keys) != count {
		t.Errorf("scan of the keys alone: got %d of %d", len(keys), count)
	}
}

// badInput must not make the client retry: it would do so for twenty seconds.
func badInput(t *testing.T, c *rawkv.Client) {
	put(t, c, "a")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	nowhere := rawkv.SetColumnFamily("nowhere")
	for name, try := range map[string]func() error{
		"put of an empty key":           func() error { return c.Put(ctx, nil, []byte("v")) },
		"get of an empty key":           func() error { _, err := c.Get(ctx, nil); return err },
		"delete of an empty key":        func() error { return c.Delete(ctx, nil) },
		"put of a key of 1 MiB":         func() error { return c.Put(ctx, make([]byte, 1<<20), nil) },
		"put of a value of 7 MiB":       func() error { return c.Put(ctx, []byte("k"), make([]byte, 7<<20)) },
		"put into no column family":     func() error { return c.Put(ctx, []byte("k"), nil, nowhere) },
		"get from no column family":     func() error { _, err := c.Get(ctx, []byte("k"), nowhere); return err },
		"delete range from end to head": func() error { return c.DeleteRange(ctx, []byte("z"), []byte("a")) },
		"batch get from no column family": func() error {
			_, err := c.BatchGet(ctx, keysOf("a"), nowhere)
			return err
		},
		"scan of no column family": func() error {
			_, _, err := c.Scan(ctx, nil, nil, 10, nowhere)
			return err
		},
		"batch put with one empty key": func() error { return c.BatchPut(ctx, keysOf("b", ""), keysOf("v", "v")) },
	} {
		err := try()
		switch {
		case err == nil:
			t.Errorf("%s: got no error", name)
		case ctx.Err() != nil:
			t.Fatalf("%s: the client was still at it after 10 s: %v", name, err)
		case strings.Contains(err.Error(), "\n"):
			t.Errorf("%s: the error has more than one line: %v", name, err)
		}
	}
	wantKeys(t, c, "a")
}

func manyGoroutines(t *testing.T, c *rawkv.Client) {
	const goroutines, keys = 64, 20
	together(t, goroutines, func(g int) error {
		for i := range keys {
			key := fmt.Appendf(nil, "goroutine-%02d-%02d", g, i)
			if err := c.Put(t.Context(), key, key); err != nil {
				return err
			}
			value, err := c.Get(t.Context(), key)
			if err != nil {
				return err
			}
			if !bytes.Equal(value, key) {
				return fmt.Errorf("get %q right after its put: got %q", key, value)
			}
		}
		return nil
	})
	if got := len(scanAll(t, c)); got != goroutines*keys {
		t.Errorf("%d goroutines put %d keys each: a scan finds %d", goroutines, keys, got)
	}
}

// together runs f(0) to f(n-1) at once and reports every error.
func together(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			if err := f(i); err != nil {
				t.Errorf("goroutine %d: %v", i, err)
			}
		})
	}
	group.Wait()
}

// put writes each key with the value "value of KEY".
func put(t *testing.T, c *rawkv.Client, keys ...string) {
	t.Helper()
	for _, key := range keys {
		check(t, c.Put(t.Context(), []byte(key), []byte("value of "+key)))
	}
}

// wantKeys checks which keys the store has.
func wantKeys(t *testing.T, c *rawkv.Client, want ...string) {
	t.Helper()
	if got := scanAll(t, c); !slices.Equal(got, want) {
		t.Errorf("the store has the keys %q, want %q", got, want)
	}
}

// scanAll returns every key of the default column family.
func scanAll(t *testing.T, c *rawkv.Client) []string {
	t.Helper()
	keys, _, err := c.Scan(t.Context(), nil, nil, rawkv.MaxRawKVScanLimit, rawkv.ScanKeyOnly())
	check(t, err)
	var names []string
	for _, key := range keys {
		names = append(names, string(key))
	}
	return names
}

func keysOf(names ...string) [][]byte {
	var keys [][]byte
	for _, name := range names {
		keys = append(keys, []byte(name))
	}
	return keys
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for something that happens by the server's clock, which a test cannot turn.
func eventually(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

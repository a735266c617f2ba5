package raw_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc64"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
	"tinykv/kv/raw"
	"tinykv/kv/region"
)

const now = 1_000_000

// store is an engine with the raw commands on it.
type store struct {
	t *testing.T
	e engine.Engine
}

func newStore(t *testing.T) *store {
	t.Helper()
	e, err := mem.Open(mem.NewDisk(rand.New(rand.NewPCG(1, 0)), mem.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err) // a snapshot that a command left open would hang here
		}
	})
	return &store{t, e}
}

func (s *store) write(batch *engine.Batch, err error) {
	s.t.Helper()
	if err == nil {
		err = s.e.Write(batch, engine.Synced)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *store) put(key, value string, ttl uint64) {
	s.t.Helper()
	s.write(raw.Put(engine.Default, []byte(key), []byte(value), ttl, now))
}

func (s *store) snapshot() engine.Snapshot {
	s.t.Helper()
	snap, err := s.e.Snapshot()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { snap.Close() })
	return snap
}

func text(pairs []raw.Pair) string {
	var b strings.Builder
	for _, p := range pairs {
		fmt.Fprintf(&b, "%s=%s ", p.Key, p.Value)
	}
	return strings.TrimSpace(b.String())
}

func TestEmptyValueIsAValue(t *testing.T) {
	s := newStore(t)
	s.put("k", "", raw.NoTTL)
	value, found, err := raw.Get(s.snapshot(), engine.Default, []byte("k"), now)
	if err != nil || !found || value == nil || len(value) != 0 {
		t.Errorf("got %#v, %v, %v; want an empty value that is found", value, found, err)
	}
	if _, found, err := raw.Get(s.snapshot(), engine.Lock, []byte("k"), now); found || err != nil {
		t.Errorf("the key is found in another column family: %v, %v", found, err)
	}
}

func TestLimitsOfKeysAndValues(t *testing.T) {
	s := newStore(t)
	long, huge := bytes.Repeat([]byte("k"), raw.MaxKeySize), make([]byte, raw.MaxValueSize)
	s.write(raw.Put(engine.Default, long, huge, math.MaxUint32, now)) // the largest of everything is legal, on every engine
	snap := s.snapshot()
	for name, c := range map[string]struct {
		err, want error
	}{
		"get without key":              {third(raw.Get(snap, engine.Default, nil, now)), raw.ErrEmptyKey},
		"get with a long key":          {third(raw.Get(snap, engine.Default, append(long, 'k'), now)), raw.ErrKeyTooLarge},
		"put without key":              {second(raw.Put(engine.Default, nil, nil, 0, now)), raw.ErrEmptyKey},
		"put of a large value":         {second(raw.Put(engine.Default, long, append(huge, 0), 0, now)), raw.ErrValueTooLarge},
		"negative time to live":        {second(raw.Put(engine.Default, long, nil, math.MaxUint64, now)), raw.ErrBadTTL},
		"delete without key":           {second(raw.Delete(engine.Default, nil)), raw.ErrEmptyKey},
		"inverted range":               {second(raw.DeleteRange(engine.Default, []byte("b"), []byte("a"))), raw.ErrInvertedRange},
		"long bound":                   {second(raw.DeleteRange(engine.Default, nil, append(long, 0, 0))), raw.ErrKeyTooLarge},
		"bound behind the longest key": {second(raw.DeleteRange(engine.Default, nil, append(long, 0))), nil},
		"two times to live for three": {second(raw.BatchPut(engine.Default, make([]raw.Pair, 3), []uint64{1, 2}, now)),
			raw.ErrBadTTL},
		"one bad key of many": {second(raw.BatchDelete(engine.Default, [][]byte{{1}, {}})), raw.ErrEmptyKey},
		"negative limit": {second(raw.Scan(snap, engine.Default, raw.ScanOptions{Limit: math.MaxUint32}, now)),
			raw.ErrBadLimit},
		"inverted scan": {second(raw.Scan(snap, engine.Default, raw.ScanOptions{Start: []byte("b"), End: []byte("a"),
			Limit: 1}, now)), raw.ErrInvertedRange},
		"inverted reverse scan": {second(raw.Scan(snap, engine.Default, raw.ScanOptions{Start: []byte("a"),
			End: []byte("b"), Limit: 1, Reverse: true}, now)), raw.ErrInvertedRange},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", name, c.err, c.want)
		}
	}
}

func second[A any](_ A, err error) error        { return err }
func third[A, B any](_ A, _ B, err error) error { return err }

func TestScan(t *testing.T) {
	s := newStore(t)
	for _, key := range []string{"a", "b", "c", "d"} {
		s.put(key, key+key, raw.NoTTL)
	}
	s.put("bx", "gone", 5) // expired when it is scanned, and does not count
	snap := s.snapshot()
	for _, c := range []struct {
		start, end       string
		limit            uint32
		keyOnly, reverse bool
		want             string
	}{
		{"", "", 10, false, false, "a=aa b=bb c=cc d=dd"},
		{"", "", 0, false, false, ""},
		{"", "", 3, false, false, "a=aa b=bb c=cc"},
		{"b", "d", 10, false, false, "b=bb c=cc"},
		{"b", "b", 10, false, false, ""},
		{"b\x00", "", 10, false, false, "c=cc d=dd"},
		{"b", "", 2, true, false, "b= c="},
		{"", "", 10, false, true, "d=dd c=cc b=bb a=aa"},
		{"", "", 2, false, true, "d=dd c=cc"},
		{"c", "", 10, false, true, "b=bb a=aa"},
		{"d", "b", 10, true, true, "c= b="},
		{"", "c", 10, false, true, "d=dd c=cc"},
		{"z", "e", 10, false, true, ""},
	} {
		pairs, err := raw.Scan(snap, engine.Default, raw.ScanOptions{Start: []byte(c.start), End: []byte(c.end),
			Limit: c.limit, KeyOnly: c.keyOnly, Reverse: c.reverse}, now+10)
		if err != nil || text(pairs) != c.want {
			t.Errorf("%+v: got %q, %v", c, text(pairs), err)
		}
	}
}

func TestResultThatIsTooLargeIsAnErrorAndNotAPart(t *testing.T) {
	s := newStore(t)
	var keys [][]byte
	for i := range 8 {
		keys = append(keys, fmt.Append(nil, i))
		s.write(raw.Put(engine.Default, keys[i], make([]byte, raw.MaxValueSize), raw.NoTTL, now))
	}
	snap := s.snapshot()
	if pairs, err := raw.BatchGet(snap, engine.Default, keys, now); !errors.Is(err, raw.ErrResultTooLarge) || pairs != nil {
		t.Errorf("BatchGet: %d pairs, %v", len(pairs), err)
	}
	all := raw.ScanOptions{Limit: 8}
	if pairs, err := raw.Scan(snap, engine.Default, all, now); !errors.Is(err, raw.ErrResultTooLarge) || pairs != nil {
		t.Errorf("Scan: %d pairs, %v", len(pairs), err)
	}
	twice := []raw.ScanOptions{{Limit: 3}, {Limit: 3}}
	if pairs, err := raw.BatchScan(snap, engine.Default, twice, now); !errors.Is(err, raw.ErrResultTooLarge) || pairs != nil {
		t.Errorf("BatchScan: %d pairs, %v", len(pairs), err)
	}
	all.KeyOnly = true
	if pairs, err := raw.Scan(snap, engine.Default, all, now); err != nil || len(pairs) != 8 {
		t.Errorf("keys only: %d pairs, %v", len(pairs), err)
	}
}

func TestTimesToLive(t *testing.T) {
	s := newStore(t)
	s.put("mortal", "v", 10)
	s.put("immortal", "v", raw.NoTTL)
	s.put("renewed", "v", 10)
	s.put("renewed", "w", raw.NoTTL)
	s.write(raw.BatchPut(engine.Default, []raw.Pair{{[]byte("x"), nil}, {[]byte("y"), nil}}, []uint64{3}, now))
	snap := s.snapshot()
	for _, c := range []struct {
		key   string
		now   uint64
		ttl   uint64
		found bool
	}{
		{"mortal", now, 10, true}, {"mortal", now + 9, 1, true}, {"mortal", now + 10, 0, false},
		{"mortal", now + 11, 0, false}, {"immortal", math.MaxUint64, 0, true}, {"renewed", now + 99, 0, true},
		{"x", now, 3, true}, {"y", now + 2, 1, true}, {"y", now + 3, 0, false}, {"missing", now, 0, false},
	} {
		ttl, found, err := raw.TTL(snap, engine.Default, []byte(c.key), c.now)
		if ttl != c.ttl || found != c.found || err != nil {
			t.Errorf("%s after %d s: ttl %d, %v, %v; want %d, %v", c.key, c.now-now, ttl, found, err, c.ttl, c.found)
		}
		if _, found, _ := raw.Get(snap, engine.Default, []byte(c.key), c.now); found != c.found {
			t.Errorf("%s after %d s: Get finds it: %v, want %v", c.key, c.now-now, found, c.found)
		}
	}
}

func TestSweepRemovesExactlyWhatHasExpired(t *testing.T) {
	s := newStore(t)
	for i := range 20 {
		s.put(fmt.Sprintf("k%02d", i), "v", uint64(i%4)*10) // ttl 0, 10, 20, 30
	}
	const later = now + 20
	var expired [][]byte
	steps := 0
	for start := []byte(nil); ; steps++ {
		keys, next, err := raw.FindExpired(s.snapshot(), engine.Default, start, 6, later)
		if err != nil {
			t.Fatal(err)
		}
		expired = append(expired, keys...)
		if next == nil {
			break
		}
		start = next
	}
	if len(expired) != 10 || steps != 3 {
		t.Errorf("found %d expired pairs in %d steps, want 10 in 3: %q", len(expired), steps, expired)
	}
	s.put("k01", "fresh", raw.NoTTL) // written anew between the look and the removal
	batch, err := raw.DeleteExpired(s.snapshot(), engine.Default, expired, later)
	s.write(batch, err)
	pairs, err := raw.Scan(s.snapshot(), engine.Default, raw.ScanOptions{Limit: 100}, now) // at a time at which all are seen
	if err != nil || len(pairs) != 11 || !strings.Contains(text(pairs), "k01=fresh") {
		t.Errorf("%d pairs are left, want 11 with k01=fresh: %s, %v", len(pairs), text(pairs), err)
	}
}

func TestCompareAndSwap(t *testing.T) {
	for _, c := range []struct {
		name    string
		present *string
		swap    raw.Swap
		succeed bool
	}{
		{"equal", ptr("old"), raw.Swap{Expected: []byte("old")}, true},
		{"unequal", ptr("new"), raw.Swap{Expected: []byte("old")}, false},
		{"empty equals empty", ptr(""), raw.Swap{}, true},
		{"absent is not empty", nil, raw.Swap{}, false},
		{"absent as expected", nil, raw.Swap{ExpectAbsent: true}, true},
		{"present unexpectedly", ptr("old"), raw.Swap{ExpectAbsent: true, Expected: []byte("old")}, false},
		{"empty is not absent", ptr(""), raw.Swap{ExpectAbsent: true}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t)
			if c.present != nil {
				s.put("k", *c.present, raw.NoTTL)
			}
			c.swap.Key, c.swap.Value = []byte("k"), []byte("swapped")
			got, batch, err := raw.CompareAndSwap(s.snapshot(), engine.Default, c.swap, now)
			if err != nil || got.Succeed != c.succeed || (batch != nil) != c.succeed {
				t.Fatalf("got %+v, batch %v, %v; want success %v", got, batch != nil, err, c.succeed)
			}
			if got.Existed != (c.present != nil) || c.present != nil && string(got.Previous) != *c.present {
				t.Errorf("it reports %+v as what was there", got)
			}
		})
	}
	t.Run("expired is absent", func(t *testing.T) {
		s := newStore(t)
		s.put("k", "old", 5)
		swap := raw.Swap{Key: []byte("k"), ExpectAbsent: true}
		if got, _, err := raw.CompareAndSwap(s.snapshot(), engine.Default, swap, now+5); err != nil || !got.Succeed {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("bad input though the condition fails", func(t *testing.T) {
		swap := raw.Swap{Key: []byte("k"), Expected: []byte("x"), Value: make([]byte, raw.MaxValueSize+1)}
		_, batch, err := raw.CompareAndSwap(newStore(t).snapshot(), engine.Default, swap, now)
		if !errors.Is(err, raw.ErrValueTooLarge) || batch != nil {
			t.Errorf("got %v, %v", batch, err)
		}
	})
}

func ptr(s string) *string { return &s }

func TestChecksum(t *testing.T) {
	s := newStore(t)
	table := crc64.MakeTable(crc64.ECMA)
	var want raw.Checksum
	for i := range 10 {
		key, value := fmt.Sprintf("key%d", i), strings.Repeat("v", i)
		s.put(key, value, uint64(i%2)*1000) // what a time to live adds on disk plays no part
		want.XOR ^= crc64.Checksum([]byte(key+value), table)
		want.Pairs++
		want.Bytes += uint64(len(key) + len(value))
	}
	s.put("key5x", "expired", 1)
	split := []region.Range{{End: []byte("key4")}, {Start: []byte("key4")}}
	got, err := raw.ChecksumOf(s.snapshot(), engine.Default, split, now+1)
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if _, err := raw.ChecksumOf(s.snapshot(), engine.Default,
		[]region.Range{{}, {Start: []byte("b"), End: []byte("a")}}, now); !errors.Is(err, raw.ErrInvertedRange) {
		t.Errorf("an inverted range: %v", err)
	}
}

func TestWhatIsNoRawValueIsCorrupt(t *testing.T) {
	for _, stored := range [][]byte{{}, {2}, {0xff}, {1}, {0, 0, 0, 1}} {
		s := newStore(t)
		b := &engine.Batch{}
		b.Put(engine.Default, []byte("k"), stored)
		s.write(b, nil)
		snap := s.snapshot()
		_, _, err := raw.Get(snap, engine.Default, []byte("k"), now)
		_, scanErr := raw.Scan(snap, engine.Default, raw.ScanOptions{Limit: 1}, now)
		if !errors.Is(err, engine.ErrCorrupt) || !errors.Is(scanErr, engine.ErrCorrupt) {
			t.Errorf("stored %v: Get %v, Scan %v; want ErrCorrupt", stored, err, scanErr)
		}
	}
}

// Everything against a sorted map.
func TestAgainstAModel(t *testing.T) {
	for seed := range uint64(5) {
		random := rand.New(rand.NewPCG(seed, 1))
		s := newStore(t)
		model := map[string]string{}
		key := func() []byte {
			return []byte{'a' + byte(random.IntN(5)), 'a' + byte(random.IntN(5))}[:1+random.IntN(2)]
		}
		for step := range 400 {
			k, v := key(), fmt.Append(nil, step)
			switch random.IntN(5) {
			case 0, 1:
				s.write(raw.Put(engine.Default, k, v, raw.NoTTL, now))
				model[string(k)] = string(v)
			case 2:
				s.write(raw.BatchDelete(engine.Default, [][]byte{k}))
				delete(model, string(k))
			case 3:
				end := key()
				if bytes.Compare(k, end) > 0 {
					k, end = end, k
				}
				s.write(raw.DeleteRange(engine.Default, k, end))
				for m := range model {
					if m >= string(k) && m < string(end) {
						delete(model, m)
					}
				}
			case 4:
				checkScan(t, s, model, seed, step, random)
			}
		}
	}
}

func checkScan(t *testing.T, s *store, model map[string]string, seed uint64, step int, random *rand.Rand) {
	t.Helper()
	lower, upper := []byte{'a' + byte(random.IntN(3))}, []byte{'c' + byte(random.IntN(4))}
	options := raw.ScanOptions{Start: lower, End: upper, Limit: uint32(random.IntN(12)), Reverse: random.IntN(2) == 0}
	var want []string
	for k, v := range model {
		if k >= string(lower) && k < string(upper) {
			want = append(want, k+"="+v)
		}
	}
	slices.Sort(want)
	if options.Reverse {
		slices.Reverse(want)
		options.Start, options.End = upper, lower
	}
	want = want[:min(len(want), int(options.Limit))]
	got, err := raw.Scan(s.snapshot(), engine.Default, options, now)
	if err != nil || text(got) != strings.Join(want, " ") {
		t.Fatalf("seed %d, step %d: scan %+v is %q, %v; want %q", seed, step, options, text(got), err, want)
	}
}

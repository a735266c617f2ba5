package region_test

import (
	"fmt"
	"testing"

	"tinykv/kv/region"
)

func span(start, end string) region.Range {
	return region.Range{Start: []byte(start), End: []byte(end)}
}

func TestRangeContainsItsStartAndNotItsEnd(t *testing.T) {
	for _, c := range []struct {
		r    region.Range
		key  string
		want bool
	}{
		{span("b", "d"), "a", false},
		{span("b", "d"), "b", true},
		{span("b", "d"), "c\xff", true},
		{span("b", "d"), "d", false},
		{span("", ""), "", true},
		{span("", ""), "\xff\xff", true},
		{span("b", ""), "\xff", true},
		{span("d", "b"), "c", false},
	} {
		if got := c.r.Contains([]byte(c.key)); got != c.want {
			t.Errorf("%v contains %q: %v", c.r, c.key, got)
		}
	}
}

// Every pair of ranges over a few bounds, compared with what holds for each single key.
func TestOverlapAndIntersectionAgreeWithContains(t *testing.T) {
	bounds := []string{"", "a", "b", "c"}
	keys := []string{"", "0", "a", "aa", "b", "bb", "c", "cc"}
	for i := range 256 {
		a := span(bounds[i%4], bounds[i/4%4])
		b := span(bounds[i/16%4], bounds[i/64%4])
		overlap := false
		for _, k := range keys {
			both := a.Contains([]byte(k)) && b.Contains([]byte(k))
			overlap = overlap || both
			if got := a.Intersect(b).Contains([]byte(k)); got != both {
				t.Errorf("%v intersect %v contains %q: %v", a, b, k, got)
			}
		}
		if got := a.Overlaps(b); got != overlap {
			t.Errorf("%v overlaps %v: %v", a, b, got)
		}
	}
}

func TestEpochIsOlderIfOneNumberIsSmaller(t *testing.T) {
	for _, c := range []struct {
		a, b region.Epoch
		want bool
	}{
		{region.Epoch{ConfVer: 1, Version: 1}, region.Epoch{ConfVer: 1, Version: 1}, false},
		{region.Epoch{ConfVer: 1, Version: 1}, region.Epoch{ConfVer: 2, Version: 1}, true},
		{region.Epoch{ConfVer: 1, Version: 1}, region.Epoch{ConfVer: 1, Version: 2}, true},
		{region.Epoch{ConfVer: 2, Version: 2}, region.Epoch{ConfVer: 1, Version: 2}, false},
	} {
		if got := c.a.OlderThan(c.b); got != c.want {
			t.Errorf("%v older than %v: %v", c.a, c.b, got)
		}
	}
}

func TestPeerOnFindsTheOneOfTheStore(t *testing.T) {
	r := region.Region{Peers: []region.Peer{{ID: 11, StoreID: 1}, {ID: 12, StoreID: 2}}}
	if p, ok := r.PeerOn(2); !ok || p.ID != 12 {
		t.Errorf("peer on store 2: %v, %v", p, ok)
	}
	if p, ok := r.PeerOn(3); ok {
		t.Errorf("peer on store 3: %v", p)
	}
}

func Example() {
	left := region.Region{ID: 1, Range: region.Range{End: []byte("m")}, Epoch: region.Epoch{ConfVer: 1, Version: 2}}
	fmt.Println(left.Range, left.Epoch, left.Range.Contains([]byte("m")))
	// Output: ["", "m") 1/2 false
}

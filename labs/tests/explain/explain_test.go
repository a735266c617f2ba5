package explain

import (
	"flag"
	"slices"
	"strings"
	"testing"
)

func TestMessageHasFourPartsAndItsNotes(t *testing.T) {
	got := Rule{"INV-0.1", "water is wet"}.Message("pour", "wet\nand cold", "dry", "", "replay: go test", "check the tap")
	want := strings.Join([]string{
		"INV-0.1 is broken: water is wet.",
		"    done:     pour",
		"    expected: wet",
		"              and cold",
		"    got:      dry",
		"    replay:   go test",
		"    note:     check the tap",
	}, "\n")
	if got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
}

func TestBytesTellsNilFromEmptyAndShortens(t *testing.T) {
	for _, c := range []struct {
		in   []byte
		want string
	}{
		{nil, "nil"}, {[]byte{}, `""`}, {[]byte{0xff, 'a'}, `"\xffa"`},
		{[]byte(strings.Repeat("x", 50)), `"xxxxxxxxxxxxxxxx"… (50 bytes)`},
	} {
		if got := Bytes(c.in); got != c.want {
			t.Errorf("Bytes(%v) = %s, want %s", c.in, got, c.want)
		}
	}
}

func TestShrinkKeepsOnlyWhatIsNeeded(t *testing.T) {
	var steps []int
	for i := range 100 {
		steps = append(steps, i)
	}
	calls := 0
	got := Shrink(steps, 500, func(s []int) bool {
		calls++
		return slices.Contains(s, 7) && slices.Contains(s, 93)
	})
	if !slices.Equal(got, []int{7, 93}) || calls > 500 {
		t.Fatalf("got %v after %d calls", got, calls)
	}
}

func TestShrinkStopsAtItsBudget(t *testing.T) {
	calls := 0
	Shrink(make([]int, 1000), 9, func([]int) bool { calls++; return false })
	if calls != 9 {
		t.Fatalf("%d calls, want 9", calls)
	}
}

func TestSeedsObeyTheFlags(t *testing.T) {
	defer func() { flag.Set("seed", "0"); flag.Set("seeds", "0") }()
	for _, c := range []struct {
		seed, seeds string
		want        []uint64
	}{{"0", "0", []uint64{1, 2, 3}}, {"7", "0", []uint64{7}}, {"0", "2", []uint64{1, 2}}, {"7", "2", []uint64{7, 8}}} {
		flag.Set("seed", c.seed)
		flag.Set("seeds", c.seeds)
		if got := Seeds(3); !slices.Equal(got, c.want) {
			t.Errorf("-seed=%s -seeds=%s: a test of three seeds plays %v, want %v", c.seed, c.seeds, got, c.want)
		}
	}
	if got, want := Replay(t, "1a", 7), "replay: go run ./labs test 1a --run TestSeedsObeyTheFlags --seed 7"; got != want {
		t.Errorf("the replay note is %q, want %q", got, want)
	}
}

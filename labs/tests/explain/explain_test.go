package explain

import (
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

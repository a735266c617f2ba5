package graft

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"tinykv/labs/course"
	"tinykv/labs/overlay"
	"tinykv/labs/starter"
)

// The real course, its holes dealt at random to two stages: whichever solution comes first, both together are the
// reference. So functions and helpers find their places among any others.
func TestSolutionsInAnyOrderBringTheReferenceBack(t *testing.T) {
	holes := starter.Holes(course.Stages())
	reference, err := overlay.ReadDirs("../..", append(starter.Dirs(holes), "."))
	if err != nil {
		t.Fatal(err)
	}
	hollow, err := starter.Hollow(reference, holes)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(5) {
		random := rand.New(rand.NewPCG(seed, 0))
		stages := []course.Stage{{ID: "1a"}, {ID: "1b"}}
		for _, h := range holes {
			s := &stages[random.IntN(2)]
			s.Holes = append(s.Holes, h.Hole)
		}
		tree := hollow.Over(reference)
		for _, i := range random.Perm(2) {
			changes, notes, err := Into(tree, Course{Reference: reference, Hollow: stages, Take: stages[i : i+1]})
			if err != nil || len(notes) > 0 {
				t.Fatalf("seed %d: %v %v", seed, notes, err)
			}
			tree = changes.Over(tree)
		}
		for name, want := range reference {
			if !strings.HasSuffix(name, "_test.go") && !bytes.Equal(tree[name], want) {
				t.Errorf("seed %d: %s is not the reference's: %s", seed, name, firstDifference(tree[name], want))
			}
		}
	}
}

func firstDifference(got, want []byte) string {
	lines := strings.Split(string(want), "\n")
	n := 0
	for line := range strings.SplitSeq(string(got), "\n") {
		if n >= len(lines) || line != lines[n] {
			return fmt.Sprintf("line %d is %q", n+1, line)
		}
		n++
	}
	return fmt.Sprintf("it ends after line %d", n)
}

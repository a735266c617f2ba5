// The types of the table, and the questions that are asked of it.

package course

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Stage is one exercise: two to four hours of work, at most three new ideas.
type Stage struct {
	ID      string // "1a": unique, and its first character is the project
	Project int    // 1 for 1a and 1b
	Title   string // a few words, without the id
	Handout string // "labs/handouts/1a.md"
	Holes   []Hole // what the learner writes
	TestDir string // "labs/tests/1a": the package of the graded tests
	Tests   []Test // each Test function of TestDir, in the order in which one makes them pass
	NeedsC  bool   // the stage can't be built without a C compiler
}

// Hole is a function, or all functions of a file, whose body the learner writes.
type Hole struct {
	File string // "kv/engine/badger/read.go", from the root of the tree
	Func string // "Open", or "snapshot.Get": receiver type without *, dot, name; empty: each function of the file
}

// String names the hole to a person: "snapshot.Get in kv/engine/badger/read.go".
func (h Hole) String() string {
	if h.Func == "" {
		return "all of " + h.File
	}
	return h.Func + " in " + h.File
}

// Test is one graded test function.
type Test struct {
	Name           string // "TestGetSeesItsSnapshot"
	Points         int    // at least 1
	TimeoutSeconds int    // 0: as Timeout says
	Seeded         bool   // it plays seeds: it obeys the flags -seed, -seeds and -replay, and labs soak runs it
}

// DefaultTestTimeout bounds a test that names no bound of its own. A good test takes a hundredth of it; the rest is for
// machines that are slow or busy. One that plays seeds takes a tenth, and has three times as long.
const DefaultTestTimeout = 10 * time.Second

// Timeout is how long the test may take before it is stopped.
func (t Test) Timeout() time.Duration {
	switch {
	case t.TimeoutSeconds > 0:
		return time.Duration(t.TimeoutSeconds) * time.Second
	case t.Seeded:
		return 3 * DefaultTestTimeout
	}
	return DefaultTestTimeout
}

// Points is the sum of the points of the stage's tests.
func (s Stage) Points() int {
	sum := 0
	for _, t := range s.Tests {
		sum += t.Points
	}
	return sum
}

// Stages returns all stages in the order of the course. The slice is the caller's; the slices within are shared.
func Stages() []Stage { return slices.Clone(stages) }

// ByID returns the stage with exactly this id.
func ByID(id string) (Stage, bool) {
	for _, s := range stages {
		if s.ID == id {
			return s, true
		}
	}
	return Stage{}, false
}

// Project returns the stages of project n in order; none if there is no such project.
func Project(n int) []Stage {
	var found []Stage
	for _, s := range stages {
		if s.Project == n {
			found = append(found, s)
		}
	}
	return found
}

// Select returns the stages that the words name, each once and in the order of the course. A word is the id of a stage
// ("1a") or the beginning of some ("1" is all of project 1, "2a" is 2aa, 2ab, 2ac). Without words it returns all
// stages. An unknown word is an error that lists what there is.
func Select(words ...string) ([]Stage, error) { return SelectFrom(stages, words...) }

// SelectFrom is Select on another table.
func SelectFrom(table []Stage, words ...string) ([]Stage, error) {
	if len(words) == 0 {
		return slices.Clone(table), nil
	}
	wanted := make([]bool, len(table))
	for _, word := range words {
		known := false
		for i, s := range table {
			if word != "" && strings.HasPrefix(s.ID, word) {
				wanted[i], known = true, true
			}
		}
		if !known {
			return nil, fmt.Errorf("there is no stage %q: use one of %s", word, strings.Join(ids(table), ", "))
		}
	}
	var selected []Stage
	for i, s := range table {
		if wanted[i] {
			selected = append(selected, s)
		}
	}
	return selected, nil
}

// Before returns the stages of table that come before the stage with this id: all of them if there is no such stage.
func Before(table []Stage, id string) []Stage {
	return slices.Clone(table[:index(table, id)])
}

// From returns the stage with this id and those after it: none if there is no such stage.
func From(table []Stage, id string) []Stage {
	return slices.Clone(table[index(table, id):])
}

// After returns the stages of table that come after the stage with this id: none if there is no such stage.
func After(table []Stage, id string) []Stage {
	return slices.Clone(table[min(index(table, id)+1, len(table)):])
}

// index returns the place of the stage in the table, or the table's length.
func index(table []Stage, id string) int {
	for i, s := range table {
		if s.ID == id {
			return i
		}
	}
	return len(table)
}

func ids(table []Stage) []string {
	var all []string
	for _, s := range table {
		all = append(all, s.ID)
	}
	return all
}

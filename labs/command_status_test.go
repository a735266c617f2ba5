// Which stages are a learner's to write, and so are run and listed.

package main

import (
	"slices"
	"strings"
	"testing"

	"tinykv/labs/course"
	"tinykv/labs/workspace"
)

func TestWithoutAStageTheLearnersOwnAreChosen(t *testing.T) {
	all := course.Stages()
	first, last := all[0], all[len(all)-1]
	ids := func(here *workspace.Space, words ...string) (chosen []string) {
		t.Helper()
		stages, err := chosenStages(here, words)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range stages {
			chosen = append(chosen, s.ID)
		}
		return chosen
	}
	whole := ids(&workspace.Space{})
	if len(whole) != len(all) {
		t.Errorf("in the reference: %v, want all %d", whole, len(all))
	}
	if got := ids(&workspace.Space{Learner: true, From: first.ID}); !slices.Equal(got, whole) {
		t.Errorf("from the first: %v, want %v", got, whole)
	}
	late := &workspace.Space{Learner: true, From: last.ID}
	if got := ids(late); !slices.Equal(got, []string{last.ID}) {
		t.Errorf("from the last: %v", got)
	}
	if got := ids(late, first.ID); !slices.Equal(got, []string{first.ID}) {
		t.Errorf("%s by name: %v", first.ID, got)
	}
	if _, err := chosenStages(late, []string{"9z"}); err == nil {
		t.Error("a stage that does not exist was chosen")
	}
}

func TestStatusListsWhatIsToBeWrittenNext(t *testing.T) {
	open := map[string][]string{"1b": {"Get in b.go", "Put in b.go"}, "2a": {"Tick in c.go"}, "2b": {"A in d.go", "B in d.go"}}
	var stages []course.Stage
	for _, id := range []string{"1a", "1b", "2a", "2b"} {
		stages = append(stages, course.Stage{ID: id})
	}
	var out strings.Builder
	tellUnwritten(&out, stages, func(s course.Stage) []string { return open[s.ID] })
	want := "not written yet in 1b:\n  Get in b.go\n  Put in b.go\nand 3 more in 2a, 2b: go run ./labs status STAGE\n"
	if out.String() != want {
		t.Errorf("told:\n%s\nwant:\n%s", out.String(), want)
	}
}

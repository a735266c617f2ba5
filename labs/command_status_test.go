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

func TestAQuestionIsBrokenIntoLinesBetweenWords(t *testing.T) {
	text := "How do I walk in both directions without writing everything twice?"
	for _, columns := range []int{20, 61, 66, 200} {
		lines := wrap(text, columns)
		for _, line := range lines {
			if len(line) > columns {
				t.Errorf("%d columns: %q", columns, line)
			}
		}
		if strings.Join(lines, " ") != text || len(lines) > 1 != (columns < len(text)) {
			t.Errorf("%d columns: %q", columns, lines)
		}
	}
}

// labs hint over a handout of its own: what is listed, shown and remembered.

package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"tinykv/labs/course"
	"tinykv/labs/overlay"
)

func TestHintsComeOneTierAtATime(t *testing.T) {
	stage := course.Stages()[0]
	root := t.TempDir()
	handout := fmt.Sprintf("# %s\n\n## Hints\n\n### Hint %s.1: Why?\n<details><summary>Nudge</summary>because</details>\n"+
		"<details><summary>Idea</summary>think</details>\n<details><summary>Way</summary>write</details>\n", stage.Title,
		stage.ID)
	if err := (overlay.Files{stage.Handout: []byte(handout)}).WriteTo(root); err != nil {
		t.Fatal(err)
	}
	show := func(word string, tier int) string {
		t.Helper()
		var out bytes.Buffer
		if err := showHint(&out, root, word, tier); err != nil {
			t.Fatalf("hint %s --tier %d: %v", word, tier, err)
		}
		return out.String()
	}
	one := stage.ID + ".1"
	if got := show(stage.ID, 0); !strings.Contains(got, one+"   ○○○  Why?") {
		t.Errorf("the list is\n%s", got)
	}
	if got := show(one, 0); !strings.Contains(got, "because") || strings.Contains(got, "think") ||
		!strings.Contains(got, "The idea: go run ./labs hint "+one+" --tier 2") {
		t.Errorf("the first tier is\n%s", got)
	}
	if got := show(one, 2); !strings.Contains(got, "think") || strings.Contains(got, "because") {
		t.Errorf("tier 2 is\n%s", got)
	}
	if got := show(one, 0); !strings.Contains(got, "because") || !strings.Contains(got, "think") || strings.Contains(got,
		"write") {
		t.Errorf("without a tier, what was seen is shown; it is\n%s", got)
	}
	if got := show(stage.ID, 0); !strings.Contains(got, "●●○") {
		t.Errorf("the list does not remember:\n%s", got)
	}
	for word, want := range map[string]string{stage.ID + ".9": "has no hint", "9z": "there is no stage",
		"1": "more than one stage"} {
		if err := showHint(&bytes.Buffer{}, root, word, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("hint %s: error %v, want %q", word, err, want)
		}
	}
	if err := showHint(&bytes.Buffer{}, root, one, 4); err == nil {
		t.Error("--tier 4: no error")
	}
}

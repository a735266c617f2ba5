package explain_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var (
	ruleInTests   = regexp.MustCompile(`ID: "(INV-[0-9a-z.]+)"`)
	ruleInHandout = regexp.MustCompile(`(?m)^- \*\*(INV-[0-9a-z.]+)\*\*`)
)

// TestRulesOfTestsAndHandoutsAreTheSame: whoever sees the number of a rule in a failure finds it in the handout, and
// each rule that a handout states is one that a test can break.
func TestRulesOfTestsAndHandoutsAreTheSame(t *testing.T) {
	desks, err := filepath.Glob("../*/desk_test.go")
	if err != nil || len(desks) == 0 {
		t.Fatalf("no tests of stages found: %v", err)
	}
	for _, desk := range desks {
		stage := filepath.Base(filepath.Dir(desk))
		tests := rules(t, desk, ruleInTests)
		handout := rules(t, "../../handouts/"+stage+".md", ruleInHandout)
		for id := range tests {
			if !handout[id] {
				t.Errorf("the tests of %s print %s, which its handout does not explain", stage, id)
			}
		}
		for id := range handout {
			if !tests[id] {
				t.Errorf("the handout of %s states %s, which no test of it prints", stage, id)
			}
		}
	}
}

func rules(t *testing.T, path string, pattern *regexp.Regexp) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, m := range pattern.FindAllStringSubmatch(string(text), -1) {
		found[m[1]] = true
	}
	if len(found) == 0 {
		t.Fatalf("%s names no rules", path)
	}
	return found
}

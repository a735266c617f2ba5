package course

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func stagesNamed(names ...string) []Stage {
	var table []Stage
	for _, n := range names {
		table = append(table, Stage{
			ID: n, Project: int(n[0] - '0'), Title: n, Handout: n, TestDir: n,
			Holes: []Hole{{"a.go", "F" + n}}, Tests: []Test{{Name: "TestF", Points: 2}},
		})
	}
	return table
}

func TestTheTableIsSound(t *testing.T) {
	for _, problem := range Check(Stages()) {
		t.Error(problem)
	}
}

func TestSelectTakesIDsAndPrefixesInTheOrderOfTheCourse(t *testing.T) {
	table := stagesNamed("1a", "1b", "2aa", "2ab", "2b")
	for words, want := range map[string]string{
		"":         "1a 1b 2aa 2ab 2b",
		"1":        "1a 1b",
		"2a":       "2aa 2ab",
		"2b 1a":    "1a 2b",
		"2ab 2 2b": "2aa 2ab 2b",
	} {
		got, err := SelectFrom(table, strings.Fields(words)...)
		if err != nil || strings.Join(ids(got), " ") != want {
			t.Errorf("Select(%q) = %v, %v; want %s", words, ids(got), err, want)
		}
	}
	for _, unknown := range []string{"3", "1c", "1aa", "", "project1"} {
		if got, err := SelectFrom(table, unknown); err == nil || !strings.Contains(err.Error(), "1a, 1b") {
			t.Errorf("Select(%q) = %v, %v; want an error that lists the stages", unknown, ids(got), err)
		}
	}
}

func TestBeforeAndFromSplitTheCourse(t *testing.T) {
	table := stagesNamed("1a", "1b", "2aa")
	for id, want := range map[string][2]string{"1a": {"", "1a 1b 2aa"}, "1b": {"1a", "1b 2aa"}, "9": {"1a 1b 2aa", ""}} {
		before, from := strings.Join(ids(Before(table, id)), " "), strings.Join(ids(From(table, id)), " ")
		if before != want[0] || from != want[1] {
			t.Errorf("%s: before %q, from %q; want %q", id, before, from, want)
		}
		_, later, _ := strings.Cut(want[1]+" ", " ")
		if after := strings.Join(ids(After(table, id)), " "); after != strings.TrimSpace(later) {
			t.Errorf("%s: after it %q, want %q", id, after, later)
		}
	}
}

func TestCheckTellsEachBrokenRule(t *testing.T) {
	if problems := Check(stagesNamed("1a", "1b")); problems != nil {
		t.Fatalf("a sound table has problems: %q", problems)
	}
	for want, breakIt := range map[string]func([]Stage){
		"twice":           func(s []Stage) { s[1].ID = "1a" },
		"comes after":     func(s []Stage) { s[0].ID = "1c" },
		"project":         func(s []Stage) { s[0].Project = 2 },
		"no holes":        func(s []Stage) { s[0].Holes = nil },
		"belongs to 1a":   func(s []Stage) { s[1].Holes = s[0].Holes },
		"not a function":  func(s []Stage) { s[0].Holes[0].Func = "(*T).F" },
		"no tests":        func(s []Stage) { s[0].Tests = nil },
		"at least one":    func(s []Stage) { s[0].Tests[0].Points = 0 },
		"name of a test":  func(s []Stage) { s[0].Tests[0].Name = "Testf" },
		"negative":        func(s []Stage) { s[0].Tests[0].TimeoutSeconds = -1 },
		"lacks a title":   func(s []Stage) { s[0].Title = "" },
		"in the table tw": func(s []Stage) { s[0].Tests = append(s[0].Tests, s[0].Tests[0]) },
	} {
		table := stagesNamed("1a", "1b")
		breakIt(table)
		if problems := strings.Join(Check(table), "\n"); !strings.Contains(problems, want) {
			t.Errorf("want a problem with %q, got %q", want, problems)
		}
	}
}

func TestPanicTextIsReadBack(t *testing.T) {
	for _, function := range []string{"Open", "snapshot.Get"} {
		output := "=== RUN\npanic: " + PanicText("2ab", function) + " [recovered]\n\ngoroutine 1"
		stage, got, ok := ParsePanicText(output)
		if !ok || stage != "2ab" || got != function {
			t.Errorf("%q: %q %q %v", output, stage, got, ok)
		}
	}
	if _, _, ok := ParsePanicText("panic: index out of range"); ok {
		t.Error("an ordinary panic is taken for a hole")
	}
}

func TestPointsAndTimeouts(t *testing.T) {
	s := Stage{Tests: []Test{{Name: "TestA", Points: 2}, {Name: "TestB", Points: 3, TimeoutSeconds: 30}}}
	got := []any{s.Points(), s.Tests[0].Timeout(), s.Tests[1].Timeout()}
	if want := []any{5, 10 * time.Second, 30 * time.Second}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

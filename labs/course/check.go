// Check finds what is wrong in a table by looking at nothing but the table.

package course

import (
	"fmt"
	"regexp"
	"strconv"
)

var (
	stageID  = regexp.MustCompile(`^[1-9][a-z]+$`)
	testName = regexp.MustCompile(`^Test[A-Z0-9_]\w*$`)
	holeFunc = regexp.MustCompile(`^[\pL_][\pL\pN_]*(\.[\pL_][\pL\pN_]*)?$`)
)

// Check returns one line for each rule of the table that is broken; none means that the table is sound.
func Check(table []Stage) []string {
	var problems []string
	report := func(s Stage, format string, args ...any) {
		problems = append(problems, "stage "+s.ID+": "+fmt.Sprintf(format, args...))
	}
	seen := map[string]bool{}
	owner := map[Hole]string{}
	last := ""
	for _, s := range table {
		if !stageID.MatchString(s.ID) {
			report(s, "id %q is not a digit and lower-case letters", s.ID)
		} else if s.ID[:1] != strconv.Itoa(s.Project) {
			report(s, "is said to be of project %d", s.Project)
		}
		if seen[s.ID] {
			report(s, "stands in the table twice")
		} else if s.ID < last {
			report(s, "comes after %s", last)
		}
		seen[s.ID], last = true, s.ID
		if s.Title == "" || s.Handout == "" || s.TestDir == "" {
			report(s, "lacks a title, a handout or tests")
		}
		checkHoles(s, owner, report)
		checkTests(s, report)
	}
	return problems
}

func checkHoles(s Stage, owner map[Hole]string, report func(Stage, string, ...any)) {
	if len(s.Holes) == 0 {
		report(s, "has no holes, so there is nothing to write")
	}
	for _, h := range s.Holes {
		if other, taken := owner[h]; taken {
			report(s, "hole %s belongs to %s already", h, other)
		}
		owner[h] = s.ID
		if h.File == "" || h.Func != "" && !holeFunc.MatchString(h.Func) {
			report(s, "hole %q in %q is not a function in a file", h.Func, h.File)
		}
	}
}

func checkTests(s Stage, report func(Stage, string, ...any)) {
	if len(s.Tests) == 0 {
		report(s, "has no tests")
	}
	names := map[string]bool{}
	for _, t := range s.Tests {
		if names[t.Name] {
			report(s, "test %s stands in the table twice", t.Name)
		}
		names[t.Name] = true
		if !testName.MatchString(t.Name) {
			report(s, "%q is not the name of a test", t.Name)
		}
		if t.Points < 1 {
			report(s, "test %s is worth %d points; each test is worth at least one", t.Name, t.Points)
		}
		if t.TimeoutSeconds < 0 {
			report(s, "test %s has a negative timeout", t.Name)
		}
	}
}

package graft

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"tinykv/labs/course"
	"tinykv/labs/overlay"
	"tinykv/labs/starter"
)

// script is one testdata/*.txtar: files of the reference, of the learner (mine/, over the starter) and of the expected
// changes (want/, an empty one meaning that the file is gone). The comment says what to do:
//
//	hole STAGE FILE FUNC    the stages in their order
//	take STAGE
//	over | into             which one to check
//	note TEXT               a note that must be given
type script struct {
	course        Course
	learner, want overlay.Files
	into          bool
	notes         []string
}

func read(t *testing.T, name string) script {
	t.Helper()
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	s := script{want: overlay.Files{}}
	s.course.Reference = overlay.Files{"go.mod": []byte("module example\n")}
	mine := overlay.Files{}
	for _, f := range archive.Files {
		if path, ok := strings.CutPrefix(f.Name, "want/"); ok {
			s.want[path] = f.Data
		} else if path, ok := strings.CutPrefix(f.Name, "mine/"); ok {
			mine[path] = f.Data
			if len(f.Data) == 0 {
				mine.Delete(path)
			}
		} else {
			s.course.Reference[f.Name] = f.Data
		}
	}
	for line := range strings.Lines(string(archive.Comment)) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
		case words[0] == "hole":
			s.hole(words[1], course.Hole{File: words[2], Func: words[3]})
		case words[0] == "take":
			i := slices.IndexFunc(s.course.Hollow, func(st course.Stage) bool { return st.ID == words[1] })
			s.course.Take = append(s.course.Take, s.course.Hollow[i])
		case words[0] == "over" || words[0] == "into":
			s.into = words[0] == "into"
		case words[0] == "note":
			s.notes = append(s.notes, strings.TrimSpace(strings.TrimPrefix(line, "note")))
		default:
			t.Fatalf("unknown line %q", line)
		}
	}
	hollow, err := starter.Hollow(s.course.Reference, starter.Holes(s.course.Hollow))
	if err != nil {
		t.Fatal(err)
	}
	s.learner = mine.Over(hollow.Over(s.course.Reference))
	maps.DeleteFunc(s.learner, func(_ string, content []byte) bool { return content == nil })
	return s
}

func (s *script) hole(stage string, h course.Hole) {
	n := len(s.course.Hollow)
	if n == 0 || s.course.Hollow[n-1].ID != stage {
		s.course.Hollow = append(s.course.Hollow, course.Stage{ID: stage})
		n++
	}
	s.course.Hollow[n-1].Holes = append(s.course.Hollow[n-1].Holes, h)
}

func TestGraftCases(t *testing.T) {
	cases, _ := filepath.Glob("testdata/*.txtar")
	if len(cases) == 0 {
		t.Fatal("no cases in testdata")
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			s := read(t, name)
			graft := Over
			if s.into {
				graft = Into
			}
			got, notes, err := graft(s.learner, s.course)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, got, s.want)
			if len(notes) != len(s.notes) {
				t.Errorf("notes %q, want %q", notes, s.notes)
			}
			for i, want := range s.notes {
				if i < len(notes) && !strings.Contains(notes[i], want) {
					t.Errorf("note %q, want one with %q", notes[i], want)
				}
			}
			if !s.into {
				checkLines(t, s.learner, got)
			}
		})
	}
}

func compare(t *testing.T, got, want overlay.Files) {
	t.Helper()
	if !slices.Equal(got.Paths(), want.Paths()) {
		t.Errorf("changed files: %v, want %v", got.Paths(), want.Paths())
	}
	for path, text := range want {
		if g := string(got[path]); strings.TrimSpace(g) != strings.TrimSpace(string(text)) {
			t.Errorf("%s is\n%s\nwant\n%s", path, g, text)
		}
	}
}

// checkLines holds Over to its first promise: each line of a changed file of the learner is as it was, or blank.
func checkLines(t *testing.T, learner, changes overlay.Files) {
	t.Helper()
	for name, content := range changes {
		if !learner.Has(name) || syntaxError(name, learner[name]) != nil {
			continue
		}
		before := strings.Split(string(learner[name]), "\n")
		after := strings.Split(string(content), "\n")
		if len(before) != len(after) {
			t.Errorf("%s has %d lines instead of %d", name, len(after), len(before))
			continue
		}
		for i := range before {
			if after[i] != before[i] && strings.TrimSpace(after[i]) != "" {
				t.Errorf("%s:%d is %q instead of %q", name, i+1, after[i], before[i])
			}
		}
	}
}

// The starter's own cases are trees of every shape: a solution over each untouched starter must bring the reference
// back.
func TestSolutionOverAnUntouchedStarterIsTheReference(t *testing.T) {
	cases, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			s := read(t, name)
			hollow, err := starter.Hollow(s.course.Reference, starter.Holes(s.course.Hollow))
			if err != nil {
				t.Fatal(err)
			}
			tree := hollow.Over(s.course.Reference)
			c := s.course
			c.Take = c.Hollow
			changes, notes, err := Into(tree, c)
			if err != nil || notes != nil {
				t.Fatal(notes, err)
			}
			compare(t, changes.Over(tree), s.course.Reference)
		})
	}
}

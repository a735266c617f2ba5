package starter

import (
	"bytes"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"tinykv/labs/course"
	"tinykv/labs/overlay"
)

// Each testdata/*.txtar is a small module and the holes in it, named by the comment lines "hole STAGE FILE [FUNC]".
// Files below want/ are what must come out, an empty one meaning that the file is gone; or the comment has a line
// "error TEXT".
func TestHollowCases(t *testing.T) {
	cases, _ := filepath.Glob("testdata/*.txtar")
	if len(cases) == 0 {
		t.Fatal("no cases in testdata")
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			tree, want := overlay.Files{"go.mod": []byte("module example\n")}, overlay.Files{}
			for _, f := range archive.Files {
				if path, ok := strings.CutPrefix(f.Name, "want/"); ok {
					want[path] = f.Data
				} else {
					tree[f.Name] = f.Data
				}
			}
			holes, wantError := directives(t, string(archive.Comment))
			got, err := Hollow(tree, holes)
			if wantError != "" {
				if err == nil || !strings.Contains(err.Error(), wantError) {
					t.Fatalf("error %v, want one with %q", err, wantError)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			compare(t, got, want)
			again, err := Hollow(maps.Clone(tree), holes)
			if err != nil || !maps.EqualFunc(got, again, bytes.Equal) {
				t.Errorf("a second run gives something else: %v", err)
			}
		})
	}
}

func directives(t *testing.T, comment string) (holes []Hole, wantError string) {
	for line := range strings.Lines(comment) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
		case words[0] == "hole" && len(words) == 3:
			holes = append(holes, Hole{words[1], course.Hole{File: words[2]}})
		case words[0] == "hole" && len(words) == 4:
			holes = append(holes, Hole{words[1], course.Hole{File: words[2], Func: words[3]}})
		case words[0] == "error":
			wantError = strings.TrimSpace(strings.TrimPrefix(line, "error"))
		default:
			t.Fatalf("unknown line %q", line)
		}
	}
	return holes, wantError
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

func TestHolesAreListedInTheOrderOfTheStages(t *testing.T) {
	a, b := course.Hole{File: "a.go", Func: "A"}, course.Hole{File: "b.go"}
	got := Holes([]course.Stage{{ID: "1a", Holes: []course.Hole{b}}, {ID: "1b", Holes: []course.Hole{a}}})
	if want := []Hole{{"1a", b}, {"1b", a}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

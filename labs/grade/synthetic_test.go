// The synthetic tree that the tests grade, laid out once, and the one run over it that most of them look at.

package grade_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/tools/txtar"

	"tinykv/labs/course"
	"tinykv/labs/grade"
)

var stage9a = course.Stage{
	ID: "9a", Project: 9, Title: "A box", TestDir: "labs/tests/9a",
	Holes: []course.Hole{{File: "box/box.go", Func: "Put"}},
	Tests: []course.Test{
		{Name: "TestPasses", Points: 5}, {Name: "TestFails", Points: 4}, {Name: "TestSubtests", Points: 3},
		{Name: "TestHole", Points: 1}, {Name: "TestHoleInMethod", Points: 1}, {Name: "TestHoleInGoroutine", Points: 1},
		{Name: "TestPanics", Points: 1}, {Name: "TestHangs", Points: 1, TimeoutSeconds: 1},
		{Name: "TestSpins", Points: 1, TimeoutSeconds: 1}, {Name: "TestExits", Points: 1}, {Name: "TestForges", Points: 1},
		{Name: "TestBoasts", Points: 1}, {Name: "TestSkips", Points: 1}, {Name: "TestDeadlock", Points: 1},
		{Name: "TestOverflows", Points: 1},
		{Name: "TestEats", Points: 1}, {Name: "TestFloods", Points: 1}, {Name: "TestLeavesChild", Points: 7},
		{Name: "TestForks", Points: 1}, {Name: "TestFillsTheDisk", Points: 1}, {Name: "TestMissing", Points: 1},
	},
}

var (
	stage9b = course.Stage{ID: "9b", Project: 9, TestDir: "labs/tests/9b", Tests: []course.Test{{Name: "TestNeverBuilt",
		Points: 2}}}
	stage9c = course.Stage{ID: "9c", Project: 9, TestDir: "labs/tests/9c",
		Tests: []course.Test{{Name: "TestNeverBegins", Points: 2, TimeoutSeconds: 1}}}
	stage9d = course.Stage{ID: "9d", Project: 9, TestDir: "labs/tests/9d", Tests: []course.Test{{Name: "TestAnything",
		Points: 2}}}
)

// layOut writes the synthetic tree into a directory.
func layOut(t testing.TB, dir string) {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/tree.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range archive.Files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// shared is the tree and the one run over all its stages. scratch is where temporary files went: it must be empty.
var shared struct {
	once    sync.Once
	root    string
	scratch string
	report  *grade.Report
	events  []grade.Event
	err     error
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "labs-grade-test-")
	if err != nil {
		panic(err)
	}
	for i := range stage9a.Tests { // those that are not about time get all the time they need on a busy machine
		if stage9a.Tests[i].TimeoutSeconds == 0 {
			stage9a.Tests[i].TimeoutSeconds = 60
		}
	}
	shared.root, shared.scratch = filepath.Join(dir, "tree"), filepath.Join(dir, "tmp")
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

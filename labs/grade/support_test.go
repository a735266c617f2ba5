// What graded tests share with each other is the course's too: a learner who edits it changes nothing.

package grade_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tinykv/labs/course"
	"tinykv/labs/grade"
)

// lenientDesk is a learner's idea of a workbench: whatever a test says is fine.
const lenientDesk = "package desk\n\nimport \"testing\"\n\nfunc Want(testing.TB, bool) {}\n"

func TestPristineGradeIgnoresAnEditedWorkbench(t *testing.T) {
	courseTree, learner, graded := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "tree")
	files := map[string]string{
		"go.mod":     "module example.com/tiny\n\ngo 1.26\n",
		"box/box.go": "package box\n\n// Get returns 42.\nfunc Get() int { return 41 }\n",
		"labs/tests/desk/desk.go": "package desk\n\nimport \"testing\"\n\nfunc Want(t testing.TB, ok bool) {\n" +
			"\tif !ok {\n\t\tt.Fatal(\"it is wrong\")\n\t}\n}\n",
		"labs/tests/9a/box_test.go": "package stage9a_test\n\nimport (\n\t\"testing\"\n\n\t\"example.com/tiny/box\"\n" +
			"\t\"example.com/tiny/labs/tests/desk\"\n)\n\nfunc TestBox(t *testing.T) { desk.Want(t, box.Get() == 42) }\n",
	}
	write(t, courseTree, files)
	write(t, learner, files)
	write(t, learner, map[string]string{
		"labs/tests/desk/desk.go":  lenientDesk,
		"labs/tests/desk/extra.go": "package desk\n\nimport \"os\"\n\nfunc init() { os.Exit(0) }\n",
	})
	stage := course.Stage{ID: "9a", Project: 9, TestDir: "labs/tests/9a",
		Holes: []course.Hole{{File: "box/box.go", Func: "Get"}},
		Tests: []course.Test{{Name: "TestBox", Points: 5, TimeoutSeconds: 60}}}

	notices, err := grade.Pristine(courseTree, learner, graded, []course.Stage{stage})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(graded, "labs/tests/desk/desk.go")); err != nil ||
		string(got) != files["labs/tests/desk/desk.go"] {
		t.Errorf("the workbench of the tree to be graded is %q (%v), want the course's", got, err)
	}
	report, err := grade.Run(context.Background(), grade.Options{Root: graded, CleanEnv: true,
		Stages: []course.Stage{stage}, Only: regexp.MustCompile("^TestBox$")})
	if err != nil {
		t.Fatal(err)
	}
	if got := find(t, report, "TestBox"); got.Outcome != grade.Failed {
		t.Errorf("TestBox of a wrong box, with a workbench that says nothing: %s, %q; want %s", got.Outcome, got.Message,
			grade.Failed)
	}
	all := strings.Join(notices, "\n")
	for _, want := range []string{"labs/tests/desk/desk.go", "labs/tests/desk/extra.go"} {
		if !strings.Contains(all, want) {
			t.Errorf("no notice of %q in:\n%s", want, all)
		}
	}
}

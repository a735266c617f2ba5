// An instructor's grade of a tree that tries to cheat, and packs of hidden tests with mistakes in them.

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
	"tinykv/labs/overlay"
)

// write lays files into a directory.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	all := overlay.Files{}
	for p, content := range files {
		all[p] = []byte(content)
	}
	if err := all.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
}

const hiddenTest = `package hidden

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"example.com/tiny/box"
)

func TestUnseen(t *testing.T) {
	if box.Get() != 42 {
		t.Fatal("not 42")
	}
	if secret := os.Getenv("LABS_TEST_SECRET"); secret != "" {
		t.Fatal("the environment shows " + secret)
	}
	for _, root := range []string{".", os.Getenv("GRADED")} {
		filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Base(path) == "unseen_test.go" {
				t.Error("hidden tests can be read: ", path, err)
			}
			return nil
		})
	}
}

func TestUnseenToo(t *testing.T) { t.Fatal("never") }
`

const packToml = `name = "midterm"
[[test]]
name = "TestUnseen"
points = 3
stage = "9a"
[[test]]
name = "TestUnseenToo"
points = 4
stage = "9a"
`

func TestPristineGradeIgnoresWhatALearnerMayNotChange(t *testing.T) {
	courseTree, learner, graded := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "tree")
	layOut(t, courseTree)
	layOut(t, learner)
	boxSource, err := os.ReadFile(filepath.Join(courseTree, "box/box.go"))
	if err != nil {
		t.Fatal(err)
	}
	written := strings.Replace(string(boxSource), `panic("9a: Put is yours to write")`, "mine.Keep(n)", 1)
	written = strings.Replace(written, "import (", "import (\n\t\"example.com/tiny/mine\"", 1)
	write(t, learner, map[string]string{
		"box/box.go":              written,
		"box/door.go":             "package box\n\nimport _ \"unsafe\"\n",
		"box/huge.go":             "package box\n//" + strings.Repeat("x", 2<<20),
		"box/box_test.go":         "package box\n\nfunc init() { panic(1) }\n",
		"mine/mine.go":            "package mine\n\nfunc Keep(int) {}\n",
		"go.mod":                  "module elsewhere\n",
		"go.work":                 "nonsense\n",
		"vendor/modules.txt":      "nonsense\n",
		"labs/tests/9a/z_test.go": "package stage9a_test\n\nimport \"testing\"\n\nfunc TestMain(*testing.M) {}\n",
		"labs/tests/9a/box_test.go": "package stage9a_test\n\nimport \"testing\"\n\nfunc TestPasses(*testing.T) {}\n" +
			"func TestFails(*testing.T) {}\nfunc TestHole(*testing.T) {}\n",
		"labs/grade/evil.go": "package grade\n",
	})
	if err := os.Symlink("/etc/passwd", filepath.Join(learner, "box/passwd.go")); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"mine/everything": "/", "parcel": "box", "lost": "nowhere", "notes.txt": "go.work",
	} {
		if err := os.Symlink(target, filepath.Join(learner, link)); err != nil {
			t.Fatal(err)
		}
	}
	before, err := overlay.Read(learner)
	if err != nil {
		t.Fatal(err)
	}

	notices, err := grade.Pristine(courseTree, learner, graded, []course.Stage{stage9a})
	if err != nil {
		t.Fatal(err)
	}
	pack := t.TempDir()
	write(t, pack, map[string]string{grade.PackFile: packToml, "unseen_test.go": hiddenTest})
	hidden, err := grade.LoadPack(pack, []course.Stage{stage9a})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("LABS_TEST_SECRET", "a token")
	report, err := grade.Run(context.Background(), grade.Options{
		Root: graded, CleanEnv: true, Env: []string{"GRADED=" + graded}, Stages: append([]course.Stage{stage9a},
			hidden.Stages...), Hidden: func(stage string) bool { return stage == "midterm/9a" },
		Overlay: func(string) overlay.Files { return hidden.Files },

		Only: regexp.MustCompile("^Test(Passes|Fails|Hole|Unseen|UnseenToo)$"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for test, want := range map[string]grade.Outcome{
		"TestPasses": grade.Passed, "TestFails": grade.Failed, "TestHole": grade.Passed,
		"TestUnseen": grade.Passed, "TestUnseenToo": grade.Failed,
	} {
		if got := find(t, report, test); got.Outcome != want {
			t.Errorf("%s: %s, %q; want %s\n%s", test, got.Outcome, got.Message, want, report.Stages[0].BuildError)
		}
	}
	if row := report.Stages[len(report.Stages)-1]; !row.Hidden || row.Stage.ID != "midterm/9a" || row.Points() != 3 ||
		row.MaxPoints() != 7 {
		t.Errorf("the hidden pack's row is %+v; want midterm/9a with 3 of 7 points", row)
	}
	after, err := overlay.Read(learner)
	if err != nil || len(after.Changes(before)) > 0 {
		t.Errorf("the learner's tree was changed: %v (%v)", after.Changes(before).Paths(), err)
	}
	all := strings.Join(notices, "\n")
	for _, want := range []string{
		"box/passwd.go (a symbolic link, ", "mine/everything (a symbolic link, ", "parcel (a symbolic link, ",
		"lost (a symbolic link, ", "box/huge.go (larger than 1024 KiB)", "go.mod", "labs/tests/9a/box_test.go",
		"labs/grade/evil.go", "box/door.go imports unsafe",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no notice of %q in:\n%s", want, all)
		}
	}
	if strings.Contains(all, "notes.txt") {
		t.Errorf("a notice of what could not be part of any package:\n%s", all)
	}
	for _, link := range []string{"parcel", "mine/everything", "lost"} {
		if _, err := os.Lstat(filepath.Join(graded, link)); err == nil {
			t.Errorf("%s is in the tree that is graded", link)
		}
	}
}

func TestPristineRefusesWhatIsNotAWorkspace(t *testing.T) {
	courseTree := t.TempDir()
	layOut(t, courseTree)
	for name, dir := range map[string]string{"empty": t.TempDir(), "missing": filepath.Join(t.TempDir(), "no")} {
		if _, err := grade.Pristine(courseTree, dir, t.TempDir(), []course.Stage{stage9a}); err == nil {
			t.Errorf("%s directory: no error", name)
		}
	}
}

func TestPacksAreChecked(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown key":      {`points = 3`, "points = 3\ncolour = 1", "unknown key test.colour"},
		"bad name":         {`"midterm"`, `"../x"`, `name "../x"`},
		"no points":        {`points = 3`, `points = 0`, "TestUnseen is worth 0 points"},
		"unknown stage":    {`stage = "9a"`, `stage = "7z"`, `no stage "7z"`},
		"not declared":     {`"TestUnseen"`, `"TestElse"`, "declares TestUnseen, which pack.toml does not list"},
		"only listed":      {`name = "TestUnseenToo"`, "name = \"TestUnseenToo\"\npackage = \"x\"", "declares TestUnseenToo"},
		"listed twice":     {`"TestUnseenToo"`, `"TestUnseen"`, "TestUnseen is listed twice"},
		"escapes":          {`stage = "9a"`, "stage = \"9a\"\npackage = \"../..\"", "not a directory inside the pack"},
		"negative timeout": {`stage = "9a"`, "stage = \"9a\"\ntimeout_seconds = -1", "negative timeout"},
		"not toml":         {`points = 3`, `points = `, "pack.toml"},
	} {
		pack := t.TempDir()
		write(t, pack, map[string]string{
			grade.PackFile: strings.Replace(packToml, c.old, c.new, 1), "unseen_test.go": hiddenTest,
		})
		_, err := grade.LoadPack(pack, []course.Stage{stage9a})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v; want one line with %q", name, err, c.want)
		}
	}
}

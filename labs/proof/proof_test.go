package proof

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"tinykv/labs/course"
	"tinykv/labs/overlay"
	"tinykv/labs/workspace"
)

// The course itself. This is the proof that make test runs; go run ./labs proof says the same with more to look at.
func TestTheCourseIsSound(t *testing.T) {
	if testing.Short() {
		t.Skip("takes tens of seconds")
	}
	here, err := workspace.Find(".")
	if err != nil {
		t.Fatal(err)
	}
	reference, err := here.Reference()
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := Run(t.Context(), Options{
		Reference: reference, Table: course.Stages(), Tell: t.Logf, Memo: filepath.Join(cache, "tinykv", "proof"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s\nreplay: go run ./labs proof %s --only %s", p, p.Stage, p.Check)
	}
}

// small returns the course of testdata and its table.
func small(t *testing.T) (overlay.Files, []course.Stage) {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/course.txtar")
	if err != nil {
		t.Fatal(err)
	}
	tree := overlay.Files{}
	for _, f := range archive.Files {
		tree[f.Name] = f.Data
	}
	return tree, []course.Stage{
		{
			ID: "1a", Project: 1, Title: "Add", Handout: "labs/handouts/1a.md", TestDir: "labs/tests/1a",
			Holes: []course.Hole{{File: "kv/a/a.go", Func: "Add"}},
			Tests: []course.Test{{Name: "TestAdd", Points: 2}, {Name: "TestAddNothing", Points: 1}},
		},
		{
			ID: "1b", Project: 1, Title: "Double", Handout: "labs/handouts/1b.md", TestDir: "labs/tests/1b",
			Holes: []course.Hole{{File: "kv/a/a.go", Func: "Double"}},
			Tests: []course.Test{{Name: "TestDouble", Points: 1}},
		},
	}
}

func TestASoundCourseHasNoProblems(t *testing.T) {
	tree, table := small(t)
	t.Setenv("TMPDIR", t.TempDir())
	lines := 0
	problems, err := Run(t.Context(), Options{Reference: tree, Table: table, Tell: func(string, ...any) { lines++ }})
	if err != nil || len(problems) > 0 {
		t.Errorf("problems %v, %v", problems, err)
	}
	if want := len(table) * len(Checks()); lines != want {
		t.Errorf("%d lines of progress, want one for each of %d checks", lines, want)
	}
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("%s was left behind", left[0].Name())
	}
}

// While 1a is graded, 1b is the reference's: a test of 1a may use it, and fails at the hole of 1a that it leads to.
func TestATestMayUseLaterStages(t *testing.T) {
	tree, table := small(t)
	edits := []overlay.Edit{{File: addTest, Old: "a.Add(1, 2); got != 3", New: "a.Double(1); got != 2"}}
	changed, err := overlay.Apply(tree, edits)
	if err != nil {
		t.Fatal(err)
	}
	problems, err := Run(t.Context(), Options{
		Reference: changed.Over(tree), Table: table, Only: []string{"red", "green", "earlier"},
	})
	if err != nil || len(problems) > 0 {
		t.Errorf("problems %v, %v", problems, err)
	}
}

// breakage is what is wrong with a course, and how it must be told.
type breakage struct {
	check, stage string
	edits        []overlay.Edit
	table        func([]course.Stage)
	want         []string
}

const (
	code       = "kv/a/a.go"
	addTest    = "labs/tests/1a/add_test.go"
	doubleTest = "labs/tests/1b/double_test.go"
	addText    = "labs/handouts/1a.md"
	doubleText = "labs/handouts/1b.md"
)

var breakages = map[string]breakage{
	"tests without points, points without tests, contracts that say nothing": {
		check: "table", stage: "1a",
		edits: []overlay.Edit{
			{File: addTest, Old: "func TestAdd(", New: "func TestExtra(t *testing.T) {}\n\nfunc TestAdd("},
			{File: code, Old: " It promises nothing about overflow, which wraps around as usual in Go.", New: ""},
		},
		table: func(s []course.Stage) { s[0].Tests[0].Name = "TestGone" },
		want:  []string{"TestExtra in", "TestAdd in", "TestGone is worth", "contract of Add has 8 words"},
	},
	"tests of no stage": {
		check: "table", stage: "1a",
		table: func(s []course.Stage) { s[1].TestDir = "labs/tests/1a" },
		want:  []string{"labs/tests/1b holds tests but no stage", "shares the tests in labs/tests/1a with stage 1b"},
	},
	"a hole that is not there": {
		check: "table", stage: "1b",
		table: func(s []course.Stage) { s[1].Holes[0].Func = "Triple" },
		want:  []string{"has no function Triple"},
	},
	"a handout that is not there": {
		check: "handout", stage: "1a",
		table: func(s []course.Stage) { s[0].Handout = "labs/handouts/9.md" },
		want:  []string{"labs/handouts/9.md is not there"},
	},
	"a handout that names what is not there": {
		check: "handout", stage: "1a",
		edits: []overlay.Edit{
			{File: addText, Old: "`kv/a/a.go`", New: "`kv/a/b.go`, `kv/a.Min`, `./kv/b/`"},
			{File: addText, Old: "`add_test.go`", New: "`sub_test.go`"},
			{File: addText, Old: "`a.Add`", New: "`a.Sub`, `pad()`"},
			{File: addText, Old: "sh fails", New: "sh fail"},
		},
		want: []string{
			"1a.md:3: names kv/a/b.go", "a has no Min", "names kv/b", "file sub_test.go", "a has no Sub", "function pad",
			`marked "fail"`,
		},
	},
	"a handout that does not name its hole": {
		check: "handout", stage: "1b",
		edits: []overlay.Edit{{File: doubleText, Old: "`Double()`", New: "it"}},
		want:  []string{"the hole Double in kv/a/a.go"},
	},
	"a mutant that does not fit": {
		check: "corpus", stage: "1a",
		edits: []overlay.Edit{{File: "labs/mutants/1a.toml", Old: "pad(0))\"\n  new", New: "pad(1))\"\n  new"}},
		want:  []string{"off_by_one: edit of kv/a/a.go: the text occurs 0 times"},
	},
	"a solution in a test": {
		check: "secret", stage: "1b",
		edits: []overlay.Edit{{File: doubleTest, Old: "func TestDouble", New: "func double(x int) int {\n" +
			"\tsum := Add(x, x)\n\n\tif sum%2 != 0 { panic(\"an odd sum\") }\n\treturn sum // !\n}\n\nfunc TestDouble"}},
		want: []string{"the body of Double stands in labs/tests/1b/double_test.go"},
	},
	"a starter that does not compile": {
		check: "starter", stage: "1a",
		edits: []overlay.Edit{{File: code, Old: "import \"strings\"", New: "import \"strings\"\n\nvar x int = \"x\""}},
		want:  []string{"kv/a/a.go:4:13: cannot use"}, // the import is pruned, so it is line 4
	},
	"tests that need no hole": {
		check: "red", stage: "1a",
		edits: []overlay.Edit{
			{File: addTest, Old: "got := a.Add(1, 0); got != 1", New: "got := 1; got != 1"},
			{File: addTest, Old: "got := a.Add(1, 2); got != 3", New: "got := a.Triple(1); got != 3"},
			{File: code, Old: "// Double returns", New: "// Triple is given.\nfunc Triple(x int) int { return 3 * x }\n\n// Double returns"},
		},
		want: []string{"TestAddNothing in the starter: passed", "TestAdd in the starter: passed"},
	},
	"an earlier test that fails": {
		check: "earlier", stage: "1b",
		edits: []overlay.Edit{{File: addTest, Old: "a.Add(1, 2); got != 3", New: "a.Add(1, 2); got != 4"}},
		want:  []string{"1a TestAdd: failed"},
	},
	"a reference that fails": {
		check: "green", stage: "1b",
		edits: []overlay.Edit{{File: doubleTest, Old: "got != 4", New: "got != 5"}},
		want:  []string{"1b TestDouble: failed"},
	},
	"commands that end as they should not": {
		check: "commands", stage: "1a",
		edits: []overlay.Edit{
			{File: addText, Old: "grep -q solved", New: "grep -q yours"},
			{File: addText, Old: "test ! -e labs/mutants", New: "test -e labs/mutants"},
			{File: addText, Old: "grep -q pad", New: "grep -q nowhere"},
		},
		want: []string{"1a.md:6: it was to fail", "1a.md:10: it ended with", "1a.md:15: it ended with"},
	},
}

func TestWhatIsBrokenIsTold(t *testing.T) {
	for name, b := range breakages {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			tree, table := small(t)
			changed, err := overlay.Apply(tree, b.edits)
			if err != nil {
				t.Fatal(err)
			}
			if b.table != nil {
				b.table(table)
			}
			stages, err := course.SelectFrom(table, b.stage)
			if err != nil {
				t.Fatal(err)
			}
			problems, err := Run(t.Context(), Options{
				Reference: changed.Over(tree), Table: table, Stages: stages, Only: []string{b.check},
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range b.want {
				told := func(p Problem) bool {
					return p.Stage == b.stage && p.Check == b.check && strings.Contains(p.Text, want)
				}
				if !slices.ContainsFunc(problems, told) {
					t.Errorf("no problem with %q", want)
				}
			}
			if len(problems) != len(b.want) {
				t.Errorf("%d problems instead of %d: %v", len(problems), len(b.want), problems)
			}
		})
	}
}

func TestWhatIsKnownIsShownAgainOnlyIfItsSourcesChange(t *testing.T) {
	tree, table := small(t)
	options := Options{Reference: tree, Table: table, Memo: t.TempDir(), Only: []string{"red", "green", "earlier"}}
	run := func() string {
		t.Helper()
		var told strings.Builder
		options.Tell = func(format string, args ...any) {
			fields := strings.Fields(fmt.Sprintf(format, args...))
			if slices.Contains(fields, "known") {
				told.WriteString(fields[0] + fields[1] + " ")
			}
		}
		if problems, err := Run(t.Context(), options); err != nil || len(problems) > 0 {
			t.Fatal(problems, err)
		}
		return told.String()
	}
	// That 1a passes in the starter of 1b, as it is graded, is the same as that it passes on the reference.
	if got := run(); got != "1bearlier " {
		t.Errorf("known before anything was shown: %s", got)
	}
	const all = "1ared 1bred 1agreen 1bgreen 1bearlier "
	if got := run(); got != all {
		t.Errorf("the second time %s is known, want %s", got, all)
	}
	// A comment in a test of 1b is a change for 1b alone; one in the handout is none for what runs tests.
	for file, want := range map[string]string{doubleTest: "1ared 1agreen 1bearlier ", doubleText: all} {
		options.Reference = overlay.Files{file: append(bytes.Clone(tree[file]), "\n// changed\n"...)}.Over(tree)
		if got := run(); got != want {
			t.Errorf("after a change in %s, %s is known, want %s", file, got, want)
		}
	}
	// What fails is not remembered.
	failing := bytes.Replace(tree[doubleTest], []byte("got != 4"), []byte("got != 5"), 1)
	options.Reference = overlay.Files{doubleTest: failing}.Over(tree)
	options.Only = []string{"green"}
	for range 2 {
		if problems, err := Run(t.Context(), options); err != nil || len(problems) != 1 {
			t.Errorf("problems %v, %v; want one, each time", problems, err)
		}
	}
}

func TestEveryCheckIsBrokenByACase(t *testing.T) {
	broken := map[string]bool{
		// A solution and a catch-up are right by construction unless labs itself is wrong: package graft's tests are
		// about that.
		"solution": true, "catchup": true,
	}
	for b := range maps.Values(breakages) {
		broken[b.check] = true
	}
	for _, c := range Checks() {
		if !broken[c] {
			t.Errorf("no case breaks the check %s", c)
		}
	}
}

func TestUnknownChecksAreRefused(t *testing.T) {
	tree, table := small(t)
	if _, err := Run(t.Context(), Options{Reference: tree, Table: table, Only: []string{"rad"}}); err == nil ||
		!strings.Contains(err.Error(), "red") {
		t.Errorf("error %v, want one that lists the checks", err)
	}
}

func TestTokensForgetLayoutAndComments(t *testing.T) {
	one, n := tokensOf([]byte("a := b+c // sum\nreturn \"x y\""))
	two, m := tokensOf([]byte("a:=b +\n\tc\n\n/* sum */ return \"x y\"\n"))
	three, _ := tokensOf([]byte("a := b-c\nreturn \"x y\""))
	if !bytes.Equal(one, two) || n != m || bytes.Equal(one, three) {
		t.Errorf("%q (%d), %q (%d), %q", one, n, two, m, three)
	}
}

func TestHandoutIsSplitIntoBlocksAndWords(t *testing.T) {
	blocks, words := parseHandout("a `b` and `c d`\n```sh  fails\nx `y`\n```\n  ````go\n```\n````\n`e`\n```sh\nopen")
	want := []block{{3, "sh fails", "x `y`\n"}, {6, "go", "```\n"}, {10, "sh", "open"}}
	if !slices.Equal(blocks, want) {
		t.Errorf("blocks %+v, want %+v", blocks, want)
	}
	if want := []word{{1, "b"}, {1, "c d"}, {8, "e"}}; !slices.Equal(words, want) {
		t.Errorf("words %v, want %v", words, want)
	}
}

func TestABlockLeavesNoProcessBehind(t *testing.T) {
	dir := t.TempDir()
	// The server in the background would create the file if it outlived its block.
	const script = "(sleep 1; touch outlived) >/dev/null 2>&1 &\necho $! > pid"
	if problem := runBlock(t.Context(), dir, script, true); problem != "" {
		t.Fatal(problem)
	}
	pid, err := os.ReadFile(dir + "/pid")
	if err != nil {
		t.Fatal(err)
	}
	// kill -0 asks whether the process exists; one that was killed may take a moment to be reaped.
	lives := fmt.Sprintf("kill -0 %[1]s 2>/dev/null && ! grep -q '^State:.Z' /proc/%[1]s/status", bytes.TrimSpace(pid))
	for range 100 {
		if runBlock(t.Context(), dir, lives, false) == "" {
			return
		}
	}
	t.Error("the process in the background outlived its block")
}

package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tinykv/labs/course"
	"tinykv/labs/overlay"
)

// table is a course of three stages; the second and the third share a file.
var table = []course.Stage{
	{ID: "1a", Project: 1, Title: "First", TestDir: "labs/tests/1a", Holes: []course.Hole{{File: "kv/a/a.go", Func: "A"}}},
	{ID: "1b", Project: 1, Title: "Second", TestDir: "labs/tests/1b",
		Holes: []course.Hole{{File: "kv/b/b.go", Func: "T.B"}}},
	{ID: "2a", Project: 2, Title: "Third", TestDir: "labs/tests/2a", Holes: []course.Hole{{File: "kv/b/b.go", Func: "C"}}},
}

// cloneFiles is a tree with the functions that the table names. What a hole's solution looks like has the word
// solved in it.
var cloneFiles = overlay.Files{
	"go.mod":                  []byte("module tinykv\n\ngo 1.26\n"),
	"Makefile":                []byte("# of the clone\n"),
	"README.md":               []byte("# of the clone\n"),
	".ci/run":                 []byte("#!/bin/sh\n"),
	"labs/main.go":            []byte("package main\n\nfunc main() {}\n"),
	"labs/main_test.go":       []byte("package main\n"),
	"labs/x/testdata/a.go":    []byte("package x\n"),
	"labs/mutants/1a.toml":    []byte("secret"),
	"labs/tests/1a/a_test.go": []byte("package stage1a_test\n\nimport _ \"tinykv/kv/a\"\n"),
	"labs/tests/1b/b_test.go": []byte("package stage1b_test\n\nimport _ \"tinykv/kv/both\"\n"),
	"labs/tests/2a/c_test.go": []byte("package stage2a_test\n\nimport _ \"tinykv/kv/both\"\n"),
	"kv/both/both.go":         []byte("package both\n\nimport (\n\t_ \"tinykv/kv/a\"\n\t_ \"tinykv/kv/b\"\n)\n"),
	"kv/bench/go.mod":         []byte("module tinykv/kv/bench\n"),
	"kv/bench/b.go":           []byte("package bench\n"),
	"kv/a/a.go":               []byte("package a\n\n// A is a hole.\nfunc A() string { return \"1a solved\" }\n"),
	"kv/b/b.go": []byte("package b\n\n// T is a type.\ntype T struct{}\n\n" +
		"// B is a hole.\nfunc (t *T) B() string { return help() }\n\n" +
		"func help() string { return \"1b solved\" }\n\n// C is a hole.\nfunc C() string { return \"2a solved\" }\n"),
}

// clone writes the tree.
func clone(t *testing.T) *Space {
	t.Helper()
	root := filepath.Join(t.TempDir(), "clone")
	if err := cloneFiles.WriteTo(root); err != nil {
		t.Fatal(err)
	}
	return find(t, root)
}

func find(t *testing.T, dir string) *Space {
	t.Helper()
	space, err := FindFor(dir, table)
	if err != nil {
		t.Fatal(err)
	}
	return space
}

// made lays out a workspace beside the clone.
func made(t *testing.T, clone *Space, from string) *Space {
	t.Helper()
	dir := filepath.Join(filepath.Dir(clone.Root), "workspace-"+from)
	if err := clone.Create(t.Context(), dir, from, t.Logf); err != nil {
		t.Fatal(err)
	}
	return find(t, dir)
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = withoutGit(os.Environ())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestAWorkspaceIsAStarterWithItsReferencePacked(t *testing.T) {
	// The person's own configuration must not matter: no name, signing on, hooks that refuse.
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} { // they are found by HOME; a cold cache would show nothing more
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv(name, strings.TrimSpace(string(value)))
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	config := "[commit]\n\tgpgsign = true\n[core]\n\thooksPath = " + home + "\n[init]\n\tdefaultBranch = odd\n"
	for name, text := range map[string]string{".gitconfig": config, "pre-commit": "#!/bin/sh\nexit 1\n"} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	clone := clone(t)
	w := made(t, clone, "1a")

	if !w.Learner || w.From != "1a" || w.CatchUp != "" {
		t.Errorf("the workspace is %+v", w)
	}
	if n := git(t, w.Root, "rev-list", "--count", "--all"); n != "1" {
		t.Errorf("%s commits instead of one", n)
	}
	if status := git(t, w.Root, "status", "--porcelain"); status != "" {
		t.Errorf("files that are not committed:\n%s", status)
	}
	tracked := strings.Fields(git(t, w.Root, "ls-files"))
	for _, want := range []string{
		recordFile, referenceFile, "Makefile", "labs/main.go", "labs/tests/1a/a_test.go", "kv/a/a.go",
	} {
		if !slices.Contains(tracked, want) {
			t.Errorf("%s is not in the workspace", want)
		}
	}
	for _, unwanted := range []string{
		"labs/mutants/1a.toml", ".ci/run", "labs/main_test.go", "labs/x/testdata/a.go", "kv/bench/b.go",
	} {
		if slices.Contains(tracked, unwanted) {
			t.Errorf("%s is in the workspace", unwanted)
		}
	}
	if solved := git(t, w.Root, "log", "-p", "--all", "--", "*.go"); strings.Contains(solved, "solved") {
		t.Error("a solution stands in the history")
	}
	reference, err := w.Reference()
	if err != nil {
		t.Fatal(err)
	}
	original, err := clone.Reference()
	if err != nil || len(reference.Changes(original)) > 0 {
		t.Errorf("the packed reference differs in %v, %v", reference.Changes(original).Paths(), err)
	}
	if output, err := goVet(w.Root); err != nil {
		t.Errorf("the workspace does not compile offline: %v\n%s", err, output)
	}
	everything, err := overlay.Read(w.Root)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range everything {
		if bytes.Contains(content, []byte(filepath.Dir(clone.Root))) {
			t.Errorf("%s names the machine's directories", name)
		}
	}
}

func goVet(dir string) (string, error) {
	cmd := exec.Command("go", "vet", "./kv/...", "./labs/...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off")
	output, err := cmd.CombinedOutput()
	return string(output), err
}

func TestWithoutGitAWorkspaceIsNoRepositoryAndSaysSo(t *testing.T) {
	goCommand, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir()
	if err := os.Symlink(goCommand, filepath.Join(path, "go")); err != nil {
		t.Fatal(err)
	}
	clone := clone(t)
	t.Setenv("PATH", path)
	told := ""
	dir := filepath.Join(filepath.Dir(clone.Root), "workspace")
	tell := func(format string, args ...any) { told += fmt.Sprintf(format, args...) }
	if err := clone.Create(t.Context(), dir, "1a", tell); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil || !strings.Contains(told, "git is not installed") {
		t.Errorf("a repository without git: %v; told %q", err, told)
	}
	if w := find(t, dir); !w.Learner {
		t.Error("it is no workspace")
	}
}

func TestTheArchiveIsTheSameByteForByte(t *testing.T) {
	files := overlay.Files{"go.mod": []byte("module tinykv\n"), "b": {}, "a/long/" + strings.Repeat("x", 150): []byte("y")}
	one, err := pack(files)
	if err != nil {
		t.Fatal(err)
	}
	two, err := pack(files.Over(nil))
	if err != nil || !bytes.Equal(one, two) {
		t.Errorf("two archives of the same files differ: %v", err)
	}
}

func TestCreateRefusesAndLeavesThingsAsTheyWere(t *testing.T) {
	clone := clone(t)
	beside := filepath.Dir(clone.Root)
	full := filepath.Join(beside, "full")
	link := filepath.Join(beside, "link")
	if err := os.Mkdir(full, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(full, "thesis.txt"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(clone.Root, link); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ dir, from, want string }{
		"not empty":            {full, "1a", "thesis.txt is there"},
		"the clone itself":     {clone.Root, "1a", "lies inside"},
		"in the clone":         {filepath.Join(clone.Root, "kv/w"), "1a", "lies inside"},
		"in the clone by link": {filepath.Join(link, "w"), "1a", "lies inside"},
		"a file":               {filepath.Join(full, "thesis.txt"), "1a", "not a directory"},
		"below a file":         {filepath.Join(full, "thesis.txt/w"), "1a", "not a directory"},
		"an unknown stage":     {filepath.Join(beside, "new"), "9z", "no stage"},
	} {
		err := clone.Create(t.Context(), c.dir, c.from, t.Logf)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line with %q", name, err, c.want)
		}
	}
	entries, err := os.ReadDir(beside)
	if err != nil || len(entries) != 3 {
		t.Errorf("something was left behind: %v %v", entries, err)
	}
	if tree, _ := overlay.Read(clone.Root); tree.Has("kv/w/go.mod") || len(tree.Under("w")) > 0 {
		t.Error("the clone was written to")
	}
}

func TestAnInterruptedCreateLeavesNothing(t *testing.T) {
	clone := clone(t)
	empty := filepath.Join(filepath.Dir(clone.Root), "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Join(filepath.Dir(clone.Root), "new"), empty} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		tell := func(string, ...any) { cancel() } // as soon as there is something to tell, the person presses ^C
		if err := clone.Create(ctx, dir, "1a", tell); err == nil {
			t.Fatal("an interrupted Create succeeded")
		}
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			t.Errorf("%s was left behind in %s", entries[0].Name(), dir)
		}
	}
	if _, err := os.Stat(empty); err != nil {
		t.Errorf("the directory that was there is gone: %v", err)
	}
}

func TestAClonedWorkspaceIsOne(t *testing.T) {
	w := made(t, clone(t), "1a")
	copied := filepath.Join(t.TempDir(), "copy")
	git(t, filepath.Dir(copied), "clone", "-q", w.Root, copied)
	if err := os.RemoveAll(w.Root); err != nil {
		t.Fatal(err)
	}
	space := find(t, filepath.Join(copied, "kv"))
	if !space.Learner || space.Root != copied {
		t.Fatalf("found %+v", space)
	}
	if reference, err := space.Reference(); err != nil || !reference.Has("labs/mutants/1a.toml") {
		t.Errorf("the reference did not come along: %v", err)
	}
}

func TestASolutionComesInAndTheLearnersVersionIsKept(t *testing.T) {
	w := made(t, clone(t), "1a")
	const file = "kv/b/b.go"
	mine := bytes.Replace(read(t, w, file), []byte("panic(\"1b"), []byte("println(\"mine\")\n\tpanic(\"1b"), 1)
	if err := os.WriteFile(filepath.Join(w.Root, file), mine, 0o644); err != nil {
		t.Fatal(err)
	}
	solution, err := w.Solution(table[1])
	if err != nil || len(solution.Notes) > 0 {
		t.Fatal(err, solution.Notes)
	}
	if !bytes.Equal(read(t, w, file), mine) {
		t.Fatal("something was written before Write")
	}
	kept, err := solution.Write()
	if err != nil || kept != ".labs/backup/1b-1" || !bytes.Equal(read(t, w, kept+"/"+file), mine) {
		t.Errorf("kept in %q, %v", kept, err)
	}
	got := read(t, w, file)
	if !bytes.Contains(got, []byte("1b solved")) || !bytes.Contains(got, []byte("2a: C is yours")) {
		t.Errorf("the stage is not solved, or another is:\n%s", got)
	}
	if again, err := w.Solution(table[1]); err != nil || len(again.Changes) > 0 {
		t.Errorf("a second solution changes %v, %v", again.Changes.Paths(), err)
	}
	if _, err := clone(t).Solution(table[1]); !errors.Is(err, ErrNotAWorkspace) {
		t.Errorf("the reference took a solution of itself: %v", err)
	}
}

func TestShowPrintsTheFunctionsAndTheirHelpers(t *testing.T) {
	w := made(t, clone(t), "1a")
	all, err := w.Show(table[1], "")
	if err != nil || !strings.Contains(all, "// kv/b/b.go\n// B is a hole.\nfunc (t *T) B()") ||
		!strings.Contains(all, "func help()") || strings.Contains(all, "func C()") {
		t.Errorf("%v\n%s", err, all)
	}
	one, err := w.Show(table[1], "T.B")
	if err != nil || !strings.Contains(one, "B()") || strings.Contains(one, "func help()") {
		t.Errorf("%v\n%s", err, one)
	}
	if _, err := w.Show(table[1], "T.D"); err == nil || !strings.Contains(err.Error(), "T.B") {
		t.Errorf("an unknown function: %v", err)
	}
}

func read(t *testing.T, w *Space, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(w.Root, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestCatchingUpTakesEarlierStagesOnly(t *testing.T) {
	w := made(t, clone(t), "1a")
	if changes, _, err := w.CatchUpOverlay("2a"); err != nil || len(changes) > 0 {
		t.Errorf("before catching up: %v, %v", changes.Paths(), err)
	}
	before, err := overlay.Read(w.Root)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.SetCatchUp("2a"); err != nil {
		t.Fatal(err)
	}
	w = find(t, w.Root)
	if w.CatchUp != "2a" {
		t.Fatalf("not recorded: %+v", w)
	}
	for stage, want := range map[string][]string{"2a": {"1a", "1b"}, "": {"1a", "1b"}, "1b": {"1a"}, "1a": nil} {
		changes, notes, err := w.CatchUpOverlay(stage)
		if err != nil || len(notes) > 0 {
			t.Fatal(err, notes)
		}
		checkSolved(t, stage, changes, want...)
	}
	json, _, err := w.OverlayFile("")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "vet", "-overlay="+json, "./kv/...")
	cmd.Dir = w.Root
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("go vet with the overlay: %v\n%s", err, output)
	}
	if after, _ := overlay.Read(w.Root); len(after.Changes(before)) > 0 {
		t.Errorf("files were touched: %v", after.Changes(before).Paths())
	}
	if status := git(t, w.Root, "status", "--porcelain"); status != "" {
		t.Errorf("git sees changes: %s", status)
	}
	if err := w.SetCatchUp("9z"); err == nil || w.CatchUp != "2a" {
		t.Errorf("caught up to a stage that there is not: %v", err)
	}
	if err := w.SetCatchUp(""); err != nil {
		t.Fatal(err)
	}
	if changes, _, _ := w.CatchUpOverlay("2a"); len(changes) > 0 {
		t.Error("it did not end")
	}
	if w = find(t, w.Root); w.CatchUp != "" {
		t.Error("that it ended was not recorded")
	}
}

// checkSolved holds that of the table's stages the changes solve those wanted and no other.
func checkSolved(t *testing.T, tested string, changes overlay.Files, want ...string) {
	t.Helper()
	all := ""
	for _, content := range changes {
		all += string(content)
	}
	for _, s := range table {
		if has := strings.Contains(all, s.ID+" solved"); has != slices.Contains(want, s.ID) {
			t.Errorf("for stage %q the overlay solves %s: %v", tested, s.ID, has)
		}
	}
}

func TestAStageIsTestedWithTheReferencesLaterStages(t *testing.T) {
	w := made(t, clone(t), "1a")
	for _, c := range []struct {
		caughtUp, stage string
		want            []string
	}{
		{"", "1a", nil}, // its tests depend on no package with later stages
		{"", "1b", []string{"2a"}},
		{"", "2a", nil},
		{"1b", "1b", []string{"1a", "2a"}},
		{"1b", "2a", []string{"1a"}},
		{"1b", "", []string{"1a"}},
		{"2a", "1b", []string{"1a", "2a"}},
	} {
		if err := w.SetCatchUp(c.caughtUp); err != nil {
			t.Fatal(err)
		}
		changes, notes, err := w.Overlay(c.stage)
		if err != nil || len(notes) > 0 {
			t.Fatal(err, notes)
		}
		checkSolved(t, c.stage, changes, c.want...)
	}

	// What a learner has of a later stage, right, wrong or not even Go, has no part in it.
	mine := bytes.Replace(read(t, w, "kv/b/b.go"), []byte("panic(\"2a: C is yours to write\")"),
		[]byte("return undefined + mine()"), 1)
	mine = bytes.Replace(mine, []byte("panic(\"1b: T.B is yours to write\")"), []byte("return \"mine\""), 1)
	mine = append(mine, "\n\nfunc mine() int { return undefined }\n"...)
	if err := os.WriteFile(filepath.Join(w.Root, "kv/b/b.go"), mine, 0o644); err != nil {
		t.Fatal(err)
	}
	json, _, err := w.OverlayFile("1b")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "vet", "-overlay="+json, "./labs/tests/1b")
	cmd.Dir = w.Root
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("go vet with the overlay: %v\n%s", err, output)
	}

	later := made(t, clone(t), "2a")
	changes, _, err := later.Overlay("1b")
	if err != nil {
		t.Fatal(err)
	}
	checkSolved(t, "1b", changes, "1b", "2a") // 1b stands solved in the learner's file
}

func TestAfterCatchingUpTheCompilerNamesTheLearnersLines(t *testing.T) {
	w := made(t, clone(t), "1a")
	if err := w.SetCatchUp("2a"); err != nil {
		t.Fatal(err)
	}
	// The first function is replaced; the second, below it, is the learner's and does not compile.
	mine := bytes.Replace(read(t, w, "kv/b/b.go"), []byte("panic(\"1b"), []byte("a := 1\n\tb := 2\n\tpanic(\"1b"), 1)
	mine = bytes.Replace(mine, []byte("panic(\"2a: C is yours to write\")"), []byte("return undefined"), 1)
	line := 1 + bytes.Count(mine[:bytes.Index(mine, []byte("undefined"))], []byte("\n"))
	if err := os.WriteFile(filepath.Join(w.Root, "kv/b/b.go"), mine, 0o644); err != nil {
		t.Fatal(err)
	}
	changes, _, err := w.Overlay("2a")
	if err != nil {
		t.Fatal(err)
	}
	mounted, err := overlay.Mount(w.Root, changes)
	if err != nil {
		t.Fatal(err)
	}
	defer mounted.Close()
	cmd := exec.Command("go", "build", mounted.Flag(), "./kv/b")
	cmd.Dir = w.Root
	output, err := cmd.CombinedOutput()
	got := mounted.Origin(string(output))
	if want := fmt.Sprintf("kv/b/b.go:%d:9: undefined: undefined", line); err == nil || !strings.Contains(got, want) {
		t.Errorf("%v, want %q in\n%s", err, want, got)
	}
}

func TestAWorkspaceFromALaterStageHasTheEarlierOnesWritten(t *testing.T) {
	w := made(t, clone(t), "2a")
	got := read(t, w, "kv/b/b.go")
	if !bytes.Contains(got, []byte("1b solved")) || bytes.Contains(got, []byte("2a solved")) {
		t.Errorf("kv/b/b.go is\n%s", got)
	}
	if _, err := w.Solution(table[0]); err == nil || !strings.Contains(err.Error(), "begins with stage 2a") {
		t.Errorf("a solution of a stage without holes: %v", err)
	}
	if err := w.SetCatchUp("2a"); err != nil {
		t.Fatal(err)
	}
	if taken := w.CaughtUp("2a"); len(taken) > 0 {
		t.Errorf("there is nothing to catch up with, but %v is taken", taken)
	}
}

func TestDamageIsToldInOneLineWithWhatToDo(t *testing.T) {
	for name, c := range map[string]struct{ file, content, want string }{
		"record cut off":    {recordFile, "{\"format\": 1", "git checkout"},
		"record of a newer": {recordFile, "{\"format\": 99}", "format 99"},
		"unknown stage":     {recordFile, "{\"format\": 1, \"from\": \"9z\"}", "9z"},
		"archive cut off":   {referenceFile, "\x1f\x8b\x08\x00", "git checkout"},
		"archive is text":   {referenceFile, "hello", "git checkout"},
		"archive gone":      {referenceFile, "", "git checkout"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			files := overlay.Files{
				"go.mod":      []byte("module tinykv\n"),
				recordFile:    []byte("{\"format\": 1, \"from\": \"1a\"}"),
				referenceFile: {},
			}
			if files[c.file] = []byte(c.content); c.content == "" {
				delete(files, c.file)
			}
			if err := files.WriteTo(root); err != nil {
				t.Fatal(err)
			}
			space, err := FindFor(root, table)
			if err == nil {
				_, err = space.Reference()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q", err, c.want)
			}
		})
	}
}

func TestNowhereIsNoWorkspace(t *testing.T) {
	if space, err := Find(t.TempDir()); err == nil {
		t.Errorf("found %+v", space)
	}
}

func TestOnlyWhatGitTracksIsTheReference(t *testing.T) {
	clone := clone(t)
	git(t, clone.Root, "init", "-q")
	git(t, clone.Root, "add", "go.mod", "Makefile", "kv/bench", "README.md")
	if err := os.Remove(filepath.Join(clone.Root, "README.md")); err != nil { // deleted, but not committed yet
		t.Fatal(err)
	}
	reference, err := clone.Reference()
	if err != nil || !slices.Equal(reference.Paths(), []string{"Makefile", "go.mod"}) {
		t.Errorf("the reference is %v, %v", reference.Paths(), err)
	}
}

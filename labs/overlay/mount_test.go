package overlay

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// module lays out a small module on disk, without overlay.
func module(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	err := Files{
		"go.mod": []byte("module example\n\ngo 1.26\n"),
		"a/a.go": []byte("package a\n\nimport _ \"embed\"\n\n//go:embed a.txt\nvar Text string\n\n" +
			"func Where() string { return \"disk\" }\n"),
		"a/a.txt":     []byte("disk"),
		"a/a_test.go": []byte("package a\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) { t.Fatal(\"on disk\") }\n"),
		"main.go":     []byte("package main\n\nimport \"example/a\"\n\nfunc main() { print(a.Where(), a.Text) }\n"),
	}.WriteTo(root)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// goRun runs the go command in root with the changes laid over it.
func goRun(t *testing.T, root string, changes Files, args ...string) (output string, err error) {
	t.Helper()
	m, err := Mount(root, changes)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	cmd := exec.Command("go", append([]string{args[0], "-trimpath", m.Flag()}, args[1:]...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN=local", "GOFLAGS=")
	raw, err := cmd.CombinedOutput()
	return m.Origin(string(raw)), err
}

func TestTheGoCommandSeesReplacedEmbeddedNewAndDeletedFiles(t *testing.T) {
	root := module(t)
	binary := filepath.Join(t.TempDir(), "main")
	output, err := goRun(t, root, Files{
		"a/a.txt": []byte("laid over"),
		"a/a.go":  []byte("package a\n\nimport _ \"embed\"\n\n//go:embed a.txt\nvar Text string\n"),
		"a/b.go":  []byte("package a\n\nfunc Where() string { return \"new \" }\n"),
	}, "build", "-o", binary, ".")
	if err != nil {
		t.Fatal(err, output)
	}
	if out, err := exec.Command(binary).CombinedOutput(); err != nil || string(out) != "new laid over" {
		t.Errorf("the program says %q, %v", out, err)
	}
	output, err = goRun(t, root, Files{"a/a_test.go": nil}, "test", "./a")
	if err != nil || !strings.Contains(output, "no test files") {
		t.Errorf("a deleted test ran: %v\n%s", err, output)
	}
	// A replaced go.mod counts: this one asks for a Go that there is not.
	output, err = goRun(t, root, Files{"go.mod": []byte("module example\n\ngo 1.999\n")}, "list", "./a")
	if err == nil || !strings.Contains(output, "1.999") {
		t.Errorf("a replaced go.mod was not read: %v\n%s", err, output)
	}
}

func TestAPackageThatOnlyTheOverlayHasIsCompiledButNotEntered(t *testing.T) {
	root := module(t)
	fresh := Files{"fresh/f_test.go": []byte("package fresh\n\nimport \"testing\"\n\nfunc TestF(t *testing.T) {}\n")}
	m, err := Mount(root, fresh)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.NewDirs) != 1 || m.NewDirs[0] != "fresh" {
		t.Errorf("new directories %v, want fresh", m.NewDirs)
	}
	m.Close()
	binary := filepath.Join(t.TempDir(), "fresh.test")
	if output, err := goRun(t, root, fresh, "test", "-c", "-vet=off", "-o", binary, "./fresh"); err != nil {
		t.Errorf("go test -c: %v\n%s", err, output)
	}
	output, err := goRun(t, root, fresh, "vet", "./fresh")
	if err == nil || !strings.Contains(output, "no such file or directory") {
		t.Errorf("go vet can enter such a directory now, so the package's page is out of date: %v\n%s", err, output)
	}
}

func TestOriginNamesTheFilesOfTheTree(t *testing.T) {
	root := module(t)
	for _, args := range [][]string{{"build", "./a"}, {"vet", "./a"}} {
		output, err := goRun(t, root, Files{"a/b.go": []byte("package a\n\nfunc b() { undefined() }\n")}, args...)
		if err == nil || !strings.Contains(output, "a/b.go:3:12: undefined") || strings.Contains(output, "labs-overlay-") {
			t.Errorf("go %s says\n%s", args[0], output)
		}
	}
}

func TestTheSameFilesShareTheBuildCache(t *testing.T) {
	root := module(t)
	changes := Files{
		"a/a.go": []byte("package a\n\nvar Text string\n\nfunc Where() string { return \"" + t.TempDir() + "\" }\n"),
	}
	compiled := func() bool {
		output, err := goRun(t, root, changes, "build", "-x", "./a")
		if err != nil {
			t.Fatal(err, output)
		}
		return strings.Contains(output, "/compile ")
	}
	if !compiled() {
		t.Fatal("a text that is new was not compiled, so this test shows nothing")
	}
	if compiled() {
		t.Error("the same text, mounted a second time, was compiled again")
	}
}

func TestCloseRemovesEverythingAndTheTreeIsUntouched(t *testing.T) {
	root := module(t)
	before, err := Read(root)
	if err != nil {
		t.Fatal(err)
	}
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	m, err := Mount(root, Files{"a/a.go": nil, "b/b.go": []byte("package b\n")})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(temporary); len(left) > 0 {
		t.Errorf("%s was left behind", left[0].Name())
	}
	if after, err := Read(root); err != nil || len(after.Changes(before)) > 0 {
		t.Errorf("the tree changed: %v %v", after.Changes(before).Paths(), err)
	}
}

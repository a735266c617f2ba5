package overlay

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func texts(f Files) map[string]string {
	m := map[string]string{}
	for p, content := range f {
		if m[p] = string(content); content == nil {
			m[p] = "<gone>"
		}
	}
	return m
}

func TestOverAndChangesAreInverse(t *testing.T) {
	base := Files{"a": []byte("1"), "b": []byte("2"), "c": {}}
	changes := Files{"b": []byte("3"), "c": nil, "d": {}}
	result := changes.Over(base)
	if want := map[string]string{"a": "1", "b": "3", "c": "<gone>", "d": ""}; !maps.Equal(texts(result), want) {
		t.Errorf("over: %v, want %v", texts(result), want)
	}
	if got := result.Changes(base); !reflect.DeepEqual(got, changes) {
		t.Errorf("changes: %v, want %v", texts(got), texts(changes))
	}
	if got := base.Changes(result); !reflect.DeepEqual(got, Files{"b": []byte("2"), "c": {}, "d": nil}) {
		t.Errorf("changes back: %v", texts(got))
	}
	if string(base["b"]) != "2" || len(base) != 3 {
		t.Error("the base was modified")
	}
}

func TestAnEmptyFileIsNoDeletion(t *testing.T) {
	dir := t.TempDir()
	f := Files{"empty": {}, "sub/full": []byte("x")}
	if err := f.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	got, err := Read(dir)
	if err != nil || !reflect.DeepEqual(got, f) {
		t.Fatalf("read %v, %v; want %v", texts(got), err, texts(f))
	}
	f.Delete("sub/full")
	if err := f.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	if got, _ := Read(dir); got.Has("sub/full") || !got.Has("empty") {
		t.Errorf("after the deletion: %v", texts(got))
	}
}

func TestReadLeavesOutWhatIsNoSource(t *testing.T) {
	dir := t.TempDir()
	tree := Files{
		"go.mod": []byte("module m\n"), "a/a.go": []byte("package a"), "a/.hidden.go": []byte("x"),
		".ci/run": []byte("#!/bin/sh\n"), ".git/config": []byte("x"), ".labs/w": []byte("x"), "bin/labs": []byte("x"),
		"a/bench/go.mod": []byte("x"), "a/bench/b.go": []byte("x"), "a/bin/b.go": []byte("x"),
	}
	if err := tree.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "core"), make([]byte, maxSourceBytes+1), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(dir, "loop")); err != nil {
		t.Fatal(err)
	}
	got, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{".ci/run", "a/.hidden.go", "a/a.go", "a/bin/b.go", "go.mod"}
	if !reflect.DeepEqual(got.Paths(), want) {
		t.Errorf("read %v, want %v", got.Paths(), want)
	}
	if info, err := os.Stat(filepath.Join(dir, ".ci/run")); err != nil || info.Mode()&0o100 == 0 {
		t.Errorf("a script is not executable: %v %v", info.Mode(), err)
	}
}

func TestPathsOutsideTheTreeAreRefused(t *testing.T) {
	for _, path := range []string{"../a", "/etc/passwd", "a/../../b", ""} {
		f := Files{path: []byte("x")}
		if err := f.WriteTo(t.TempDir()); err == nil {
			t.Errorf("WriteTo took %q", path)
		}
		if m, err := Mount(t.TempDir(), f); err == nil {
			m.Close()
			t.Errorf("Mount took %q", path)
		}
	}
}

func TestEditsMustFitExactlyOnce(t *testing.T) {
	tree := Files{"a.go": []byte("one two two")}
	got, err := Apply(tree, []Edit{{"a.go", "one", "two"}, {"a.go", "two two two", "three"}})
	if err != nil || string(got["a.go"]) != "three" {
		t.Errorf("edits build on each other: %v, %v", texts(got), err)
	}
	for want, e := range map[string]Edit{
		"no such file": {"b.go", "one", "x"},
		"2 times":      {"a.go", "two", "x"},
		"0 times":      {"a.go", "three", "x"},
		"the same":     {"a.go", "one", "one"},
		"instead of":   {"a.go", "", "x"},
	} {
		if _, err := Apply(tree, []Edit{e}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want one with %q", e, err, want)
		}
	}
	if string(tree["a.go"]) != "one two two" {
		t.Error("the tree was modified")
	}
}

func TestPristinePutsBackTakesAwayAndLeavesTheRest(t *testing.T) {
	reference := Files{"t/1a/a_test.go": []byte("a"), "t/1a/b_test.go": []byte("b"), "kv/a.go": []byte("reference")}
	learner := Files{
		"t/1a/a_test.go": []byte("edited"), "t/1a/main_test.go": []byte("os.Exit(0)"), "kv/a.go": []byte("mine"),
	}
	got := texts(Pristine(reference, learner, "t/1a"))
	want := map[string]string{"t/1a/a_test.go": "a", "t/1a/b_test.go": "b", "t/1a/main_test.go": "<gone>"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

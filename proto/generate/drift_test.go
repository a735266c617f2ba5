// The generated code is committed, so it can be forgotten when a .proto file changes. This test remembers.

package main

import (
	"os"
	"path/filepath"
	"testing"
)

// root is the module's directory, as seen from this package.
const root = "../.."

func TestCommittedCodeMatchesItsProtoFiles(t *testing.T) {
	files, err := generate(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	expected := map[string]bool{}
	for _, file := range files {
		expected[file.path] = true
		committed, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file.path)))
		if err != nil {
			t.Errorf("%v; run `make proto` and commit the result", err)
			continue
		}
		if string(committed) != file.content {
			t.Errorf("%s differs from what its .proto file says; run `make proto` and commit the result", file.path)
		}
	}

	// Code whose source is gone is drift, too.
	committed, err := filepath.Glob(filepath.Join(root, "proto", "*", "*.pb.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range committed {
		relative, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		if !expected[filepath.ToSlash(relative)] {
			t.Errorf("%s has no .proto file any more; remove it", filepath.ToSlash(relative))
		}
	}
}

package raft

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// The library stands on the standard library alone, and on nothing of it that would make it depend on time, on other
// goroutines or on the machine.
func TestImports(t *testing.T) {
	forbidden := []string{"time", "os", "io", "net", "sync", "context", "log", "math/rand"}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range f.Imports {
			path := strings.Trim(imp.Path.Value, `"`)
			if strings.Contains(path, ".") || strings.HasPrefix(path, "tinykv") {
				t.Errorf("%s imports %s", file, path)
			}
			for _, name := range forbidden {
				if path == name {
					t.Errorf("%s imports %s", file, path)
				}
			}
		}
	}
}

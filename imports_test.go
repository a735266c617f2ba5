// The allowed directions between our packages, and the test that holds the code to them.

package tinykv_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// directions says which of our packages a package may import, by its path below the module. A name that ends in "/..." stands for
// the package and everything below it. A package that is listed with nothing imports nothing of ours.
//
// Dependencies point down to small leaves: what decides (raft, engines, regions, timestamps) knows nobody; what talks to the
// network knows what decides; the main programs know everything they wire together.
var directions = map[string][]string{
	"raft":          {},
	"raft/rafttest": {"raft"},

	"proto":          {},
	"proto/generate": {"proto/..."},
	"proto/metapb":   {},
	"proto/eraftpb":  {},
	"proto/errorpb":  {"proto/metapb"},
	"proto/kvrpcpb":  {"proto/metapb", "proto/errorpb"},
	"proto/pdpb":     {"proto/metapb", "proto/eraftpb"},
	"proto/tikvpb":   {"proto/metapb", "proto/errorpb", "proto/kvrpcpb"},
	"proto/storepb":  {},

	"kv/region":              {},
	"kv/region/regionpb":     {"kv/region", "proto/metapb"},
	"kv/latch":               {},
	"kv/codec":               {},
	"kv/datadir":             {},
	"kv/engine":              {},
	"kv/engine/internal/...": {"kv/engine", "kv/engine/internal/..."},
	"kv/engine/mem":          {"kv/engine", "kv/engine/internal/..."},
	"kv/engine/pebble":       {"kv/engine", "kv/engine/internal/..."},
	"kv/engine/badger":       {"kv/engine", "kv/engine/internal/..."},
	"kv/engine/inparts":      {"kv/engine"},
	"kv/engine/open":         {"kv/engine/..."},
	"kv/engine/enginetest":   {"kv/engine", "kv/engine/internal/..."},

	"kv/raw":      {"kv/engine", "kv/region"},
	"kv/command":  {"kv/engine", "kv/region"},
	"kv/raftlog":  {"kv/engine", "raft"},
	"kv/snapshot": {"kv/engine", "kv/region", "kv/raftlog", "raft"},
	"kv/replica":  {"kv/engine", "kv/region", "kv/command", "kv/raftlog", "kv/snapshot", "raft"},
	"kv/store":    {"kv/engine", "kv/region", "kv/raftlog", "kv/snapshot", "kv/replica", "raft"},
	"kv/sim": {"kv/engine", "kv/engine/mem", "kv/region", "kv/command", "kv/raftlog", "kv/snapshot", "kv/replica", "kv/store", "raft",
		"raft/rafttest"},
	"kv/transport":  {"kv/region", "kv/replica", "kv/snapshot", "raft", "proto/storepb"},
	"kv/replicated": {"kv/engine", "kv/region/...", "kv/raftlog", "kv/snapshot", "kv/replica", "kv/store", "kv/transport", "raft", "proto/..."},
	"kv/standalone": {"kv/engine", "kv/region/...", "proto/..."},
	"kv/server":     {"kv/engine", "kv/region/...", "kv/raw", "kv/latch", "proto/..."},
	"kv/client":     {"kv/region/...", "scheduler/client", "proto/..."},
	"kv/shell":      {"kv/region", "kv/client", "scheduler/client"},
	"kv":            {"kv/...", "raft", "scheduler/client", "scheduler/server"},

	"scheduler/tso":     {},
	"scheduler/cluster": {"kv/region"},
	"scheduler/server":  {"scheduler/tso", "scheduler/cluster", "kv/region/...", "proto/..."},
	"scheduler/client":  {"scheduler/tso", "scheduler/cluster", "kv/region/...", "proto/..."},
	"scheduler":         {"scheduler/..."},

	"labs/...":           {"labs/..."},
	"labs/tests/...":     {"labs/tests/...", "raft", "raft/rafttest", "kv/..."}, // what graded tests share
	"labs/tests/explain": {},
}

// standardOnly lists the packages that import nothing outside the standard library.
var standardOnly = []string{"raft", "raft/rafttest", "kv/region", "scheduler/tso", "scheduler/cluster"}

const module = "tinykv/"

func TestImportsFollowTheDirections(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range sourceFiles(t) {
		pkg := filepath.ToSlash(filepath.Dir(f))
		key, known := entryOf(pkg)
		if !known {
			t.Errorf("%s: package %s is not in the table of directions: decide what it may import, and add a line", f, pkg)
			continue
		}
		seen[key] = true
		for _, imported := range importsOf(t, f) {
			checkImport(t, f, pkg, imported, directions[key])
		}
	}
	for pkg := range directions {
		if !seen[pkg] {
			t.Errorf("the table of directions has %s, but there is no such package: remove its line", pkg)
		}
	}
}

func checkImport(t *testing.T, file, pkg, imported string, allowed []string) {
	t.Helper()
	own, isOurs := strings.CutPrefix(imported, module)
	switch {
	case isOurs && !matches(allowed, own):
		t.Errorf("%s: %s may not import %s; it may import %v", file, pkg, own, allowed)
	case !isOurs && isLibrary(imported) && slices.Contains(standardOnly, pkg):
		t.Errorf("%s: %s imports %s, but may use the standard library only", file, pkg, imported)
	}
}

// sourceFiles lists the Go files of this module without tests: tests may import what they like.
func sourceFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || hasOwnModule(p)) {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(p, ".go") && !strings.HasSuffix(p, "_test.go") && filepath.Dir(p) != "." {
			files = append(files, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("found only %d source files: the walk is broken", len(files))
	}
	return files
}

func hasOwnModule(dir string) bool {
	found, _ := filepath.Glob(filepath.Join(dir, "go.mod"))
	return len(found) > 0
}

func importsOf(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, spec := range parsed.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}

// entryOf finds the line of the table for a package: its own, or that of a parent ending in "/...".
func entryOf(pkg string) (string, bool) {
	if _, ok := directions[pkg]; ok {
		return pkg, true
	}
	for dir := pkg; dir != "."; dir = path.Dir(dir) {
		if _, ok := directions[dir+"/..."]; ok {
			return dir + "/...", true
		}
	}
	return "", false
}

func matches(allowed []string, pkg string) bool {
	for _, a := range allowed {
		prefix, tree := strings.CutSuffix(a, "/...")
		if pkg == prefix || tree && strings.HasPrefix(pkg, prefix+"/") {
			return true
		}
	}
	return false
}

// isLibrary tells a module's path from the standard library's: its first element has a dot.
func isLibrary(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return strings.Contains(first, ".")
}

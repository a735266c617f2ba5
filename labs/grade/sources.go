// Which files a stage depends on: asked by watch (what to look at) and by status (has anything changed since).

package grade

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Sources lists the directories of the tree's own packages that the tests in testDir are built from, testDir first,
// and all Go files in them. Paths are relative to root with slashes. It reads import clauses only, so it works on code
// that does not compile.
func Sources(root, testDir string) (dirs, files []string, err error) {
	module := modulePath(root)
	if module == "" {
		return nil, nil, fmt.Errorf("%s has no go.mod: run this at the root of the tree", root)
	}
	queue := []string{testDir}
	seen := map[string]bool{testDir: true}
	for len(queue) > 0 {
		dir := queue[0]
		queue = queue[1:]
		entries, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(dir)))
		if errors.Is(err, fs.ErrNotExist) && dir != testDir {
			continue // an import of a package that is not there: the compiler will say so
		}
		if err != nil {
			return nil, nil, fmt.Errorf("look for the sources of %s: %w", testDir, err)
		}
		dirs = append(dirs, dir)
		for _, e := range entries {
			name := path.Join(dir, e.Name())
			test := strings.HasSuffix(name, "_test.go")
			if !strings.HasSuffix(name, ".go") || !e.Type().IsRegular() || test && dir != testDir {
				continue
			}
			files = append(files, name)
			for _, imported := range imports(filepath.Join(root, filepath.FromSlash(name))) {
				next, ours := strings.CutPrefix(imported, module+"/")
				if ours && !seen[next] {
					seen[next] = true
					queue = append(queue, next)
				}
			}
		}
	}
	slices.Sort(files)
	return dirs, files, nil
}

// imports returns the paths that a file imports, as far as it can be parsed.
func imports(file string) []string {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if parsed == nil || err != nil && len(parsed.Imports) == 0 {
		return nil
	}
	var all []string
	for _, spec := range parsed.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// Fingerprint is a word that changes when a file changes that the stage's tests are built from, go.mod among them. It
// is empty if the files can't be read.
func Fingerprint(root, testDir string) string {
	_, files, err := Sources(root, testDir)
	if err != nil {
		return ""
	}
	h := sha256.New()
	for _, name := range append(files, "go.mod") {
		sum, err := sumFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return ""
		}
		fmt.Fprintf(h, "%s %x\n", name, sum)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

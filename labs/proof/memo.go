// Memo: what was shown before and can't have changed since is not shown again. Late stages ask for the tests of all
// earlier ones, so without it the proof would grow with the square of the course.

package proof

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tinykv/labs/course"
	"tinykv/labs/grade"
	"tinykv/labs/overlay"
)

// memo remembers facts by the hash of all that they depend on: in memory for one run and, if it has a directory, on
// disk for the runs to come. Only good news is kept.
type memo struct {
	dir   string
	known map[string]bool
	hits  int // since the last reset
}

// memoLife is how long a fact that nobody asks for is kept on disk.
const memoLife = 30 * 24 * time.Hour

// newMemo opens the memory in dir, "" for none on disk, and forgets what is old. Trouble with the directory costs
// only time.
func newMemo(dir string) *memo {
	m := &memo{dir: dir, known: map[string]bool{}}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > memoLife {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
	return m
}

// once runs show unless the fact is known, and remembers it if show finds no problem.
func (m *memo) once(fact string, show func() ([]string, error)) ([]string, error) {
	if m.knows(fact) {
		m.hits++
		return nil, nil
	}
	problems, err := show()
	if err == nil && len(problems) == 0 {
		m.remember(fact)
	}
	return problems, err
}

func (m *memo) knows(fact string) bool {
	if m.known[fact] {
		return true
	}
	if m.dir == "" {
		return false
	}
	now := time.Now()
	return os.Chtimes(filepath.Join(m.dir, fact), now, now) == nil // it is there, and was asked for just now
}

func (m *memo) remember(fact string) {
	m.known[fact] = true
	if m.dir != "" && os.MkdirAll(m.dir, 0o755) == nil {
		_ = os.WriteFile(filepath.Join(m.dir, fact), nil, 0o644)
	}
}

// fact names something that is shown of the given files with changes laid over the reference. Beside them it depends
// on the course's machinery, the modules and the go command.
func (p *prover) fact(about string, changes overlay.Files, files []string) string {
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\n%s\n", about, p.goVersion)
	tree := changes.Over(p.Reference)
	names := append(p.machinery(), files...)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		fmt.Fprintf(hash, "%s %d %x\n", name, len(tree[name]), sha256.Sum256(tree[name]))
	}
	return about + "-" + hex.EncodeToString(hash.Sum(nil))[:32]
}

// machinery lists the files by which everything is shown.
func (p *prover) machinery() []string {
	files := []string{"go.mod", "go.sum"}
	for name := range p.Reference.Under("labs") {
		top, _, _ := strings.Cut(strings.TrimPrefix(name, "labs/"), "/")
		content := slices.Contains([]string{"tests", "handouts", "mutants", "variants"}, top)
		if !content && !strings.HasSuffix(name, "_test.go") {
			files = append(files, name)
		}
	}
	return files
}

// sources lists the files that the tests of a stage are built from and run with: those of all packages of ours that
// they import, directly or not.
func (p *prover) sources(s course.Stage) ([]string, error) {
	dirs, _, err := grade.Sources(p.root, s.TestDir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, dir := range dirs {
		for name := range p.Reference.Dir(dir) {
			files = append(files, path.Join(dir, name))
		}
		for name := range p.Reference.Under(dir + "/testdata") {
			files = append(files, name)
		}
	}
	return files, nil
}

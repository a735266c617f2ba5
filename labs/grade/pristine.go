// Pristine: a learner's code inside the course's own tree. Edited tests, helpers, build files and tools change
// nothing, because none of them is taken from the learner.
//
//	taken from the learner                          taken from the course
//	────────────────────────────────────────────   ─────────────────────────────────────────────────────────────
//	.go files, but no tests, of packages that       everything else: go.mod, go.sum, labs/, all tests, packages
//	have holes in the course's table                without holes, files that are not Go
//	.go files, but no tests, of packages that       (vendor directories, go.work, assembly and C are taken
//	the course does not have                        from nobody)

package grade

import (
	"bytes"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"tinykv/labs/course"
	"tinykv/labs/overlay"
)

// Limits of a learner's tree. What is beyond them is not read, and a notice says so.
const (
	maxFileBytes = 1 << 20  // of one Go file: a hundred times a long one
	maxTreeBytes = 32 << 20 // of all Go files together
	maxEntries   = 50_000   // files and directories looked at
	maxDepth     = 20       // directories within directories
	maxListed    = 8        // files that one notice names
)

// Pristine lays the learner's code into a copy of the course at dst, a new or empty directory, and returns what an
// instructor should know about it. table is the whole course, not only what is to be graded: any of its holes may be
// written already. The learner's tree is only read; symbolic links in it are not followed.
func Pristine(courseRoot, learnerRoot, dst string, table []course.Stage) (notices []string, err error) {
	ours, err := overlay.Read(courseRoot)
	if err != nil {
		return nil, err
	}
	theirs, notices, err := readLearner(learnerRoot)
	if err != nil {
		return nil, err
	}
	a := assembly{ours: ours, theirs: theirs, open: holeDirs(table), ourDirs: goDirs(ours)}
	if !a.looksRight() {
		return nil, fmt.Errorf("%s has none of the packages that the course asks to be written: is it a workspace?",
			learnerRoot)
	}
	result := a.combine()
	if err := result.WriteTo(dst); err != nil {
		return nil, fmt.Errorf("lay out the tree to grade: %w", err)
	}
	return append(notices, a.notices()...), nil
}

// assembly decides, file by file, whose version is graded.
type assembly struct {
	ours, theirs overlay.Files
	open         map[string]bool // directories of packages that have holes
	ourDirs      map[string]bool // directories of all packages of the course
}

func holeDirs(table []course.Stage) map[string]bool {
	dirs := map[string]bool{}
	for _, s := range table {
		for _, h := range s.Holes {
			dirs[path.Dir(h.File)] = true
		}
	}
	return dirs
}

func goDirs(files overlay.Files) map[string]bool {
	dirs := map[string]bool{}
	for p := range files {
		if path.Ext(p) == ".go" {
			dirs[path.Dir(p)] = true
		}
	}
	return dirs
}

func (a assembly) looksRight() bool {
	for p := range a.theirs {
		if a.open[path.Dir(p)] {
			return true
		}
	}
	return false
}

// learners says whether the file at p is the learner's to write.
func (a assembly) learners(p string) bool {
	if path.Ext(p) != ".go" || strings.HasSuffix(p, "_test.go") {
		return false
	}
	dir := path.Dir(p)
	return a.open[dir] || !a.ourDirs[dir] && dir != "labs" && !strings.HasPrefix(dir, "labs/")
}

func (a assembly) combine() overlay.Files {
	result := overlay.Files{}
	for p, content := range a.ours {
		if !a.learners(p) {
			result[p] = content
		}
	}
	for p, content := range a.theirs {
		if a.learners(p) {
			result[p] = content
		}
	}
	return result
}

// notices tells what was not used although it differs, and what the learner's code imports that code of this course
// has no business with.
func (a assembly) notices() []string {
	var unused, unusual []string
	for _, p := range a.theirs.Paths() {
		content := a.theirs[p]
		switch {
		case !a.learners(p) && !bytes.Equal(content, a.ours[p]):
			unused = append(unused, p)
		case a.learners(p) && !bytes.Equal(content, a.ours[p]):
			for _, what := range suspicions(content, a.ours[p]) {
				unusual = append(unusual, p+" "+what)
			}
		}
	}
	var notices []string
	if len(unused) > 0 {
		notices = append(notices, "not used, because it is the course's to write: "+list(unused))
	}
	if len(unusual) > 0 {
		notices = append(notices, "look at it before you trust the grade: "+list(unusual))
	}
	return notices
}

func list(all []string) string {
	if len(all) > maxListed {
		return strings.Join(all[:maxListed], ", ") + fmt.Sprintf(" and %d more", len(all)-maxListed)
	}
	return strings.Join(all, ", ")
}

// unusualImports are the doors through which code can reach the grader or leave its process.
var unusualImports = []string{"C", "unsafe", "plugin", "testing", "internal/", "os/exec", "syscall",
	"golang.org/x/sys", "net/http"}

// suspicions lists the doors that a file opens and the course's own version of it does not.
func suspicions(content, original []byte) []string {
	var found []string
	before := fileImports(original)
	for _, imported := range fileImports(content) {
		unusual := slices.ContainsFunc(unusualImports, func(door string) bool {
			return imported == door || strings.HasPrefix(imported, strings.TrimSuffix(door, "/")+"/")
		})
		if unusual && !slices.Contains(before, imported) {
			found = append(found, "imports "+imported)
		}
	}
	for _, directive := range []string{"//go:linkname", "//go:embed", "//go:cgo"} {
		if bytes.Contains(content, []byte(directive)) && !bytes.Contains(original, []byte(directive)) {
			found = append(found, "has "+directive)
		}
	}
	return found
}

func fileImports(content []byte) []string {
	parsed, _ := parser.ParseFile(token.NewFileSet(), "", content, parser.ImportsOnly)
	if parsed == nil {
		return nil
	}
	var all []string
	for _, spec := range parsed.Imports {
		all = append(all, strings.Trim(spec.Path.Value, "`\""))
	}
	return all
}

var errTooLarge = errors.New("too large")

// readLearner reads the Go files and build files of a tree that may have been made to do harm.
func readLearner(root string) (overlay.Files, []string, error) {
	dir, err := os.OpenRoot(root)
	if err != nil {
		return nil, nil, fmt.Errorf("read the tree to grade: %w", err)
	}
	defer dir.Close()
	files := overlay.Files{}
	var odd []string
	total, entries := 0, 0
	err = fs.WalkDir(dir.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if entries++; entries > maxEntries {
			return errTooLarge
		}
		if err != nil {
			odd = append(odd, p+" (can't be read)")
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return enter(dir, p, d.Name())
		}
		if isLink := d.Type()&fs.ModeSymlink != 0; isLink && mayBeDir(dir, p) {
			odd = append(odd, p+" (a symbolic link, which is not followed: put the files themselves there)")
			return nil
		}
		if path.Ext(p) != ".go" && p != "go.mod" && p != "go.sum" {
			return nil
		}
		content, problem := readSmall(dir, p, d)
		if problem != "" {
			odd = append(odd, p+" ("+problem+")")
			return nil
		}
		if total += len(content); total > maxTreeBytes {
			return errTooLarge
		}
		files[p] = content
		return nil
	})
	if errors.Is(err, errTooLarge) {
		return nil, nil, fmt.Errorf("%s holds more than %d files or %d MiB of Go code: it is not a workspace of this course",
			root, maxEntries, maxTreeBytes>>20)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the tree to grade: %w", err)
	}
	var notices []string
	if len(odd) > 0 {
		notices = append(notices, "left out: "+list(odd))
	}
	return files, notices, nil
}

// enter decides whether a directory can hold packages of the tree.
func enter(root *os.Root, p, name string) error {
	if p == "." {
		return nil
	}
	if name[0] == '.' || name[0] == '_' || name == "testdata" || name == "vendor" || p == "bin" {
		return fs.SkipDir
	}
	if _, err := root.Lstat(path.Join(p, "go.mod")); err == nil {
		return fs.SkipDir // a module of its own
	}
	if strings.Count(p, "/") >= maxDepth {
		return fs.SkipDir
	}
	return nil
}

// mayBeDir tells whether a symbolic link leads to a directory, or out of the tree, where nobody looks.
func mayBeDir(root *os.Root, link string) bool {
	info, err := root.Stat(filepath.FromSlash(link))
	return err != nil || info.IsDir()
}

// readSmall reads a regular file of bounded size. problem says why it did not.
func readSmall(root *os.Root, p string, d fs.DirEntry) (content []byte, problem string) {
	if !d.Type().IsRegular() {
		return nil, "not a regular file"
	}
	if info, err := d.Info(); err != nil || info.Size() > maxFileBytes {
		return nil, fmt.Sprintf("larger than %d KiB", maxFileBytes>>10)
	}
	content, err := root.ReadFile(filepath.FromSlash(p))
	if err != nil {
		return nil, "can't be read"
	}
	return append([]byte{}, content...), ""
}

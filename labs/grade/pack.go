// Hidden packs: tests that the learner has not seen, in a directory of their own beside a list of what they are worth.
//
//	midterm/
//	  pack.toml        name = "midterm"
//	                   [[test]]
//	                   name = "TestBatchOfTenThousand"
//	                   points = 5
//	                   stage = "1a"              # what it is about; the row on the board is midterm/1a
//	                   package = "engine"        # the directory with its file; "." if there is only one package
//	                   timeout_seconds = 20      # 10 if it is left out
//	  engine/batch_test.go
//
// The files are there only while the tests are compiled, so that the code under test can't read them. What a test
// needs while it runs it takes from go:embed or makes itself.

package grade

import (
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"tinykv/labs/course"
	"tinykv/labs/overlay"
)

// PackFile is the list in a hidden pack's directory.
const PackFile = "pack.toml"

// packDir is where the files of packs are laid in the tree that is graded.
const packDir = "labs/tests/hidden"

// Pack is a hidden pack that has been read and found to be sound.
type Pack struct {
	Name   string
	Stages []course.Stage // one for each stage and package that its tests are about; ids are NAME/STAGE
	Files  overlay.Files  // to be laid over the tree that is graded while it is compiled
}

type packList struct {
	Name  string     `toml:"name"`
	Tests []packTest `toml:"test"`
}

type packTest struct {
	Name           string `toml:"name"`
	Points         int    `toml:"points"`
	Stage          string `toml:"stage"`
	Package        string `toml:"package"`
	TimeoutSeconds int    `toml:"timeout_seconds"`
}

var packName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)

// LoadPack reads a hidden pack and checks it against itself and the course: every test it lists is a function in its
// files, every test in its files is listed, points and stages make sense. Each error names the pack and the place.
func LoadPack(dir string, table []course.Stage) (*Pack, error) {
	var l packList
	meta, err := toml.DecodeFile(filepath.Join(dir, PackFile), &l)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, PackFile), err)
	}
	fail := func(format string, args ...any) error {
		return fmt.Errorf("hidden pack %s: %s", dir, fmt.Sprintf(format, args...))
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, fail("%s has the unknown key %s", PackFile, unknown[0])
	}
	if !packName.MatchString(l.Name) {
		return nil, fail("name %q: use small letters, digits, - and _", l.Name)
	}
	if len(l.Tests) == 0 {
		return nil, fail("%s lists no tests", PackFile)
	}
	files, err := overlay.Read(dir)
	if err != nil {
		return nil, err
	}
	for i, t := range l.Tests {
		if err := checkPackTest(t, table); err != nil {
			return nil, fail("test %d: %v", i+1, err)
		}
	}
	if err := checkPackFiles(files, l.Tests); err != nil {
		return nil, fail("%v", err)
	}
	return makePack(l, files), nil
}

func checkPackTest(t packTest, table []course.Stage) error {
	switch {
	case !isTestName(t.Name) || strings.ContainsFunc(t.Name, func(r rune) bool { return !isWord(r) }):
		return fmt.Errorf("%q is not the name of a test function", t.Name)
	case t.Points < 1:
		return fmt.Errorf("%s is worth %d points: give it at least 1", t.Name, t.Points)
	case t.TimeoutSeconds < 0:
		return fmt.Errorf("%s has a negative timeout", t.Name)
	case !filepath.IsLocal(path.Join(".", t.Package)):
		return fmt.Errorf("%s: package %q is not a directory inside the pack", t.Name, t.Package)
	case !slices.ContainsFunc(table, func(s course.Stage) bool { return s.ID == t.Stage }):
		return fmt.Errorf("%s: there is no stage %q", t.Name, t.Stage)
	}
	return nil
}

func isWord(r rune) bool {
	return r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// checkPackFiles compares the list with what the files declare, package by package.
func checkPackFiles(files overlay.Files, tests []packTest) error {
	listed := map[string]bool{}
	for _, t := range tests {
		key := path.Join(".", t.Package, t.Name)
		if listed[key] {
			return fmt.Errorf("%s is listed twice", t.Name)
		}
		listed[key] = true
	}
	declared := map[string]bool{}
	for _, p := range files.Paths() {
		if !isTestFile(path.Base(p)) {
			continue
		}
		s := newTestSources()
		if err := s.add(p, files[p]); err != nil {
			return err
		}
		for name := range s.tests {
			key := path.Join(path.Dir(p), name)
			if !listed[key] {
				return fmt.Errorf("%s declares %s, which %s does not list", p, name, PackFile)
			}
			declared[key] = true
		}
	}
	for _, t := range tests {
		if !declared[path.Join(".", t.Package, t.Name)] {
			return fmt.Errorf("%s is listed, but package %q does not declare it", t.Name, path.Join(".", t.Package))
		}
	}
	return nil
}

// AboutStage returns the stage of the course that a stage of a pack is about: "midterm/1a/engine" is about 1a.
func AboutStage(id string) string {
	if parts := strings.Split(id, "/"); len(parts) > 1 {
		return parts[1]
	}
	return id
}

// makePack turns the list into stages, in the order in which their first tests are listed.
func makePack(l packList, files overlay.Files) *Pack {
	p := &Pack{Name: l.Name, Files: overlay.Files{}}
	for name, content := range files {
		if name != PackFile {
			p.Files[path.Join(packDir, l.Name, name)] = content
		}
	}
	for _, t := range l.Tests {
		id, dir := l.Name+"/"+t.Stage, path.Join(packDir, l.Name, t.Package)
		i := slices.IndexFunc(p.Stages, func(s course.Stage) bool { return s.ID == id && s.TestDir == dir })
		if i < 0 {
			i = len(p.Stages)
			p.Stages = append(p.Stages, course.Stage{ID: id, Title: "hidden tests of " + t.Stage, TestDir: dir})
		}
		p.Stages[i].Tests = append(p.Stages[i].Tests, course.Test{Name: t.Name, Points: t.Points,
			TimeoutSeconds: t.TimeoutSeconds})
	}
	for i := range p.Stages { // the same stage in two packages: both need a name of their own
		for j := range i {
			if p.Stages[j].ID == p.Stages[i].ID {
				p.Stages[i].ID += "/" + path.Base(p.Stages[i].TestDir)
			}
		}
	}
	return p
}

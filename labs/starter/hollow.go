// Hollow: from the reference and a list of holes to the files that change.

package starter

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"tinykv/labs/course"
	"tinykv/labs/decl"
	"tinykv/labs/overlay"
)

// Hole is a hole and the stage that it belongs to.
type Hole struct {
	Stage string
	course.Hole
}

// Holes lists the holes of the stages in order.
func Holes(stages []course.Stage) []Hole {
	var holes []Hole
	for _, s := range stages {
		for _, h := range s.Holes {
			holes = append(holes, Hole{s.ID, h})
		}
	}
	return holes
}

// Hollow returns what must be laid over the reference to get the starter. All errors are errors of the course: a
// hole that names nothing, or something without a doc comment or a body, or the same as another; an import whose use
// can't be told.
func Hollow(reference overlay.Files, holes []Hole) (overlay.Files, error) {
	module, err := Module(reference)
	if err != nil {
		return nil, err
	}
	changes := overlay.Files{}
	for _, dir := range Dirs(holes) {
		pkg, err := decl.Load(dir, path.Join(module, dir), reference.Dir(dir))
		if err != nil {
			return nil, fmt.Errorf("hollow the reference: %w", err)
		}
		if err := hollowPackage(pkg, holes, changes); err != nil {
			return nil, fmt.Errorf("hollow the reference: %w", err)
		}
	}
	return changes, nil
}

// Dirs returns the directories that have holes, in order.
func Dirs(holes []Hole) []string {
	var dirs []string
	for _, h := range holes {
		dirs = append(dirs, path.Dir(h.File))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

var moduleLine = regexp.MustCompile(`(?m)^module\s+"?([^\s"]+)"?`)

// Module returns the path of the module that the tree is.
func Module(tree overlay.Files) (string, error) {
	m := moduleLine.FindSubmatch(tree["go.mod"])
	if m == nil {
		return "", fmt.Errorf("the tree has no go.mod that names a module")
	}
	return string(m[1]), nil
}

// Functions returns the functions that the holes in a package stand for, with the stage of each.
func Functions(pkg *decl.Package, holes []Hole) (map[*decl.Unit]string, error) {
	stages := map[*decl.Unit]string{}
	claim := func(h Hole, u *decl.Unit) error {
		if other, taken := stages[u]; taken {
			return fmt.Errorf("%s is a hole of %s and of %s", h, other, h.Stage)
		}
		stages[u] = h.Stage
		return nil
	}
	var whole []Hole
	for _, h := range holes {
		switch {
		case path.Dir(h.File) != pkg.Dir:
		case h.Func == "":
			whole = append(whole, h)
		default:
			u, err := pkg.Func(path.Base(h.File), h.Func)
			if err != nil {
				return nil, fmt.Errorf("stage %s: %w", h.Stage, err)
			}
			if err := claim(h, u); err != nil {
				return nil, err
			}
		}
	}
	for _, h := range whole {
		functions, err := wholeFile(pkg, h, stages)
		if err != nil {
			return nil, err
		}
		for _, u := range functions {
			if err := claim(h, u); err != nil {
				return nil, err
			}
		}
	}
	return stages, nil
}

// wholeFile returns the functions of a file that are holes when the whole file is: those that are not yet, and that are
// exported or used from outside the file.
func wholeFile(pkg *decl.Package, h Hole, taken map[*decl.Unit]string) ([]*decl.Unit, error) {
	name := path.Base(h.File)
	if pkg.File(name) == nil {
		return nil, fmt.Errorf("stage %s: there is no file %s", h.Stage, h.File)
	}
	used := map[string]bool{}
	for _, u := range pkg.Units {
		if u.File.Name == name || u.File.Test {
			continue
		}
		for _, uses := range []map[string]bool{u.Sig, u.Body} {
			for n := range uses {
				used[n] = true
			}
		}
	}
	var functions []*decl.Unit
	for _, u := range pkg.Units {
		if u.Func == nil || u.File.Name != name || taken[u] != "" || u.Names[0] == "init" {
			continue
		}
		if decl.Exported(u.Names[0]) || used[u.Names[0]] {
			functions = append(functions, u)
		}
	}
	if len(functions) == 0 {
		return nil, fmt.Errorf("stage %s: no function of %s can be a hole", h.Stage, h.File)
	}
	return functions, nil
}

// hollowPackage adds to changes the files of one package.
func hollowPackage(pkg *decl.Package, holes []Hole, changes overlay.Files) error {
	stages, err := Functions(pkg, holes)
	if err != nil {
		return err
	}
	var hollow []*decl.Unit
	rewrites := map[*decl.File]*decl.Rewrite{}
	rewrite := func(u *decl.Unit) *decl.Rewrite {
		if rewrites[u.File] == nil {
			rewrites[u.File] = pkg.Rewrite(u.File, false)
		}
		return rewrites[u.File]
	}
	for _, u := range pkg.Units {
		stage, isHole := stages[u]
		if !isHole {
			continue
		}
		if err := checkHole(pkg, stage, u); err != nil {
			return err
		}
		hollow = append(hollow, u)
		rewrite(u).SetBody(u, "{\n\tpanic("+strconv.Quote(course.PanicText(stage, u.Names[0]))+")\n}")
	}
	gone := Pruned(pkg, hollow)
	for _, u := range append(gone, pkg.FallsWith(gone)...) {
		rewrite(u).Remove(u)
	}
	for file, r := range rewrites {
		if err := file.CheckImports(); err != nil {
			return fmt.Errorf("%s/%w", pkg.Dir, err)
		}
		text, err := r.Bytes()
		if err != nil {
			return err
		}
		name := path.Join(pkg.Dir, file.Name)
		changes[name] = text
		if file.Test && declaresNothing(text) {
			changes.Delete(name)
		}
	}
	return nil
}

// checkHole refuses what can't be an exercise.
func checkHole(pkg *decl.Package, stage string, u *decl.Unit) error {
	at := pkg.Fset.Position(u.Func.Pos())
	switch {
	case u.File.Test:
		return fmt.Errorf("stage %s: %s: %s is part of a test", stage, at, u.Names[0])
	case u.Func.Body == nil:
		return fmt.Errorf("stage %s: %s: %s has no body to take out", stage, at, u.Names[0])
	case strings.TrimSpace(u.Func.Doc.Text()) == "":
		return fmt.Errorf("stage %s: %s: %s has no doc comment, so a learner has no contract", stage, at, u.Names[0])
	}
	return nil
}

// declaresNothing tells whether only a package clause and imports are left of a file.
func declaresNothing(text []byte) bool {
	pkg, err := decl.Load(".", "p", map[string][]byte{"f.go": text})
	return err == nil && len(pkg.Units) == 0
}

// Show: the reference's functions as text, to read and not to copy.

package graft

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"tinykv/labs/decl"
	"tinykv/labs/overlay"
	"tinykv/labs/starter"
)

// Show returns the functions that the holes stand for and the helpers that only they use, each as source below a
// comment with its file. If function is not empty, only the hole of this name, without helpers; it is an error if
// there is none.
func Show(reference overlay.Files, holes []starter.Hole, function string) ([]string, error) {
	module, err := starter.Module(reference)
	if err != nil {
		return nil, err
	}
	var pieces []string
	for _, dir := range starter.Dirs(holes) {
		pkg, err := decl.Load(dir, path.Join(module, dir), reference.Dir(dir))
		if err != nil {
			return nil, fmt.Errorf("read the reference: %w", err)
		}
		stages, err := starter.Functions(pkg, holes)
		if err != nil {
			return nil, err
		}
		var hollow []*decl.Unit
		for u := range stages {
			hollow = append(hollow, u)
		}
		helpers := starter.Pruned(pkg, hollow)
		for _, u := range pkg.Units {
			_, isHole := stages[u]
			switch {
			case function != "" && (!isHole || u.Names[0] != function):
			case isHole, slices.Contains(helpers, u):
				pieces = append(pieces, fmt.Sprintf("// %s/%s\n%s", dir, u.File.Name, pkg.Text(u, nil)))
			}
		}
	}
	if len(pieces) == 0 {
		var names []string
		for _, h := range holes {
			names = append(names, h.Func)
		}
		return nil, fmt.Errorf("no hole of the stage is called %q: there are %s", function, strings.Join(names, ", "))
	}
	return pieces, nil
}

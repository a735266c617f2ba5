// Over: catching up, and what comes after the stage that is tested. The learner's files lose lines to blanks, and files
// of their own bring the reference's functions.

package graft

import (
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/format"
	"path"
	"strings"

	"tinykv/labs/decl"
	"tinykv/labs/overlay"
	"tinykv/labs/starter"
)

// Over returns what must be laid over the learner's tree so that the functions of the taken stages are the
// reference's. The notes say, a line each, where the learner's files are not as they should be. An error is about
// the course, not the learner.
func Over(learner overlay.Files, c Course) (changes overlay.Files, notes []string, err error) {
	return eachPackage(learner, c, (*plan).over)
}

// eachPackage collects what apply adds to the changes, package by package.
func eachPackage(learner overlay.Files, c Course, apply func(*plan, overlay.Files) error) (
	changes overlay.Files, notes []string, err error,
) {
	changes = overlay.Files{}
	for _, dir := range starter.Dirs(starter.Holes(c.Take)) {
		if c.Only != nil && !c.Only(dir) {
			continue
		}
		ref, mine, standIn, more, ok, err := packages(dir, learner, c)
		notes = append(notes, more...)
		if err != nil {
			return nil, nil, err
		}
		changes = standIn.Over(changes)
		if !ok {
			continue
		}
		p, err := newPlan(ref, mine, c)
		if err != nil {
			return nil, nil, err
		}
		if err := apply(p, changes); err != nil {
			return nil, nil, err
		}
	}
	return changes, notes, nil
}

// over adds to changes the files of one package.
func (p *plan) over(changes overlay.Files) error {
	rewrites := map[*decl.File]*decl.Rewrite{}
	for u := range p.gone {
		if rewrites[u.File] == nil {
			rewrites[u.File] = p.mine.Rewrite(u.File, true)
		}
		rewrites[u.File].Remove(u)
	}
	for file, r := range rewrites {
		text, err := r.Bytes()
		if err != nil {
			return fmt.Errorf("take the reference's functions: %w", err)
		}
		changes[path.Join(p.mine.Dir, file.Name)] = text
	}
	for _, units := range byFile(p.inOrder()) {
		name := "reference_" + units[0].File.Name
		for p.mine.File(name) != nil {
			name = "the_" + name
		}
		text, err := p.newFile(units)
		if err != nil {
			return err
		}
		changes[path.Join(p.mine.Dir, name)] = text
	}
	return nil
}

// newFile returns a file with the given units of one file of the reference.
func (p *plan) newFile(units []*decl.Unit) ([]byte, error) {
	file := units[0].File
	var texts []string
	var imports []*ast.ImportSpec
	for _, u := range units {
		text := p.ref.Text(u, p.rename)
		texts = append(texts, text)
		imports = mergeImports(imports, file.ImportsFor(text))
	}
	var out strings.Builder
	for _, group := range file.AST.Comments {
		for _, c := range group.List {
			if c.Pos() < file.AST.Package && constraint.IsGoBuild(c.Text) {
				out.WriteString(c.Text + "\n\n")
			}
		}
	}
	out.WriteString("package " + file.AST.Name.Name + "\n\n")
	for _, s := range imports {
		out.WriteString("import ")
		if s.Name != nil {
			out.WriteString(s.Name.Name + " ")
		}
		out.WriteString(s.Path.Value + "\n")
	}
	out.WriteString("\n" + strings.Join(texts, "\n\n") + "\n")
	return format.Source([]byte(out.String()))
}

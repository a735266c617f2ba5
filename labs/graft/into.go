// Into: a solution. The reference's functions take the place of the learner's in the learner's own files.

package graft

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"

	"tinykv/labs/decl"
	"tinykv/labs/overlay"
)

// Into returns the learner's files as they are once the functions of the taken stages, and their helpers, are the
// reference's. Files that do not change are not among them. The notes are those of Over.
func Into(learner overlay.Files, c Course) (changes overlay.Files, notes []string, err error) {
	changes, notes, err = eachPackage(learner, c, (*plan).into)
	if err != nil {
		return nil, nil, err
	}
	for name, content := range changes {
		if bytes.Equal(content, learner[name]) && learner.Has(name) {
			delete(changes, name)
		}
	}
	return changes, notes, nil
}

// into adds to changes the files of one package.
func (p *plan) into(changes overlay.Files) error {
	p.bringBlanks()
	rewrites := map[*decl.File]*decl.Rewrite{}
	rewrite := func(f *decl.File) *decl.Rewrite {
		if rewrites[f] == nil {
			rewrites[f] = p.mine.Rewrite(f, false)
		}
		return rewrites[f]
	}
	imports := map[*decl.File][]*ast.ImportSpec{}
	for u := range p.gone {
		if u.Func == nil || p.replaced[u.Names[0]] != u {
			rewrite(u.File).Remove(u)
		}
	}
	for _, units := range byFile(p.inOrder()) {
		file := p.mine.File(units[0].File.Name)
		var homeless []*decl.Unit
		for _, piece := range p.pieces(units) {
			old := p.replaced[piece.unit.Names[0]]
			home := file
			switch {
			case old != nil && piece.unit.Func != nil && old.Func != nil:
				home = old.File
				rewrite(home).Replace(old, piece.text)
			case file != nil:
				rewrite(file).InsertAfter(p.anchor(piece.unit, file), piece.text)
			default:
				homeless = append(homeless, piece.unit)
				continue
			}
			imports[home] = mergeImports(imports[home], units[0].File.ImportsFor(piece.text))
		}
		if homeless != nil {
			text, err := p.newFile(homeless)
			if err != nil {
				return err
			}
			changes[path.Join(p.mine.Dir, units[0].File.Name)] = text
		}
	}
	for file, r := range rewrites {
		text, err := r.Bytes(imports[file]...)
		if err != nil {
			return fmt.Errorf("put the reference's functions into %s/%s: %w", p.mine.Dir, file.Name, err)
		}
		if like := p.ref.File(file.Name); like != nil {
			text = importsLike(text, like)
		}
		changes[path.Join(p.mine.Dir, file.Name)] = text
	}
	return nil
}

// piece is a text that comes, and the first unit in it.
type piece struct {
	unit *decl.Unit
	text string
}

// pieces joins the units of a group that comes as a whole to one text, as it stands in the reference.
func (p *plan) pieces(units []*decl.Unit) []piece {
	var pieces []piece
	done := map[*ast.GenDecl]bool{}
	for _, u := range units {
		if u.Gen == nil || !u.Gen.Lparen.IsValid() || !p.comesWhole(u.Gen) {
			pieces = append(pieces, piece{u, p.ref.Text(u, p.rename)})
		} else if !done[u.Gen] {
			done[u.Gen] = true
			pieces = append(pieces, piece{u, p.ref.GroupText(u)})
		}
	}
	return pieces
}

func (p *plan) comesWhole(gen *ast.GenDecl) bool {
	renamed := func(n string) bool { return p.rename[n] != "" }
	return !slices.ContainsFunc(p.ref.Units, func(u *decl.Unit) bool {
		return u.Gen == gen && (!p.come[u] || slices.ContainsFunc(u.Names, renamed))
	})
}

// bringBlanks brings the declarations (var _ I = T{}) that the starter lost with a helper which now is back.
func (p *plan) bringBlanks() {
	var helpers []*decl.Unit
	for u := range p.come {
		helpers = append(helpers, u)
	}
	holes := map[*decl.Unit]bool{}
	for _, u := range p.taken {
		holes[u] = true
	}
	helpers = slices.DeleteFunc(helpers, func(u *decl.Unit) bool { return holes[u] })
	for _, u := range p.ref.FallsWith(helpers) {
		if u.File.Test || p.usesMissing(u) || slices.ContainsFunc(p.mine.Units, func(m *decl.Unit) bool {
			return p.mine.Text(m, nil) == p.ref.Text(u, nil)
		}) {
			continue
		}
		p.come[u] = true
	}
}

// usesMissing tells whether a unit of the reference uses something that neither is there nor comes.
func (p *plan) usesMissing(u *decl.Unit) bool {
	for n := range u.Sig {
		come := slices.ContainsFunc(p.ref.Named(n), func(u *decl.Unit) bool { return p.come[u] })
		if !come && !p.has(n) {
			return true
		}
	}
	return false
}

// anchor returns the last unit of the learner's file that stands before u in the reference, or nil.
func (p *plan) anchor(u *decl.Unit, file *decl.File) *decl.Unit {
	var anchor *decl.Unit
	for _, before := range p.ref.Units {
		if before == u {
			break
		}
		if before.File != u.File || before.Gen != nil && before.Gen == u.Gen {
			continue
		}
		for _, m := range p.mine.Units {
			same := m.File == file && m.Names[0] != "_" && m.Names[0] == before.Names[0]
			if same && (!p.gone[m] || p.replaced[m.Names[0]] == m) {
				anchor = m
			}
		}
	}
	return anchor
}

// importsLike gives the text the import declaration of the reference's file if both import the same packages: in its
// order and groups.
func importsLike(text []byte, like *decl.File) []byte {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, like.Name, text, parser.ImportsOnly)
	if err != nil || len(file.Imports) != len(like.AST.Imports) ||
		len(mergeImports(slices.Clone(file.Imports), like.AST.Imports)) != len(file.Imports) {
		return text
	}
	mine, ok := importSpan(file, fset)
	if !ok {
		return text
	}
	theirFset := token.NewFileSet()
	theirFile, err := parser.ParseFile(theirFset, like.Name, like.Source, parser.ImportsOnly)
	if err != nil {
		return text
	}
	theirs, ok := importSpan(theirFile, theirFset)
	if !ok {
		return text
	}
	return slices.Concat(text[:mine[0]], like.Source[theirs[0]:theirs[1]], text[mine[1]:])
}

// importSpan returns where the imports of a file begin and end.
func importSpan(file *ast.File, fset *token.FileSet) (span [2]int, ok bool) {
	if len(file.Decls) == 0 {
		return span, false
	}
	first, last := file.Decls[0], file.Decls[len(file.Decls)-1]
	return [2]int{fset.Position(first.Pos()).Offset, fset.Position(last.End()).Offset}, true
}

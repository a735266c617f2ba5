// The text of a unit, and what stands in it under another name.

package decl

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// Text returns a unit as source, with its doc comment, as a declaration that can stand alone. Names of the package
// that rename maps ("seek", "store.seek" to a new last part) are changed wherever they stand.
func (p *Package) Text(u *Unit, rename map[string]string) string {
	if u.Func != nil {
		return p.text(u.File, u.Func.Doc, u.Func, rename)
	}
	if !u.Gen.Lparen.IsValid() || len(u.Specs) == len(u.Gen.Specs) {
		return p.text(u.File, u.Gen.Doc, u.Gen, rename)
	}
	var doc *ast.CommentGroup
	switch s := u.Specs[0].(type) {
	case *ast.ValueSpec:
		doc = s.Doc
	case *ast.TypeSpec:
		doc = s.Doc
	}
	text := p.text(u.File, nil, u.Specs[0], rename)
	text = u.Gen.Tok.String() + " " + text
	if doc != nil {
		text = p.source(u.File, doc.Pos(), doc.End()) + "\n" + text
	}
	return text
}

// GroupText returns the whole group that a unit is part of, with its doc comment.
func (p *Package) GroupText(u *Unit) string { return p.text(u.File, u.Gen.Doc, u.Gen, nil) }

func (p *Package) text(f *File, doc *ast.CommentGroup, n ast.Node, rename map[string]string) string {
	start, end := n.Pos(), n.End()
	if doc != nil {
		start = doc.Pos()
	}
	text := p.source(f, start, end)
	type change struct {
		at       int
		old, new string
	}
	var changes []change
	ast.Inspect(n, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			if name := p.renamed(id, rename); name != "" {
				at := p.Fset.Position(id.Pos()).Offset - p.Fset.Position(start).Offset
				changes = append(changes, change{at, id.Name, name})
			}
		}
		return true
	})
	slices.SortFunc(changes, func(a, b change) int { return b.at - a.at })
	for _, c := range changes {
		text = text[:c.at] + c.new + text[c.at+len(c.old):]
	}
	return text
}

// renamed returns the new name of an identifier, or "".
func (p *Package) renamed(id *ast.Ident, rename map[string]string) string {
	if len(rename) == 0 {
		return ""
	}
	name, certain := p.Refers(id)
	if name == "" {
		name, certain = p.declared[id], true
	}
	if name == "" || certain {
		return rename[name]
	}
	// It could be any method of this name, or a field of a type from elsewhere: the former, if one is renamed.
	for old, new := range rename {
		if strings.HasSuffix(old, "."+name) || old == name {
			return new
		}
	}
	return ""
}

func (p *Package) source(f *File, from, to token.Pos) string {
	return string(f.Source[p.Fset.Position(from).Offset:p.Fset.Position(to).Offset])
}

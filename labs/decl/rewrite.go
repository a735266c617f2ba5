// Rewriting a file as text, so that comments and layout stay as their author left them.

package decl

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Rewrite collects changes to one file. Positions refer to the file as it was loaded, so the order of calls does not
// matter.
type Rewrite struct {
	pkg       *Package
	file      *File
	keepLines bool
	cuts      []cut
	removed   map[*Unit]bool
}

// cut replaces the bytes from start to end.
type cut struct {
	start, end int
	text       string
}

// Rewrite begins to change f. If keepLines is set, what stays keeps its line number, and the result is not formatted.
func (p *Package) Rewrite(f *File, keepLines bool) *Rewrite {
	return &Rewrite{pkg: p, file: f, keepLines: keepLines, removed: map[*Unit]bool{}}
}

// SetBody replaces the body of a function, braces and all.
func (r *Rewrite) SetBody(u *Unit, body string) {
	r.cuts = append(r.cuts, cut{r.offset(u.Func.Body.Lbrace), r.offset(u.Func.Body.Rbrace) + 1, body})
}

// Replace puts text in the place of a function and its doc comment.
func (r *Rewrite) Replace(u *Unit, text string) {
	start, end := r.span(u.Func.Doc, u.Func)
	r.cuts = append(r.cuts, cut{start, end, text})
}

// InsertAfter puts text, as a declaration of its own, after u; or before all other declarations if u is nil.
func (r *Rewrite) InsertAfter(u *Unit, text string) {
	at := r.offset(r.file.AST.Name.End())
	for _, d := range r.file.AST.Decls {
		if gen, ok := d.(*ast.GenDecl); ok && gen.Tok == token.IMPORT {
			_, at = r.wholeLines(r.span(nil, gen))
		}
	}
	if u != nil {
		node := ast.Node(u.Func)
		if u.Func == nil {
			node = u.Gen
		}
		_, at = r.wholeLines(r.span(nil, node))
	}
	r.cuts = append(r.cuts, cut{at, at, "\n" + text + "\n"})
}

// Remove takes a unit out, with its comments.
func (r *Rewrite) Remove(u *Unit) { r.removed[u] = true }

// Bytes returns the changed file. Imports that only the changed parts used are gone, and those named in imports are
// there. It is an error if an import can't be told to be used or not, or if the result does not parse.
func (r *Rewrite) Bytes(imports ...*ast.ImportSpec) ([]byte, error) {
	cuts := slices.Clone(r.cuts)
	for u := range r.removed {
		if u.Func != nil {
			cuts = append(cuts, r.removal(u.Func.Doc, u.Func))
		}
	}
	for _, d := range r.file.AST.Decls {
		if gen, ok := d.(*ast.GenDecl); ok {
			cuts = append(cuts, r.specRemovals(gen)...)
		}
	}
	text, err := r.apply(cuts)
	if err != nil {
		return nil, err
	}
	return r.fixImports(text, imports)
}

// specRemovals returns the cuts that take the removed specs out of a group, or the group if none is left.
func (r *Rewrite) specRemovals(gen *ast.GenDecl) []cut {
	gone := map[ast.Spec]bool{}
	for u := range r.removed {
		if u.Gen == gen {
			for _, s := range u.Specs {
				gone[s] = true
			}
		}
	}
	switch {
	case len(gone) == 0:
		return nil
	case len(gone) == len(gen.Specs):
		return []cut{r.removal(gen.Doc, gen)}
	}
	var cuts []cut
	for s := range gone {
		doc := (*ast.CommentGroup)(nil)
		switch s := s.(type) {
		case *ast.ValueSpec:
			doc = s.Doc
		case *ast.TypeSpec:
			doc = s.Doc
		}
		cuts = append(cuts, r.removal(doc, s))
	}
	return cuts
}

func (r *Rewrite) removal(doc *ast.CommentGroup, n ast.Node) cut {
	start, end := r.wholeLines(r.span(doc, n))
	return cut{start: start, end: end}
}

// span returns where a node and its doc comment begin and end.
func (r *Rewrite) span(doc *ast.CommentGroup, n ast.Node) (start, end int) {
	start = r.offset(n.Pos())
	if doc != nil {
		start = r.offset(doc.Pos())
	}
	return start, r.offset(n.End())
}

// wholeLines widens a span to the indentation before it and to the rest of its last line, comment and line end
// included.
func (r *Rewrite) wholeLines(start, end int) (int, int) {
	indent := bytes.LastIndexByte(r.file.Source[:start], '\n') + 1
	if len(bytes.TrimSpace(r.file.Source[indent:start])) == 0 {
		start = indent
	}
	rest := r.file.Source[end:]
	line, _, ended := bytes.Cut(rest, []byte("\n"))
	if trimmed := bytes.TrimSpace(line); len(trimmed) == 0 || bytes.HasPrefix(trimmed, []byte("//")) {
		end += len(line)
		if ended {
			end++
		}
	}
	return start, end
}

func (r *Rewrite) offset(pos token.Pos) int { return r.pkg.Fset.Position(pos).Offset }

func (r *Rewrite) apply(cuts []cut) ([]byte, error) {
	slices.SortStableFunc(cuts, func(a, b cut) int { return a.start - b.start })
	var out bytes.Buffer
	at := 0
	for _, c := range cuts {
		if c.start < at {
			return nil, fmt.Errorf("%s/%s: two changes overlap at %s", r.pkg.Dir, r.file.Name,
				r.pkg.Fset.Position(r.pkg.Fset.File(r.file.AST.Pos()).Pos(c.start)))
		}
		out.Write(r.file.Source[at:c.start])
		out.WriteString(c.text)
		if r.keepLines {
			lost := bytes.Count(r.file.Source[c.start:c.end], []byte("\n")) - strings.Count(c.text, "\n")
			out.WriteString(strings.Repeat("\n", max(lost, 0)))
		}
		at = c.end
	}
	out.Write(r.file.Source[at:])
	return out.Bytes(), nil
}

// fixImports removes the imports that the change left unused and adds those that it needs, and formats the result.
func (r *Rewrite) fixImports(text []byte, needed []*ast.ImportSpec) ([]byte, error) {
	name := r.pkg.Dir + "/" + r.file.Name
	fset := token.NewFileSet()
	after, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("after the change: %w", err)
	}
	before, err := parser.ParseFile(token.NewFileSet(), name, r.file.Source, 0)
	if err != nil {
		return nil, err
	}
	had, has := qualifiers(before), qualifiers(after)
	edit := &Rewrite{
		pkg: &Package{Dir: r.pkg.Dir, Fset: fset}, file: &File{Name: r.file.Name, Source: text, AST: after},
		keepLines: r.keepLines,
	}
	var cuts []cut
	for _, d := range after.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok || gen.Tok != token.IMPORT {
			continue
		}
		var gone []cut
		for _, s := range gen.Specs {
			spec := s.(*ast.ImportSpec)
			if !usesAny(had, spec) || usesAny(has, spec) {
				continue
			}
			gone = append(gone, edit.removal(spec.Doc, spec))
		}
		if len(gone) == len(gen.Specs) {
			gone = []cut{edit.removal(gen.Doc, gen)}
		}
		cuts = append(cuts, gone...)
	}
	cuts = append(cuts, edit.missing(needed)...)
	if text, err = edit.apply(cuts); err != nil {
		return nil, err
	}
	if r.keepLines {
		return text, nil
	}
	return format.Source(text)
}

// missing returns the cut that adds the imports which the file lacks: into its first import declaration, or after the
// package clause.
func (r *Rewrite) missing(needed []*ast.ImportSpec) []cut {
	var lines []string
	for _, spec := range needed {
		same := func(s *ast.ImportSpec) bool { return ImportText(s) == ImportText(spec) }
		if !slices.ContainsFunc(r.file.AST.Imports, same) {
			lines = append(lines, ImportText(spec))
		}
	}
	if len(lines) == 0 {
		return nil
	}
	for _, d := range r.file.AST.Decls {
		if gen, ok := d.(*ast.GenDecl); ok && gen.Tok == token.IMPORT && gen.Lparen.IsValid() {
			at := r.offset(gen.Rparen)
			return []cut{{at, at, strings.Join(lines, "\n") + "\n"}}
		}
	}
	at := r.offset(r.file.AST.Name.End())
	return []cut{{at, at, "\n\nimport (\n" + strings.Join(lines, "\n") + "\n)\n"}}
}

// ImportText returns an import as it is written: "fmt", or x "a/b", quotes included.
func ImportText(s *ast.ImportSpec) string {
	if s.Name != nil {
		return s.Name.Name + " " + s.Path.Value
	}
	return s.Path.Value
}

// CheckImports returns an error for an import of the file that none of its code seems to use, because the package
// has another name than its path lets one guess. Such an import needs its name in the source.
func (f *File) CheckImports() error {
	file, err := parser.ParseFile(token.NewFileSet(), f.Name, f.Source, 0)
	if err != nil {
		return err
	}
	used := qualifiers(file)
	for _, s := range file.Imports {
		if explicit := s.Name != nil && (s.Name.Name == "_" || s.Name.Name == "."); explicit || s.Path.Value == `"C"` {
			continue
		}
		if !usesAny(used, s) {
			return fmt.Errorf("%s: the name of the package %s can't be told from its path: write the name before it",
				f.Name, s.Path.Value)
		}
	}
	return nil
}

// ImportsFor returns the imports of f that the code of a unit uses.
func (f *File) ImportsFor(text string) []*ast.ImportSpec {
	file, err := parser.ParseFile(token.NewFileSet(), f.Name, "package p\n"+text, 0)
	if err != nil {
		return nil
	}
	used := qualifiers(file)
	return slices.DeleteFunc(slices.Clone(f.AST.Imports), func(s *ast.ImportSpec) bool { return !usesAny(used, s) })
}

// qualifiers returns the names before a dot that are declared nowhere in the file: the packages that it uses.
func qualifiers(file *ast.File) map[string]bool {
	names := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			//lint:ignore SA1019 The parser's own resolution is what is needed here: names within one file.
			if id, ok := sel.X.(*ast.Ident); ok && id.Obj == nil {
				names[id.Name] = true
			}
		}
		return true
	})
	return names
}

// usesAny tells whether one of the names could be the package that s imports.
func usesAny(names map[string]bool, s *ast.ImportSpec) bool {
	return slices.ContainsFunc(packageNames(s), func(n string) bool { return names[n] })
}

var version = regexp.MustCompile(`^v[0-9]+$`)

// packageNames returns the names that the imported package may have.
func packageNames(s *ast.ImportSpec) []string {
	if s.Name != nil {
		return []string{s.Name.Name}
	}
	importPath := strings.Trim(s.Path.Value, "\"`")
	base := path.Base(importPath)
	names := []string{base}
	if version.MatchString(base) {
		base = path.Base(path.Dir(importPath))
		names = append(names, base)
	}
	stem, _, _ := strings.Cut(base, ".v") // gopkg.in/yaml.v3
	names = append(names, stem, strings.TrimPrefix(stem, "go-"), strings.TrimSuffix(stem, "-go"))
	if _, last, ok := strings.Cut(stem, "-"); ok {
		names = append(names, last)
	}
	return names
}

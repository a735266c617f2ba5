// Load parses the files of one directory and gathers their declarations into units.

package decl

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strings"
)

// Package is the Go package of one directory, with its tests.
type Package struct {
	Dir   string
	Path  string // what others import it by
	Fset  *token.FileSet
	Files []*File // in the order of their names
	Units []*Unit // in the order of files and of positions within each

	byName   map[string][]*Unit
	marks    map[*ast.Ident]string // what an identifier refers to within the package, see resolve.go
	declared map[*ast.Ident]string // what an identifier declares
}

// File is one parsed file.
type File struct {
	Name     string // "open.go"
	Source   []byte
	AST      *ast.File
	Test     bool // its name ends in _test.go
	External bool // it is a test of the package NAME_test
}

// Unit is the smallest piece that can be taken out alone: a function, a method, a declaration within a group. A
// group of constants that count with iota is one unit. Names that an external test declares begin with "test:", as
// they are of another package.
type Unit struct {
	File  *File
	Names []string        // "Open", "snapshot.Get", or each name of a var, const or type; "_" among them
	Func  *ast.FuncDecl   // nil if it is no function
	Gen   *ast.GenDecl    // nil if it is a function
	Specs []ast.Spec      // the part of Gen that the unit is
	Sig   map[string]bool // what it uses outside of a function body: names in the package
	Body  map[string]bool // what the function body uses
}

// Load reads the Go files among files, which map names to contents. The first file that does not parse is the error,
// and it carries the position.
func Load(dir, path string, files map[string][]byte) (*Package, error) {
	p := &Package{Dir: dir, Path: path, Fset: token.NewFileSet(), byName: map[string][]*Unit{}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(name, ".go") || files[name] == nil {
			continue
		}
		const mode = parser.ParseComments | parser.SkipObjectResolution
		file, err := parser.ParseFile(p.Fset, dir+"/"+name, files[name], mode)
		if err != nil {
			return nil, err
		}
		test := strings.HasSuffix(name, "_test.go")
		p.Files = append(p.Files, &File{
			Name: name, Source: files[name], AST: file, Test: test,
			External: test && strings.HasSuffix(file.Name.Name, "_test"),
		})
	}
	for _, f := range p.Files {
		p.gather(f)
	}
	for _, u := range p.Units {
		for _, name := range u.Names {
			p.byName[name] = append(p.byName[name], u)
		}
	}
	p.resolve()
	return p, nil
}

// gather splits the declarations of a file into units.
func (p *Package) gather(f *File) {
	for _, d := range f.AST.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			p.Units = append(p.Units, &Unit{File: f, Names: []string{f.scope() + FuncName(d)}, Func: d})
		case *ast.GenDecl:
			switch {
			case d.Tok == token.IMPORT:
			case d.Tok == token.CONST && counts(d):
				p.Units = append(p.Units, &Unit{File: f, Names: namesOf(f, d.Specs), Gen: d, Specs: d.Specs})
			default:
				for _, s := range d.Specs {
					one := []ast.Spec{s}
					p.Units = append(p.Units, &Unit{File: f, Names: namesOf(f, one), Gen: d, Specs: one})
				}
			}
		}
	}
}

// counts tells whether a constant of the group depends on its place: by iota, or by repeating the line above.
func counts(group *ast.GenDecl) bool {
	found := false
	for _, s := range group.Specs {
		if v := s.(*ast.ValueSpec); len(v.Values) == 0 {
			return true
		}
		ast.Inspect(s, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && id.Name == "iota" {
				found = true
			}
			return true
		})
	}
	return found
}

// externalScope marks the names of an external test.
const externalScope = "test:"

// scope is what the names that the file declares begin with.
func (f *File) scope() string {
	if f.External {
		return externalScope
	}
	return ""
}

func namesOf(f *File, specs []ast.Spec) []string {
	var names []string
	for _, s := range specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			names = append(names, f.scope()+s.Name.Name)
		case *ast.ValueSpec:
			for _, id := range s.Names {
				names = append(names, f.scope()+id.Name)
			}
		}
	}
	return names
}

// FuncName returns the name of a function as the course table writes it: "Open", "snapshot.Get".
func FuncName(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return f.Name.Name
	}
	return receiver(f.Recv.List[0].Type) + "." + f.Name.Name
}

// receiver returns the name of a receiver's type without * and type parameters.
func receiver(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.Ident:
		return t.Name
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.ParenExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.IndexListExpr:
		return receiver(t.X)
	}
	return "?"
}

// Func returns the function of this name in the file with this name. It is an error if there is none, or more than one.
func (p *Package) Func(file, name string) (*Unit, error) {
	var found []*Unit
	for _, u := range p.byName[name] {
		if u.Func != nil && u.File.Name == file {
			found = append(found, u)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fmt.Errorf("%s/%s declares %s %d times", p.Dir, file, name, len(found))
	}
	if elsewhere := p.Named(name); len(elsewhere) > 0 {
		return nil, fmt.Errorf("%s/%s has no function %s: it is in %s", p.Dir, file, name, elsewhere[0].File.Name)
	}
	return nil, fmt.Errorf("%s/%s has no function %s", p.Dir, file, name)
}

// Named returns the units that declare name outside of tests: none, one, or one for each system.
func (p *Package) Named(name string) []*Unit {
	var found []*Unit
	for _, u := range p.byName[name] {
		if !u.File.Test {
			found = append(found, u)
		}
	}
	return found
}

// File returns the file of this name, or nil.
func (p *Package) File(name string) *File {
	for _, f := range p.Files {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Who uses whom: the type checker's answers where it has any, and every possible meaning where it has none.

package decl

import (
	"errors"
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

// resolve fills Sig and Body of all units.
func (p *Package) resolve() {
	p.marks, p.declared = map[*ast.Ident]string{}, map[*ast.Ident]string{}
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}
	var inside, outside []*ast.File
	for _, f := range p.Files {
		if f.External {
			outside = append(outside, f.AST)
		} else {
			inside = append(inside, f.AST)
		}
	}
	own := p.check(inside, p.Path, info, nil)
	p.check(outside, p.Path+"_test", info, own)

	for id, obj := range info.Defs {
		if obj != nil {
			if name := p.nameOf(obj); name != "" {
				p.declared[id] = name
			}
		}
	}
	methods := p.methodsByName()
	for _, u := range p.Units {
		u.Sig, u.Body = map[string]bool{}, map[string]bool{}
		if u.Func != nil {
			body := u.Func.Body
			if u.Func.Recv != nil {
				p.collect(u.File, u.Func.Recv, info, methods, u.Sig)
			}
			p.collect(u.File, u.Func.Type, info, methods, u.Sig)
			if body != nil {
				p.collect(u.File, body, info, methods, u.Body)
			}
		}
		for _, s := range u.Specs {
			p.collect(u.File, s, info, methods, u.Sig)
		}
	}
}

// check runs the type checker over what can be known without any import. It never fails: errors are expected.
func (p *Package) check(files []*ast.File, path string, info *types.Info, own *types.Package) *types.Package {
	config := types.Config{
		Importer:                 ownOnly{p.Path, own},
		Error:                    func(error) {},
		FakeImportC:              true,
		DisableUnusedImportCheck: true,
	}
	pkg, _ := config.Check(path, p.Fset, files, info)
	return pkg
}

// ownOnly imports nothing but the package itself, for its external tests.
type ownOnly struct {
	path string
	own  *types.Package
}

func (i ownOnly) Import(path string) (*types.Package, error) {
	if path == i.path && i.own != nil {
		return i.own, nil
	}
	return nil, errors.New("imports are not resolved")
}

// methodsByName maps "Get" to "snapshot.Get", "iterator.Get" and so on.
func (p *Package) methodsByName() map[string][]string {
	methods := map[string][]string{}
	for name := range p.byName {
		if _, method, ok := strings.Cut(name, "."); ok {
			methods[method] = append(methods[method], name)
		}
	}
	return methods
}

// collect adds to uses the names of the package that stand below n.
func (p *Package) collect(
	f *File, n ast.Node, info *types.Info, methods map[string][]string, uses map[string]bool,
) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.InterfaceType: // whoever has a method of this name may be called through the interface
			for _, m := range n.Methods.List {
				for _, id := range m.Names {
					add(uses, methods[id.Name]...)
				}
			}
		case *ast.Ident:
			if obj, ok := info.Uses[n]; ok {
				if name := p.nameOf(obj); name != "" {
					uses[name] = true
					p.marks[n] = name
				}
				return true
			}
			if _, ok := info.Defs[n]; ok {
				return true
			}
			p.marks[n] = "?" + n.Name
			if p.byName[f.scope()+n.Name] != nil {
				uses[f.scope()+n.Name] = true
			}
			add(uses, methods[n.Name]...)
		}
		return true
	})
}

func add(set map[string]bool, names ...string) {
	for _, name := range names {
		set[name] = true
	}
}

// nameOf returns the name under which the package declares obj, or "" if it is a local, a field or from elsewhere.
func (p *Package) nameOf(obj types.Object) string {
	if obj.Pkg() == nil {
		return ""
	}
	scope := ""
	switch obj.Pkg().Path() {
	case p.Path:
	case p.Path + "_test":
		scope = externalScope
	default:
		return ""
	}
	if obj.Parent() == obj.Pkg().Scope() {
		return scope + obj.Name()
	}
	f, ok := obj.(*types.Func)
	if !ok {
		return ""
	}
	recv := f.Origin().Signature().Recv()
	if recv == nil {
		return ""
	}
	t := recv.Type()
	if ptr, ok := t.(*types.Pointer); ok {
		t = ptr.Elem()
	}
	if named, ok := t.(*types.Named); ok {
		return scope + named.Obj().Name() + "." + f.Name()
	}
	return ""
}

// Refers returns what an identifier of the package's code refers to: a name that the package declares and true; or,
// if the checker could not tell, the identifier's own name and false; or "" for everything else.
func (p *Package) Refers(id *ast.Ident) (name string, certain bool) {
	name = p.marks[id]
	if rest, unsure := strings.CutPrefix(name, "?"); unsure {
		return rest, false
	}
	return name, name != ""
}

// Exported tells whether code outside the package can use what a name stands for: a function, or a method, by its
// own name.
func Exported(name string) bool {
	name = strings.TrimPrefix(name, externalScope)
	if _, method, ok := strings.Cut(name, "."); ok {
		return token.IsExported(method)
	}
	return token.IsExported(name)
}

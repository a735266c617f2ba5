// The plan for one package: what of the learner's goes, what of the reference's comes, and under which names.

package graft

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"tinykv/labs/course"
	"tinykv/labs/decl"
	"tinykv/labs/overlay"
	"tinykv/labs/starter"
)

// Course says what the learner's tree was made of and what is taken from the reference.
type Course struct {
	Reference overlay.Files
	Hollow    []course.Stage        // the stages that the learner's tree has, or had, holes of
	Take      []course.Stage        // those of them whose functions come from the reference
	Only      func(dir string) bool // only in these packages; nil: in all
}

// keep returns the stages that stay the learner's.
func (c Course) keep() []course.Stage {
	taken := func(s course.Stage) bool {
		return slices.ContainsFunc(c.Take, func(t course.Stage) bool { return t.ID == s.ID })
	}
	return slices.DeleteFunc(slices.Clone(c.Hollow), taken)
}

// plan is about one package.
type plan struct {
	ref, mine *decl.Package
	taken     []*decl.Unit          // the holes that come, in the reference
	replaced  map[string]*decl.Unit // the learner's functions that they replace
	gone      map[*decl.Unit]bool   // what goes of the learner's, the replaced among it
	come      map[*decl.Unit]bool   // what comes of the reference, taken and helpers
	rename    map[string]string     // helpers of the reference whose names are taken
}

// newPlan decides what goes and comes.
func newPlan(ref, mine *decl.Package, c Course) (*plan, error) {
	p := &plan{
		ref: ref, mine: mine,
		replaced: map[string]*decl.Unit{}, gone: map[*decl.Unit]bool{},
		come: map[*decl.Unit]bool{}, rename: map[string]string{},
	}
	taken, err := starter.Functions(ref, starter.Holes(c.Take))
	if err != nil {
		return nil, err
	}
	hollow, err := starter.Functions(ref, starter.Holes(c.Hollow))
	if err != nil {
		return nil, err
	}
	var holes []*decl.Unit
	stillOpen := map[string]bool{}
	for _, u := range ref.Units {
		if _, isHole := hollow[u]; isHole {
			holes = append(holes, u)
		}
		if _, isTaken := taken[u]; isTaken {
			p.taken = append(p.taken, u)
		} else if _, isHole := hollow[u]; isHole {
			stillOpen[u.Names[0]] = true
		}
	}
	pruned := map[string]bool{} // what the starter did not give
	for _, u := range starter.Pruned(ref, holes) {
		for _, n := range u.Names {
			pruned[n] = true
		}
	}
	p.retire(pruned)
	for _, u := range p.taken {
		p.bring(u, stillOpen, pruned)
	}
	return p, nil
}

// retire marks the learner's versions of what is taken, and what only they use of the learner's own: given code stays.
func (p *plan) retire(pruned map[string]bool) {
	var old []*decl.Unit
	for _, u := range p.taken {
		for _, m := range p.versions(u) {
			if p.replaced[u.Names[0]] == nil {
				p.replaced[u.Names[0]] = m
			}
			p.gone[m] = true
			if m.Func != nil && m.Func.Body != nil {
				old = append(old, m)
			}
		}
	}
	given := func(u *decl.Unit) bool {
		return slices.ContainsFunc(u.Names, func(n string) bool { return len(p.ref.Named(n)) > 0 && !pruned[n] })
	}
	for _, u := range p.mine.OnlyUsedBy(old, given) {
		p.gone[u] = true
	}
	// A helper that the learner's own tests test stays for them.
	for _, u := range p.mine.Units {
		if !u.File.Test {
			continue
		}
		for g := range p.gone {
			if g.Func == nil || p.replaced[g.Names[0]] != g {
				p.spare(u, g)
			}
		}
	}
}

// versions returns the learner's declarations of a function of the reference: in the file of the same name, or, if
// it is not there, wherever it was moved. The same function for another system, which the reference has in another
// file, is not meant.
func (p *plan) versions(u *decl.Unit) []*decl.Unit {
	name := u.Names[0]
	var moved []*decl.Unit
	for _, m := range p.mine.Named(name) {
		if m.File.Name == u.File.Name {
			return []*decl.Unit{m}
		}
		inItsPlace := func(r *decl.Unit) bool { return r.File.Name == m.File.Name }
		if !slices.ContainsFunc(p.ref.Named(name), inItsPlace) {
			moved = append(moved, m)
		}
	}
	return moved
}

// spare keeps g, and what it uses, if u uses it.
func (p *plan) spare(u, g *decl.Unit) {
	if !p.gone[g] || !slices.ContainsFunc(g.Names, func(n string) bool { return u.Sig[n] || u.Body[n] }) {
		return
	}
	delete(p.gone, g)
	for other := range p.gone {
		if other.Func == nil || p.replaced[other.Names[0]] != other {
			p.spare(g, other)
		}
	}
}

// bring adds a unit of the reference, and what it needs that the learner does not have.
func (p *plan) bring(u *decl.Unit, stillOpen, pruned map[string]bool) {
	if p.come[u] {
		return
	}
	p.come[u] = true
	needs := map[string]bool{}
	for _, uses := range []map[string]bool{u.Sig, u.Body} {
		for n := range uses {
			needs[n] = true
		}
	}
	if u.Func == nil { // a type comes with its methods
		for _, m := range p.ref.Units {
			if typ, _, ok := strings.Cut(m.Names[0], "."); ok && slices.Contains(u.Names, typ) && !m.File.Test {
				needs[m.Names[0]] = true
			}
		}
	}
	for n := range needs {
		for _, need := range p.ref.Named(n) {
			if p.come[need] || stillOpen[n] && p.has(n) {
				continue
			}
			if p.has(n) {
				if !pruned[n] || p.sameText(need) {
					continue
				}
				p.rename[n] = p.freeName(n)
			}
			p.bring(need, stillOpen, pruned)
		}
	}
}

// has tells whether the learner's package still declares the name.
func (p *plan) has(name string) bool {
	return slices.ContainsFunc(p.mine.Named(name), func(u *decl.Unit) bool { return !p.gone[u] })
}

// sameText tells whether the learner has the unit as the reference has it.
func (p *plan) sameText(u *decl.Unit) bool {
	for _, m := range p.mine.Named(u.Names[0]) {
		if !p.gone[m] && p.mine.Text(m, nil) == p.ref.Text(u, nil) {
			return true
		}
	}
	return false
}

// freeName returns the name under which a helper of the reference comes: "seek" as "referenceSeek".
func (p *plan) freeName(name string) string {
	typ, last, isMethod := strings.Cut(name, ".")
	if !isMethod {
		last, typ = name, ""
	}
	first, size := utf8.DecodeRuneInString(last)
	free := "reference" + string(unicode.ToUpper(first)) + last[size:]
	for whole := free; ; whole = free {
		if isMethod {
			whole = typ + "." + free
		}
		if len(p.mine.Named(whole)) == 0 && len(p.ref.Named(whole)) == 0 {
			return free
		}
		free += "_"
	}
}

// inOrder returns the units that come, in the order of the reference.
func (p *plan) inOrder() []*decl.Unit {
	return slices.DeleteFunc(slices.Clone(p.ref.Units), func(u *decl.Unit) bool { return !p.come[u] })
}

// packages loads the reference's and the learner's package of a directory. What stands in for a learner's file that
// does not parse is returned as changes; ok is false if nothing else is to be done about the package.
func packages(dir string, learner overlay.Files, c Course) (
	ref, mine *decl.Package, standIn overlay.Files, notes []string, ok bool, err error,
) {
	module, err := starter.Module(c.Reference)
	if err != nil {
		return nil, nil, nil, nil, false, err
	}
	if ref, err = decl.Load(dir, path.Join(module, dir), c.Reference.Dir(dir)); err != nil {
		return nil, nil, nil, nil, false, fmt.Errorf("read the reference: %w", err)
	}
	files := learner.Dir(dir)
	standIn, notes, ok, err = standIns(dir, files, c)
	if err != nil || !ok {
		return nil, nil, standIn, notes, false, err
	}
	for name, content := range standIn {
		files[path.Base(name)] = content
	}
	for name := range files {
		if strings.HasSuffix(name, "_test.go") && syntaxError(name, files[name]) != nil {
			delete(files, name)
		}
	}
	if mine, err = decl.Load(dir, path.Join(module, dir), files); err != nil {
		return nil, nil, nil, nil, false, err
	}
	return ref, mine, standIn, notes, true, nil
}

// standIns decides about files of the learner's package that are missing altogether or do not parse.
func standIns(dir string, files overlay.Files, c Course) (standIn overlay.Files, notes []string, ok bool, err error) {
	open := starter.Holes(c.keep())
	changes, err := starter.Hollow(c.Reference, open)
	if err != nil {
		return nil, nil, false, err
	}
	given := changes.Over(c.Reference).Dir(dir)
	standIn = overlay.Files{}
	sources := 0
	for _, name := range files.Paths() {
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		sources++
		broken := syntaxError(path.Join(dir, name), files[name])
		if broken == nil {
			continue
		}
		if hasHole(open, path.Join(dir, name)) || !given.Has(name) {
			notes = append(notes, fmt.Sprintf("%v: the package %s stays as you have it", broken, dir))
			return nil, notes, false, nil
		}
		standIn[path.Join(dir, name)] = given[name]
		notes = append(notes, fmt.Sprintf("%v: the reference's file stands in for it", broken))
	}
	if sources == 0 {
		for name, content := range given {
			standIn[path.Join(dir, name)] = content
		}
		notes = append(notes, fmt.Sprintf("%s is not there: the reference's files stand in for it", dir))
	}
	return standIn, notes, sources > 0, nil
}

func hasHole(holes []starter.Hole, file string) bool {
	return slices.ContainsFunc(holes, func(h starter.Hole) bool { return h.File == file })
}

// syntaxError returns the first syntax error of a file, or nil.
func syntaxError(name string, text []byte) error {
	_, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
	return err
}

// byFile groups units by the reference's file, in order.
func byFile(units []*decl.Unit) [][]*decl.Unit {
	var groups [][]*decl.Unit
	for _, u := range units {
		if n := len(groups); n > 0 && groups[n-1][0].File == u.File {
			groups[n-1] = append(groups[n-1], u)
		} else {
			groups = append(groups, []*decl.Unit{u})
		}
	}
	slices.SortStableFunc(groups, func(a, b []*decl.Unit) int { return cmp.Compare(a[0].File.Name, b[0].File.Name) })
	return groups
}

// mergeImports adds to imports those of more that it lacks.
func mergeImports(imports, more []*ast.ImportSpec) []*ast.ImportSpec {
	for _, s := range more {
		same := func(t *ast.ImportSpec) bool { return decl.ImportText(t) == decl.ImportText(s) }
		if !slices.ContainsFunc(imports, same) {
			imports = append(imports, s)
		}
	}
	return imports
}

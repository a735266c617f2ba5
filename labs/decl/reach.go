// Reachability: what is used by some functions only, and what falls with a name.

package decl

import (
	"maps"
	"slices"
	"strings"
)

// OnlyUsedBy returns the units outside of tests that serve nothing but the bodies of the given functions:
// unexported, used there directly or through each other, and by nothing else. Tests and blank variables (var _ I =
// T{}) keep nothing alive; a unit for which keep says so stays, with all that it uses.
func (p *Package) OnlyUsedBy(functions []*Unit, keep func(*Unit) bool) []*Unit {
	hollow := map[*Unit]bool{}
	for _, u := range functions {
		hollow[u] = true
	}
	// First, what the bodies use, through units that could go.
	candidates := map[*Unit]bool{}
	var consider func(names map[string]bool)
	consider = func(names map[string]bool) {
		for name := range names {
			for _, u := range p.Named(name) {
				if candidates[u] || hollow[u] || !p.prunable(u) {
					continue
				}
				candidates[u] = true
				consider(u.Sig)
				consider(u.Body)
				for _, n := range u.Names {
					consider(p.methodsOf(n, false))
				}
			}
		}
	}
	for _, u := range functions {
		consider(u.Body)
	}
	// Second, what of it everything else uses.
	live := map[*Unit]bool{}
	var reach func(u *Unit)
	reachAll := func(names map[string]bool) {
		for name := range names {
			for _, u := range p.Named(name) {
				reach(u)
			}
		}
	}
	reach = func(u *Unit) {
		if live[u] {
			return
		}
		live[u] = true
		reachAll(u.Sig)
		if !hollow[u] {
			reachAll(u.Body)
		}
		for _, n := range u.Names {
			reachAll(p.methodsOf(n, true))
		}
	}
	for _, u := range p.Units {
		if !u.File.Test && !u.blank() && (!candidates[u] || keep != nil && keep(u)) {
			reach(u)
		}
	}
	return slices.DeleteFunc(slices.Clone(p.Units), func(u *Unit) bool { return !candidates[u] || live[u] })
}

// FallsWith returns the units that no longer compile once the given ones are gone: in tests, transitively, and blank
// variables. Helpers of tests that only those used go with them.
func (p *Package) FallsWith(gone []*Unit) []*Unit {
	removed := map[*Unit]bool{}
	names := map[string]bool{}
	take := func(u *Unit) {
		removed[u] = true
		add(names, u.Names...)
	}
	for _, u := range gone {
		take(u)
	}
	var fallen []*Unit
	for again := true; again; {
		again = false
		for _, u := range p.Units {
			if removed[u] || !u.File.Test && !u.blank() || !u.usesAny(names) {
				continue
			}
			take(u)
			fallen = append(fallen, u)
			again = true
		}
	}
	return append(fallen, p.orphans(fallen, removed)...)
}

// orphans returns the test units that were used by fallen ones, and are used by nothing now.
func (p *Package) orphans(fallen []*Unit, removed map[*Unit]bool) []*Unit {
	fell := map[string]bool{} // what the removed ones used
	drop := func(u *Unit) {
		removed[u] = true
		maps.Copy(fell, u.Sig)
		maps.Copy(fell, u.Body)
	}
	for _, u := range fallen {
		drop(u)
	}
	var orphans []*Unit
	for again := true; again; {
		again = false
		used := p.usedBesides(removed)
		for _, u := range p.Units {
			if removed[u] || !u.File.Test || u.blank() || u.isMethod() || isEntry(u) {
				continue
			}
			needed := func(n string) bool { return used[n] || !fell[n] || Exported(n) && !u.File.External }
			if slices.ContainsFunc(u.Names, needed) {
				continue
			}
			for _, one := range append(p.testMethodsOf(u), u) {
				drop(one)
				orphans = append(orphans, one)
			}
			again = true
		}
	}
	return orphans
}

// usedBesides returns the names that units other than the removed ones use, not counting what a declaration and the
// methods of a type say of themselves.
func (p *Package) usedBesides(removed map[*Unit]bool) map[string]bool {
	used := map[string]bool{}
	for _, u := range p.Units {
		if removed[u] {
			continue
		}
		for _, uses := range []map[string]bool{u.Sig, u.Body} {
			for n := range uses {
				if !slices.Contains(u.Names, n) && !strings.HasPrefix(u.Names[0], n+".") {
					used[n] = true
				}
			}
		}
	}
	return used
}

func (p *Package) testMethodsOf(u *Unit) []*Unit {
	var methods []*Unit
	for _, typ := range u.Names {
		for name := range p.methodsOf(typ, false) {
			for _, m := range p.byName[name] {
				if m.File.Test {
					methods = append(methods, m)
				}
			}
		}
	}
	return methods
}

// isEntry tells whether the testing package or the runtime calls the function.
func isEntry(u *Unit) bool {
	if u.Func == nil || u.isMethod() {
		return false
	}
	name := strings.TrimPrefix(u.Names[0], externalScope)
	for _, prefix := range []string{"Test", "Benchmark", "Fuzz", "Example"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return name == "init"
}

// prunable tells whether a unit can go when nothing in the package needs it: no one outside can.
func (p *Package) prunable(u *Unit) bool {
	for _, name := range u.Names {
		typ, method, isMethod := strings.Cut(name, ".")
		switch {
		case isMethod && Exported(method) && !Exported(typ):
			// Lives and dies with its type.
		case name == "init" || name == "main" || Exported(name):
			return false
		}
	}
	return !u.blank()
}

// methodsOf returns the names of the methods of a type, all or only those that are called without being named:
// exported ones, by way of interfaces.
func (p *Package) methodsOf(typ string, exportedOnly bool) map[string]bool {
	methods := map[string]bool{}
	for name := range p.byName {
		if t, m, ok := strings.Cut(name, "."); ok && t == typ && (!exportedOnly || Exported(m)) {
			methods[name] = true
		}
	}
	return methods
}

func (u *Unit) blank() bool {
	return len(u.Names) == 1 && strings.TrimPrefix(u.Names[0], externalScope) == "_"
}

func (u *Unit) isMethod() bool { return u.Func != nil && u.Func.Recv != nil }

func (u *Unit) usesAny(names map[string]bool) bool {
	for n := range names {
		if n != "_" && (u.Sig[n] || u.Body[n]) {
			return true
		}
	}
	return false
}

// Pruned and given: which helpers vanish with the holes that used them, and which stay because a contract speaks of
// them.

package starter

import (
	"regexp"
	"strings"
	"unicode"

	"tinykv/labs/decl"
)

// Pruned returns what the starter lacks when the given functions of a package are holes, beside their bodies: what
// only those use. But what the contract of a hole names is given, with all that it uses: a learner who reads "check
// it with [unseal]" must find unseal. A name counts if it stands in brackets, as Go's doc links do, if it has a
// capital letter within (getByIterator), or if it is qualified (it.land, iterator.land).
func Pruned(pkg *decl.Package, holes []*decl.Unit) []*decl.Unit {
	named := map[string]bool{}
	for _, u := range holes {
		for _, m := range word.FindAllStringSubmatch(u.Func.Doc.Text(), -1) {
			if bracketed, name := m[1] != "", m[2]; bracketed || strings.Contains(name, ".") || isCamel(name) {
				named[name] = true
				if _, last, qualified := strings.Cut(name, "."); qualified {
					named["."+last] = true
				}
			}
		}
	}
	return pkg.OnlyUsedBy(holes, func(u *decl.Unit) bool {
		for _, name := range u.Names {
			_, method, isMethod := strings.Cut(name, ".")
			if named[name] || isMethod && (named["."+method] || isCamel(method) && named[method]) {
				return true
			}
		}
		return false
	})
}

// word finds identifiers, qualified or not, with a bracket if one stands before.
var word = regexp.MustCompile(`(\[\*?)?\b([\pL_][\pL\pN_]*(?:\.[\pL_][\pL\pN_]*)?)`)

// isCamel tells an identifier from an English word: a capital letter stands within.
func isCamel(name string) bool {
	return strings.IndexFunc(name, unicode.IsLower) >= 0 && strings.ContainsFunc(name[1:], unicode.IsUpper)
}

package decl

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

func load(t *testing.T, files ...string) *Package {
	t.Helper()
	byName := map[string][]byte{}
	for i, text := range files {
		name := fmt.Sprintf("f%d.go", i)
		if strings.HasPrefix(text, "package p_test") {
			name = fmt.Sprintf("f%d_test.go", i)
		}
		byName[name] = []byte(text)
	}
	p, err := Load("d", "example/d", byName)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func function(t *testing.T, p *Package, name string) *Unit {
	t.Helper()
	u, err := p.Func("f0.go", name)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func names(units []*Unit) string {
	var all []string
	for _, u := range units {
		all = append(all, strings.Join(u.Names, ","))
	}
	return strings.Join(all, " ")
}

func TestASyntaxErrorCarriesItsPosition(t *testing.T) {
	_, err := Load("kv/a", "example/kv/a", map[string][]byte{"a.go": []byte("package a\n\nfunc {\n")})
	if err == nil || !strings.HasPrefix(err.Error(), "kv/a/a.go:3:6:") {
		t.Errorf("error %v", err)
	}
}

func TestUnitsAreWhatCanBeTakenOutAlone(t *testing.T) {
	p := load(t, `package p
const a, b = 1, 2
const (
	c = 3
	d = 4
)
const (
	e = iota
	f
)
const (
	g = "repeated"
	h
)
var i, j int
type (
	k struct{}
	l[T any] struct{}
)
func (k) m() {}
func (x *l[T]) n() {}
func o() {}
`)
	if got, want := names(p.Units), "a,b c d e,f g,h i,j k l k.m l.n o"; got != want {
		t.Errorf("units %s, want %s", got, want)
	}
}

func TestFuncFindsExactlyOne(t *testing.T) {
	p := load(t, "package p\nfunc F() {}\nfunc init() {}\nfunc init() {}\ntype T struct{}\nfunc (t *T) F() {}\n",
		"package p\nfunc G() {}\n")
	if u := function(t, p, "T.F"); u.Func.Recv == nil {
		t.Error("T.F is not the method")
	}
	for name, want := range map[string]string{
		"init": "2 times", "G": "it is in f1.go", "H": "no function H", "T": "no function T",
	} {
		if _, err := p.Func("f0.go", name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Func(%q): error %v, want one with %q", name, err, want)
		}
	}
}

func TestUsesSeeThroughShadowsFieldsAndUnknownTypes(t *testing.T) {
	p := load(t, `package p
import "elsewhere"
type T struct{ field int; inner }
type inner struct{}
func (inner) promoted() {}
func (T) maybe() {}
func (T) key() {}
func local() {}
func field() {}
func key() {}
func F(t T, local int) {
	_ = local + t.field
	t.promoted()
	elsewhere.New().maybe()
	_ = elsewhere.Options{key: 1}
	_ = T{field: 1}
}
`)
	u := function(t, p, "F")
	var used []string
	for name := range u.Body {
		used = append(used, name)
	}
	slices.Sort(used)
	// key could be a constant of ours that indexes a map of theirs, so it counts; so does each method called maybe.
	if got, want := strings.Join(used, " "), "T T.key T.maybe inner.promoted key"; got != want {
		t.Errorf("F uses %s, want %s", got, want)
	}
}

func TestAnExternalTestIsAPackageOfItsOwn(t *testing.T) {
	p := load(t, "package p\nfunc F() { help() }\nfunc help() {}\n",
		"package p_test\nimport \"example/d\"\nfunc TestF() { p.F(); help() }\nfunc help() {}\n")
	gone := p.OnlyUsedBy([]*Unit{function(t, p, "F")}, nil)
	if names(gone) != "help" || gone[0].File.Test {
		t.Errorf("gone: %s", names(gone))
	}
	if fallen := p.FallsWith(gone); len(fallen) > 0 {
		t.Errorf("the test's own help fell with the package's: %s", names(fallen))
	}
}

func TestTextStandsAloneAndRenames(t *testing.T) {
	p := load(t, `package p
// F calls.
func F(n int) { seek := T{n}; seek.step(n); other(limit) } // trailing
type T struct{ n int }
func (t T) step(n int) { t.step(n); step() }
func step() {}
func other(limit int) { _ = limit }
const (
	low = 1
	// limit has a comment.
	limit = 2
)
`)
	rename := map[string]string{"T.step": "walk", "limit": "most", "other": "another"}
	for name, want := range map[string]string{
		"F":      "// F calls.\nfunc F(n int) { seek := T{n}; seek.walk(n); another(most) }",
		"T.step": "func (t T) walk(n int) { t.walk(n); step() }",
		"other":  "func another(limit int) { _ = limit }",
		"limit":  "// limit has a comment.\nconst most = 2",
	} {
		if got := p.Text(p.Named(name)[0], rename); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	got := p.GroupText(p.Named("low")[0])
	if !strings.HasPrefix(got, "const (\n\tlow = 1\n") || !strings.HasSuffix(got, "limit = 2\n)") {
		t.Errorf("the group is %q", got)
	}
}

func TestRewritesKeepLinesIfAsked(t *testing.T) {
	const text = "package p\n\nimport (\n\t\"fmt\"\n\t\"os\"\n)\n\n" +
		"// F\nfunc F() {\n\tfmt.Println()\n}\n\nfunc G() { os.Exit(1) }\n"
	for keep, want := range map[bool]string{
		true:  "package p\n\nimport (\n\n\t\"os\"\n)\n\n\n\n\n\n\nfunc G() { os.Exit(1) }\n",
		false: "package p\n\nimport (\n\t\"os\"\n)\n\nfunc G() { os.Exit(1) }\n",
	} {
		p := load(t, text)
		r := p.Rewrite(p.Files[0], keep)
		r.Remove(function(t, p, "F"))
		if got, err := r.Bytes(); err != nil || string(got) != want {
			t.Errorf("keep %v: %v\n%q\nwant\n%q", keep, err, got, want)
		}
	}
}

func TestImportsThatAreNeededComeOnce(t *testing.T) {
	const end = "\n\nfunc F() { fmt.Println(x.Y) }\n"
	for text, want := range map[string]string{
		"package p\n\nfunc F() {}\n":                   "package p\n\nimport (\n\tx \"a/b\"\n\t\"fmt\"\n)",
		"package p\n\nimport \"fmt\"\n\nfunc F() {}\n": "package p\n\nimport (\n\tx \"a/b\"\n)\n\nimport \"fmt\"",
	} {
		want += end
		p := load(t, text)
		from := load(t, "package p\nimport (\"fmt\"; x \"a/b\"; \"os\")\n").Files[0]
		const body = "func F() { fmt.Println(x.Y) }"
		r := p.Rewrite(p.Files[0], false)
		r.Replace(function(t, p, "F"), body)
		if got, err := r.Bytes(from.ImportsFor(body)...); err != nil || string(got) != want {
			t.Errorf("%v\n%s\nwant\n%s", err, got, want)
		}
	}
}

func TestOverlappingChangesAreRefused(t *testing.T) {
	p := load(t, "package p\n\nfunc F() {}\n")
	r := p.Rewrite(p.Files[0], false)
	r.SetBody(function(t, p, "F"), "{ return }")
	r.Remove(function(t, p, "F"))
	if _, err := r.Bytes(); err == nil || !strings.Contains(err.Error(), "overlap") {
		t.Errorf("error %v", err)
	}
}

func TestPackageNamesAreGuessedFromPaths(t *testing.T) {
	for path, want := range map[string]string{
		"fmt":                              "fmt",
		"github.com/Connor1996/badger":     "badger",
		"github.com/cockroachdb/pebble/v2": "pebble",
		"gopkg.in/yaml.v3":                 "yaml",
		"github.com/x/go-sql":              "sql",
		"github.com/x/sql-go":              "sql",
		"github.com/x/golang-lru":          "lru",
	} {
		spec := &ast.ImportSpec{Path: &ast.BasicLit{Kind: token.STRING, Value: "\"" + path + "\""}}
		if got := packageNames(spec); !slices.Contains(got, want) {
			t.Errorf("%s: %v, want %s among them", path, got, want)
		}
	}
}

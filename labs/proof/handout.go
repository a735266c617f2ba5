// The handout as a text: its blocks of commands, and the files and functions that it names.

package proof

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"tinykv/labs/course"
	"tinykv/labs/hint"
	"tinykv/labs/overlay"
	"tinykv/labs/starter"
)

// block is a fenced block of a handout.
type block struct {
	line int    // of its first line of text
	info string // what follows the fence: "sh", "sh fails", "go"
	text string
}

// handout splits a text into its blocks and the words in backticks outside of them.
func parseHandout(text string) (blocks []block, words []word) {
	var open *block
	fence := ""
	n := 0
	for line := range strings.Lines(text) {
		n++
		trimmed := strings.TrimSpace(line)
		switch {
		case open != nil && trimmed == fence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.text += line
		case strings.HasPrefix(trimmed, "```"):
			fence = trimmed[:len(trimmed)-len(strings.TrimLeft(trimmed, "`"))]
			open = &block{line: n + 1, info: strings.Join(strings.Fields(strings.TrimLeft(trimmed, "`")), " ")}
		default:
			for _, m := range inlineCode.FindAllStringSubmatch(line, -1) {
				words = append(words, word{n, strings.TrimSpace(m[1])})
			}
		}
	}
	if open != nil {
		blocks = append(blocks, *open)
	}
	return blocks, words
}

// word is a piece of inline code.
type word struct {
	line int
	text string
}

var (
	inlineCode = regexp.MustCompile("`([^`]+)`")
	pathWord   = regexp.MustCompile(`^(?:\./)?([\w.-]+(?:/[\w.-]+)*/?)(?::\d+)?$`)
	nameWord   = regexp.MustCompile(`^\(?\*?([A-Za-z_]\w*)\)?\.([A-Za-z_]\w*)(?:\(.*\))?$`)
	callWord   = regexp.MustCompile(`^([A-Za-z_]\w*)\(\)$`)
)

// checkHandout looks up in the starter what the handout names, and whether it names what it should.
func checkHandout(_ context.Context, p *prover, s course.Stage) (problems []string, err error) {
	text := string(p.Reference[s.Handout])
	if text == "" {
		return []string{s.Handout + " is not there"}, nil
	}
	tree, err := p.starterTree(s.ID)
	if err != nil {
		return []string{err.Error()}, nil
	}
	blocks, words := parseHandout(text)
	report := func(line int, format string, args ...any) {
		problems = append(problems, fmt.Sprintf("%s:%d: ", s.Handout, line)+fmt.Sprintf(format, args...))
	}
	names := namesOf(tree)
	for _, w := range words {
		if problem := names.unknown(w.text); problem != "" {
			report(w.line, "%s", problem)
		}
	}
	for _, b := range blocks {
		kind, word, _ := strings.Cut(b.info, " ")
		if kind == "sh" && !slices.Contains([]string{"", "fails", "done", "shown"}, word) {
			report(b.line-1, "a block of commands is marked %q: use fails, done, shown or nothing", word)
		}
	}
	if hints, err := hint.Parse(s.ID, text); err != nil {
		report(1, "its hints can't be read: %v", err)
	} else if len(hints) == 0 {
		report(1, "it has no hints")
	}
	for _, h := range s.Holes {
		mentioned := func(w word) bool {
			name := strings.TrimSuffix(w.text, "()")
			return name == h.Func || path.Base(name) == path.Base(h.File) && h.Func == "" || sameMethod(name, h.Func)
		}
		if !slices.ContainsFunc(words, mentioned) {
			report(1, "it does not name the hole %s", h)
		}
	}
	return problems, nil
}

// sameMethod tells whether a name such as "(*snapshot).Get" or "badger.Open" means the function of the table.
func sameMethod(name, function string) bool {
	m := nameWord.FindStringSubmatch(name)
	return m != nil && (m[1]+"."+m[2] == function || m[2] == function)
}

// nameTable is what a tree declares.
type nameTable struct {
	tree     overlay.Files
	dirs     map[string]bool
	bases    map[string]bool            // names of files without directory
	packages map[string]map[string]bool // package name: what it declares at top level
	members  map[string]map[string]bool // type name: methods, fields
	all      map[string]bool            // functions and methods by their own names
	foreign  map[string]bool            // last elements of imported paths that are not ours: badger, context
}

func namesOf(tree overlay.Files) *nameTable {
	t := &nameTable{
		tree: tree, dirs: map[string]bool{}, bases: map[string]bool{}, packages: map[string]map[string]bool{},
		members: map[string]map[string]bool{}, all: map[string]bool{}, foreign: map[string]bool{},
	}
	module, _ := starter.Module(tree)
	for name, content := range tree {
		t.bases[path.Base(name)] = true
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			t.dirs[dir] = true
		}
		if strings.HasSuffix(name, ".go") {
			file, err := parser.ParseFile(token.NewFileSet(), name, content, parser.SkipObjectResolution)
			if err == nil {
				t.addFile(file, module)
			}
		}
	}
	return t
}

func put(m map[string]map[string]bool, key, value string) {
	if m[key] == nil {
		m[key] = map[string]bool{}
	}
	m[key][value] = true
}

func (t *nameTable) addFile(file *ast.File, module string) {
	pkg := file.Name.Name
	for _, s := range file.Imports {
		if p, err := strconv.Unquote(s.Path.Value); err == nil && !strings.HasPrefix(p, module+"/") {
			t.foreign[path.Base(p)] = true
		}
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			t.all[d.Name.Name] = true
			if d.Recv == nil {
				put(t.packages, pkg, d.Name.Name)
			} else if recv := receiverName(d); recv != "" {
				put(t.members, recv, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				t.addSpec(pkg, s)
			}
		}
	}
}

func (t *nameTable) addSpec(pkg string, s ast.Spec) {
	switch s := s.(type) {
	case *ast.ValueSpec:
		for _, id := range s.Names {
			put(t.packages, pkg, id.Name)
		}
	case *ast.TypeSpec:
		put(t.packages, pkg, s.Name.Name)
		var fields *ast.FieldList
		switch typ := s.Type.(type) {
		case *ast.StructType:
			fields = typ.Fields
		case *ast.InterfaceType:
			fields = typ.Methods
		}
		if fields == nil {
			put(t.members, s.Name.Name, "")
			return
		}
		for _, f := range fields.List {
			for _, id := range f.Names {
				put(t.members, s.Name.Name, id.Name)
				t.all[id.Name] = true
			}
			if len(f.Names) == 0 { // embedded: its methods are the type's, so nothing can be said to be missing
				put(t.members, s.Name.Name, "*")
			}
		}
	}
}

func receiverName(d *ast.FuncDecl) string {
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// unknown says what is wrong with a word that claims to name something of the tree, or "". Words that could be anything
// else (a value, a name of the standard library, a key) are let pass.
func (t *nameTable) unknown(text string) string {
	if m := pathWord.FindStringSubmatch(text); m != nil {
		name := strings.TrimSuffix(m[1], "/")
		top, _, below := strings.Cut(name, "/")
		switch {
		case t.tree.Has(name) || t.dirs[name] || !below && t.bases[name]:
			return ""
		case below && (t.dirs[top] || top == "cmd"):
			if dir, symbol, ok := cutSymbol(name); ok && t.dirs[dir] {
				return t.unknown(path.Base(dir) + "." + symbol)
			}
			return fmt.Sprintf("names %s, which is not in the starter", name)
		case !below && strings.HasSuffix(name, ".go"):
			return fmt.Sprintf("names the file %s, which is nowhere in the starter", name)
		}
	}
	if m := nameWord.FindStringSubmatch(text); m != nil {
		left, right := m[1], m[2]
		pkg, isPackage := t.packages[left]
		members, isType := t.members[left]
		if t.foreign[left] || !isPackage && !isType || pkg[right] || members[right] || members["*"] {
			return ""
		}
		return fmt.Sprintf("names %s.%s, but %s has no %s in the starter", left, right, left, right)
	}
	if m := callWord.FindStringSubmatch(text); m != nil && !t.all[m[1]] && !builtin[m[1]] {
		return fmt.Sprintf("names the function %s, which is nowhere in the starter", m[1])
	}
	return ""
}

// cutSymbol splits "kv/engine.Batch" into the directory and the name.
func cutSymbol(name string) (dir, symbol string, ok bool) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 || strings.Contains(name[i:], "/") {
		return "", "", false
	}
	return name[:i], name[i+1:], true
}

var builtin = map[string]bool{
	"append": true, "cap": true, "clear": true, "close": true, "copy": true, "delete": true, "len": true, "make": true,
	"max": true, "min": true, "new": true, "panic": true, "print": true, "println": true, "recover": true, "main": true,
}

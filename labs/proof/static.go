// The checks that compile nothing: table, corpus, secret, solution.

package proof

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"path"
	"slices"
	"strings"

	"tinykv/labs/course"
	"tinykv/labs/decl"
	"tinykv/labs/graft"
	"tinykv/labs/mutant"
	"tinykv/labs/overlay"
	"tinykv/labs/starter"
	"tinykv/labs/workspace"
)

// minContractWords is the least length of a hole's doc comment: below it, nobody could write the body from it.
const minContractWords = 12

// holes returns the functions that the holes of the stages stand for, in the reference.
func (p *prover) holes(stages ...course.Stage) ([]*decl.Unit, error) {
	module, err := starter.Module(p.Reference)
	if err != nil {
		return nil, err
	}
	var functions []*decl.Unit
	holes := starter.Holes(stages)
	for _, dir := range starter.Dirs(holes) {
		pkg, err := decl.Load(dir, path.Join(module, dir), p.Reference.Dir(dir))
		if err != nil {
			return nil, err
		}
		stageOf, err := starter.Functions(pkg, holes)
		if err != nil {
			return nil, err
		}
		for _, u := range pkg.Units {
			if _, ok := stageOf[u]; ok {
				functions = append(functions, u)
			}
		}
	}
	return functions, nil
}

// checkTable compares the table with the tests and the holes.
func checkTable(_ context.Context, p *prover, s course.Stage) (problems []string, err error) {
	declared, err := testFunctions(p.Reference.Dir(s.TestDir))
	if err != nil {
		return []string{err.Error()}, nil
	}
	for _, t := range s.Tests {
		if !slices.Contains(declared, t.Name) {
			problems = append(problems, fmt.Sprintf("%s is worth %d points but is not in %s",
				t.Name, t.Points, s.TestDir))
		}
	}
	for _, name := range declared {
		if !slices.ContainsFunc(s.Tests, func(t course.Test) bool { return t.Name == name }) {
			problems = append(problems, fmt.Sprintf("%s in %s has no row in the table: say how many points it is worth",
				name, s.TestDir))
		}
	}
	for _, other := range p.Table {
		if other.ID != s.ID && other.TestDir == s.TestDir {
			problems = append(problems, fmt.Sprintf("shares the tests in %s with stage %s", s.TestDir, other.ID))
		}
	}
	holes, err := p.holes(s)
	if err != nil {
		return append(problems, err.Error()), nil
	}
	for _, u := range holes {
		if words := len(strings.Fields(u.Func.Doc.Text())); words < minContractWords {
			problems = append(problems, fmt.Sprintf("the contract of %s has %d words: nobody could write it from that",
				u.Names[0], words))
		}
	}
	if s.ID == p.Table[0].ID {
		problems = append(problems, p.strayTests()...)
	}
	return problems, nil
}

// strayTests finds directories that look like the tests of a stage and are not.
func (p *prover) strayTests() (problems []string) {
	dirs := map[string]bool{}
	for _, s := range p.Table {
		dirs[s.TestDir] = true
	}
	for name := range p.Reference.Under("labs/tests") {
		dir := path.Dir(name)
		if id := path.Base(dir); !dirs[dir] && id[0] >= '0' && id[0] <= '9' {
			dirs[dir] = true
			problems = append(problems, fmt.Sprintf("%s holds tests but no stage of the table has them", dir))
		}
	}
	return problems
}

// testFunctions lists the Test functions of a package, in the order of its files.
func testFunctions(files overlay.Files) ([]string, error) {
	var names []string
	for _, name := range files.Paths() {
		if !strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, files[name], parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") || f.Name.Name == "TestMain" {
				continue
			}
			if rest := strings.TrimPrefix(f.Name.Name, "Test"); rest == "" || rest[0] < 'a' || rest[0] > 'z' {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names, nil
}

// checkCorpus applies the edits of each mutant and variant.
func checkCorpus(_ context.Context, p *prover, s course.Stage) (problems []string, err error) {
	for _, kind := range []mutant.Kind{mutant.Mutants, mutant.Variants} {
		entries, err := mutant.Load(p.root, kind, s)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		for _, e := range entries {
			if _, err := overlay.Apply(p.Reference, e.Edits); err != nil {
				problems = append(problems, fmt.Sprintf("%s: %v", e.Name, err))
			}
		}
	}
	return problems, nil
}

// minSecretTokens is how long a body must be to be worth keeping: shorter ones are found anywhere.
const minSecretTokens = 20

// checkSecret looks for the bodies of the stage's holes in the workspace that begins with it.
func checkSecret(_ context.Context, p *prover, s course.Stage) (problems []string, err error) {
	files, err := workspace.Files(p.Reference, p.Table, s.ID)
	if err != nil {
		return []string{err.Error()}, nil
	}
	holes, err := p.holes(s)
	if err != nil {
		return []string{err.Error()}, nil
	}
	bodies := map[string][]byte{}
	for _, u := range holes {
		start := u.File.AST.FileStart
		body := u.File.Source[u.Func.Body.Lbrace-start+1 : u.Func.Body.Rbrace-start]
		if tokens, n := tokensOf(body); n >= minSecretTokens {
			bodies[u.Names[0]] = tokens
		}
	}
	for _, name := range files.Paths() {
		if strings.HasPrefix(name, workspace.Dir+"/") {
			continue
		}
		text, _ := tokensOf(files[name])
		for function, body := range bodies {
			if bytes.Contains(text, body) {
				problems = append(problems, fmt.Sprintf("the body of %s stands in %s", function, name))
			}
		}
	}
	slices.Sort(problems)
	return problems, nil
}

// tokensOf reduces a text to its Go tokens without semicolons, so that layout and comments make no difference, and
// counts them.
func tokensOf(text []byte) (tokens []byte, n int) {
	fset := token.NewFileSet()
	var s scanner.Scanner
	s.Init(fset.AddFile("", fset.Base(), len(text)), text, func(token.Position, string) {}, 0)
	var out bytes.Buffer
	for {
		_, tok, lit := s.Scan()
		if tok == token.EOF {
			return out.Bytes(), n
		}
		if tok == token.SEMICOLON {
			continue
		}
		if lit == "" {
			lit = tok.String()
		}
		out.WriteString(lit + " ")
		n++
	}
}

// checkSolution puts the stage's functions into its starter.
func checkSolution(_ context.Context, p *prover, s course.Stage) (problems []string, err error) {
	before, err := p.starterTree(s.ID)
	if err != nil {
		return []string{err.Error()}, nil
	}
	after, err := p.starterTree(p.next(s))
	if err != nil {
		return []string{err.Error()}, nil
	}
	changes, notes, err := graft.Into(before, graft.Course{
		Reference: p.Reference, Hollow: course.From(p.Table, s.ID), Take: []course.Stage{s},
	})
	if err != nil {
		return []string{err.Error()}, nil
	}
	problems = notes
	for name, content := range changes.Over(before) {
		if strings.HasSuffix(name, "_test.go") {
			continue // tests that fell with a helper do not come back
		}
		if !bytes.Equal(content, after[name]) {
			problems = append(problems, fmt.Sprintf("%s is not what the next stage begins with: %s",
				name, difference(content, after[name])))
		}
	}
	slices.Sort(problems)
	return problems, nil
}

// difference names the first line in which two texts differ.
func difference(a, b []byte) string {
	as, bs := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
	for i := range max(len(as), len(bs)) {
		var x, y string
		if i < len(as) {
			x = as[i]
		}
		if i < len(bs) {
			y = bs[i]
		}
		if x != y {
			return fmt.Sprintf("line %d is %q instead of %q", i+1, x, y)
		}
	}
	return "one of them is not there"
}

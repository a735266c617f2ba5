// Run: the checks in order, over the stages in order.

package proof

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tinykv/labs/course"
	"tinykv/labs/overlay"
	"tinykv/labs/scratch"
	"tinykv/labs/starter"
)

// Problem is one thing that is wrong with the course.
type Problem struct {
	Stage string // "1a"
	Check string // "red"
	Text  string // what is wrong, where, and what to do
}

// String tells the problem in one line, or a few if it holds a compiler's message.
func (p Problem) String() string { return p.Stage + " " + p.Check + ": " + p.Text }

// Options say what is proved. Reference and Table are needed.
type Options struct {
	Reference overlay.Files
	Table     []course.Stage                   // the whole course
	Stages    []course.Stage                   // what to prove of it; nil: all
	Only      []string                         // names of checks; nil: all
	Memo      string                           // a directory that remembers what was shown before; "": show everything
	Tell      func(format string, args ...any) // one line of progress for each check; may be nil
}

// check is one thing to show of a stage. Its problems are what is wrong with the course, its error that it could not
// be looked into.
type check struct {
	name string
	runs bool // it runs the stage's tests
	run  func(ctx context.Context, p *prover, s course.Stage) (problems []string, err error)
}

// checks are in the order from quick to slow, so that a slip in the table is told before anything is compiled.
var checks = []check{
	{"table", false, checkTable},
	{"handout", false, checkHandout},
	{"corpus", false, checkCorpus},
	{"secret", false, checkSecret},
	{"solution", false, checkSolution},
	{"starter", false, checkStarter},
	{"catchup", false, checkCatchUp},
	{"red", true, checkRed},
	{"green", true, checkGreen},
	{"earlier", true, checkEarlier},
	{"commands", true, checkCommands},
}

// Checks returns the names of the checks in the order in which they run.
func Checks() []string {
	var names []string
	for _, c := range checks {
		names = append(names, c.name)
	}
	return names
}

// prover is one run.
type prover struct {
	Options
	root string       // a copy of the reference on disk
	dir  *scratch.Dir // the directory around it, removed at the end
	memo *memo

	cgo       bool                     // there is a C compiler
	goVersion string                   // of the go command, and for which system it builds
	starters  map[string]overlay.Files // what is laid over the reference to get the starter of a stage
}

// Run proves the stages and returns what is wrong. The error is about the machine: no space, no go command, an
// interruption.
func Run(ctx context.Context, opts Options) (problems []Problem, err error) {
	if opts.Tell == nil {
		opts.Tell = func(string, ...any) {}
	}
	if opts.Stages == nil {
		opts.Stages = opts.Table
	}
	for _, name := range opts.Only {
		if !slices.Contains(Checks(), name) {
			return nil, fmt.Errorf("there is no check %q: use %s", name, strings.Join(Checks(), ", "))
		}
	}
	p, err := newProver(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.dir.Remove()) }()
	for _, text := range course.Check(opts.Table) {
		problems = append(problems, Problem{"course", "table", text})
	}
	for _, c := range checks {
		if opts.Only != nil && !slices.Contains(opts.Only, c.name) {
			continue
		}
		for _, s := range opts.Stages {
			if c.runs && s.NeedsC && !p.cgo {
				opts.Tell("%-4s %-9s left out: the stage needs a C compiler", s.ID, c.name)
				continue
			}
			start := time.Now()
			p.memo.hits = 0
			found, err := c.run(ctx, p, s)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return problems, fmt.Errorf("prove %s of stage %s: %w", c.name, s.ID, err)
			}
			for _, text := range found {
				problems = append(problems, Problem{s.ID, c.name, text})
			}
			opts.Tell("%s", line(s.ID, c.name, found, p.memo.hits > 0, time.Since(start)))
		}
	}
	return problems, nil
}

// line tells how a check went.
func line(stage, check string, found []string, known bool, took time.Duration) string {
	result := "ok"
	if known {
		result = "ok, known"
	}
	if len(found) > 0 {
		result = fmt.Sprintf("%d problem(s)", len(found))
	}
	text := fmt.Sprintf("%-4s %-9s %-13s %5.1f s", stage, check, result, took.Seconds())
	for _, f := range found {
		text += "\n     " + strings.ReplaceAll(f, "\n", "\n     ")
	}
	return text
}

// newProver writes the copy of the reference: a run is not disturbed by who edits the tree meanwhile, nor by files
// that git does not track. Built with -trimpath, it shares the build cache with the tree.
func newProver(ctx context.Context, opts Options) (*prover, error) {
	dir, err := scratch.Make("proof")
	if err != nil {
		return nil, err
	}
	p := &prover{
		Options: opts, dir: dir, root: filepath.Join(dir.Path, "reference"), starters: map[string]overlay.Files{},
	}
	if err := opts.Reference.WriteTo(p.root); err != nil {
		dir.Remove()
		return nil, fmt.Errorf("copy the reference: %w", err)
	}
	p.memo = newMemo(opts.Memo)
	env, err := exec.CommandContext(ctx, "go", "env", "CGO_ENABLED", "GOVERSION", "GOOS", "GOARCH").Output()
	if err != nil {
		dir.Remove()
		return nil, fmt.Errorf("run the go command: %w", err)
	}
	p.goVersion = strings.Join(strings.Fields(string(env)), " ")
	p.cgo = strings.HasPrefix(p.goVersion, "1 ") // the go command says 0 if it finds no C compiler
	return p, nil
}

// starter returns what must be laid over the reference to get the starter that begins with the stage; "" stands for
// the end of the course, where there are no holes left.
func (p *prover) starter(stage string) (overlay.Files, error) {
	if changes, made := p.starters[stage]; made {
		return changes, nil
	}
	changes, err := starter.Hollow(p.Reference, starter.Holes(course.From(p.Table, stage)))
	if err == nil {
		p.starters[stage] = changes
	}
	return changes, err
}

// starterTree returns the whole tree of the starter.
func (p *prover) starterTree(stage string) (overlay.Files, error) {
	changes, err := p.starter(stage)
	if err != nil {
		return nil, err
	}
	tree := overlay.Files{}
	for name, content := range changes.Over(p.Reference) {
		if content != nil {
			tree[name] = content
		}
	}
	return tree, nil
}

// next returns the id of the stage after s, "" if it is the last.
func (p *prover) next(s course.Stage) string {
	if from := course.From(p.Table, s.ID); len(from) > 1 {
		return from[1].ID
	}
	return ""
}

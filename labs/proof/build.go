// The checks that compile and run tests: starter, catchup, earlier, red, green.

package proof

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"slices"
	"strings"

	"tinykv/labs/course"
	"tinykv/labs/decl"
	"tinykv/labs/grade"
	"tinykv/labs/graft"
	"tinykv/labs/overlay"
)

// checkStarter compiles and vets the starter, tests and all.
func checkStarter(ctx context.Context, p *prover, s course.Stage) ([]string, error) {
	changes, err := p.starter(s.ID)
	if err != nil {
		return []string{err.Error()}, nil
	}
	return p.vet(ctx, changes)
}

// checkCatchUp compiles and vets the first starter with the stages before s laid over it.
func checkCatchUp(ctx context.Context, p *prover, s course.Stage) ([]string, error) {
	earlier := course.Before(p.Table, s.ID)
	if len(earlier) == 0 {
		return nil, nil
	}
	first, err := p.starterTree(p.Table[0].ID)
	if err != nil {
		return []string{err.Error()}, nil
	}
	over, notes, err := graft.Over(first, graft.Course{Reference: p.Reference, Hollow: p.Table, Take: earlier})
	if err != nil {
		return []string{err.Error()}, nil
	}
	if len(notes) > 0 {
		return notes, nil
	}
	hollow, err := p.starter(p.Table[0].ID)
	if err != nil {
		return []string{err.Error()}, nil
	}
	return p.vet(ctx, over.Over(hollow))
}

// vet runs go vet over everything but the course's own machinery, with changes laid over the reference.
func (p *prover) vet(ctx context.Context, changes overlay.Files) ([]string, error) {
	fact := p.fact("vet", changes, append(p.Reference.Paths(), changes.Paths()...))
	return p.memo.once(fact, func() ([]string, error) { return p.vetNow(ctx, changes) })
}

func (p *prover) vetNow(ctx context.Context, changes overlay.Files) ([]string, error) {
	return p.goCommand(ctx, changes, append([]string{"vet", "-trimpath"}, p.patterns()...)...)
}

// goCommand runs a go command with changes laid over the reference. What it says if it fails is the problem.
func (p *prover) goCommand(ctx context.Context, changes overlay.Files, args ...string) ([]string, error) {
	mounted, err := overlay.Mount(p.root, changes)
	if err != nil {
		return nil, err
	}
	defer mounted.Close()
	cmd := exec.CommandContext(ctx, "go", slices.Insert(slices.Clone(args), 1, mounted.Flag())...)
	cmd.Dir = p.root
	output, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	switch {
	case err == nil:
		return nil, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &failed):
		return []string{"go " + args[0] + ":\n" + strings.TrimSpace(mounted.Origin(string(output)))}, nil
	}
	return nil, fmt.Errorf("run go %s: %w", args[0], err)
}

// patterns are the packages that holes can break: all but those of labs, which import nothing of the rest, save its
// tests.
func (p *prover) patterns() []string {
	var patterns []string
	for name := range p.Reference {
		top, rest, below := strings.Cut(name, "/")
		if !below || !strings.HasSuffix(name, ".go") {
			continue
		}
		pattern := "./" + top + "/..."
		if top == "labs" {
			if !strings.HasPrefix(rest, "tests/") {
				continue
			}
			pattern = "./labs/tests/..."
		}
		if !slices.Contains(patterns, pattern) {
			patterns = append(patterns, pattern)
		}
	}
	slices.Sort(patterns)
	return patterns
}

// grade runs the graded tests of a stage with changes laid over the reference.
func (p *prover) grade(ctx context.Context, changes overlay.Files, s course.Stage) (*grade.Report, error) {
	return grade.Run(ctx, grade.Options{
		Root: p.root, Stages: []course.Stage{s}, Overlay: func(string) overlay.Files { return changes },
	})
}

// asGraded returns what is laid over the reference to get the starter of one stage as the tests of another see it: the
// stages after that one come from the reference.
func (p *prover) asGraded(starter, tested course.Stage) (overlay.Files, error) {
	tree, err := p.starterTree(starter.ID)
	if err != nil {
		return nil, err
	}
	c := graft.Course{Reference: p.Reference, Hollow: course.From(p.Table, starter.ID)}
	later, notes, err := graft.Later(tree, c, p.Table, tested)
	if err != nil {
		return nil, err
	}
	if len(notes) > 0 {
		return nil, errors.New(strings.Join(notes, "; "))
	}
	hollow, err := p.starter(starter.ID)
	return later.Over(hollow), err
}

// checkRed runs the stage's tests in its starter, with the later stages written: each must run into a hole.
func checkRed(ctx context.Context, p *prover, s course.Stage) ([]string, error) {
	changes, err := p.asGraded(s, s)
	if err != nil {
		return []string{err.Error()}, nil
	}
	files, err := p.sources(s)
	if err != nil {
		return []string{err.Error()}, nil
	}
	return p.memo.once(p.fact("red-"+s.ID, changes, withNew(files, changes)), func() ([]string, error) {
		return p.redNow(ctx, changes, s)
	})
}

// withNew adds to the files those of the changes that stand beside them.
func withNew(files []string, changes overlay.Files) []string {
	dirs := map[string]bool{}
	for _, name := range files {
		dirs[path.Dir(name)] = true
	}
	all := slices.Clone(files)
	for name := range changes {
		if dirs[path.Dir(name)] {
			all = append(all, name)
		}
	}
	return all
}

func (p *prover) redNow(ctx context.Context, changes overlay.Files, s course.Stage) (problems []string, err error) {
	report, err := p.grade(ctx, changes, s)
	if err != nil {
		return nil, err
	}
	for stage, t := range report.Each {
		switch {
		case stage.BuildError != "":
			return []string{"its tests do not compile in the starter:\n" + stage.BuildError}, nil
		case t.Outcome != grade.NotWritten:
			problems = append(problems, fmt.Sprintf("%s in the starter: %s, and not at a hole (%s)",
				t.Test, t.Outcome, oneLine(t.Message)))
		}
	}
	return problems, nil
}

// checkEarlier runs the tests of the stages before s in the starter of s, as they are graded. Where the starter with
// the later stages laid over it is the reference, declaration by declaration, it is enough that it compiles: that the tests
// pass there is shown once.
func checkEarlier(ctx context.Context, p *prover, s course.Stage) (problems []string, err error) {
	for _, e := range course.Before(p.Table, s.ID) {
		if e.NeedsC && !p.cgo {
			continue
		}
		changes, err := p.asGraded(s, e)
		if err != nil {
			return append(problems, err.Error()), nil
		}
		found, same, err := p.fits(ctx, changes, e)
		if err == nil && same && len(found) == 0 {
			found, err = p.allPass(ctx, nil, e)
		} else if err == nil && !same {
			found, err = p.allPass(ctx, changes, e)
		}
		if err != nil {
			return problems, err
		}
		problems = append(problems, found...)
	}
	return problems, nil
}

// fits tells whether the packages that a stage's tests depend on are, with changes laid over them, the same as in the
// reference, whatever file a declaration stands in. If so, it compiles them.
func (p *prover) fits(ctx context.Context, changes overlay.Files, s course.Stage) (
	problems []string, same bool, err error,
) {
	files, err := p.sources(s)
	if err != nil {
		return []string{err.Error()}, false, nil
	}
	var changed, patterns []string
	for name := range changes {
		if slices.ContainsFunc(files, func(f string) bool { return path.Dir(f) == path.Dir(name) }) {
			changed = append(changed, name)
			patterns = append(patterns, "./"+path.Dir(name))
		}
	}
	slices.Sort(patterns)
	patterns = slices.Compact(patterns)
	for _, dir := range patterns {
		same, err := sameDeclarations(path.Clean(dir), p.Reference, changes.Over(p.Reference))
		if err != nil || !same {
			return nil, false, err
		}
	}
	if len(patterns) == 0 {
		return nil, true, nil
	}
	problems, err = p.memo.once(p.fact("fits", changes, withNew(files, changes)), func() ([]string, error) {
		return p.goCommand(ctx, changes, append([]string{"build", "-trimpath"}, patterns...)...)
	})
	return problems, true, err
}

// sameDeclarations tells whether a package declares the same in both trees, tests left out.
func sameDeclarations(dir string, a, b overlay.Files) (bool, error) {
	var texts [2][]string
	for i, tree := range []overlay.Files{a, b} {
		pkg, err := decl.Load(dir, dir, tree.Dir(dir))
		if err != nil {
			return false, err
		}
		for _, u := range pkg.Units {
			if !u.File.Test {
				tokens, _ := tokensOf([]byte(pkg.Text(u, nil)))
				texts[i] = append(texts[i], string(tokens))
			}
		}
		slices.Sort(texts[i])
	}
	return slices.Equal(texts[0], texts[1]), nil
}

// checkGreen runs the stage's tests on the reference.
func checkGreen(ctx context.Context, p *prover, s course.Stage) ([]string, error) {
	return p.allPass(ctx, nil, s)
}

// allPass runs the graded tests of the stages, all of which must pass. Where the changes touch nothing that a
// stage's tests are built from, it is the same fact as that they pass on the reference.
func (p *prover) allPass(ctx context.Context, changes overlay.Files, stages ...course.Stage) ([]string, error) {
	var problems []string
	for _, s := range stages {
		files, err := p.sources(s)
		if err != nil {
			return append(problems, err.Error()), nil
		}
		found, err := p.memo.once(p.fact("green-"+s.ID, changes, withNew(files, changes)), func() ([]string, error) {
			return p.greenNow(ctx, changes, s)
		})
		if err != nil {
			return problems, err
		}
		problems = append(problems, found...)
	}
	return problems, nil
}

func (p *prover) greenNow(ctx context.Context, changes overlay.Files, s course.Stage) (problems []string, err error) {
	report, err := p.grade(ctx, changes, s)
	if err != nil {
		return nil, err
	}
	for stage, t := range report.Each {
		if stage.BuildError != "" {
			return []string{fmt.Sprintf("the tests of %s do not compile:\n%s", s.ID, stage.BuildError)}, nil
		}
		if t.Outcome != grade.Passed {
			problems = append(problems, fmt.Sprintf("%s %s: %s (%s)", t.Stage, t.Test, t.Outcome, oneLine(t.Message)))
		}
	}
	return problems, nil
}

func oneLine(text string) string { return string(bytes.Join(bytes.Fields([]byte(text)), []byte(" "))) }

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
	mounted, err := overlay.Mount(p.root, changes)
	if err != nil {
		return nil, err
	}
	defer mounted.Close()
	cmd := exec.CommandContext(ctx, "go", append([]string{"vet", "-trimpath", mounted.Flag()}, p.patterns()...)...)
	cmd.Dir = p.root
	output, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	switch {
	case err == nil:
		return nil, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &failed):
		return []string{"go vet:\n" + strings.TrimSpace(mounted.Origin(string(output)))}, nil
	}
	return nil, fmt.Errorf("run go vet: %w", err)
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

// checkRed runs the stage's tests in its starter: each must run into a hole of the stage, and into no other.
func checkRed(ctx context.Context, p *prover, s course.Stage) ([]string, error) {
	changes, err := p.starter(s.ID)
	if err != nil {
		return []string{err.Error()}, nil
	}
	files, err := p.sources(s)
	if err != nil {
		return []string{err.Error()}, nil
	}
	return p.memo.once(p.fact("red-"+s.ID, changes, files), func() ([]string, error) {
		return p.redNow(ctx, changes, s)
	})
}

func (p *prover) redNow(ctx context.Context, changes overlay.Files, s course.Stage) (problems []string, err error) {
	holes, err := p.holes(s)
	if err != nil {
		return []string{err.Error()}, nil
	}
	own := map[string]bool{}
	for _, u := range holes {
		own[u.Names[0]] = true
	}
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
		case !slices.ContainsFunc(t.Holes, func(h string) bool { return own[functionOf(h)] }):
			problems = append(problems, fmt.Sprintf("%s fails at a hole of another stage: %s",
				t.Test, strings.Join(t.Holes, ", ")))
		}
	}
	return problems, nil
}

// functionOf takes the function out of "snapshot.Get in kv/engine/badger/read.go".
func functionOf(hole string) string {
	function, _, _ := strings.Cut(hole, " in ")
	return path.Base(function)
}

// checkEarlier runs the tests of the stages before s in the starter of s.
func checkEarlier(ctx context.Context, p *prover, s course.Stage) ([]string, error) {
	changes, err := p.starter(s.ID)
	if err != nil {
		return []string{err.Error()}, nil
	}
	earlier := slices.DeleteFunc(course.Before(p.Table, s.ID), func(s course.Stage) bool { return s.NeedsC && !p.cgo })
	return p.allPass(ctx, changes, earlier...)
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
		found, err := p.memo.once(p.fact("green-"+s.ID, changes, files), func() ([]string, error) {
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

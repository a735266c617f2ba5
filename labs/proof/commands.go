// The commands of a handout, run in a workspace as a learner has it.

package proof

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tinykv/labs/course"
	"tinykv/labs/workspace"
)

// commandTimeout bounds one block of commands. None is expected to take a tenth of it.
const commandTimeout = 3 * time.Minute

// checkCommands runs the handout's commands: first those that are meant for the workspace as it was laid out, then,
// with the stage solved, those that are meant for then.
func checkCommands(ctx context.Context, p *prover, s course.Stage) ([]string, error) {
	blocks, _ := parseHandout(string(p.Reference[s.Handout]))
	files, err := p.sources(s)
	if err != nil {
		return []string{err.Error()}, nil
	}
	files = append(files, s.Handout)
	if slices.ContainsFunc(blocks, func(b block) bool { return !courseOnly(b) }) {
		files = p.Reference.Paths()
	}
	return p.memo.once(p.fact("commands-"+s.ID, nil, files), func() ([]string, error) {
		return p.commandsNow(ctx, s, blocks)
	})
}

// courseOnly tells whether a block is not run or does nothing but ask labs about the stage, so that what it does
// depends on no more than the stage's tests do.
func courseOnly(b block) bool {
	if kind, word, _ := strings.Cut(b.info, " "); kind != "sh" || word == "shown" {
		return true
	}
	for line := range strings.Lines(b.text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "make project") && !strings.HasPrefix(line, "go run ./labs ") {
			return false
		}
	}
	return true
}

func (p *prover) commandsNow(ctx context.Context, s course.Stage, blocks []block) (problems []string, err error) {
	dir := filepath.Join(p.dir.Path, "workspace-"+s.ID)
	space, err := workspace.FindFor(p.root, p.Table)
	if err != nil {
		return []string{err.Error()}, nil
	}
	if err := space.Create(ctx, dir, s.ID, func(string, ...any) {}); err != nil {
		return []string{err.Error()}, nil
	}
	defer os.RemoveAll(dir)
	for _, phase := range []struct {
		done  bool
		kinds []string
	}{{false, []string{"sh", "sh fails"}}, {true, []string{"sh done"}}} {
		if phase.done {
			if problem := p.solve(dir, s); problem != "" {
				return append(problems, problem), nil
			}
		}
		for _, b := range blocks {
			for _, kind := range phase.kinds {
				if b.info != kind {
					continue
				}
				if problem := runBlock(ctx, dir, b.text, kind != "sh fails"); problem != "" {
					problems = append(problems, fmt.Sprintf("%s:%d: %s", s.Handout, b.line, problem))
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return problems, err
		}
	}
	return problems, nil
}

// solve puts the reference's functions into the workspace, as labs solution does.
func (p *prover) solve(dir string, s course.Stage) string {
	space, err := workspace.FindFor(dir, p.Table)
	if err != nil {
		return err.Error()
	}
	solution, err := space.Solution(s)
	if err != nil {
		return err.Error()
	}
	if _, err := solution.Write(); err != nil {
		return err.Error()
	}
	return ""
}

// runBlock runs a script in dir and says how it did not end as it should, or "".
func runBlock(ctx context.Context, dir, script string, succeeds bool) string {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-eu", "-c", script)
	cmd.Dir = dir
	// A learner may be offline, and is not inside our make.
	cmd.Env = append(os.Environ(), "GOPROXY=off", "MAKEFLAGS=", "MAKELEVEL=")
	cmd.WaitDelay = 5 * time.Second
	ownGroup(cmd)
	output, err := cmd.CombinedOutput()
	endGroup(cmd)
	var failed *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return fmt.Sprintf("it did not end within %v:\n%s", commandTimeout, tail(output))
	case err != nil && !errors.As(err, &failed):
		return err.Error()
	case succeeds && err != nil:
		return fmt.Sprintf("it ended with %v:\n%s", err, tail(output))
	case !succeeds && err == nil:
		return "it was to fail and succeeded:\n" + tail(output)
	}
	return ""
}

// tail returns the last lines of an output.
func tail(output []byte) string {
	lines := strings.Split(strings.TrimRight(string(output), "\n"), "\n")
	return strings.Join(lines[max(len(lines)-20, 0):], "\n")
}

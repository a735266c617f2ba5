// labs replay: a failed run once more, from the file that was kept of it.

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tinykv/labs/course"
	"tinykv/labs/grade"
	"tinykv/labs/overlay"
	"tinykv/labs/workspace"
)

func init() { register(replayCommand()) }

func replayCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "replay [FILE]",
		Short: "Play a failed run again: a trace, or a failure that labs soak kept",
		Long: `Play a failed run again, against the code as it is now, and tell its story: who sent what to whom, and what
broke.

A trace is a list of decisions: who ticks, which message arrives, who crashes. It is played as far as its decisions
still apply, so it outlives changes of the code, and you may edit it. The file of a failure that labs soak kept is
played by its trace, or else by its seed. The exit status is 0 if nothing broke.

Without a FILE it lists those that are kept.`,
		Example: "  labs replay .labs/soak/2aa-TestElectionsUnderFaults-seed17.txt\n" +
			"  labs replay .labs/traces/labs-tests-2aa-TestElectionsUnderFaults-seed17.trace",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			here, err := workspace.Find(".")
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return listKept(cmd.OutOrStdout(), here.Root)
			}
			kept, err := readKept(here.Root, args[0])
			if err != nil {
				return err
			}
			err = kept.replay(cmd.Context(), cmd.OutOrStdout(), here)
			if kept.picture != "" {
				fmt.Fprintf(cmd.OutOrStdout(), "a picture of the run that was kept, for a browser: %s\n", kept.picture)
			}
			return err
		},
	}
}

// maxKeptListed is how many runs are listed: the newest.
const maxKeptListed = 20

// listKept lists the failures and traces that are kept in the tree, the newest first.
func listKept(w io.Writer, root string) error {
	type file struct {
		name    string
		written time.Time
	}
	var all []file
	for _, pattern := range []string{soakDir + "/*.txt", traceDir + "/*.trace"} {
		names, _ := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		for _, name := range names {
			info, err := os.Stat(name)
			rel, relErr := filepath.Rel(root, name)
			if firstError(err, relErr) == nil {
				all = append(all, file{rel, info.ModTime()})
			}
		}
	}
	if len(all) == 0 {
		fmt.Fprintln(w, "No failed run is kept: seeded tests keep theirs in .labs/traces, labs soak in .labs/soak.")
		return nil
	}
	slices.SortStableFunc(all, func(a, b file) int { return b.written.Compare(a.written) })
	for _, f := range all[:min(len(all), maxKeptListed)] {
		fmt.Fprintf(w, "%s  go run ./labs replay %s\n", f.written.Format(time.DateTime), f.name)
	}
	if more := len(all) - maxKeptListed; more > 0 {
		fmt.Fprintf(w, "and %d older ones\n", more)
	}
	return nil
}

// keptRun is what a file says about a run: which test, and the trace or the seed.
type keptRun struct {
	pkg   string // "./labs/tests/2aa"; empty if the stage is known
	stage course.Stage
	test  string // "TestElections", or with a subtest "TestElections/three"
	trace string // absolute
	seed  uint64
	// what was drawn of the run that was kept; empty if nothing was
	picture string
}

var (
	traceHeader = regexp.MustCompile(`^# trace of \w+, version \d+$`)
	testOfRun   = regexp.MustCompile(`^(\./\S+) (Test\w*(?:/\S+)*)$`)
)

// readKept reads a trace, or the file of a failure and the trace that it names.
func readKept(root, file string) (*keptRun, error) {
	header, fields, err := readFields(file)
	if err != nil {
		return nil, fmt.Errorf("read the run to replay: %w", err)
	}
	switch {
	case header == failureHeader:
		return readFailure(root, file, fields)
	case !traceHeader.MatchString(header):
		return nil, fmt.Errorf("%s is neither a trace nor a failure that labs soak kept", file)
	}
	m := testOfRun.FindStringSubmatch(fields["test"])
	if m == nil {
		return nil, fmt.Errorf("%s does not say which test it is of: its second line should be # test: PACKAGE NAME", file)
	}
	kept := &keptRun{pkg: m[1], test: m[2], picture: pictureBeside(file)}
	if kept.trace, err = filepath.Abs(file); err != nil {
		return nil, err
	}
	for _, s := range course.Stages() {
		if "./"+s.TestDir == kept.pkg {
			kept.stage, kept.pkg = s, ""
		}
	}
	return kept, nil
}

// pictureBeside returns the picture that lies beside a trace, "" if there is none.
func pictureBeside(trace string) string {
	picture := strings.TrimSuffix(trace, filepath.Ext(trace)) + ".html"
	if _, err := os.Stat(picture); err != nil {
		return ""
	}
	return picture
}

func readFailure(root, file string, fields map[string]string) (*keptRun, error) {
	if trace := fields["trace"]; trace != "" {
		path := filepath.Join(root, filepath.FromSlash(trace))
		if _, err := os.Stat(path); err == nil {
			return readKept(root, path)
		}
	}
	id, test, _ := strings.Cut(fields["test"], " ")
	stage, known := course.ByID(id)
	if !known {
		return nil, fmt.Errorf("%s is of stage %q, which the course does not have", file, id)
	}
	seed, err := strconv.ParseUint(fields["seed"], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%s does not say which seed it is of", file)
	}
	return &keptRun{stage: stage, test: test, seed: seed}, nil
}

// readFields reads the first line of a file and the lines "# KEY: VALUE" that follow it at once; of each key the first.
func readFields(file string) (header string, fields map[string]string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	fields = map[string]string{}
	lines := bufio.NewScanner(f)
	for n := 0; lines.Scan(); n++ {
		line := strings.TrimRight(lines.Text(), "\r")
		if n == 0 {
			header = line
			continue
		}
		key, value, ok := strings.Cut(strings.TrimPrefix(line, "# "), ": ")
		if !ok || !strings.HasPrefix(line, "# ") {
			break
		}
		if fields[key] == "" {
			fields[key] = value
		}
	}
	return header, fields, nil // a line that is too long is no header
}

// replay plays the run.
func (k *keptRun) replay(ctx context.Context, w io.Writer, here *workspace.Space) error {
	if k.pkg != "" {
		return k.goTest(ctx, w, here)
	}
	name, _, _ := strings.Cut(k.test, "/")
	for _, t := range k.stage.Tests {
		if t.Name == name {
			return k.gradedTest(ctx, w, here, t)
		}
	}
	return fmt.Errorf("stage %s has no test %s", k.stage.ID, name)
}

// gradedTest plays it with the tests of a stage, built as for a grade.
func (k *keptRun) gradedTest(ctx context.Context, w io.Writer, here *workspace.Space, t course.Test) error {
	tests, err := buildStage(ctx, w, here, k.stage, grade.Options{HeadBytes: storyBytes})
	if err != nil {
		return err
	}
	defer tests.Close()
	t.TimeoutSeconds = max(t.TimeoutSeconds, replaySeconds)
	var args []string
	if k.trace != "" {
		args = []string{"-replay=" + k.trace}
	} else if k.seed != 0 {
		args = []string{"-seed=" + strconv.FormatUint(k.seed, 10)}
	}
	result := tests.Run(ctx, t, args...)
	if result.Output != "" {
		fmt.Fprintln(w, result.Output)
	}
	if result.Outcome == grade.Passed {
		fmt.Fprintf(w, "\n%s %s: nothing broke\n", k.stage.ID, k.test)
		return nil
	}
	head, _, _ := strings.Cut(result.Message, "\n")
	fmt.Fprintf(w, "\n%s %s: %s: %s\n", k.stage.ID, k.test, result.Outcome, head)
	return errSilent
}

// What one run may take, its story told, and how long the story may be.
const (
	replaySeconds = 60
	storyBytes    = 64 << 20
)

// goTest plays it with another package's tests, by the go command.
func (k *keptRun) goTest(ctx context.Context, w io.Writer, here *workspace.Space) error {
	changes, _, err := here.Overlay("")
	if err != nil {
		return err
	}
	mounted, err := overlay.Mount(here.Root, changes)
	if err != nil {
		return err
	}
	defer mounted.Close()
	pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(k.test), "/", "$/^") + "$"
	cmd := exec.CommandContext(ctx, "go", "test", "-trimpath", mounted.Flag(), k.pkg, "-count=1", "-v", "-run", pattern,
		"-replay="+k.trace)
	cmd.Dir, cmd.Stdout, cmd.Stderr = here.Root, w, w
	err = cmd.Run()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return errSilent
	}
	return err
}

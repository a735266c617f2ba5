// labs mutants and labs variants: grade the graders.

package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"tinykv/labs/course"
	"tinykv/labs/grade"
	"tinykv/labs/jsonfile"
	"tinykv/labs/mutant"
)

func init() {
	register(corpusCommand("mutants", mutant.Mutants, "Run wrong programs against the tests: each must be killed",
		`Run the wrong programs of labs/mutants against the graded tests of their stage: each must make a test fail.

A mutant that survives is a hole in the tests. The exit status is 0 only if all were killed, or carry a
reason why no test can see them.`))
	register(corpusCommand("variants", mutant.Variants,
		"Run right programs of another design: each must pass",
		`Run the right programs of labs/variants against the graded tests of their stage: all tests must pass.

A variant that is rejected shows a test that demands more than the contract says.`))
}

func corpusCommand(name string, kind mutant.Kind, short, long string) *cobra.Command {
	var only, jsonFile string
	var jobs int
	var every bool
	command := &cobra.Command{
		Use: name + " [STAGE...]", Short: short, Long: long,
		RunE: func(cmd *cobra.Command, args []string) error {
			here, stages, err := hereAnd(args)
			if err != nil {
				return err
			}
			if here.Learner {
				return fmt.Errorf("a workspace has no %s, they would give the solution away: run this in the tree of the course",
					name)
			}
			run := corpusRun{cmd: cmd, root: here.Root, kind: kind, only: only, jobs: jobs, every: every,
				killers: readKillers(here.Root)}
			results, err := run.all(stages)
			if err != nil {
				return err
			}
			run.killers.write(here.Root)
			err = mutant.Table(cmd.OutOrStdout(), results)
			if jsonFile != "" {
				err = firstError(err, writeCorpusJSON(jsonFile, kind, results))
			}
			if err == nil && !mutant.Good(results) {
				err = errSilent
			}
			return err
		},
	}
	command.Flags().StringVar(&only, "name", "", "run only the one of this `name`")
	command.Flags().BoolVar(&every, "all", false, "run all tests against each, and list the tests that fail for none")
	command.Flags().IntVar(&jobs, "jobs", 2, "programs to build and test at a time")
	command.Flags().StringVar(&jsonFile, "json", "", "write the results to this `file`")
	return command
}

// corpusRun is one run of labs mutants or labs variants.
type corpusRun struct {
	cmd     *cobra.Command
	root    string
	kind    mutant.Kind
	only    string
	jobs    int
	every   bool
	killers killers
}

func (c corpusRun) all(stages []course.Stage) ([]mutant.Result, error) {
	var all []mutant.Result
	found := false
	for _, s := range stages {
		entries, err := mutant.Load(c.root, c.kind, s)
		if err != nil {
			return nil, err
		}
		if c.only != "" {
			entries = slices.DeleteFunc(entries, func(e mutant.Entry) bool { return e.Name != c.only })
		}
		found = found || len(entries) > 0
		results, err := c.stage(s, entries)
		if err != nil {
			return nil, err
		}
		all = append(all, results...)
		if idle := mutant.Idle(s, results); c.every && c.only == "" && len(idle) > 0 && len(entries) > 0 {
			fmt.Fprintf(c.cmd.OutOrStdout(), "tests of %s that fail for none: %s\n", s.ID, strings.Join(idle, ", "))
		}
	}
	if !found && c.only != "" {
		return nil, fmt.Errorf("there is none of the name %q", c.only)
	}
	if !found {
		return nil, errors.New("these stages have none")
	}
	return all, nil
}

// stage runs the entries of one stage and tells on stderr how it goes.
func (c corpusRun) stage(s course.Stage, entries []mutant.Entry) ([]mutant.Result, error) {
	out := c.cmd.ErrOrStderr()
	var mu sync.Mutex
	done := 0
	last := maps.Clone(c.killers) // what is noted meanwhile is for the next run
	return mutant.Run(c.cmd.Context(), mutant.Options{
		Root: c.root, Stage: s, Entries: entries, Jobs: c.jobs, All: c.every, LastKill: last.of,
		Done: func(r mutant.Result) {
			mu.Lock()
			defer mu.Unlock()
			done++
			c.killers.note(r)
			c.tell(out, fmt.Sprintf("%s %d/%d  %s: %s %s", s.ID, done, len(entries), r.Entry.Name, r.Verdict, r.Test),
				done == len(entries))
		},
	})
}

// tell writes progress: a line that is written over on a terminal, else a line of its own.
func (c corpusRun) tell(out io.Writer, line string, last bool) {
	switch {
	case !isLively(out):
		fmt.Fprintln(out, line)
	case last:
		fmt.Fprint(out, "\r\x1b[2K")
	default:
		fmt.Fprint(out, "\r\x1b[2K"+line)
	}
}

func writeCorpusJSON(file string, kind mutant.Kind, results []mutant.Result) error {
	out, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return firstError(mutant.JSON(out, kind, results), out.Close())
}

// killers remembers which test killed a mutant the last time. It only saves time, so nothing that goes wrong with it
// matters.
type killers map[string]string

const killersFile = ".labs/killers.json"

func readKillers(root string) killers {
	k := killers{}
	if _, err := jsonfile.Read(filepath.Join(root, filepath.FromSlash(killersFile)), &k); err != nil || k == nil {
		return killers{}
	}
	return k
}

func (k killers) of(e mutant.Entry) string { return k[e.Stage+" "+e.Name] }

func (k killers) note(r mutant.Result) {
	if r.Outcome != "" && r.Outcome != grade.NotRun {
		k[r.Entry.Stage+" "+r.Entry.Name] = r.Test
	}
}

func (k killers) write(root string) {
	_ = jsonfile.Write(filepath.Join(root, filepath.FromSlash(killersFile)), k)
}

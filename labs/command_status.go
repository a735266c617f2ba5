// labs status: the board, from what the last runs said.

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tinykv/labs/course"
	"tinykv/labs/grade"
	"tinykv/labs/report"
	"tinykv/labs/workspace"
)

func init() { register(statusCommand()) }

func statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status [STAGE...]",
		Short: "Show the points of all stages, from the last run of each test",
		Long: `Show the points of all stages, from the last run of each test. Nothing is built or run.

A stage is marked "edited since" if one of the Go files that its tests are built from is no longer
what it was, and "from the reference" if it is not yours to write: the workspace begins after it, or
you caught up with it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			here, stages, err := hereAnd(args)
			if err != nil {
				return err
			}
			last, err := report.ReadLast(here.Root)
			if err != nil {
				return err
			}
			lines := last.Lines(stages, func(s course.Stage) string { return fingerprint(here, s) })
			given := givenStages(here)
			report.Give(lines, func(id string) bool { return given[id] })
			out := cmd.OutOrStdout()
			if !here.Learner {
				fmt.Fprintln(out,
					"This is the reference tree, in which nothing is left to write.\nFor a workspace: make start DIR=../my-tinykv")
			}
			if err := report.Board(out, lines); err != nil {
				return err
			}
			tellUnwritten(out, stages, func(s course.Stage) []string {
				if given[s.ID] {
					return nil
				}
				return grade.Unwritten(here.Root, s)
			})
			for _, l := range lines {
				if l.Open() {
					fmt.Fprintf(out, "next: go run ./labs test %s\n", l.Stage)
					break
				}
			}
			return nil
		},
	}
}

// tellUnwritten lists what is not written yet of the first stage of which that can be said, and counts the rest.
func tellUnwritten(out io.Writer, stages []course.Stage, unwritten func(course.Stage) []string) {
	var first string
	var later []string
	count := 0
	for _, s := range stages {
		open := unwritten(s)
		switch {
		case len(open) == 0:
		case first == "":
			first = s.ID
			fmt.Fprintf(out, "not written yet in %s:\n  %s\n", s.ID, strings.Join(open, "\n  "))
		default:
			later = append(later, s.ID)
			count += len(open)
		}
	}
	if len(later) > 0 {
		text := fmt.Sprintf("and %d more in %s: go run ./labs status STAGE", count, strings.Join(later, ", "))
		fmt.Fprintln(out, strings.Join(report.Wrap(text, report.Columns(out)), "\n"))
	}
}

// givenStages are the stages that a learner need not write: those before the workspace's first, and those that were
// caught up with. The reference has none.
func givenStages(here *workspace.Space) map[string]bool {
	given := map[string]bool{}
	if !here.Learner {
		return given
	}
	for _, s := range course.Before(course.Stages(), here.From) {
		given[s.ID] = true
	}
	for _, s := range here.CaughtUp("") {
		given[s.ID] = true
	}
	return given
}

// chosenStages are the stages that words name; without words all that the learner has to write.
func chosenStages(here *workspace.Space, words []string) ([]course.Stage, error) {
	stages, err := course.Select(words...)
	if err != nil || len(words) > 0 {
		return stages, err
	}
	given := givenStages(here)
	return slices.DeleteFunc(stages, func(s course.Stage) bool { return given[s.ID] }), nil
}

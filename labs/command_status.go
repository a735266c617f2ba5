// labs status: the board, from what the last runs said.

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"tinykv/labs/course"
	"tinykv/labs/grade"
	"tinykv/labs/report"
	"tinykv/labs/workspace"
)

func init() {
	register(&cobra.Command{
		Use:   "status [STAGE...]",
		Short: "Show the points of all stages, from the last run of each test",
		Long: `Show the points of all stages, from the last run of each test. Nothing is built or run.

A stage is marked "files changed since" if one of the Go files that its tests are built from is no longer what it was.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			stages, err := course.Select(args...)
			if err != nil {
				return err
			}
			here, err := workspace.Find(".")
			if err != nil {
				return err
			}
			last, err := report.ReadLast(here.Root)
			if err != nil {
				return err
			}
			lines := last.Lines(stages, func(s course.Stage) string { return fingerprint(here, s) })
			out := cmd.OutOrStdout()
			if !here.Learner {
				fmt.Fprintln(out,
					"This is the reference tree, in which nothing is left to write. For a workspace: make start DIR=../my-tinykv")
			}
			if err := report.Board(out, lines); err != nil {
				return err
			}
			for _, s := range stages {
				if open := grade.Unwritten(here.Root, s); len(open) > 0 {
					fmt.Fprintf(out, "not written yet in %s:\n  %s\n", s.ID, strings.Join(open, "\n  "))
				}
			}
			for _, l := range lines {
				if l.Passed < l.Tests || l.Note != "" {
					fmt.Fprintf(out, "next: go run ./labs test %s\n", l.Stage)
					break
				}
			}
			return nil
		},
	})
}

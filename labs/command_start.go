// labs start: lay out a workspace.

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"tinykv/labs/course"
	"tinykv/labs/report"
	"tinykv/labs/workspace"
)

func init() { register(startCommand()) }

func startCommand() *cobra.Command {
	var dir, from string
	command := &cobra.Command{
		Use:   "start --dir DIR [--from STAGE]",
		Short: "Lay out a workspace: yours, with functions taken out",
		Long: `Lay out a workspace of your own, with the functions of the course taken out. It is a git repository, has all that
the course consists of, and needs no network later.`,
		Example: "  labs start --dir ../my-tinykv\n  labs start --dir ../my-tinykv --from 2ab",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			stages, err := course.Select(from)
			if from == "" {
				stages, err = course.Select()
			}
			if err != nil {
				return err
			}
			here, err := workspace.Find(".")
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			tell := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
			first := stages[0]
			if err := here.Create(cmd.Context(), dir, first.ID, tell); err != nil {
				return err
			}
			ready := fmt.Sprintf("Your workspace is ready. It begins with stage %s: %s.", first.ID, first.Title)
			tell("\n%s\n", strings.Join(report.Wrap(ready, report.Columns(out)), "\n"))
			steps := [][2]string{
				{"cd " + dir, "everything works from there, without a network"},
				{"make project" + first.ID, "all red: it names what is not written yet"},
				{"less " + first.Handout, "the handout: begin here"},
			}
			wide := 0
			for _, step := range steps {
				wide = max(wide, len(step[0]))
			}
			for _, step := range steps {
				tell("  %-*s  # %s", min(wide, 28), step[0], step[1])
			}
			return nil
		},
	}
	command.Flags().StringVar(&dir, "dir", "", "the directory: empty or not there yet, outside of this tree")
	command.Flags().StringVar(&from, "from", "",
		"the stage to begin with (2ab), or the beginning of one (2); those before are written for you")
	_ = command.MarkFlagRequired("dir")
	return command
}

// labs solution: the reference's functions, to read or to put into a learner's files.

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"tinykv/labs/course"
	"tinykv/labs/report"
	"tinykv/labs/workspace"
)

func init() { register(solutionCommand()) }

func solutionCommand() *cobra.Command {
	var yes, show bool
	command := &cobra.Command{
		Use:   "solution STAGE | solution --show STAGE [FUNCTION]",
		Short: "Put the reference's functions into your files, or show them",
		Long: `Put the reference's functions of a stage into your files. Only the functions that the stage asks for are
replaced, with the helpers that only they use. It asks first, and keeps your versions of the files in .labs/backup.

With --show nothing is changed: the functions are printed, or the one that you name. One function alone can only be
shown.`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			here, err := workspace.Find(".")
			if err != nil {
				return err
			}
			stages, err := course.Select(args[0])
			if err != nil {
				return err
			}
			switch {
			case show:
				return showSolution(cmd.OutOrStdout(), here, stages, args[1:])
			case len(args) > 1:
				return errors.New("one function alone can only be shown: add --show")
			}
			for _, stage := range stages {
				if err := writeSolution(cmd, here, stage, yes); err != nil {
					return err
				}
			}
			return nil
		},
	}
	command.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	command.Flags().BoolVar(&show, "show", false, "print the functions and change nothing")
	return command
}

func showSolution(out io.Writer, here *workspace.Space, stages []course.Stage, function []string) error {
	name := strings.Join(function, "")
	for _, stage := range stages {
		text, err := here.Show(stage, name)
		if err != nil {
			return fmt.Errorf("stage %s: %w", stage.ID, err)
		}
		fmt.Fprint(out, text)
	}
	return nil
}

func writeSolution(cmd *cobra.Command, here *workspace.Space, stage course.Stage, yes bool) error {
	out := cmd.OutOrStdout()
	solution, err := here.Solution(stage)
	if err != nil {
		return err
	}
	for _, note := range solution.Notes {
		report.Note(out, note)
	}
	if len(solution.Changes) == 0 {
		if len(solution.Notes) > 0 {
			return fmt.Errorf("stage %s: nothing could be changed: repair the file that the note names, or git checkout it",
				stage.ID)
		}
		fmt.Fprintf(out, "stage %s: your files have the reference's functions already\n", stage.ID)
		return nil
	}
	fmt.Fprintf(out, "The solution of stage %s, %s, changes:\n", stage.ID, stage.Title)
	for _, name := range solution.Changes.Paths() {
		fmt.Fprintln(out, "  "+name)
	}
	if !yes && !agreed(cmd.InOrStdin(), out) {
		return errors.New("nothing was changed")
	}
	kept, err := solution.Write()
	if err != nil {
		return err
	}
	if kept != "" {
		fmt.Fprintf(out, "Done. Your versions are in %s.\n", kept)
	}
	return nil
}

// readLine reads a line and no byte more: the next question has an answer of its own.
func readLine(in io.Reader) string {
	var line strings.Builder
	b := make([]byte, 1)
	for {
		n, err := in.Read(b)
		if n == 1 && b[0] != '\n' {
			line.WriteByte(b[0])
		}
		if err != nil || n == 1 && b[0] == '\n' {
			return line.String()
		}
	}
}

// agreed asks; anything but yes is no, and so is the end of the input.
func agreed(in io.Reader, out io.Writer) bool {
	fmt.Fprint(out, "You learn more from a hint (labs hint). Replace your functions? [y/N] ")
	switch strings.ToLower(strings.TrimSpace(readLine(in))) {
	case "y", "yes":
		return true
	}
	return false
}

// labs catchup: earlier stages from the reference. labs overlay: that, or what a stage is tested with, for the go
// command.

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"tinykv/labs/course"
	"tinykv/labs/report"
	"tinykv/labs/workspace"
)

func init() {
	register(catchupCommand())
	register(overlayCommand())
}

func catchupCommand() *cobra.Command {
	var off bool
	command := &cobra.Command{
		Use:   "catchup STAGE | --off",
		Short: "Take the stages before STAGE from the reference from now on",
		Long: `Take the stages before STAGE from the reference from now on, whenever something is graded, run by make
play, or built with labs overlay. Your files stay as they are: the reference's functions are laid over them while they
are compiled. A stage's own tests are always about your functions. labs catchup --off ends it.

The stages after the one that is graded come from the reference anyway, in the same way, so that its tests are about
this stage and nothing that is not written yet. What you run is your own.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			here, err := workspace.Find(".")
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			switch {
			case off == (len(args) == 1):
				return errors.New("say which stage you want to work on, as in labs catchup 1b, or --off to end it")
			case off:
				if err := here.SetCatchUp(""); err != nil {
					return err
				}
				fmt.Fprintln(out, "Every stage is built from your own files again.")
				return nil
			}
			stages, err := course.Select(args[0])
			if err != nil {
				return err
			}
			if err := here.SetCatchUp(stages[0].ID); err != nil {
				return err
			}
			return tellCaughtUp(cmd, here)
		},
	}
	command.Flags().BoolVar(&off, "off", false, "build every stage from your own files again")
	return command
}

func tellCaughtUp(cmd *cobra.Command, here *workspace.Space) error {
	out := cmd.OutOrStdout()
	_, notes, err := here.Overlay("")
	if err != nil {
		return err
	}
	for _, note := range notes {
		report.Note(out, note)
	}
	taken := here.CaughtUp("")
	if len(taken) == 0 {
		fmt.Fprintf(out, "There is nothing to catch up to stage %s: this workspace begins with stage %s.\n",
			here.CatchUp, here.From)
		return nil
	}
	fmt.Fprint(out, "From the reference from now on:")
	for _, s := range taken {
		fmt.Fprint(out, " ", s.ID)
	}
	fmt.Fprint(out, ".\nYour files are untouched; labs catchup --off ends it. Git does not see it.\n")
	return nil
}

func overlayCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "overlay [STAGE]",
		Short: "Print a file for go build -overlay: what comes from the reference",
		Long: `Print the path of a file for the flag -overlay of go build, go run and go test, which brings the stages
that you caught up with. With a stage, it is what the stage's tests are built with: all later stages come from the
reference, too. It is as of now: ask again after you changed your files.

  go build -overlay "$(go run ./labs overlay)" -o bin/kv ./kv
  go test -overlay "$(go run ./labs overlay 2aa)" -run TestOne ./labs/tests/2aa`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := ""
			if len(args) == 1 {
				stage, known := course.ByID(args[0])
				if !known {
					_, err := course.Select(args[0])
					return firstError(err, fmt.Errorf("%s is several stages: name one", args[0]))
				}
				id = stage.ID
			}
			here, err := workspace.Find(".")
			if err != nil {
				return err
			}
			path, notes, err := here.OverlayFile(id)
			if err != nil {
				return err
			}
			for _, note := range notes {
				report.Note(cmd.ErrOrStderr(), note)
			}
			fmt.Fprintln(cmd.OutOrStdout(), path)
			return nil
		},
	}
}

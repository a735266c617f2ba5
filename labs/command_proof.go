// labs proof: show that the course is sound.

package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tinykv/labs/course"
	"tinykv/labs/proof"
)

func init() { register(proofCommand()) }

func proofCommand() *cobra.Command {
	var only []string
	command := &cobra.Command{
		Use:   "proof [STAGE...]",
		Short: "Prove the course: starters, reference, handouts",
		Long: `Prove the course: every starter compiles and fails where it should and nowhere else, the reference passes, and
the handouts tell the truth.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			here, stages, err := hereAnd(args)
			if err != nil {
				return err
			}
			reference, err := here.Reference()
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			start := time.Now()
			problems, err := proof.Run(cmd.Context(), proof.Options{
				Reference: reference, Table: course.Stages(), Stages: stages, Only: only,
				Tell: func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) },
			})
			if err != nil {
				return err
			}
			if len(problems) > 0 {
				for _, p := range problems {
					if p.Stage == "course" {
						fmt.Fprintln(out, p)
					}
				}
				return fmt.Errorf("%d problem(s) with the course", len(problems))
			}
			verdict := "The course is sound"
			if only != nil {
				verdict = "No problems found"
			}
			fmt.Fprintf(out, "%s: %d stage(s) in %.0f s.\n", verdict, len(stages), time.Since(start).Seconds())
			return nil
		},
	}
	command.Flags().StringSliceVar(&only, "only", nil, "run only these checks; go doc ./labs/proof lists them")
	return command
}

// labs test: grade stages of the tree one stands in.

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"tinykv/labs/grade"
	"tinykv/labs/workspace"
)

func init() {
	var f runFlags
	command := &cobra.Command{
		Use:   "test [STAGE...]",
		Short: "Run the graded tests of stages, and show the points",
		Long: `Run the graded tests of stages (1a), projects (1), everything that begins so (2a), or all, and show the points that each test earns.

Each test runs in a process of its own, so one that hangs or panics costs its own points only. A function that is not
written yet is told by name and file. The exit status is 0 only if every test passed. Without a STAGE the stages that come
from the reference are left out.`,
		Example: "  labs test 1a\n  labs test 1a --run TestSnapshot -v\n  labs test 1 --json report.json\n" +
			"  labs test 2aa --run TestElectionsUnderFaults --seed 17",
		RunE: func(cmd *cobra.Command, args []string) error {
			here, err := workspace.Find(".")
			if err != nil {
				return err
			}
			stages, err := chosenStages(here, args)
			if err != nil {
				return err
			}
			r, err := runStages(cmd.Context(), cmd.OutOrStdout(), here, f, grade.Options{Stages: stages})
			if err != nil {
				return err
			}
			if !r.Passed() {
				adviseAfterFailure(cmd, r)
				return errSilent
			}
			return nil
		},
	}
	f.add(command)
	command.Flags().StringVar(&f.run, "run", "",
		"run only the `test` of this name, or those that match this regular expression")
	command.Flags().BoolVar(&f.race, "race", false, "build with the race detector (slower, needs a C compiler)")
	command.Flags().Uint64Var(&f.seed, "seed", 0, "play this seed in seeded tests")
	command.Flags().Uint64Var(&f.seeds, "seeds", 0, "play so many seeds in seeded tests, from --seed on")
	register(command)
}

// adviseAfterFailure says what one can do next: with the first test that did not pass.
func adviseAfterFailure(cmd *cobra.Command, r *grade.Report) {
	for s, t := range r.Each {
		if t.Outcome == grade.Passed || t.Outcome == grade.NotRun {
			continue
		}
		out := cmd.OutOrStdout()
		fmt.Fprintf(out, "\n  the exercise       %s\n", s.Stage.Handout)
		if s.BuildError == "" {
			fmt.Fprintf(out, "  one test alone     %s\n", t.Replay)
		}
		fmt.Fprintf(out, "  on every save      go run ./labs watch %s\n", s.Stage.ID)
		fmt.Fprintf(out, "  stuck?             go run ./labs hint %s\n", s.Stage.ID)
		return
	}
}

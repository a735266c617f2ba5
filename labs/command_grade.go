// labs grade: an instructor's grade of somebody else's tree.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"tinykv/labs/course"
	"tinykv/labs/grade"
	"tinykv/labs/report"
	"tinykv/labs/workspace"
)

func init() {
	var f runFlags
	var words, packs []string
	command := &cobra.Command{
		Use:   "grade DIR",
		Short: "Grade a learner's tree with pristine tests (for instructors)",
		Long: `Grade a learner's tree: the code of the packages that the course asks to be written is taken from DIR, and everything
else from the tree that labs stands in. So edited tests, helpers and build files change nothing. DIR is only read.

A hidden pack is a directory with tests that the learner has not seen and a pack.toml that says what they are worth:

  name = "midterm"
  [[test]]
  name = "TestBatchOfTenThousand"
  points = 5
  stage = "1a"
  package = "."

The code of strangers runs as you. Grade it in a container without network: go doc ./labs/grade says what is not defended.`,
		Example: "  labs grade ../alice --json alice.json\n  labs grade ../alice --stages 1a,1b --hidden ../midterm --gradescope results.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			here, err := workspace.Find(".")
			if err != nil {
				return err
			}
			if here.Learner {
				return errors.New("this is a workspace: run labs grade in the tree of the course, whose tests can be trusted")
			}
			stages, err := course.Select(words...)
			if err != nil {
				return err
			}
			r, err := gradeTree(cmd.Context(), cmd.OutOrStdout(), here.Root, args[0], stages, packs, f)
			if err == nil && !r.Passed() {
				err = errSilent
			}
			return err
		},
	}
	f.add(command)
	command.Flags().StringSliceVar(&words, "stages", nil, "stages or projects to grade; all if left out")
	command.Flags().StringSliceVar(&packs, "hidden", nil, "directory of a hidden `pack`")
	register(command)
}

// gradeTree assembles the tree in a temporary directory, grades it and reports. It keeps nothing in either tree.
func gradeTree(ctx context.Context, w io.Writer, courseRoot, learnerRoot string, stages []course.Stage, packs []string,
	f runFlags) (*grade.Report, error) {
	scratch, err := os.MkdirTemp("", "labs-tree-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the tree to grade: %w", err)
	}
	defer os.RemoveAll(scratch)
	root := filepath.Join(scratch, "tree")
	hidden := map[string]bool{}
	notices, err := grade.Pristine(courseRoot, learnerRoot, root, course.Stages())
	if err != nil {
		return nil, err
	}
	for _, dir := range packs {
		pack, err := grade.LoadPack(dir, course.Stages())
		if err != nil {
			return nil, err
		}
		if err := pack.Files.WriteTo(root); err != nil {
			return nil, fmt.Errorf("lay out the hidden pack: %w", err)
		}
		for id := range pack.HiddenIDs() {
			if hidden[id] {
				return nil, fmt.Errorf("two hidden packs are called %s: rename one", pack.Name)
			}
			hidden[id] = true
		}
		stages = append(stages, pack.Stages...)
	}
	progress := report.NewProgress(w, stages, nil, report.ProgressOptions{Live: isTerminal(w), Verbose: f.verbose})
	r, err := grade.Run(ctx, grade.Options{
		Root: root, Stages: stages, Jobs: f.jobs, Hidden: hidden, Observe: progress.Observe,
		Replay: func(stage, test string) string {
			if hidden[stage] {
				return ""
			}
			return fmt.Sprintf("go run ./labs test %s --run %s", stage, test)
		},
	})
	if err != nil {
		progress.Finish(&grade.Report{})
		return nil, err
	}
	progress.Finish(r)
	r.Notices = append(r.Notices, notices...)
	return r, firstError(report.Summary(w, r), f.writeReports(r))
}

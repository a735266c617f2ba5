// labs grade: an instructor's grade of somebody else's tree.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"tinykv/labs/course"
	"tinykv/labs/grade"
	"tinykv/labs/graft"
	"tinykv/labs/overlay"
	"tinykv/labs/report"
	"tinykv/labs/scratch"
	"tinykv/labs/starter"
	"tinykv/labs/workspace"
)

func init() {
	var f runFlags
	var words, packs []string
	command := &cobra.Command{
		Use:   "grade DIR",
		Short: "Grade a learner's tree with pristine tests (for instructors)",
		Long: `Grade a learner's tree: the code of the packages that the course asks to be written is taken from DIR,
and everything else from the tree that labs stands in. So edited tests, helpers and build files change nothing. DIR is
only read.

A hidden pack is a directory with tests that the learner has not seen and a pack.toml that says what they are worth:

  name = "midterm"
  [[test]]
  name = "TestBatchOfTenThousand"
  points = 5
  stage = "1a"
  package = "."

The code of strangers runs as you. Grade it in a container without network: go doc ./labs/grade says what is not
defended.`,
		Example: "  labs grade ../alice --json alice.json\n" +
			"  labs grade ../alice --stages 1 --hidden ../midterm --gradescope results.json",
		Args: cobra.ExactArgs(1),
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
			r, err := gradeTree(cmd.Context(), cmd.OutOrStdout(), gradeJob{
				course: here.Root, learner: args[0], table: course.Stages(), stages: stages, packs: packs, flags: f,
			})
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

// gradeJob says whose tree is graded, how.
type gradeJob struct {
	course, learner string         // roots of the two trees
	table           []course.Stage // the whole course
	stages          []course.Stage // what to grade
	packs           []string       // directories of hidden packs
	flags           runFlags
}

// gradeTree assembles the tree in a temporary directory, grades it and reports. It keeps nothing in either tree.
func gradeTree(ctx context.Context, w io.Writer, job gradeJob) (*grade.Report, error) {
	dir, err := scratch.Make("tree")
	if err != nil {
		return nil, err
	}
	defer dir.Remove()
	root := filepath.Join(dir.Path, "tree")
	notices, err := grade.Pristine(job.course, job.learner, root, job.table)
	if err != nil {
		return nil, err
	}
	stages, hidden, err := addPacks(job)
	if err != nil {
		return nil, err
	}
	progress := report.NewProgress(w, stages, nil, report.ProgressOptions{Live: isLively(w), Verbose: job.flags.verbose})
	later, more, err := laterStages(job, root, stages, hidden)
	if err != nil {
		return nil, err
	}
	notices = append(notices, more...)
	r, err := grade.Run(ctx, grade.Options{
		Root: root, Stages: stages, Jobs: job.flags.jobs, CleanEnv: true, Observe: progress.Observe,
		// As an overlay, the sources of hidden tests are gone before the first line of the learner's code runs.
		Overlay:  func(stage string) overlay.Files { return hidden[stage].Over(later[stage]) },
		Fallback: func(stage string) overlay.Files { return hidden[stage] },
		Hidden:   func(stage string) bool { return hidden[stage] != nil },
		Replay: func(stage, test string) string {
			if hidden[stage] != nil {
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
	return r, firstError(report.Summary(w, r), job.flags.writeReports(r))
}

// laterStages returns, for each stage that is graded, the reference's functions of all stages after it, over those of
// the learner. Hidden tests of a stage are about that stage.
func laterStages(job gradeJob, root string, stages []course.Stage, hidden map[string]overlay.Files) (
	later map[string]overlay.Files, notices []string, err error,
) {
	reference, err := overlay.Read(job.course)
	if err != nil {
		return nil, nil, err
	}
	learner, err := overlay.ReadDirs(root, starter.Dirs(starter.Holes(job.table)))
	if err != nil {
		return nil, nil, err
	}
	later = map[string]overlay.Files{}
	for _, s := range stages {
		about := s
		if hidden[s.ID] != nil {
			about.ID = grade.AboutStage(s.ID)
		}
		c := graft.Course{Reference: hidden[s.ID].Over(reference), Hollow: job.table}
		changes, notes, err := graft.Later(learner, c, job.table, about)
		if err != nil {
			return nil, nil, err
		}
		later[s.ID] = changes
		for _, note := range notes {
			if !slices.Contains(notices, note) {
				notices = append(notices, note)
			}
		}
	}
	return later, notices, nil
}

// addPacks reads the hidden packs and returns all stages, and for each that is hidden the files of its tests.
func addPacks(job gradeJob) (stages []course.Stage, hidden map[string]overlay.Files, err error) {
	stages, hidden = slices.Clone(job.stages), map[string]overlay.Files{}
	for _, dir := range job.packs {
		pack, err := grade.LoadPack(dir, job.table)
		if err != nil {
			return nil, nil, err
		}
		for _, s := range pack.Stages {
			if hidden[s.ID] != nil {
				return nil, nil, fmt.Errorf("two hidden packs are called %s: rename one", pack.Name)
			}
			hidden[s.ID] = pack.Files
		}
		stages = append(stages, pack.Stages...)
	}
	return stages, hidden, nil
}

// What comes from the reference: its functions over a learner's files, to catch up and beyond the stage that is
// tested, or in them, as a solution.

package workspace

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"tinykv/labs/course"
	"tinykv/labs/graft"
	"tinykv/labs/jsonfile"
	"tinykv/labs/overlay"
	"tinykv/labs/starter"
)

// SetCatchUp records that the stages before the given one come from the reference from now on; "" ends it. Git does not
// see the record: nothing of the learner's work changes.
func (s *Space) SetCatchUp(stage string) error {
	if !s.Learner {
		return ErrNotAWorkspace
	}
	if stage != "" && len(course.From(s.stages, stage)) == 0 {
		return fmt.Errorf("catch up: there is no stage %q", stage)
	}
	path := filepath.Join(s.Root, catchUpFile)
	var err error
	if stage == "" {
		err = os.RemoveAll(path) // no error if it is not there
	} else {
		err = jsonfile.Write(path, catchUp{format, stage})
	}
	if err != nil {
		return fmt.Errorf("record in the workspace: %w", err)
	}
	s.CatchUp = stage
	return nil
}

// CaughtUp returns the stages whose functions come from the reference when the given stage is built or tested: those
// before the one that the workspace caught up to, but never the stage itself or a later one, since its tests are
// about the learner's functions. Without a stage it is what the learner's program is built with.
func (s *Space) CaughtUp(stage string) []course.Stage {
	if !s.Learner || s.CatchUp == "" {
		return nil
	}
	limit := len(course.Before(s.stages, s.CatchUp))
	if stage != "" {
		limit = min(limit, len(course.Before(s.stages, stage)))
	}
	hollow := s.Hollow()
	first := len(s.stages) - len(hollow)
	return hollow[:max(limit-first, 0)]
}

// Overlay returns what is laid over the learner's files when the given stage is built or tested: the stages that are
// caught up, and all that come after it, are the reference's. So the stage's tests may use the whole system, and what
// the learner wrote of later stages costs this one no points. Without a stage it is what the learner's program is
// built with: what is caught up and no more. The notes tell the learner, a line each, where a file of theirs does not
// parse.
func (s *Space) Overlay(stage string) (changes overlay.Files, notes []string, err error) {
	if stage == "" {
		return s.CatchUpOverlay(stage)
	}
	hollow := s.Hollow()
	if len(hollow) == 0 || len(course.From(hollow, stage)) == 1 && len(s.CaughtUp(stage)) == 0 {
		return overlay.Files{}, nil, nil
	}
	c, learner, err := s.grafted(s.CaughtUp(stage))
	if err != nil {
		return nil, nil, err
	}
	return graft.Later(learner, c, s.stages, s.stage(stage))
}

// CatchUpOverlay is Overlay without the stages after the given one: what they consist of is the learner's.
func (s *Space) CatchUpOverlay(stage string) (changes overlay.Files, notes []string, err error) {
	take := s.CaughtUp(stage)
	if len(take) == 0 {
		return overlay.Files{}, nil, nil
	}
	c, learner, err := s.grafted(take)
	if err != nil {
		return nil, nil, err
	}
	return graft.Over(learner, c)
}

// grafted returns what a graft works with.
func (s *Space) grafted(take []course.Stage) (c graft.Course, learner overlay.Files, err error) {
	reference, err := s.Reference()
	if err != nil {
		return c, nil, err
	}
	if learner, err = s.learner(); err != nil {
		return c, nil, err
	}
	return graft.Course{Reference: reference, Hollow: s.Hollow(), Take: take}, learner, nil
}

// stage returns the stage with this id; one that the table does not have has no tests.
func (s *Space) stage(id string) course.Stage {
	if from := course.From(s.stages, id); len(from) > 0 {
		return from[0]
	}
	return course.Stage{ID: id}
}

// learner reads the learner's files in the packages that have holes. Whatever else is in the workspace, a database
// perhaps, is left alone.
func (s *Space) learner() (overlay.Files, error) {
	return overlay.ReadDirs(s.Root, starter.Dirs(starter.Holes(s.Hollow())))
}

// OverlayFile writes the overlay of a stage's tests, or, without a stage, of the learner's program where it stays, for
// go build -overlay, and returns the path of its JSON file. Each call replaces what the one before wrote for the same
// stage.
func (s *Space) OverlayFile(stage string) (path string, notes []string, err error) {
	changes, notes, err := s.Overlay(stage)
	if err != nil {
		return "", nil, err
	}
	suffix := ""
	if stage != "" {
		suffix = "-" + stage
	}
	mounted, err := overlay.MountIn(filepath.Join(s.Root, overlayDir+suffix), s.Root, changes)
	if err != nil {
		return "", nil, err
	}
	return mounted.JSON, notes, nil
}

// Solution is a stage's solution in a learner's files, not yet written.
type Solution struct {
	Stage   course.Stage
	Changes overlay.Files // the files as they will be
	Notes   []string

	space  *Space
	before overlay.Files // the files as they are
}

// Solution works out what the solution of a stage changes. Nothing is written before Write.
func (s *Space) Solution(stage course.Stage) (*Solution, error) {
	if !s.Learner {
		return nil, ErrNotAWorkspace
	}
	hollow := s.Hollow()
	if len(course.From(hollow, stage.ID)) == 0 {
		return nil, fmt.Errorf("stage %s is solved in this workspace: it begins with stage %s", stage.ID, s.From)
	}
	reference, err := s.Reference()
	if err != nil {
		return nil, err
	}
	learner, err := s.learner()
	if err != nil {
		return nil, err
	}
	changes, notes, err := graft.Into(learner, graft.Course{
		Reference: reference, Hollow: hollow, Take: []course.Stage{stage},
	})
	if err != nil {
		return nil, err
	}
	return &Solution{Stage: stage, Changes: changes, Notes: notes, space: s, before: learner}, nil
}

// Write keeps the learner's versions of the files that change, then changes them. It returns the directory, relative
// to the workspace, in which they are kept; "" if there was nothing to keep.
func (s *Solution) Write() (kept string, err error) {
	old := overlay.Files{}
	for name := range s.Changes {
		if s.before.Has(name) {
			old[name] = s.before[name]
		}
	}
	if len(old) > 0 {
		if kept, err = s.space.newBackup(s.Stage.ID); err != nil {
			return "", err
		}
		if err := old.WriteTo(filepath.Join(s.space.Root, kept)); err != nil {
			return "", fmt.Errorf("keep your version: %w", err)
		}
	}
	if err := s.Changes.WriteTo(s.space.Root); err != nil {
		return kept, fmt.Errorf("write the solution: %w", err)
	}
	return kept, nil
}

// newBackup makes the first directory of .labs/backup/1a-1, 1a-2, ... that does not exist.
func (s *Space) newBackup(stage string) (string, error) {
	if err := os.MkdirAll(filepath.Join(s.Root, backupDir), 0o755); err != nil {
		return "", fmt.Errorf("keep your version: %w", err)
	}
	for n := 1; ; n++ {
		dir := fmt.Sprintf("%s/%s-%d", backupDir, stage, n)
		err := os.Mkdir(filepath.Join(s.Root, dir), 0o755)
		if err == nil {
			return dir, nil
		}
		if !os.IsExist(err) {
			return "", fmt.Errorf("keep your version: %w", err)
		}
	}
}

// Show returns the reference's functions for the holes of a stage, with the helpers that only the stage's holes use,
// as Go source under the names of their files. If function is not empty, only that one.
func (s *Space) Show(stage course.Stage, function string) (string, error) {
	reference, err := s.Reference()
	if err != nil {
		return "", err
	}
	pieces, err := graft.Show(reference, starter.Holes([]course.Stage{stage}), function)
	if err != nil {
		return "", err
	}
	return strings.Join(pieces, "\n\n") + "\n", nil
}

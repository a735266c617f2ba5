// Space: where labs stands, found from the files around it, and what is recorded of a workspace.

package workspace

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"tinykv/labs/course"
	"tinykv/labs/jsonfile"
	"tinykv/labs/overlay"
	"tinykv/labs/starter"
)

// Names within a workspace.
const (
	Dir           = ".labs"
	recordFile    = ".labs/workspace.json"
	catchUpFile   = ".labs/catchup.json"
	referenceFile = ".labs/reference.tar.gz"
	backupDir     = ".labs/backup"
	overlayDir    = ".labs/overlay"
)

// format is the version of workspace.json, of catchup.json and of the archive.
const format = 1

// Space is a tree that labs works in: a learner's workspace, or the reference itself.
type Space struct {
	Root    string
	Learner bool   // it is a workspace
	From    string // workspace: the first stage that has holes
	CatchUp string // workspace: stages before this one come from the reference; "" if none do

	stages    []course.Stage
	reference overlay.Files // once read
}

// record is workspace.json, which git tracks: what a workspace is, in every clone.
type record struct {
	Format int    `json:"format"`
	From   string `json:"from"`
}

// catchUp is catchup.json, which git ignores: how one person works in one clone.
type catchUp struct {
	Format int    `json:"format"`
	Before string `json:"before"` // the stages before this one come from the reference
}

// Find returns the space that dir is in. It is an error if neither dir nor a directory above it is one.
func Find(dir string) (*Space, error) { return FindFor(dir, course.Stages()) }

// FindFor is Find for another table of stages than the course's.
func FindFor(dir string, stages []course.Stage) (*Space, error) {
	start, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the workspace: %w", err)
	}
	for root := start; ; root = filepath.Dir(root) {
		mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
		if err == nil {
			if module, err := starter.Module(overlay.Files{"go.mod": mod}); err == nil && module == "tinykv" {
				return open(root, stages)
			}
		}
		if filepath.Dir(root) == root {
			return nil, fmt.Errorf("%s is in no TinyKV workspace: go to the one that make start made, or to the clone",
				start)
		}
	}
}

// open reads what is recorded of the space at root.
func open(root string, stages []course.Stage) (*Space, error) {
	var r record
	found, err := jsonfile.Read(filepath.Join(root, recordFile), &r)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the workspace: %s is damaged (%w): git checkout %s puts it back",
			recordFile, err, recordFile)
	case !found:
		return &Space{Root: root, stages: stages}, nil
	}
	var c catchUp
	if _, err := jsonfile.Read(filepath.Join(root, catchUpFile), &c); err != nil {
		return nil, fmt.Errorf("read the workspace: %s is damaged (%w): remove it, and catch up again", catchUpFile, err)
	}
	for _, read := range []struct {
		file   string
		format int
		stage  string
	}{{recordFile, r.Format, r.From}, {catchUpFile, c.Format, c.Before}} {
		if read.format > format {
			return nil, fmt.Errorf("read the workspace: %s has format %d, this labs knows %d: use the workspace's own labs",
				read.file, read.format, format)
		}
		if read.stage != "" && len(course.From(stages, read.stage)) == 0 {
			return nil, fmt.Errorf("read the workspace: %s names stage %q, which the course does not have",
				read.file, read.stage)
		}
	}
	return &Space{Root: root, Learner: true, From: r.From, CatchUp: c.Before, stages: stages}, nil
}

// Reference returns the reference tree. It is read once; treat it as immutable.
func (s *Space) Reference() (overlay.Files, error) {
	if s.reference != nil {
		return s.reference, nil
	}
	var err error
	if s.Learner {
		s.reference, err = unpack(filepath.Join(s.Root, referenceFile))
	} else {
		s.reference, err = tracked(s.Root)
	}
	return s.reference, err
}

// Hollow returns the stages that have holes in this workspace: those from From on. The reference has none.
func (s *Space) Hollow() []course.Stage {
	if !s.Learner {
		return nil
	}
	return course.From(s.stages, s.From)
}

// ErrNotAWorkspace is the answer to what only a learner's workspace can do.
var ErrNotAWorkspace = errors.New("this is the reference, not a workspace: make start DIR=../my-tinykv lays one out")

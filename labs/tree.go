// The tree that labs stands in: the reference itself or a learner's workspace.

package main

import (
	"errors"
	"os"
	"path/filepath"
)

// tree is where labs works.
type tree struct {
	root      string
	workspace bool // laid out by labs start; else it is the reference tree
}

// workspaceFile marks a learner's workspace.
const workspaceFile = ".labs/workspace.json"

// findTree goes up from the current directory to the go.mod of the tree.
func findTree() (tree, error) {
	dir, err := os.Getwd()
	if err != nil {
		return tree{}, err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			_, err := os.Stat(filepath.Join(dir, filepath.FromSlash(workspaceFile)))
			return tree{root: dir, workspace: err == nil}, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return tree{}, errors.New("there is no go.mod here or above: run labs in the tree of the course or in your workspace")
		}
		dir = parent
	}
}

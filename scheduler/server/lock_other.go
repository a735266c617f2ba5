// Systems without flock: the file is there, but holds nobody off.

//go:build !unix

package server

import (
	"fmt"
	"os"
	"path/filepath"
)

func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot write to the scheduler's directory %s (%w): choose another one",
			filepath.Dir(path), err)
	}
	return f, nil
}

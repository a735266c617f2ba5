// The lock on a directory, held by the process and released by the system when the process ends, however it ends.

//go:build unix

package server

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot write to the scheduler's directory %s (%w): choose another one",
			filepath.Dir(path), err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("the scheduler's directory %s is in use by another process: stop that or choose another",
			filepath.Dir(path))
	}
	return f, nil
}

// What can't be done where there are no signals.

//go:build !unix

package main

import (
	"errors"
	"os/exec"
)

func bindToParent(*exec.Cmd) {}

// pause stops the process, or lets it go on.
func (c *child) pause(bool) error { return errors.New("this system can't pause a process") }

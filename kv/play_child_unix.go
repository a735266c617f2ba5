// Pausing a process, where that is possible.

//go:build unix

package main

import "syscall"

// pause stops the process, or lets it go on.
func (c *child) pause(stop bool) error {
	if stop {
		return c.cmd.Process.Signal(syscall.SIGSTOP)
	}
	return c.cmd.Process.Signal(syscall.SIGCONT)
}

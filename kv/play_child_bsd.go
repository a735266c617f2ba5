// What other systems like Unix do for processes that must not outlive their parent.

//go:build unix && !linux

package main

import (
	"os/exec"
	"syscall"
)

// bindToParent keeps signals of the terminal from the process. When its parent is gone the keeper ends it.
func bindToParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

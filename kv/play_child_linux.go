// What Linux does for processes that must not outlive their parent.

package main

import (
	"os/exec"
	"syscall"
)

// bindToParent keeps signals of the terminal from the process, and has the system kill it when the thread that started it
// ends. That also reaches a process that is paused.
func bindToParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if cmd.Args[1] != keeperCommand { // it has to clean up then
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
}

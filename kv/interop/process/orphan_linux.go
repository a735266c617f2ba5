// A test that runs into its time limit ends without cleaning up. On Linux the kernel then ends the server.

package process

import (
	"os/exec"
	"syscall"
)

// endWithParent has the kernel kill the process when the one that started it is gone.
func endWithParent(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

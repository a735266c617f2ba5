// Process groups and limits on systems like Unix without /proc: groups are killed, memory is only asked of the Go
// runtime.

//go:build !linux && unix

package grade

import (
	"os"
	"os/exec"
	"syscall"
)

func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if cmd.Cancel != nil {
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	}
}

func killGroup(p *os.Process)        { syscall.Kill(-p.Pid, syscall.SIGKILL) }
func askForTraces(p *os.Process)     { syscall.Kill(p.Pid, syscall.SIGQUIT) }
func processMemory(int) int64        { return 0 }
func groupMemory(int) (int64, int)   { return 0, 0 }
func killMarked(string)              {}
func limitOwnFiles(uint64)           {}
func limitFiles(*os.Process, uint64) {}

func exitSignal(s *os.ProcessState) string {
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return status.Signal().String()
	}
	return ""
}

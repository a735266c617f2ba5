// Process groups, limits and the hunt for what escaped, on Linux.

package grade

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// ownGroup puts the process into a group of its own, and lets the kernel kill it if the grader dies without saying so.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if cmd.Cancel != nil {
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	}
}

// killGroup kills every process of the group. That there is none any more is fine.
func killGroup(p *os.Process) { syscall.Kill(-p.Pid, syscall.SIGKILL) }

// askForTraces makes a Go process print its goroutines and exit.
func askForTraces(p *os.Process) { syscall.Kill(p.Pid, syscall.SIGQUIT) }

// limitOwnFiles gives this process the limit that its children inherit from their first instruction on: limitFiles comes
// a moment after their start. Only the soft limit, so that it can be taken back.
func limitOwnFiles(size uint64) {
	var own syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_FSIZE, &own) == nil && own.Cur > size {
		own.Cur = size
		_ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &own) // without it limitFiles does what it can
	}
}

// limitFiles bounds the size of each file that the process and its children write, in bytes, and switches off core
// dumps.
func limitFiles(p *os.Process, size uint64) {
	const rlimitFileSize, rlimitCore = 1, 4
	for resource, limit := range map[uintptr]syscall.Rlimit{rlimitFileSize: {Cur: size, Max: size}, rlimitCore: {}} {
		syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(p.Pid), resource, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	}
}

// exitSignal names the signal that ended the process, or "".
func exitSignal(s *os.ProcessState) string {
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return status.Signal().String()
	}
	return ""
}

// processMemory is what the process holds of the machine's memory, in bytes, without pages of files.
func processMemory(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data)) // size, resident, shared with files, …, in pages
	if len(fields) < 3 {
		return 0
	}
	resident, _ := strconv.ParseInt(fields[1], 10, 64)
	shared, _ := strconv.ParseInt(fields[2], 10, 64)
	return (resident - shared) * int64(os.Getpagesize())
}

// groupMemory is the sum over the processes of a group, and how many they are.
func groupMemory(group int) (bytes int64, processes int) {
	for _, pid := range procEntries() {
		if fields := statFields(pid); len(fields) > 2 && fields[2] == strconv.Itoa(group) {
			bytes += processMemory(pid)
			processes++
		}
	}
	return bytes, processes
}

// killMarked kills every process that has the mark in its environment, also those that left the group. It looks again
// until it finds none, since they may be multiplying.
func killMarked(mark string) {
	for range 100 {
		found := false
		for _, pid := range procEntries() {
			if pid == os.Getpid() {
				continue
			}
			environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
			if err == nil && slices.ContainsFunc(bytes.Split(environ, []byte{0}),
				func(v []byte) bool { return string(v) == mark }) {
				found = syscall.Kill(pid, syscall.SIGKILL) == nil || found
			}
		}
		if !found {
			return
		}
	}
}

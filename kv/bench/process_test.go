// The systems under load: processes of their own, what they use, and how they end.

package bench

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// child is a program that was started, and says "ready ..." on a line of its own when it serves.
type child struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

// start starts a program, which is ended with the benchmark.
func start(b *testing.B, cmd *exec.Cmd) child {
	b.Helper()
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			b.Errorf("%s ended with %v", cmd.Path, err)
		}
	})
	return child{cmd, bufio.NewScanner(out)}
}

// ready waits until the program serves, and returns the line that says so.
func (c child) ready(b *testing.B) string {
	b.Helper()
	for c.lines.Scan() {
		if strings.HasPrefix(c.lines.Text(), "ready") {
			return c.lines.Text()
		}
	}
	b.Fatalf("%s ended before it was ready", c.cmd.Path)
	return ""
}

// readyAll waits until all of them serve, and returns their process ids.
func readyAll(b *testing.B, children []child) (pids []int) {
	b.Helper()
	for _, c := range children {
		c.ready(b)
		pids = append(pids, c.cmd.Process.Pid)
	}
	return pids
}

// fields are the words NAME=VALUE of a line.
func fields(line string) map[string]string {
	all := map[string]string{}
	for _, field := range strings.Fields(line) {
		name, value, _ := strings.Cut(field, "=")
		all[name] = value
	}
	return all
}

// freeAddrs returns addresses that nobody listens on at the moment.
func freeAddrs(b *testing.B, n int) []string {
	b.Helper()
	addrs := make([]string, n)
	for i := range addrs {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer lis.Close() // all are taken before the first is given back, so they differ
		addrs[i] = lis.Addr().String()
	}
	return addrs
}

// clockTick is the unit of processor time in /proc; it has this value on every Linux.
const clockTick = 10 * time.Millisecond

// cpuOf adds up the processor time of processes, from /proc.
func cpuOf(b *testing.B, pids []int) time.Duration {
	b.Helper()
	var ticks uint64
	for _, pid := range pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			b.Fatalf("the processor time of other processes is read from /proc: %v", err)
		}
		_, rest, _ := strings.Cut(string(data), ") ") // behind the name, which may hold anything
		words := strings.Fields(rest)
		for _, word := range words[11:13] { // time in user mode, time in the kernel
			n, err := strconv.ParseUint(word, 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * clockTick
}

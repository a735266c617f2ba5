// One test, one process: its own group, directory for temporary files, time limit, memory limit, bounded output.

package grade

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tinykv/labs/course"
	"tinykv/labs/scratch"
)

const (
	memoryPoll     = 25 * time.Millisecond  // how often a process's memory is read; at 2 GB/s it overshoots by 50 MB
	groupPollEvery = 8                      // every so many polls the whole group is counted, which costs more
	maxFileSize    = 1 << 30                // bytes of one file that a test writes
	maxProcesses   = 256                    // of a group; no test needs ten
	quitGrace      = 500 * time.Millisecond // how long a process that timed out has to print where its goroutines are
	// how long a child may hold the output open after the test's process has ended
	outputWaitDelay = 300 * time.Millisecond
	// the runtime is told to aim at 2/3 of the limit, so that garbage is not held against anybody
	goMemoryShare = 3
	// in the environment of each test process, so that what escapes its group is found
	runEnv = "LABS_GRADE_PROCESS"
)

// execute runs one test in a process of its own and returns what is known of it when the process and all that it
// started is gone. The test must have begun within startLimit.
func execute(ctx context.Context, b *binary, t course.Test, startLimit time.Duration, opts Options) execution {
	begun := make(chan struct{})
	e := execution{
		transcript: transcript{test: t.Name, nonce: b.nonce, headMax: opts.HeadBytes,
			onBegin: sync.OnceFunc(func() { close(begun) })},
		limit: t.Timeout(), memoryMax: opts.MemoryBytes, exit: -1,
	}
	e.startLimit = min(startLimit, e.limit)
	temp, err := os.MkdirTemp(filepath.Dir(b.path), "run-")
	if err != nil {
		e.startErr = err
		return e
	}
	defer scratch.RemoveAll(temp)

	mark, err := newNonce()
	if err != nil {
		e.startErr = err
		return e
	}
	args := []string{"-test.run=^" + t.Name + "$", "-test.v=test2json", "-test.paniconexit0", "-test.timeout=0",
		"-test.count=1"}
	cmd := exec.Command(b.path, append(args, opts.Args...)...)
	cmd.Dir = b.dir
	cmd.Env = testEnv(opts, temp, mark)
	cmd.Stdout, cmd.Stderr = &e.transcript, &e.transcript // the same value, so the two never write at once
	cmd.WaitDelay = outputWaitDelay
	ownGroup(cmd)
	supervise(ctx, cmd, &e, begun)
	killMarked(runEnv + "=" + mark)
	e.output = e.text()
	e.traces = keepTraces(opts, temp)
	e.rewrite(func(text string) string {
		for _, kept := range e.traces {
			text = strings.ReplaceAll(text, filepath.Join(temp, traceDir, path.Base(kept)), kept)
		}
		return strings.ReplaceAll(text, temp, "$TMPDIR") // which is gone and says nothing
	})
	return e
}

// rewrite changes all that the test printed.
func (e *execution) rewrite(change func(string) string) {
	e.output = change(e.output)
	for i := range e.blocks {
		e.blocks[i].text = change(e.blocks[i].text)
	}
	for i := range e.replays {
		e.replays[i] = change(e.replays[i])
	}
}

const (
	traceDir      = "tinykv-traces" // where in its directory for temporary files a test leaves traces of failed runs
	maxTraceBytes = 16 << 20
	maxTraces     = 16
)

// traceEndings are of files that are kept: a trace, and beside it a picture of what clients saw.
var traceEndings = []string{".trace", ".html"}

// keepTraces copies the traces that a test left, and what lies beside them, to where opts wants them, and returns their
// names relative to the root of the tree.
func keepTraces(opts Options, temp string) (kept []string) {
	root, err := os.OpenRoot(temp) // a link that leads out is not followed
	if err != nil || opts.TraceDir == "" {
		return nil
	}
	defer root.Close()
	entries, _ := fs.ReadDir(root.FS(), traceDir)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() > maxTraceBytes || len(kept) == maxTraces ||
			!slices.Contains(traceEndings, path.Ext(e.Name())) {
			continue
		}
		content, err := root.ReadFile(filepath.Join(traceDir, e.Name()))
		if err != nil {
			continue
		}
		dir := filepath.Join(opts.Root, filepath.FromSlash(opts.TraceDir))
		if os.MkdirAll(dir, 0o755) == nil && os.WriteFile(filepath.Join(dir, e.Name()), content, 0o644) == nil {
			kept = append(kept, path.Join(opts.TraceDir, e.Name()))
		}
	}
	return kept
}

// testEnv is the environment of a test process: the grader's, with temporary files in a directory that is removed
// afterwards.
func testEnv(opts Options, temp, mark string) []string {
	env := os.Environ()
	if opts.CleanEnv {
		env = []string{"HOME=" + temp}
		for _, name := range []string{"PATH", "LANG", "TZ"} {
			if value, set := os.LookupEnv(name); set {
				env = append(env, name+"="+value)
			}
		}
	}
	return append(append(env, opts.Env...),
		"TMPDIR="+temp, runEnv+"="+mark,
		"GOMEMLIMIT="+strconv.FormatInt(opts.MemoryBytes/goMemoryShare*(goMemoryShare-1), 10),
		"GOTRACEBACK=all", "GOGC=", "GODEBUG=", "GORACE=atexit_sleep_ms=10", "GOCOVERDIR=", "GOMAXPROCS=",
	)
}

// supervise starts the process, watches its time and memory, and returns when it is dead.
func supervise(ctx context.Context, cmd *exec.Cmd, e *execution, begun <-chan struct{}) {
	// The kernel kills the process when the thread that started it ends (see ownGroup), so the thread must stay ours.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	limitOwnFiles(maxFileSize)
	start := time.Now()
	if e.startErr = cmd.Start(); e.startErr != nil {
		return
	}
	limitFiles(cmd.Process, maxFileSize)
	dead := make(chan error, 1)
	go func() { dead <- cmd.Wait() }()
	err := watch(ctx, cmd.Process, e, begun, dead)
	e.duration = time.Since(start).Round(time.Millisecond) // as it is kept, so that sums are the same everywhere
	killGroup(cmd.Process)
	if state := cmd.ProcessState; state != nil {
		e.exit = state.ExitCode()
		e.signal = exitSignal(state)
	} else {
		e.startErr = fmt.Errorf("wait for the process: %w", err)
	}
}

// watch waits until the process is dead, and kills it and its group at a limit. begun is closed when its test begins.
func watch(ctx context.Context, p *os.Process, e *execution, begun <-chan struct{}, dead <-chan error) error {
	start := time.Now()
	timeout := time.NewTimer(e.startLimit)
	defer timeout.Stop()
	poll := time.NewTicker(memoryPoll)
	defer poll.Stop()
	for n := 1; ; n++ {
		select {
		case err := <-dead:
			return err
		case <-begun:
			begun = nil
			timeout.Reset(e.limit - time.Since(start))
			continue
		case <-ctx.Done():
			e.cancelled = true
		case <-timeout.C:
			e.timedOut = true
			askForTraces(p)
			select {
			case err := <-dead:
				return err
			case <-ctx.Done():
			case <-time.After(quitGrace):
			}
		case <-poll.C:
			held, processes := processMemory(p.Pid), 1
			if n%groupPollEvery == 0 {
				held, processes = groupMemory(p.Pid)
			}
			switch {
			case held > e.memoryMax:
				e.memory = held
			case processes > maxProcesses:
				e.processes = processes
			default:
				continue
			}
		}
		killGroup(p)
		return <-dead
	}
}

// procEntries lists the numbers of all processes, where the system shows them as a directory.
func procEntries() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// statFields are the fields of /proc/PID/stat after the name of the command: state, parent, group, ….
func statFields(pid int) []string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
}

// Commands from a pipe or a file.

package shell

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
)

// maxLineBytes bounds a line: the largest value, each of its bytes escaped, and a key.
const maxLineBytes = 64 << 20

// ErrFailed: one or more commands of a pipe failed, and were reported as they did.
var ErrFailed = errors.New("a command failed")

// RunPipe runs every line of r, and returns ErrFailed if a command failed. Each failure is reported with the number
// of its line. Lines that are empty or begin with # are comments. The end of r, or quit, ends it.
func (s *Shell) RunPipe(ctx context.Context, r io.Reader) error {
	lines := readLines(ctx, r)
	failed, n := 0, 0
	for {
		var l line
		select {
		case l = <-lines:
		case <-ctx.Done():
			return ctx.Err()
		}
		if errors.Is(l.err, io.EOF) {
			return summary(failed, n)
		}
		n++
		if l.err != nil {
			return fmt.Errorf("line %d: %w", n, l.err)
		}
		err := s.RunLine(ctx, l.text)
		if errors.Is(err, errQuit) {
			return summary(failed, n)
		}
		if ctx.Err() != nil {
			return ctx.Err() // the command failed because of it; whoever ended ctx says why
		}
		if err != nil {
			failed++
			fmt.Fprintf(s.opts.Err, "line %d: %v\n", n, err)
		}
	}
}

// summary is how a pipe ends.
func summary(failed, n int) error {
	if failed > 0 {
		return fmt.Errorf("%w: %d of %s", ErrFailed, failed, plural(n, "line"))
	}
	return nil
}

// line is one of a pipe. err is io.EOF after the last.
type line struct {
	text string
	err  error
}

// readLines reads in a goroutine of its own: a read from a pipe cannot be broken off, but the wait for it can. The
// goroutine ends with r, or with the first line after the end of ctx.
func readLines(ctx context.Context, r io.Reader) <-chan line {
	lines := make(chan line)
	send := func(l line) bool {
		select {
		case lines <- l:
			return true
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		scanner := bufio.NewScanner(r)
		scanner.Buffer(make([]byte, 0, 64<<10), maxLineBytes)
		for scanner.Scan() {
			if !send(line{text: scanner.Text()}) {
				return
			}
		}
		if err := scanner.Err(); err != nil {
			send(line{err: err})
			return
		}
		send(line{err: io.EOF})
	}()
	return lines
}

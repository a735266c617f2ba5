// Commands from a pipe or a file.

package shell

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxLineBytes bounds a line: the largest value, each of its bytes escaped, and a key.
const maxLineBytes = 64 << 20

// ErrFailed: one or more commands of a pipe failed, and were reported as they did.
var ErrFailed = errors.New("a command failed")

// RunPipe runs every line of r, and returns ErrFailed if a command failed. Each failure is reported with the number of its line. Lines that
// are empty or begin with # are comments. The end of r, or quit, ends it.
func (s *Shell) RunPipe(ctx context.Context, r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLineBytes)
	failed := 0
	n := 0
	for lines.Scan() && ctx.Err() == nil {
		n++
		err := s.RunLine(ctx, strings.TrimSuffix(lines.Text(), "\r"))
		if errors.Is(err, errQuit) {
			break
		}
		if err != nil {
			failed++
			fmt.Fprintf(s.opts.Err, "line %d: %v\n", n, err)
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case lines.Err() != nil:
		return fmt.Errorf("line %d: %w", n+1, lines.Err())
	case failed > 0:
		return fmt.Errorf("%w: %s of %s", ErrFailed, plural(failed, "line"), plural(n, "line"))
	}
	return nil
}

// Commands typed at a prompt, with history and completion.

package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"github.com/ergochat/readline"
)

// Interactive says how the prompt behaves.
type Interactive struct {
	Prompt      string
	HistoryFile string // "" or one that cannot be written: no history beyond this session
}

// RunInteractive reads commands from the terminal until quit, ctrl-D, ctrl-C at an empty prompt, or the end of ctx.
func (s *Shell) RunInteractive(ctx context.Context, how Interactive) error {
	typed := 0 // characters on the line; readline does not return them with an interrupt
	rl, err := readline.NewFromConfig(&readline.Config{
		Prompt: how.Prompt, HistoryFile: writable(how.HistoryFile), AutoComplete: completer{s}, HistorySearchFold: true,
		Listener: func(line []rune, _ int, _ rune) ([]rune, int, bool) {
			typed = len(line)
			return nil, 0, false
		},
	})
	if err != nil {
		return fmt.Errorf("cannot use this terminal (%w): send commands through a pipe instead", err)
	}
	var once sync.Once
	closeOnce := func() { once.Do(func() { _ = rl.Close() }) }
	defer closeOnce()
	defer context.AfterFunc(ctx, closeOnce)() // ends ReadLine below
	for ctx.Err() == nil {
		line, err := rl.ReadLine()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, readline.ErrInterrupt) && typed > 0:
			continue // the line is thrown away
		case errors.Is(err, readline.ErrInterrupt), errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read from the terminal: %w", err)
		}
		if s.runTyped(ctx, line) {
			return nil
		}
	}
	return nil
}

// runTyped runs one line and tells whether it was the last. Ctrl-C stops the command.
func (s *Shell) runTyped(session context.Context, line string) (quit bool) {
	ctx, stop := signal.NotifyContext(session, os.Interrupt)
	defer stop()
	began := time.Now()
	err := s.RunLine(ctx, line)
	switch {
	case errors.Is(err, errQuit), session.Err() != nil: // whoever ended the session says why
		return true
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		fmt.Fprintln(s.opts.Err, "stopped")
	case err != nil:
		fmt.Fprintln(s.opts.Err, "error:", err)
	case time.Since(began) > time.Second: // worth telling
		fmt.Fprintf(s.opts.Err, "(%.1f s)\n", time.Since(began).Seconds())
	}
	return false
}

// writable returns the path if a history can be kept there.
func writable(path string) string {
	if path == "" {
		return ""
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return ""
	}
	_ = f.Close()
	return path
}

// completer completes names of commands, of their flags and of what else is known, from the table.
type completer struct{ shell *Shell }

// Do implements readline.AutoCompleter.
func (c completer) Do(line []rune, pos int) (suffixes [][]rune, shared int) {
	candidates, typed := c.shell.table.complete(string(line[:pos]))
	for _, word := range candidates {
		suffixes = append(suffixes, []rune(strings.TrimPrefix(word, typed)+" "))
	}
	return suffixes, len([]rune(typed))
}

// complete returns the words that the last word of line can become, and that word.
func (all table) complete(line string) (candidates []string, typed string) {
	fields := strings.Fields(line)
	if len(fields) > 0 && !strings.HasSuffix(line, " ") {
		typed = fields[len(fields)-1]
		fields = fields[:len(fields)-1]
	}
	switch {
	case len(fields) == 0 || len(fields) == 1 && fields[0] == "help":
		for _, c := range all {
			candidates = append(candidates, c.name)
		}
	default:
		c, err := all.find(fields[0])
		switch {
		case err != nil:
			return nil, typed
		case strings.HasPrefix(typed, "-"):
			for _, f := range c.flags {
				candidates = append(candidates, "--"+f.name)
			}
		case len(fields) == 1:
			candidates = append(candidates, c.choices...)
		}
	}
	kept := candidates[:0]
	for _, word := range candidates {
		if strings.HasPrefix(word, typed) {
			kept = append(kept, word)
		}
	}
	return kept, typed
}

// "play" on a terminal, as a person meets it.

//go:build unix

package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
)

// screen is a terminal with play on it.
type screen struct {
	*program
	tty  *os.File
	text lockedBuffer
}

func onScreen(t *testing.T, stores string) *screen {
	t.Helper()
	s := &screen{program: kv(t, "play", "--stores", stores)}
	s.Stdout, s.Stderr = nil, nil // the terminal
	s.Env = append(s.Env, "TERM=xterm")
	tty, err := pty.StartWithSize(s.Cmd, &pty.Winsize{Rows: 40, Cols: 120})
	if err != nil {
		t.Skipf("no terminal to be had here: %v", err)
	}
	s.tty = tty
	t.Cleanup(func() { _ = tty.Close() })
	go func() { _, _ = io.Copy(&s.text, answering{tty}) }()
	until(t, &s.text, "tinykv> ")
	return s
}

// answering reads from a terminal and answers the question where the cursor is, as a real terminal does.
type answering struct{ tty *os.File }

func (a answering) Read(p []byte) (int, error) {
	n, err := a.tty.Read(p)
	if strings.Contains(string(p[:n]), "\x1b[6n") {
		_, _ = a.tty.WriteString("\x1b[1;1R")
	}
	return n, err
}

func (s *screen) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := s.tty.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

const (
	ctrlC = "\x03"
	ctrlD = "\x04"
	tab   = "\t"
	enter = "\r"
)

func TestPlayOnATerminalGreetsCompletesAndKeepsAHistory(t *testing.T) {
	t.Parallel() // it mostly waits
	eachSize(t, func(t *testing.T, stores string) {
		s := onScreen(t, stores)
		for _, text := range []string{"Try:", "put a 1", "quit or ctrl-D"} {
			if !strings.Contains(s.text.String(), text) {
				t.Errorf("the greeting lacks %q:\n%s", text, s.text.String())
			}
		}
		s.press(t, "put a 17"+enter)
		until(t, &s.text, "OK")
		s.press(t, "sc"+tab+enter) // completed to "scan "
		until(t, &s.text, "(1 pair)")
		s.press(t, "gte a"+enter)
		until(t, &s.text, "did you mean get?")
		s.press(t, "rubbish"+ctrlC) // throws the line away, and does not leave
		until(t, &s.text, "^C")
		s.press(t, "get a"+enter)
		until(t, &s.text, "17\r\n")
		s.press(t, ctrlD)
		if err := s.Wait(); err != nil {
			t.Error(err)
		}
		s.leavesNothing(t)
		history, err := os.ReadFile(filepath.Join(s.tmp, historyName))
		if err != nil || !strings.Contains(string(history), "put a 17\n") {
			t.Errorf("history: %q, %v", history, err)
		}
	})
}

func TestPlayOnATerminalLeavesByQuitCtrlCAndSIGTERM(t *testing.T) {
	t.Parallel() // it mostly waits
	for name, leave := range map[string]func(*screen){
		"quit":    func(s *screen) { s.press(t, "quit"+enter) },
		"ctrl-C":  func(s *screen) { s.press(t, ctrlC) },
		"SIGTERM": func(s *screen) { _ = s.Process.Signal(syscall.SIGTERM) },
	} {
		t.Run(name, func(t *testing.T) {
			eachSize(t, func(t *testing.T, stores string) {
				s := onScreen(t, stores)
				leave(s)
				if err := s.Wait(); err != nil {
					t.Errorf("%v\n%s", err, s.text.String())
				}
				s.leavesNothing(t)
			})
		})
	}
}

// The command "shell": keys and values, typed, from a pipe, or one command at once.

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"tinykv/kv/client"
	"tinykv/kv/shell"
)

const (
	historyName = ".tinykv_history" // in the home directory
	// defaultCommandTimeout is how long one command of the shell may take.
	defaultCommandTimeout = 10 * time.Second
	// reachTimeout is how long the shell looks for a scheduler before it says that there is none.
	reachTimeout = 3 * time.Second
)

func newShellCommand() *cobra.Command {
	var schedulers []string
	var asJSON bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "shell [COMMAND [ARGUMENT]...]",
		Short: "Talk to a cluster: put, get, scan and more",
		Long: `Talk to a cluster.

Without a command it asks for one after the other, with history and completion, or reads them from a
pipe; then a command that fails is reported with the number of its line, and the exit status is 1.`,
		Example: `  go run ./kv shell
  go run ./kv shell put a 1
  go run ./kv shell --json scan a c
  printf 'put a 1\nget a\n' | go run ./kv shell`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM)
			defer stop()
			c, err := client.New(client.Options{Scheduler: schedulers})
			if err != nil {
				return err
			}
			defer c.Close()
			if len(args) == 0 || args[0] != "help" {
				if err := reach(ctx, c, min(timeout, reachTimeout)); err != nil {
					return err
				}
			}
			t := terminal{in: os.Stdin, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr()}
			return t.run(ctx, newShell(c, t, asJSON, timeout, nil), args)
		},
	}
	cmd.Flags().StringSliceVar(&schedulers, "scheduler-addr", []string{"127.0.0.1:2379"}, "addresses of the scheduler")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print each result as a line of JSON")
	cmd.Flags().DurationVar(&timeout, "timeout", defaultCommandTimeout, "how long one command may take")
	cmd.Flags().SetInterspersed(false) // what follows the command is the command's
	return cmd
}

// reach finds out at once whether there is somebody to talk to, so that nobody types into the void.
func reach(ctx context.Context, c *client.Client, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := c.Scheduler().Members(ctx)
	return err
}

// terminal is where commands come from and results go to.
type terminal struct {
	in       *os.File
	out, err io.Writer
}

func newShell(
	c *client.Client, t terminal, asJSON bool, timeout time.Duration, processes shell.Processes,
) *shell.Shell {
	return shell.New(shell.Options{
		KV:      func(cf string) shell.KV { return c.Raw().CF(cf) },
		Cluster: c.Scheduler(), Processes: processes,
		Out: t.out, Err: t.err, JSON: asJSON, Timeout: timeout,
	})
}

// run runs one command, or all that come: from a prompt if a person sits there, else from the pipe.
func (t terminal) run(ctx context.Context, s *shell.Shell, args []string) error {
	switch {
	case len(args) > 0:
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
		defer stop()
		return s.RunArgs(ctx, args)
	case t.interactive():
		return s.RunInteractive(ctx, shell.Interactive{Prompt: "tinykv> ", HistoryFile: historyFile()})
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	err := s.RunPipe(ctx, t.in)
	if errors.Is(err, context.Canceled) {
		return errors.New("stopped by a signal")
	}
	return err
}

// interactive tells whether a person sits at the other end.
func (t terminal) interactive() bool {
	return isatty.IsTerminal(t.in.Fd()) || isatty.IsCygwinTerminal(t.in.Fd())
}

func historyFile() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, historyName)
}

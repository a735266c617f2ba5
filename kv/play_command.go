// The command "play": a server of its own on a temporary directory, and the shell to talk to it.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tinykv/kv/client"
	"tinykv/kv/engine/open"
)

// playGreeting tells what to try. The address is for who wants to come with a client of their own.
const playGreeting = `TinyKV runs here until you leave, its scheduler at %s. All data is gone then.
Try:  put a 1    get a    scan    put "hello world" \x00\xff    regions    status
Tab completes, help lists all, help put explains one; quit or ctrl-D leaves.
`

// playStopLimit is short: the data is thrown away.
const playStopLimit = 5 * time.Second

func newPlayCommand() *cobra.Command {
	var engine string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "play",
		Short: "Try it out: a server on a temporary directory, and the shell to talk to it",
		Long: `Try it out: starts a server on a temporary directory and free ports, and the shell to talk to it.
At the end, also by ctrl-C or SIGTERM, the server stops and the directory is removed.

It takes commands from a pipe, too; then the exit status is 1 if one of them failed.`,
		Example: `  go run ./kv play
  printf 'put a 1\nget a\nscan\n' | go run ./kv play`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t := terminal{in: os.Stdin, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr()}
			return play(cmd.Context(), engine, t, asJSON)
		},
	}
	cmd.Flags().StringVar(&engine, "engine", open.Default, "what keeps the data on disk: "+strings.Join(open.Names,
		", "))
	cmd.Flags().BoolVar(&asJSON, "json", false, "print each result as a line of JSON")
	return cmd
}

// play runs a server and a shell, and leaves nothing behind.
func play(ctx context.Context, engine string, t terminal, asJSON bool) (err error) {
	// From the first file on a signal must lead through the end of this function. SIGHUP comes when the terminal's
	// window is closed.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	dir, err := os.MkdirTemp("", "tinykv-play-")
	if err != nil {
		return fmt.Errorf("cannot make a temporary directory (%w): set TMPDIR to one that can be written", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	options := playOptions(dir, engine, t.err)
	options.onFailure = cancel // without its server the shell is of no use
	server, err := startServer(ctx, options)
	if err != nil {
		return err
	}
	defer func() {
		limit, cancel := context.WithTimeout(context.Background(), playStopLimit)
		defer cancel()
		_ = server.close(limit) // what it was too slow to finish is thrown away anyway
	}()
	c, err := client.New(client.Options{Scheduler: []string{server.schedulerAddr}})
	if err != nil {
		return err
	}
	defer c.Close()

	if t.interactive() {
		fmt.Fprintf(t.out, playGreeting, server.schedulerAddr)
	}
	err = t.run(ctx, newShell(c, t, asJSON, defaultCommandTimeout), nil)
	if cause := context.Cause(ctx); ctx.Err() != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// playOptions are those of a server that bothers nobody: free ports, and only errors in its log.
func playOptions(dir, engine string, errs io.Writer) serveOptions {
	const anyPort = "127.0.0.1:0"
	return serveOptions{
		dir: filepath.Join(dir, "data"), engine: engine, addr: anyPort, schedulerAddr: anyPort, statusAddr: anyPort,
		log: slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: slog.LevelError})),
	}
}

// The command "play": a cluster of its own on a temporary directory, and the shell to talk to it.

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
	"tinykv/kv/shell"
)

// The greetings tell what to try. The address is for who wants to come with a client of their own.
const (
	aloneGreeting = `TinyKV runs here until you leave, its scheduler at %s. All data is gone then.
Try:  put a 1    get a    scan    put "hello world" \x00\xff    regions    status
Tab completes, help lists all, help put explains one; quit or ctrl-D leaves.
`
	clusterGreeting = `TinyKV runs here until you leave: %d stores, each a process, and a scheduler
at %s. All data is gone then.
Try:  put a 1    get a    scan    status (who leads?)    regions
      kill 2    restart 2    pause 1    resume 1    cut 3    heal    leader 2
Tab completes, help lists all, help kill explains one; quit or ctrl-D leaves.
`
)

const (
	// playStopLimit is short: the data is thrown away.
	playStopLimit = 5 * time.Second
	// maxPlayStores bounds the processes that a slip of the finger starts.
	maxPlayStores = 9
)

// playOptions say what to play with.
type playOptions struct {
	engine string
	stores int
	asJSON bool
}

func newPlayCommand() *cobra.Command {
	var o playOptions
	cmd := &cobra.Command{
		Use:   "play",
		Short: "Try it out: a cluster on a temporary directory, and the shell to talk to it",
		Long: `Try it out: starts a cluster on a temporary directory and free ports, and the shell to talk to it: a scheduler and
three stores, each a process, which the shell can kill, pause and cut off. With --stores 1 it is a standalone store.
At the end, also by ctrl-C or SIGTERM, all processes stop and the directory is removed.

It takes commands from a pipe, too; then the exit status is 1 if one of them failed.`,
		Example: `  go run ./kv play
  printf 'put a 1\nkill 1\nget a\nstatus\n' | go run ./kv play
  go run ./kv play --stores 1 --engine badger`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t := terminal{in: os.Stdin, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr()}
			return play(cmd.Context(), o, t)
		},
	}
	cmd.Flags().StringVar(&o.engine, "engine", open.Default,
		"what keeps the data on disk: "+strings.Join(open.Names, ", "))
	cmd.Flags().IntVar(&o.stores, "stores", 3, "how many stores; 1 is a standalone one, in this process")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print each result as a line of JSON")
	return cmd
}

// playground is what is played with.
type playground struct {
	scheduler string          // its address
	processes shell.Processes // nil: there are none
	stop      func()
}

// play runs a cluster and a shell, and leaves nothing behind.
func play(ctx context.Context, o playOptions, t terminal) (err error) {
	if o.stores < 1 || o.stores > maxPlayStores {
		return fmt.Errorf("--stores %d: use 1 to %d", o.stores, maxPlayStores)
	}
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
	prepare := playCluster
	if o.stores == 1 {
		prepare = playAlone
	}
	g, err := prepare(ctx, dir, o, t, cancel)
	if err != nil {
		return err
	}
	defer g.stop()
	c, err := client.New(client.Options{Scheduler: []string{g.scheduler}})
	if err != nil {
		return err
	}
	defer c.Close()

	switch {
	case !t.interactive():
	case g.processes == nil:
		fmt.Fprintf(t.out, aloneGreeting, g.scheduler)
	default:
		fmt.Fprintf(t.out, clusterGreeting, o.stores, g.scheduler)
	}
	err = t.run(ctx, newShell(c, t, o.asJSON, defaultCommandTimeout, g.processes), nil)
	if cause := context.Cause(ctx); ctx.Err() != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// playAlone runs a standalone store in this process. fail is told when it can't go on.
func playAlone(
	ctx context.Context, dir string, o playOptions, t terminal, fail context.CancelCauseFunc,
) (playground, error) {
	options := aloneOptions(dir, o.engine, t.err)
	options.onFailure = fail // without its server the shell is of no use
	server, err := startServer(ctx, options)
	if err != nil {
		return playground{}, err
	}
	return playground{scheduler: server.schedulerAddr, stop: func() {
		limit, cancel := context.WithTimeout(context.Background(), playStopLimit)
		defer cancel()
		_ = server.close(limit) // what it was too slow to finish is thrown away anyway
	}}, nil
}

// aloneOptions are those of a server that bothers nobody: free ports, and only errors in its log.
func aloneOptions(dir, engine string, errs io.Writer) serveOptions {
	const anyPort = "127.0.0.1:0"
	return serveOptions{
		dir: filepath.Join(dir, "data"), engine: engine, addr: anyPort, schedulerAddr: anyPort, statusAddr: anyPort,
		log: slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: slog.LevelError})),
	}
}

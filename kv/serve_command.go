// The command "serve".

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tinykv/kv/engine/open"
)

// What is acknowledged is durable already, so a stop that takes too long loses nothing when it is cut off.
const (
	stopLimit = 15 * time.Second           // how long requests in flight may take to end
	hangLimit = stopLimit + 10*time.Second // how long everything may take; a disk that hangs would take for ever
)

func newServeCommand() *cobra.Command {
	o := serveOptions{}
	var level, format string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a store, with a scheduler of its own beside it",
		Long: `Run a store, with a scheduler of its own beside it.

When it serves it prints one line to the standard output, with the addresses in use:

  ready store=HOST:PORT scheduler=HOST:PORT status=HOST:PORT cluster=ID

Clients are given the scheduler's address. The status address has /metrics, /debug/pprof, /status, /healthz and
/config. SIGTERM or SIGINT stops it gracefully; a second one ends it at once. Either way no acknowledged write is lost.`,
		Example: `  go run ./kv serve --data-dir /tmp/tinykv
  go run ./kv serve --data-dir /tmp/other --engine badger \
    --addr 127.0.0.1:0 --scheduler-addr 127.0.0.1:0 --status-addr 127.0.0.1:0`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := newLogger(cmd.ErrOrStderr(), level, format)
			if err != nil {
				return err
			}
			o.log = log
			return serve(cmd.Context(), o, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.dir, "data-dir", "", "directory of the data; made if it does not exist")
	flags.StringVar(&o.engine, "engine", open.Default, "what keeps the data on disk: "+strings.Join(open.Names, ", "))
	flags.StringVar(&o.addr, "addr", "127.0.0.1:20160", "address of the store; port 0 means any free one")
	flags.StringVar(&o.schedulerAddr, "scheduler-addr", "127.0.0.1:2379", "address of the scheduler, for clients")
	flags.StringVar(&o.statusAddr, "status-addr", "127.0.0.1:20180", "address of metrics, profiles and status")
	flags.StringVar(&o.advertiseHost, "advertise-host", "", "host that clients dial, if it is not the one listened on")
	flags.DurationVar(&o.sweepInterval, "sweep-interval", 10*time.Minute, "pause between two sweeps of expired pairs")
	flags.StringVar(&level, "log-level", "info", "least level that is logged: debug, info, warn, error")
	flags.StringVar(&format, "log-format", "text", "form of the log on the standard error: text, json")
	return cmd
}

// serve runs a server until a signal or a failure ends it.
func serve(ctx context.Context, o serveOptions, out io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	server, err := startServer(ctx, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "ready store=%s scheduler=%s status=%s cluster=%d\n",
		server.storeAddr, server.schedulerAddr, server.statusAddr, server.clusterID)
	var failure error
	select {
	case <-ctx.Done():
		o.log.Info("stopping: a second signal ends the process at once")
	case failure = <-server.failed:
	}
	stop() // from now on a signal does what it does by default: it ends the process
	limit, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	hanging := time.AfterFunc(hangLimit, func() {
		o.log.Error("the stop hangs, probably in a write to the disk: the process ends now")
		os.Exit(1)
	})
	defer hanging.Stop()
	if err := server.close(limit); err != nil {
		return err
	}
	return failure
}

func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level %q: use one of debug, info, warn, error", level)
	}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: least})), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: least})), nil
	}
	return nil, fmt.Errorf("--log-format %q: use one of text, json", format)
}

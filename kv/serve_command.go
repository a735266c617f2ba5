// The command "serve".

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
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
	o := &serveOptions{peers: peers{}}
	cmd, how := serveCommand(o)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if how.config != "" {
			if err := applyConfig(cmd, how.config); err != nil {
				return err
			}
		}
		log, err := newLogger(cmd.ErrOrStderr(), how.level, how.format)
		if err != nil {
			return err
		}
		o.log = log
		if err := o.fit(cmd); err != nil {
			return err
		}
		if how.untilInputEnds {
			go endWithInput(os.Stdin)
		}
		return serve(cmd.Context(), *o, cmd.OutOrStdout())
	}
	return cmd
}

// serveFlags are the flags that are not about the server itself.
type serveFlags struct {
	level, format, config string
	untilInputEnds        bool
}

// serveCommand is the command without what it does: its flags fill o and the rest.
func serveCommand(o *serveOptions) (*cobra.Command, *serveFlags) {
	how := &serveFlags{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a store: alone, or one of a cluster",
		Long: `Run a store. Without --peers it is a cluster by itself, with a scheduler of its own beside it. With --peers it is
one of several that keep the same data; then the scheduler is a process of its own (go run ./scheduler).

When it serves it prints one line to the standard output, with the addresses in use:

  ready store=HOST:PORT scheduler=HOST:PORT status=HOST:PORT cluster=ID

Clients are given the scheduler's address. The status address has /metrics, /debug/pprof, /status, /healthz and
/config. SIGTERM or SIGINT stops it gracefully; a second one ends it at once. Either way no acknowledged write is lost.

All flags can stand in a file, in TOML and by their names: --config FILE. The command line counts more.`,
		Example: `  go run ./kv serve --data-dir /tmp/tinykv
  go run ./kv serve --data-dir /tmp/other --engine badger \
    --addr 127.0.0.1:0 --scheduler-addr 127.0.0.1:0 --status-addr 127.0.0.1:0
  go run ./kv serve --data-dir /tmp/store1 --store-id 1 --scheduler 127.0.0.1:2379 --status-addr 127.0.0.1:20181 \
    --peers 1=127.0.0.1:20161,2=127.0.0.1:20162,3=127.0.0.1:20163
  go run ./kv serve --data-dir /tmp/store4 --store-id 4 --join --scheduler 127.0.0.1:2379 --addr 127.0.0.1:20164
  go run ./kv serve --config store1.toml`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&how.config, configFlag, "", "file with flags, in TOML")
	flags.StringVar(&o.dir, "data-dir", "", "directory of the data; made if it does not exist")
	flags.StringVar(&o.engine, "engine", open.Default, "what keeps the data on disk: "+strings.Join(open.Names, ", "))
	flags.StringVar(&o.addr, addrFlag, "127.0.0.1:20160",
		"address of the store; port 0 means any free one; with --peers its own one there")
	flags.StringVar(&o.schedulerAddr, schedulerAddrFlag, "127.0.0.1:2379", "address of the scheduler, for clients")
	flags.StringVar(&o.statusAddr, "status-addr", "127.0.0.1:20180", "address of metrics, profiles and status")
	flags.StringVar(&o.advertiseHost, advertiseFlag, "", "host that clients dial, if it is not the one listened on")
	flags.DurationVar(&o.sweepInterval, "sweep-interval", 10*time.Minute, "pause between two sweeps of expired pairs")
	flags.StringVar(&how.level, "log-level", "info", "least level that is logged: debug, info, warn, error")
	flags.StringVar(&how.format, "log-format", "text", "form of the log on the standard error: text, json")

	flags.Uint64Var(&o.storeID, "store-id", 0, "which of the --peers this store is")
	flags.Var(o.peers, "peers", "all stores with which the cluster begins, this one among them; the same list on each")
	flags.BoolVar(&o.joins, "join", false, "instead of --peers: the cluster is there already, and will give this store its peers")
	flags.StringSliceVar(&o.schedulers, "scheduler", nil, "addresses of the cluster's scheduler, with --peers or --join")
	flags.StringVar(&o.reads, "reads", readsLease, "how it is made sure that no other store leads: "+readsLease+
		" (by the clock), "+readsIndex+" (by asking the others)")
	flags.DurationVar(&o.tick, "tick", 100*time.Millisecond,
		"unit of raft's time: a heartbeat each, an election after 10 to 19 without one")
	flags.BoolVar(&o.faults, "faults", false, "take orders on the status address to cut this store off from others")
	flags.BoolVar(&how.untilInputEnds, untilInputEndsFlag, false, "end at once when the standard input does")
	flags.Var((*idList)(&o.cutOff), cutOffFlag, "stores to be cut off from, from the start")
	for _, name := range []string{untilInputEndsFlag, cutOffFlag} {
		_ = flags.MarkHidden(name) // for play; it exists
	}
	return cmd, how
}

// Flags that are named more than once.
const (
	addrFlag           = "addr"
	schedulerAddrFlag  = "scheduler-addr"
	advertiseFlag      = "advertise-host"
	untilInputEndsFlag = "until-input-ends"
	cutOffFlag         = "cut-off"
)

// idList is a flag of ids: 1,2,3.
type idList []uint64

func (l *idList) String() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(*l), " ", ","), "[]")
}
func (l *idList) Type() string { return "ID,..." }

func (l *idList) Set(text string) error {
	*l = nil
	for part := range strings.SplitSeq(text, ",") {
		id, err := strconv.ParseUint(part, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is no id", part)
		}
		*l = append(*l, id)
	}
	return nil
}

// fit fills in what follows from other flags, and refuses those that do not go together.
func (o *serveOptions) fit(cmd *cobra.Command) error {
	changed := cmd.Flags().Changed
	if !o.isReplicated() {
		if len(o.schedulers) > 0 {
			return fmt.Errorf("--scheduler is for a store of a cluster, with --peers; a standalone one has its own, "+
				"at --%s", schedulerAddrFlag)
		}
		return nil
	}
	for _, name := range []string{schedulerAddrFlag, advertiseFlag} {
		if changed(name) && !(o.joins && name == advertiseFlag) {
			return fmt.Errorf("--%s is for a standalone store; one of a cluster is found by its address in --peers, and its "+
				"scheduler by --scheduler", name)
		}
	}
	if own := o.peers[o.storeID]; own != "" && !changed(addrFlag) {
		o.addr = own
	}
	return nil
}

// endWithInput ends the process when r does: who started it is gone.
func endWithInput(r io.Reader) {
	_, _ = io.Copy(io.Discard, r)
	os.Exit(1)
}

// serve runs a server until a signal or a failure ends it.
func serve(ctx context.Context, o serveOptions, out io.Writer) error {
	ignoreFileSize()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	server, err := startServer(ctx, o)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("stopped before it served: %w", err)
	}
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

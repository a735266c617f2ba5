// Command scheduler runs the placement driver on its own. A trial does not need it: "go run ./kv serve" has one inside.
//
//	go run ./scheduler --data-dir /var/lib/tinykv-scheduler --addr 0.0.0.0:2379 --advertise-addr 10.0.0.5:2379
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tinykv/scheduler/server"
)

// closeTimeout is how long calls in flight may take to finish at the end.
const closeTimeout = 5 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "scheduler:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	var addr, advertise, dir, name string
	cmd := &cobra.Command{
		Use:   "scheduler",
		Short: "Run the placement driver: members, timestamps, ids, and where each key is",
		Example: `  go run ./scheduler --data-dir /tmp/scheduler
  go run ./scheduler --data-dir /tmp/scheduler --addr 0.0.0.0:2379 --advertise-addr 10.0.0.5:2379`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return errors.New("where should it keep its data? Say --data-dir DIRECTORY")
			}
			return run(cmd.Context(), addr, advertise, dir, name, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "127.0.0.1:2379", "address to listen on; port 0 means any free one")
	cmd.Flags().StringVar(&advertise, "advertise-addr", "",
		"address that clients dial, if it is not the one listened on")
	cmd.Flags().StringVar(&dir, "data-dir", "", "directory for what must survive; made if it does not exist")
	cmd.Flags().StringVar(&name, "name", "scheduler", "name of this member")
	return cmd
}

// run serves until ctx ends. When it does it says so in one line to out, for people and for programs.
func run(ctx context.Context, addr, advertise, dir, name string, out io.Writer) (err error) {
	lis, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w: is another one running? Choose another --addr; port 0 means any free one", err)
	}
	defer lis.Close()
	if advertise == "" {
		advertise = lis.Addr().String()
	}
	if err := server.CheckURL("http://" + advertise); err != nil {
		return fmt.Errorf("%w, and say it with --advertise-addr", err)
	}
	storage, err := server.OpenDir(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, storage.Close()) }()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	s, err := server.New(server.Options{
		Storage: storage, AdvertiseURLs: []string{"http://" + advertise}, Name: name, Logger: log,
	})
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(lis) }()
	log.Info("scheduler serves", "addr", lis.Addr().String())
	fmt.Fprintf(out, "ready scheduler=%s cluster=%d\n", advertise, s.ClusterID())
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return errors.Join(err, s.Close(limit))
}

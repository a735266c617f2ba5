// The keeper: the process of play that has the scheduler, and that cleans up if play itself is killed.
//
// It is told by lines on its standard input:
//
//	+PID   this process has begun
//	-PID   this one has ended
//	bye    play cleans up by itself
//
// If the input ends without a bye, play is gone: those that have begun are killed, and the directory is removed.

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	scheduler "tinykv/scheduler/server"
)

const (
	keeperCommand = "play-keeper"
	keeperBye     = "bye"
	// removePause is the time between two looks at whether the directory stays away: those who wrote to it may need a
	// moment to end.
	removePause = 50 * time.Millisecond
	removeTries = 100
)

func newKeeperCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: keeperCommand, Short: "What play needs beside it", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return keep(dir, os.Stdin, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the directory of play")
	return cmd
}

// keep runs the scheduler until play says that it may end, or has ended itself.
func keep(dir string, in io.Reader, out, errs io.Writer) error {
	signal.Ignore(os.Interrupt, syscall.SIGHUP) // meant for play, which has its own way to end us
	log := slog.New(slog.NewTextHandler(errs, nil))
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	home, err := os.MkdirTemp(dir, "scheduler-")
	if err != nil {
		return err
	}
	storage, err := scheduler.OpenDir(home)
	if err != nil {
		return err
	}
	s, err := scheduler.New(scheduler.Options{
		Storage: storage, AdvertiseURLs: []string{"http://" + lis.Addr().String()}, Logger: log,
	})
	if err != nil {
		return err
	}
	go func() {
		if err := s.Serve(lis); err != nil {
			log.Error("the scheduler ended", "err", err)
			os.Exit(1)
		}
	}()
	fmt.Fprintf(out, "ready scheduler=%s\n", lis.Addr())
	left, bye := watch(in)
	if bye {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return errors.Join(s.Close(ctx), storage.Close())
	}
	for pid := range left {
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Kill() // an error means that it is gone already
		}
	}
	return removeForGood(dir)
}

// watch reads who has begun and ended. It returns who is left when the input ends, and whether there was a bye.
func watch(in io.Reader) (left map[int]bool, bye bool) {
	left = map[int]bool{}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		line := lines.Text()
		if line == keeperBye {
			return left, true
		}
		pid, err := strconv.Atoi(strings.TrimLeft(line, "+-"))
		switch {
		case err != nil || pid <= 0:
		case strings.HasPrefix(line, "+"):
			left[pid] = true
		default:
			delete(left, pid)
		}
	}
	return left, false
}

// removeForGood removes a directory, again as long as somebody brings parts of it back.
func removeForGood(dir string) error {
	err := errors.New("it comes back")
	for away := 0; away < 3; {
		for range removeTries {
			if err = os.RemoveAll(dir); err == nil {
				break
			}
			time.Sleep(removePause)
		}
		if err != nil {
			return err
		}
		time.Sleep(removePause)
		if _, missing := os.Stat(dir); missing != nil {
			away++
		} else {
			away = 0
		}
	}
	return nil
}

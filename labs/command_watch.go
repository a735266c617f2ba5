// labs watch: run a stage's tests on every save.

package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tinykv/labs/course"
	"tinykv/labs/grade"
	"tinykv/labs/report"
	"tinykv/labs/watch"
	"tinykv/labs/workspace"
)

func init() {
	var f runFlags
	command := &cobra.Command{
		Use:   "watch STAGE...",
		Short: "Run the graded tests of stages again on every save",
		Long: `Run the graded tests of stages, and again whenever a file is saved that they depend on. The tests that
failed the last time run first. A run that a save makes stale is stopped. End it with ctrl-C.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			here, stages, err := hereAnd(args)
			if err != nil {
				return err
			}
			files, err := watch.NewFiles(here.Root)
			if err != nil {
				return err
			}
			defer files.Close()
			w := watcher{out: cmd.OutOrStdout(), here: here, stages: stages, flags: f, files: files}
			watch.Loop(cmd.Context(), files.Changes(), w.run)
			return nil
		},
	}
	f.add(command)
	command.Flags().StringVar(&f.run, "run", "",
		"run only the `test` of this name, or those that match this regular expression")
	register(command)
}

// watcher is what labs watch does on each save.
type watcher struct {
	out    io.Writer
	here   *workspace.Space
	stages []course.Stage
	flags  runFlags
	files  interface{ Watch(dirs []string) }
}

// run looks anew at which directories matter, since imports may have changed, and grades. Trouble is told and not the
// end: the next save may mend it.
func (w watcher) run(ctx context.Context, changed []string) {
	w.files.Watch(w.dirs())
	if isLively(w.out) {
		fmt.Fprint(w.out, "\x1b[2J\x1b[3J\x1b[H") // a clean screen: what is on it belongs to this save
	}
	what := "started"
	if len(changed) > 0 {
		what = strings.Join(changed, ", ")
	}
	fmt.Fprintf(w.out, "── %s  %s\n", time.Now().Format(time.TimeOnly), what)
	opts := grade.Options{Stages: w.stages}
	if last, err := report.ReadLast(w.here.Root); err == nil {
		opts.First = last.Failed
	}
	_, err := runStages(ctx, w.out, w.here, w.flags, opts)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		fmt.Fprintln(w.out, "labs:", err)
	}
	fmt.Fprintln(w.out, "waiting for a save; ctrl-C ends it")
}

// dirs lists the directories of the packages that the stages are built from.
func (w watcher) dirs() []string {
	var all []string
	for _, s := range w.stages {
		dirs, _, err := grade.Sources(w.here.Root, s.TestDir)
		if err == nil {
			all = append(all, dirs...)
		}
	}
	return all
}

// Command kv is the store: it serves keys and values, and has a shell to talk to it.
//
//	go run ./kv serve --data-dir /tmp/tinykv     a store with a scheduler of its own, for real clients
//	go run ./kv serve --store-id 1 --peers ...   one store of a cluster
//	go run ./kv shell                            talk to it
//	go run ./kv play                             a cluster of three and a shell, on a temporary directory
//
// Files: main.go is the list of commands, and each *_command.go is one of them. serve.go puts the parts of a server
// together and takes them apart again, serve_replicated.go those of a store of a cluster; membership.go and enlist.go make
// the two known to the scheduler; status.go is the page for people and monitors. The files play_*.go are the cluster that
// play runs.
package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

func main() {
	if err := newRootCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "kv:", oneLine(err))
		os.Exit(1)
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "kv",
		Short:         "A store of keys and values, and a shell to talk to it",
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: see %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(newServeCommand(), newShellCommand(), newPlayCommand(), newKeeperCommand())
	return root
}

// oneLine shows an error as a line, also if it is several errors joined.
func oneLine(err error) string { return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ") }

// version is the revision that the program was built from, as far as the build knows.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, modified := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = "+changes"
		}
	}
	if revision == "" {
		return "devel, " + info.GoVersion
	}
	return revision + modified + ", " + info.GoVersion
}

// Command labs is the course at the command line: lay out a workspace, test it, get a hint, catch up, grade.
// Run it with go run ./labs, or through the verbs of the Makefile.
//
// It imports packages of labs and libraries only, never the code that a learner writes: it must run while that does not compile.
// Each command lives in a file of its own, command_NAME.go, and registers itself there.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

var root = &cobra.Command{
	Use:               "labs",
	Short:             "The TinyKV course: a workspace, graded tests, hints, solutions",
	SilenceUsage:      true,
	SilenceErrors:     true,
	PersistentPreRunE: func(*cobra.Command, []string) error { return giveHome(homeOfUser) },
}

// register adds a command to the program. Call it from init in the file of the command.
func register(command *cobra.Command) { root.AddCommand(command) }

// errSilent ends the program with status 1 and no further word: the command has said what there is to say.
var errSilent = errors.New("failed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	fitHelp(root, screenColumns)
	err := root.ExecuteContext(ctx)
	stop()
	if err == nil {
		return
	}
	if !errors.Is(err, errSilent) {
		fmt.Fprintln(os.Stderr, "labs:", err)
	}
	os.Exit(1)
}

//go:build depspin

package tinykv

import (
	_ "github.com/BurntSushi/toml"
	_ "github.com/Connor1996/badger"
	_ "github.com/bufbuild/protocompile"
	_ "github.com/charmbracelet/glamour"
	_ "github.com/charmbracelet/lipgloss"
	_ "github.com/charmbracelet/lipgloss/table"
	_ "github.com/cockroachdb/pebble/v2"
	_ "github.com/cockroachdb/pebble/v2/vfs/errorfs"
	_ "github.com/ergochat/readline"
	_ "github.com/fsnotify/fsnotify"
	_ "github.com/mattn/go-isatty"
	_ "github.com/petar/GoLLRB/llrb"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/santhosh-tekuri/jsonschema/v6"
	_ "github.com/spf13/cobra"
	_ "go.uber.org/goleak"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/tools/go/ast/astutil"
	_ "golang.org/x/tools/go/packages"
	_ "google.golang.org/grpc"
	_ "google.golang.org/grpc/health"
	_ "google.golang.org/protobuf/compiler/protogen"
)

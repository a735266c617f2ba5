// Command generate turns the .proto files of proto/ into the Go packages beside them. It needs no protoc.
//
//	go run ./proto/generate          (from the root of the module; `make proto` does the same)
//
// Two programs do the work, both pinned as tools in go.mod and run by `go tool`: protoc-gen-go writes the messages,
// protoc-gen-go-grpc the services. What protoc would do for them, to parse and link the sources into descriptors, is
// done here by protocompile. The generated files are committed, so that nobody who only builds needs any of this; a
// test beside this file fails when they no longer match their source.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	root := flag.String("root", ".", "directory of the module, the one with go.mod")
	flag.Parse()
	if err := run(context.Background(), *root); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// run writes every generated file below root. Nothing is written unless all of them could be generated.
func run(ctx context.Context, root string) error {
	files, err := generate(ctx, root)
	if err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(root, filepath.FromSlash(f.path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("make room for generated code: %w", err)
		}
		if err := os.WriteFile(path, []byte(f.content), 0o644); err != nil {
			return fmt.Errorf("write generated code: %w", err)
		}
	}
	return nil
}

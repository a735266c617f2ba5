// Package overlay changes a tree of Go code without touching it: files in memory, laid over the tree by go build
// -overlay.
//
//	learner's tree   ──────────────────────────────┐
//	reference's functions (catch up) ──┐           │
//	pristine tests                   ──┼─ Files ──Mount── overlay.json ── go build -overlay=overlay.json
//	a mutant's edits                 ──┘
//
// Files is the whole vocabulary: a path and what stands there, or that nothing does. Read makes them from a
// directory, Over puts one set over another, Apply makes them from the edits of a mutant, Pristine from the graded
// tests, and Mount hands them to the go command. What the files should hold is decided elsewhere: package starter
// hollows, package graft puts reference functions into a learner's file.
//
// What always holds:
//
//  1. Nothing below the root of the tree is written.
//  2. The same Files give the same entries in the build cache, wherever they are mounted, if built with -trimpath.
//  3. Everything that Mount writes is gone after Close.
//
// Example:
//
//	edited, err := overlay.Apply(reference, []overlay.Edit{{File: "kv/raw/get.go", Old: "<=", New: "<"}})
//	mounted, err := overlay.Mount(root, edited)
//	defer mounted.Close()
//	build := exec.Command("go", "test", "-c", "-trimpath", mounted.Flag(), "-o", binary, "./labs/tests/1b")
//	build.Dir = root
//	output, err := build.CombinedOutput()
//	fmt.Print(mounted.Origin(string(output))) // it named temporary copies; this names the files of the tree
//
// What the go command does and does not do with an overlay (Go 1.26, held to it by tests):
//
//   - A replaced go.mod and a file that //go:embed names are honoured; so are new files and deleted ones.
//   - A package in a directory that the disk does not have is compiled, by go build and go test -c, but neither go
//     vet nor go test can change into its directory. Mounted.NewDirs lists such directories.
//   - The compiler's messages name the replacement, not the replaced. Origin translates.
//   - What a program opens while it runs, testdata for one, is on the disk and not in the overlay. Write Files to a
//     directory (WriteTo) and run it there.
//
// It leaves out C: TinyKV has none of its own.
package overlay

// How descriptors become Go code: the same exchange that protoc has with its plugins, a CodeGeneratorRequest on the
// standard input and a CodeGeneratorResponse on the standard output.

package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// module is the prefix of every go_package option; the plugins cut it off, so that paths start at the module's root.
const module = "tinykv"

// plugins are the tools of go.mod that write code, in the order in which they run.
var plugins = []string{"protoc-gen-go", "protoc-gen-go-grpc"}

// A generatedFile is one file as it should be on disk; its path is relative to the module's root, with slashes.
type generatedFile struct {
	path    string
	content string
}

// generate compiles proto/*.proto below root and returns what the plugins make of them, ordered by path.
func generate(ctx context.Context, root string) ([]generatedFile, error) {
	request, err := compile(ctx, filepath.Join(root, "proto"))
	if err != nil {
		return nil, err
	}
	files, err := packagePages(request)
	if err != nil {
		return nil, err
	}
	for _, plugin := range plugins {
		made, err := runPlugin(ctx, root, plugin, request)
		if err != nil {
			return nil, err
		}
		files = append(files, made...)
	}
	slices.SortFunc(files, func(a, b generatedFile) int { return strings.Compare(a.path, b.path) })
	return files, nil
}

// compile parses and links every .proto file of dir. Comments are kept: they become the doc comments of the Go code.
func compile(ctx context.Context, dir string) (*pluginpb.CodeGeneratorRequest, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.proto"))
	if err != nil {
		return nil, fmt.Errorf("list the sources: %w", err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no .proto files in %s; run this from the root of the module or say -root", dir)
	}
	var names []string
	for _, path := range paths {
		names = append(names, filepath.Base(path))
	}
	slices.Sort(names)

	compiler := protocompile.Compiler{
		Resolver:       &protocompile.SourceResolver{ImportPaths: []string{dir}},
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	linked, err := compiler.Compile(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("compile the sources: %w", err)
	}
	request := &pluginpb.CodeGeneratorRequest{
		FileToGenerate: names,
		Parameter:      proto.String("module=" + module),
	}
	seen := map[string]bool{}
	for _, file := range linked {
		request.ProtoFile = appendWithImports(request.ProtoFile, file, seen)
	}
	return request, nil
}

// appendWithImports adds a file after everything that it imports, which is the order that plugins rely on.
func appendWithImports(
	files []*descriptorpb.FileDescriptorProto, file protoreflect.FileDescriptor, seen map[string]bool,
) []*descriptorpb.FileDescriptorProto {
	if seen[file.Path()] {
		return files
	}
	seen[file.Path()] = true
	imports := file.Imports()
	for i := range imports.Len() {
		files = appendWithImports(files, imports.Get(i).FileDescriptor, seen)
	}
	return append(files, protodesc.ToFileDescriptorProto(file))
}

// runPlugin hands the request to one plugin and returns the files that it answers with.
func runPlugin(
	ctx context.Context, root, plugin string, request *pluginpb.CodeGeneratorRequest,
) ([]generatedFile, error) {
	input, err := proto.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encode the request for %s: %w", plugin, err)
	}
	command := exec.CommandContext(ctx, "go", "tool", plugin)
	command.Dir = root
	command.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("run go tool %s: %w: %s", plugin, err, strings.TrimSpace(stderr.String()))
	}
	response := &pluginpb.CodeGeneratorResponse{}
	if err := proto.Unmarshal(output, response); err != nil {
		return nil, fmt.Errorf("decode the answer of %s: %w", plugin, err)
	}
	if response.Error != nil {
		return nil, fmt.Errorf("%s: %s", plugin, response.GetError())
	}
	var files []generatedFile
	for _, file := range response.File {
		files = append(files, generatedFile{path: file.GetName(), content: file.GetContent()})
	}
	return files, nil
}

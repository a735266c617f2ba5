// The protocol is read more often than it is changed, by people who meet it for the first time.

package main

import (
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

func TestEveryElementOfTheProtocolIsExplained(t *testing.T) {
	request, err := compile(t.Context(), filepath.Join(root, "proto"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(&descriptorpb.FileDescriptorSet{File: request.ProtoFile})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	explained := func(d protoreflect.Descriptor) {
		seen++
		location := d.ParentFile().SourceLocations().ByDescriptor(d)
		if strings.TrimSpace(location.LeadingComments) == "" {
			t.Errorf("%s:%d: %s has no comment above it", d.ParentFile().Path(), location.StartLine+1, d.FullName())
		}
	}
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			explained(service)
			for j := range service.Methods().Len() {
				explained(service.Methods().Get(j))
			}
		}
		walkEnums(file.Enums(), explained)
		walkMessages(file.Messages(), explained)
		return true
	})
	if seen < 900 {
		t.Errorf("only %d elements were looked at; there are more, so the walk is broken", seen)
	}
}

func walkEnums(enums protoreflect.EnumDescriptors, visit func(protoreflect.Descriptor)) {
	for i := range enums.Len() {
		visit(enums.Get(i))
		for j := range enums.Get(i).Values().Len() {
			visit(enums.Get(i).Values().Get(j))
		}
	}
}

func walkMessages(messages protoreflect.MessageDescriptors, visit func(protoreflect.Descriptor)) {
	for i := range messages.Len() {
		message := messages.Get(i)
		visit(message)
		for j := range message.Fields().Len() {
			visit(message.Fields().Get(j))
		}
		walkEnums(message.Enums(), visit)
		walkMessages(message.Messages(), visit)
	}
}

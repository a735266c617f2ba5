// Package guard holds our protocol to the original: every message, field, enum value and method that our .proto files
// declare must be one of TiKV's or PD's, with the same number, name and type, and every number that we leave out must
// be reserved.
//
//	proto/*.proto  ── protocompile ──▶ descriptors ┐
//	                                               ├─ Compare ──▶ differences, one line each
//	kvproto's Go packages ── registry ─▶ descriptors ┘
//
// Only descriptors are compared, nothing is sent. Our generated Go code is not linked here, since a process cannot
// hold two sets of messages of the same names.
package guard

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Compare lists everything in ours that is not a subset of theirs: a line for each difference, in the order of the
// file. An empty list means that each message of ours can be read and written by a program that has theirs.
func Compare(ours, theirs protoreflect.FileDescriptor) []string {
	c := &comparison{}
	c.same(ours, "package", ours.Package(), theirs.Package())
	c.same(ours, "syntax", ours.Syntax(), theirs.Syntax())
	c.enums(ours.Enums(), theirs.Enums())
	c.messages(ours.Messages(), theirs.Messages())
	c.services(ours.Services(), theirs.Services())
	return c.differences
}

type comparison struct {
	differences []string
}

func (c *comparison) report(d protoreflect.Descriptor, format string, args ...any) {
	name := string(d.FullName())
	if file, ok := d.(protoreflect.FileDescriptor); ok {
		name = file.Path()
	}
	c.differences = append(c.differences, name+": "+fmt.Sprintf(format, args...))
}

// same reports a property that differs.
func (c *comparison) same(d protoreflect.Descriptor, property string, ours, theirs any) {
	if ours != theirs {
		c.report(d, "%s is %v here and %v in the original", property, ours, theirs)
	}
}

func (c *comparison) messages(ours, theirs protoreflect.MessageDescriptors) {
	for i := range ours.Len() {
		message := ours.Get(i)
		original := theirs.ByName(message.Name())
		if original == nil {
			c.report(message, "the original has no such message")
			continue
		}
		c.message(message, original)
	}
}

func (c *comparison) message(ours, theirs protoreflect.MessageDescriptor) {
	for i := range ours.Fields().Len() {
		field := ours.Fields().Get(i)
		original := theirs.Fields().ByNumber(field.Number())
		if original == nil {
			c.report(field, "the original has no field number %d", field.Number())
			continue
		}
		c.field(field, original)
	}
	for i := range theirs.Fields().Len() {
		original := theirs.Fields().Get(i)
		number := original.Number()
		if ours.Fields().ByNumber(number) == nil && !ours.ReservedRanges().Has(number) {
			c.report(ours, "number %d is %s in the original, and here neither a field nor reserved", number, original.Name())
		}
	}
	for i := range ours.ReservedRanges().Len() {
		reserved := ours.ReservedRanges().Get(i)
		for number := reserved[0]; number < reserved[1]; number++ {
			if theirs.Fields().ByNumber(number) == nil && !theirs.ReservedRanges().Has(number) {
				c.report(ours, "number %d is reserved, but means nothing in the original", number)
			}
		}
	}
	c.enums(ours.Enums(), theirs.Enums())
	c.messages(ours.Messages(), theirs.Messages())
}

func (c *comparison) field(ours, theirs protoreflect.FieldDescriptor) {
	c.same(ours, "name", ours.Name(), theirs.Name())
	c.same(ours, "kind", ours.Kind(), theirs.Kind())
	c.same(ours, "type", typeName(ours), typeName(theirs))
	c.same(ours, "label", ours.Cardinality(), theirs.Cardinality())
	c.same(ours, "being a map", ours.IsMap(), theirs.IsMap())
	c.same(ours, "packing", ours.IsPacked(), theirs.IsPacked())
	c.same(ours, "oneof", oneofName(ours), oneofName(theirs))
}

// typeName is the message or enum that a field holds; empty for numbers, strings and bytes.
func typeName(field protoreflect.FieldDescriptor) protoreflect.FullName {
	switch {
	case field.Message() != nil:
		return field.Message().FullName()
	case field.Enum() != nil:
		return field.Enum().FullName()
	}
	return ""
}

// oneofName is the oneof that a field belongs to; empty if to none.
func oneofName(field protoreflect.FieldDescriptor) protoreflect.Name {
	if oneof := field.ContainingOneof(); oneof != nil {
		return oneof.Name()
	}
	return ""
}

func (c *comparison) enums(ours, theirs protoreflect.EnumDescriptors) {
	for i := range ours.Len() {
		enum := ours.Get(i)
		original := theirs.ByName(enum.Name())
		if original == nil {
			c.report(enum, "the original has no such enum")
			continue
		}
		c.enum(enum, original)
	}
}

func (c *comparison) enum(ours, theirs protoreflect.EnumDescriptor) {
	for i := range ours.Values().Len() {
		value := ours.Values().Get(i)
		original := theirs.Values().ByNumber(value.Number())
		if original == nil {
			c.report(value, "the original has no value %d", value.Number())
			continue
		}
		c.same(value, "name", value.Name(), original.Name())
	}
	for i := range theirs.Values().Len() {
		original := theirs.Values().Get(i)
		number := original.Number()
		if ours.Values().ByNumber(number) == nil && !ours.ReservedRanges().Has(number) {
			c.report(ours, "number %d is %s in the original, and here neither a value nor reserved", number, original.Name())
		}
	}
}

func (c *comparison) services(ours, theirs protoreflect.ServiceDescriptors) {
	for i := range ours.Len() {
		service := ours.Get(i)
		original := theirs.ByName(service.Name())
		if original == nil {
			c.report(service, "the original has no such service")
			continue
		}
		for j := range service.Methods().Len() {
			c.method(service.Methods().Get(j), original)
		}
	}
}

func (c *comparison) method(ours protoreflect.MethodDescriptor, service protoreflect.ServiceDescriptor) {
	theirs := service.Methods().ByName(ours.Name())
	if theirs == nil {
		c.report(ours, "the original has no such method")
		return
	}
	c.same(ours, "request", ours.Input().FullName(), theirs.Input().FullName())
	c.same(ours, "response", ours.Output().FullName(), theirs.Output().FullName())
	c.same(ours, "streaming of requests", ours.IsStreamingClient(), theirs.IsStreamingClient())
	c.same(ours, "streaming of responses", ours.IsStreamingServer(), theirs.IsStreamingServer())
}

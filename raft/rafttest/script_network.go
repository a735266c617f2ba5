package rafttest

import (
	"fmt"
	"slices"
	"strings"

	"tinykv/raft"
)

// The network of a script: messages wait until a command delivers or loses them.

// onNetwork runs a command about messages.
func (s *Script) onNetwork(name string, args []string) bool {
	switch name {
	case "settle":
		for i := 0; len(s.waiting) > 0 && i < 1000; i++ {
			s.deliver(nil)
		}
	case "deliver":
		s.deliver(args)
	case "drop":
		for _, m := range s.take(args) {
			s.printf("lost %s", FormatMessage(&m))
		}
	case "show":
		for _, m := range s.waiting {
			s.printf("%s", FormatMessage(&m))
		}
	case "cut":
		for _, a := range args {
			s.cut = append(s.cut, number(a))
		}
	case "heal":
		s.cut = nil
	case "step":
		m := parseMessage(args)
		s.waiting = append([]raft.Message{m}, s.waiting...)
		s.deliver([]string{args[0]})
	default:
		return false
	}
	return true
}

// take removes the waiting messages that match a link and a type.
func (s *Script) take(filter []string) []raft.Message {
	var taken, kept []raft.Message
	for _, m := range s.waiting {
		match := true
		for _, f := range filter {
			match = match && (f == fmt.Sprintf("%d->%d", m.From, m.To) || f == m.Type.String())
		}
		if match {
			taken = append(taken, m)
		} else {
			kept = append(kept, m)
		}
	}
	s.waiting = kept
	return taken
}

func (s *Script) deliver(filter []string) {
	for _, m := range s.take(filter) {
		if slices.Contains(s.cut, m.From) || slices.Contains(s.cut, m.To) {
			s.printf("lost %s", FormatMessage(&m))
			continue
		}
		s.printf("%s", FormatMessage(&m))
		i := slices.IndexFunc(s.nodes, func(n *scriptNode) bool { return n.id == m.To && n.rn != nil })
		if i < 0 {
			continue
		}
		if err := s.nodes[i].rn.Step(m); err != nil {
			s.printf("n%d: %v", m.To, err)
		}
		s.work()
	}
}

func parseMessage(args []string) raft.Message {
	from, to, _ := strings.Cut(args[0], "->")
	m := raft.Message{From: number(from), To: number(to), Term: number(args[2][1:])}
	for t := raft.MsgProp; t <= raft.MsgReadIndexResp; t++ {
		if t.String() == args[1] {
			m.Type = t
		}
	}
	var terms string
	for _, a := range args[3:] {
		key, value, _ := strings.Cut(a, "=")
		switch key {
		case "index":
			m.Index = number(value)
		case "logterm":
			m.LogTerm = number(value)
		case "commit":
			m.Commit = number(value)
		case "reject":
			m.Reject = true
		case "force":
			m.Force = true
		case "terms":
			terms = value
		}
	}
	for i, t := range strings.FieldsFunc(terms, func(r rune) bool { return r == ',' }) {
		m.Entries = append(m.Entries, raft.Entry{Index: m.Index + uint64(i) + 1, Term: number(t)})
	}
	return m
}

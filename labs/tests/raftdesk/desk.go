// The desk: the rule under test, what was done so far, and how a surprise is told.

package raftdesk

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tinykv/labs/tests/explain"
	"tinykv/raft"
)

// Desk is what one test works with: its nodes, the network between them, and the record.
type Desk struct {
	T    *testing.T
	Rule explain.Rule // what a surprise breaks
	Done []string     // the record
	Note string       // ends a failure, such as the command that plays its seed again; may be empty

	Nodes []*Node // by id; a node that is started again replaces the one that was
	Sent  []raft.Message
	Lost  func(m raft.Message) bool // the network loses these; may be nil

	// What a stage looks at on the way of every Ready; each may be nil.
	BeforeWrite func(n *Node, rd raft.Ready)
	AfterWrite  func(n *Node, rd raft.Ready) // before its messages are sent
	AtApply     func(n *Node, e raft.Entry)  // after n.Applied has it

	options []Option
	away    []uint64
	tells   bool // a failure ends with Where
	ticks   int  // in the last line of the record, if that is about ticks
}

// Open begins a test. The options are those of every node that is started.
func Open(t *testing.T, rule explain.Rule, options ...Option) *Desk {
	return &Desk{T: t, Rule: rule, options: options}
}

// Say records a step.
func (d *Desk) Say(format string, args ...any) { d.Done = append(d.Done, fmt.Sprintf(format, args...)) }

// Record is the end of what was done.
func (d *Desk) Record() string {
	const last = 20
	steps := d.Done
	if n := len(steps); n > last {
		steps = slices.Concat([]string{fmt.Sprintf("(%d steps before these)", n-last)}, steps[n-last:])
	}
	return strings.Join(steps, "\n")
}

// sayTick records a tick at some nodes, in one line with those before it in which nothing happened.
func (d *Desk) sayTick(who string) {
	line := func() string {
		if d.ticks == 1 {
			return who + "a tick passes"
		}
		return fmt.Sprintf("%s%d ticks pass", who, d.ticks)
	}
	if n := len(d.Done); d.ticks > 0 && n > 0 && d.Done[n-1] == line() {
		d.ticks++
		d.Done[n-1] = line()
		return
	}
	d.ticks = 1
	d.Say("%s", line())
}

// Broken ends the test: what was done last broke the rule. Notes may guess at the cause.
func (d *Desk) Broken(want, got string, notes ...string) {
	d.T.Helper()
	if d.tells {
		got += "\n" + d.Where()
	}
	d.Rule.Broken(d.T, d.Record(), want, got, append(notes, d.Note)...)
}

// Brokenf is Broken with what came as a format.
func (d *Desk) Brokenf(want, format string, args ...any) {
	d.T.Helper()
	d.Broken(want, fmt.Sprintf(format, args...))
}

// Check is Brokenf unless ok.
func (d *Desk) Check(ok bool, want, format string, args ...any) {
	d.T.Helper()
	if !ok {
		d.Brokenf(want, format, args...)
	}
}

// Where says where every node is.
func (d *Desk) Where() string {
	var lines []string
	for _, n := range d.Nodes {
		lines = append(lines, n.Where())
	}
	return strings.Join(lines, "\n")
}

// Node returns a node by its id, or nil.
func (d *Desk) Node(id uint64) *Node {
	if i := slices.IndexFunc(d.Nodes, func(n *Node) bool { return n.ID == id }); i >= 0 {
		return d.Nodes[i]
	}
	return nil
}

// Panics returns what f panics with, or nil.
func Panics(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

// How a story tells of what happened.

package sim

import (
	"fmt"
	"strings"

	"github.com/anishathalye/porcupine"

	"tinykv/kv/command"
	"tinykv/kv/replica"
	"tinykv/raft"
	"tinykv/raft/rafttest"
)

// describeMessage renders a message in the protocol's notation, with stores for peers and commands for bytes.
func (c *Cluster) describeMessage(m *replica.Message) string {
	r := m.Raft
	r.From, r.To = m.From.StoreID, m.To.StoreID
	r.Entries = make([]raft.Entry, len(m.Raft.Entries))
	for i := range r.Entries {
		r.Entries[i] = c.readable(&m.Raft.Entries[i])
	}
	return rafttest.FormatMessage(&r)
}

// readable is the entry with words for its command.
func (c *Cluster) readable(e *raft.Entry) raft.Entry {
	readable := *e
	if e.Type != raft.EntryNormal || len(e.Data) == 0 {
		return readable
	}
	decoded, err := command.Decode(e.Data)
	switch d := decoded.(type) {
	case command.Write:
		readable.Data = []byte(c.keyspace.describe(d.Batch))
	case command.CompactLog:
		readable.Data = fmt.Appendf(nil, "compact to %d", d.Index)
	default:
		readable.Data = fmt.Append(nil, err)
	}
	return readable
}

func (c *Cluster) describeEntry(e *raft.Entry) string {
	readable := c.readable(e)
	return rafttest.FormatEntry(&readable)
}

// describeCall renders an attempt: "put key1, pair = v17, request 40".
func (c *Cluster) describeCall(a *attempt) string {
	if a.call == nil {
		return fmt.Sprintf("an operator's request %d", a.id)
	}
	var names []string
	for _, key := range a.call.keys {
		names = append(names, c.keyName(key))
	}
	s := fmt.Sprintf("call %d, request %d: %v %s", a.call.id, a.id, a.call.kind, strings.Join(names, ", "))
	if a.call.kind == callPut || a.call.kind == callSwap {
		s += " = " + valueName(a.value)
	}
	switch {
	case !a.call.over:
	case a.call.unknown:
		s += ": unknown"
	case a.call.err != nil:
		s += ": " + a.call.err.Error()
	case a.call.kind == callGet || a.call.kind == callSwap:
		s += fmt.Sprintf(": %v", a.reply.values)
	}
	return s
}

func describeView(v *replica.View) string {
	s := fmt.Sprintf("t%d, applied %d, log %d to %d, leader on store %d", v.Term, v.Applied.Index, v.Kept.Index+1, v.Last,
		v.Leader.StoreID)
	if v.LeaseUntil > 0 {
		s += fmt.Sprintf(", lease to %.2f", ticks(v.LeaseUntil))
	}
	if v.Installing {
		s += ", installing"
	}
	if v.Gone {
		s += ", gone"
	}
	return s
}

// describe tells where every store stands.
func (c *Cluster) describe() string {
	var lines []string
	for _, p := range c.processes {
		line := fmt.Sprintf("store %d: ", p.id)
		switch {
		case p.lost:
			line += "lost for good"
		case p.core == nil:
			line += "down"
		default:
			line += fmt.Sprintf("%s; %d requests wait", describeView(&p.view), len(p.waiting))
			if p.busy {
				line += ", busy"
			}
			if p.paused() {
				line += ", stopped"
			}
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// noteMessage adds a message that arrives to the hash, and to the story if it is told.
func (c *Cluster) noteMessage(p *process, m *replica.Message) {
	r := &m.Raft
	h := mix(mix(c.hash, uint64(c.now)), uint64(r.Type))
	for _, v := range [...]uint64{m.RegionID, r.From, r.To, r.Term, r.LogTerm, r.Index, r.Commit, r.Hint, r.Context,
		uint64(len(r.Entries))} {
		h = mix(h, v)
	}
	c.hash = h
	if c.opts.Trace {
		c.tell(p, "gets %s", c.describeMessage(m))
	}
}

// annotate adds to the picture of a history what happened to the stores.
func (c *Cluster) annotate(format string, args ...any) {
	if !c.opts.Record {
		return
	}
	c.history.notes = append(c.history.notes, porcupine.Annotation{Tag: "stores", Start: int64(c.now), End: int64(c.now),
		Description: fmt.Sprintf(format, args...)})
}

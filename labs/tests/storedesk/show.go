// How things are shown, in the protocol's notation. 7/6 is the entry with index 7 and term 6.

package storedesk

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"tinykv/kv/command"
	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/replica"
	"tinykv/labs/tests/explain"
	"tinykv/raft"
	"tinykv/raft/rafttest"
)

// ShowMessage shows a message with the stores that it is from and to.
func ShowMessage(m *replica.Message) string {
	plain := m.Raft
	plain.Entries = nil
	_, text, _ := strings.Cut(rafttest.FormatMessage(&plain), " ")
	if m.Raft.Type == raft.MsgApp {
		text = fmt.Sprintf("App t%d after %d/%d %s commit %d", m.Raft.Term, m.Raft.Index, m.Raft.LogTerm,
			ShowEntries(m.Raft.Entries), m.Raft.Commit)
	}
	region := ""
	if m.RegionID != 1 {
		region = fmt.Sprintf("region %d, ", m.RegionID)
	}
	return fmt.Sprintf("%sstore %d -> %d: %s", region, m.From.StoreID, m.To.StoreID, text)
}

// ShowEntries shows entries with what they ask for: [7/6 a=1, 8/6 no-op].
func ShowEntries(list []raft.Entry) string {
	var parts []string
	for i := range list {
		parts = append(parts, ShowEntry(&list[i]))
	}
	if n := len(parts); n > 6 {
		parts = slices.Concat(parts[:3], []string{fmt.Sprintf("… %d more …", n-5)}, parts[n-2:])
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// ShowEntry shows one.
func ShowEntry(e *raft.Entry) string {
	name := fmt.Sprintf("%d/%d", e.Index, e.Term)
	if e.Type == raft.EntryConfChange {
		return name + " change of the members"
	}
	if len(e.Data) == 0 {
		return name + " no-op"
	}
	switch c, err := command.Decode(e.Data); c := c.(type) {
	case command.Write:
		return name + " " + ShowBatch(c.Batch)
	case command.CompactLog:
		return fmt.Sprintf("%s CompactLog %d/%d", name, c.Index, c.Term)
	default:
		if err != nil && len(e.Data) > 20 {
			return fmt.Sprintf("%s %d bytes", name, len(e.Data))
		}
		return fmt.Sprintf("%s %q", name, e.Data)
	}
}

// ShowBatch shows a batch; what it writes of the store's own records is left out.
func ShowBatch(b *engine.Batch) string {
	var parts []string
	for op := range b.Ops() {
		family := ""
		if op.CF != engine.Default {
			family = op.CF.String() + "."
		}
		switch {
		case op.CF == engine.Meta && len(op.Key) > 0:
			parts = append(parts, map[byte]string{'a': "applied", 'r': "region"}[op.Key[0]]+" record")
		case op.Kind == engine.OpPut:
			parts = append(parts, fmt.Sprintf("%s%s=%s", family, short(op.Key), short(op.Value)))
		case op.Kind == engine.OpDelete:
			parts = append(parts, fmt.Sprintf("delete %s%s", family, short(op.Key)))
		default:
			parts = append(parts, fmt.Sprintf("delete %s[%s, %s)", family, short(op.Key), short(op.Value)))
		}
	}
	if n := len(parts); n > 6 {
		parts = slices.Concat(parts[:3], []string{fmt.Sprintf("… %d more …", n-5)}, parts[n-2:])
	}
	return "{" + strings.Join(parts, " ") + "}"
}

// ShowHard shows a hard state.
func ShowHard(h raft.HardState) string {
	return fmt.Sprintf("term %d, vote %d, commit %d", h.Term, h.Vote, h.Commit)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// short shows a key or a value that is made of plain letters as it is.
func short(p []byte) string {
	for _, c := range p {
		if c <= ' ' || c > '~' {
			return explain.Bytes(p)
		}
	}
	if len(p) == 0 || len(p) > 40 {
		return explain.Bytes(p)
	}
	return string(p)
}

// ShowPosition shows a position as index/term.
func ShowPosition(p raftlog.Position) string { return fmt.Sprintf("%d/%d", p.Index, p.Term) }

func showState(s raftlog.State) string {
	text := fmt.Sprintf("%s, entries behind %s up to %s", ShowHard(s.Hard), ShowPosition(s.Truncated), ShowPosition(s.Last))
	if s.Install != nil {
		text += ", to be installed: spool " + s.Install.Spool
	}
	return text
}

// showChanges shows the regions whose logs are not what they were.
func showChanges(before, after map[uint64]raftlog.State) string {
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(after)) {
		if before[id] != after[id] {
			parts = append(parts, fmt.Sprintf("region %d: %s", id, showState(after[id])))
		}
	}
	if len(parts) == 0 {
		return "no region's log ends elsewhere"
	}
	return strings.Join(parts, "; ")
}

func showView(v *replica.View) string {
	leader := "no leader known"
	if v.Leader.StoreID > 0 {
		leader = fmt.Sprintf("leader on store %d", v.Leader.StoreID)
	}
	text := fmt.Sprintf("region %d: term %d, %s, applied %s", v.Region.ID, v.Term, leader, ShowPosition(v.Applied))
	if v.LeaseUntil > 0 {
		text += fmt.Sprintf(", lease until %v", v.LeaseUntil)
	}
	if v.Installing {
		text += ", installing"
	}
	if v.Gone {
		text += ", gone"
	}
	return text
}

func (s *Store) describeDisks() string {
	var parts []string
	states := s.states()
	for _, id := range slices.Sorted(maps.Keys(states)) {
		parts = append(parts, fmt.Sprintf("region %d: %s, applied %s", id, showState(states[id]), ShowPosition(s.Applied(id))))
	}
	if len(parts) == 0 {
		return "nothing on its disks"
	}
	return strings.Join(parts, "; ")
}

// Where says where the store is.
func (s *Store) Where() string {
	if s.Core == nil {
		return fmt.Sprintf("store %d is down", s.ID)
	}
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(s.Views)) {
		v := s.Views[id]
		parts = append(parts, showView(&v))
	}
	return fmt.Sprintf("store %d: %s; on disk: %s", s.ID, strings.Join(parts, "; "), s.describeDisks())
}

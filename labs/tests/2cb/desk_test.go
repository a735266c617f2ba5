// Package stage2cb_test grades exercise 2cb: log compaction, from the command that allows it to the entries that leave the
// disk.
//
// desk_test.go holds the rules of the handout, and what its tests share. log_test.go is about a log alone, when_test.go about
// the leader's decision, laggard_test.go about those who lag, durable_test.go about the sync of the data that comes first,
// restart_test.go about crashes.
package stage2cb_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"tinykv/kv/command"
	"tinykv/kv/raftlog"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/labs/tests/explain"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

// The workbench in short words.
type (
	desk    = storedesk.Desk
	server  = storedesk.Store
	options = storedesk.Options
)

// The rules of the handout 2cb.
var (
	begins = explain.Rule{ID: "INV-2cb.1",
		Says: "a log that was cut begins in the middle: what is gone is compacted, the term before the first entry is known, " +
			"and the rest is as it was"}
	forward = explain.Rule{ID: "INV-2cb.2",
		Says: "where a log begins never goes back"}
	tidy = explain.Rule{ID: "INV-2cb.3",
		Says: "what was cut off leaves memory at once, and the disk by and by, and nothing else does"}
	length = explain.Rule{ID: "INV-2cb.4",
		Says: "a log that is too long, by entries or by bytes, is cut on every store; a short one is left alone"}
	once = explain.Rule{ID: "INV-2cb.5",
		Says: "the leader proposes one compaction at a time, and only one that is worth an entry"}
	decided = explain.Rule{ID: "INV-2cb.6",
		Says: "a CompactLog allows to cut up to the entry that it names; one that is old, or can't be right, does nothing"}
	reach = explain.Rule{ID: "INV-2cb.7",
		Says: "entries that a follower in reach still needs are kept; it needs no snapshot"}
	behind = explain.Rule{ID: "INV-2cb.8",
		Says: "who lags too far does not hold the log: it gets a snapshot"}
	durable = explain.Rule{ID: "INV-2cb.9",
		Says: "a log is cut only below what the data store has made durable"}
	shared = explain.Rule{ID: "INV-2cb.10",
		Says: "the data is synced only for those who wait for it, one sync at a time, for all regions"}
	ended = explain.Rule{ID: "INV-2cb.11",
		Says: "the end of a sync makes durable what was applied when it began, and only its own token tells of it"}
	restarts = explain.Rule{ID: "INV-2cb.12",
		Says: "a store that starts again goes on with the log that it has, and loses nothing that was acknowledged"}
	together = explain.Rule{ID: "INV-2cb.13",
		Says: "a cluster that cuts its logs keeps what it acknowledged, whoever lags or crashes between any two effects"}
)

// Limits of most tests: a log is too long with more than 10 entries, and a follower in reach lacks no more than 40.
const (
	manyEntries = 10
	lagEntries  = 40
	// slack is by how much a log may be longer than its limit when all is quiet: each compaction is an entry itself.
	slack = 5
)

// short makes logs short. The changes come after.
func short(changes ...func(c *store.Config)) func(c *store.Config) {
	return func(c *store.Config) {
		c.Raft.ElectionTicks = 10
		c.Limits.CompactEntries, c.Limits.MaxLagEntries = manyEntries, lagEntries
		for _, change := range changes {
			change(c)
		}
	}
}

// begin opens three stores with short logs, elects store 1, and watches over what is cut.
func begin(t *testing.T, rule explain.Rule, changes ...func(c *store.Config)) (*desk, *server) {
	t.Helper()
	d := storedesk.Open(t, rule, options{Config: short(changes...)})
	watch(d)
	return d, d.Elect(1)
}

// writes writes n pairs, each by itself, and ends the test unless all are acknowledged. Pair i is k00i=i.
func writes(d *desk, s *server, from, n int) {
	d.T.Helper()
	d.Say("store %d: writes k%03d to k%03d, one after the other", s.ID, from, from+n-1)
	mark := len(d.Done)
	for i := from; i < from+n; i++ {
		s.Puts(fmt.Sprintf("k%03d", i), fmt.Sprint(i))
	}
	d.Done = d.Done[:mark]
	d.Say("store %d: all are acknowledged; log: %s", s.ID, place(s))
}

// holdsAll ends the test unless a store has the pairs 0 to n-1.
func holdsAll(d *desk, s *server, n int) {
	d.T.Helper()
	for i := range n {
		key := fmt.Sprintf("k%03d", i)
		d.Check(s.Get(key) == fmt.Sprint(i), fmt.Sprintf("store %d has %s=%d, which was acknowledged", s.ID, key, i), "%s=%s",
			key, s.Get(key))
	}
}

// kept is how many entries a log has.
func kept(s *server, regionID ...uint64) uint64 {
	state := s.State(regionID...)
	return state.Last.Index - state.Truncated.Index
}

// place is where a log begins and ends.
func place(s *server, regionID ...uint64) string {
	state := s.State(regionID...)
	return fmt.Sprintf("behind %s up to %s", show(state.Truncated), show(state.Last))
}

func show(p raftlog.Position) string { return fmt.Sprintf("%d/%d", p.Index, p.Term) }

// isShort ends the test unless the log of a store is within its limit.
func isShort(d *desk, s *server) {
	d.T.Helper()
	d.Check(kept(s) <= manyEntries+slack, fmt.Sprintf("store %d keeps about %d entries", s.ID, manyEntries),
		"it keeps %d: %s", kept(s), place(s))
}

// isWhole ends the test if anything was cut.
func isWhole(d *desk, s *server, why string) {
	d.T.Helper()
	at := raftlog.Position{Index: storedesk.FirstIndex - 1, Term: storedesk.FirstTerm}
	d.Check(s.State().Truncated == at, fmt.Sprintf("the log of store %d begins behind %s still: %s", s.ID, show(at), why), "%s",
		place(s))
}

// isCut ends the test unless something was cut.
func isCut(d *desk, s *server, why string) {
	d.T.Helper()
	d.Check(s.State().Truncated.Index >= storedesk.FirstIndex, fmt.Sprintf("the log of store %d is cut: %s", s.ID, why), "%s",
		place(s))
}

// compactions are the CompactLog commands that were ever sent in appends, each once, with their places.
func compactions(d *desk, regionID ...uint64) map[raftlog.Position]command.CompactLog {
	found := map[raftlog.Position]command.CompactLog{}
	id := uint64(1)
	if len(regionID) > 0 {
		id = regionID[0]
	}
	for i := range d.Sent {
		if d.Sent[i].RegionID == id && d.Sent[i].Raft.Type == raft.MsgApp {
			addCompactions(found, d.Sent[i].Raft.Entries)
		}
	}
	return found
}

func addCompactions(found map[raftlog.Position]command.CompactLog, entries []raft.Entry) {
	for _, e := range entries {
		if e.Type != raft.EntryNormal || len(e.Data) == 0 {
			continue
		}
		if c, err := command.Decode(e.Data); err == nil {
			if c, ok := c.(command.CompactLog); ok {
				found[raftlog.Position{Index: e.Index, Term: e.Term}] = c
			}
		}
	}
}

// proposals tells what compactions found, the first of them in full.
func proposals(found map[raftlog.Position]command.CompactLog) string {
	places := slices.SortedFunc(maps.Keys(found), func(a, b raftlog.Position) int { return cmp.Compare(a.Index, b.Index) })
	words := []string{fmt.Sprintf("%d proposed", len(places))}
	for _, at := range places[:min(len(places), 5)] {
		c := found[at]
		words = append(words, fmt.Sprintf("%s CompactLog %d/%d", show(at), c.Index, c.Term))
	}
	return strings.Join(words, ", ")
}

// compactEntry is an entry that holds a CompactLog.
func compactEntry(d *desk, index, term uint64, c command.CompactLog) raft.Entry {
	d.T.Helper()
	data, err := command.Encode(c)
	d.Must("encoding a CompactLog", err)
	return raft.Entry{Index: index, Term: term, Data: data}
}

// syncs are how many syncs of the data a store has asked for in this life.
func syncs(s *server) uint64 { return s.Core.Stats().DataSyncs }

// syncing are the syncs of the data that are under way.
func syncing(s *server) (jobs []*storedesk.Job) {
	for _, j := range s.Jobs {
		if _, ok := j.Effect.(store.SyncData); ok {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

// holdSyncs keeps the syncs of a store under way until the test lets them end.
func holdSyncs(s *server) {
	s.D.Say("store %d: syncs of its data take their time", s.ID)
	s.HoldJobs = func(e store.Effect) bool {
		_, ok := e.(store.SyncData)
		return ok
	}
}

// theSync ends the test unless exactly one sync of the data is under way.
func theSync(d *desk, s *server) *storedesk.Job {
	d.T.Helper()
	jobs := syncing(s)
	d.Check(len(jobs) == 1, fmt.Sprintf("one sync of store %d's data is under way", s.ID), "%d are", len(jobs))
	return jobs[0]
}

// snapshots are how many snapshots a store has begun to send.
func snapshots(s *server) uint64 { return s.Core.Stats().SnapshotsSent }

// lasting is what the watch knows of a store's data in one life.
type lasting struct {
	core  *store.Store
	sure  map[uint64]uint64                    // region -> the applied index that is durable
	begun map[*storedesk.Job]map[uint64]uint64 // sync -> what was applied when it began
}

// watch ends the test if a log is cut where the data is not durable: at the start, all that is there; after the end of a sync,
// what was applied when it began.
func watch(d *desk) {
	stores := map[*server]*lasting{}
	look := func(s *server) *lasting {
		l := stores[s]
		if l == nil || l.core != s.Core {
			l = &lasting{core: s.Core, sure: appliedOf(d, s), begun: map[*storedesk.Job]map[uint64]uint64{}}
			stores[s] = l
		}
		for j, applied := range l.begun {
			if !contains(s.Jobs, j) {
				l.sure = applied
				delete(l.begun, j)
			}
		}
		return l
	}
	d.Before = func(s *server, e store.Effect) { look(s) }
	d.After = func(s *server, e store.Effect) {
		l := look(s)
		switch e.(type) {
		case store.SyncData:
			l.begun[s.Jobs[len(s.Jobs)-1]] = appliedOf(d, s)
		case store.WriteLog:
			for _, r := range d.Regions {
				if at := s.State(r.ID); at.Truncated.Index > l.sure[r.ID] && at.Install == nil && installed(s, r.ID) < at.Truncated.Index {
					durable.Broken(d.T, d.Record(), fmt.Sprintf("the log of region %d on store %d is cut at %d at most: up to there the data is "+
						"durable", r.ID, s.ID, l.sure[r.ID]), place(s, r.ID))
				}
			}
		}
	}
}

// installed is where the data of a region stood when its last snapshot was installed; what is installed is durable.
func installed(s *server, regionID uint64) uint64 {
	if v := s.View(regionID); v.Installs > 0 {
		return v.Kept.Index
	}
	return 0
}

func appliedOf(d *desk, s *server) map[uint64]uint64 {
	m := map[uint64]uint64{}
	for _, r := range d.Regions {
		m[r.ID] = s.Applied(r.ID).Index
	}
	return m
}

func contains(jobs []*storedesk.Job, j *storedesk.Job) bool {
	for _, o := range jobs {
		if o == j {
			return true
		}
	}
	return false
}

// lose loses all messages.
func lose(*replica.Message) storedesk.Fate { return storedesk.Lose }

// tells lets a store hear of entries of a leader, store 1: the entries follow the one at prev, and all up to commit are
// committed.
func tells(d *desk, s *server, term uint64, prev raftlog.Position, commit uint64, entries ...raft.Entry) {
	d.T.Helper()
	m := d.Envelope(1, s.ID, raft.Message{Type: raft.MsgApp, Term: term, Index: prev.Index, LogTerm: prev.Term,
		Commit: commit, Entries: entries})
	d.Say("%s", storedesk.ShowMessage(&m))
	d.Arrive(m)
	d.Run()
}

// large is a value of so many bytes.
func large(n int) string { return strings.Repeat("x", n) }

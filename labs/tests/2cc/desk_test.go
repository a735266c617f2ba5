// Package stage2cc_test grades exercise 2cc: snapshots in the store, from the state that one store sends to the state that
// another one serves.
//
// desk_test.go holds the rules of the handout. Streams, receivers and installers are tested alone (stream_test.go,
// receiver_test.go, installer_test.go, on the workbench in region_test.go); sending, receiving and installing in whole
// stores (send_test.go, receive_test.go, install_test.go, crash_test.go, on the workbench of package storedesk).
package stage2cc_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
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
	request = storedesk.Request
	job     = storedesk.Job
)

// The rules of the handout 2cc.
var (
	oneState = explain.Rule{ID: "INV-2cc.1",
		Says: "a snapshot's position, region and configuration are read from the state of the engine that is sent"}
	leaks = explain.Rule{ID: "INV-2cc.2",
		Says: "a bounded number of states is held to be sent, and each is given back, whatever becomes of its stream"}
	told = explain.Rule{ID: "INV-2cc.3",
		Says: "raft is told how each stream ended: after one that arrived the log goes on right behind the snapshot, " +
			"after one that was lost comes another snapshot"}
	streamed = explain.Rule{ID: "INV-2cc.4",
		Says: "a stream has all pairs of the region in one state and nothing else, in chunks of bounded size"}
	whole = explain.Rule{ID: "INV-2cc.5",
		Says: "a stream that is damaged, incomplete, in disorder, too large or for somebody else is refused, and nothing of it is kept"}
	refusedHere = explain.Rule{ID: "INV-2cc.6",
		Says: "a snapshot for another peer, of an older epoch or an earlier term, or one that contradicts itself changes nothing"}
	accepted = explain.Rule{ID: "INV-2cc.7",
		Says: "a snapshot is accepted by one synced write: the log is dropped and remembers what is to be installed; " +
			"the acknowledgement follows"}
	single = explain.Rule{ID: "INV-2cc.8",
		Says: "one snapshot of a region is installed at a time; every other spool is discarded"}
	half = explain.Rule{ID: "INV-2cc.9",
		Says: "while a snapshot is being installed nothing is applied, served or sent of the region's data; " +
			"votes and acknowledgements go on"}
	replaces = explain.Rule{ID: "INV-2cc.10",
		Says: "the batches of an installation leave the snapshot's pairs in the region's range, and touch nothing else; " +
			"the records come with the last one, when all is verified"}
	goesOn = explain.Rule{ID: "INV-2cc.11",
		Says: "when the data is durable, the snapshot's position is the applied one, what is committed behind it is applied, " +
			"the note is cleared and the spool discarded"}
	restarts = explain.Rule{ID: "INV-2cc.12",
		Says: "a crash at any point leaves the state before the snapshot, or one that installs it anew, or the state after it"}
	fates = explain.Rule{ID: "INV-2cc.13",
		Says: "writes that wait when a snapshot takes the place of the log learn what can be known of them"}
	together = explain.Rule{ID: "INV-2cc.14",
		Says: "a cluster of such stores keeps what it acknowledged, and seems to be one store, whoever is away or crashes"}
)

func broken(r explain.Rule) string { return r.ID + " is broken: " + r.Says + "." }

// shortLogs makes a follower that misses a few entries need a snapshot.
func shortLogs(cfg *store.Config) {
	cfg.Limits.CompactEntries, cfg.Limits.MaxLagEntries = 4, 4
}

// open makes a desk with short logs, on which every snapshot is watched.
func open(t *testing.T, rule explain.Rule, o options) *desk {
	t.Helper()
	change := o.Config
	o.Config = func(cfg *store.Config) {
		shortLogs(cfg)
		if change != nil {
			change(cfg)
		}
	}
	d := storedesk.Open(t, rule, o)
	d.Before = watch(d, nil)
	return d
}

// watch checks each effect before it is carried out, whatever the test is about, and then calls next, if there is one.
func watch(d *desk, next func(s *server, e store.Effect)) func(s *server, e store.Effect) {
	return func(s *server, e store.Effect) {
		d.T.Helper()
		switch e := e.(type) {
		case store.Stream:
			describes(d, s, &e)
		case store.Install:
			for _, j := range jobs[store.Install](s) {
				other := j.Effect.(store.Install)
				under(d, single, other.RegionID != e.RegionID, fmt.Sprintf("one install of region %d at a time", e.RegionID),
					"store %d is to install spool %s, and is installing %s", s.ID, e.Spool, other.Spool)
			}
		case store.Discard:
			for _, j := range jobs[store.Install](s) {
				in := j.Effect.(store.Install)
				under(d, single, in.Spool != e.Spool, "the spool that is being installed is kept", "store %d is to discard %s", s.ID,
					e.Spool)
			}
		}
		if next != nil {
			next(s, e)
		}
	}
}

// describes ends the test unless the head of a stream says what is in the state that is to be sent.
func describes(d *desk, s *server, e *store.Stream) {
	d.T.Helper()
	id := e.Head.RegionID
	applied, _, err := replica.ReadApplied(e.Source, id)
	d.Must("reading the applied position in the state that is to be sent", err)
	rec, _, err := replica.ReadRecord(e.Source, id)
	d.Must("reading the region's record in the state that is to be sent", err)
	h := &e.Head
	under(d, oneState, h.Position == applied, fmt.Sprintf("a head at %d/%d, where the state is that is to be sent", applied.Index,
		applied.Term), "it says %d/%d", h.Position.Index, h.Position.Term)
	under(d, oneState, sameRegion(h, &rec), fmt.Sprintf("the region and the members as the state has them: %v, %v", rec.Region,
		rec.ConfState), "%v, %v", h.Region, h.ConfState)
	from, _ := rec.Region.PeerOn(s.ID)
	under(d, oneState, h.ClusterID == storedesk.ClusterID && h.From == from && h.To.ID != 0 && h.To.ID != from.ID,
		fmt.Sprintf("a snapshot of cluster %d from peer %v to another one", storedesk.ClusterID, from),
		"cluster %d, from %v to %v", h.ClusterID, h.From, h.To)
}

func sameRegion(h *snapshot.Head, rec *replica.Record) bool {
	a, b := &h.Region, &rec.Region
	return a.ID == b.ID && a.Epoch == b.Epoch && a.Range.Equal(b.Range) && slices.Equal(a.Peers, b.Peers) &&
		slices.Equal(h.ConfState.Voters, rec.ConfState.Voters) && slices.Equal(h.ConfState.Learners, rec.ConfState.Learners)
}

// under is Check, for another rule than the one that the test is about.
func under(d *desk, rule explain.Rule, ok bool, want, format string, args ...any) {
	d.T.Helper()
	if ok {
		return
	}
	d.Rule = rule
	d.Brokenf(want, format, args...)
}

// jobs are the background jobs of a store that an effect of kind E began.
func jobs[E store.Effect](s *server) []*job {
	var found []*job
	for _, j := range s.Jobs {
		if _, ok := j.Effect.(E); ok {
			found = append(found, j)
		}
	}
	return found
}

// holds keeps the background jobs of one kind for the test.
func holds[E store.Effect](e store.Effect) bool {
	_, ok := e.(E)
	return ok
}

// wait lets time pass until something is so.
func wait(d *desk, what string, is func() bool) {
	d.T.Helper()
	for range 60 {
		if is() {
			return
		}
		d.Tick(1)
	}
	d.Brokenf(what+", before long", "nothing of it within 60 ticks\n%s", d.Where())
}

// fallBehind cuts a store off and writes so much that it needs a snapshot of region 1: k0 to k19, and what it had is
// overwritten, or deleted.
func fallBehind(d *desk, leader, away *server) {
	d.T.Helper()
	for _, key := range []string{"a", "old", "overwritten"} {
		leader.Puts(key, "before")
	}
	d.Tick(2)
	d.Isolate(away)
	grow(d, leader, 20)
	b := new(engine.Batch)
	b.Delete(engine.Default, []byte("old"))
	b.Put(engine.Default, []byte("overwritten"), []byte("after"))
	b.Put(engine.Lock, []byte("a"), []byte("lock"))
	b.Put(engine.Write, []byte("z"), []byte("write"))
	r := leader.WritesBatch(b)
	d.Run()
	d.Acked(r)
	wait(d, "the log is cut beyond what the store that is away has", func() bool {
		return leader.State().Truncated.Index > away.State().Last.Index
	})
	d.Say("store %d, whose log ends at %d, needs a snapshot: that of store %d begins behind %d", away.ID,
		away.State().Last.Index, leader.ID, leader.State().Truncated.Index)
}

// grow writes n pairs to region 1, and lets time pass.
func grow(d *desk, leader *server, n int) {
	d.T.Helper()
	for i := range n {
		leader.Puts(fmt.Sprint("k", i), fmt.Sprint("v", d.Stores[0].Clock(), i))
		d.Tick(1)
	}
}

// lag opens a desk on which store 1 leads and store 3 needs a snapshot, and can be reached again.
func lag(t *testing.T, rule explain.Rule, o options) (d *desk, leader, away *server) {
	t.Helper()
	d = open(t, rule, o)
	leader, away = d.Elect(1), d.Store(3)
	fallBehind(d, leader, away)
	d.Heal()
	return d, leader, away
}

// installing opens a desk on which store 3 has accepted a snapshot, whose install waits for the test.
func installing(t *testing.T, rule explain.Rule, o options) (d *desk, leader, away *server, install *job) {
	t.Helper()
	d, leader, away = lag(t, rule, o)
	return d, leader, away, awaitInstall(d, away)
}

// awaitInstall lets time pass until a store is about to install a snapshot, and holds that.
func awaitInstall(d *desk, s *server) *job {
	d.T.Helper()
	s.HoldJobs = holds[store.Install]
	wait(d, fmt.Sprintf("store %d accepts a snapshot", s.ID), func() bool { return len(jobs[store.Install](s)) > 0 })
	return jobs[store.Install](s)[0]
}

// equal lets time pass until a store has what the leader has.
func equal(d *desk, leader, s *server) {
	d.T.Helper()
	wait(d, fmt.Sprintf("store %d has what store %d has, %s", s.ID, leader.ID, leader.Pairs()), func() bool {
		return s.Pairs() == leader.Pairs() && s.Applied() == leader.Applied() && !s.View().Installing
	})
}

// settled ends the test unless nothing is left of any snapshot: no state is held, no spool kept, nothing to be installed.
func settled(d *desk) {
	d.T.Helper()
	d.Tick(3)
	for _, s := range d.Stores {
		if s.Core == nil {
			continue
		}
		under(d, leaks, s.Data.OpenSnapshots == 0 && s.Data.OpenIterators == 0,
			fmt.Sprintf("store %d has given back all states of its engine", s.ID), "%d snapshots and %d iterators are open",
			s.Data.OpenSnapshots, s.Data.OpenIterators)
		names, err := s.Spool.List()
		d.Must("listing spools", err)
		under(d, single, len(names) == 0, fmt.Sprintf("store %d keeps no spool that nobody needs", s.ID), "it keeps %v", names)
		ids, err := s.Log.Regions()
		d.Must("listing regions", err)
		for _, id := range ids {
			in := s.State(id).Install
			under(d, goesOn, in == nil, fmt.Sprintf("nothing is noted in store %d's log as still to be installed", s.ID),
				"region %d: %+v", id, in)
		}
	}
}

// streams are the positions of the snapshots that a store began to send, in order, from what was done.
type streams struct{ list []store.Stream }

// count begins to note the streams of a store.
func count(d *desk, s *server) *streams {
	c := new(streams)
	next := d.Before
	d.Before = func(o *server, e store.Effect) {
		if stream, ok := e.(store.Stream); ok && o == s {
			c.list = append(c.list, stream)
		}
		if next != nil {
			next(o, e)
		}
	}
	return c
}

// head is what store 1 would say of a snapshot of region 1 for store 3, at a position.
func head(d *desk, index, term uint64) snapshot.Head {
	r := d.Regions[0]
	conf := raft.ConfState{}
	for _, p := range r.Peers {
		conf.Voters = append(conf.Voters, p.ID)
	}
	return snapshot.Head{ClusterID: storedesk.ClusterID, RegionID: r.ID, From: storedesk.Peer(1, 1), To: storedesk.Peer(1, 3),
		Region: r, Position: raftlog.Position{Index: index, Term: term}, ConfState: conf, Term: term}
}

// arrives puts a snapshot with these pairs into the spool of a store, as a stream would, and tells the store. It returns
// the spool's name.
func arrives(d *desk, s *server, h snapshot.Head, pairs *engine.Batch) string {
	d.T.Helper()
	d.Say("a snapshot arrives at store %d: region %d for peer %v, at %d/%d, of term %d", s.ID, h.RegionID, h.To, h.Position.Index,
		h.Position.Term, h.Term)
	name := spooled(d, s, h, pairs)
	s.Hears(store.SnapshotReceived{Head: h, Spool: name})
	return name
}

// spooled writes a snapshot into a spool by the shortest way.
func spooled(d *desk, s *server, h snapshot.Head, pairs *engine.Batch) string {
	d.T.Helper()
	e, err := storedesk.NewDisk(99).Mount()
	d.Must("an engine", err)
	d.Must("writing pairs", e.Write(pairs, engine.Synced))
	snap, err := e.Snapshot()
	d.Must("a snapshot", err)
	defer snap.Close()
	name := fmt.Sprint("by-hand-", len(d.Done))
	draft, err := s.Spool.Create(name)
	d.Must("a draft", err)
	for source := snapshot.NewSource(snap, h, 0); ; {
		chunk, err := source.Next()
		if err != nil {
			break
		}
		_, err = draft.Write(bytes.Clone(chunk))
		d.Must("writing a chunk", err)
	}
	d.Must("committing a spool", draft.Commit())
	return name
}

// puts makes a batch of pairs of family default: key, value, key, value ...
func puts(list ...string) *engine.Batch {
	b := new(engine.Batch)
	for i := 0; i+1 < len(list); i += 2 {
		b.Put(engine.Default, []byte(list[i]), []byte(list[i+1]))
	}
	return b
}

// spoolsOf are the names of the complete spools of a store.
func spoolsOf(d *desk, s *server) []string {
	d.T.Helper()
	names, err := s.Spool.List()
	d.Must("listing spools", err)
	return names
}

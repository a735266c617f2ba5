// While a snapshot is being installed, and right after.

package stage2cc_test

import (
	"fmt"
	"slices"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/region"
	"tinykv/kv/store"
	"tinykv/labs/tests/storedesk"
)

// Between the first batch and the sync the data is no state of any moment. The store tells so before it begins, serves
// nobody, and its applied position stays what it was. It votes, takes entries and acknowledges them all the while: a quorum
// of the leader and this store commits.
func TestHalfAStateIsNotServed(t *testing.T) {
	d, leader, s, install := installing(t, half, options{})
	in := install.Effect.(store.Install)
	before := s.Applied()
	d.Check(s.View().Installing && s.View().Installs == 1, "the store tells that it is installing, for the first time", "%+v", s.View())
	d.Isolate(d.Store(2))
	for step := 0; ; step++ {
		w := leader.Writes("meanwhile", fmt.Sprint(step))
		d.Run()
		d.Check(w.Acknowledged(), "store 3 acknowledges entries while it installs", "%s", w)
		r := s.Reads("a")
		d.Tick(1)
		_, busy := storedesk.ErrorAs[*region.BusyError](r)
		d.Check(busy, "a store that installs is busy to those who read", "%s", r)
		d.Check(s.View().Installing && s.View().Applied == before, fmt.Sprintf("the view says that it is installing, and applied %d",
			before.Index), "installing %v, applied %d", s.View().Installing, s.View().Applied.Index)
		d.Check(s.Get("meanwhile") == storedesk.Nothing, "what comes behind the snapshot is not applied", "meanwhile=%s",
			s.Get("meanwhile"))
		if s.Applied() == in.Head.Position {
			break // the last batch is written; what is missing is the sync
		}
		d.Check(s.Applied() == before, fmt.Sprintf("the applied position stays %d until the last batch", before.Index), "%d",
			s.Applied().Index)
		d.Check(!install.Step(), "the records come with the last batch", "the install ended without them")
	}
	install.Finish()
	d.Run()
	equal(d, leader, s)
	d.Heal()
	settled(d)
}

// The installing store elects, and is elected.
func TestInstallingStoreVotes(t *testing.T) {
	d, leader, s, install := installing(t, half, options{})
	d.Isolate(leader)
	next := d.Elect(2)
	d.Check(next.Leads(), "store 2 is elected with the vote of store 3, which installs", "%s", d.Where())
	d.Check(s.View().Leader.StoreID == 2 && s.View().Installing, "store 3 follows it", "%s", s.Where())
	next.Puts("a", "new term")
	install.Finish()
	equal(d, next, s)
	d.Heal()
	d.Tick(3)
	settled(d)
}

// Readers off the loop look at Installs: it grows, by a view, before the data changes, and once for each installation.
func TestViewTellsOfAnInstallBeforeItBegins(t *testing.T) {
	d, leader, s := lag(t, half, options{})
	next := d.Before
	begun := 0
	d.Before = func(o *server, e store.Effect) {
		if _, ok := e.(store.Install); ok && o == s {
			begun++
			d.Check(o.View().Installing && o.View().Installs == uint64(begun),
				fmt.Sprintf("before installation %d begins, the published view says so", begun), "%+v", o.View())
		}
		next(o, e)
	}
	equal(d, leader, s)
	d.Check(begun == 1 && s.View().Installs == 1, "one installation", "%d, and the view says %d", begun, s.View().Installs)
	fallBehind(d, leader, s)
	d.Heal()
	equal(d, leader, s)
	d.Check(begun == 2, "two installations", "%d", begun)
	settled(d)
}

// What becomes true when the install ends: the position is the snapshot's, the entries that came meanwhile are applied, the
// note is gone, and the spool is.
func TestAppliedAfterTheInstall(t *testing.T) {
	d, leader, s, install := installing(t, goesOn, options{})
	in := install.Effect.(store.Install)
	leader.Puts("meanwhile", "1")
	leader.Puts("k0", "newer")
	d.Tick(1)
	d.Isolate(leader) // so that nothing else happens at store 3
	for s.Applied() != in.Head.Position {
		d.Check(!install.Step(), "the records come with the last batch", "the install ended without them")
	}
	d.Run()
	d.Check(s.View().Installing && s.State().Install != nil, "until the store hears that it is durable, it is not installed", "%s",
		s.Where())
	next := d.Before
	noted, discards := false, 0
	d.Before = func(o *server, e store.Effect) {
		if discard, ok := e.(store.Discard); ok && o == s && discard.Spool == in.Spool {
			noted = true
			discards++
			d.Check(onDisk(d, o).Install == nil, "the spool is discarded after the note in the log is cleared", "the note is there: %+v",
				onDisk(d, o).Install)
		}
		next(o, e)
	}
	install.Finish()
	d.Run()
	d.Check(s.Get("meanwhile") == "1" && s.Get("k0") == "newer", "what was committed meanwhile is applied: meanwhile=1 k0=newer",
		"meanwhile=%s k0=%s", s.Get("meanwhile"), s.Get("k0"))
	v := s.View()
	d.Check(!v.Installing && v.Applied == s.Applied() && v.Applied.Index > in.Head.Position.Index,
		"the view says how far it is, and that it is not installing", "%+v", v)
	d.Tick(1)
	d.Check(noted && s.State().Install == nil && len(spoolsOf(d, s)) == 0, "the note is cleared, the spool discarded", "%+v, %v",
		s.State().Install, spoolsOf(d, s))
	d.Heal()
	d.Tick(12)
	d.Check(discards == 1, "the note is cleared, and the spool discarded, once", "%d times", discards)
	settled(d)
}

// Ends of installs that nobody waits for change nothing.
func TestEndOfAnotherInstallChangesNothing(t *testing.T) {
	d, leader, s, install := installing(t, goesOn, options{})
	in := install.Effect.(store.Install)
	before := s.View()
	for _, e := range []store.InstallEnded{{RegionID: 1, Spool: in.Spool + "x"}, {RegionID: 1},
		{RegionID: 9, Spool: in.Spool}} {
		d.Say("store 3 hears that spool %q of region %d is installed", e.Spool, e.RegionID)
		s.Hears(e)
		d.Run()
		v := s.View()
		d.Check(v.Installing && v.Applied == before.Applied, "store 3 still installs "+in.Spool, "%+v", v)
		d.Check(slices.Contains(spoolsOf(d, s), in.Spool) && s.State().Install != nil, "the spool and the note are kept", "%v, %+v",
			spoolsOf(d, s), s.State().Install)
	}
	install.Finish()
	equal(d, leader, s)
	at := s.Applied()
	d.Say("store 3 hears once more that spool %q of region 1 is installed", in.Spool)
	s.Hears(store.InstallEnded{RegionID: 1, Spool: in.Spool})
	leader.Puts("a", "2")
	d.Tick(2)
	d.Check(s.Get("a") == "2" && s.Applied().Index > at.Index && s.View().Installs == 1, "what is told twice is done once", "%s",
		s.Where())
	settled(d)
}

// A region's snapshot is its own: what other regions have on this store, and what lies beside the range, stays.
func TestOtherRegionsStayAsTheyAre(t *testing.T) {
	d := open(t, replaces, options{Regions: 3})
	leader, s := d.Elect(1), d.Store(3)
	for i := range 3 {
		for _, key := range []string{"a", "b", "c"} {
			leader.Puts(fmt.Sprint(key, i), "before")
		}
	}
	d.Tick(2)
	d.Isolate(s)
	for i := range 20 {
		leader.Puts(fmt.Sprint("b", i%7), fmt.Sprint("new", i))
		d.Tick(1)
	}
	del := new(engine.Batch)
	del.Delete(engine.Default, []byte("b2"))
	r := leader.WritesBatch(del, func(w *store.Write) { w.RegionID = 2 })
	leader.Puts("c0", "after")
	d.Run()
	d.Acked(r)
	wait(d, "the log of region 2 is cut", func() bool { return leader.State(2).Truncated.Index > s.State(2).Last.Index })
	d.Heal()
	sent := count(d, leader)
	wait(d, "store 3 has what store 1 has, "+leader.Pairs(), func() bool { return s.Pairs() == leader.Pairs() })
	for _, stream := range sent.list {
		d.Check(stream.Head.RegionID == 2, "only region 2 needs a snapshot", "region %d", stream.Head.RegionID)
	}
	d.Check(s.View(1).Installs == 0 && s.View(3).Installs == 0 && s.View(2).Installs == 1, "only region 2 was installed", "%s", s.Where())
	settled(d)
}

// Regions install side by side, each for itself.
func TestRegionsInstallSideBySide(t *testing.T) {
	d, leader, s := manyRegions(t, 3, 4)
	d.Rule = single
	s.HoldJobs = holds[store.Install]
	wait(d, "three regions are being installed", func() bool { return len(jobs[store.Install](s)) == 3 })
	for i, j := range jobs[store.Install](s) {
		id := j.Effect.(store.Install).RegionID
		j.Finish()
		d.Run()
		for _, rest := range jobs[store.Install](s) {
			other := rest.Effect.(store.Install).RegionID
			d.Check(s.View(other).Installing, fmt.Sprintf("region %d is still being installed", other), "%+v", s.View(other))
		}
		d.Check(!s.View(id).Installing && len(jobs[store.Install](s)) == 2-i, fmt.Sprintf("region %d is installed", id), "%+v", s.View(id))
	}
	wait(d, "store 3 has what store 1 has", func() bool { return s.Pairs() == leader.Pairs() })
	settled(d)
}

// What was installed is as good as what was applied: the peer may lead on it, and serve it.
func TestInstalledPeerTakesPartInElections(t *testing.T) {
	d, leader, s := lag(t, goesOn, options{})
	equal(d, leader, s)
	d.Isolate(leader)
	next := d.Elect(3)
	d.Check(next == s && s.View().Applied.Term == s.View().Term, "store 3 leads on what it installed", "%s", s.Where())
	s.Puts("a", "by store 3")
	r := s.Reads("a", "k0")
	d.Run()
	d.Check(r.Acknowledged() && r.Values[0] == "by store 3" && r.Values[1] == d.Store(2).Get("k0"), "it serves what it has", "%s %v", r,
		r.Values)
	d.Heal()
	d.Tick(3)
	d.Check(leader.Get("a") == "by store 3", "store 1 follows", "a=%s", leader.Get("a"))
	settled(d)
}

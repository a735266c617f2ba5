// Crashes, at any point of the way, and what a restart makes of what they leave.

package stage2cc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tinykv/kv/store"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

var keeps = []storedesk.Keep{storedesk.LoseUnsynced, storedesk.KeepAll, storedesk.KeepSome}

// consistent ends the test unless what a store starts on is a state before the snapshot, that after it, or something in
// between that it does not take for a state: then it installs. after is what the leader had when it made the snapshot.
func consistent(d *desk, s *server, after string) {
	d.T.Helper()
	in, at := s.State().Install, s.State().Truncated
	switch {
	case s.Applied().Index >= at.Index && strings.Contains(s.Pairs(), "k0="):
		d.Check(s.Pairs() == after, "a store that says it is at the snapshot's position has its data: "+after, "%s", s.Pairs())
	case in == nil:
		d.Check(!strings.Contains(s.Pairs(), "k0="), "a store before the snapshot has nothing of it", "%s", s.Pairs())
	}
	for _, name := range s.Core.Spools() {
		d.Check(slices.Contains(spoolsOf(d, s), name), "the spool that is needed is there: "+name, "there are %v", spoolsOf(d, s))
	}
}

// Store 3 crashes before each of its effects in turn, while it receives, accepts and installs a snapshot, and goes on with
// the log. Whatever is left, it starts, and comes to have what the others have.
func TestCrashBeforeEachEffect(t *testing.T) {
	for _, keep := range keeps {
		for n := 0; ; n++ {
			d, leader, s := lag(t, restarts, options{})
			left, next := n, d.Before
			after := leader.Pairs()
			d.Before = func(o *server, e store.Effect) {
				if o == s && left == 0 {
					d.Say("before %s:", s.Name(e))
					s.Crash(keep)
				}
				if o == s {
					left--
				}
				if s.Core != nil {
					next(o, e)
				}
			}
			for range 12 {
				d.Tick(1)
				if s.Core == nil {
					break
				}
			}
			d.Before = next
			if s.Core != nil {
				d.Check(n >= 8 && s.Pairs() == after, "a snapshot is accepted and installed in several effects", "%d", n)
				break
			}
			s.Start()
			consistent(d, s, after)
			equal(d, leader, s)
			settled(d)
		}
	}
}

// The same for each step of the installation: between any two of its batches, and before and after the sync at their end.
// It crashes a second time in the middle of the second attempt.
func TestCrashAtEachStepOfAnInstall(t *testing.T) {
	for _, keep := range keeps {
		for n, last := 0, false; !last; n++ {
			d, leader, s, install := installing(t, restarts, options{})
			in := install.Effect.(store.Install)
			for range n {
				last = install.Step()
			}
			d.Say("after %d steps of the installation:", n)
			s.HoldJobs = nil
			s.Crash(keep)
			s.HoldJobs = holds[store.Install]
			s.Start()
			consistent(d, s, leader.Pairs())
			if s.Applied() != in.Head.Position {
				d.Run()
				d.Check(len(jobs[store.Install](s)) == 1 && s.View().Installing, "the installation begins anew", "%s", s.Where())
				again := jobs[store.Install](s)[0].Effect.(store.Install)
				d.Check(again.Spool == in.Spool && again.Head.Position == in.Head.Position, "of the same spool", "%s", again.Spool)
				jobs[store.Install](s)[0].Step()
				s.Crash(keep)
				s.Start()
				consistent(d, s, leader.Pairs())
				d.Run()
				for _, j := range jobs[store.Install](s) {
					j.Finish()
				}
			}
			s.HoldJobs = nil
			equal(d, leader, s)
			settled(d)
		}
	}
}

// The log lost its last words, that the snapshot is installed; the data has it, and more. To install it once more would take
// back what was applied since.
func TestInstalledIsNotInstalledAgain(t *testing.T) {
	d, leader, s, install := installing(t, restarts, options{})
	in := install.Effect.(store.Install)
	leader.Puts("meanwhile", "1")
	d.Tick(1)
	d.Isolate(s)
	install.Finish()
	d.Run()
	d.Check(s.Get("meanwhile") == "1" && s.Applied().Index > in.Head.Position.Index, "meanwhile=1 is applied behind the snapshot", "%s",
		s.Where())
	s.CrashApart(storedesk.LoseUnsynced, storedesk.KeepAll)
	s.Start()
	d.Say("its log notes as to be installed: %+v", s.State().Install) // nothing, if the note was cleared by a sync
	d.Check(s.Get("meanwhile") == "1", "the data has meanwhile=1", "%s", s.Get("meanwhile"))
	s.HoldJobs = holds[store.Install]
	d.Run()
	d.Check(len(jobs[store.Install](s)) == 0 && !s.View().Installing, "it is not installed again", "%d installs",
		len(jobs[store.Install](s)))
	d.Check(s.State().Install == nil, "the note is cleared", "%+v", s.State().Install)
	d.Check(len(s.Core.Spools()) == 0, "no spool is needed", "%v", s.Core.Spools())
	d.Heal()
	equal(d, leader, s)
	settled(d)
}

// The data was installed to the last batch, and synced, and nobody told the store: it had crashed.
func TestInstalledToTheEndIsInstalled(t *testing.T) {
	d, leader, s, install := installing(t, restarts, options{})
	in := install.Effect.(store.Install)
	for s.Applied() != in.Head.Position {
		install.Step()
	}
	s.Crash(storedesk.KeepAll)
	s.Start()
	d.Run()
	d.Check(len(jobs[store.Install](s)) == 0 && s.State().Install == nil && !s.View().Installing,
		"the records are there: it is installed, and only the note is cleared", "%s, %+v", s.Where(), s.State().Install)
	d.Check(s.View().Applied.Index >= in.Head.Position.Index, "the snapshot's position is applied", "%+v", s.View())
	s.HoldJobs = nil
	equal(d, leader, s)
	settled(d)
}

// A new peer has nothing but the note in its log: no record, no data.
func TestFirstSnapshotSurvivesCrashes(t *testing.T) {
	for _, keep := range keeps {
		for steps := range 3 {
			d := open(t, restarts, options{Spares: 1})
			leader, s := d.Elect(1), d.Store(4)
			grow(d, leader, 10)
			s.HoldJobs = holds[store.Install]
			r := leader.Changes(raft.ConfChangeAddNode, s)
			d.Run()
			d.Acked(r)
			install := awaitInstall(d, s)
			for range steps {
				install.Step()
			}
			for range 2 {
				s.Crash(keep)
				s.Start()
				d.Tick(1)
				d.Check(s.View().Peer == storedesk.Peer(1, 4), "store 4 has its peer again", "%s", s.Where())
			}
			s.HoldJobs = nil
			for _, j := range jobs[store.Install](s) {
				j.Finish()
			}
			equal(d, leader, s)
			leader.Puts("a", fmt.Sprint(steps))
			d.Tick(2)
			d.Check(s.Get("a") == fmt.Sprint(steps), "the log goes on", "a=%s", s.Get("a"))
			settled(d)
		}
	}
}

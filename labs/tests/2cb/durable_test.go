// What must be durable in the data store before a log is cut, and the syncs that make it so.

package stage2cb_test

import (
	"errors"
	"fmt"
	"testing"

	"tinykv/kv/command"
	"tinykv/kv/store"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

func TestCutWaitsForTheData(t *testing.T) {
	d, leader := begin(t, durable)
	for _, s := range d.Stores {
		holdSyncs(s)
	}
	writes(d, leader, 0, 40)
	d.Tick(10)
	for _, s := range d.Stores {
		isWhole(d, s, "nothing that was applied is known to be durable")
		theSync(d, s)
	}
	for _, s := range d.Stores[1:] {
		s.DataLost()
	}
	d.Tick(3)
	for _, s := range d.Stores {
		holdsAll(d, s, 40)
	}
	theSync(d, leader).Finish()
	d.Run()
	isCut(d, leader, "its data is durable now")
}

// While a sync is under way more is applied, and more may be cut. What was applied since is not durable, or may not be.
func TestSyncCoversWhatWasAppliedBefore(t *testing.T) {
	d, leader := begin(t, ended)
	holdSyncs(leader)
	for range 100 {
		if len(syncing(leader)) > 0 {
			break
		}
		writes(d, leader, 0, 1)
		d.Tick(1)
	}
	job, applied := theSync(d, leader), leader.Applied().Index
	d.Say("the sync began when %d was applied", applied)
	writes(d, leader, 0, 60)
	d.Tick(10)
	isWhole(d, leader, "the sync has not ended")
	d.Check(theSync(d, leader) == job, "the same sync is under way", "it is another")
	job.Finish()
	d.Run()
	d.Check(leader.State().Truncated.Index <= applied, fmt.Sprintf("the log is cut at %d at most: no more was applied when the sync began", applied),
		"%s", place(leader))
	isCut(d, leader, "what the sync covers may go")
	d.Say("one sync after the other")
	leader.HoldJobs = nil
	for range 10 {
		for _, j := range syncing(leader) {
			j.Finish()
		}
		d.Tick(1)
	}
	isShort(d, leader)
	holdsAll(d, leader, 60)
}

func TestOneSyncForAllRegions(t *testing.T) {
	const regions = 6
	d := storedesk.Open(t, shared, options{Regions: regions, Config: short()})
	watch(d)
	leader := d.Elect(1)
	d.Say("30 pairs are written to each of %d regions", regions)
	mark := len(d.Done)
	for i := range 30 {
		for r := range regions {
			leader.Writes(fmt.Sprintf("%c%02d", 'a'+r, i), fmt.Sprint(i))
		}
		d.Run()
	}
	d.Done = d.Done[:mark]
	d.Tick(3)
	for _, s := range d.Stores {
		for r := range uint64(regions) {
			d.Check(kept(s, r+1) <= manyEntries+slack, fmt.Sprintf("region %d on store %d keeps about %d entries", r+1, s.ID, manyEntries), "%s",
				place(s, r+1))
		}
		rounds := uint64(len(compactions(d)))
		d.Check(syncs(s) <= rounds+1, fmt.Sprintf("the logs of all regions became too long together, %d times: one sync of the data for all each time",
			rounds), "store %d: %d syncs", s.ID, syncs(s))
	}
}

// Who comes while a sync is under way waits for the next one, together with all others who came.
func TestWaitersShareTheNextSync(t *testing.T) {
	const regions = 5
	d := storedesk.Open(t, shared, options{Regions: regions, Config: short()})
	watch(d)
	leader := d.Elect(1)
	holdSyncs(leader)
	for r := range uint64(regions) {
		mark := len(d.Done)
		for i := range 30 {
			leader.Puts(fmt.Sprintf("%c%02d", 'a'+byte(r), i), fmt.Sprint(i))
		}
		d.Done = d.Done[:mark]
		d.Say("30 pairs are written to region %d", r+1)
		d.Tick(2)
		theSync(d, leader)
	}
	for n := range 2 {
		theSync(d, leader).Finish()
		d.Run()
		for r := range uint64(regions) {
			cut := leader.State(r+1).Truncated.Index >= storedesk.FirstIndex
			d.Check(cut == (r == 0 || n > 0), "the first sync lets region 1 cut its log, the second all others", "after sync %d, region %d: %s",
				n+1, r+1, place(leader, r+1))
		}
	}
	d.Check(syncs(leader) == 2, "two syncs", "%d", syncs(leader))
	d.Tick(3)
	d.Check(syncs(leader) == 2, "no third: nobody waits", "%d", syncs(leader))
}

// A cut comes with a sync, and nothing else does.
func TestSyncsAreForCuts(t *testing.T) {
	d, leader := begin(t, shared)
	writes(d, leader, 0, 100)
	d.Tick(40)
	proposed := uint64(len(compactions(d)))
	for _, s := range d.Stores {
		d.Check(syncs(s) >= 1 && syncs(s) <= proposed, "at most one sync of the data for each compaction", "store %d: %d syncs, %d compactions",
			s.ID, syncs(s), proposed)
		d.Check(len(syncing(s)) == 0, "no sync is under way", "%d", len(syncing(s)))
	}
}

func TestOnlyItsOwnTokenEndsASync(t *testing.T) {
	d, leader := begin(t, ended)
	holdSyncs(leader)
	writes(d, leader, 0, 30)
	d.Tick(3)
	one := theSync(d, leader)
	token := one.Effect.(store.SyncData).Token
	for _, wrong := range []uint64{0, token - 1, token + 1, token + 100} {
		if wrong == token {
			continue
		}
		d.Say("store 1: hears that sync %d has ended; under way is %d", wrong, token)
		leader.Hears(store.DataSynced{Token: wrong})
		d.Tick(1)
		isWhole(d, leader, "that is not the sync that is under way")
	}
	one.Finish()
	d.Run()
	isCut(d, leader, "the sync has ended")
	writes(d, leader, 30, 30)
	d.Tick(3)
	two := theSync(d, leader)
	mark := leader.State().Truncated
	d.Say("store 1: hears of the end of sync %d again; under way is %d", token, two.Effect.(store.SyncData).Token)
	leader.Hears(store.DataSynced{Token: token})
	d.Tick(1)
	d.Check(leader.State().Truncated == mark, "nothing is cut: that sync covers less", "%s", place(leader))
	d.Check(theSync(d, leader) == two, "the second sync is under way still", "it is not")
	two.Finish()
	d.Tick(1)
	d.Check(leader.State().Truncated.Index > mark.Index, "the log is cut further", "%s", place(leader))
	mark = leader.State().Truncated
	leader.Hears(store.DataSynced{Token: two.Effect.(store.SyncData).Token})
	d.Tick(1)
	d.Check(leader.State().Truncated == mark, "nothing comes of its end being told twice", "%s", place(leader))
}

// A log that is longer than it had to be does no harm: nobody waits for a cut to be durable.
func TestCutNeedsNoSyncOfTheLog(t *testing.T) {
	d, leader := begin(t, shared)
	holdSyncs(leader)
	writes(d, leader, 0, 30)
	d.Tick(3)
	job, before := theSync(d, leader), leader.LogSyncs()
	job.Finish()
	d.Run()
	isCut(d, leader, "its data is durable")
	d.Check(leader.LogSyncs() == before, "a cut is written, not synced", "%d syncs of the log", leader.LogSyncs()-before)
	writesBefore := leader.Core.Stats().LogWrites
	d.Tick(1)
	leader.Reads("k000")
	d.Run()
	d.Check(leader.Core.Stats().LogWrites == writesBefore, "a cut is written once", "%d more writes of the log",
		leader.Core.Stats().LogWrites-writesBefore)
}

// The data may be durable up to an entry of an earlier term than the one that may go.
func TestCutHasTheTermOfItsEntry(t *testing.T) {
	d := storedesk.Open(t, begins, options{Config: short()})
	watch(d)
	d.Net = lose
	s := d.Store(2)
	holdSyncs(s)
	tells(d, s, 6, first, 9, raft.Entry{Index: 6, Term: 6}, storedesk.PutEntry(7, 6, "k000", "0"), storedesk.PutEntry(8, 6, "k001", "1"),
		compactEntry(d, 9, 6, command.CompactLog{Index: 7, Term: 6}))
	job := theSync(d, s)
	d.Say("the sync began when 9/6 was applied")
	tells(d, s, 8, at(9, 6), 13, raft.Entry{Index: 10, Term: 7}, storedesk.PutEntry(11, 7, "k002", "2"), raft.Entry{Index: 12, Term: 8},
		compactEntry(d, 13, 8, command.CompactLog{Index: 12, Term: 8}))
	job.Finish()
	d.Run()
	d.Check(s.State().Truncated == at(9, 6), "the log is cut at 9/6: it may go up to 12/8, and the data is durable up to 9/6", "%s", place(s))
	_, list := s.OnDisk()
	d.Check(len(list) > 0 && list[0].Index == 10, "the log goes on with 10/7", "%s", storedesk.ShowEntries(list))
	theSync(d, s).Finish()
	d.Run()
	d.Check(s.State().Truncated == at(12, 8), "after the next sync it is cut at 12/8", "%s", place(s))
}

// A peer that was removed leaves a log, which may go when the end of its data is durable.
func TestLogOfARemovedPeerGoesAfterASync(t *testing.T) {
	d, leader := begin(t, shared)
	gone := d.Store(3)
	writes(d, leader, 0, 5)
	r := leader.Changes(raft.ConfChangeRemoveNode, gone)
	holdSyncs(gone)
	d.Tick(3)
	d.Acked(r)
	d.Tick(100)
	there := func() bool {
		_, ok, err := gone.Log.State(1)
		d.Must("reading the state of store 3's log", err)
		return ok
	}
	d.Check(there(), "the log of the peer on store 3, which was removed, is kept until that is durable", "it is gone")
	d.Check(gone.Pairs() == "", "its data is deleted", "%s", gone.Pairs())
	theSync(d, gone).Finish()
	d.Tick(3)
	d.Check(!there(), "the sync has ended: the log is removed", "it is there still: %s", place(gone))
	d.Check(syncs(gone) == 1, "one sync", "%d", syncs(gone))
}

// A sync that began before a peer was removed does not tell that the end of its data is durable.
func TestLogOfARemovedPeerWaitsForTheNextSync(t *testing.T) {
	d, leader := begin(t, ended)
	gone := d.Store(3)
	holdSyncs(gone)
	writes(d, leader, 0, 30)
	d.Tick(3)
	before := theSync(d, gone)
	d.Say("store 3: loses its peer while the sync is under way")
	r := leader.Changes(raft.ConfChangeRemoveNode, gone)
	d.Tick(100)
	d.Acked(r)
	d.Check(gone.Pairs() == "", "the data of the peer on store 3, which was removed, is deleted", "%s", gone.Pairs())
	before.Finish()
	d.Tick(3)
	_, there, err := gone.Log.State(1)
	d.Must("reading the state of store 3's log", err)
	d.Check(there, "its log is kept: the sync that has ended began before the data was deleted", "it is gone")
	theSync(d, gone).Finish()
	d.Tick(3)
	_, there, err = gone.Log.State(1)
	d.Must("reading the state of store 3's log", err)
	d.Check(!there, "the next sync has ended: the log is removed", "it is there still: %s", place(gone))
	d.Check(len(syncing(gone)) == 0, "nobody waits for a sync any more", "%d are under way", len(syncing(gone)))
}

// A disk that fails to sync ends the store; nothing is cut.
func TestFailedSyncCutsNothing(t *testing.T) {
	d, leader := begin(t, durable)
	holdSyncs(leader)
	writes(d, leader, 0, 30)
	d.Tick(3)
	theSync(d, leader)
	leader.MayFail = true
	leader.Core.Fail(errors.New("the sync of the data fails"))
	d.Run()
	d.Check(leader.Halted, "the store halts", "it goes on")
	isWhole(d, leader, "the sync has failed")
	d.Check(leader.State().Truncated == first, "nothing is cut", "%s", place(leader))
}

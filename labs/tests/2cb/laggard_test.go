// Followers that lag: who is waited for, for how long, and what that costs.

package stage2cb_test

import (
	"testing"

	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

// comesBack ends the isolation of a store, lets it catch up, and says how many snapshots that took.
func comesBack(d *desk, leader, s *server, pairs int) uint64 {
	d.T.Helper()
	mark := snapshots(leader)
	d.Heal()
	d.Tick(30)
	holdsAll(d, s, pairs)
	return snapshots(leader) - mark
}

func TestFollowerInReachIsWaitedFor(t *testing.T) {
	d, leader := begin(t, reach)
	late := d.Store(3)
	writes(d, leader, 0, 3)
	d.Isolate(late)
	has := late.State().Last.Index
	writes(d, leader, 3, lagEntries-6)
	d.Tick(20)
	for _, s := range []*server{leader, d.Store(2)} {
		d.Check(s.State().Truncated.Index <= has, "what store 3 lacks is kept: it is within 40 entries of the end", "store %d: %s; store 3 has %d",
			s.ID, place(s), has)
	}
	d.Check(comesBack(d, leader, late, lagEntries-3) == 0, "no snapshot: the log had all that store 3 lacked", "%d snapshots",
		snapshots(leader))
	d.Tick(3)
	for _, s := range d.Stores {
		isShort(d, s)
	}
}

func TestLogIsCutAtWhatTheSlowestHas(t *testing.T) {
	d, leader := begin(t, reach)
	late := d.Store(3)
	writes(d, leader, 0, 30)
	d.Isolate(late)
	has := late.State().Last.Index
	writes(d, leader, 30, 3)
	d.Tick(3)
	for _, s := range []*server{leader, d.Store(2)} {
		isCut(d, s, "all stores have the first 30 entries")
		d.Check(s.State().Truncated.Index <= has, "what store 3 lacks is kept", "store %d: %s; store 3 has %d", s.ID, place(s), has)
	}
	d.Check(comesBack(d, leader, late, 33) == 0, "no snapshot", "%d snapshots", snapshots(leader))
}

// What all have may end in an earlier term than the leader's.
func TestLogIsCutInAnEarlierTerm(t *testing.T) {
	d, leader := begin(t, decided, func(c *store.Config) { c.Raft.MaxMessageBytes = 1 })
	late, next := d.Store(3), d.Store(2)
	writes(d, leader, 0, 3)
	d.Isolate(late)
	writes(d, leader, 3, 25)
	border := at(leader.State().Last.Index-6, leader.State().Last.Term)
	leader.Transfers(next)
	d.Run()
	d.Isolate()
	d.Net = func(m *replica.Message) storedesk.Fate {
		if m.To.StoreID == late.ID && m.Raft.Type == raft.MsgApp && late.State().Last == border && m.Raft.Index == border.Index {
			return storedesk.Lose
		}
		return storedesk.Deliver
	}
	d.Tick(5)
	d.Check(next.Leads() && late.State().Last == border, "store 2 leads in the next term, and store 3 has the log up to "+show(border), "%s", d.Where())
	for _, s := range []*server{leader, next} {
		isCut(d, s, "most of its entries are on all stores")
		d.Check(s.State().Truncated.Index <= border.Index && s.State().Truncated.Term == border.Term,
			"it is cut at "+show(border)+", or before", "%s", place(s))
	}
	comesBack(d, next, late, 28)
}

func TestLaggardIsLeftBehind(t *testing.T) {
	d, leader := begin(t, behind)
	late := d.Store(3)
	writes(d, leader, 0, 3)
	d.Isolate(late)
	writes(d, leader, 3, lagEntries+20)
	d.Tick(5)
	for _, s := range []*server{leader, d.Store(2)} {
		isShort(d, s)
	}
	writes(d, leader, lagEntries+23, 30)
	d.Tick(5)
	isShort(d, leader)
	d.Check(comesBack(d, leader, late, lagEntries+53) == 1, "one snapshot, and the rest from the log", "%d snapshots", snapshots(leader))
	for _, s := range d.Stores {
		isShort(d, s)
	}
}

// A laggard that lacks few entries, but large ones.
func TestLaggardIsLeftBehindBySize(t *testing.T) {
	d, leader := begin(t, behind, byBytes)
	late := d.Store(3)
	writesLarge(d, leader, 6, 1<<10)
	d.Isolate(late)
	writesLarge(d, leader, 20, 1<<10)
	d.Tick(5)
	isCut(d, leader, "it had 26 KiB, 6 of which store 3 has")
	d.Check(leader.State().Truncated.Index <= late.State().Last.Index, "20 KiB are kept for store 3: less than 32 KiB", "%s", place(leader))
	writesLarge(d, leader, 16, 1<<10)
	d.Tick(5)
	d.Check(keptBytes(leader) <= 9<<10, "store 3 lacks 36 KiB, and is not waited for: about 8 KiB are kept", "%d bytes: %s", keptBytes(leader),
		place(leader))
	d.Heal()
	d.Tick(30)
	d.Check(snapshots(leader) == 1, "store 3 gets a snapshot", "%d snapshots", snapshots(leader))
	d.Check(late.Pairs() == leader.Pairs(), "store 3 has what the leader has", "it has not: %s", late.Where())
}

// A large entry in a log of small ones: what lags by few of them is in reach.
func TestLagIsMeasuredByWhatIsLacking(t *testing.T) {
	d, leader := begin(t, reach, func(c *store.Config) {
		c.Limits = replica.Limits{CompactBytes: 8 << 10, MaxLagBytes: 9 << 10}
	})
	late := d.Store(3)
	writesLarge(d, leader, 7, 1<<10)
	d.Isolate(late)
	writesLarge(d, leader, 5, 1<<10)
	d.Tick(10)
	d.Check(leader.State().Truncated.Index <= late.State().Last.Index, "store 3 lacks 5 KiB of 12: it is waited for", "%s; store 3 has %d",
		place(leader), late.State().Last.Index)
	d.Heal()
	d.Tick(20)
	d.Check(snapshots(leader) == 0, "no snapshot", "%d", snapshots(leader))
	d.Check(late.Pairs() == leader.Pairs(), "store 3 has what the leader has", "it has not: %s", late.Where())
}

// The entries behind a snapshot that is on its way will be needed when it is there.
func TestSnapshotOnItsWayIsWaitedFor(t *testing.T) {
	d, leader := begin(t, reach)
	late := d.Store(3)
	writes(d, leader, 0, 3)
	d.Isolate(late)
	writes(d, leader, 3, lagEntries+30)
	d.Tick(5)
	isShort(d, leader)
	leader.HoldJobs = func(e store.Effect) bool { _, ok := e.(store.Stream); return ok }
	d.Heal()
	d.Tick(5)
	d.Check(snapshots(leader) == 1, "store 3 is sent a snapshot", "%d", snapshots(leader))
	job := stream(d, leader)
	at := job.Effect.(store.Stream).Head.Position
	d.Say("the snapshot at %s travels slowly", show(at))
	writes(d, leader, lagEntries+33, 30)
	d.Tick(10)
	d.Check(leader.State().Truncated.Index <= at.Index, "what comes after the snapshot is kept: 30 entries", "%s", place(leader))
	leader.HoldJobs = nil
	job.Finish()
	d.Run()
	d.Check(comesBack(d, leader, late, lagEntries+63) == 0, "no second snapshot: the log goes on after the first", "%d more",
		snapshots(leader)-1)
	isShort(d, leader)
}

func TestSlowSnapshotIsNotWaitedForForEver(t *testing.T) {
	d, leader := begin(t, behind)
	late := d.Store(3)
	writes(d, leader, 0, 3)
	d.Isolate(late)
	writes(d, leader, 3, lagEntries+30)
	d.Tick(5)
	leader.HoldJobs = func(e store.Effect) bool { _, ok := e.(store.Stream); return ok }
	d.Heal()
	d.Tick(5)
	job := stream(d, leader)
	d.Say("the snapshot at %s travels slowly", show(job.Effect.(store.Stream).Head.Position))
	writes(d, leader, lagEntries+33, lagEntries+30)
	d.Tick(10)
	isShort(d, leader)
	leader.HoldJobs = nil
	job.Finish()
	d.Run()
	comesBack(d, leader, late, 2*lagEntries+63)
	isShort(d, leader)
}

// stream is the snapshot that is being sent.
func stream(d *desk, s *server) *storedesk.Job {
	d.T.Helper()
	for _, j := range s.Jobs {
		if _, ok := j.Effect.(store.Stream); ok {
			return j
		}
	}
	d.Broken("a snapshot on its way", "none: "+s.Where())
	return nil
}

// A new leader knows nothing of a follower that it has not heard yet. That is not lagging.
func TestUnheardFollowerIsWaitedFor(t *testing.T) {
	d, leader := begin(t, reach)
	late, next := d.Store(3), d.Store(2)
	writes(d, leader, 0, 70)
	d.Tick(5)
	d.Isolate(late)
	has := late.State().Last.Index
	writes(d, leader, 70, 20)
	leader.Transfers(next)
	d.Run()
	d.Tick(10)
	d.Check(next.Leads(), "store 2 leads", "%s", next.Where())
	for _, s := range []*server{leader, next} {
		d.Check(s.State().Truncated.Index <= has, "what store 3 lacks is kept: it is within 40 entries of the end", "store %d: %s; store 3 has %d",
			s.ID, place(s), has)
	}
	d.Check(comesBack(d, next, late, 90) == 0, "no snapshot", "%d", snapshots(next))
	d.Tick(3)
	isShort(d, next)
}

func TestUnheardFollowerIsNotWaitedForForEver(t *testing.T) {
	d, leader := begin(t, behind)
	late, next := d.Store(3), d.Store(2)
	writes(d, leader, 0, 10)
	d.Isolate(late)
	leader.Transfers(next)
	d.Run()
	d.Tick(2)
	d.Check(next.Leads(), "store 2 leads", "%s", next.Where())
	pairs := 10
	for _, n := range []int{lagEntries + 10, 20, 20, lagEntries + 10} {
		writes(d, next, pairs, n)
		pairs += n
		d.Tick(5)
		isShort(d, next)
	}
	comesBack(d, next, late, pairs)
}

// A learner needs the log as a voter does.
func TestLearnerIsWaitedFor(t *testing.T) {
	d := storedesk.Open(t, reach, options{Spares: 1, Config: short()})
	watch(d)
	leader, late := d.Elect(1), d.Store(4)
	writes(d, leader, 0, 3)
	r := leader.Changes(raft.ConfChangeAddLearner, late)
	d.Tick(20)
	d.Acked(r)
	holdsAll(d, late, 3)
	sent := snapshots(leader)
	d.Isolate(late)
	has := late.State().Last.Index
	writes(d, leader, 3, 25)
	d.Tick(10)
	d.Check(leader.State().Truncated.Index <= has, "what the learner on store 4 lacks is kept", "%s; store 4 has %d", place(leader), has)
	comesBack(d, leader, late, 28)
	d.Check(snapshots(leader) == sent, "no snapshot", "%d", snapshots(leader)-sent)
}

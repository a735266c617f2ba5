// When a log is cut, and how far: the leader's decision, and what every replica makes of it.

package stage2cb_test

import (
	"fmt"
	"testing"

	"tinykv/kv/command"
	"tinykv/kv/raftlog"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

func TestShortLogsAreLeftAlone(t *testing.T) {
	d, leader := begin(t, length)
	writes(d, leader, 0, manyEntries-2)
	d.Tick(50)
	d.Check(len(compactions(d)) == 0, "no compaction is proposed", "%s", proposals(compactions(d)))
	for _, s := range d.Stores {
		isWhole(d, s, "it is short")
		d.Check(syncs(s) == 0, fmt.Sprintf("no sync of store %d's data", s.ID), "%d", syncs(s))
	}
}

func TestLongLogsAreCutOnAllStores(t *testing.T) {
	d, leader := begin(t, length)
	for round := range 4 {
		writes(d, leader, 30*round, 30)
		d.Tick(5)
		for _, s := range d.Stores {
			isShort(d, s)
			holdsAll(d, s, 30*(round+1))
			d.Check(s.State().Truncated == leader.State().Truncated, fmt.Sprintf("stores %d and %d, which have applied the same, cut "+
				"their logs at the same place", leader.ID, s.ID), "%s and %s", place(leader), place(s))
		}
	}
}

func TestOneAloneCutsItsLog(t *testing.T) {
	d := storedesk.Open(t, length, options{Stores: 1, Config: short()})
	watch(d)
	s := d.Elect(1)
	for round := range 3 {
		writes(d, s, 20*round, 20)
		d.Tick(3)
		isShort(d, s)
	}
	holdsAll(d, s, 60)
}

// A follower that leads some day must know as much as the leader does.
func TestNewLeaderCutsWhatItFinds(t *testing.T) {
	d, leader := begin(t, length, func(c *store.Config) { c.Limits.CompactEntries = 100; c.Limits.MaxLagEntries = 400 })
	writes(d, leader, 0, 90)
	leader.Transfers(d.Store(2))
	d.Run()
	d.Tick(2)
	d.Check(d.Store(2).Leads(), "store 2 leads", "%s", d.Store(2).Where())
	writes(d, d.Store(2), 90, 15)
	d.Tick(3)
	for _, s := range d.Stores {
		isCut(d, s, "it had more than 100 entries")
	}
}

// byBytes limits logs to 8 KiB, and their entries by nothing.
func byBytes(c *store.Config) {
	c.Limits = replica.Limits{CompactBytes: 8 << 10, MaxLagBytes: 32 << 10}
}

// keptBytes is what the entries of a log hold.
func keptBytes(s *server) (n int) {
	for _, e := range s.Entries() {
		n += len(e.Data)
	}
	return n
}

// writesLarge writes values of a size, each by itself, under the same key.
func writesLarge(d *desk, s *server, n, size int) {
	d.T.Helper()
	d.Say("store %d: writes %d values of %d bytes, one after the other", s.ID, n, size)
	mark := len(d.Done)
	for range n {
		s.Puts("large", large(size))
	}
	d.Done = d.Done[:mark]
	d.Say("store %d: all are acknowledged; log: %s", s.ID, place(s))
}

func TestLargeLogsAreCut(t *testing.T) {
	d, leader := begin(t, length, byBytes)
	writesLarge(d, leader, 6, 1<<10)
	d.Tick(20)
	isWhole(d, leader, "6 KiB is less than 8 KiB")
	for range 5 {
		writesLarge(d, leader, 6, 1<<10)
		d.Tick(3)
		for _, s := range d.Stores {
			d.Check(keptBytes(s) <= 9<<10, fmt.Sprintf("store %d keeps about 8 KiB", s.ID), "%d bytes: %s", keptBytes(s), place(s))
		}
	}
	d.Check(len(compactions(d)) <= 6, "30 KiB are cut in portions of about 8 KiB", "%d compactions", len(compactions(d)))
}

// Followers count, too: who leads next knows how large its log is.
func TestNewLeaderKnowsHowLargeItsLogIs(t *testing.T) {
	d, leader := begin(t, length, byBytes)
	writesLarge(d, leader, 6, 1<<10)
	leader.Transfers(d.Store(2))
	d.Run()
	d.Tick(2)
	d.Check(d.Store(2).Leads(), "store 2 leads", "%s", d.Store(2).Where())
	writesLarge(d, d.Store(2), 3, 1<<10)
	d.Tick(3)
	for _, s := range d.Stores {
		isCut(d, s, "it had 9 KiB")
	}
}

// While leadership is handed over, raft takes no proposals. Nobody writes afterwards.
func TestDroppedCompactionIsTriedAgain(t *testing.T) {
	d, leader := begin(t, length)
	writes(d, leader, 0, 30)
	d.Isolate(d.Store(2))
	leader.Transfers(d.Store(2))
	d.Run()
	d.Tick(3)
	d.Heal()
	d.Tick(20)
	d.Check(leader.Leads(), "store 1 leads: the transfer came to nothing", "%s", leader.Where())
	isShort(d, leader)
}

// A compaction may be applied long after it was proposed. What was appended meanwhile is as large as it was.
func TestWhatCameAfterACompactionIsCounted(t *testing.T) {
	d, leader := begin(t, length, byBytes)
	writesLarge(d, leader, 9, 1<<10)
	end := leader.State().Last.Index
	d.Say("what followers acknowledge behind %d is lost", end)
	d.Net = func(m *replica.Message) storedesk.Fate {
		if m.Raft.Type == raft.MsgAppResp && m.Raft.Index > end {
			return storedesk.Lose
		}
		return storedesk.Deliver
	}
	d.Tick(2)
	d.Check(len(compactions(d)) == 1, "store 1 proposes one compaction: its log has 9 KiB", "%s", proposals(compactions(d)))
	for range 16 {
		leader.Writes("large", large(1<<10))
	}
	d.Run()
	d.Heal()
	d.Tick(5)
	d.Check(leader.State().Truncated.Index > end, fmt.Sprintf("it is cut beyond %d: there are 16 KiB more", end), "%s", place(leader))
}

func TestOneCompactionAtATime(t *testing.T) {
	d, leader := begin(t, once)
	d.Isolate(d.Store(3))
	writes(d, leader, 0, 30)
	mark := leader.State().Last.Index
	d.Isolate()
	d.Say("store 3 catches up; no follower acknowledges what is at or behind a CompactLog")
	d.Net = func(m *replica.Message) storedesk.Fate {
		if m.Raft.Type == raft.MsgAppResp && holdsCompaction(d, m.Raft.Index) {
			return storedesk.Lose
		}
		return storedesk.Deliver
	}
	d.Tick(30)
	d.Check(len(compactions(d)) == 1, "one compaction is proposed, and the leader waits for it", "%s", proposals(compactions(d)))
	d.Check(leader.State().Last.Index == mark+1, "one entry comes in 30 ticks", "%d", leader.State().Last.Index-mark)
	d.Heal()
	d.Tick(5)
	isShort(d, leader)
}

// holdsCompaction tells whether a CompactLog was sent at or before an index.
func holdsCompaction(d *desk, index uint64) bool {
	for p := range compactions(d) {
		if p.Index <= index {
			return true
		}
	}
	return false
}

func TestIdleLeaderProposesNoMore(t *testing.T) {
	for _, hold := range []bool{false, true} {
		d, leader := begin(t, once)
		if hold {
			for _, s := range d.Stores {
				holdSyncs(s)
			}
		}
		writes(d, leader, 0, 30)
		d.Tick(5)
		n := len(compactions(d))
		d.Check(n >= 1 && n <= 3, "30 entries are worth a compaction, or three", "%s", proposals(compactions(d)))
		mark := leader.State().Last
		d.Tick(60)
		d.Check(leader.State().Last == mark, "nothing more is appended while nobody writes", "%s, after %s", place(leader), show(mark))
	}
}

// A follower that catches up slowly lets one entry after the other go. Each compaction is an entry itself.
func TestSmallGainsAreNotWorthAnEntry(t *testing.T) {
	d, leader := begin(t, once, func(c *store.Config) {
		c.Limits.MaxLagEntries = 1000
		c.Raft.MaxMessageBytes, c.Raft.MaxInflightMessages = 1, 1
	})
	const lacks = 120
	d.Isolate(d.Store(3))
	writes(d, leader, 0, lacks)
	d.Isolate()
	given, limit := 0, 0
	d.Net = func(m *replica.Message) storedesk.Fate { // one acknowledgement of store 3 arrives in a tick
		if m.From.StoreID == 3 && m.Raft.Type == raft.MsgAppResp {
			if given >= limit {
				return storedesk.Hold
			}
			given++
		}
		return storedesk.Deliver
	}
	mark := len(d.Done)
	for range lacks {
		limit++
		d.Tick(1)
		if len(d.Held) > 0 {
			d.Release()
			d.Run()
		}
	}
	d.Done = d.Done[:mark]
	d.Say("store 3 takes one entry in a tick, for %d ticks", lacks)
	d.Heal()
	d.Release()
	d.Tick(5)
	d.Check(len(compactions(d)) <= lacks/3, fmt.Sprintf("at most one compaction for three entries that may go, of %d", lacks),
		"%d compactions", len(compactions(d)))
	isShort(d, leader)
}

// A proposal may be lost with the term in which it was made. Who leads again does not wait for it.
func TestLostCompactionIsNotWaitedFor(t *testing.T) {
	d, leader := begin(t, once, func(c *store.Config) { c.Raft.MaxMessageBytes = 1 })
	next, late := d.Store(2), d.Store(3)
	d.Isolate(late)
	writes(d, leader, 0, manyEntries+5)
	border := leader.State().Last.Index
	d.Isolate()
	d.Say("store 3 catches up; what store 1 appends behind %d will be lost", border)
	d.Net = func(m *replica.Message) storedesk.Fate {
		if e := m.Raft.Entries; m.From.StoreID == 1 && len(e) > 0 && e[len(e)-1].Index > border {
			return storedesk.Lose
		}
		return storedesk.Deliver
	}
	for i := range 60 {
		leader.Writes(fmt.Sprint("lost", i), "x")
	}
	d.Run()
	d.Tick(4)
	lost := compactions(d)
	d.Check(len(lost) == 1, "store 1 proposes one compaction: all have more than 10 entries", "%s", proposals(lost))
	d.Overthrow(leader, next)
	d.Heal()
	d.Tick(3)
	next.Transfers(leader)
	d.Run()
	d.Tick(2)
	d.Check(leader.Leads(), "store 1 leads again", "%s", leader.Where())
	for p := range lost {
		writes(d, leader, manyEntries+5, manyEntries+slack+5)
		d.Check(leader.State().Last.Index < p.Index, fmt.Sprintf("the log does not come to %d again", p.Index), "%s", place(leader))
	}
	d.Tick(3)
	for _, s := range d.Stores {
		isShort(d, s)
	}
}

// Commands that no correct leader proposes, or that come too late.
func TestOddCompactionsDoNothing(t *testing.T) {
	for _, c := range []struct {
		what string
		odd  command.CompactLog
	}{
		{"what is before the log", command.CompactLog{Index: 5, Term: 5}},
		{"what is long gone", command.CompactLog{Index: 1, Term: 1}},
		{"nothing", command.CompactLog{}},
		{"itself", command.CompactLog{Index: 11, Term: 6}},
		{"what comes after it", command.CompactLog{Index: 12, Term: 6}},
		{"what nobody has", command.CompactLog{Index: 1 << 40, Term: 6}},
		{"an entry of an earlier term than is here", command.CompactLog{Index: 9, Term: 5}},
		{"an entry of a later term than is here", command.CompactLog{Index: 9, Term: 7}},
	} {
		d := storedesk.Open(t, decided, options{Config: short()})
		watch(d)
		d.Net = lose
		s := d.Store(2)
		d.Say("store 2 hears of a command that allows to cut %s", c.what)
		list := []raft.Entry{{Index: 6, Term: 6}}
		for index := uint64(7); index < 11; index++ {
			list = append(list, storedesk.PutEntry(index, 6, fmt.Sprintf("k%03d", index-7), fmt.Sprint(index-7)))
		}
		list = append(list, compactEntry(d, 11, 6, c.odd), storedesk.PutEntry(12, 6, "k004", "4"), storedesk.PutEntry(13, 6, "k005", "5"))
		tells(d, s, 6, first, 13, list...)
		holdsAll(d, s, 6)
		isWhole(d, s, "that command does nothing")
		d.Check(syncs(s) == 0, "no sync of the data", "%d", syncs(s))
		tells(d, s, 6, at(13, 6), 14, compactEntry(d, 14, 6, command.CompactLog{Index: 9, Term: 6}))
		d.Tick(1, s)
		d.Check(s.State().Truncated == at(9, 6), "a right one, which allows to cut up to 9/6, cuts", "%s", place(s))
	}
}

// A command of an earlier leader may be applied after one that allows more.
func TestOldCompactionsDoNothing(t *testing.T) {
	d := storedesk.Open(t, decided, options{Config: short()})
	watch(d)
	d.Net = lose
	s := d.Store(2)
	list := []raft.Entry{{Index: 6, Term: 6}}
	for index := uint64(7); index < 15; index++ {
		list = append(list, storedesk.PutEntry(index, 6, fmt.Sprintf("k%03d", index-7), fmt.Sprint(index-7)))
	}
	tells(d, s, 6, first, 14, list...)
	want := raftlog.Position{}
	for i, c := range []command.CompactLog{{Index: 10, Term: 6}, {Index: 8, Term: 6}, {Index: 10, Term: 6}, {Index: 12, Term: 6},
		{Index: 6, Term: 6}, {Index: 11, Term: 6}} {
		index := 15 + uint64(i)
		tells(d, s, 6, at(index-1, 6), index, compactEntry(d, index, 6, c))
		d.Tick(1, s)
		if c.Index > want.Index {
			want = at(c.Index, c.Term)
		}
		d.Check(s.State().Truncated == want, fmt.Sprintf("the log is cut at %s", show(want)), "%s", place(s))
		d.Check(s.View().Kept == want, fmt.Sprintf("the view says so: kept behind %s", show(want)), "%s", show(s.View().Kept))
	}
	d.Check(syncs(s) == 1, "one sync of the data: what the second command allowed was durable by then", "%d syncs", syncs(s))
}

// What was allowed and is not cut yet stays allowed.
func TestOldCompactionTakesNothingBack(t *testing.T) {
	d := storedesk.Open(t, decided, options{Config: short()})
	watch(d)
	d.Net = lose
	s := d.Store(2)
	holdSyncs(s)
	list := []raft.Entry{{Index: 6, Term: 6}}
	for index := uint64(7); index < 15; index++ {
		list = append(list, storedesk.PutEntry(index, 6, fmt.Sprintf("k%03d", index-7), fmt.Sprint(index-7)))
	}
	tells(d, s, 6, first, 14, list...)
	tells(d, s, 6, at(14, 6), 17, compactEntry(d, 15, 6, command.CompactLog{Index: 12, Term: 6}),
		compactEntry(d, 16, 6, command.CompactLog{Index: 8, Term: 6}), compactEntry(d, 17, 6, command.CompactLog{Index: 10, Term: 6}))
	theSync(d, s).Finish()
	d.Run()
	d.Check(s.State().Truncated == at(12, 6), "the log is cut at 12/6, up to which the first of them allowed it", "%s", place(s))
}

// What allows to cut, and what it cuts, come in one turn; and what it names lies in an earlier term.
func TestCutNamesTheEntryThatIsThere(t *testing.T) {
	d := storedesk.Open(t, decided, options{Config: short()})
	watch(d)
	d.Net = lose
	s := d.Store(2)
	tells(d, s, 8, first, 12, raft.Entry{Index: 6, Term: 6}, storedesk.PutEntry(7, 6, "k000", "0"), raft.Entry{Index: 8, Term: 7},
		storedesk.PutEntry(9, 7, "k001", "1"), raft.Entry{Index: 10, Term: 8}, storedesk.PutEntry(11, 8, "k002", "2"),
		compactEntry(d, 12, 8, command.CompactLog{Index: 9, Term: 7}))
	d.Tick(1, s)
	d.Check(s.State().Truncated == at(9, 7), "the log is cut at 9/7", "%s", place(s))
	holdsAll(d, s, 3)
	tells(d, s, 8, at(12, 8), 13, storedesk.PutEntry(13, 8, "k003", "3"))
	holdsAll(d, s, 4)
}

func TestRegionsAreCutEachForItself(t *testing.T) {
	d := storedesk.Open(t, decided, options{Regions: 3, Config: short()})
	watch(d)
	leader := d.Elect(1)
	for i := range 25 {
		leader.Puts(fmt.Sprint("b", i), fmt.Sprint(i))
	}
	d.Tick(3)
	for _, s := range d.Stores {
		for _, r := range d.Regions {
			cut := s.State(r.ID).Truncated.Index >= storedesk.FirstIndex
			d.Check(cut == (r.ID == 2), "only the log of region 2 is long, and cut", "region %d on store %d: %s", r.ID, s.ID, place(s, r.ID))
		}
		d.Check(kept(s, 2) <= manyEntries+slack, fmt.Sprintf("region 2 keeps about %d entries", manyEntries), "%s", place(s, 2))
	}
	for i := range 25 {
		d.Check(d.Store(3).Get(fmt.Sprint("b", i)) == fmt.Sprint(i), fmt.Sprintf("b%d=%d on store 3", i, i), "%s", d.Store(3).Get(fmt.Sprint("b", i)))
	}
}

// Storage: making snapshots, compacting behind them, and replacing everything; and whole clusters that do it.

package stage2ca_test

import (
	"errors"
	"fmt"
	"testing"

	"tinykv/raft"
	"tinykv/raft/rafttest"
)

// holds checks which entries a disk has, and that it knows the term just before the first.
func holds(d *desk, disk *raft.MemoryStorage, first, last uint64) {
	d.T.Helper()
	f, _ := disk.FirstIndex()
	l, _ := disk.LastIndex()
	if f != first || l != last {
		d.Brokenf(fmt.Sprintf("entries %d to %d", first, last), "first %d, last %d", f, l)
	}
	if first <= last {
		list, err := disk.Entries(first, last+1, ^uint64(0))
		if err != nil || uint64(len(list)) != last+1-first || list[0].Index != first {
			d.Brokenf(fmt.Sprintf("entries %d to %d can be read", first, last), "%s, error %v", showEntries(list), err)
		}
	}
	if first > 1 {
		if _, err := disk.Entries(first-1, first, 1); !errors.Is(err, raft.ErrCompacted) {
			d.Brokenf(fmt.Sprintf("Entries(%d): ErrCompacted", first-1), "%v", err)
		}
	}
}

func term(d *desk, disk *raft.MemoryStorage, index, want uint64) {
	d.T.Helper()
	if got, err := disk.Term(index); err != nil || got != want {
		d.Brokenf(fmt.Sprintf("Term(%d) is %d", index, want), "%d, error %v", got, err)
	}
}

func TestLogIsCompactedBehindASnapshot(t *testing.T) {
	d := open(t, compacts)
	disk := logOf(voters(1, 2, 3), 1, 1, 2, 2, 3)
	d.Say("a log with terms 1 1 2 2 3; CreateSnapshot(3)")
	if err := disk.CreateSnapshot(3, voters(1, 2, 3), []byte("state")); err != nil {
		d.Brokenf("a snapshot at 3", "%v", err)
	}
	s, err := disk.Snapshot()
	if err != nil || s.Metadata.Index != 3 || s.Metadata.Term != 2 || string(s.Data) != "state" {
		d.Brokenf("Snapshot returns it: at 3/2", "at %d/%d with %q, error %v", s.Metadata.Index, s.Metadata.Term, s.Data, err)
	}
	holds(d, disk, 1, 5)
	d.Say("Compact(2)")
	if err := disk.Compact(2); err != nil {
		d.Brokenf("the log from 3 on", "%v", err)
	}
	holds(d, disk, 3, 5)
	term(d, disk, 2, 1)
	term(d, disk, 3, 2)
	if _, err := disk.Term(1); !errors.Is(err, raft.ErrCompacted) {
		d.Brokenf("Term(1): ErrCompacted", "%v", err)
	}
	d.Say("Compact(3)")
	if err := disk.Compact(3); err != nil {
		d.Brokenf("the log from 4 on", "%v", err)
	}
	holds(d, disk, 4, 5)
	term(d, disk, 3, 2)
	term(d, disk, 5, 3)
	d.Say("Append(6/3)")
	if err := disk.Append(entries(5, 3)); err != nil {
		d.Brokenf("the log goes on", "%v", err)
	}
	holds(d, disk, 4, 6)
}

func TestCompactionHasLimits(t *testing.T) {
	d := open(t, compacts)
	disk := logOf(voters(1, 2, 3), 1, 1, 2, 2, 3)
	if err := errors.Join(disk.CreateSnapshot(3, voters(1, 2, 3), nil), disk.Compact(2)); err != nil {
		d.Brokenf("a snapshot at 3, and a log from 3 on", "%v", err)
	}
	d.Say("a log with terms 1 1 2 2 3, a snapshot at 3, compacted to 2")
	refused := func(what string, err, kind error) {
		t.Helper()
		if err == nil || kind != nil && !errors.Is(err, kind) {
			d.Say("%s", what)
			d.Brokenf(fmt.Sprintf("an error (%v)", kind), "%v", err)
		}
		holds(d, disk, 3, 5)
		if s, _ := disk.Snapshot(); s.Metadata.Index != 3 {
			d.Say("%s", what)
			d.Brokenf("the snapshot at 3 as it was", "a snapshot at %d", s.Metadata.Index)
		}
	}
	refused("Compact(4), beyond the snapshot", disk.Compact(4), nil)
	refused("Compact(99), beyond the log", disk.Compact(99), nil)
	refused("Compact(2) again", disk.Compact(2), raft.ErrCompacted)
	refused("Compact(1), which went before", disk.Compact(1), raft.ErrCompacted)
	refused("CreateSnapshot(9), beyond the log", disk.CreateSnapshot(9, voters(1), nil), raft.ErrUnavailable)
	refused("CreateSnapshot(3) again", disk.CreateSnapshot(3, voters(1), nil), nil)
	refused("CreateSnapshot(2), which is older", disk.CreateSnapshot(2, voters(1), nil), nil)
	refused("CreateSnapshot(1), which is compacted", disk.CreateSnapshot(1, voters(1), nil), raft.ErrCompacted)
	refused("ApplySnapshot of one at 3, as old as ours", disk.ApplySnapshot(*snapshotAt(3, 9, voters(1))), nil)
	refused("ApplySnapshot of one at 2, which is older", disk.ApplySnapshot(*snapshotAt(2, 9, voters(1))), nil)
}

// Who read entries before the compaction still has them, whatever is appended afterwards.
func TestReadersKeepWhatTheyRead(t *testing.T) {
	d := open(t, own)
	disk := logOf(voters(1, 2, 3), 1, 1, 2, 2, 3)
	read, err := disk.Entries(1, 6, ^uint64(0))
	if err != nil {
		t.Fatal(err)
	}
	before := showEntries(read)
	clone := disk.Clone()
	d.Say("Entries(1, 6), then CreateSnapshot(4), Compact(4), and another tail")
	if err := errors.Join(disk.CreateSnapshot(4, voters(1, 2, 3), nil), disk.Compact(4),
		disk.Append(entries(4, 7, 7, 7))); err != nil {
		d.Brokenf("all three succeed", "%v", err)
	}
	if got := showEntries(read); got != before {
		d.Broken("the reader has "+before, got)
	}
	holds(d, clone, 1, 5)
	term(d, clone, 5, 3)
}

func TestReceivedSnapshotReplacesTheLog(t *testing.T) {
	d := open(t, replaces)
	for _, at := range []uint64{3, 9} {
		disk := logOf(voters(1, 2, 3), 1, 1, 2, 2, 3)
		d.Say("a log with terms 1 1 2 2 3; ApplySnapshot at %d/4", at)
		if err := disk.ApplySnapshot(*snapshotAt(at, 4, voters(1, 2))); err != nil {
			d.Brokenf("it is applied", "%v", err)
		}
		holds(d, disk, at+1, at)
		term(d, disk, at, 4)
		if _, conf, _ := disk.InitialState(); len(conf.Voters) != 2 {
			d.Brokenf("the configuration of the snapshot: [1 2]", "%v", conf.Voters)
		}
		if s, _ := disk.Snapshot(); s.Metadata.Index != at || string(s.Data) != "state" {
			d.Brokenf("it can be sent on", "a snapshot at %d with %q", s.Metadata.Index, s.Data)
		}
		if err := disk.Append(entries(at, 4)); err != nil {
			d.Brokenf(fmt.Sprintf("entry %d can follow", at+1), "%v", err)
		}
		holds(d, disk, at+1, at+1)
	}
}

// rules says which rule of the handout an invariant of the simulation breaks.
var rules = map[string]string{}

func init() {
	for _, name := range []string{"persist-before-send", "apply-order", "durable-quorum", "restart", "one-answer",
		"election-safety", "log-matching", "leader-completeness", "state-machine-safety", "monotone", "linearizable-read",
		"liveness"} {
		rules[name] = together.ID + " is broken: " + together.Says + "."
	}
	rules["disk"] = compacts.ID + " is broken: " + compacts.Says + "."
}

var snapshots = []string{"snapshot installed", "crash", "message lost"}

func TestClusterSharesSnapshots(t *testing.T) {
	rafttest.Seeds(t, rafttest.World{Seeds: 40, Rules: rules, Must: snapshots})
}

func TestClusterOfFiveSharesSnapshots(t *testing.T) {
	rafttest.Seeds(t, rafttest.World{Seeds: 20, Rules: rules, Must: snapshots, Options: rafttest.Options{Nodes: 5}})
}

// New members know nothing: the first thing that they get is a snapshot.
func TestNewMembersGetSnapshots(t *testing.T) {
	rafttest.Seeds(t, rafttest.World{Seeds: 15, Rules: rules,
		Must:    []string{"snapshot installed", "configuration changed"},
		Options: rafttest.Options{Spares: 2, Ticks: 600}})
}

func TestSnapshotsWithStorageOffTheLoop(t *testing.T) {
	rafttest.Seeds(t, rafttest.World{Seeds: 20, Rules: rules, Must: snapshots,
		Options: rafttest.Options{Config: raft.Config{AsyncStorage: true}}})
}

// Applying, restarting, and a Storage that fails.

package stage2ac_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"tinykv/raft"
	"tinykv/raft/rafttest"
)

// inSequence checks what was applied: from..to without gap or repetition.
func inSequence(n *node, from, to uint64) {
	n.D.T.Helper()
	want := fmt.Sprintf("entries %d to %d applied, in order, each once", from, to)
	if uint64(len(n.Applied)) != to+1-from {
		n.D.Brokenf(want, "%d entries: %s", len(n.Applied), showEntries(n.Applied))
	}
	for i, e := range n.Applied {
		if e.Index != from+uint64(i) {
			n.D.Broken(want, showEntries(n.Applied))
		}
	}
}

func TestCommittedEntriesComeInOrder(t *testing.T) {
	d := open(t, inOrder)
	n := d.Fresh(1, voters(1, 2, 3))
	n.Gets(app(2, 1, 0, 0, 1, entries(0, 1, 1, 1)...))
	n.Settles()
	inSequence(n, 1, 1)
	n.Gets(heartbeat(2, 1, 3))
	n.Settles()
	inSequence(n, 1, 3)
	n.Gets(heartbeat(2, 1, 3))
	n.Gets(app(2, 1, 3, 1, 5, entries(3, 1, 1, 1)...))
	n.Settles()
	inSequence(n, 1, 5)
}

// Some of the log is in Storage, some is not: what is applied has no seam.
func TestApplyAcrossStorageAndMemory(t *testing.T) {
	d := open(t, inOrder)
	n := d.Start(1, logOf(voters(1, 2, 3), 1, 1, 1))
	n.Gets(app(2, 1, 3, 1, 6, entries(3, 1, 1, 1)...))
	n.Settles()
	inSequence(n, 1, 6)
}

func TestApplyInPortions(t *testing.T) {
	d := open(t, inOrder)
	n := d.Fresh(1, voters(1, 2, 3), func(c *raft.Config) { c.MaxApplyBytes = 100 })
	list := entries(0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
	for i := range list {
		list[i].Data = make([]byte, 24)
	}
	list[4].Data = make([]byte, 300)
	n.Gets(app(2, 1, 0, 0, 10, list...))
	for n.HasReady() {
		rd := n.Does()
		bytes := 0
		for _, e := range rd.CommittedEntries {
			bytes += len(e.Data)
		}
		if len(rd.CommittedEntries) > 1 && bytes > 100 {
			d.Brokenf("at most MaxApplyBytes = 100 bytes to apply in one Ready, or a single entry", "%d entries with %d bytes",
				len(rd.CommittedEntries), bytes)
		}
	}
	inSequence(n, 1, 10)
}

// What a leader has appended and not committed is bounded; what is committed is no longer held against it.
func TestAppliedEntriesMakeRoomForProposals(t *testing.T) {
	d := open(t, inOrder)
	n := d.Fresh(1, voters(1), func(c *raft.Config) { c.MaxUncommittedBytes = 200 }).Leads()
	n.Settles()
	for round := range 5 {
		accepted := 0
		for range 20 {
			if err := n.Propose(make([]byte, 34)); err == nil {
				accepted++
			}
		}
		d.Say("node 1: 20 proposals of 34 bytes with MaxUncommittedBytes 200, %d accepted", accepted)
		if accepted == 20 || accepted == 0 {
			d.Brokenf("some are accepted and some dropped, in round after round: each Ready hands out what was committed",
				"%d of 20 in round %d", accepted, round+1)
		}
		n.Settles()
	}
}

func TestRestartGoesOn(t *testing.T) {
	d := open(t, restart)
	n := d.Fresh(1, voters(1)).Leads()
	for range 5 {
		n.Proposes("x")
	}
	n.Settles()
	want := n.HardState()
	p := d.Start(1, n.Disk, func(c *raft.Config) { c.Applied = 4 })
	if got := p.HardState(); got.Term != want.Term || got.Vote != want.Vote || p.LastIndex() != 6 {
		d.Brokenf(fmt.Sprintf("term %d, vote %d, the log up to 6", want.Term, want.Vote), "%+v, log up to %d", got,
			p.LastIndex())
	}
	if got := p.Status(); got.Applied != 4 || got.SoftState != (raft.SoftState{}) {
		d.Brokenf("a follower that has applied up to 4", "%+v, applied %d", got.SoftState, got.Applied)
	}
	for p.HasReady() {
		if rd := p.Does(); len(rd.Entries) > 0 {
			d.Broken("no entries to store: they are on the disk", showEntries(rd.Entries))
		}
	}
	inSequence(p, 5, 6)
	if q := d.Start(1, n.Disk, func(c *raft.Config) { c.Applied = 6 }); q.HasReady() {
		d.Broken("nothing to do: all was applied", "HasReady is true")
	}
}

func TestRestartBehindASnapshot(t *testing.T) {
	d := open(t, restart)
	disk := logOf(voters(1, 2, 3), 1, 1, 1, 1)
	if err := errors.Join(disk.CreateSnapshot(3, voters(1, 2, 3), nil), disk.Compact(3)); err != nil {
		t.Fatal(err)
	}
	disk.SetHardState(raft.HardState{Term: 1, Commit: 4})
	n := d.Start(1, disk) // Applied is not known: it means the snapshot
	if got := n.Status().Applied; got != 3 {
		d.Brokenf("applied up to the snapshot, 3", "%d", got)
	}
	n.Settles()
	inSequence(n, 4, 4)
}

// Whatever a crash leaves, as long as it keeps the order of writes, is a good state to start from.
func TestRestartFromTornStates(t *testing.T) {
	for _, c := range []struct {
		name         string
		hard         raft.HardState
		applied      uint64
		term, commit uint64
	}{
		{"the commit index was not flushed, and the application is ahead of it", raft.HardState{Term: 2, Commit: 1}, 2, 2, 2},
		{"nothing is known to be committed", raft.HardState{Term: 2}, 0, 2, 0},
		{"the hard state of the last entries is lost", raft.HardState{Term: 1, Vote: 3}, 0, 2, 0},
	} {
		d := open(t, restart)
		d.Say("%s", c.name)
		disk := logOf(voters(1, 2, 3), 1, 2)
		disk.SetHardState(c.hard)
		n := d.Start(1, disk, func(cfg *raft.Config) { cfg.Applied = c.applied })
		if n.Term() != c.term || n.HardState().Commit != c.commit || n.Status().Applied != c.applied {
			d.Brokenf(fmt.Sprintf("term %d, commit %d, applied %d", c.term, c.commit, c.applied),
				"term %d, commit %d, applied %d", n.Term(), n.HardState().Commit, n.Status().Applied)
		}
		if n.Settles(); len(n.Applied) != 0 {
			d.Broken("nothing to apply", showEntries(n.Applied))
		}
		n.Gets(heartbeat(2, 2, 2))
		n.Settles()
		if want := int(2 - c.applied); len(n.Applied) != want {
			d.Brokenf(fmt.Sprintf("%d entries to apply, when the leader tells that 2 is committed", want), "%s",
				showEntries(n.Applied))
		}
	}
}

func TestImpossibleStatesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		hard    raft.HardState
		applied uint64
	}{
		{"committed beyond the log", raft.HardState{Term: 2, Commit: 9}, 0},
		{"applied beyond the log", raft.HardState{Term: 2, Commit: 1}, 3},
	} {
		d := open(t, restart)
		disk := logOf(voters(1, 2, 3), 1, 2)
		disk.SetHardState(c.hard)
		d.Say("NewRawNode: the log ends at 2, %+v, Applied %d", c.hard, c.applied)
		_, err := raft.NewRawNode(raft.Config{ID: 1, Storage: disk, Applied: c.applied, Rand: rand.New(rand.NewPCG(1, 1))})
		if !errors.Is(err, raft.ErrBadConfig) {
			d.Brokenf("raft.ErrBadConfig: "+c.name, "%v", err)
		}
	}
}

// failing is a Storage that fails where it is told to.
type failing struct {
	raft.Storage
	at  string
	err error
}

func fails(s *failing, at string) error {
	if s.at == at {
		return s.err
	}
	return nil
}

func (s *failing) Entries(lo, hi, max uint64) ([]raft.Entry, error) {
	if err := fails(s, "Entries"); err != nil {
		return nil, err
	}
	return s.Storage.Entries(lo, hi, max)
}

func (s *failing) Term(index uint64) (uint64, error) {
	if err := fails(s, "Term"); err != nil {
		return 0, err
	}
	return s.Storage.Term(index)
}

func (s *failing) FirstIndex() (uint64, error) {
	if err := fails(s, "FirstIndex"); err != nil {
		return 0, err
	}
	return s.Storage.FirstIndex()
}

func (s *failing) LastIndex() (uint64, error) {
	if err := fails(s, "LastIndex"); err != nil {
		return 0, err
	}
	return s.Storage.LastIndex()
}

func TestStorageErrorsAreHandedUp(t *testing.T) {
	d := open(t, handedUp)
	fire := errors.New("the disk is on fire")
	storage := &failing{Storage: logOf(voters(1, 2, 3), 1, 1, 1), err: fire}
	cfg := raft.Config{ID: 1, Storage: storage, Rand: rand.New(rand.NewPCG(1, 1))}
	for _, at := range []string{"FirstIndex", "LastIndex", "Term"} {
		storage.at = at
		if _, err := raft.NewRawNode(cfg); !errors.Is(err, fire) {
			d.Say("NewRawNode, while Storage.%s fails", at)
			d.Brokenf("its error, wrapped", "%v", err)
		}
	}
	storage.at = ""
	n := d.Start(1, storage.Storage.(*raft.MemoryStorage), func(c *raft.Config) { c.Storage = storage })
	n.Gets(app(2, 1, 3, 1, 2))
	storage.at = "Entries"
	for range 2 {
		rd, err := n.Ready()
		d.Say("node 1: Ready, while Storage.Entries fails: %v", err)
		if !errors.Is(err, fire) || rd.Number != 0 || len(rd.Messages) > 0 {
			d.Brokenf("an empty Ready and the error, wrapped: nothing was taken, so Ready may be called again", "%s, error %v",
				show(&rd), err)
		}
	}
	storage.at = ""
	acks := find(n.Settles(), raft.MsgAppResp)
	if len(acks) != 1 {
		d.Brokenf("when the disk is back, the one answer that waited", "%d answers", len(acks))
	}
	inSequence(n, 1, 2)
}

// rules says which rule of the handout an invariant of the simulation breaks.
var rules = map[string]string{
	"persist-before-send":  promises.ID + " is broken: " + promises.Says + ".",
	"apply-order":          inOrder.ID + " is broken: " + inOrder.Says + ".",
	"durable-quorum":       durable.ID + " is broken: " + durable.Says + ".",
	"restart":              restart.ID + " is broken: " + restart.Says + ".",
	"disk":                 once.ID + " is broken: " + once.Says + ".",
	"one-answer":           once.ID + " is broken: " + once.Says + ".",
	"election-safety":      together.ID + " is broken: " + together.Says + ".",
	"log-matching":         together.ID + " is broken: " + together.Says + ".",
	"leader-completeness":  together.ID + " is broken: " + together.Says + ".",
	"state-machine-safety": together.ID + " is broken: " + together.Says + ".",
	"monotone":             together.ID + " is broken: " + together.Says + ".",
	"linearizable-read":    together.ID + " is broken: " + together.Says + ".",
	"liveness":             together.ID + " is broken: " + together.Says + ".",
}

func TestClusterSurvivesCrashesBetweenEffects(t *testing.T) {
	rafttest.Seeds(t, rafttest.World{Seeds: 40, Rules: rules, Must: []string{"crash", "writes lost in a crash",
		"log truncated"}})
}

func TestClusterSurvivesQuickRestarts(t *testing.T) {
	rafttest.Seeds(t, rafttest.World{Seeds: 30, Rules: rules, Must: []string{"crash"},
		Options: rafttest.Options{Favour: rafttest.FavourRestarts}})
}

// The disk may work beside the loop: Advance then says only that a Ready was taken over, Persisted that it is durable.
func TestStorageOffTheLoop(t *testing.T) {
	d := open(t, durable)
	n := d.Fresh(1, voters(1, 2, 3), func(c *raft.Config) { c.AsyncStorage = true })
	take := func() raft.Ready {
		rd := n.Take()
		if len(rd.CommittedEntries) > 0 {
			d.Brokenf("nothing to apply: no write is known to be durable, or it was replaced since", "%s",
				showEntries(rd.CommittedEntries))
		}
		n.Advance()
		return rd
	}
	n.Gets(app(2, 2, 0, 0, 0, entries(0, 2)...))
	first := take()
	n.Gets(app(3, 3, 0, 0, 0, entries(0, 3)...))
	take()
	n.Gets(app(2, 4, 0, 0, 1, entries(0, 2, 4)...))
	take()
	d.Say("node 1: Persisted(%d): the first write is done", first.Number)
	n.Persisted(first.Number)
	for n.HasReady() { // entry 1/2 came back, and its last write is not durable
		take()
	}
	rafttest.Seeds(t, rafttest.World{Seeds: 20, Rules: rules, Must: []string{"crash", "log truncated"},
		Options: rafttest.Options{Config: raft.Config{AsyncStorage: true}}})
}

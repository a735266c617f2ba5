// Desk: a story that a test tells step by step, on the same cluster, without chance making trouble.

package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Desk scripts a scenario. Nothing goes wrong but what the test does; time passes only in calls that wait. Every
// invariant (doc.go) is checked after every step, and at the end of the test the desk brings all stores back, waits until
// they agree, and judges the history: so a story about a crash need not say that nothing was lost.
//
//	d := sim.NewDesk(t, sim.Options{})
//	d.Put("k", "1")
//	d.Crash(d.Leader())
//	d.Put("k", "2")
//	d.Expect("k", "2")
//
// A step that is not possible ends the test and shows the end of the story.
type Desk struct {
	t testing.TB
	c *Cluster
}

// deskPatience is how long a desk waits for an answer, or for something to become so.
const deskPatience = 100 // ticks

// NewDesk starts a cluster. Of the options, Stores, Spares, Raft and Limits are of use, and Clients as the number of calls
// that may be under way at once. Limits that are zero are the defaults: nothing is compacted.
func NewDesk(t testing.TB, opts Options) *Desk {
	t.Helper()
	opts.Calm, opts.Trace = true, true
	d := &Desk{t: t, c: newCluster(1, opts)}
	d.c.manual = true
	for _, p := range d.c.processes {
		d.decide(Decision{Verb: VerbStart, Store: p.id})
	}
	t.Cleanup(func() {
		if !t.Failed() {
			d.Finish()
		}
	})
	return d
}

// guarded runs a step, and ends the test if an invariant breaks in it.
func (d *Desk) guarded(step func()) {
	d.t.Helper()
	res := d.c.guard(step)
	if res.Err == nil {
		return
	}
	text := d.tale(res.Err.Error())
	if len(d.c.page) > 0 {
		if file, err := savePicture(d.c.page, d.t.Name()); err == nil {
			text += "\n    picture:  " + file
		}
	}
	d.t.Fatal(text)
}

// tale is what a failure shows: what broke, how the story ends, where everybody stands.
func (d *Desk) tale(what string) string {
	story := d.c.story[max(0, len(d.c.story)-40):]
	return fmt.Sprintf("%s\n    story:    (its end; times in ticks)\n    %s\n    stores:   %s", what,
		strings.Join(story, "\n    "), strings.ReplaceAll(d.c.describe(), "\n", "\n              "))
}

// Fatalf ends the test with what the test has to say, and the end of the story.
func (d *Desk) Fatalf(format string, args ...any) {
	d.t.Helper()
	d.t.Fatal(d.tale(fmt.Sprintf(format, args...)))
}

// decide performs a decision, which must be possible.
func (d *Desk) decide(what Decision) {
	d.t.Helper()
	d.guarded(func() {
		if !d.c.do(what) {
			d.c.fail("desk", "this is not possible: %s", what.String())
		}
	})
}

// Start starts a store that is down, from its disks.
func (d *Desk) Start(storeID uint64) {
	d.t.Helper()
	d.decide(Decision{Verb: VerbStart, Store: storeID})
}

// Crash ends a store at once: what it had not synced may be lost.
func (d *Desk) Crash(storeID uint64) {
	d.t.Helper()
	d.decide(Decision{Verb: VerbCrash, Store: storeID})
}

// CrashBefore lets a store die just before its n-th effect of a kind from now on: the name of a type of package store
// ("WriteLog", "Send", "WriteData", "Answer", "Install" ...), "InstallStep" (a batch of an installation) or "Chunk" (of a
// snapshot that it sends or receives).
func (d *Desk) CrashBefore(storeID uint64, effect string, n int) {
	d.t.Helper()
	d.decide(Decision{Verb: VerbCrash, Store: storeID, What: effect, Where: "before", Count: n})
}

// CrashWithin lets a store die in the middle of its n-th WriteLog or WriteData from now on: written, not synced.
func (d *Desk) CrashWithin(storeID uint64, effect string, n int) {
	d.t.Helper()
	d.decide(Decision{Verb: VerbCrash, Store: storeID, What: effect, Where: "within", Count: n})
}

// Stop asks a store to end properly.
func (d *Desk) Stop(storeID uint64) {
	d.t.Helper()
	d.decide(Decision{Verb: VerbStop, Store: storeID})
}

// Pause lets a store's process stand still for some ticks; its clock does not.
func (d *Desk) Pause(storeID uint64, ticks int) {
	d.t.Helper()
	d.decide(Decision{Verb: VerbPause, Store: storeID, For: time.Duration(ticks) * tick})
}

// Disk changes a disk of a store, "log" or "data": it becomes "well", "slow", "full", or "failing" at its next sync.
func (d *Desk) Disk(storeID uint64, disk, how string) {
	d.t.Helper()
	d.decide(Decision{Verb: VerbDisk, Store: storeID, What: disk, Where: how})
}

// Flip flips a bit on a disk of a store, "log" or "data". The store is not expected to come back.
func (d *Desk) Flip(storeID uint64, disk string) {
	d.t.Helper()
	d.decide(Decision{Verb: VerbFlip, Store: storeID, What: disk})
}

// Cut cuts the links between two stores, both ways.
func (d *Desk) Cut(a, b uint64) {
	d.t.Helper()
	d.CutOneWay(a, b)
	d.CutOneWay(b, a)
}

// CutOneWay lets nothing pass from one store to another.
func (d *Desk) CutOneWay(from, to uint64) {
	d.t.Helper()
	d.decide(Decision{Verb: VerbCut, Store: from, To: to})
}

// Isolate cuts a store off from all others. Clients reach it.
func (d *Desk) Isolate(storeID uint64) {
	d.t.Helper()
	for _, p := range d.c.processes {
		if p.id != storeID {
			d.Cut(storeID, p.id)
		}
	}
}

// Heal mends all links.
func (d *Desk) Heal() {
	d.t.Helper()
	d.decide(Decision{Verb: VerbMend})
}

// Transfer asks the leader to hand leadership to a store, and waits until it leads.
func (d *Desk) Transfer(storeID uint64) {
	d.t.Helper()
	d.decide(Decision{Verb: VerbTransfer, Store: d.Leader(), To: storeID})
	d.Until(fmt.Sprintf("store %d leads", storeID), func() bool {
		leader := d.c.leader()
		return leader != nil && leader.id == storeID
	})
}

// AddPeer has the leader add a peer on a store, as a voter, and waits until it has caught up.
func (d *Desk) AddPeer(storeID uint64) {
	d.t.Helper()
	d.c.nextPeer++
	d.change(storeID, "add", d.c.nextPeer)
	d.Until(fmt.Sprintf("store %d has a peer that has caught up", storeID), func() bool {
		leader := d.c.leader()
		if leader == nil {
			return false
		}
		_, member := leader.view.Region.PeerOn(storeID)
		return member && d.c.process(storeID).caughtUp(leader)
	})
}

// RemovePeer has the leader remove the peer on a store, and waits until the leader has applied that.
func (d *Desk) RemovePeer(storeID uint64) {
	d.t.Helper()
	d.change(storeID, "remove", d.c.peerOn(storeID))
	d.Until(fmt.Sprintf("store %d is no member", storeID), func() bool {
		leader := d.c.leader()
		if leader == nil {
			return false
		}
		_, member := leader.view.Region.PeerOn(storeID)
		return !member
	})
}

func (d *Desk) change(storeID uint64, what string, peer uint64) {
	d.t.Helper()
	d.decide(Decision{Verb: VerbChange, Store: d.Leader(), To: storeID, What: what, Value: peer})
}

// Run lets some ticks pass.
func (d *Desk) Run(ticks int) {
	d.t.Helper()
	end := d.c.now + time.Duration(ticks)*tick
	d.guarded(func() { d.c.stepUntil(end) })
}

// Until lets time pass until something is so, for 100 ticks at most; what says what it is.
func (d *Desk) Until(what string, so func() bool) {
	d.t.Helper()
	d.guarded(func() {
		for end := d.c.now + deskPatience*tick; !so(); {
			if d.c.now >= end || d.c.queue.Len() == 0 {
				d.c.fail("desk", "%d ticks, and it is not so: %s", deskPatience, what)
			}
			d.c.step()
		}
	})
}

// Leader waits until a store leads that a majority follows, and returns it.
func (d *Desk) Leader() uint64 {
	d.t.Helper()
	var leader *process
	d.Until("there is a leader, and a majority of the stores knows it", func() bool {
		leader = d.c.leader()
		return leader != nil && d.followers(leader) > len(leader.view.Region.Peers)/2
	})
	return leader.id
}

// Follower returns a store that does not lead.
func (d *Desk) Follower() uint64 {
	d.t.Helper()
	leader := d.Leader()
	for _, p := range d.c.processes {
		if p.core != nil && p.id != leader && p.view.Leader.StoreID == leader {
			return p.id
		}
	}
	d.Fatalf("nobody follows store %d", leader)
	return 0
}

// followers counts the stores that take p for the leader of its term, itself among them.
func (d *Desk) followers(p *process) (n int) {
	for _, q := range d.c.processes {
		if q.core != nil && q.view.Term == p.view.Term && q.view.Leader == p.view.Peer {
			n++
		}
	}
	return n
}

// Put writes a key by way of whoever leads, as a client that asks until it is served. The key is of the family default.
func (d *Desk) Put(key, value string) {
	d.t.Helper()
	d.served(d.Begin(0, "put", key, value))
}

// Delete removes a key in the same way.
func (d *Desk) Delete(key string) {
	d.t.Helper()
	d.served(d.Begin(0, "delete", key, ""))
}

// Get reads a key in the same way; "" if it has no value.
func (d *Desk) Get(key string) string {
	d.t.Helper()
	call := d.Begin(0, "get", key, "")
	d.served(call)
	return call.Value()
}

// Expect reads a key and compares; want "" means that it has no value.
func (d *Desk) Expect(key, want string) {
	d.t.Helper()
	if got := d.Get(key); got != want {
		d.Fatalf("%s is %q, want %q", key, got, want)
	}
}

func (d *Desk) served(call *Call) {
	d.t.Helper()
	if err := call.Wait(); err != nil {
		d.Fatalf("%v %s: %v", call.call.kind, d.c.keyName(call.call.keys[0]), err)
	}
}

// TryPut asks one store, once, and returns its answer: one of the errors of package region, or nil. ErrNoAnswer if there
// is none for 100 ticks.
func (d *Desk) TryPut(storeID uint64, key, value string) error {
	d.t.Helper()
	return d.Begin(storeID, "put", key, value).Wait()
}

// TryGet asks one store, once.
func (d *Desk) TryGet(storeID uint64, key string) (string, error) {
	d.t.Helper()
	call := d.Begin(storeID, "get", key, "")
	err := call.Wait()
	return call.Value(), err
}

// ErrNoAnswer: a call got no answer in time, or its connection broke. A write may take effect, or may not.
var ErrNoAnswer = errSilence

// Call is a call under way.
type Call struct {
	d    *Desk
	call *call
}

// Begin begins a call ("put", "delete", "get") at one store, which is asked once; or (0) wherever it takes, and as often.
// Nothing happens before time passes. It is given up after 100 ticks.
func (d *Desk) Begin(storeID uint64, what, key, value string) *Call {
	d.t.Helper()
	return d.BeginFor(storeID, what, key, value, deskPatience-1)
}

// BeginFor is Begin with a patience of so many ticks.
func (d *Desk) BeginFor(storeID uint64, what, key, value string, ticks int) *Call {
	d.t.Helper()
	kind := callKind(slices.Index(callNames[:], what))
	call := &call{id: d.c.calls + 1, client: &d.c.clients[d.c.calls%uint64(len(d.c.clients))], kind: kind,
		keys: []int{d.c.keyspace.find(key)}, text: value, once: storeID != 0}
	if storeID == 0 {
		storeID = max(1, call.client.leader)
	}
	d.guarded(func() { d.c.launch(call, storeID, time.Duration(ticks)*tick) })
	return &Call{d: d, call: call}
}

// Done tells whether the call has ended.
func (c *Call) Done() bool { return c.call.over }

// Wait lets time pass until the call has ended, and returns how.
func (c *Call) Wait() error {
	c.d.t.Helper()
	c.d.Until("the call is answered", c.Done)
	return c.call.err
}

// Value is what a get has read; "" if there was nothing.
func (c *Call) Value() string {
	if c.call.kind != callGet || !c.call.over || c.call.err != nil {
		return ""
	}
	return c.d.c.texts[c.call.attempt.reply.values[0]]
}

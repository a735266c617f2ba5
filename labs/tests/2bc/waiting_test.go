// Reads that wait: who is refused, and what becomes of those who wait when leadership is lost, or they leave.

package stage2bc_test

import (
	"testing"

	"tinykv/kv/region"
	"tinykv/kv/store"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

func TestOnlyTheLeaderReads(t *testing.T) {
	d := open(t, refused, options{Config: func(c *store.Config) { c.Limits.MaxReads = 3 }})
	early := d.Store(2).Reads("a")
	d.Run()
	notLeader(d, early, 0)
	d.Elect(1)
	d.Tick(1)
	for _, s := range d.Stores[1:] {
		var reads []*request
		for range 5 { // more than may wait at a leader: here none does
			reads = append(reads, s.Reads("a"))
		}
		d.Run()
		for _, r := range reads {
			notLeader(d, r, 1)
		}
	}
	r := d.Store(1).Reads("a")
	d.Run()
	serves(d, r, storedesk.Nothing)
}

func TestWrongPicturesAreRefused(t *testing.T) {
	d := open(t, refused, options{})
	leader := d.Elect(1)
	asks := func(what string, change func(rc *store.RequestContext)) *request {
		rc := leader.Context()
		change(&rc)
		r := leader.Asks("read, "+what, func(id uint64) store.Event { return store.Read{ID: id, RequestContext: rc} })
		d.Run()
		return r
	}
	r := asks("of peer 12, which is on store 2", func(rc *store.RequestContext) { rc.PeerID = 12 })
	_, ok := storedesk.ErrorAs[*region.PeerNotMatchError](r)
	d.Check(ok, "PeerNotMatchError", "%s", r)
	for _, epoch := range []region.Epoch{{ConfVer: 1, Version: 2}, {ConfVer: 2, Version: 1}} {
		r = asks("at another epoch", func(rc *store.RequestContext) { rc.Epoch = epoch })
		_, ok = storedesk.ErrorAs[*region.EpochNotMatchError](r)
		d.Check(ok, "EpochNotMatchError", "%s", r)
	}
	r = asks("of the right peer at the right epoch", func(rc *store.RequestContext) {
		rc.PeerID, rc.Epoch = 11, region.Epoch{ConfVer: 1, Version: 1}
	})
	d.Check(r.Acknowledged(), "an answer", "%s", r)
}

func TestTooManyReadsAreRefused(t *testing.T) {
	d := open(t, refused, options{Config: func(c *store.Config) { c.Limits.MaxReads = 3 }})
	leader := d.Elect(1)
	fill := func(why string) []*request {
		t.Helper()
		holdAnswers(d)
		reads := []*request{leader.Reads("a"), leader.Reads("a")}
		d.Run()
		reads = append(reads, leader.Reads("a"))
		d.Run()
		for _, r := range reads {
			d.Waits(r, "three may wait, and "+why)
		}
		r := leader.Reads("a")
		d.Run()
		_, ok := storedesk.ErrorAs[*region.BusyError](r)
		d.Check(ok, r.What+" is answered BusyError: three wait already", "%s", r)
		return reads
	}
	reads := fill("none did")
	letThrough(d)
	for _, r := range reads {
		serves(d, r, storedesk.Nothing)
	}
	reads = fill("those before were answered")
	for _, r := range reads {
		leader.Cancels(r)
	}
	d.Run()
	for _, r := range reads {
		cancelled(d, r)
	}
	letThrough(d)
	reads = fill("those before were cancelled")
	deposes(d, leader)
	d.Run()
	for _, r := range reads {
		notLeader(d, r, 2)
	}
	letThrough(d)
	d.Isolate(d.Store(2))
	d.Elect(1)
	reads = fill("those before were refused when leadership was lost")
	letThrough(d)
	for _, r := range reads {
		d.Check(r.Answered(), r.What+" has an answer", "%s", r)
	}
}

// A read may wait for its turn, for a quorum, or for its index to be applied when leadership is lost.
func TestLostLeadershipAnswersEachRead(t *testing.T) {
	d := open(t, oneAnswer, options{Config: inPortions})
	leader := d.Elect(1)
	var reads []*request
	d.Say("some reads wait for their turn")
	reads = append(reads, leader.Reads("a"), leader.Reads("a"))
	deposes(d, leader)
	d.Run()
	again := func() {
		t.Helper()
		for _, r := range reads {
			notLeader(d, r, 2)
		}
		letThrough(d)
		d.Isolate(d.Store(2))
		d.Elect(1)
		d.Heal()
		r := leader.Reads("a")
		d.Run()
		d.Check(r.Acknowledged(), r.What+" is answered by the leader of the next term", "%s", r)
	}
	again()
	holdAnswers(d)
	reads = []*request{leader.Reads("a"), leader.Reads("a")}
	d.Run()
	reads = append(reads, leader.Reads("a"))
	d.Run()
	for _, r := range reads {
		d.Waits(r, "the answers of its round are held")
	}
	reads = append(reads, leader.Reads("a"))
	deposes(d, leader)
	d.Run()
	again()
	reads = nil
	inTheMiddle(t, d, leader, 20, func(written int) {
		switch written {
		case 2:
			d.Say("all 20 writes are committed; store 1 applies one in a turn, and has applied up to %d", leader.Applied().Index)
			reads = append(reads, leader.Reads("key19"), leader.Reads("key19"))
		case 7:
			for _, r := range reads {
				d.Waits(r, "key19 is not applied")
			}
			deposes(d, leader)
		}
	})
	again()
}

func TestStoppedStoreAnswersEachRead(t *testing.T) {
	d := open(t, oneAnswer, options{})
	leader := d.Elect(1)
	holdAnswers(d)
	reads := []*request{leader.Reads("a"), leader.Reads("a")}
	d.Run()
	reads = append(reads, leader.Reads("a"))
	d.Say("store 1 is asked to stop")
	leader.Hears(store.Stop{})
	d.Run()
	for _, r := range reads {
		d.Check(r.Answered() && !r.Acknowledged(), r.What+" is answered with an error: nothing was read", "%s", r)
	}
}

func TestCancelledReadIsForgotten(t *testing.T) {
	d := open(t, oneAnswer, options{Config: inPortions})
	leader := d.Elect(1)
	leader.Puts("a", "1")
	three := func(before, after func()) {
		t.Helper()
		before()
		reads := []*request{leader.Reads("a"), leader.Reads("a"), leader.Reads("a")}
		after()
		leader.Cancels(reads[1])
		d.Run()
		cancelled(d, reads[1])
		letThrough(d)
		serves(d, reads[0], "1")
		serves(d, reads[2], "1")
		leader.Cancels(reads[0])
		leader.Cancels(reads[1])
		d.Run()
	}
	d.Say("a read that waits for its turn is cancelled")
	three(func() {}, func() {})
	d.Say("a read that waits for a quorum is cancelled")
	three(func() { holdAnswers(d) }, d.Run)
	d.Say("a read that waits for its index to be applied is cancelled")
	var reads []*request
	inTheMiddle(t, d, leader, 20, func(written int) {
		switch written {
		case 2:
			reads = append(reads, leader.Reads("key19"), leader.Reads("key19"), leader.Reads("key19"))
		case 7:
			for _, r := range reads {
				d.Waits(r, "key19 is not applied")
			}
			leader.Cancels(reads[1])
		}
	})
	cancelled(d, reads[1])
	serves(d, reads[0], "v")
	serves(d, reads[2], "v")
}

// A read that is alone in its batch leaves nothing behind, and those that come after it are served.
func TestCancelledBatchHoldsNobodyUp(t *testing.T) {
	d := open(t, oneAnswer, options{})
	leader := d.Elect(1)
	leader.Puts("a", "1")
	holdAnswers(d)
	alone := leader.Reads("a")
	d.Run()
	next := leader.Reads("a")
	d.Run()
	leader.Cancels(alone)
	d.Run()
	cancelled(d, alone)
	letThrough(d)
	serves(d, next, "1")
	next = leader.Reads("a")
	d.Run()
	serves(d, next, "1")
}

// Answers to rounds of an earlier leadership mean nothing to the reads of the present one.
func TestOldAnswersConfirmNoReadOfTheNextTerm(t *testing.T) {
	d := open(t, confirmed, options{})
	leader := d.Elect(1)
	holdAnswers(d)
	old := leader.Reads("a")
	d.Run()
	held := d.Held
	d.Held = nil
	deposes(d, leader)
	d.Run()
	notLeader(d, old, 2)
	d.Net = nil
	d.Isolate(d.Store(2))
	d.Elect(1)
	d.Tick(2)
	d.Isolate(d.Store(2), d.Store(3))
	r := leader.Reads("a")
	d.Run()
	for i := range held {
		d.Say("%s  (arrives now, of the term before)", storedesk.ShowMessage(&held[i]))
		d.Arrive(held[i])
	}
	d.Run()
	d.Waits(r, "nobody has followed this leader since it was asked")
	d.Heal()
	d.Tick(2)
	d.Check(r.Answered(), r.What+" has an answer at last", "%s", r)
	d.Check(len(d.SentBy(leader, raft.MsgHeartbeat)) > 0, "heartbeats", "none")
}

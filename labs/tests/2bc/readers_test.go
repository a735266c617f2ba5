// Readers that trust a lease, and when they must not.

package stage2bc_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/store"
	"tinykv/labs/tests/storedesk"
	"tinykv/proto/kvrpcpb"
	"tinykv/raft"
)

// standsStill shuts the disk of the raft log, and writes something, so that the loop waits for it.
func standsStill(s *server) <-chan error {
	s.t.Helper()
	s.log.gate.close(0)
	done := s.write("b", "2")
	synctest.Wait()
	s.say("the disk of the raft log hangs, and the loop with it")
	return done
}

// finished returns what a reader got, and whether it got anything yet.
func finished(c <-chan look) (look, bool) {
	synctest.Wait()
	select {
	case l := <-c:
		return l, true
	default:
		return look{}, false
	}
}

func TestLeaseServesWithoutTheLoop(t *testing.T) {
	onServer(t, cheap, 1, func(s *server) {
		s.leads()
		s.puts("a", "1")
		written := standsStill(s)
		l, ok := finished(s.snapshot(s.context()))
		s.check(ok, "a reader is served by the lease, at once", "it waits for the loop")
		s.check(l.get("a") == "1", "a=1", "%s", l.get("a"))
		l.close()
		s.log.gate.open()
		s.must(<-written)
	})
}

func TestExpiredLeaseIsNotTrusted(t *testing.T) {
	for _, late := range []time.Duration{leaseTicks * tick, time.Minute} {
		onServer(t, careful, 1, func(s *server) {
			s.leads()
			s.puts("a", "1")
			written := standsStill(s)
			s.jumps(s.view().LeaseUntil - s.clock() + late - leaseTicks*tick)
			waits := s.snapshot(s.context())
			l, ok := finished(waits)
			s.check(!ok, "a reader waits for the loop: the lease has ended, others may lead", "it is served: a=%s", l.get("a"))
			s.log.gate.open()
			s.must(<-written)
			l = <-waits
			s.check(l.get("b") == "2", "then it is served, and sees b=2", "%s", l.get("b"))
			l.close()
		})
	}
}

// Who has a wrong picture is told so by the loop: a lease changes nothing about that.
func TestLeaseIsForRequestsThatFit(t *testing.T) {
	var (
		cluster *store.ClusterError
		other   *region.StoreNotMatchError
		peer    *region.PeerNotMatchError
		epoch   *region.EpochNotMatchError
		stale   *region.StaleCommandError
		missing *region.NotFoundError
	)
	onServer(t, careful, 1, func(s *server) {
		s.leads()
		s.puts("a", "1")
		for _, c := range []struct {
			what   string
			change func(rc *kvrpcpb.Context)
			refuse any // the error of which the refusal is to be; nil: it is served
		}{
			{"of another cluster", func(rc *kvrpcpb.Context) { rc.ClusterId++ }, &cluster},
			{"of another store", func(rc *kvrpcpb.Context) { rc.Peer.StoreId++ }, &other},
			{"of another peer", func(rc *kvrpcpb.Context) { rc.Peer.Id++ }, &peer},
			{"at a later version", func(rc *kvrpcpb.Context) { rc.RegionEpoch.Version++ }, &epoch},
			{"at an earlier version", func(rc *kvrpcpb.Context) { rc.RegionEpoch.Version-- }, &epoch},
			{"of other members", func(rc *kvrpcpb.Context) { rc.RegionEpoch.ConfVer++ }, &epoch},
			{"in a later term", func(rc *kvrpcpb.Context) { rc.Term = s.view().Term + 1 }, &stale},
			{"in an earlier term", func(rc *kvrpcpb.Context) { rc.Term = s.view().Term - 1 }, &stale},
			{"of a region that is not here", func(rc *kvrpcpb.Context) { rc.RegionId = 9 }, &missing},
			{"in this term", func(rc *kvrpcpb.Context) { rc.Term = s.view().Term }, nil},
			{"without an epoch", func(rc *kvrpcpb.Context) { rc.RegionEpoch = nil }, nil},
			{"without a peer", func(rc *kvrpcpb.Context) { rc.Peer = nil }, nil},
			{"that says only the region", func(rc *kvrpcpb.Context) { rc.ClusterId, rc.Peer, rc.RegionEpoch = 0, nil, nil }, nil},
		} {
			rc := s.context()
			c.change(rc)
			s.say("read %s", c.what)
			l := <-s.snapshot(rc)
			if c.refuse == nil {
				s.check(l.get("a") == "1", "it is served, and sees a=1", "%s", l.get("a"))
			} else {
				s.check(l.err != nil, fmt.Sprintf("%T", c.refuse)[1:]+": the request is not for what the view shows",
					"it is served: a=%s", l.get("a"))
				s.check(errors.As(l.err, c.refuse), fmt.Sprintf("%T", c.refuse)[1:], "%v (%T)", l.err, l.err)
			}
			l.close()
		}
	})
}

func TestReaderSeesItsRegionAlone(t *testing.T) {
	onServer(t, careful, 1, func(s *server) {
		s.leads()
		s.puts("a", "1")
		s.must(s.data.Engine.Write(storedesk.Put("z", "of another region"), engine.Buffered))
		l := <-s.snapshot(s.context())
		s.must(l.err)
		defer l.close()
		_, err := l.snap.Get(engine.Default, []byte("z"))
		var outside *region.KeyNotInRegionError
		s.check(errors.As(err, &outside), "key z: KeyNotInRegionError", "%v", err)
		termed, ok := l.snap.(interface{ Term() uint64 })
		s.check(ok && termed.Term() == s.view().Term, "the snapshot bears the term in which it was confirmed", "%v", ok)
	})
}

// The engine fails once. The loop knows what to say, which is: try again.
func TestReaderWhoseSnapshotFailsAsksTheLoop(t *testing.T) {
	onServer(t, careful, 1, func(s *server) {
		s.leads()
		s.puts("a", "1")
		s.data.fail = errors.New("too many open files")
		s.say("the next snapshot of the engine fails: too many open files")
		l := <-s.snapshot(s.context())
		s.check(l.get("a") == "1", "the loop is asked, and the reader sees a=1", "%s", l.get("a"))
		l.close()
	})
}

// A reader looks at the view, and falls asleep. Meanwhile the peer is deposed, and installs a snapshot.
func TestInstallOvertakesAReader(t *testing.T) {
	onServer(t, careful, 3, func(s *server) {
		s.leads()
		s.puts("a", "1")
		s.puts("m", "1")
		term := s.view().Term + 1
		s.data.before = func() {
			s.say("a reader trusts the lease, and falls asleep before it takes its engine snapshot")
			s.hears(raft.Message{Type: raft.MsgHeartbeat, Term: term})
			s.data.gate.close(1)
			large := strings.Repeat("x", 3<<20)
			s.receives(raftlog.Position{Index: 100, Term: term}, [2]string{"a", "2"}, [2]string{"b", large},
				[2]string{"c", large}, [2]string{"d", large}, [2]string{"m", "1"})
			s.say("the install has written a part; the reader wakes")
		}
		l := <-s.snapshot(s.context())
		s.check(l.err != nil, "an error, for the reader to ask the leader: the state is a part of a snapshot",
			"it is served: a=%s, m=%s", l.get("a"), l.get("m"))
		s.data.gate.open()
		s.await("the snapshot is installed", func() bool { return s.view().Applied.Index >= 100 })
		open := s.data.count()
		s.check(open == 0, "no engine snapshot is left open", "%d are", open)
	})
}

// The state that is read must not be older than the view that is trusted.
func TestViewIsLookedAtBeforeTheSnapshot(t *testing.T) {
	onServer(t, careful, 3, func(s *server) {
		s.hears(raft.Message{Type: raft.MsgApp, Term: 6, Index: 5, LogTerm: 5, Commit: 6,
			Entries: []raft.Entry{s.entry(6, 6, "a", "1")}})
		s.await("a=1 is applied", func() bool { return s.view().Applied.Index == 6 })
		s.data.between = func(engine.Snapshot) {
			s.say("a reader has taken its engine snapshot, and falls asleep before it looks at the view")
			s.hears(raft.Message{Type: raft.MsgApp, Term: 6, Index: 6, LogTerm: 6, Commit: 7,
				Entries: []raft.Entry{s.entry(7, 6, "a", "2")}})
			s.hears(raft.Message{Type: raft.MsgTimeoutNow, Term: 6})
			s.leads()
		}
		l := <-s.snapshot(s.context())
		s.check(l.err != nil || l.get("a") == "2", "an error, or a=2: that was acknowledged when store 1 became the leader",
			"it is served: a=%s", l.get("a"))
		l.close()
	})
}

// A leader without a quorum has a lease for a while, and then none: its readers are not served from what it has.
func TestReadersOfADeposedLeaderAreNotServed(t *testing.T) {
	onServer(t, newest, 3, func(s *server) {
		s.leads()
		s.puts("a", "1")
		s.mu.Lock()
		s.silent = true
		s.mu.Unlock()
		s.say("the others are silent from now on")
		end := s.clock() + leaseTicks*tick
		for range 30 {
			began := s.clock()
			c := s.snapshot(s.context())
			l, ok := finished(c)
			s.check(!ok || l.err != nil || began < end, "no reader is served more than 8 ticks after the others fell silent",
				"one is at %v, they did at %v", began, end-leaseTicks*tick)
			if ok {
				l.close()
			} else {
				go func() { l := <-c; l.close() }()
			}
			time.Sleep(tick / 2)
		}
	})
}

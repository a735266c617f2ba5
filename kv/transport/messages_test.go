// Raft messages between stores, over both networks.

package transport

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"tinykv/kv/replica"
)

func TestMessagesArriveInOrder(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		one, two, three := w.start(1), w.start(2), w.start(3)
		one.meet(t, two)
		one.meet(t, three)
		const n = 2000
		for i := range uint64(n) {
			one.sendOne(2, i)
			one.sendOne(3, i)
		}
		for _, s := range []*store{two, three} {
			if got := numbers(s.waitForMessages(t, n)); len(got) != n || !slices.IsSorted(got) {
				t.Errorf("store %d got %d messages, in order %v", s.options.StoreID, len(got), slices.IsSorted(got))
			}
		}
		if s := one.Stats(); s.Dropped != (Dropped{}) {
			t.Errorf("dropped %+v", s.Dropped)
		}
	})
}

func TestMessagesThatWaitShareFrames(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		one, two := w.start(1), w.start(2)
		one.meet(t, two)
		unblock := two.block()
		defer unblock()
		// Large enough to fill whatever the network holds of its own, so that the sender is blocked, too.
		filler := appendOf(1, 4<<20)
		filler.From.ID, filler.Raft.From = 11, 11
		one.Send(2, []replica.Message{filler})
		two.waitForMessages(t, 1)
		one.Send(2, []replica.Message{filler})
		if w.memory == nil { // gRPC takes a second frame while the first is being handled, and no third
			await(t, "blocked sender", func() bool { return one.waiting(2) == 0 })
			one.Send(2, []replica.Message{filler})
		}
		before := one.Stats()
		for i := range uint64(1000) {
			one.sendOne(2, i)
		}
		if waiting := one.Stats().WaitingMessages; waiting < 1000 {
			t.Errorf("%d messages wait, want at least 1000", waiting)
		}
		unblock()
		two.waitForMessages(t, 1002) // or one more
		await(t, "end of sending", func() bool { return one.Stats().WaitingMessages == 0 })
		after := one.Stats()
		if frames := after.Sent.Frames - before.Sent.Frames; frames > 3 {
			t.Errorf("%d frames for 1000 messages that waited and the large ones, want at most 3", frames)
		}
	})
}

func TestReconnectsAfterTheOtherStoreHasMoved(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		one, two := w.start(1), w.start(2)
		one.meet(t, two)
		two.close()
		await(t, "loss of the stream", func() bool { one.sendOne(2, 1); return one.losses(2) > 0 })
		again := w.start(2) // at another port
		one.meet(t, again)
		one.sendOne(2, 42)
		if got := numbers(again.waitForMessages(t, 1)); got[0] != 42 {
			t.Errorf("arrived: %v", got)
		}
		if s := one.Stats(); s.Connected < 2 || s.Lost == 0 {
			t.Errorf("connected %d times, lost %d", s.Connected, s.Lost)
		}
	})
}

// A store that was away is sent to as soon as it calls, however long the pause would be.
func TestAStoreThatCallsEndsThePause(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		o := w.options(1)
		o.FirstPause, o.LongestPause = time.Hour, time.Hour
		one := w.startWith(o)
		one.sendOne(2, 1)
		await(t, "failure", func() bool { return one.losses(2) > 0 })
		one.sendOne(2, 2)
		two := w.start(2)
		two.sendOne(1, 3)
		one.waitForMessages(t, 1)
		if got := numbers(two.waitForMessages(t, 1)); got[0] != 2 {
			t.Errorf("arrived: %v", got)
		}
	})
}

func TestCutSwallowsBothDirectionsAndHealRestoresThem(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		one, two, three := w.start(1), w.start(2), w.start(3)
		one.meet(t, two)
		two.meet(t, one)
		one.meet(t, three)
		one.Cut(2)
		one.sendOne(2, 1)
		two.sendOne(1, 2)
		await(t, "message that is thrown away", func() bool { two.sendOne(1, 2); return one.Stats().Cut > 0 })
		one.sendOne(3, 3)
		three.waitForMessages(t, 1)
		if n := len(one.waitForMessages(t, 0)) + len(two.waitForMessages(t, 0)); n != 0 {
			t.Errorf("%d messages crossed the cut", n)
		}
		if s := one.Stats(); s.Dropped.Cut != 1 {
			t.Errorf("dropped %+v, want one by the cut", s.Dropped)
		}
		if one.losses(2) > 0 {
			t.Error("a cut must give no sign")
		}
		one.Heal(2)
		one.meet(t, two)
		two.meet(t, one)
	})
}

func TestStoresOfAnotherClusterAreRefused(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		one := w.start(1)
		o := w.options(2)
		o.ClusterID = 8
		two := w.startWith(o)
		one.sendOne(2, 1)
		await(t, "refusal", func() bool { return one.Stats().RefusedByPeers > 0 && two.Stats().Refused.Cluster > 0 })
		if n := len(two.waitForMessages(t, 0)); n != 0 {
			t.Errorf("%d messages of another cluster", n)
		}
		await(t, "report", func() bool { return one.losses(2) > 0 })
		err := two.SendSnapshot(t.Context(), 1, chunksOf("x"))
		if err == nil || !strings.Contains(err.Error(), "this is store 1 of cluster 7, and you are of cluster 8") {
			t.Errorf("a snapshot of another cluster: %v", err)
		}
	})
}

func TestASlowStoreHoldsUpNobodyElseAndNoMemory(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		o := w.options(1)
		o.QueueMessages, o.QueueBytes = 100, 8<<20
		one := w.startWith(o)
		two, three := w.start(2), w.start(3)
		one.meet(t, two)
		one.meet(t, three)
		unblock := two.block()
		defer unblock()
		filler := appendOf(1, 1<<20)
		filler.From.ID, filler.Raft.From = 11, 11
		await(t, "full queue", func() bool {
			one.Send(2, []replica.Message{filler})
			return one.Stats().Dropped.Full > 0
		})
		const n = 1000
		for i := range uint64(n) {
			one.sendOne(3, i)
			if i%50 == 0 {
				three.waitForMessages(t, int(i)) // its own queue has 100 places
			}
			one.sendOne(2, i)
		}
		three.waitForMessages(t, n)
		await(t, "empty queue of the other", func() bool { return one.waiting(3) == 0 })
		s := one.Stats()
		if s.WaitingMessages > 100 || s.WaitingBytes > 8<<20 {
			t.Errorf("%d messages of %d bytes wait, more than allowed", s.WaitingMessages, s.WaitingBytes)
		}
		if s.Dropped.Full < n-100 {
			t.Errorf("only %d were dropped", s.Dropped.Full)
		}
		await(t, "report", func() bool { return one.losses(2) > 0 })
		if one.losses(3) > 0 {
			t.Error("the store that is not slow was reported as unreachable")
		}
		unblock()
		await(t, "empty queue", func() bool { return one.Stats().WaitingMessages == 0 })
	})
}

func TestWhatCantBeSentIsCountedAndHurtsNothing(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		one, two := w.start(1), w.start(2)
		one.meet(t, two)
		wrong := heartbeat(1, 3, 1)
		huge := appendOf(1, maxMessageBytes)
		huge.From.ID, huge.Raft.From = 11, 11
		one.Send(2, []replica.Message{wrong, huge, heartbeat(1, 2, 5)})
		if got := numbers(two.waitForMessages(t, 1)); got[0] != 5 {
			t.Errorf("arrived: %v", got)
		}
		if d := one.Stats().Dropped; d.Invalid != 1 || d.TooLarge != 1 {
			t.Errorf("dropped %+v", d)
		}
	})
}

func TestClosedTransportDropsAndCounts(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		one, two := w.start(1), w.start(2)
		one.meet(t, two)
		one.close()
		one.sendOne(2, 1)
		if d := one.Stats().Dropped.Closed; d != 1 {
			t.Errorf("%d dropped as closed", d)
		}
		if err := one.SendSnapshot(t.Context(), 2, chunksOf("x")); !errors.Is(err, ErrClosed) {
			t.Errorf("a snapshot after Close: %v", err)
		}
		await(t, "end of the session", func() bool { return two.Stats().OpenStreams == 0 })
		if err := one.Close(); err != nil {
			t.Errorf("a second Close: %v", err)
		}
	})
}

// The receiver closes while the sender is blocked, and the other way round: neither hangs.
func TestCloseWhileASendIsBlocked(t *testing.T) {
	for _, closer := range []string{"receiver", "sender"} {
		t.Run(closer, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				one, two := w.start(1), w.start(2)
				one.meet(t, two)
				unblock := two.block()
				defer unblock()
				filler := appendOf(1, 4<<20)
				filler.From.ID, filler.Raft.From = 11, 11
				one.Send(2, []replica.Message{filler, filler, filler})
				two.waitForMessages(t, 1)
				if closer == "receiver" {
					two.close()
				} else {
					one.close()
				}
			})
		})
	}
}

// A restarted store may be back before its old stream is known to be dead: the new one takes its place.
func TestANewStreamSupersedesTheOldOne(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		log := new(logged)
		o := w.options(2)
		o.Log = slog.New(slog.NewTextHandler(log, nil))
		one, two := w.start(1), w.startWith(o)
		one.meet(t, two)
		unblock := two.block()
		defer unblock()
		one.sendOne(2, 1)
		two.waitForMessages(t, 1)
		twin := w.start(1) // one is not closed: as if it hung
		twin.sendOne(2, 2)
		got := numbers(two.waitForMessages(t, 2))
		if !slices.Equal(got, []uint64{1, 2}) {
			t.Errorf("arrived: %v", got)
		}
		if s := two.Stats(); s.Refused.Superseded == 0 || s.OpenStreams != 1 {
			t.Errorf("superseded %d, open %d", s.Refused.Superseded, s.OpenStreams)
		}
		if text := log.String(); !strings.Contains(text, "two processes run as this store") || !strings.Contains(text, "from=1") {
			t.Errorf("its log does not say so: %s", text)
		}
	})
}

func TestAnIdleStreamIsClosedAndOpenedAgain(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		o := w.options(1)
		o.IdleTimeout = 20 * time.Millisecond
		one, two := w.startWith(o), w.start(2)
		one.meet(t, two)
		await(t, "end of the idle stream", func() bool { return two.Stats().OpenStreams == 0 })
		one.meet(t, two)
		if one.losses(2) > 0 {
			t.Error("an idle stream was reported as lost")
		}
	})
}

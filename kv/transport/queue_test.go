// The pure parts: the queue, frames, pauses, the hello.

package transport

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"tinykv/kv/replica"
	"tinykv/raft"
)

func appendOf(index uint64, size int) replica.Message {
	m := messageOf(raft.MsgApp)
	m.Raft.Index = index
	if size > 0 {
		m.Raft.Entries = []raft.Entry{{Term: 1, Index: index + 1, Data: make([]byte, size)}}
	}
	return m
}

func TestQueueIsBoundedInMessagesAndBytes(t *testing.T) {
	q := queue{maxMessages: 3, maxBytes: 1000}
	small, large := appendOf(1, 0), appendOf(2, 900)
	for i, step := range []struct {
		m    replica.Message
		want bool
	}{
		{small, true}, {large, false /* too many bytes */}, {small, true}, {small, true}, {small, false /* too many */},
	} {
		if got := q.add(&step.m); got != step.want {
			t.Errorf("step %d: added %v, want %v", i, got, step.want)
		}
	}
	if q.messages != 3 || q.bytes != 3*messageBytes {
		t.Errorf("%d messages, %d bytes", q.messages, q.bytes)
	}
}

func TestQueueCountsWhatIsBeingSent(t *testing.T) {
	q := queue{maxMessages: 2, maxBytes: 1000}
	m := appendOf(1, 0)
	q.add(&m)
	q.add(&m)
	batch := q.take()
	if q.add(&m) {
		t.Error("what is being sent no longer counts against the limit")
	}
	q.release(batch[:1])
	if !q.add(&m) || q.add(&m) {
		t.Error("one message was sent: there is room for exactly one")
	}
	q.release(batch[1:])
	q.recycle(batch)
	if n := q.drop(); n != 1 || q.messages != 0 || q.bytes != 0 {
		t.Errorf("dropped %d; left %d messages, %d bytes", n, q.messages, q.bytes)
	}
}

func TestQueueTakesAMessageLargerThanItselfAlone(t *testing.T) {
	q := queue{maxMessages: 10, maxBytes: 100}
	huge, small := appendOf(1, 5000), appendOf(2, 0)
	if !q.add(&huge) || q.add(&small) {
		t.Error("a huge message goes alone, or never")
	}
}

func TestQueueUsesItsMemoryAgain(t *testing.T) {
	q := queue{maxMessages: 100, maxBytes: 1 << 20}
	m := appendOf(1, 10)
	round := func() {
		for range 50 {
			q.add(&m)
		}
		batch := q.take()
		q.release(batch)
		q.recycle(batch)
	}
	round()
	round()
	if allocations := testing.AllocsPerRun(100, round); allocations != 0 {
		t.Errorf("%v allocations to fill and empty the queue", allocations)
	}
	if batch := q.spare[:1]; batch[0].Raft.Entries != nil {
		t.Error("the queue keeps the entries of what was sent alive")
	}
}

func TestFramesAreAsLargeAsAllowedAndNeverEmpty(t *testing.T) {
	batch := []replica.Message{appendOf(1, 400), appendOf(2, 400), appendOf(3, 5000), appendOf(4, 10)}
	var lengths []int
	for rest := batch; len(rest) > 0; {
		n := frameLength(rest, 1000)
		lengths = append(lengths, n)
		rest = rest[n:]
	}
	if want := []int{2, 1, 1}; !slices.Equal(lengths, want) {
		t.Errorf("frames of %v messages, want %v", lengths, want)
	}
}

func TestPausesDoubleUpToTheLongestWithJitterFromTheSeed(t *testing.T) {
	newBackoff := func() *backoff {
		return &backoff{first: 20 * time.Millisecond, most: 100 * time.Millisecond, rand: rand.New(rand.NewPCG(1, 2))}
	}
	one, two := newBackoff(), newBackoff()
	for i, want := range []time.Duration{20, 40, 80, 100, 100} {
		want *= time.Millisecond
		got := one.next()
		if got < want/2 || got > want {
			t.Errorf("pause %d is %v, want between %v and %v", i, got, want/2, want)
		}
		if again := two.next(); again != got {
			t.Errorf("pause %d: %v and %v with the same seed", i, got, again)
		}
	}
	one.reset()
	if got := one.next(); got > 20*time.Millisecond {
		t.Errorf("after a reset the pause is %v", got)
	}
}

func TestHelloIsRefusedWithWhatToDo(t *testing.T) {
	good := hello{cluster: 7, from: 1, to: 2, version: protocolVersion}
	if err := good.check(7, 2); err != nil {
		t.Errorf("a good hello: %v", err)
	}
	for _, test := range []struct {
		name   string
		damage func(*hello)
		kind   error
		advice string
	}{
		{"cluster", func(h *hello) { h.cluster = 8 }, errOtherCluster, "look up who has this address"},
		{"store", func(h *hello) { h.to = 3 }, errOtherStore, "correct the address of store 3"},
		{"nobody", func(h *hello) { h.from = 0 }, errOtherStore, "give each store an id of its own"},
		{"ourselves", func(h *hello) { h.from = 2 }, errOtherStore, "give each store an id of its own"},
		{"version", func(h *hello) { h.version = 2 }, errOtherVersion, "run the same release on all stores"},
		{"empty", func(h *hello) { *h = hello{} }, errOtherVersion, "run the same release on all stores"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := good
			test.damage(&h)
			err := h.check(7, 2)
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.advice) {
				t.Errorf("got %v, want %v with the advice to %s", err, test.kind, test.advice)
			}
		})
	}
}

// The loop against a core that follows a script: what is carried out, in which order, and what is not after a failure.

package replicated

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/kv/transport"
)

// script is a core whose turns are given, and that notes what it is told. The last turn is to halt.
type script struct {
	turns [][]store.Effect
	story *[]string
	wants func(e store.Event) [][]store.Effect // turns that follow from an event; may be nil
}

func (s *script) note(format string, args ...any) {
	*s.story = append(*s.story, fmt.Sprintf(format, args...))
}

func (s *script) Handle(_ time.Duration, e store.Event) {
	s.note("handle %T", e)
	if s.wants != nil {
		s.turns = append(s.turns, s.wants(e)...)
	}
}

func (s *script) Turn(time.Duration) []store.Effect {
	if len(s.turns) == 0 {
		return nil
	}
	turn := s.turns[0]
	s.turns = s.turns[1:]
	s.note("turn")
	return turn
}

func (s *script) Done(time.Duration) { s.note("done") }

func (s *script) Fail(err error) {
	s.note("fail")
	s.turns = [][]store.Effect{{store.Halt{Err: err}}}
}

func (s *script) NextTick() time.Duration { return time.Hour }
func (s *script) Stats() store.Stats      { return store.Stats{} }

// noted is a log and a transport that take notes.
type noted struct {
	raftlog.Log
	s    *script
	fail error // of the next write of the log
}

func (n *noted) Write(b *raftlog.Batch, d engine.Durability) error {
	n.s.note("write log, %d", d)
	return n.fail
}

func (n *noted) Send(to uint64, messages []replica.Message) {
	n.s.note("send %d to %d", len(messages), to)
}

func (n *noted) SendSnapshot(context.Context, uint64, transport.Source) error { return nil }

// dataOf is an engine that takes notes of its writes and snapshots.
type dataOf struct {
	engine.Engine
	s *script
}

func (d dataOf) Write(b *engine.Batch, how engine.Durability) error {
	d.s.note("write data, %d", how)
	return d.Engine.Write(b, how)
}

func (d dataOf) Snapshot() (engine.Snapshot, error) {
	d.s.note("snapshot")
	return d.Engine.Snapshot()
}

// played runs the loop on a script until it halts, and returns what happened. callers, if there are any, use it meanwhile.
func played(t *testing.T, s *script, fail error, callers func(*testing.T, *Store)) (story []string, st *Store) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e, err := mem.Open(mem.NewDisk(rand.New(rand.NewPCG(1, 1)), mem.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		s.story = &story
		n := &noted{s: s, fail: fail}
		began := time.Now()
		st = newStore(Options{
			Log: n, Data: dataOf{e, s}, Clock: func() time.Duration { return time.Since(began) },
		}.withDefaults())
		st.transport = n
		go (&loop{Store: st, core: s, callers: map[uint64]*caller{}}).run()
		if callers != nil {
			callers(t, st)
		}
		<-st.ended
		st.background.stop()
		if err := e.Close(); err != nil { // hangs if a snapshot was left open
			t.Error(err)
		}
	})
	return story, st
}

func messagesTo(stores ...uint64) []replica.Message {
	var all []replica.Message
	for _, id := range stores {
		all = append(all, replica.Message{To: region.Peer{ID: 10 + id, StoreID: id}})
	}
	return all
}

// fullTurn has one of each effect that is carried out at once.
func fullTurn() []store.Effect {
	return []store.Effect{
		store.Send{Messages: messagesTo(2, 3)},
		store.WriteLog{Batch: &raftlog.Batch{}, Durability: engine.Synced},
		store.Send{Messages: messagesTo(3, 3, 2)},
		store.WriteData{Batch: put("k", "v")},
		store.Publish{Views: []replica.View{{Region: firstRegion(3)}}},
	}
}

func TestEffectsAreCarriedOutInTheirOrderAndBeforeDone(t *testing.T) {
	story, st := played(t, &script{turns: [][]store.Effect{fullTurn(), {store.Halt{}}}}, nil, nil)
	want := "turn; send 1 to 2; send 1 to 3; write log, 1; send 2 to 3; send 1 to 2; write data, 0; done; turn"
	if got := strings.Join(story, "; "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(st.Views()) != 1 || st.Failure() != nil {
		t.Errorf("views %v, failure %v", st.Views(), st.Failure())
	}
}

func TestAfterAFailedWriteNothingElseOfTheTurnHappens(t *testing.T) {
	failed := errors.New("no space left on device")
	story, st := played(t, &script{turns: [][]store.Effect{fullTurn(), fullTurn()}}, failed, nil)
	want := "turn; send 1 to 2; send 1 to 3; write log, 1; fail; turn"
	if got := strings.Join(story, "; "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !errors.Is(st.Failure(), failed) {
		t.Errorf("failure is %v", st.Failure())
	}
}

func TestReadsThatAreConfirmedTogetherShareASnapshotAndWhoHasLeftGetsNone(t *testing.T) {
	var reads []uint64
	s := &script{}
	s.wants = func(e store.Event) [][]store.Effect {
		switch e := e.(type) {
		case store.Read:
			reads = append(reads, e.ID)
		case store.Cancel: // the third reader has left: now all are answered
			var all []replica.Answer
			for _, id := range reads {
				all = append(all, replica.Answer{ID: id, Read: true, Term: 7})
			}
			return [][]store.Effect{
				{store.Publish{Views: []replica.View{{Region: firstRegion(3)}}}}, {store.Answer{Answers: all}}, {store.Halt{}},
			}
		}
		return nil
	}
	terms := make(chan uint64, 3)
	story, _ := played(t, s, nil, func(t *testing.T, st *Store) {
		rc := (&node{w: &world{}, id: 1}).rc()
		for i := range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				snap, err := st.Snapshot(ctx, rc)
				if err != nil {
					terms <- 0
					return
				}
				terms <- snap.(*regionSnapshot).Term()
				snap.Close()
			}()
			synctest.Wait()
			if i == 2 {
				cancel()
			}
			defer cancel()
		}
		for range 3 {
			if term := <-terms; term != 7 && term != 0 {
				t.Errorf("a reader got term %d", term)
			}
		}
	})
	if got := strings.Count(strings.Join(story, "; "), "snapshot"); got != 1 {
		t.Errorf("%d snapshots were taken for reads that were confirmed together:\n%v", got, story)
	}
}

func TestWhoComesTooLateIsSentToTheOtherStores(t *testing.T) {
	errs := make(chan error, 2)
	played(t, &script{turns: [][]store.Effect{{store.Halt{}}}}, nil, func(t *testing.T, st *Store) {
		<-st.ended
		rc := (&node{w: &world{}, id: 1}).rc()
		_, err := st.Snapshot(t.Context(), rc)
		errs <- err
		errs <- st.Write(t.Context(), rc, put("k", "v"))
	})
	for range 2 {
		if err := <-errs; !isNotLeader(err) {
			t.Errorf("%v", err)
		}
	}
}

// A store that runs, in virtual time, as its readers see it. The other peers of its region are played by the test.

package stage2bc_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tinykv/kv/command"
	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/region/regionpb"
	"tinykv/kv/replica"
	"tinykv/kv/replicated"
	"tinykv/kv/snapshot"
	"tinykv/kv/store"
	"tinykv/kv/transport"
	"tinykv/labs/tests/explain"
	"tinykv/labs/tests/storedesk"
	"tinykv/proto/kvrpcpb"
	"tinykv/raft"
)

// server is store 1, which runs, with all that is around it.
type server struct {
	t      *testing.T
	rule   explain.Rule
	done   []string
	store  *replicated.Store
	region region.Region
	log    *gatedLog
	data   *watchedData
	began  time.Time

	mu     sync.Mutex // guards what follows
	ahead  time.Duration
	silent bool // the other peers do not answer
}

// onServer runs a test on a server whose region has so many peers, in virtual time.
func onServer(t *testing.T, rule explain.Rule, peers uint64, test func(s *server)) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{t: t, rule: rule, began: time.Now()}
		s.region = region.Region{ID: 1, Epoch: region.Epoch{ConfVer: 1, Version: 1}, Range: region.Range{End: []byte("n")}}
		for id := range peers {
			s.region.Peers = append(s.region.Peers, storedesk.Peer(1, id+1))
		}
		s.open()
		s.say("store 1 runs; its region 1 has the keys before n, and %d peers", peers)
		defer s.close()
		test(s)
	})
}

func newMemory(seed uint64) engine.Engine {
	e, err := mem.Open(mem.NewDisk(rand.New(rand.NewPCG(seed, 1)), mem.Options{}))
	if err != nil {
		panic(err)
	}
	return e
}

func (s *server) open() {
	s.t.Helper()
	s.data = &watchedData{Engine: newMemory(1)}
	log, err := raftlog.Open(newMemory(2), raftlog.Options{})
	s.must(err)
	s.log = &gatedLog{Log: log}
	s.must(store.Bootstrap(log, s.data, s.region, 1))
	_, err = replicated.Open(replicated.Options{
		ClusterID: storedesk.ClusterID, StoreID: 1, Log: s.log, Data: s.data,
		Spools: snapshot.NewMemory(rand.New(rand.NewPCG(3, 1))),
		Connect: func(opened *replicated.Store) replicated.Transport { // before anything runs
			s.store = opened
			return s
		},
		TickInterval: tick, Raft: raft.Config{ReadMode: raft.ReadLease, ElectionTicks: 10, LeaseTicks: leaseTicks}, Seed: 1,
		Clock: s.clock,
	})
	s.must(err)
}

func (s *server) close() {
	s.log.gate.open()
	s.data.gate.open()
	s.store.Close()
}

func (s *server) say(format string, args ...any) {
	s.done = append(s.done, fmt.Sprintf(format, args...))
}

func (s *server) check(ok bool, want, format string, args ...any) {
	s.t.Helper()
	if !ok {
		s.rule.Broken(s.t, strings.Join(s.done, "\n"), want, fmt.Sprintf(format, args...))
	}
}

func (s *server) must(err error) {
	s.t.Helper()
	s.check(err == nil, "what has to work works", "error: %v", err)
}

func (s *server) clock() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.began) + s.ahead
}

// jumps sets the clock forward: as if the machine had slept.
func (s *server) jumps(d time.Duration) {
	s.say("%v pass while the loop of store 1 stands still", d)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead += d
}

func (s *server) view() replica.View {
	if views := s.store.Views(); len(views) > 0 {
		return views[0]
	}
	return replica.View{}
}

// leased tells whether readers may trust a lease now.
func (s *server) leased() bool {
	v := s.view()
	return v.Leads() && s.clock() < v.LeaseUntil
}

// await lets time pass until something is so.
func (s *server) await(what string, so func() bool) {
	s.t.Helper()
	for range 100 {
		if synctest.Wait(); so() {
			return
		}
		time.Sleep(tick)
	}
	v := s.view()
	s.check(false, what, "term %d, leader on store %d, applied %d/%d, %s", v.Term, v.Leader.StoreID, v.Applied.Index,
		v.Applied.Term, showLease(v.LeaseUntil))
}

// leads waits until the store leads, and has a lease.
func (s *server) leads() {
	s.t.Helper()
	s.await("store 1 leads, and has a lease", s.leased)
	s.say("store 1 leads, and has a lease")
}

// context is the picture of the region that a client has.
func (s *server) context() *kvrpcpb.Context {
	return &kvrpcpb.Context{ClusterId: storedesk.ClusterID, RegionId: 1, RegionEpoch: regionpb.FromEpoch(s.region.Epoch),
		Peer: regionpb.FromPeer(s.region.Peers[0])}
}

// write begins to write a pair. The channel gets the answer.
func (s *server) write(key, value string) <-chan error {
	done := make(chan error, 1)
	go func() { done <- s.store.Write(context.Background(), s.context(), storedesk.Put(key, value)) }()
	return done
}

// puts writes a pair and waits for it.
func (s *server) puts(key, value string) {
	s.t.Helper()
	s.must(<-s.write(key, value))
	s.say("write %s=%s: ok", key, value)
}

// look is what a reader gets.
type look struct {
	snap engine.Snapshot
	err  error
}

// snapshot begins to read. The channel gets what comes of it.
func (s *server) snapshot(rc *kvrpcpb.Context) <-chan look {
	done := make(chan look, 1)
	go func() {
		snap, err := s.store.Snapshot(context.Background(), rc)
		done <- look{snap, err}
	}()
	return done
}

// get is the value of a key.
func (l *look) get(key string) string {
	switch {
	case l.err != nil:
		return l.err.Error()
	case l.snap == nil:
		return "(no answer)"
	}
	value, err := l.snap.Get(engine.Default, []byte(key))
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return storedesk.Nothing
	case err != nil:
		return err.Error()
	}
	return string(value)
}

func (l *look) close() {
	if l.snap != nil {
		_ = l.snap.Close()
	}
}

// hears is a message of the peer on store 2.
func (s *server) hears(m raft.Message) {
	m.From, m.To = s.region.Peers[1].ID, s.region.Peers[0].ID
	msg := replica.Message{RegionID: 1, From: s.region.Peers[1], To: s.region.Peers[0], Epoch: s.region.Epoch, Raft: m}
	s.say("%s", storedesk.ShowMessage(&msg))
	s.store.Receive(context.Background(), 2, []replica.Message{msg})
	synctest.Wait()
}

// Send implements replicated.Transport: the other peers vote for whoever asks, and acknowledge everything.
func (s *server) Send(_ uint64, messages []replica.Message) {
	s.mu.Lock()
	silent := s.silent
	s.mu.Unlock()
	for i := range messages {
		m := &messages[i]
		answer, ok := play(&m.Raft)
		if !ok || silent {
			continue
		}
		answer.From, answer.To = m.To.ID, m.From.ID
		reply := replica.Message{RegionID: 1, From: m.To, To: m.From, Epoch: m.Epoch, Raft: answer}
		go s.store.Receive(context.Background(), m.To.StoreID, []replica.Message{reply})
	}
}

// play is how a faithful peer answers.
func play(m *raft.Message) (raft.Message, bool) {
	answer := raft.Message{Term: m.Term, Context: m.Context}
	switch m.Type {
	case raft.MsgPreVote:
		answer.Type = raft.MsgPreVoteResp
	case raft.MsgVote:
		answer.Type = raft.MsgVoteResp
	case raft.MsgHeartbeat:
		answer.Type = raft.MsgHeartbeatResp
	case raft.MsgApp:
		answer.Type, answer.Index = raft.MsgAppResp, m.Index+uint64(len(m.Entries))
	default:
		return answer, false
	}
	return answer, true
}

// SendSnapshot implements replicated.Transport.
func (s *server) SendSnapshot(context.Context, uint64, transport.Source) error {
	return errors.New("nobody takes it")
}

// receives lets a snapshot of the region arrive from the peer on store 2, with these pairs, taken at a position.
func (s *server) receives(at raftlog.Position, pairs ...[2]string) {
	s.t.Helper()
	e := newMemory(4)
	var b engine.Batch
	for _, p := range pairs {
		b.Put(engine.Default, []byte(p[0]), []byte(p[1]))
	}
	s.must(e.Write(&b, engine.Synced))
	snap, err := e.Snapshot()
	s.must(err)
	defer func() { _ = snap.Close() }()
	head := snapshot.Head{ClusterID: storedesk.ClusterID, RegionID: 1, From: s.region.Peers[1], To: s.region.Peers[0],
		Region: s.region, Position: at, Term: at.Term}
	for _, p := range s.region.Peers {
		head.ConfState.Voters = append(head.ConfState.Voters, p.ID)
	}
	source := snapshot.NewSource(snap, head, 0)
	s.say("a snapshot of the leader on store 2 arrives, taken at %d/%d", at.Index, at.Term)
	s.must(s.store.ReceiveSnapshot(context.Background(), 2, source.Next))
	synctest.Wait()
}

// entry is an entry that puts a pair.
func (s *server) entry(index, term uint64, key, value string) raft.Entry {
	data, err := command.Encode(command.Write{Epoch: s.region.Epoch, Batch: storedesk.Put(key, value)})
	s.must(err)
	return raft.Entry{Index: index, Term: term, Data: data}
}

// gate is open until it is shut, from the n-th passage after that on.
type gate struct {
	mu      sync.Mutex
	shut    chan struct{} // nil: open
	letPass int
}

func (g *gate) close(letPass int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut, g.letPass = make(chan struct{}), letPass
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

func (g *gate) pass() {
	g.mu.Lock()
	shut := g.shut
	if g.letPass > 0 {
		g.letPass--
		shut = nil
	}
	g.mu.Unlock()
	if shut != nil {
		<-shut
	}
}

// gatedLog is a raft log on a disk that may stand still, and the store's loop with it.
type gatedLog struct {
	raftlog.Log
	gate gate
}

func (l *gatedLog) Write(b *raftlog.Batch, d engine.Durability) error {
	l.gate.pass()
	return l.Log.Write(b, d)
}

// watchedData is a data store that says when snapshots of it are taken.
type watchedData struct {
	engine.Engine
	gate gate

	mu      sync.Mutex
	opened  []*watchedSnapshot
	before  func()                // of the next snapshot
	between func(engine.Snapshot) // the taking of the next one and its return
	fail    error                 // of the next one
}

func (e *watchedData) Write(b *engine.Batch, d engine.Durability) error {
	e.gate.pass()
	return e.Engine.Write(b, d)
}

func (e *watchedData) Snapshot() (engine.Snapshot, error) {
	e.mu.Lock()
	before, between, fail := e.before, e.between, e.fail
	e.before, e.between, e.fail = nil, nil, nil
	e.mu.Unlock()
	if before != nil {
		before()
	}
	snap, err := e.Engine.Snapshot()
	if err = errors.Join(err, fail); err != nil {
		if snap != nil {
			_ = snap.Close()
		}
		return nil, err
	}
	w := &watchedSnapshot{Snapshot: snap, e: e}
	e.mu.Lock()
	e.opened = append(e.opened, w)
	e.mu.Unlock()
	if between != nil {
		between(w)
	}
	return w, nil
}

// count is how many snapshots are open.
func (e *watchedData) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.opened)
}

type watchedSnapshot struct {
	engine.Snapshot
	e *watchedData
}

func (w *watchedSnapshot) Close() error {
	w.e.mu.Lock()
	w.e.opened = slices.DeleteFunc(w.e.opened, func(o *watchedSnapshot) bool { return o == w })
	w.e.mu.Unlock()
	return w.Snapshot.Close()
}

package replica

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/raft"
)

const (
	testCluster = 7
	testRegion  = 1
	testTick    = 100 * time.Millisecond
)

var (
	me, second, third = region.Peer{ID: 11, StoreID: 1}, region.Peer{ID: 12, StoreID: 2}, region.Peer{ID: 13, StoreID: 3}
	start             = raftlog.Position{Index: 5, Term: 5}
)

// peer is one replica with disks in memory; the other peers are played by the test.
type peer struct {
	*Replica
	t                 *testing.T
	cfg               Config
	logDisk, dataDisk *mem.Disk
	w                 Work
	ticks             int
}

// newPeer opens a peer of a region with the given members, of which it is the first.
func newPeer(t *testing.T, members []region.Peer, config ...func(*Config)) *peer {
	t.Helper()
	p := &peer{t: t, logDisk: mem.NewDisk(rand.New(rand.NewPCG(1, 1)), mem.Options{}),
		dataDisk: mem.NewDisk(rand.New(rand.NewPCG(1, 2)), mem.Options{})}
	p.cfg = Config{ClusterID: testCluster, StoreID: me.StoreID, TickInterval: testTick,
		Rand: rand.New(rand.NewPCG(1, 3)), Limits: Limits{}.WithDefaults(), Tickets: NewTickets(2)}
	p.cfg.Raft.ElectionTicks = 10
	for _, f := range config {
		f(&p.cfg)
	}
	p.mount()
	var b raftlog.Batch
	b.Create(testRegion, start, raft.HardState{Term: start.Term, Commit: start.Index})
	p.must(p.cfg.Log.Write(&b, engine.Synced))
	rec := Record{Peer: me, Region: region.Region{ID: testRegion, Epoch: region.Epoch{ConfVer: 1, Version: 1}, Peers: members}}
	for _, m := range members {
		rec.ConfState.Voters = append(rec.ConfState.Voters, m.ID)
	}
	var d engine.Batch
	PutRecord(&d, &rec)
	PutApplied(&d, testRegion, start)
	p.must(p.cfg.Data.Write(&d, engine.Synced))
	p.open()
	return p
}

func (p *peer) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) mount() {
	data, err := mem.Open(p.dataDisk)
	p.must(err)
	logEngine, err := mem.Open(p.logDisk)
	p.must(err)
	p.cfg.Data = data
	p.cfg.Log, err = raftlog.Open(logEngine, raftlog.Options{})
	p.must(err)
}

func (p *peer) open() {
	p.t.Helper()
	s, err := p.cfg.Data.Snapshot()
	p.must(err)
	defer s.Close()
	rec, _, err := ReadRecord(s, testRegion)
	p.must(err)
	applied, _, err := ReadApplied(s, testRegion)
	p.must(err)
	p.Replica, err = Open(&p.cfg, rec, applied)
	p.must(err)
}

// crash loses what is not synced, and opens the peer again.
func (p *peer) crash() {
	p.t.Helper()
	p.logDisk.Crash()
	p.dataDisk.Crash()
	p.mount()
	p.open()
}

// take is a turn up to where its work would be carried out.
func (p *peer) take() *Work {
	p.t.Helper()
	p.w.Reset()
	p.must(p.Ready(&p.w))
	return &p.w
}

// carryOut is the rest of the turn.
func (p *peer) carryOut() {
	p.t.Helper()
	if p.w.Log.Len() > 0 {
		p.must(p.cfg.Log.Write(&p.w.Log, p.w.Durability))
	}
	for _, b := range p.w.Data.Batches() {
		p.must(p.cfg.Data.Write(b, engine.Buffered))
	}
	p.Done()
}

// turn is one turn, and what it asked for.
func (p *peer) turn() *Work {
	p.t.Helper()
	w := p.take()
	p.carryOut()
	return w
}

// settle takes turns until there is nothing to do, and returns all answers.
func (p *peer) settle() (answers []Answer) {
	p.t.Helper()
	for range 100 {
		answers = append(answers, p.turn().Answers...)
		if !p.HasReady() {
			return answers
		}
	}
	p.t.Fatal("it never comes to rest")
	return nil
}

// from makes a message of another peer, of this peer's term if it says none.
func (p *peer) from(other region.Peer, m raft.Message) *Message {
	m.From, m.To = other.ID, me.ID
	if m.Term == 0 {
		m.Term = p.node.Term()
	}
	return &Message{RegionID: testRegion, From: other, To: me, Epoch: p.region.Epoch, Raft: m}
}

func (p *peer) hear(other region.Peer, m raft.Message) {
	p.t.Helper()
	p.must(p.Step(p.from(other, m)))
}

// follow makes second the leader of the next term and gives it entries after the last one.
func (p *peer) follow(term uint64, commit uint64, entries ...raft.Entry) {
	p.t.Helper()
	last := p.node.LastIndex()
	lastTerm, err := p.node.TermOf(last)
	p.must(err)
	for i := range entries {
		entries[i].Index, entries[i].Term = last+1+uint64(i), term
	}
	p.hear(second, raft.Message{Type: raft.MsgApp, Term: term, Index: last, LogTerm: lastTerm, Entries: entries, Commit: commit})
}

// lead makes this peer the leader, whose first entry the others have acknowledged, and which is applied.
func (p *peer) lead() {
	p.t.Helper()
	p.must(p.node.Campaign())
	p.settle()
	if len(p.region.Peers) > 1 {
		p.hear(second, raft.Message{Type: raft.MsgPreVoteResp, Term: p.node.Term() + 1})
		p.settle()
		p.hear(second, raft.Message{Type: raft.MsgVoteResp})
		p.settle()
		p.hear(third, raft.Message{Type: raft.MsgAppResp, Index: p.node.LastIndex()})
		p.ack()
	}
	if !p.node.IsLeader() || p.applied.Term != p.node.Term() {
		p.t.Fatalf("leads: %v, applied %v, term %d", p.node.IsLeader(), p.applied, p.node.Term())
	}
}

// ack lets second acknowledge the whole log, and what follows happen.
func (p *peer) ack() []Answer {
	p.t.Helper()
	p.hear(second, raft.Message{Type: raft.MsgAppResp, Index: p.node.LastIndex(), Context: 1 << 40})
	return p.settle()
}

func (p *peer) tick(n int) {
	for range n {
		p.ticks++
		p.Tick(time.Duration(p.ticks) * testTick)
	}
}

func request() *RequestContext { return &RequestContext{RegionID: testRegion} }

func putBatch(key, value string) *engine.Batch {
	b := new(engine.Batch)
	b.Put(engine.Default, []byte(key), []byte(value))
	return b
}

func (p *peer) propose(id uint64, key string) {
	p.t.Helper()
	_, err := p.Propose(id, request(), 0, putBatch(key, "v"))
	p.must(err)
}

func (p *peer) has(key string) bool {
	s, err := p.cfg.Data.Snapshot()
	p.must(err)
	defer s.Close()
	_, err = s.Get(engine.Default, []byte(key))
	return err == nil
}

// types lists the types of messages, for comparison.
func types(messages []Message) string {
	s := ""
	for _, m := range messages {
		s += fmt.Sprint(m.Raft.Type, ">", m.To.StoreID, " ")
	}
	return s
}

func members3() []region.Peer { return []region.Peer{me, second, third} }

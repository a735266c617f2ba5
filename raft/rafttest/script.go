package rafttest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"tinykv/raft"
)

// A script is a story of a cluster in the protocol's notation, and its output is kept beside it:
//
//	# what it is about
//	> campaign 1
//	1->2 PreVote t1 log ends 0/0
//	...
//
// Lines that begin with > are commands, what follows is their output; -rewrite writes it anew. After each command every
// node does its Readies at once (what they ask for is printed), and their messages wait in the network until they are
// delivered.
//
//	cluster N [switch ...]       voters 1..N; switches: no-prevote no-checkquorum eager-commit lease linear
//	                             window=N apply-bytes=N
//	join ID                      start a node that knows nothing
//	disk ID TERM ...             restart a node with a log of these terms
//	campaign ID | tick ID|all N | propose ID TEXT ... | read ID REQUEST | transfer ID TO
//	change ID [explicit] [+N ~N -N ...]        nothing: leave
//	settle                       deliver until all is quiet
//	deliver [FROM->TO] [TYPE]    deliver what waits there now, once
//	drop [FROM->TO] [TYPE]       lose it
//	show                         what waits
//	cut ID ... | heal            lose all that goes to and from these
//	crash ID | restart ID        everything was durable
//	compact ID INDEX             snapshot there and forget what is before
//	report ID TO ok|failed | unreachable ID TO
//	step FROM->TO TYPE tTERM [index=N] [logterm=N] [commit=N] [reject] [force] [terms=T,T]
//	status | logs | progress ID
type Script struct {
	opts    raft.Config
	nodes   []*scriptNode
	waiting []raft.Message
	cut     []uint64
	out     []string
}

type scriptNode struct {
	id   uint64
	rn   *raft.RawNode
	disk *raft.MemoryStorage
	app  app
}

// RunScript executes the commands of a script and returns it with the output they have now.
func RunScript(text string) string {
	s := &Script{}
	var b strings.Builder
	for _, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
			b.WriteString(line + "\n")
		case strings.HasPrefix(line, "> "):
			b.WriteString(line + "\n")
			s.out = nil
			s.command(strings.Fields(line[2:]))
			for _, o := range s.out {
				b.WriteString("  " + o + "\n")
			}
		}
	}
	return b.String()
}

func (s *Script) printf(format string, args ...any) {
	s.out = append(s.out, fmt.Sprintf(format, args...))
}

// command runs one command. What it cannot understand is output too.
func (s *Script) command(f []string) {
	name, args := f[0], f[1:]
	defer func() {
		if p := recover(); p != nil {
			s.printf("PANIC %v", p)
		}
	}()
	if !s.onNetwork(name, args) && !s.onCluster(name, args) && !s.onNode(name, args) {
		s.printf("unknown command %s", name)
	}
	s.work()
}

func (s *Script) onCluster(name string, args []string) bool {
	switch name {
	case "cluster":
		s.start(number(args[0]), args[1:])
	case "join":
		n := &scriptNode{id: number(args[0]), disk: raft.NewMemoryStorage()}
		s.nodes = append(s.nodes, n)
		s.boot(n)
	case "status":
		s.status()
	case "logs":
		s.logs()
	default:
		return false
	}
	return true
}

func (s *Script) start(n uint64, switches []string) {
	for _, sw := range switches {
		key, value, _ := strings.Cut(sw, "=")
		switch key {
		case "no-prevote":
			s.opts.DisablePreVote = true
		case "no-checkquorum":
			s.opts.DisableCheckQuorum = true
		case "eager-commit":
			s.opts.EagerCommit = true
		case "linear":
			s.opts.LinearBacktrack = true
		case "lease":
			s.opts.ReadMode = raft.ReadLease
		case "window":
			s.opts.MaxInflightMessages = int(number(value))
		case "apply-bytes":
			s.opts.MaxApplyBytes = number(value)
		default:
			s.printf("unknown switch %s", sw)
		}
	}
	var conf raft.ConfState
	for id := range n {
		conf.Voters = append(conf.Voters, id+1)
	}
	for id := range n {
		node := &scriptNode{id: id + 1, disk: raft.NewMemoryStorage(), app: app{applied: 1, conf: conf}}
		node.disk.Bootstrap(conf)
		s.nodes = append(s.nodes, node)
		s.boot(node)
	}
}

// boot starts a node from its disk; its application is as it was.
func (s *Script) boot(n *scriptNode) {
	cfg := s.opts
	cfg.ID, cfg.Storage, cfg.Applied = n.id, scriptDisk{n.disk, n}, n.app.applied
	cfg.Rand = rand.New(rand.NewPCG(n.id, 42))
	rn, err := raft.NewRawNode(cfg)
	if err != nil {
		s.printf("n%d does not start: %v", n.id, err)
	}
	n.rn = rn
}

// scriptDisk is a storage whose configuration is the application's.
type scriptDisk struct {
	*raft.MemoryStorage
	n *scriptNode
}

// InitialState implements raft.Storage.
func (d scriptDisk) InitialState() (raft.HardState, raft.ConfState, error) {
	hard, _, err := d.MemoryStorage.InitialState()
	return hard, d.n.app.conf, err
}

func number(s string) uint64 {
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("not a number: %q", s))
	}
	return v
}

func (s *Script) node(id string) *scriptNode {
	for _, n := range s.nodes {
		if n.id == number(id) {
			return n
		}
	}
	panic("no node " + id)
}

// onNode runs a command that begins with the node it is for.
func (s *Script) onNode(name string, args []string) bool {
	if len(args) == 0 {
		return false
	}
	if name == "tick" {
		s.tick(args[0], number(args[1]))
		return true
	}
	n := s.node(args[0])
	args = args[1:]
	var err error
	switch name {
	case "campaign":
		err = n.rn.Campaign()
	case "propose":
		for _, a := range args {
			err = errors.Join(err, n.rn.Propose([]byte(a)))
		}
	case "read":
		err = n.rn.ReadIndex(number(args[0]))
	case "transfer":
		err = n.rn.TransferLeader(number(args[0]))
	case "change":
		err = n.rn.ProposeConfChange(parseChange(args))
	case "progress":
		s.progress(n)
	case "disk":
		s.giveDisk(n, args)
	case "crash":
		n.rn = nil
	case "restart":
		s.boot(n)
	case "compact":
		s.compact(n, number(args[0]))
	case "report":
		n.rn.ReportSnapshot(number(args[0]), map[string]raft.SnapshotStatus{"failed": raft.SnapshotFailure}[args[1]])
	case "unreachable":
		n.rn.ReportUnreachable(number(args[0]))
	default:
		return false
	}
	if err != nil {
		s.printf("n%d: %v", n.id, err)
	}
	return true
}

func (s *Script) tick(who string, times uint64) {
	for range times {
		for _, n := range s.nodes {
			if n.rn != nil && (who == "all" || who == strconv.FormatUint(n.id, 10)) {
				n.rn.Tick()
			}
		}
		s.work()
	}
}

func parseChange(args []string) raft.ConfChange {
	var cc raft.ConfChange
	for _, a := range args {
		if a == "explicit" {
			cc.Transition = raft.ConfChangeJointExplicit
			continue
		}
		kind := map[byte]raft.ConfChangeType{'+': raft.ConfChangeAddNode, '~': raft.ConfChangeAddLearner,
			'-': raft.ConfChangeRemoveNode}[a[0]]
		cc.Changes = append(cc.Changes, raft.ConfChangeSingle{Type: kind, NodeID: number(a[1:])})
	}
	return cc
}

func (s *Script) giveDisk(n *scriptNode, terms []string) {
	var ents []raft.Entry
	for i, t := range terms {
		ents = append(ents, raft.Entry{Index: uint64(i) + 2, Term: number(t)})
	}
	if err := n.disk.Append(ents); err != nil {
		panic(err)
	}
	n.disk.SetHardState(raft.HardState{Term: ents[len(ents)-1].Term, Commit: 1})
	s.boot(n)
}

func (s *Script) compact(n *scriptNode, index uint64) {
	if err := n.disk.CreateSnapshot(index, n.app.conf, nil); err != nil {
		panic(err)
	}
	if err := n.disk.Compact(index); err != nil {
		panic(err)
	}
}

// work does the Readies of all nodes.
func (s *Script) work() {
	for _, n := range s.nodes {
		for n.rn != nil && n.rn.HasReady() {
			s.ready(n)
		}
	}
}

func (s *Script) ready(n *scriptNode) {
	rd, err := n.rn.Ready()
	if err != nil {
		panic(err)
	}
	if text := FormatReady(&rd); text != "" {
		s.printf("n%d: %s", n.id, text)
	}
	if rd.Snapshot != nil {
		n.app = appOf(rd.Snapshot)
	}
	if err := writeTo(n.disk, &rd); err != nil {
		panic(err)
	}
	for i := range rd.CommittedEntries {
		s.apply(n, &rd.CommittedEntries[i])
	}
	n.rn.Advance()
	s.waiting = append(s.waiting, rd.Messages...)
}

func (s *Script) apply(n *scriptNode, e *raft.Entry) {
	n.app.applied = e.Index
	if e.Type != raft.EntryConfChange {
		return
	}
	cc, err := raft.DecodeConfChange(e.Data)
	if err == nil {
		n.app.conf, err = n.rn.ApplyConfChange(cc)
	}
	if err != nil {
		s.printf("n%d: %v", n.id, err)
		return
	}
	s.printf("n%d: voters %s", n.id, FormatConf(n.app.conf))
}

func (s *Script) status() {
	for _, n := range s.nodes {
		if n.rn == nil {
			s.printf("n%d down", n.id)
			continue
		}
		st := n.rn.Status()
		s.printf("n%d %v term %d vote %d leader %d last %d/%d commit %d voters %s", n.id, st.SoftState.State,
			st.HardState.Term, st.HardState.Vote, st.SoftState.Lead, st.LastIndex, st.LastTerm, st.HardState.Commit,
			FormatConf(st.ConfState))
	}
}

// logs prints the terms of every log, from the snapshot on.
func (s *Script) logs() {
	for _, n := range s.nodes {
		first, _ := n.disk.FirstIndex()
		last, _ := n.disk.LastIndex()
		var terms []string
		for i := first; i <= last; i++ {
			t, _ := n.disk.Term(i)
			terms = append(terms, strconv.FormatUint(t, 10))
		}
		s.printf("n%d from %d: %s", n.id, first, strings.Join(terms, " "))
	}
}

func (s *Script) progress(n *scriptNode) {
	for _, p := range n.rn.Status().Progress {
		s.printf("n%d match %d next %d %v inflight %d", p.ID, p.Match, p.Next, p.State, p.Inflight)
	}
}

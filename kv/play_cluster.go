// The cluster that play runs: a keeper and the stores, each a process of this same program.
//
//	play ──┬─► keeper: the scheduler; and who cleans up if play itself is killed
//	       ├─► store 1 ┐
//	       ├─► store 2 ├─ kv serve, with --faults and --until-input-ends
//	       └─► store 3 ┘
//
// Nobody outlives play. It ends all of them at its end. If it is killed, their standard input ends, at which a store exits
// and the keeper kills whoever could not notice (a paused store) and removes the directory.

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"tinykv/kv/shell"
)

const (
	// playTick makes elections short: half a second to one, where a server takes twice as long.
	playTick = 50 * time.Millisecond
	// playReadyLimit is how long a process may take to start. It takes a fifth of a second.
	playReadyLimit = 20 * time.Second
	// portAttempts is how often ports are chosen: between the choice and its use somebody else may take one.
	portAttempts = 3
)

// cluster is the processes. It implements shell.Processes.
type cluster struct {
	dir, engine, scheduler string
	peers                  peers
	launcher               *launcher
	keeper                 *child

	mu     sync.Mutex // one order at a time; guards all below
	stores map[uint64]*playStore
}

// playStore is one store.
type playStore struct {
	id     uint64
	status string // its status address
	child  *child // the process that runs, or ran last
	killed bool   // by order
	paused bool
	cut    bool
}

// playCluster runs a scheduler and stores. fail is told when it can't go on.
func playCluster(
	ctx context.Context, dir string, o playOptions, _ terminal, fail context.CancelCauseFunc,
) (g playground, err error) {
	for attempt := range portAttempts {
		home := filepath.Join(dir, fmt.Sprint("try", attempt+1))
		if err := os.Mkdir(home, 0o755); err != nil {
			return g, err
		}
		if g, err = startCluster(ctx, home, o, fail); err == nil || !strings.Contains(err.Error(), portTaken) {
			return g, err
		}
	}
	return g, err
}

// startCluster runs everything, or nothing if one of the processes does not start.
func startCluster(ctx context.Context, dir string, o playOptions, fail context.CancelCauseFunc) (g playground, err error) {
	c := &cluster{dir: dir, engine: o.engine, peers: peers{}, stores: map[uint64]*playStore{}}
	if c.launcher, err = newLauncher(); err != nil {
		return g, err
	}
	defer func() {
		if err != nil {
			c.stop()
		}
	}()
	if err := c.choosePorts(o.stores); err != nil {
		return g, err
	}
	if err := c.startKeeper(ctx); err != nil {
		return g, err
	}
	var starting sync.WaitGroup
	errs := make([]error, o.stores)
	for i, id := range c.peers.ids() {
		starting.Go(func() { errs[i] = c.start(ctx, c.stores[id]) })
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		return g, err
	}
	go func() {
		<-c.keeper.exited
		fail(fmt.Errorf("the scheduler has ended: %s", c.keeper.lastWords()))
	}()
	return playground{scheduler: c.scheduler, processes: c, stop: c.stop}, nil
}

// choosePorts finds free ports. The stores must have theirs before they start, because each is told those of the others.
func (c *cluster) choosePorts(stores int) error {
	var open []net.Listener
	defer func() {
		for _, lis := range open {
			lis.Close()
		}
	}()
	port := func() (string, error) {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", fmt.Errorf("cannot find a free port: %w", err)
		}
		open = append(open, lis)
		return lis.Addr().String(), nil
	}
	for id := uint64(1); id <= uint64(stores); id++ {
		addr, err := port()
		if err != nil {
			return err
		}
		status, err := port()
		if err != nil {
			return err
		}
		c.peers[id], c.stores[id] = addr, &playStore{id: id, status: status}
	}
	return nil
}

// startKeeper starts the process with the scheduler.
func (c *cluster) startKeeper(ctx context.Context) error {
	k, err := c.launcher.start(filepath.Join(c.dir, "scheduler.log"), keeperCommand, "--dir", filepath.Dir(c.dir))
	if err != nil {
		return err
	}
	c.keeper = k
	facts, err := k.awaitReady(ctx)
	if err != nil {
		return fmt.Errorf("the scheduler did not start: %w", err)
	}
	c.scheduler = facts["scheduler"]
	return nil
}

// start starts a store and waits until it serves. c.mu is held, or nobody else knows of c yet.
func (c *cluster) start(ctx context.Context, s *playStore) error {
	args := []string{
		"serve", "--data-dir", filepath.Join(c.dir, fmt.Sprint("store", s.id)), "--engine", c.engine,
		"--store-id", fmt.Sprint(s.id), "--peers", c.peers.String(), "--scheduler", c.scheduler, "--status-addr", s.status,
		"--tick", playTick.String(), "--faults", "--" + untilInputEndsFlag,
	}
	if cut := c.cutOff(s); len(cut) > 0 {
		args = append(args, "--"+cutOffFlag, (*idList)(&cut).String())
	}
	child, err := c.launcher.start(filepath.Join(c.dir, fmt.Sprintf("store%d.log", s.id)), args...)
	if err != nil {
		return err
	}
	s.child, s.killed, s.paused = child, false, false
	c.keeper.say(fmt.Sprint("+", child.pid()))
	go func() {
		<-child.exited
		c.keeper.say(fmt.Sprint("-", child.pid()))
	}()
	if _, err := child.awaitReady(ctx); err != nil {
		return fmt.Errorf("store %d did not start: %w", s.id, err)
	}
	return nil
}

// cutOff are the stores to which the cable of s is broken.
func (c *cluster) cutOff(s *playStore) (ids []uint64) {
	for _, id := range c.peers.ids() {
		if id != s.id && (s.cut || c.stores[id].cut) {
			ids = append(ids, id)
		}
	}
	return ids
}

// stop ends all processes. Their data is thrown away, so nobody is asked to be quick: they are killed.
func (c *cluster) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.stores {
		if s.child != nil {
			s.child.kill()
		}
	}
	if c.keeper != nil {
		c.keeper.say(keeperBye)
		c.keeper.awaitExit(playStopLimit)
	}
	c.launcher.close()
}

// Stores implements shell.Processes, as do the following.
func (c *cluster) Stores() []uint64 { return c.peers.ids() }

// Kill ends a store at once.
func (c *cluster) Kill(id uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stores[id]
	if !s.child.runs() {
		return fmt.Errorf("store %d does not run: restart %d starts it", id, id)
	}
	s.child.kill()
	s.killed, s.paused = true, false
	return nil
}

// Restart starts a store, which is killed first if it runs.
func (c *cluster) Restart(ctx context.Context, id uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stores[id]
	s.child.kill()
	return c.start(ctx, s)
}

// Pause stops a store.
func (c *cluster) Pause(id uint64) error { return c.pause(id, true) }

// Resume lets a store go on, and tells it of the cables that were cut or mended meanwhile.
func (c *cluster) Resume(id uint64) error {
	if err := c.pause(id, false); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), orderLimit)
	defer cancel()
	return c.wire(ctx, c.stores[id])
}

func (c *cluster) pause(id uint64, pause bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stores[id]
	switch {
	case !s.child.runs():
		return fmt.Errorf("store %d does not run: restart %d starts it", id, id)
	case s.paused && pause:
		return fmt.Errorf("store %d is paused already: resume %d lets it go on", id, id)
	case !s.paused && !pause:
		return fmt.Errorf("store %d is not paused", id)
	}
	if err := s.child.pause(pause); err != nil {
		return err
	}
	s.paused = pause
	return nil
}

// Cut separates a store from the others.
func (c *cluster) Cut(ctx context.Context, id uint64) error { return c.setCut(ctx, id, true) }

// Heal mends the cables of a store.
func (c *cluster) Heal(ctx context.Context, id uint64) error { return c.setCut(ctx, id, false) }

func (c *cluster) setCut(ctx context.Context, id uint64, cut bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stores[id].cut = cut
	var errs []error
	for _, s := range c.stores {
		errs = append(errs, c.wire(ctx, s))
	}
	return errors.Join(errs...)
}

// wire tells a store which of its cables are cut. One that does not run, or is paused, will be told when it does.
func (c *cluster) wire(ctx context.Context, s *playStore) error {
	if !s.child.runs() || s.paused {
		return nil
	}
	cut := map[uint64]bool{}
	for _, id := range c.cutOff(s) {
		cut[id] = true
	}
	for _, id := range c.peers.ids() {
		order := "/faults/heal"
		if cut[id] {
			order = "/faults/cut"
		}
		if id == s.id {
			continue
		}
		if err := s.order(ctx, order, id); err != nil {
			return err
		}
	}
	return nil
}

// Lead hands leadership to a store, and waits until it leads.
func (c *cluster) Lead(ctx context.Context, id uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := errors.New("nobody leads")
	for {
		leader := leaderOf(c.list(ctx))
		if leader == id {
			return nil
		}
		if leader != 0 {
			if err := c.stores[leader].order(ctx, "/leader", id); err != nil {
				last = err // it may lead no more: the next look shows
			} else {
				last = errors.New("it may be paused, cut off, or behind the others")
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("store %d does not lead: %w", id, last)
		case <-time.After(playTick):
		}
	}
}

// leaderOf is the store that leads by its own word and in the highest term; 0: none.
func leaderOf(all []shell.Process) (leader uint64) {
	term := uint64(0)
	for _, p := range all {
		for _, r := range p.Regions {
			if r.Leader == p.Store && r.Term > term {
				leader, term = p.Store, r.Term
			}
		}
	}
	return leader
}

// List looks at every store.
func (c *cluster) List(ctx context.Context) []shell.Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list(ctx)
}

func (c *cluster) list(ctx context.Context) []shell.Process {
	all := make([]shell.Process, len(c.stores))
	var looking sync.WaitGroup
	for i, id := range c.peers.ids() {
		looking.Go(func() { all[i] = c.look(ctx, c.stores[id]) })
	}
	looking.Wait()
	return all
}

// look says how a store is.
func (c *cluster) look(ctx context.Context, s *playStore) shell.Process {
	p := shell.Process{Store: s.id, Address: c.peers[s.id], Cut: s.cut, State: "alive"}
	switch {
	case s.killed:
		p.State = "killed"
		return p
	case !s.child.runs():
		p.State = "ended: " + s.child.lastWords()
		return p
	}
	p.PID = s.child.pid()
	if s.paused {
		p.State = "paused"
		return p
	}
	facts, err := s.ask(ctx)
	if err != nil {
		p.State = "does not answer"
		return p
	}
	if facts.Failure != "" {
		p.State = "its disk failed"
	}
	for _, r := range facts.Regions {
		p.Regions = append(p.Regions, shell.ProcessRegion{ID: r.ID, Leader: r.LeaderStore, Term: r.Term, Applied: r.Applied})
	}
	return p
}

// lastWords is the last line of a log, without what every line has.
func lastWords(log string) string {
	data, err := os.ReadFile(log)
	if err != nil {
		return "nothing is known of it"
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return lines[len(lines)-1]
}

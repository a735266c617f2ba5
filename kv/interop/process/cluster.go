// A cluster: a scheduler and several stores that keep the same data, each a process of its own.

package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ClusterOptions say how to start a cluster. Only Dir must be set.
type ClusterOptions struct {
	Dir    string // directory of the data directories; made if it is missing
	Engine string // as in Options
	Stores int    // how many; 0: three
}

// A Cluster is a scheduler and stores with the ids 1, 2, 3 and so on. Its methods belong to one goroutine.
type Cluster struct {
	Scheduler string // address of the placement driver, host:port: what clients are given

	ctx       context.Context // what was started ends with it
	address   *address        // the scheduler's
	programs  Programs
	options   ClusterOptions
	peers     string // as --peers has them
	scheduler *child
	stores    []*store // by id, less one
}

// store is one of the stores; it may have been started several times.
type store struct {
	id            uint64
	addr, status  *address
	running, last *child        // running is nil while it does not
	cpu           time.Duration // of those that have ended
	memory        int64         // in KiB, the most of any of them
}

// StartCluster runs a cluster and waits until all its stores serve.
func StartCluster(ctx context.Context, p Programs, o ClusterOptions) (*Cluster, error) {
	if o.Stores == 0 {
		o.Stores = 3
	}
	c := &Cluster{ctx: ctx, programs: p, options: o}
	if err := c.start(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) start() error {
	var peers []string
	for id := uint64(1); id <= uint64(c.options.Stores); id++ {
		s := &store{id: id}
		c.stores = append(c.stores, s)
		for _, a := range []**address{&s.addr, &s.status} {
			var err error
			if *a, err = takeAddress(); err != nil {
				return err
			}
		}
		peers = append(peers, fmt.Sprintf("%d=%s", id, s.addr.at))
	}
	c.peers = strings.Join(peers, ",")
	var err error
	if c.address, err = takeAddress(); err != nil {
		return err
	}
	c.Scheduler = c.address.at
	if err := c.StartScheduler(); err != nil {
		return err
	}
	return c.StartStores(c.IDs()...)
}

// StartScheduler starts the scheduler, which does not run, and waits until it serves.
func (c *Cluster) StartScheduler() (err error) {
	c.scheduler, _, err = launch(c.ctx, "the scheduler", c.programs.Scheduler,
		"--data-dir", filepath.Join(c.options.Dir, "scheduler"), "--addr", c.Scheduler)
	return err
}

// KillScheduler ends the scheduler as a power cut would.
func (c *Cluster) KillScheduler() { c.scheduler.Kill() }

// IDs are the ids of all stores.
func (c *Cluster) IDs() (ids []uint64) {
	for _, s := range c.stores {
		ids = append(ids, s.id)
	}
	return ids
}

// Address is where a store listens, host:port.
func (c *Cluster) Address(id uint64) string { return c.store(id).addr.at }

func (c *Cluster) store(id uint64) *store { return c.stores[id-1] }

// StartStores starts stores that do not run, all at once, and waits until they serve.
func (c *Cluster) StartStores(ids ...uint64) error {
	failures := make([]error, len(ids))
	var wait sync.WaitGroup
	for i, id := range ids {
		wait.Go(func() { failures[i] = c.startStore(c.store(id)) })
	}
	wait.Wait()
	return errors.Join(failures...)
}

func (c *Cluster) startStore(s *store) error {
	arguments := []string{
		"serve", "--store-id", fmt.Sprint(s.id), "--peers", c.peers, "--scheduler", c.Scheduler,
		"--data-dir", filepath.Join(c.options.Dir, fmt.Sprint("store", s.id)), "--status-addr", s.status.at,
	}
	if c.options.Engine != "" {
		arguments = append(arguments, "--engine", c.options.Engine)
	}
	running, _, err := launch(c.ctx, fmt.Sprint("store ", s.id), c.programs.Server, arguments...)
	if err != nil {
		return err
	}
	s.running, s.last = running, running
	return nil
}

// Kill ends a store as a power cut would.
func (c *Cluster) Kill(id uint64) {
	c.store(id).running.Kill()
	c.store(id).ended()
}

// StopStore asks a store to end, and waits until it has.
func (c *Cluster) StopStore(id uint64) error {
	err := c.store(id).running.Stop()
	c.store(id).ended()
	return err
}

func (s *store) ended() {
	cpu, memory := s.running.Usage()
	s.cpu, s.memory, s.running = s.cpu+cpu, max(s.memory, memory), nil
}

// Pause halts a store, as a machine that hangs, until Resume.
func (c *Cluster) Pause(id uint64) error {
	return c.store(id).running.command.Process.Signal(syscall.SIGSTOP)
}

// Resume lets a store go on that was halted.
func (c *Cluster) Resume(id uint64) error {
	return c.store(id).running.command.Process.Signal(syscall.SIGCONT)
}

// Leader waits until a store says that it leads, and returns its id.
func (c *Cluster) Leader(ctx context.Context) (uint64, error) {
	for {
		for _, s := range c.stores {
			if s.running != nil && s.leads(ctx) {
				return s.id, nil
			}
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("nobody leads: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// answerLimit bounds a question to a store, which may be halted.
const answerLimit = time.Second

// leads asks a store.
func (s *store) leads(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.status.at+"/status", nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	var status struct {
		Regions []struct {
			Leader uint64 `json:"leader_store"`
		} `json:"regions"`
	}
	err = json.NewDecoder(response.Body).Decode(&status)
	return err == nil && len(status.Regions) > 0 && status.Regions[0].Leader == s.id
}

// Transfer asks the leader to hand over to another store. That it does, Leader tells.
func (c *Cluster) Transfer(ctx context.Context, from, to uint64) error {
	order := "http://" + c.store(from).status.at + "/leader?" + url.Values{"store": {fmt.Sprint(to)}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, order, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("transfer leadership from store %d to %d: %w", from, to, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("transfer leadership from store %d to %d: %s", from, to, response.Status)
	}
	return nil
}

// Stop asks everything to end, one after the other, and waits until it has.
func (c *Cluster) Stop() error {
	var failures []error
	for _, s := range c.stores {
		if s.running != nil {
			failures = append(failures, c.StopStore(s.id))
		}
	}
	return errors.Join(append(failures, c.scheduler.Stop())...)
}

// Close kills what still runs and gives the ports back.
func (c *Cluster) Close() {
	for _, s := range c.stores {
		if s.running != nil {
			c.Kill(s.id)
		}
		s.addr.release()
		s.status.release()
	}
	if c.scheduler != nil {
		c.scheduler.Kill()
	}
	c.address.release()
}

// Usage tells what the stores have used: processor time in all, memory of the one that had most; only when none runs.
func (c *Cluster) Usage() (cpu time.Duration, maxMemoryKiB int64) {
	for _, s := range c.stores {
		cpu, maxMemoryKiB = cpu+s.cpu, max(maxMemoryKiB, s.memory)
	}
	return cpu, maxMemoryKiB
}

// Log returns the end of what each process has printed.
func (c *Cluster) Log() string {
	var logs []string
	for _, s := range c.stores {
		if s.last != nil {
			logs = append(logs, s.last.what+":\n"+s.last.Log())
		}
	}
	if c.scheduler != nil {
		logs = slices.Insert(logs, 0, "scheduler:\n"+c.scheduler.Log())
	}
	return strings.Join(logs, "\n")
}

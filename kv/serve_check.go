// What a server refuses to be started with: before it takes a port or looks at the disk.

package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tinykv/kv/engine/open"
)

const (
	// maxStoreID leaves room for the ids that the scheduler hands out, which follow those of the stores.
	maxStoreID = 1 << 32
	// Faster ticks than minTick would be late all the time; with slower ones than maxTick nobody would lead for minutes.
	minTick = time.Millisecond
	maxTick = 10 * time.Second
)

func (o serveOptions) check() error {
	if o.dir == "" {
		return errors.New("where should the data be kept? Say --data-dir DIRECTORY")
	}
	if err := open.Check(o.engine); err != nil {
		return fmt.Errorf("--engine %s: %w", o.engine, err)
	}
	switch {
	case o.sweepInterval < 0:
		return fmt.Errorf("--sweep-interval %v: it should be a time such as 10m, or 0 for none", o.sweepInterval)
	case strings.ContainsAny(o.advertiseHost, ":/ ") && net.ParseIP(o.advertiseHost) == nil:
		return fmt.Errorf("--%s %q: it should be a host, without a port", advertiseFlag, o.advertiseHost)
	case !o.isReplicated():
		return nil
	}
	if err := o.checkReplicated(); err != nil || o.joins {
		return err
	}
	return o.peers.check(o.storeID)
}

// checkReplicated checks what only a store of a cluster of several has.
func (o serveOptions) checkReplicated() error {
	switch {
	case o.joins && len(o.peers) > 0:
		return errors.New("--join is for a store that comes later: say either --peers, on stores with which the cluster begins, " +
			"or --join")
	case o.joins && o.storeID == 0:
		return errors.New("which store is it that joins? Say --store-id ID, a number that no store of the cluster ever had")
	case o.storeID > maxStoreID:
		return fmt.Errorf("--store-id %d: it should be %d at most", o.storeID, maxStoreID)
	case len(o.peers) == 0 && !o.joins:
		return fmt.Errorf("who are the other stores? Say --peers ID=HOST:PORT,..., with store %d among them, or --join for a "+
			"store that comes later", o.storeID)
	case len(o.schedulers) == 0:
		return errors.New("a store of a cluster needs its scheduler: say --scheduler HOST:PORT (go run ./scheduler starts one)")
	case o.reads != "" && o.reads != readsLease && o.reads != readsIndex:
		return fmt.Errorf("--reads %q: use one of %s, %s", o.reads, readsLease, readsIndex)
	case o.tick != 0 && (o.tick < minTick || o.tick > maxTick):
		return fmt.Errorf("--tick %v: it should be from %v to %v", o.tick, minTick, maxTick)
	}
	for _, addr := range o.schedulers {
		if err := checkDialled(addr); err != nil {
			return fmt.Errorf("--scheduler %q should be HOST:PORT, such as 127.0.0.1:2379: %w", addr, err)
		}
	}
	if _, port, _ := net.SplitHostPort(o.addr); port == "0" && !o.joins {
		return fmt.Errorf("--%s %s: the other stores look for this one at %s; port 0 is for stores that they need not find",
			addrFlag, o.addr, o.peers[o.storeID])
	}
	return nil
}

// checkDialled refuses what is no address that others could dial: a host, and a number that is a port.
func checkDialled(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("it is none")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case host == "":
		return errors.New("the host is missing")
	case strings.ContainsAny(host, " =,;/@"):
		return fmt.Errorf("%q is no host", host)
	case err != nil:
		return fmt.Errorf("%q is no port", port)
	case n == 0:
		return errors.New("nobody can dial port 0, choose one")
	}
	return nil
}

// withRoom says what to do about a disk that is full, if that is why a server did not start, and nobody has said it yet.
func withRoom(err error) error {
	if !errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "see to the disk") {
		return err
	}
	return fmt.Errorf("%w: see to the disk, make room on it, and start again", err)
}

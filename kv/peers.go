// The stores of a cluster, as each of them is told them, and the first region, which they agree on without talking.

package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tinykv/kv/region"
)

// peers is the address of each store of a cluster, by its id. As a flag it is 1=HOST:PORT,2=HOST:PORT,...
type peers map[uint64]string

// String implements pflag.Value.
func (p peers) String() string {
	var parts []string
	for _, id := range p.ids() {
		parts = append(parts, fmt.Sprintf("%d=%s", id, p[id]))
	}
	return strings.Join(parts, ",")
}

// Type implements pflag.Value: what help calls a value.
func (peers) Type() string { return "ID=HOST:PORT,..." }

// Set implements pflag.Value. A second one takes the place of the first.
func (p peers) Set(text string) error {
	clear(p)
	for part := range strings.SplitSeq(text, ",") {
		name, addr, _ := strings.Cut(strings.TrimSpace(part), "=")
		id, err := strconv.ParseUint(name, 10, 64)
		if err != nil || id == 0 || addr == "" {
			return fmt.Errorf("%q should be ID=HOST:PORT, as in 1=127.0.0.1:20161", part)
		}
		if err := checkDialled(addr); err != nil {
			return fmt.Errorf("%q should be ID=HOST:PORT, as in 1=127.0.0.1:20161: %w", part, err)
		}
		switch {
		case id > maxStoreID:
			return fmt.Errorf("store %d: an id should be %d at most", id, maxStoreID)
		case p[id] != "":
			return fmt.Errorf("store %d is named twice", id)
		}
		if slices.Contains(slices.Collect(maps.Values(p)), addr) {
			return fmt.Errorf("two stores have the address %s", addr)
		}
		p[id] = addr
	}
	return nil
}

// ids are the ids of the stores, ascending.
func (p peers) ids() []uint64 { return slices.Sorted(maps.Keys(p)) }

// check refuses a list of which this store is no part.
func (p peers) check(storeID uint64) error {
	switch _, ours := p[storeID]; {
	case storeID == 0:
		return errors.New("which of the --peers is this store? Say --store-id ID")
	case !ours:
		return fmt.Errorf("--store-id %d is none of the --peers (%v): each store is named in the list that all are given", storeID, p)
	}
	return nil
}

// firstRegion is the region with which the cluster begins: all keys, and a peer on each store. Stores with the same list make
// the same one. Its ids follow those of the stores, so that no number means two things, and the scheduler hands out later ones.
func (p peers) firstRegion() region.Region {
	ids := p.ids()
	next := ids[len(ids)-1] + 1
	r := region.Region{ID: next, Epoch: region.Epoch{ConfVer: 1, Version: 1}}
	for _, id := range ids {
		next++
		r.Peers = append(r.Peers, region.Peer{ID: next, StoreID: id})
	}
	return r
}

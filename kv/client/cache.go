// The cache of regions: what the client believes about where keys are. Pure data.

package client

import (
	"bytes"
	"slices"
	"sort"

	"tinykv/kv/region"
)

// located is a region and the peer of it to ask.
type located struct {
	region region.Region
	peer   region.Peer
}

// entry is a region in the cache. Its peer is the leader, as far as is known.
type entry struct {
	located
	failures int // attempts in a row that reached nobody
}

// cache holds regions that do not overlap, in the order of keys. It may have gaps.
type cache struct {
	entries []*entry
}

// find returns the region that holds key.
func (c *cache) find(key []byte) (located, bool) {
	i := c.firstEndingAfter(key)
	if i < len(c.entries) && c.entries[i].region.Range.Contains(key) {
		return c.entries[i].located, true
	}
	return located{}, false
}

// findBefore returns the region that holds the keys right before end, the way a scan backwards goes. An empty end is
// beyond the last key.
func (c *cache) findBefore(end []byte) (located, bool) {
	for _, e := range c.entries[c.firstReaching(end):] {
		if holdsBefore(e.region.Range, end) {
			return e.located, true
		}
		break
	}
	return located{}, false
}

// holdsBefore tells whether r holds the keys right before end.
func holdsBefore(r region.Range, end []byte) bool {
	if len(end) == 0 {
		return len(r.End) == 0
	}
	return bytes.Compare(r.Start, end) < 0 && (len(r.End) == 0 || bytes.Compare(end, r.End) <= 0)
}

// learn takes a region in, and forgets what it overlaps. It returns false, and changes nothing, if something newer is
// there: the news are stale, as the scheduler's may be for a moment after a split.
func (c *cache) learn(r region.Region, leader region.Peer) bool {
	if len(r.Peers) == 0 || r.Range.IsEmpty() {
		return false
	}
	from := c.firstEndingAfter(r.Range.Start)
	to := from
	for ; to < len(c.entries) && c.entries[to].region.Range.Overlaps(r.Range); to++ {
		old := c.entries[to].region
		if old.ID == r.ID && r.Epoch.OlderThan(old.Epoch) || old.ID != r.ID && r.Epoch.Version < old.Epoch.Version {
			return false
		}
	}
	if !slices.Contains(r.Peers, leader) {
		leader = r.Peers[0] // it will say who leads
	}
	c.entries = slices.Replace(c.entries, from, to, &entry{located: located{r, leader}})
	return true
}

// forget drops a region, as it was believed: a newer state of it stays.
func (c *cache) forget(r region.Region) {
	if i, ok := c.index(r); ok {
		c.entries = slices.Delete(c.entries, i, i+1)
	}
}

// lead notes that peer leads r. A peer that r does not have means that r is out of date: it is dropped.
func (c *cache) lead(r region.Region, peer region.Peer) {
	i, ok := c.index(r)
	if !ok {
		return
	}
	if !slices.Contains(r.Peers, peer) {
		c.forget(r)
		return
	}
	c.entries[i].peer, c.entries[i].failures = peer, 0
}

// unreachable notes that a peer did not answer. The next one is tried, which will say who leads now; after all were
// tried in vain the region is dropped, so that the scheduler is asked.
func (c *cache) unreachable(at located) {
	i, ok := c.index(at.region)
	if !ok || c.entries[i].peer != at.peer {
		return
	}
	e := c.entries[i]
	e.failures++
	if e.failures >= len(at.region.Peers) {
		c.forget(at.region)
		return
	}
	next := slices.Index(at.region.Peers, at.peer) + 1
	e.peer = at.region.Peers[next%len(at.region.Peers)]
}

// answered notes that a peer can be reached.
func (c *cache) answered(at located) {
	if i, ok := c.index(at.region); ok && c.entries[i].peer == at.peer {
		c.entries[i].failures = 0
	}
}

// index finds the entry of r at the epoch of r.
func (c *cache) index(r region.Region) (int, bool) {
	i := c.firstEndingAfter(r.Range.Start)
	if i < len(c.entries) && c.entries[i].region.ID == r.ID && c.entries[i].region.Epoch == r.Epoch {
		return i, true
	}
	return 0, false
}

func (c *cache) firstEndingAfter(key []byte) int {
	return sort.Search(len(c.entries), func(i int) bool {
		end := c.entries[i].region.Range.End
		return len(end) == 0 || bytes.Compare(end, key) > 0
	})
}

// firstReaching is the index of the first entry that ends at end or after it.
func (c *cache) firstReaching(end []byte) int {
	return sort.Search(len(c.entries), func(i int) bool {
		e := c.entries[i].region.Range.End
		return len(e) == 0 || len(end) > 0 && bytes.Compare(e, end) >= 0
	})
}

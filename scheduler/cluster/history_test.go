// A seeded history of splits, merges and membership changes, whose reports arrive late, twice and in any order.

package cluster_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"tinykv/kv/region"
	"tinykv/scheduler/cluster"
)

var seedFlag = flag.Uint64("seed", 0, "run only this seed of the seeded test")

func TestReportsInAnyOrderNeverOverlapAndEndAtTheTruth(t *testing.T) {
	first, count := uint64(1), uint64(200)
	if *seedFlag != 0 {
		first, count = *seedFlag, 1
	}
	for seed := first; seed < first+count; seed++ {
		if err := runHistory(t, seed); err != nil {
			t.Fatalf("seed %d: %v\nreplay: go test ./scheduler/cluster -run %s -seed %d", seed, err, t.Name(), seed)
		}
	}
}

func runHistory(t *testing.T, seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 0))
	c := bootstrapped(t)
	truth := c.Regions()
	sent := slices.Clone(truth) // every state that a leader ever reported
	nextID := uint64(100)
	for range 60 {
		changeTruth(rng, &truth, &sent, &nextID)
		for range rng.IntN(4) {
			if err := hear(c, sent[rng.IntN(len(sent))]); err != nil {
				return err
			}
		}
	}
	rng.Shuffle(len(truth), func(i, j int) { truth[i], truth[j] = truth[j], truth[i] })
	for _, r := range truth {
		if _, err := c.RegionHeartbeat(cluster.RegionInfo{Region: r}); err != nil {
			return fmt.Errorf("C4: the present state of region %d is refused: %w", r.ID, err)
		}
	}
	slices.SortFunc(truth, func(a, b region.Region) int { return bytes.Compare(a.Range.Start, b.Range.Start) })
	if got, want := fmt.Sprint(c.Regions()), fmt.Sprint(truth); got != want {
		return fmt.Errorf("C4: after all reported, believed is\n%s\nand true is\n%s", got, want)
	}
	return nil
}

// changeTruth does to the regions what their Raft logs would do.
func changeTruth(rng *rand.Rand, truth, sent *[]region.Region, nextID *uint64) {
	i := rng.IntN(len(*truth))
	r := (*truth)[i]
	switch rng.IntN(3) {
	case 0: // split
		at := []byte(fmt.Sprintf("%04d", rng.IntN(10000)))
		if !r.Range.Contains(at) || bytes.Equal(at, r.Range.Start) {
			return
		}
		left, right := r, r
		*nextID++
		right.ID = *nextID
		left.Range.End, right.Range.Start = at, at
		left.Epoch.Version++
		right.Epoch.Version++
		*truth = slices.Replace(*truth, i, i+1, left, right)
		*sent = append(*sent, left, right)
	case 1: // merge with the right neighbour; which of the two stays is a matter of taste
		if i+1 == len(*truth) {
			return
		}
		next := (*truth)[i+1]
		merged := r
		if rng.IntN(2) == 0 {
			merged = next
		}
		merged.Range = region.Range{Start: r.Range.Start, End: next.Range.End}
		merged.Epoch.Version = max(r.Epoch.Version, next.Epoch.Version) + 1
		*truth = slices.Replace(*truth, i, i+2, merged)
		*sent = append(*sent, merged)
	case 2: // membership
		*nextID++
		r.Peers = append(slices.Clone(r.Peers), region.Peer{ID: *nextID, StoreID: *nextID})
		r.Epoch.ConfVer++
		(*truth)[i] = r
		*sent = append(*sent, r)
	}
}

// hear delivers one report and checks what must hold after every one.
func hear(c *cluster.Cluster, r region.Region) error {
	before, known := c.RegionByID(r.ID)
	_, err := c.RegionHeartbeat(cluster.RegionInfo{Region: r})
	if err != nil && verdict(err) != "stale" {
		return fmt.Errorf("a true report is refused: %w", err)
	}
	after, ok := c.RegionByID(r.ID)
	if known && (!ok || after.Region.Epoch.OlderThan(before.Region.Epoch)) {
		return fmt.Errorf("C2: epoch of region %d was %v and is %v", r.ID, before.Region.Epoch, after.Region.Epoch)
	}
	regions := c.Regions()
	for i := 1; i < len(regions); i++ {
		a, b := regions[i-1].Range, regions[i].Range
		if len(a.End) == 0 || bytes.Compare(a.End, b.Start) > 0 {
			return fmt.Errorf("C1: regions %d %v and %d %v overlap", regions[i-1].ID, a, regions[i].ID, b)
		}
	}
	for _, r := range regions {
		if info, ok := c.RegionByKey(r.Range.Start); !ok || info.Region.ID != r.ID {
			return fmt.Errorf("region %d is listed, but not found by its start key", r.ID)
		}
	}
	return nil
}

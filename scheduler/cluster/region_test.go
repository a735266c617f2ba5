// Which reports are believed, rule by rule, and what the lookups answer.

package cluster_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"tinykv/kv/region"
	"tinykv/scheduler/cluster"
)

const clusterID = 7

// report is "id start-end confVer/version peer,peer leader term": "2 g-p 1/3 21,22 21 5". "." is no bound. Peer 21
// stands on store 1.
func report(t *testing.T, text string) cluster.RegionInfo {
	t.Helper()
	var bounds, peers string
	var info cluster.RegionInfo
	var leader uint64
	r := &info.Region
	_, err := fmt.Sscanf(strings.ReplaceAll(text, "/", " "), "%d %s %d %d %s %d %d",
		&r.ID, &bounds, &r.Epoch.ConfVer, &r.Epoch.Version, &peers, &leader, &info.Term)
	if err != nil {
		t.Fatalf("bad report %q: %v", text, err)
	}
	start, end, _ := strings.Cut(strings.ReplaceAll(bounds, ".", ""), "-")
	r.Range = region.Range{Start: []byte(start), End: []byte(end)}
	for p := range strings.SplitSeq(peers, ",") {
		var id uint64
		fmt.Sscan(p, &id)
		r.Peers = append(r.Peers, region.Peer{ID: id, StoreID: id % 10})
	}
	if leader != 0 {
		info.Leader = region.Peer{ID: leader, StoreID: leader % 10}
	}
	return info
}

// bootstrapped returns a cluster with store 1 and region 1, peer 11.
func bootstrapped(t *testing.T) *cluster.Cluster {
	t.Helper()
	c, err := cluster.New(cluster.Meta{ClusterID: clusterID}, nil)
	if err != nil {
		t.Fatal(err)
	}
	change, err := c.Bootstrap(cluster.Store{ID: 1, Address: "127.0.0.1:20160"}, report(t, "1 .-. 1/1 11 11 5").Region)
	if err != nil {
		t.Fatal(err)
	}
	c.Commit(change)
	return c
}

// layout is the belief in the order of keys: "1:.-g 2:g-.".
func layout(c *cluster.Cluster) string {
	var words []string
	for _, r := range c.Regions() {
		words = append(words, fmt.Sprintf("%d:%s-%s", r.ID, dot(r.Range.Start), dot(r.Range.End)))
	}
	return strings.Join(words, " ")
}

func dot(key []byte) string {
	if len(key) == 0 {
		return "."
	}
	return string(key)
}

func TestReportsAreBelievedByEpoch(t *testing.T) {
	for name, steps := range map[string][]string{
		"a split, left half first": {
			"1 .-g 1/2 11 11 5 -> ok  1:.-g",
			"2 g-. 1/2 21 21 5 -> ok  1:.-g 2:g-.",
		},
		"a split, right half first: the old region has no place any more": {
			"2 g-. 1/2 21 21 5 -> ok  2:g-.",
			"1 .-. 1/1 11 11 5 -> stale  2:g-.",
			"1 .-g 1/2 11 11 5 -> ok  1:.-g 2:g-.",
		},
		"the state before the split comes late": {
			"1 .-g 1/2 11 11 5 -> ok  1:.-g",
			"1 .-. 1/1 11 11 5 -> stale  1:.-g",
		},
		"one region takes the place of several older ones": {
			"1 .-g 1/2 11 11 5 -> ok  1:.-g",
			"2 g-p 1/3 21 21 5 -> ok  1:.-g 2:g-p",
			"3 p-. 1/3 31 31 5 -> ok  1:.-g 2:g-p 3:p-.",
			"9 .-. 1/4 91 91 5 -> ok  9:.-.",
		},
		"one newer region in the way is enough to be stale": {
			"1 .-g 1/2 11 11 5 -> ok  1:.-g",
			"2 g-. 1/9 21 21 5 -> ok  1:.-g 2:g-.",
			"9 .-. 1/4 91 91 5 -> stale  1:.-g 2:g-.",
		},
		"an equal version in the way is stale, whoever was first": {
			"1 .-g 1/2 11 11 5 -> ok  1:.-g",
			"9 f-. 1/2 91 91 5 -> stale  1:.-g",
			"9 g-. 1/2 91 91 5 -> ok  1:.-g 9:g-.",
		},
		"a merge": {
			"1 .-g 1/2 11 11 5 -> ok  1:.-g",
			"2 g-. 1/2 21 21 5 -> ok  1:.-g 2:g-.",
			"2 .-. 1/3 21 21 5 -> ok  2:.-.",
			"1 .-g 1/2 11 11 5 -> stale  2:.-.",
		},
		"membership: a newer conf version is believed, an older one is not": {
			"1 .-. 2/1 11,12 11 5 -> ok  1:.-.",
			"1 .-. 1/1 11 11 5    -> stale  1:.-.",
			"1 .-. 3/1 12 12 6    -> ok  1:.-.",
		},
		"older in one number and newer in the other is stale": {
			"1 .-. 5/1 11,12 11 5 -> ok  1:.-.",
			"1 .-g 4/2 11 11 5    -> stale  1:.-.",
		},
		"a deposed leader's report is stale by its term": {
			"1 .-. 2/1 11,12 12 6 -> ok  1:.-.",
			"1 .-. 2/1 11,12 11 5 -> stale  1:.-.",
			"1 .-. 2/1 11,12 11 7 -> ok  1:.-.",
		},
		"one version has one range and one membership": {
			"1 .-g 1/1 11 11 5    -> invalid  1:.-.",
			"1 .-. 1/1 11,12 11 5 -> invalid  1:.-.",
			"1 .-. 1/1 11 11 5    -> ok  1:.-.",
		},
		"a history that was missed leaves a gap until its neighbours report": {
			"1 .-g 1/2 11 11 5 -> ok  1:.-g",
			"1 p-t 1/9 11 11 5 -> ok  1:p-t",
			"2 .-p 1/8 21 21 5 -> ok  2:.-p 1:p-t",
		},
		"what no region can be": {
			"0 .-. 1/2 11 11 5    -> invalid  1:.-.",
			"1 .-. 0/2 11 11 5    -> invalid  1:.-.",
			"1 p-g 1/2 11 11 5    -> invalid  1:.-.",
			"1 g-g 1/2 11 11 5    -> invalid  1:.-.",
			"1 .-. 2/1 11,11 11 5 -> invalid  1:.-.",
			"1 .-. 2/1 11,21 11 5 -> invalid  1:.-.",
			"1 .-. 2/1 11,12 13 5 -> invalid  1:.-.",
			"1 .-. 2/1 0 0 5      -> invalid  1:.-.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := bootstrapped(t)
			for _, step := range steps {
				text, want, _ := strings.Cut(step, " -> ")
				_, err := c.RegionHeartbeat(report(t, text))
				if got := verdict(err) + "  " + layout(c); got != want {
					t.Fatalf("%s\n got: %s (%v)\nwant: %s", text, got, err, want)
				}
			}
		})
	}
}

func verdict(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, cluster.ErrStale):
		return "stale"
	case errors.Is(err, cluster.ErrInvalid):
		return "invalid"
	}
	return "for no documented reason"
}

func TestAReportSaysWhatItChanged(t *testing.T) {
	c := bootstrapped(t)
	for _, step := range []struct{ text, want string }{
		{"1 .-. 1/1 11 11 5", "{Meta:false Leader:true Removed:[]}"}, // the first to name a leader
		{"1 .-. 1/1 11 11 5", "{Meta:false Leader:false Removed:[]}"},
		{"1 .-. 2/1 11,12 11 5", "{Meta:true Leader:false Removed:[]}"},
		{"1 .-. 2/1 11,12 12 6", "{Meta:false Leader:true Removed:[]}"},
		{"9 .-g 1/2 91 91 5", "{Meta:true Leader:true Removed:[1]}"},
	} {
		got, err := c.RegionHeartbeat(report(t, step.text))
		if err != nil || fmt.Sprintf("%+v", got) != step.want {
			t.Errorf("%s: %+v, %v, want %s", step.text, got, err, step.want)
		}
	}
}

// threeRegions are 1:.-g 2:g-p 4:t-. with a gap from p to t.
func threeRegions(t *testing.T) *cluster.Cluster {
	t.Helper()
	c := bootstrapped(t)
	for _, text := range []string{"1 .-g 1/2 11 11 5", "2 g-p 1/3 21 21 5", "4 t-. 1/4 41 41 5"} {
		if _, err := c.RegionHeartbeat(report(t, text)); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestLookupsFindTheRegionOfAKeyAndTheOneBefore(t *testing.T) {
	c := threeRegions(t)
	for _, q := range []struct {
		key        string
		here, prev uint64
	}{
		{"", 1, 0}, {"a", 1, 0}, {"f\xff", 1, 0}, {"g", 2, 1}, {"o", 2, 1},
		{"p", 0, 0}, {"s", 0, 0}, {"t", 4, 0}, {"\xff", 4, 0},
	} {
		here, ok := c.RegionByKey([]byte(q.key))
		if here.Region.ID != q.here || ok != (q.here != 0) {
			t.Errorf("region of %q: %d, %v, want %d", q.key, here.Region.ID, ok, q.here)
		}
		prev, ok := c.PreviousRegion([]byte(q.key))
		if prev.Region.ID != q.prev || ok != (q.prev != 0) {
			t.Errorf("region before that of %q: %d, %v, want %d", q.key, prev.Region.ID, ok, q.prev)
		}
	}
	for _, id := range []uint64{1, 2, 4} {
		if info, ok := c.RegionByID(id); !ok || info.Region.ID != id {
			t.Errorf("region %d by id: %v, %v", id, info, ok)
		}
	}
	if info, ok := c.RegionByID(3); ok {
		t.Errorf("region 3 by id: %v", info)
	}
}

func TestScanReturnsTheRegionsThatOverlapInOrder(t *testing.T) {
	c := threeRegions(t)
	for _, q := range []struct {
		start, end string
		limit      int
		want       string
	}{
		{"", "", 10, "1 2 4"}, {"", "", 2, "1 2"}, {"", "", 0, ""}, {"", "", -1, ""},
		{"a", "b", 10, "1"}, {"a", "g", 10, "1"}, {"a", "h", 10, "1 2"}, {"g", "", 10, "2 4"},
		{"p", "t", 10, ""}, {"q", "u", 10, "4"}, {"z", "", 10, "4"}, {"h", "b", 10, ""},
	} {
		var ids []string
		for _, info := range c.ScanRegions(region.Range{Start: []byte(q.start), End: []byte(q.end)}, q.limit) {
			ids = append(ids, fmt.Sprint(info.Region.ID))
		}
		if got := strings.Join(ids, " "); got != q.want {
			t.Errorf("scan [%q, %q) limit %d: %s, want %s", q.start, q.end, q.limit, got, q.want)
		}
	}
}

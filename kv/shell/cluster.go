// Commands on the cluster: who is there, and where keys are.

package shell

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tinykv/kv/region"
	scheduler "tinykv/scheduler/client"
)

// maxRegionsShown bounds the list of regions.
const maxRegionsShown = 1000

func clusterCommands() []command {
	return []command{
		{name: "status", short: "the cluster at a glance", run: runStatus},
		{name: "members", short: "list the schedulers", run: runMembers},
		{name: "stores", short: "list the stores", run: runStores},
		{name: "regions", args: "[START [END]]", max: 2, short: "list the regions: which keys, which epoch, where",
			run: runRegions},
		{name: "region", args: "KEY", min: 1, max: 1, short: "the region that holds a key", run: runRegion},
		{
			name: "tso", args: "[TIMESTAMP]", max: 1, short: "get a timestamp, or explain one",
			long: "A timestamp is milliseconds since 1970, shifted by 18 bits, plus a counter.",
			example: []string{
				"tso", "tso 445644800000000000",
			}, run: runTSO,
		},
	}
}

type tableResult struct {
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
	note    string
}

func (t tableResult) text() string {
	return join(columns(append([][]string{t.Columns}, t.Rows...)), t.note)
}

func runStatus(ctx context.Context, s *Shell, _ input) (result, error) {
	members, err := s.opts.Cluster.Members(ctx)
	if err != nil {
		return nil, err
	}
	stores, err := s.opts.Cluster.Stores(ctx)
	if err != nil {
		return nil, err
	}
	regions, err := s.opts.Cluster.ScanRegions(ctx, region.Range{}, maxRegionsShown)
	if err != nil {
		return nil, err
	}
	ts, err := s.opts.Cluster.Timestamp(ctx)
	if err != nil {
		return nil, err
	}
	return tableResult{Columns: []string{"WHAT", "VALUE"}, Rows: [][]string{
		{"cluster", strconv.FormatUint(members.ClusterID, 10)},
		{"schedulers", fmt.Sprintf("%d, led by %s at %s", len(members.Members), members.Leader.Name,
			strings.Join(members.Leader.URLs, ","))},
		{"stores", strconv.Itoa(len(stores))},
		{"regions", atLeast(len(regions), maxRegionsShown)},
		{"timestamp", explainTimestamp(ts)},
	}}, nil
}

func atLeast(n, limit int) string {
	if n == limit {
		return fmt.Sprintf("at least %d", n)
	}
	return strconv.Itoa(n)
}

func runMembers(ctx context.Context, s *Shell, _ input) (result, error) {
	members, err := s.opts.Cluster.Members(ctx)
	if err != nil {
		return nil, err
	}
	t := tableResult{Columns: []string{"NAME", "ID", "URLS", "LEADS"}}
	for _, m := range members.Members {
		leads := ""
		if m.ID == members.Leader.ID {
			leads = "yes"
		}
		t.Rows = append(t.Rows, []string{m.Name, fmt.Sprintf("%x", m.ID), strings.Join(m.URLs, ","), leads})
	}
	t.note = fmt.Sprintf("(cluster %d)", members.ClusterID)
	return t, nil
}

func runStores(ctx context.Context, s *Shell, _ input) (result, error) {
	stores, err := s.opts.Cluster.Stores(ctx)
	if err != nil {
		return nil, err
	}
	t := tableResult{Columns: []string{"STORE", "ADDRESS", "STATE", "REGIONS", "USED", "FREE", "HEARD", "VERSION",
		"LABELS"}}
	for _, listed := range stores {
		info, err := s.opts.Cluster.Store(ctx, listed.Store.ID) // the list has no stats
		if err != nil {
			return nil, err
		}
		var labels []string
		for _, l := range info.Store.Labels {
			labels = append(labels, l.Key+"="+l.Value)
		}
		t.Rows = append(t.Rows, []string{
			strconv.FormatUint(info.Store.ID, 10), info.Store.Address, stateName(info.Store),
			strconv.FormatUint(uint64(info.Stats.RegionCount), 10), showBytes(info.Stats.UsedSize),
			showBytes(info.Stats.Available),
			heard(info.LastMillis), info.Store.Version, strings.Join(labels, ","),
		})
	}
	return t, nil
}

func stateName(s scheduler.Store) string {
	switch s.State {
	case scheduler.Up:
		return "up"
	case scheduler.Offline:
		return "offline"
	}
	return "removed"
}

// heard says how long ago a store reported.
func heard(millis int64) string {
	if millis == 0 {
		return "never"
	}
	return max(0, time.Since(time.UnixMilli(millis))).Round(time.Second).String() + " ago"
}

func showBytes(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1024, 0
	for f >= 1024 {
		f /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", f, units[unit])
}

func runRegions(ctx context.Context, s *Shell, in input) (result, error) {
	infos, err := s.opts.Cluster.ScanRegions(ctx, region.Range{Start: in.arg(0), End: in.arg(1)}, maxRegionsShown)
	if err != nil {
		return nil, err
	}
	t := regionTable(infos)
	if len(infos) == maxRegionsShown {
		t.note = fmt.Sprintf("(the first %d; go on with regions %s)", maxRegionsShown,
			Quote(infos[len(infos)-1].Region.Range.End))
	}
	return t, nil
}

func runRegion(ctx context.Context, s *Shell, in input) (result, error) {
	info, ok, err := s.opts.Cluster.Region(ctx, in.args[0])
	if err != nil {
		return nil, err
	}
	if !ok {
		return message{"(no region is known to hold it)"}, nil
	}
	return regionTable([]scheduler.RegionInfo{info}), nil
}

func regionTable(infos []scheduler.RegionInfo) tableResult {
	t := tableResult{Columns: []string{"REGION", "START", "END", "EPOCH", "PEERS", "LEADER"}}
	for _, info := range infos {
		r := info.Region
		end := "(end)"
		if len(r.Range.End) > 0 {
			end = Quote(r.Range.End)
		}
		var peers []string
		for _, p := range r.Peers {
			peers = append(peers, p.String())
		}
		leader := "?"
		if info.Leader != (region.Peer{}) {
			leader = fmt.Sprintf("store %d", info.Leader.StoreID)
		}
		t.Rows = append(t.Rows, []string{
			strconv.FormatUint(r.ID, 10), Quote(r.Range.Start), end, r.Epoch.String(), strings.Join(peers, ", "),
			leader,
		})
	}
	return t
}

func runTSO(ctx context.Context, s *Shell, in input) (result, error) {
	if len(in.args) == 1 {
		n, err := strconv.ParseUint(string(in.args[0]), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s is no timestamp: it should be a number such as 445644800000000000",
				brief(in.args[0]))
		}
		return message{explainTimestamp(scheduler.TimestampFromUint64(n))}, nil
	}
	ts, err := s.opts.Cluster.Timestamp(ctx)
	if err != nil {
		return nil, err
	}
	return message{explainTimestamp(ts)}, nil
}

func explainTimestamp(ts scheduler.Timestamp) string {
	return fmt.Sprintf("%d  (%s, number %d)", ts.Uint64(),
		time.UnixMilli(ts.Physical).Format("2006-01-02 15:04:05.000"), ts.Logical)
}

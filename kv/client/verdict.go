// Verdict: what an error of a store teaches, and what to do next. Pure.

package client

import (
	"strings"
	"time"

	"tinykv/kv/region"
	"tinykv/kv/region/regionpb"
	"tinykv/proto/errorpb"
)

// verdict is what follows from a region error. The request was not executed, whatever the kind.
type verdict struct {
	fatal    bool // no retry will help
	tooLarge bool // fatal, but for a request for less

	// What to correct before the next attempt.
	leader       region.Peer     // this one leads
	regions      []region.Region // these cover the range now
	forgetRegion bool            // the region is not what was believed: ask the scheduler
	forgetStore  bool            // the address belongs to another store now
	elsewhere    bool            // this peer is of no use at present: try the next

	// How long to wait.
	immediately bool // the hint is good: no pause for the first attempt after it
	why         reason
	asked       time.Duration
}

// maxAskedPause bounds what a store may ask for: a mistaken hint should not hang a client.
const maxAskedPause = 10 * time.Second

// judge decides what follows from a region error.
func judge(e *errorpb.Error) verdict {
	switch {
	case e.GetNotLeader() != nil:
		leader := regionpb.ToPeer(e.GetNotLeader().GetLeader())
		if leader == (region.Peer{}) {
			return verdict{elsewhere: true, why: noLeader}
		}
		return verdict{leader: leader, immediately: true, why: noLeader}
	case e.GetEpochNotMatch() != nil:
		v := verdict{why: staleRoute}
		for _, r := range e.GetEpochNotMatch().GetCurrentRegions() {
			v.regions = append(v.regions, regionpb.ToRegion(r))
		}
		v.forgetRegion, v.immediately = len(v.regions) == 0, len(v.regions) > 0
		return v
	case e.GetRegionNotFound() != nil, e.GetKeyNotInRegion() != nil, e.GetMismatchPeerId() != nil:
		return verdict{forgetRegion: true, why: staleRoute}
	case e.GetStoreNotMatch() != nil:
		return verdict{forgetRegion: true, forgetStore: true, why: staleRoute}
	case e.GetServerIsBusy() != nil:
		asked := time.Duration(min(e.GetServerIsBusy().GetBackoffMs(),
			uint64(maxAskedPause/time.Millisecond))) * time.Millisecond
		return verdict{why: busy, asked: asked}
	case e.GetRaftEntryTooLarge() != nil:
		return verdict{fatal: true, tooLarge: e.GetRaftEntryTooLarge().GetEntrySize() > 0}
	case e.GetDiskFull() != nil:
		return verdict{why: busy}
	case e.GetStaleCommand() != nil, e.GetReadIndexNotReady() != nil, e.GetRegionNotInitialized() != nil,
		e.GetProposalInMergingMode() != nil, e.GetMaxTimestampNotSynced() != nil, e.GetDataIsNotReady() != nil:
		return verdict{why: noLeader}
	}
	// A kind from the future. The picture may be wrong, so begin afresh.
	return verdict{forgetRegion: true, why: staleRoute}
}

// explain is the text of a region error for people.
func explain(e *errorpb.Error) string {
	if text := e.GetMessage(); text != "" {
		return text
	}
	return strings.TrimSpace(e.String())
}

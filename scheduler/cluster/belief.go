// The belief about regions: which report wins, and the order of keys.

package cluster

import (
	"bytes"
	"fmt"
	"slices"
	"sort"

	"tinykv/kv/region"
)

// regions holds each region twice: by its id, and in the order of keys. They never overlap (C1), so the order of
// their starts is also the order of their ends.
type regions struct {
	byID    map[uint64]*RegionInfo
	ordered []*RegionInfo
}

func newRegions() regions { return regions{byID: map[uint64]*RegionInfo{}} }

// believe takes a report in, or refuses it as stale or contradictory. The rule is on the package's page.
func (rs *regions) believe(info RegionInfo) (Believed, error) {
	r := info.Region
	old := rs.byID[r.ID]
	if old != nil {
		if err := checkAgainst(info, *old); err != nil {
			return Believed{}, err
		}
	}
	removed, err := rs.displaced(r)
	if err != nil {
		return Believed{}, err
	}
	believed := Believed{
		Meta:    old == nil || r.Epoch != old.Region.Epoch,
		Leader:  old == nil || info.Leader != old.Leader,
		Removed: removed,
	}
	rs.put(info, old)
	return believed, nil
}

// checkAgainst refuses a report that is older than what is known of the same region, or contradicts it (C2, C3).
func checkAgainst(info, old RegionInfo) error {
	r, o := info.Region, old.Region
	switch {
	case r.Epoch.OlderThan(o.Epoch):
		return fmt.Errorf("report on region %d: %w, its epoch is %v and %v is known", r.ID, ErrStale, r.Epoch, o.Epoch)
	case r.Epoch == o.Epoch && info.Term < old.Term:
		return fmt.Errorf("report on region %d: %w, its term is %d and %d is known", r.ID, ErrStale, info.Term,
			old.Term)
	case r.Epoch.Version == o.Epoch.Version && !r.Range.Equal(o.Range):
		return fmt.Errorf("%w: report on region %d has range %v, but of version %d the range %v is known",
			ErrInvalid, r.ID, r.Range, r.Epoch.Version, o.Range)
	case r.Epoch.ConfVer == o.Epoch.ConfVer && !samePeers(r.Peers, o.Peers):
		return fmt.Errorf("%w: report on region %d has peers %v, but of conf version %d the peers %v are known",
			ErrInvalid, r.ID, r.Peers, r.Epoch.ConfVer, o.Peers)
	}
	return nil
}

func samePeers(a, b []region.Peer) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(p region.Peer) bool { return !slices.Contains(b, p) })
}

// displaced returns the ids of the other regions that r would take the place of, or an error if one of them is not
// from the past.
func (rs *regions) displaced(r region.Region) (ids []uint64, err error) {
	from, to := rs.overlapping(r.Range)
	for _, other := range rs.ordered[from:to] {
		o := other.Region
		switch {
		case o.ID == r.ID:
		case o.Epoch.Version >= r.Epoch.Version:
			return nil, fmt.Errorf("report on region %d %v with epoch %v: %w, region %d %v with epoch %v is there",
				r.ID, r.Range, r.Epoch, ErrStale, o.ID, o.Range, o.Epoch)
		default:
			ids = append(ids, o.ID)
		}
	}
	return ids, nil
}

// put stores info in the place of its older self, if there is one, and of all that it overlaps.
func (rs *regions) put(info RegionInfo, old *RegionInfo) {
	if old != nil && old.Region.Range.Equal(info.Region.Range) {
		*old = info // everyday life: nothing moves
		return
	}
	if old != nil {
		from, to := rs.overlapping(old.Region.Range)
		rs.ordered = slices.Delete(rs.ordered, from, to)
	}
	from, to := rs.overlapping(info.Region.Range)
	for _, o := range rs.ordered[from:to] {
		delete(rs.byID, o.Region.ID)
	}
	rs.ordered = slices.Replace(rs.ordered, from, to, &info)
	rs.byID[info.Region.ID] = &info
}

// overlapping returns the slice bounds in ordered of the regions that share keys with r.
func (rs *regions) overlapping(r region.Range) (from, to int) {
	from = rs.firstEndingAfter(r.Start)
	to = from
	for to < len(rs.ordered) && rs.ordered[to].Region.Range.Overlaps(r) {
		to++
	}
	return from, to
}

func (rs *regions) byKey(key []byte) (RegionInfo, bool) {
	if i, ok := rs.position(key); ok {
		return *rs.ordered[i], true
	}
	return RegionInfo{}, false
}

func (rs *regions) previous(key []byte) (RegionInfo, bool) {
	i, ok := rs.position(key)
	if !ok || i == 0 {
		return RegionInfo{}, false
	}
	before, here := rs.ordered[i-1], rs.ordered[i]
	if !bytes.Equal(before.Region.Range.End, here.Region.Range.Start) {
		return RegionInfo{}, false // a gap
	}
	return *before, true
}

// position is the index in ordered of the region that holds key.
func (rs *regions) position(key []byte) (int, bool) {
	i := rs.firstEndingAfter(key)
	return i, i < len(rs.ordered) && rs.ordered[i].Region.Range.Contains(key)
}

func (rs *regions) firstEndingAfter(key []byte) int {
	return sort.Search(len(rs.ordered), func(i int) bool {
		end := rs.ordered[i].Region.Range.End
		return len(end) == 0 || bytes.Compare(end, key) > 0
	})
}

func (rs *regions) scan(keys region.Range, limit int) []RegionInfo {
	if keys.IsEmpty() {
		return nil
	}
	var found []RegionInfo
	for i := rs.firstEndingAfter(keys.Start); i < len(rs.ordered) && len(found) < limit &&
		rs.ordered[i].Region.Range.Overlaps(keys); i++ {
		found = append(found, *rs.ordered[i])
	}
	return found
}

func found(info *RegionInfo) (RegionInfo, bool) {
	if info == nil {
		return RegionInfo{}, false
	}
	return *info, true
}

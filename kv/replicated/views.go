// Views: what the loop has published of each region, for readers and reporters that do not ask it.

package replicated

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"tinykv/kv/region"
	"tinykv/kv/replica"
)

// views holds the newest view of each region.
type views struct {
	regions sync.Map // region id -> *atomic.Pointer[replica.View]
	changed atomic.Pointer[chan struct{}]
}

func newViews() *views {
	v := &views{}
	c := make(chan struct{})
	v.changed.Store(&c)
	return v
}

// of returns the newest view of a region, or nil if this store has no peer of it. Views are immutable.
func (v *views) of(regionID uint64) *replica.View {
	cell, ok := v.regions.Load(regionID)
	if !ok {
		return nil
	}
	return cell.(*atomic.Pointer[replica.View]).Load()
}

// publish puts views in the place of those of the same regions. Only the loop calls it.
func (v *views) publish(news []replica.View) {
	noteworthy := false
	for i := range news {
		view := &news[i]
		id := view.Region.ID
		if view.Gone {
			v.regions.Delete(id)
			noteworthy = true
			continue
		}
		cell, ok := v.regions.Load(id)
		if !ok {
			cell, _ = v.regions.LoadOrStore(id, &atomic.Pointer[replica.View]{})
		}
		old := cell.(*atomic.Pointer[replica.View]).Swap(view)
		noteworthy = noteworthy || old == nil || old.Leader != view.Leader || old.Region.Epoch != view.Region.Epoch
	}
	if noteworthy {
		next := make(chan struct{})
		close(*v.changed.Swap(&next))
	}
}

// all returns the newest views in the order of the region ids.
func (v *views) all() []replica.View {
	var all []replica.View
	v.regions.Range(func(_, cell any) bool {
		if view := cell.(*atomic.Pointer[replica.View]).Load(); view != nil {
			all = append(all, *view)
		}
		return true
	})
	slices.SortFunc(all, func(a, b replica.View) int { return cmp.Compare(a.Region.ID, b.Region.ID) })
	return all
}

// retire says of every region that nobody is known to lead it: the store has ended, and what it knew is of the past.
func (v *views) retire() {
	all := v.all()
	for i := range all {
		all[i].Leader, all[i].LeaseUntil = region.Peer{}, 0
	}
	v.publish(all)
}

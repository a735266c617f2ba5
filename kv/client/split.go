// Many keys at once: split by region and by size, sent side by side, and what failed is split anew.

package client

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
)

const (
	// One request carries at most so many keys and bytes, so that it is no burden to those behind it in the stream.
	maxGroupKeys  = 512
	maxGroupBytes = 1 << 20
	// maxGroupsAtOnce bounds the requests of one call that are on their way.
	maxGroupsAtOnce = 8
)

// job is one call on many items.
type job[T any] struct {
	what   string
	effect effect
	key    func(T) []byte
	size   func(T) int
	build  func(items []T) builder
	// done takes an answer in, one at a time. Its error is final.
	done func(items []T, res response) error
}

// group is what goes into one request.
type group[T any] struct {
	at    located
	items []T
	bytes int
}

// run carries out the job in rounds: split, send side by side, and split again what could not be answered, for it may
// belong to other regions by now. The keys of the items must be different: the parts are in no order.
func run[T any](ctx context.Context, c *Client, j job[T], items []T) error {
	b := c.newBackoff()
	var last error
	most := maxGroupKeys
	for len(items) > 0 {
		groups, left, err := split(ctx, c, j, items, most)
		if err != nil {
			return gaveUpOr(ctx, j.what, err, err)
		}
		round := sendGroups(ctx, c, j, groups)
		if round.lost != nil && j.effect == writes {
			return fmt.Errorf("%s: %w: %w", j.what, ErrUndetermined, round.lost)
		}
		if len(left) > 0 {
			round.keep(outcome{err: errNoRegion, retry: true, why: noLeader})
		}
		items = append(left, round.failed...)
		if round.final != nil {
			return gaveUpOr(ctx, j.what, last, round.final)
		}
		if len(items) == 0 {
			return nil
		}
		if round.tooLarge > 0 {
			most = round.tooLarge / 2
		}
		if round.worst.err == nil {
			continue // nothing failed but what asked for too much
		}
		last = round.worst.err
		if err := b.after(ctx, round.worst); err != nil {
			return gaveUp(ctx, j.what, last)
		}
	}
	return nil
}

func gaveUpOr(ctx context.Context, what string, last, err error) error {
	if ctx.Err() != nil {
		return gaveUp(ctx, what, last)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// split sorts items into groups of one region and at most most items each. Items whose region nobody knows are left.
func split[T any](
	ctx context.Context, c *Client, j job[T], items []T, most int,
) (groups []*group[T], left []T, err error) {
	open := map[uint64]*group[T]{} // region -> the group that still has room
	for _, item := range items {
		at, known, err := c.locate(ctx, j.key(item))
		if err != nil {
			return nil, nil, err
		}
		if !known {
			left = append(left, item)
			continue
		}
		g, size := open[at.region.ID], j.size(item)
		if g == nil || g.at.region.Epoch != at.region.Epoch || len(g.items) == most ||
			g.bytes+size > maxGroupBytes {
			g = &group[T]{at: at}
			open[at.region.ID] = g
			groups = append(groups, g)
		}
		g.items = append(g.items, item)
		g.bytes += size
	}
	return groups, left, nil
}

// round is what came of one round of requests.
type round[T any] struct {
	mu     sync.Mutex // guards all below
	failed []T        // to be sent again
	worst  outcome    // of those: the one that asks for the longest pause
	final  error      // the first error that no retry cures
	lost   error      // the first error of a request that was sent and not answered
	// tooLarge is the size in items of the largest group whose answer would have been too large; they are in failed.
	tooLarge int
}

func (r *round[T]) keep(o outcome) {
	if r.worst.err == nil || o.why >= r.worst.why {
		r.worst = o
	}
}

func sendGroups[T any](ctx context.Context, c *Client, j job[T], groups []*group[T]) *round[T] {
	var r round[T]
	var g errgroup.Group
	g.SetLimit(maxGroupsAtOnce)
	for _, part := range groups {
		g.Go(func() error {
			o := c.attempt(ctx, part.at, j.build(part.items))
			r.mu.Lock()
			defer r.mu.Unlock()
			if o.lost && r.lost == nil {
				r.lost = o.err
			}
			switch {
			case o.err == nil:
				o.err = j.done(part.items, o.res)
			case o.retry:
				r.failed = append(r.failed, part.items...)
				r.keep(o)
				return nil
			case errors.Is(o.err, ErrTooLarge) && len(part.items) > 1:
				r.failed = append(r.failed, part.items...)
				r.tooLarge = max(r.tooLarge, len(part.items))
				return nil
			}
			if r.final == nil {
				r.final = o.err
			}
			return nil
		})
	}
	_ = g.Wait()
	return &r
}

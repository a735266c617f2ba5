// The raw API, by ranges of keys, which may span regions.

package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"tinykv/kv/region"
	"tinykv/proto/kvrpcpb"
)

// pageSize is how many pairs one request of a scan returns at most.
const pageSize = 1024

// ScanOptions say what a scan reads. Start is where it starts and End where it ends, in the direction of the scan:
//
//	forward:  Start <= key < End   upwards     an empty Start is the first key, an empty End is beyond the last
//	reverse:  End <= key < Start   downwards   an empty Start is beyond the last key, an empty End is the first
type ScanOptions struct {
	Start, End []byte
	KeyOnly    bool // leave the values out
	Reverse    bool
}

// Scan returns at most limit pairs. A limit of 0 returns none; a negative one is refused.
func (r Raw) Scan(ctx context.Context, opts ScanOptions, limit int) ([]Pair, error) {
	if limit < 0 {
		return nil, fmt.Errorf("scan: %w: a limit of %d", ErrRefused, limit)
	}
	ctx, cancel := r.c.bound(ctx)
	defer cancel()
	var pairs []Pair
	for len(pairs) < limit {
		page, next, more, err := r.page(ctx, opts, min(limit-len(pairs), pageSize))
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, page...)
		if !more {
			break
		}
		opts.Start = next
	}
	return pairs, nil
}

// All yields every pair, page by page, so that a range of any size can be read. After an error it ends. Each page is
// read at a moment of its own, and has DefaultTimeout if ctx has no deadline.
func (r Raw) All(ctx context.Context, opts ScanOptions) iter.Seq2[Pair, error] {
	return func(yield func(Pair, error) bool) {
		for more := true; more; {
			bound, cancel := r.c.bound(ctx)
			page, next, goesOn, err := r.page(bound, opts, pageSize)
			cancel()
			if err != nil {
				yield(Pair{}, err)
				return
			}
			for _, p := range page {
				if !yield(p, nil) {
					return
				}
			}
			opts.Start, more = next, goesOn
		}
	}
}

// page reads up to limit pairs of one region, fewer if they are large, and returns where the scan goes on, if it does.
func (r Raw) page(
	ctx context.Context, opts ScanOptions, limit int,
) (pairs []Pair, next []byte, more bool, err error) {
	for ; ; limit /= 2 {
		pairs, next, more, err = r.pageOf(ctx, opts, limit)
		if limit <= 1 || !errors.Is(err, ErrTooLarge) {
			return pairs, next, more, err
		}
	}
}

// pageOf is page for pairs that are not too large.
func (r Raw) pageOf(
	ctx context.Context, opts ScanOptions, limit int,
) (pairs []Pair, next []byte, more bool, err error) {
	what := fmt.Sprintf("scan %v", region.Range{Start: opts.Start, End: opts.End})
	find := r.c.atKey(opts.Start)
	if opts.Reverse {
		what = fmt.Sprintf("scan backwards %v", region.Range{Start: opts.End, End: opts.Start})
		find = r.c.beforeKey(opts.Start)
	}
	res, at, err := r.c.ask(ctx, what, reads, find, func(at located, kv *kvrpcpb.Context) request {
		return rawScan(&kvrpcpb.RawScanRequest{
			Context: kv, StartKey: opts.Start, EndKey: opts.clip(at.region.Range), Limit: uint32(limit),
			KeyOnly: opts.KeyOnly, Reverse: opts.Reverse, Cf: r.cf,
		})
	})
	if err != nil {
		return nil, nil, false, err
	}
	for _, p := range res.(*kvrpcpb.RawScanResponse).GetKvs() {
		if err := keyError(p.GetError()); err != nil {
			return nil, nil, false, fmt.Errorf("%s: %w", what, err)
		}
		pair := Pair{Key: p.GetKey()}
		if !opts.KeyOnly {
			pair.Value = nonNil(p.GetValue())
		}
		pairs = append(pairs, pair)
	}
	if len(pairs) >= limit { // the region may have more
		return pairs, opts.behind(pairs[len(pairs)-1].Key), true, nil
	}
	next, more = opts.beyond(at.region.Range)
	return pairs, next, more, nil
}

// clip is where the scan ends within a region.
func (o ScanOptions) clip(r region.Range) []byte {
	if o.Reverse {
		if bytes.Compare(o.End, r.Start) > 0 {
			return o.End
		}
		return r.Start
	}
	if len(o.End) == 0 || len(r.End) > 0 && bytes.Compare(r.End, o.End) < 0 {
		return r.End
	}
	return o.End
}

// behind is where the scan goes on after key.
func (o ScanOptions) behind(key []byte) []byte {
	if o.Reverse {
		return key
	}
	return append(bytes.Clone(key), 0)
}

// beyond is where the scan goes on after a region, if it does.
func (o ScanOptions) beyond(r region.Range) (next []byte, more bool) {
	if o.Reverse {
		return r.Start, len(r.Start) > 0 && bytes.Compare(r.Start, o.End) > 0
	}
	return r.End, len(r.End) > 0 && (len(o.End) == 0 || bytes.Compare(r.End, o.End) < 0)
}

// DeleteRange removes all keys of a range, region by region.
func (r Raw) DeleteRange(ctx context.Context, keys region.Range) error {
	ctx, cancel := r.c.bound(ctx)
	defer cancel()
	what := fmt.Sprintf("delete the range %v", keys)
	return r.eachRegion(ctx, what, writes, keys, func(part region.Range, kv *kvrpcpb.Context) request {
		return rawDeleteRange(&kvrpcpb.RawDeleteRangeRequest{Context: kv, StartKey: part.Start, EndKey: part.End,
			Cf: r.cf})
	}, func(res response) error {
		return refused(what, res.(*kvrpcpb.RawDeleteRangeResponse).GetError())
	})
}

// Checksum of a range: equal for equal pairs, whatever their order and regions.
type Checksum struct {
	XOR   uint64 // of the CRC-64 (ECMA) of each key followed by its value
	Pairs uint64
	Bytes uint64 // the lengths of all keys and values together
}

// Checksum adds up the pairs of a range, region by region. It is of the column family "default", whatever CF says:
// the protocol has no other.
func (r Raw) Checksum(ctx context.Context, keys region.Range) (Checksum, error) {
	ctx, cancel := r.c.bound(ctx)
	defer cancel()
	what := fmt.Sprintf("checksum the range %v", keys)
	var sum Checksum
	err := r.eachRegion(ctx, what, reads, keys, func(part region.Range, kv *kvrpcpb.Context) request {
		return rawChecksum(&kvrpcpb.RawChecksumRequest{
			Context: kv, Ranges: []*kvrpcpb.KeyRange{{StartKey: part.Start, EndKey: part.End}},
		})
	}, func(res response) error {
		got := res.(*kvrpcpb.RawChecksumResponse)
		sum.XOR ^= got.GetChecksum()
		sum.Pairs += got.GetTotalKvs()
		sum.Bytes += got.GetTotalBytes()
		return refused(what, got.GetError())
	})
	if err != nil {
		return Checksum{}, err
	}
	return sum, nil
}

// eachRegion sends a request to each region of a range, one after the other, clipped to the region.
func (r Raw) eachRegion(
	ctx context.Context, what string, e effect, keys region.Range,
	build func(part region.Range, kv *kvrpcpb.Context) request, done func(response) error,
) error {
	for left := keys; ; {
		res, at, err := r.c.ask(ctx, what, e, r.c.atKey(left.Start), func(at located, kv *kvrpcpb.Context) request {
			return build(region.Range{Start: left.Start, End: ScanOptions{End: left.End}.clip(at.region.Range)}, kv)
		})
		if err != nil {
			return err
		}
		if err := done(res); err != nil {
			return err
		}
		next, more := ScanOptions{End: left.End}.beyond(at.region.Range)
		if !more {
			return nil
		}
		left.Start = next
	}
}

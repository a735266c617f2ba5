// The raw calls that only read.

package server

import (
	"context"

	"tinykv/kv/engine"
	"tinykv/kv/raw"
	"tinykv/kv/region"
	"tinykv/proto/kvrpcpb"
)

// RawGet answers with the value of a key, or with not_found if it has none; an empty value is found. It decides nothing
// itself: s.read gives it a snapshot, raw.Get the result, s.now the time. Errors go to region_error or error (see
// answerable), and then there is neither a value nor not_found.
func (s *Server) RawGet(ctx context.Context, req *kvrpcpb.RawGetRequest) (*kvrpcpb.RawGetResponse, error) {
	resp := &kvrpcpb.RawGetResponse{}
	err := s.read(ctx, req.GetContext(), req.GetCf(), func(snap engine.Snapshot, cf engine.CF) error {
		value, found, err := raw.Get(snap, cf, req.GetKey(), s.now())
		resp.Value, resp.NotFound = value, err == nil && !found
		return err
	})
	resp.RegionError, resp.Error, err = s.answerable(err)
	return resp, err
}

// RawBatchGet answers with the pairs of those keys that have one, in the order of the request, all of one snapshot.
// The response has no field for errors: see pairsFailure.
func (s *Server) RawBatchGet(
	ctx context.Context, req *kvrpcpb.RawBatchGetRequest,
) (*kvrpcpb.RawBatchGetResponse, error) {
	resp := &kvrpcpb.RawBatchGetResponse{}
	err := s.read(ctx, req.GetContext(), req.GetCf(), func(snap engine.Snapshot, cf engine.CF) error {
		pairs, err := raw.BatchGet(snap, cf, req.GetKeys(), s.now())
		resp.Pairs = toWire(pairs)
		return err
	})
	if err != nil {
		resp.RegionError, resp.Pairs, err = s.pairsFailure(err)
	}
	return resp, err
}

// RawScan answers with the pairs of a range, at most limit of them, upwards from start_key (inclusive) to end_key, or
// with reverse downwards from start_key (exclusive) to end_key (inclusive). An empty key is no bound. limit 0 answers
// with nothing; one above raw.MaxScanLimit, and so a negative one, is refused. The response has no field for errors:
// see pairsFailure.
func (s *Server) RawScan(ctx context.Context, req *kvrpcpb.RawScanRequest) (*kvrpcpb.RawScanResponse, error) {
	resp := &kvrpcpb.RawScanResponse{}
	err := s.read(ctx, req.GetContext(), req.GetCf(), func(snap engine.Snapshot, cf engine.CF) error {
		pairs, err := raw.Scan(snap, cf, raw.ScanOptions{
			Start: req.GetStartKey(), End: req.GetEndKey(), Limit: req.GetLimit(),
			KeyOnly: req.GetKeyOnly(), Reverse: req.GetReverse(),
		}, s.now())
		resp.Kvs = toWire(pairs)
		return err
	})
	if err != nil {
		resp.RegionError, resp.Kvs, err = s.pairsFailure(err)
	}
	return resp, err
}

// RawBatchScan answers with the pairs of several ranges, one range after the other, at most each_limit of each.
// Bounds and errors are as for RawScan; all ranges are read from one snapshot.
func (s *Server) RawBatchScan(
	ctx context.Context, req *kvrpcpb.RawBatchScanRequest,
) (*kvrpcpb.RawBatchScanResponse, error) {
	resp := &kvrpcpb.RawBatchScanResponse{}
	err := s.read(ctx, req.GetContext(), req.GetCf(), func(snap engine.Snapshot, cf engine.CF) error {
		var ranges []raw.ScanOptions
		for _, r := range req.GetRanges() {
			ranges = append(ranges, raw.ScanOptions{
				Start: r.GetStartKey(), End: r.GetEndKey(), Limit: req.GetEachLimit(),
				KeyOnly: req.GetKeyOnly(), Reverse: req.GetReverse(),
			})
		}
		pairs, err := raw.BatchScan(snap, cf, ranges, s.now())
		resp.Kvs = toWire(pairs)
		return err
	})
	if err != nil {
		resp.RegionError, resp.Kvs, err = s.pairsFailure(err)
	}
	return resp, err
}

// RawGetKeyTTL answers with the seconds that a pair has left, 0 if it never expires, or with not_found. Errors go to
// region_error or error.
func (s *Server) RawGetKeyTTL(
	ctx context.Context, req *kvrpcpb.RawGetKeyTTLRequest,
) (*kvrpcpb.RawGetKeyTTLResponse, error) {
	resp := &kvrpcpb.RawGetKeyTTLResponse{}
	err := s.read(ctx, req.GetContext(), req.GetCf(), func(snap engine.Snapshot, cf engine.CF) error {
		ttl, found, err := raw.TTL(snap, cf, req.GetKey(), s.now())
		resp.Ttl, resp.NotFound = ttl, err == nil && !found
		return err
	})
	resp.RegionError, resp.Error, err = s.answerable(err)
	return resp, err
}

// RawChecksum answers with the checksum of ranges of the default column family (the request can't name another), the
// number of pairs and their bytes, all of one snapshot. Errors go to region_error or error.
func (s *Server) RawChecksum(
	ctx context.Context, req *kvrpcpb.RawChecksumRequest,
) (*kvrpcpb.RawChecksumResponse, error) {
	resp := &kvrpcpb.RawChecksumResponse{}
	ctx = withCharge(ctx, nil) // it reads much and keeps nothing
	err := s.read(ctx, req.GetContext(), engine.Default.String(), func(snap engine.Snapshot, cf engine.CF) error {
		var ranges []region.Range
		for _, r := range req.GetRanges() {
			ranges = append(ranges, region.Range{Start: r.GetStartKey(), End: r.GetEndKey()})
		}
		sum, err := raw.ChecksumOf(snap, cf, ranges, s.now())
		resp.Checksum, resp.TotalKvs, resp.TotalBytes = sum.XOR, sum.Pairs, sum.Bytes
		return err
	})
	resp.RegionError, resp.Error, err = s.answerable(err)
	return resp, err
}

// toWire turns pairs into messages. They share the bytes.
func toWire(pairs []raw.Pair) []*kvrpcpb.KvPair {
	messages := make([]*kvrpcpb.KvPair, len(pairs))
	for i, pair := range pairs {
		messages[i] = &kvrpcpb.KvPair{Key: pair.Key, Value: pair.Value}
	}
	return messages
}

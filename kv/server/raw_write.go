// The raw calls that write.
//
// Their for_cas field is not read: here every write keeps out of the way of a compare-and-swap, asked or not, because
// that costs next to nothing.

package server

import (
	"context"

	"tinykv/kv/engine"
	"tinykv/kv/raw"
	"tinykv/proto/kvrpcpb"
)

// RawPut sets a key to a value, which may be empty, for ttl seconds or for ever if ttl is 0. Errors go to
// region_error or error.
func (s *Server) RawPut(ctx context.Context, req *kvrpcpb.RawPutRequest) (*kvrpcpb.RawPutResponse, error) {
	resp := &kvrpcpb.RawPutResponse{}
	err := s.write(ctx, req.GetContext(), req.GetCf(), func(cf engine.CF) (*engine.Batch, error) {
		return raw.Put(cf, req.GetKey(), req.GetValue(), req.GetTtl(), s.now())
	})
	resp.RegionError, resp.Error, err = s.answerable(err)
	return resp, err
}

// RawBatchPut sets all pairs as one. Their times to live are in ttls: none, one for all, or one for each; an older
// client that knows only ttl has it count for all. Errors go to region_error or error.
func (s *Server) RawBatchPut(
	ctx context.Context, req *kvrpcpb.RawBatchPutRequest,
) (*kvrpcpb.RawBatchPutResponse, error) {
	resp := &kvrpcpb.RawBatchPutResponse{}
	err := s.write(ctx, req.GetContext(), req.GetCf(), func(cf engine.CF) (*engine.Batch, error) {
		return raw.BatchPut(cf, fromWire(req.GetPairs()), batchTTLs(req), s.now())
	})
	resp.RegionError, resp.Error, err = s.answerable(err)
	return resp, err
}

// RawDelete removes a key; one without a pair is fine. Errors go to region_error or error.
func (s *Server) RawDelete(ctx context.Context, req *kvrpcpb.RawDeleteRequest) (*kvrpcpb.RawDeleteResponse, error) {
	resp := &kvrpcpb.RawDeleteResponse{}
	err := s.write(ctx, req.GetContext(), req.GetCf(), func(cf engine.CF) (*engine.Batch, error) {
		return raw.Delete(cf, req.GetKey())
	})
	resp.RegionError, resp.Error, err = s.answerable(err)
	return resp, err
}

// RawBatchDelete removes all keys as one. Errors go to region_error or error.
func (s *Server) RawBatchDelete(
	ctx context.Context, req *kvrpcpb.RawBatchDeleteRequest,
) (*kvrpcpb.RawBatchDeleteResponse, error) {
	resp := &kvrpcpb.RawBatchDeleteResponse{}
	err := s.write(ctx, req.GetContext(), req.GetCf(), func(cf engine.CF) (*engine.Batch, error) {
		return raw.BatchDelete(cf, req.GetKeys())
	})
	resp.RegionError, resp.Error, err = s.answerable(err)
	return resp, err
}

// RawDeleteRange removes every key k with start_key <= k < end_key as one. An empty key is no bound. Errors go to
// region_error or error.
func (s *Server) RawDeleteRange(
	ctx context.Context, req *kvrpcpb.RawDeleteRangeRequest,
) (*kvrpcpb.RawDeleteRangeResponse, error) {
	resp := &kvrpcpb.RawDeleteRangeResponse{}
	err := s.write(ctx, req.GetContext(), req.GetCf(), func(cf engine.CF) (*engine.Batch, error) {
		return raw.DeleteRange(cf, req.GetStartKey(), req.GetEndKey())
	})
	resp.RegionError, resp.Error, err = s.answerable(err)
	return resp, err
}

// RawCompareAndSwap sets a key to a value if its present value is previous_value, or if it has none when
// previous_not_exist is set, as one step. The answer tells whether it did (succeed) and what was there before, in
// both cases. Errors go to region_error or error.
func (s *Server) RawCompareAndSwap(
	ctx context.Context, req *kvrpcpb.RawCASRequest,
) (*kvrpcpb.RawCASResponse, error) {
	resp := &kvrpcpb.RawCASResponse{}
	keys := [][]byte{req.GetKey()}
	err := s.change(ctx, req.GetContext(), req.GetCf(), keys,
		func(snap engine.Snapshot, cf engine.CF) (*engine.Batch, error) {
			swapped, batch, err := raw.CompareAndSwap(snap, cf, raw.Swap{
				Key: req.GetKey(), ExpectAbsent: req.GetPreviousNotExist(), Expected: req.GetPreviousValue(),
				Value: req.GetValue(), TTL: req.GetTtl(),
			}, s.now())
			if err != nil {
				return nil, err
			}
			resp.Succeed = swapped.Succeed
			resp.PreviousNotExist, resp.PreviousValue = !swapped.Existed, swapped.Previous
			return batch, nil
		})
	if err != nil {
		*resp = kvrpcpb.RawCASResponse{} // what was decided did not happen
	}
	resp.RegionError, resp.Error, err = s.answerable(err)
	return resp, err
}

// batchTTLs returns the times to live of a batch in the newer form.
func batchTTLs(req *kvrpcpb.RawBatchPutRequest) []uint64 {
	if len(req.GetTtls()) == 0 && req.GetTtl() != raw.NoTTL {
		return []uint64{req.GetTtl()}
	}
	return req.GetTtls()
}

// fromWire turns messages into pairs. They share the bytes.
func fromWire(messages []*kvrpcpb.KvPair) []raw.Pair {
	pairs := make([]raw.Pair, len(messages))
	for i, m := range messages {
		pairs[i] = raw.Pair{Key: m.GetKey(), Value: m.GetValue()}
	}
	return pairs
}

// The safe point of garbage collection: no transaction will ever read as of an earlier timestamp, so older versions
// may go.

package server

import (
	"context"
	"sync"

	"tinykv/proto/pdpb"
)

// safePoint only moves forward, and is durable before anybody hears of it: a store that collected garbage cannot take
// it back.
type safePoint struct {
	storage Storage
	mu      sync.Mutex // held while writing: the calls come every few minutes
	at      uint64
}

func newSafePoint(storage Storage, at uint64) *safePoint { return &safePoint{storage: storage, at: at} }

func (p *safePoint) get() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

// raise moves the safe point to at if that is ahead, and returns where it is now.
func (p *safePoint) raise(ctx context.Context, at uint64) (uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at <= p.at {
		return p.at, nil
	}
	if err := save(context.WithoutCancel(ctx), p.storage, recordSafePoint, boundRecord{at}); err != nil {
		return 0, err
	}
	p.at = at
	return at, nil
}

// GetGCSafePoint returns the safe point, 0 if there was none yet.
func (s *Server) GetGCSafePoint(
	_ context.Context, req *pdpb.GetGCSafePointRequest,
) (*pdpb.GetGCSafePointResponse, error) {
	if err := s.checkCluster(req.GetHeader()); err != nil {
		return nil, err
	}
	return &pdpb.GetGCSafePointResponse{Header: s.header(), SafePoint: s.safePoint.get()}, nil
}

// UpdateGCSafePoint raises the safe point. One that is not ahead changes nothing: the answer says where it is.
func (s *Server) UpdateGCSafePoint(
	ctx context.Context, req *pdpb.UpdateGCSafePointRequest,
) (*pdpb.UpdateGCSafePointResponse, error) {
	if err := s.checkCluster(req.GetHeader()); err != nil {
		return nil, err
	}
	at, err := s.safePoint.raise(ctx, req.GetSafePoint())
	if err != nil {
		return nil, toStatus(err)
	}
	return &pdpb.UpdateGCSafePointResponse{Header: s.header(), NewSafePoint: at}, nil
}

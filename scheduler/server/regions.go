// Calls about regions: what their leaders report, and where a key is.

package server

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"

	"tinykv/kv/region"
	"tinykv/kv/region/regionpb"
	"tinykv/proto/metapb"
	"tinykv/proto/pdpb"
	"tinykv/scheduler/cluster"
)

const (
	// defaultScanLimit is for a ScanRegions without a limit, maxScanLimit for one with an absurd one: about 10 MB of
	// answer.
	defaultScanLimit = 128
	maxScanLimit     = 65536
	// regionSaveInterval is how long reports are gathered before the regions are written: a burst of splits costs one
	// write.
	regionSaveInterval = time.Second
)

// RegionHeartbeat hears the reports of a store's regions. An answer is sent only when there is something to do or to
// say; the scheduler has no orders yet, so it speaks only about reports that can't be true.
func (s *Server) RegionHeartbeat(
	stream grpc.BidiStreamingServer[pdpb.RegionHeartbeatRequest, pdpb.RegionHeartbeatResponse],
) error {
	return eachMessage(s.closing, stream, func(req *pdpb.RegionHeartbeatRequest) error {
		if err := s.checkCluster(req.GetHeader()); err != nil {
			return err
		}
		err := s.hear(req)
		if err == nil || errors.Is(err, cluster.ErrStale) {
			return nil
		}
		s.log.Warn("a region's report was refused", "region", req.GetRegion().GetId(), "err", err)
		h, err := s.reply(err)
		if err != nil {
			return err
		}
		return stream.Send(&pdpb.RegionHeartbeatResponse{Header: h, RegionId: req.GetRegion().GetId()})
	})
}

func (s *Server) hear(req *pdpb.RegionHeartbeatRequest) error {
	info := cluster.RegionInfo{
		Region: regionpb.ToRegion(req.GetRegion()), Leader: regionpb.ToPeer(req.GetLeader()), Term: req.GetTerm(),
		ApproximateSize: req.GetApproximateSize(), ApproximateKeys: req.GetApproximateKeys(),
	}
	s.mu.Lock()
	believed, err := s.cluster.RegionHeartbeat(info)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if believed.Meta {
		select {
		case s.regionsDirty <- struct{}{}:
		default: // it will be saved already
		}
	}
	return nil
}

// flushRegions saves the regions a moment after they changed, until the server closes.
func (s *Server) flushRegions() {
	defer s.flusher.Done()
	for {
		select {
		case <-s.regionsDirty:
		case <-s.closing:
			return
		}
		if err := s.saveRegions(); err != nil {
			s.log.Error("the regions could not be saved, the stores will report them again after a restart", "err", err)
		}
		select {
		case <-time.After(regionSaveInterval):
		case <-s.closing:
			return
		}
	}
}

func (s *Server) saveRegions() error {
	s.metaMu.Lock() // a bootstrap writes the same record
	defer s.metaMu.Unlock()
	s.mu.RLock()
	regions, bootstrapped := s.cluster.Regions(), s.cluster.Bootstrapped()
	s.mu.RUnlock()
	if !bootstrapped {
		return nil
	}
	return save(context.Background(), s.storage, recordRegions, regions)
}

// GetRegion returns the region that holds a key. Without one the answer is empty: ask again later.
func (s *Server) GetRegion(_ context.Context, req *pdpb.GetRegionRequest) (*pdpb.GetRegionResponse, error) {
	return s.lookup(req.GetHeader(), func() (cluster.RegionInfo,
		bool) {
		return s.cluster.RegionByKey(req.GetRegionKey())
	})
}

// GetPrevRegion returns the region before the one that holds a key: the next step of a scan backwards.
func (s *Server) GetPrevRegion(_ context.Context, req *pdpb.GetRegionRequest) (*pdpb.GetRegionResponse, error) {
	return s.lookup(req.GetHeader(), func() (cluster.RegionInfo,
		bool) {
		return s.cluster.PreviousRegion(req.GetRegionKey())
	})
}

// GetRegionByID returns the region with an id. Without one the answer is empty.
func (s *Server) GetRegionByID(_ context.Context, req *pdpb.GetRegionByIDRequest) (*pdpb.GetRegionResponse, error) {
	return s.lookup(req.GetHeader(), func() (cluster.RegionInfo,
		bool) {
		return s.cluster.RegionByID(req.GetRegionId())
	})
}

func (s *Server) lookup(
	h *pdpb.RequestHeader, find func() (cluster.RegionInfo, bool),
) (*pdpb.GetRegionResponse, error) {
	if err := s.checkCluster(h); err != nil {
		return nil, err
	}
	s.mu.RLock()
	info, ok := find()
	bootstrapped := s.cluster.Bootstrapped()
	s.mu.RUnlock()
	if !bootstrapped {
		h, err := s.reply(cluster.ErrNotBootstrapped)
		return &pdpb.GetRegionResponse{Header: h}, err
	}
	res := &pdpb.GetRegionResponse{Header: s.header()}
	if ok {
		res.Region, res.Leader = regionpb.FromRegion(info.Region), regionpb.FromPeer(info.Leader)
	}
	return res, nil
}

// ScanRegions returns the regions from start to end in order.
func (s *Server) ScanRegions(_ context.Context, req *pdpb.ScanRegionsRequest) (*pdpb.ScanRegionsResponse, error) {
	keys := region.Range{Start: req.GetStartKey(), End: req.GetEndKey()}
	found, h, err := s.scan(req.GetHeader(), []region.Range{keys}, req.GetLimit())
	if err != nil {
		return nil, err
	}
	res := &pdpb.ScanRegionsResponse{Header: h, Regions: found}
	for _, r := range found { // older clients read these
		res.RegionMetas = append(res.RegionMetas, r.GetRegion())
		leader := r.GetLeader()
		if leader == nil {
			leader = &metapb.Peer{} // the two lists must be of one length
		}
		res.Leaders = append(res.Leaders, leader)
	}
	return res, nil
}

// BatchScanRegions returns the regions of several ranges, which must be in order, each region once.
func (s *Server) BatchScanRegions(
	_ context.Context, req *pdpb.BatchScanRegionsRequest,
) (*pdpb.BatchScanRegionsResponse, error) {
	var ranges []region.Range
	for _, r := range req.GetRanges() {
		ranges = append(ranges, region.Range{Start: r.GetStartKey(), End: r.GetEndKey()})
	}
	found, h, err := s.scan(req.GetHeader(), ranges, req.GetLimit())
	if err != nil {
		return nil, err
	}
	if h.GetError() == nil && req.GetContainAllKeyRange() && !coversAll(found, ranges) {
		h.Error = &pdpb.Error{
			Type:    pdpb.ErrorType_REGIONS_NOT_CONTAIN_ALL_KEY_RANGE,
			Message: "some keys of the ranges are in no region that was reported, or beyond the limit: ask again",
		}
		found = nil
	}
	return &pdpb.BatchScanRegionsResponse{Header: h, Regions: found}, nil
}

func (s *Server) scan(
	h *pdpb.RequestHeader, ranges []region.Range, limit int32,
) ([]*pdpb.Region, *pdpb.ResponseHeader, error) {
	if err := s.checkCluster(h); err != nil {
		return nil, nil, err
	}
	left := min(int(limit), maxScanLimit)
	if left <= 0 {
		left = defaultScanLimit
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	header := s.header()
	if !s.cluster.Bootstrapped() {
		header.Error = &pdpb.Error{Type: pdpb.ErrorType_NOT_BOOTSTRAPPED, Message: cluster.ErrNotBootstrapped.Error()}
		return nil, header, nil
	}
	var found []*pdpb.Region
	seen := map[uint64]bool{}
	for _, keys := range ranges {
		for _, info := range s.cluster.ScanRegions(keys, left) {
			if seen[info.Region.ID] {
				continue
			}
			seen[info.Region.ID] = true
			left--
			found = append(found, &pdpb.Region{
				Region: regionpb.FromRegion(info.Region), Leader: regionpb.FromPeer(info.Leader),
			})
		}
	}
	return found, header, nil
}

// coversAll tells whether every key of the ranges is in one of the regions, which are in order.
func coversAll(found []*pdpb.Region, ranges []region.Range) bool {
	for _, keys := range ranges {
		left := keys
		for _, f := range found {
			r := regionpb.ToRegion(f.GetRegion()).Range
			if left.IsEmpty() || !r.Contains(left.Start) {
				continue
			}
			if len(r.End) == 0 {
				left = region.Range{Start: []byte{0}, End: []byte{0}}
				break
			}
			left.Start = r.End
		}
		if !left.IsEmpty() {
			return false
		}
	}
	return true
}

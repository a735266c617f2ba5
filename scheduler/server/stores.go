// Calls about the cluster's birth, ids and stores.

package server

import (
	"context"

	"tinykv/kv/region/regionpb"
	"tinykv/proto/metapb"
	"tinykv/proto/pdpb"
	"tinykv/scheduler/cluster"
)

// AllocID hands out an id for a store, a region or a peer. No id comes twice in the life of the cluster.
func (s *Server) AllocID(ctx context.Context, req *pdpb.AllocIDRequest) (*pdpb.AllocIDResponse, error) {
	if err := s.checkCluster(req.GetHeader()); err != nil {
		return nil, err
	}
	id, err := s.allocID(ctx)
	h, err := s.reply(err)
	if err != nil {
		return nil, err
	}
	return &pdpb.AllocIDResponse{Header: h, Id: id}, nil
}

func (s *Server) allocID(ctx context.Context) (uint64, error) {
	s.idsMu.Lock()
	defer s.idsMu.Unlock()
	bound, mustSave, err := s.ids.Need(1)
	if err != nil {
		return 0, err
	}
	if mustSave {
		if err := save(ctx, s.storage, recordIDs, boundRecord{bound}); err != nil {
			return 0, err
		}
		s.ids.Saved(bound)
	}
	return s.ids.Take(1), nil
}

// skipIDs makes sure that no id up to last is handed out.
func (s *Server) skipIDs(ctx context.Context, last uint64) error {
	s.idsMu.Lock()
	defer s.idsMu.Unlock()
	bound, mustSave, err := s.ids.NeedSkip(last)
	if err != nil {
		return err
	}
	if mustSave {
		if err := save(ctx, s.storage, recordIDs, boundRecord{bound}); err != nil {
			return err
		}
		s.ids.Saved(bound)
	}
	s.ids.Skip(last)
	return nil
}

// IsBootstrapped tells whether the cluster has been born.
func (s *Server) IsBootstrapped(
	_ context.Context, req *pdpb.IsBootstrappedRequest,
) (*pdpb.IsBootstrappedResponse, error) {
	if err := s.checkCluster(req.GetHeader()); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return &pdpb.IsBootstrappedResponse{
		Header: s.header(), Bootstrapped: s.cluster.Bootstrapped(),
	}, nil
}

// Bootstrap lets the first store begin the cluster with a region that covers all keys. It may have peers on stores that
// are still to come. No id that it uses is handed out by AllocID.
func (s *Server) Bootstrap(ctx context.Context, req *pdpb.BootstrapRequest) (*pdpb.BootstrapResponse, error) {
	if err := s.checkCluster(req.GetHeader()); err != nil {
		return nil, err
	}
	store, first := toStore(req.GetStore()), regionpb.ToRegion(req.GetRegion())
	h, err := s.reply(s.change(ctx, func() (cluster.Change, error) { return s.cluster.Bootstrap(store, first) }))
	if err != nil {
		return nil, err
	}
	if h.GetError() == nil {
		s.log.Info("cluster bootstrapped", "store", store.ID, "address", store.Address, "region", first.ID)
	}
	return &pdpb.BootstrapResponse{Header: h}, nil
}

// PutStore lets a store join, or tell its new address.
func (s *Server) PutStore(ctx context.Context, req *pdpb.PutStoreRequest) (*pdpb.PutStoreResponse, error) {
	if err := s.checkCluster(req.GetHeader()); err != nil {
		return nil, err
	}
	store := toStore(req.GetStore())
	h, err := s.reply(s.change(ctx, func() (cluster.Change, error) { return s.cluster.PutStore(store) }))
	if err != nil {
		return nil, err
	}
	return &pdpb.PutStoreResponse{Header: h}, nil
}

// change decides, makes durable and commits, in this order, and nothing else changes the metadata meanwhile.
func (s *Server) change(ctx context.Context, decide func() (cluster.Change, error)) error {
	s.metaMu.Lock()
	defer s.metaMu.Unlock()
	s.mu.RLock()
	change, err := decide()
	s.mu.RUnlock()
	if err != nil {
		return err
	}
	// The caller's hurry must not leave it open whether the change was made.
	ctx = context.WithoutCancel(ctx)
	if err := s.skipIDs(ctx, change.LastID); err != nil {
		return err
	}
	if len(change.Regions) > 0 {
		if err := save(ctx, s.storage, recordRegions, change.Regions); err != nil {
			return err
		}
	}
	if err := save(ctx, s.storage, recordCluster, change.Meta); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cluster.Commit(change)
	return nil
}

// GetStore returns one store and what it last reported.
func (s *Server) GetStore(_ context.Context, req *pdpb.GetStoreRequest) (*pdpb.GetStoreResponse, error) {
	if err := s.checkCluster(req.GetHeader()); err != nil {
		return nil, err
	}
	s.mu.RLock()
	info, err := s.cluster.Store(req.GetStoreId())
	s.mu.RUnlock()
	h, err := s.reply(err)
	if err != nil {
		return nil, err
	}
	if h.GetError() != nil {
		return &pdpb.GetStoreResponse{Header: h}, nil
	}
	return &pdpb.GetStoreResponse{Header: h, Store: fromStore(info), Stats: fromStats(info.Stats)}, nil
}

// GetAllStores returns every store, if wanted without those that were removed for good.
func (s *Server) GetAllStores(_ context.Context, req *pdpb.GetAllStoresRequest) (*pdpb.GetAllStoresResponse, error) {
	if err := s.checkCluster(req.GetHeader()); err != nil {
		return nil, err
	}
	s.mu.RLock()
	stores, bootstrapped := s.cluster.Stores(), s.cluster.Bootstrapped()
	s.mu.RUnlock()
	if !bootstrapped {
		h, err := s.reply(cluster.ErrNotBootstrapped)
		return &pdpb.GetAllStoresResponse{Header: h}, err
	}
	res := &pdpb.GetAllStoresResponse{Header: s.header()}
	for _, info := range stores {
		if info.Store.State == cluster.Tombstone && req.GetExcludeTombstoneStores() {
			continue
		}
		res.Stores = append(res.Stores, fromStore(info))
	}
	return res, nil
}

// StoreHeartbeat hears how a store is.
func (s *Server) StoreHeartbeat(
	_ context.Context, req *pdpb.StoreHeartbeatRequest,
) (*pdpb.StoreHeartbeatResponse, error) {
	if err := s.checkCluster(req.GetHeader()); err != nil {
		return nil, err
	}
	now := s.opts.Now().UnixMilli()
	s.mu.Lock()
	err := s.cluster.StoreHeartbeat(toStats(req.GetStats()), now)
	s.mu.Unlock()
	h, err := s.reply(err)
	if err != nil {
		return nil, err
	}
	return &pdpb.StoreHeartbeatResponse{Header: h}, nil
}

func toStore(m *metapb.Store) cluster.Store {
	s := cluster.Store{
		ID: m.GetId(), Address: m.GetAddress(), StatusAddress: m.GetStatusAddress(), Version: m.GetVersion(),
		State: cluster.StoreState(m.GetState()),
	}
	for _, l := range m.GetLabels() {
		s.Labels = append(s.Labels, cluster.Label{Key: l.GetKey(), Value: l.GetValue()})
	}
	return s
}

func fromStore(info cluster.StoreInfo) *metapb.Store {
	s := info.Store
	m := &metapb.Store{
		Id: s.ID, Address: s.Address, PeerAddress: s.Address, StatusAddress: s.StatusAddress, Version: s.Version,
		State: metapb.StoreState(s.State), LastHeartbeat: info.LastMillis * 1e6, // nanoseconds
	}
	switch s.State {
	case cluster.Up:
		m.NodeState = metapb.NodeState_Serving
	case cluster.Offline:
		m.NodeState = metapb.NodeState_Removing
	case cluster.Tombstone:
		m.NodeState = metapb.NodeState_Removed
	}
	for _, l := range s.Labels {
		m.Labels = append(m.Labels, &metapb.StoreLabel{Key: l.Key, Value: l.Value})
	}
	return m
}

func toStats(m *pdpb.StoreStats) cluster.StoreStats {
	return cluster.StoreStats{
		StoreID: m.GetStoreId(), Capacity: m.GetCapacity(), Available: m.GetAvailable(), UsedSize: m.GetUsedSize(),
		RegionCount: m.GetRegionCount(), Busy: m.GetIsBusy(),
	}
}

func fromStats(s cluster.StoreStats) *pdpb.StoreStats {
	return &pdpb.StoreStats{
		StoreId: s.StoreID, Capacity: s.Capacity, Available: s.Available, UsedSize: s.UsedSize,
		RegionCount: s.RegionCount, IsBusy: s.Busy,
	}
}

// The calls with one answer: members, ids, stores, regions.

package client

import (
	"context"
	"fmt"

	"tinykv/kv/region"
	"tinykv/kv/region/regionpb"
	"tinykv/proto/metapb"
	"tinykv/proto/pdpb"
	"tinykv/scheduler/cluster"
)

// Members asks who schedules, and for which cluster.
func (c *Client) Members(ctx context.Context) (Members, error) {
	var res *pdpb.GetMembersResponse
	err := c.call(ctx, "list the schedulers", func(ctx context.Context, _ pdpb.PDClient,
		_ *pdpb.RequestHeader) (err error) {
		res, err = c.discover(ctx)
		return err
	})
	if err != nil {
		return Members{}, err
	}
	m := Members{ClusterID: res.GetHeader().GetClusterId(), Leader: toMember(res.GetLeader())}
	for _, member := range res.GetMembers() {
		m.Members = append(m.Members, toMember(member))
	}
	return m, nil
}

func toMember(m *pdpb.Member) Member {
	return Member{ID: m.GetMemberId(), Name: m.GetName(), URLs: m.GetClientUrls()}
}

// AllocID returns an id that nobody was given before.
func (c *Client) AllocID(ctx context.Context) (id uint64, err error) {
	err = c.call(ctx, "allocate an id", func(ctx context.Context, pd pdpb.PDClient, h *pdpb.RequestHeader) error {
		res, err := pd.AllocID(ctx, &pdpb.AllocIDRequest{Header: h})
		id = res.GetId()
		return either(err, res.GetHeader())
	})
	return id, err
}

// IsBootstrapped tells whether the cluster has been born.
func (c *Client) IsBootstrapped(ctx context.Context) (yes bool, err error) {
	err = c.call(ctx, "ask whether the cluster is bootstrapped",
		func(ctx context.Context, pd pdpb.PDClient, h *pdpb.RequestHeader) error {
			res, err := pd.IsBootstrapped(ctx, &pdpb.IsBootstrappedRequest{Header: h})
			yes = res.GetBootstrapped()
			return either(err, res.GetHeader())
		})
	return yes, err
}

// Bootstrap begins the cluster with a store and a region of all keys. It returns false if that was done before: by
// somebody else, or by an earlier attempt whose answer was lost. Then ask which region there is, and join with
// PutStore.
func (c *Client) Bootstrap(ctx context.Context, s Store, first region.Region) (created bool, err error) {
	err = c.call(ctx, "bootstrap the cluster", func(ctx context.Context, pd pdpb.PDClient,
		h *pdpb.RequestHeader) error {
		res, err := pd.Bootstrap(ctx, &pdpb.BootstrapRequest{Header: h, Store: fromStore(s),
			Region: regionpb.FromRegion(first)})
		if err == nil && res.GetHeader().GetError().GetType() == pdpb.ErrorType_ALREADY_BOOTSTRAPPED {
			return nil
		}
		created = err == nil
		return either(err, res.GetHeader())
	})
	return created && err == nil, err
}

// PutStore lets a store join, or tells its new address. Errors: ErrNotBootstrapped, ErrTombstone, ErrInvalid.
func (c *Client) PutStore(ctx context.Context, s Store) error {
	return c.call(ctx, fmt.Sprintf("register store %d", s.ID),
		func(ctx context.Context, pd pdpb.PDClient, h *pdpb.RequestHeader) error {
			res, err := pd.PutStore(ctx, &pdpb.PutStoreRequest{Header: h, Store: fromStore(s)})
			return either(err, res.GetHeader())
		})
}

// StoreHeartbeat reports how a store is. Errors: ErrNotBootstrapped, ErrUnknownStore, ErrTombstone.
func (c *Client) StoreHeartbeat(ctx context.Context, stats StoreStats) error {
	return c.call(ctx, fmt.Sprintf("report on store %d", stats.StoreID),
		func(ctx context.Context, pd pdpb.PDClient, h *pdpb.RequestHeader) error {
			res, err := pd.StoreHeartbeat(ctx, &pdpb.StoreHeartbeatRequest{Header: h, Stats: &pdpb.StoreStats{
				StoreId: stats.StoreID, Capacity: stats.Capacity, Available: stats.Available, UsedSize: stats.UsedSize,
				RegionCount: stats.RegionCount, IsBusy: stats.Busy,
			}})
			return either(err, res.GetHeader())
		})
}

// Store returns the store with an id. Errors: ErrNotBootstrapped, ErrUnknownStore.
func (c *Client) Store(ctx context.Context, id uint64) (info StoreInfo, err error) {
	err = c.call(ctx, fmt.Sprintf("look up store %d", id),
		func(ctx context.Context, pd pdpb.PDClient, h *pdpb.RequestHeader) error {
			res, err := pd.GetStore(ctx, &pdpb.GetStoreRequest{Header: h, StoreId: id})
			info = toStoreInfo(res.GetStore(), res.GetStats())
			return either(err, res.GetHeader())
		})
	return info, err
}

// Stores returns all stores but those removed for good, without their stats. Error: ErrNotBootstrapped.
func (c *Client) Stores(ctx context.Context) (stores []StoreInfo, err error) {
	err = c.call(ctx, "list the stores", func(ctx context.Context, pd pdpb.PDClient, h *pdpb.RequestHeader) error {
		res, err := pd.GetAllStores(ctx, &pdpb.GetAllStoresRequest{Header: h, ExcludeTombstoneStores: true})
		stores = nil
		for _, s := range res.GetStores() {
			stores = append(stores, toStoreInfo(s, nil))
		}
		return either(err, res.GetHeader())
	})
	return stores, err
}

// Region returns the region that holds key. False: none is known at present, as after a restart of the scheduler; ask
// again later. Error: ErrNotBootstrapped.
func (c *Client) Region(ctx context.Context, key []byte) (RegionInfo, bool, error) {
	return c.lookup(ctx, fmt.Sprintf("look up the region of key %s", quoteKey(key)),
		func(ctx context.Context, pd pdpb.PDClient, h *pdpb.RequestHeader) (*pdpb.GetRegionResponse, error) {
			return pd.GetRegion(ctx, &pdpb.GetRegionRequest{Header: h, RegionKey: key})
		})
}

// PrevRegion returns the region before the one that holds key. False also at the start of the key space.
func (c *Client) PrevRegion(ctx context.Context, key []byte) (RegionInfo, bool, error) {
	return c.lookup(ctx, fmt.Sprintf("look up the region before that of key %s", quoteKey(key)),
		func(ctx context.Context, pd pdpb.PDClient, h *pdpb.RequestHeader) (*pdpb.GetRegionResponse, error) {
			return pd.GetPrevRegion(ctx, &pdpb.GetRegionRequest{Header: h, RegionKey: key})
		})
}

// RegionByID returns the region with an id. False: none is known.
func (c *Client) RegionByID(ctx context.Context, id uint64) (RegionInfo, bool, error) {
	return c.lookup(ctx, fmt.Sprintf("look up region %d", id),
		func(ctx context.Context, pd pdpb.PDClient, h *pdpb.RequestHeader) (*pdpb.GetRegionResponse, error) {
			return pd.GetRegionByID(ctx, &pdpb.GetRegionByIDRequest{Header: h, RegionId: id})
		})
}

func (c *Client) lookup(
	ctx context.Context, what string,
	ask func(context.Context, pdpb.PDClient, *pdpb.RequestHeader) (*pdpb.GetRegionResponse, error),
) (info RegionInfo, ok bool, err error) {
	err = c.call(ctx, what, func(ctx context.Context, pd pdpb.PDClient, h *pdpb.RequestHeader) error {
		res, err := ask(ctx, pd, h)
		info = RegionInfo{Region: regionpb.ToRegion(res.GetRegion()), Leader: regionpb.ToPeer(res.GetLeader())}
		ok = res.GetRegion() != nil
		return either(err, res.GetHeader())
	})
	return info, ok, err
}

// ScanRegions returns the regions that overlap keys, in order, at most limit of them; a limit of 0 or less leaves it
// to the scheduler.
func (c *Client) ScanRegions(ctx context.Context, keys region.Range, limit int) (infos []RegionInfo, err error) {
	err = c.call(ctx, fmt.Sprintf("list the regions of %v", keys),
		func(ctx context.Context, pd pdpb.PDClient, h *pdpb.RequestHeader) error {
			res, err := pd.ScanRegions(ctx, &pdpb.ScanRegionsRequest{
				Header: h, StartKey: keys.Start, EndKey: keys.End, Limit: int32(max(0, min(limit, 1<<20))),
			})
			infos = nil
			for _, r := range res.GetRegions() {
				infos = append(infos, RegionInfo{Region: regionpb.ToRegion(r.GetRegion()),
					Leader: regionpb.ToPeer(r.GetLeader())})
			}
			return either(err, res.GetHeader())
		})
	return infos, err
}

// either is the error of the call, or that in the answer.
func either(err error, h *pdpb.ResponseHeader) error {
	if err != nil {
		return err
	}
	return ofHeader(h)
}

func fromStore(s Store) *metapb.Store {
	m := &metapb.Store{
		Id: s.ID, Address: s.Address, PeerAddress: s.Address, StatusAddress: s.StatusAddress, Version: s.Version,
		State: metapb.StoreState(s.State),
	}
	for _, l := range s.Labels {
		m.Labels = append(m.Labels, &metapb.StoreLabel{Key: l.Key, Value: l.Value})
	}
	return m
}

func toStoreInfo(m *metapb.Store, stats *pdpb.StoreStats) StoreInfo {
	s := Store{
		ID: m.GetId(), Address: m.GetAddress(), StatusAddress: m.GetStatusAddress(), Version: m.GetVersion(),
		State: cluster.StoreState(m.GetState()),
	}
	for _, l := range m.GetLabels() {
		s.Labels = append(s.Labels, Label{Key: l.GetKey(), Value: l.GetValue()})
	}
	return StoreInfo{
		Store:      s,
		LastMillis: m.GetLastHeartbeat() / 1e6,
		Stats: StoreStats{
			StoreID: m.GetId(), Capacity: stats.GetCapacity(), Available: stats.GetAvailable(),
			UsedSize:    stats.GetUsedSize(),
			RegionCount: stats.GetRegionCount(), Busy: stats.GetIsBusy(),
		},
	}
}

// quoteKey shows a key in an error's text: all of it, or the beginning and the length.
func quoteKey(key []byte) string {
	const most = 60
	if len(key) > most {
		return fmt.Sprintf("%q... (%d bytes)", key[:most], len(key))
	}
	return fmt.Sprintf("%q", key)
}

// A client whose picture of the cluster is wrong: the stores' region errors correct it, each kind in its own way.

package interop_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/tikv/client-go/v2/oracle"
	"github.com/tikv/client-go/v2/tikv"
	"github.com/tikv/client-go/v2/tikvrpc"
	pd "github.com/tikv/pd/client"
)

// liar is the client's own client of the placement driver, whose first answer about a region, or a store, is changed.
type liar struct {
	pd.Client
	region func(*pd.Region)    // nil: the truth is told
	store  func(*metapb.Store) // the same
	told   atomic.Int64        // lies
}

func (l *liar) GetRegion(ctx context.Context, key []byte, options ...pd.GetRegionOption) (*pd.Region, error) {
	region, err := l.Client.GetRegion(ctx, key, options...)
	if err == nil && l.region != nil && l.told.Add(1) == 1 {
		l.region(region)
	}
	return region, err
}

func (l *liar) GetStore(ctx context.Context, id uint64) (*metapb.Store, error) {
	store, err := l.Client.GetStore(ctx, id)
	if err == nil && l.store != nil {
		l.store(store)
	}
	return store, err
}

// sender sends single requests as the raw client does, with the parts that it is made of.
type sender struct {
	cache *tikv.RegionCache
	rpc   tikv.Client
	errs  map[string]int // region errors that the client met, by its names for them
}

func newSender(t *testing.T, scheduler string, l *liar) *sender {
	t.Helper()
	plain, err := tikv.NewPDClient([]string{scheduler})
	check(t, err)
	l.Client = plain
	encoded := tikv.NewCodecPDClient(tikv.ModeRaw, l)
	s := &sender{cache: tikv.NewRegionCache(encoded), rpc: tikv.NewRPCClient(tikv.WithCodec(encoded.GetCodec())), errs: map[string]int{}}
	t.Cleanup(func() { s.cache.Close(); s.rpc.Close(); plain.Close() })
	return s
}

// send routes a request to the region of a key, again and again until it is answered.
func (s *sender) send(ctx context.Context, key []byte, request *tikvrpc.Request) (*tikvrpc.Response, error) {
	b := tikv.NewBackofferWithVars(ctx, int(prompt.Milliseconds()), nil)
	for {
		at, err := s.cache.LocateKey(b, key)
		if err != nil {
			return nil, err
		}
		one := tikv.NewRegionRequestSender(s.cache, s.rpc, oracle.NoopReadTSValidator{})
		one.Stats = tikv.NewRegionRequestRuntimeStats()
		response, _, err := one.SendReq(b, request, at.Region, prompt)
		for name, n := range one.Stats.ErrStats {
			s.errs[name] += n
		}
		if err != nil {
			return nil, err
		}
		refused, err := response.GetRegionError()
		if err != nil || refused == nil {
			return response, err
		}
		if err := b.Backoff(tikv.BoRegionMiss(), fmt.Errorf("%v", refused)); err != nil {
			return nil, err
		}
	}
}

func (s *sender) put(ctx context.Context, key, value []byte) error {
	response, err := s.send(ctx, key, tikvrpc.NewRequest(tikvrpc.CmdRawPut, &kvrpcpb.RawPutRequest{Key: key, Value: value}))
	if err == nil && response.Resp.(*kvrpcpb.RawPutResponse).Error != "" {
		err = fmt.Errorf("%s", response.Resp.(*kvrpcpb.RawPutResponse).Error)
	}
	return err
}

func TestWrongPicturesAreCorrected(t *testing.T) {
	cluster := startCluster(t, "pebble")
	leader := leaderOf(t, cluster)
	follower := othersOf(cluster, leader)[0]
	peerOn := func(r *pd.Region, id uint64) *metapb.Peer {
		i := slices.IndexFunc(r.Meta.Peers, func(p *metapb.Peer) bool { return p.StoreId == id })
		return r.Meta.Peers[i]
	}
	var moved atomic.Bool // the leader's store seems to be where the follower is, once
	for name, test := range map[string]struct {
		liar *liar
		want string // the client's name for the error that corrects it
	}{
		"another_leader":       {&liar{region: func(r *pd.Region) { r.Leader = peerOn(r, follower) }}, "not_leader"},
		"an_old_epoch":         {&liar{region: func(r *pd.Region) { r.Meta.RegionEpoch.Version-- }}, "epoch_not_match"},
		"an_old_configuration": {&liar{region: func(r *pd.Region) { r.Meta.RegionEpoch.ConfVer-- }}, "epoch_not_match"},
		"a_future_epoch":       {&liar{region: func(r *pd.Region) { r.Meta.RegionEpoch.Version += 5 }}, "epoch_not_match"},
		"another_region":       {&liar{region: func(r *pd.Region) { r.Meta.Id += 1000 }}, "region_not_found"},
		"peers_that_were_replaced": {&liar{region: func(r *pd.Region) {
			for _, p := range r.Meta.Peers {
				p.Id += 1000
			}
			r.Leader = peerOn(r, leader)
		}}, "mismatch_peer_id"},
		"a_store_at_another's_address": {&liar{
			region: func(r *pd.Region) { r.Leader = peerOn(r, leader) },
			store: func(s *metapb.Store) {
				if s.Id == leader && moved.CompareAndSwap(false, true) {
					s.Address = cluster.Address(follower)
				}
			}}, "store_not_match"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSender(t, cluster.Scheduler, test.liar)
			ctx, cancel := context.WithTimeout(t.Context(), prompt)
			defer cancel()
			begun := time.Now()
			if err := s.put(ctx, []byte("k"), []byte(name)); err != nil {
				t.Fatalf("after %v: %v (on the way: %v)", time.Since(begun), err, s.errs)
			}
			if s.errs[test.want] == 0 {
				t.Errorf("the client met %v, want %s among it", s.errs, test.want)
			}
			s.errs = map[string]int{}
			for range 10 {
				check(t, s.put(ctx, []byte("k"), []byte(name)))
			}
			if len(s.errs) > 0 {
				t.Errorf("the second time it still met %v", s.errs)
			}
			t.Logf("corrected after %v", time.Since(begun).Round(time.Millisecond))
		})
	}
}

// What a region's log has no room for is refused at once and for good. The raw client never sends that much itself.
func TestABatchThatIsTooLargeForTheLogIsRefusedAtOnce(t *testing.T) {
	for _, test := range []struct {
		name      string
		scheduler string
		taken     bool // has no log: it takes what the engine does
	}{
		{"three_stores", startCluster(t, "pebble").Scheduler, false},
		{"one_store", start(t, "pebble").Scheduler, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSender(t, test.scheduler, &liar{})
			put := &kvrpcpb.RawBatchPutRequest{}
			for i := range 2 {
				put.Pairs = append(put.Pairs, &kvrpcpb.KvPair{Key: fmt.Appendf(nil, "half%d", i), Value: make([]byte, 5<<20)})
			}
			ctx, cancel := context.WithTimeout(t.Context(), prompt)
			defer cancel()
			_, err := s.send(ctx, put.Pairs[0].Key, tikvrpc.NewRequest(tikvrpc.CmdRawBatchPut, put))
			if test.taken {
				check(t, err)
				return
			}
			if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "raft_entry_too_large") ||
				!strings.Contains(err.Error(), "entry_size:104") {
				t.Errorf("a batch of 10 MiB: got %v, want raft_entry_too_large with its size, at once", err)
			}
			if s.errs["raft_entry_too_large"] != 1 {
				t.Errorf("the client met %v, want raft_entry_too_large, once", s.errs)
			}
			check(t, s.put(ctx, []byte("after"), []byte("v")))
		})
	}
}

// A range whose keys badger can't delete in one transaction: each store deletes it in parts, and can be started again.
func TestALongRangeIsDeletedOnEveryStore(t *testing.T) {
	const count, length = 2500, 8000 // 20 MB of keys: more than a transaction of badger's
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel() // it mostly waits
			cluster := startCluster(t, engine)
			client := connect(t, cluster.Scheduler)
			var keys, values [][]byte
			for i := range count {
				keys = append(keys, fmt.Appendf(nil, "%0*d", length, i))
				values = append(values, []byte("v"))
			}
			check(t, client.BatchPut(t.Context(), keys, values))
			put(t, client, "a", "z")
			begun := time.Now()
			check(t, client.DeleteRange(t.Context(), []byte("0"), []byte("1")))
			t.Logf("%d keys deleted in %v", count, time.Since(begun).Round(time.Millisecond))
			wantKeys(t, client, "a", "z")
			restarted(t, cluster, cluster.IDs(), cluster.Kill)
			wantKeys(t, client, "a", "z")
			put(t, client, "b")
			wantKeys(t, client, "a", "b", "z")
		})
	}
}

// The placement driver as its own client sees it, beyond what the raw client asks of it.

package interop_test

import (
	"strings"
	"testing"

	"github.com/pingcap/kvproto/pkg/metapb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

func TestClientOfThePlacementDriver(t *testing.T) {
	server := start(t, "pebble")
	pd := connect(t, server.Scheduler).GetPDClient()

	t.Run("cluster_has_an_id_and_a_leader", func(t *testing.T) {
		if pd.GetClusterID(t.Context()) == 0 {
			t.Error("the cluster's id is 0")
		}
		if !strings.Contains(pd.GetLeaderURL(), server.Scheduler) {
			t.Errorf("the leader is at %q, want %s", pd.GetLeaderURL(), server.Scheduler)
		}
		members, err := pd.GetAllMembers(t.Context())
		check(t, err)
		if len(members) != 1 || members[0].GetName() == "" || members[0].GetMemberId() == 0 {
			t.Errorf("members: got %v, want one with a name and an id", members)
		}
	})

	t.Run("timestamps_increase_and_never_repeat", func(t *testing.T) {
		const goroutines, each = 8, 200
		drawn := make([][]int64, goroutines)
		together(t, goroutines, func(g int) error {
			for range each {
				physical, logical, err := pd.GetTS(t.Context())
				if err != nil {
					return err
				}
				drawn[g] = append(drawn[g], physical<<18|logical)
			}
			return nil
		})
		seen := map[int64]bool{}
		for g, timestamps := range drawn {
			for i, timestamp := range timestamps {
				if seen[timestamp] {
					t.Fatalf("timestamp %d was drawn twice", timestamp)
				}
				seen[timestamp] = true
				if i > 0 && timestamp <= timestamps[i-1] {
					t.Fatalf("goroutine %d drew %d after %d", g, timestamp, timestamps[i-1])
				}
			}
		}
	})

	t.Run("one_region_covers_every_key", func(t *testing.T) {
		for _, key := range []string{"", "a", "\xff\xff\xff"} {
			region, err := pd.GetRegion(t.Context(), []byte(key))
			check(t, err)
			if region == nil || region.Meta.GetId() == 0 || len(region.Meta.GetPeers()) != 1 {
				t.Fatalf("region of %q: got %v, want one with an id and one peer", key, region)
			}
			if len(region.Meta.GetStartKey()) != 0 || len(region.Meta.GetEndKey()) != 0 {
				t.Errorf("region of %q: got the range [%q, %q), want everything",
					key, region.Meta.GetStartKey(), region.Meta.GetEndKey())
			}
			if region.Leader.GetId() != region.Meta.GetPeers()[0].GetId() {
				t.Errorf("region of %q: the leader is %v, want the only peer", key, region.Leader)
			}
			again, err := pd.GetRegionByID(t.Context(), region.Meta.GetId())
			check(t, err)
			if again.Meta.GetId() != region.Meta.GetId() {
				t.Errorf("region %d by its id: got %v", region.Meta.GetId(), again.Meta)
			}
		}
		regions, err := pd.ScanRegions(t.Context(), nil, nil, 10)
		check(t, err)
		if len(regions) != 1 || regions[0].Leader.GetId() == 0 {
			t.Errorf("scan of regions: got %v, want one with its leader", regions)
		}
	})

	t.Run("store_is_up_at_the_address_it_listens_on", func(t *testing.T) {
		stores, err := pd.GetAllStores(t.Context())
		check(t, err)
		if len(stores) != 1 {
			t.Fatalf("stores: got %v, want one", stores)
		}
		store, err := pd.GetStore(t.Context(), stores[0].GetId())
		check(t, err)
		if store.GetAddress() != server.Store || store.GetState() != metapb.StoreState_Up {
			t.Errorf("store: got %v, want it up at %s", store, server.Store)
		}
	})

	t.Run("both_services_say_that_they_are_healthy", func(t *testing.T) {
		for _, address := range []string{server.Scheduler, server.Store} {
			connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
			check(t, err)
			defer connection.Close()
			answer, err := healthpb.NewHealthClient(connection).Check(t.Context(), &healthpb.HealthCheckRequest{})
			check(t, err)
			if answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
				t.Errorf("health of %s: got %v, want SERVING", address, answer.GetStatus())
			}
		}
	})

	t.Run("unknown_store_is_told_as_the_client_knows_it", func(t *testing.T) {
		_, err := pd.GetStore(t.Context(), 987654321)
		if err == nil || !strings.Contains(err.Error(), "invalid store ID") || !strings.Contains(err.Error(), "not found") {
			t.Errorf(`got %v, want an error with "invalid store ID" and "not found"`, err)
		}
	})
}

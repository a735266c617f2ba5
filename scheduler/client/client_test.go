// The client against real servers and against one that misbehaves, over connections in memory.

package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"tinykv/kv/region"
	"tinykv/proto/pdpb"
	"tinykv/scheduler/client"
	"tinykv/scheduler/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// network connects addresses to servers in this process.
type network struct {
	mu        sync.Mutex
	listeners map[string]*bufconn.Listener
}

func newNetwork() *network { return &network{listeners: map[string]*bufconn.Listener{}} }

func (n *network) listen(addr string) net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners[addr] = bufconn.Listen(1 << 20)
	return n.listeners[addr]
}

func (n *network) dial(ctx context.Context, addr string) (net.Conn, error) {
	n.mu.Lock()
	lis, ok := n.listeners[addr]
	n.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("connection to %s refused", addr)
	}
	return lis.DialContext(ctx)
}

func (n *network) client(t testing.TB, addrs ...string) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{
		Addrs: addrs, DialOptions: []grpc.DialOption{grpc.WithContextDialer(n.dial)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// scheduler runs a real server at addr, on records that outlive it.
func (n *network) scheduler(t testing.TB, addr string, storage server.Storage) (stop func()) {
	t.Helper()
	s, err := server.New(server.Options{Storage: storage, AdvertiseURLs: []string{"http://" + addr}})
	if err != nil {
		t.Fatal(err)
	}
	lis := n.listen(addr)
	served := make(chan error, 1)
	go func() { served <- s.Serve(lis) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		once.Do(func() { _ = s.Close(ctx); <-served })
	})
	return stop
}

// fake runs a server that answers as the test says.
func (n *network) fake(t *testing.T, addr string, pd pdpb.PDServer) {
	t.Helper()
	g := grpc.NewServer()
	pdpb.RegisterPDServer(g, pd)
	lis := n.listen(addr)
	go func() { _ = g.Serve(lis) }()
	t.Cleanup(g.Stop)
}

const addr = "pd1:2379"

func firstRegion() region.Region {
	return region.Region{ID: 2, Epoch: region.Epoch{ConfVer: 1, Version: 1}, Peers: []region.Peer{{ID: 3, StoreID: 1}}}
}

// bootstrap begins a cluster with store 1 and region 2, peer 3.
func bootstrap(t *testing.T, c *client.Client) {
	t.Helper()
	created, err := c.Bootstrap(t.Context(), client.Store{ID: 1, Address: "kv1:20160"}, firstRegion())
	if err != nil || !created {
		t.Fatalf("bootstrap: %v, %v", created, err)
	}
}

func TestAStoreJoinsReportsAndIsFound(t *testing.T) {
	n, ctx := newNetwork(), t.Context()
	n.scheduler(t, addr, server.NewMemStorage())
	c := n.client(t, "http://"+addr)

	if yes, err := c.IsBootstrapped(ctx); err != nil || yes {
		t.Fatalf("bootstrapped: %v, %v", yes, err)
	}
	if _, err := c.Stores(ctx); !errors.Is(err, client.ErrNotBootstrapped) {
		t.Errorf("stores before bootstrap: %v", err)
	}
	ids := map[uint64]bool{}
	for range 3 {
		id, err := c.AllocID(ctx)
		if err != nil || id == 0 || ids[id] {
			t.Fatalf("id %d after %v: %v", id, ids, err)
		}
		ids[id] = true
	}
	bootstrap(t, c)
	if created, err := c.Bootstrap(ctx, client.Store{ID: 9, Address: "kv9:1"}, firstRegion()); created || err != nil {
		t.Errorf("second bootstrap: %v, %v", created, err)
	}
	store := client.Store{ID: 1, Address: "kv1:20161", Labels: []client.Label{{Key: "zone", Value: "eu1"}},
		Version: "0.1"}
	if err := c.PutStore(ctx, store); err != nil {
		t.Fatal(err)
	}
	if err := c.StoreHeartbeat(ctx, client.StoreStats{StoreID: 1, Capacity: 1000, Available: 900}); err != nil {
		t.Fatal(err)
	}
	got, err := c.Store(ctx, 1)
	if err != nil || got.Store.Address != "kv1:20161" || got.Store.Labels[0].Value != "eu1" ||
		got.Stats.Available != 900 ||
		time.Since(time.UnixMilli(got.LastMillis)) > time.Minute {
		t.Errorf("store 1: %+v, %v", got, err)
	}
	if _, err := c.Store(ctx, 8); !errors.Is(err, client.ErrUnknownStore) {
		t.Errorf("store 8: %v", err)
	}
	if err := c.PutStore(ctx, client.Store{ID: 5}); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("a store without address: %v", err)
	}
	if stores, err := c.Stores(ctx); err != nil || len(stores) != 1 {
		t.Errorf("stores: %v, %v", stores, err)
	}
}

func TestReportsOnRegionsAreHeard(t *testing.T) {
	n, ctx := newNetwork(), t.Context()
	n.scheduler(t, addr, server.NewMemStorage())
	c := n.client(t, addr)
	bootstrap(t, c)

	hb := c.Heartbeats(nil)
	defer hb.Close()
	left, right := firstRegion(), firstRegion()
	left.Range.End, right.Range.Start = []byte("m"), []byte("m")
	left.Epoch.Version, right.Epoch.Version = 2, 2
	right.ID, right.Peers = 4, []region.Peer{{ID: 5, StoreID: 1}}
	for _, r := range []region.Region{left, right} {
		if err := hb.Send(ctx, client.RegionHeartbeat{Region: r, Leader: r.Peers[0]}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() bool {
		infos, err := c.ScanRegions(ctx, region.Range{}, 0)
		return err == nil && len(infos) == 2 && infos[1].Leader.ID == 5
	})
	if info, ok, err := c.Region(ctx, []byte("z")); err != nil || !ok || info.Region.ID != 4 {
		t.Errorf("region of z: %v, %v, %v", info, ok, err)
	}
	if info, ok, err := c.PrevRegion(ctx, []byte("z")); err != nil || !ok || info.Region.ID != 2 {
		t.Errorf("region before that of z: %v, %v, %v", info, ok, err)
	}
	if _, ok, err := c.PrevRegion(ctx, []byte("a")); err != nil || ok {
		t.Errorf("region before the first: %v, %v", ok, err)
	}
	if info, ok, err := c.RegionByID(ctx, 4); err != nil || !ok || string(info.Region.Range.Start) != "m" {
		t.Errorf("region 4: %v, %v, %v", info, ok, err)
	}
	if _, ok, err := c.RegionByID(ctx, 99); err != nil || ok {
		t.Errorf("region 99: %v, %v", ok, err)
	}
}

// eventually waits for what another goroutine is about to do.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come about within 5 seconds")
		}
	}
}

func TestManyCallersGetDifferentTimestampsInOrder(t *testing.T) {
	n := newNetwork()
	n.scheduler(t, addr, server.NewMemStorage())
	c := n.client(t, addr)

	var mu sync.Mutex
	seen := map[uint64]bool{}
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			last := uint64(0)
			for range 50 {
				ts, err := c.Timestamp(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if ts.Uint64() <= last {
					t.Errorf("%v after %v", ts, last)
				}
				last = ts.Uint64()
				mu.Lock()
				if seen[last] {
					t.Errorf("%v was given twice", ts)
				}
				seen[last] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// slowTSO counts requests and holds each until the test lets it go.
type slowTSO struct {
	leads
	requests atomic.Int32
	let      chan struct{}
}

func (f *slowTSO) Tso(stream grpc.BidiStreamingServer[pdpb.TsoRequest, pdpb.TsoResponse]) error {
	for {
		req, err := stream.Recv()
		if err != nil {
			return nil
		}
		f.requests.Add(1)
		<-f.let
		err = stream.Send(&pdpb.TsoResponse{Count: req.Count, Timestamp: &pdpb.Timestamp{Physical: 1000,
			Logical: int64(req.Count)}})
		if err != nil {
			return err
		}
	}
}

// leads answers GetMembers: the server at url leads.
type leads struct {
	pdpb.UnimplementedPDServer
	url string
}

func (f leads) GetMembers(context.Context, *pdpb.GetMembersRequest) (*pdpb.GetMembersResponse, error) {
	m := &pdpb.Member{Name: "fake", MemberId: 1, ClientUrls: []string{f.url}}
	return &pdpb.GetMembersResponse{Header: &pdpb.ResponseHeader{ClusterId: 42}, Members: []*pdpb.Member{m},
		Leader: m}, nil
}

func TestCallersThatWaitShareARequest(t *testing.T) {
	n := newNetwork()
	pd := &slowTSO{leads: leads{url: "http://" + addr}, let: make(chan struct{})}
	n.fake(t, addr, pd)
	c := n.client(t, addr)

	const callers = 100
	var wg sync.WaitGroup
	ask := func() {
		if _, err := c.Timestamp(t.Context()); err != nil {
			t.Error(err)
		}
	}
	wg.Go(ask)
	eventually(t, func() bool { return pd.requests.Load() == 1 }) // one is on its way
	for range callers {
		wg.Go(ask)
	}
	close(pd.let)
	wg.Wait()
	if got := pd.requests.Load(); got > callers/2 {
		t.Errorf("%d requests for %d callers: they do not share", got, callers+1)
	}
}

func TestACallerThatLeavesHoldsUpNobody(t *testing.T) {
	n := newNetwork()
	pd := &slowTSO{leads: leads{url: "http://" + addr}, let: make(chan struct{})}
	n.fake(t, addr, pd)
	c := n.client(t, addr)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Timestamp(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want that of the context", err)
	}
	close(pd.let)
	if _, err := c.Timestamp(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTimestampsGoOnAfterARestart(t *testing.T) {
	n, storage := newNetwork(), server.NewMemStorage()
	stop := n.scheduler(t, addr, storage)
	c := n.client(t, addr)
	before, err := c.Timestamp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id, err := c.AllocID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stop()
	n.scheduler(t, addr, storage)
	after, err := c.Timestamp(t.Context())
	if err != nil || after.Uint64() <= before.Uint64() {
		t.Errorf("%v after %v: %v", after, before, err)
	}
	if next, err := c.AllocID(t.Context()); err != nil || next <= id {
		t.Errorf("id %d after %d: %v", next, id, err)
	}
}

// deposed says that another one leads, as a scheduler that lost the leadership does.
type deposed struct{ leads }

func (deposed) AllocID(context.Context, *pdpb.AllocIDRequest) (*pdpb.AllocIDResponse, error) {
	return nil, status.Error(codes.Unknown, "not leader")
}

// moving tells one leader the first time it is asked, and another one from then on.
type moving struct {
	deposed
	second leads
	asked  atomic.Int32
}

func (m *moving) GetMembers(ctx context.Context, r *pdpb.GetMembersRequest) (*pdpb.GetMembersResponse, error) {
	if m.asked.Add(1) == 1 {
		return m.leads.GetMembers(ctx, r)
	}
	return m.second.GetMembers(ctx, r)
}

type leader struct{ leads }

func (leader) AllocID(_ context.Context, r *pdpb.AllocIDRequest) (*pdpb.AllocIDResponse, error) {
	if r.GetHeader().GetClusterId() != 42 {
		return nil, status.Error(codes.FailedPrecondition, "mismatch cluster id")
	}
	return &pdpb.AllocIDResponse{Header: &pdpb.ResponseHeader{ClusterId: 42}, Id: 77}, nil
}

func TestTheLeaderIsFollowedWhenItMoves(t *testing.T) {
	n := newNetwork()
	n.fake(t, "pd1:2379", &moving{deposed: deposed{leads{url: "http://pd1:2379"}},
		second: leads{url: "http://pd2:2379"}})
	n.fake(t, "pd2:2379", leader{leads{url: "http://pd2:2379"}})
	c := n.client(t, "pd1:2379")
	if id, err := c.AllocID(t.Context()); err != nil || id != 77 {
		t.Errorf("id %d, %v", id, err)
	}
}

func TestAnAddressThatIsDeadIsSkipped(t *testing.T) {
	n := newNetwork()
	n.scheduler(t, addr, server.NewMemStorage())
	c := n.client(t, "dead:1", addr)
	if m, err := c.Members(t.Context()); err != nil || m.ClusterID == 0 || len(m.Leader.URLs) != 1 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestWithoutASchedulerCallsEndInTimeAndSayWhatToDo(t *testing.T) {
	c := newNetwork().client(t, "dead:1")
	for name, call := range map[string]func(context.Context) error{
		"AllocID":   func(ctx context.Context) error { _, err := c.AllocID(ctx); return err },
		"Timestamp": func(ctx context.Context) error { _, err := c.Timestamp(ctx); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		err := call(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "dead:1") ||
			!strings.Contains(err.Error(), "is it running") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnotherClusterAtTheSameAddressIsAnError(t *testing.T) {
	n := newNetwork()
	stop := n.scheduler(t, addr, server.NewMemStorage())
	c := n.client(t, addr)
	if _, err := c.AllocID(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop()
	n.scheduler(t, addr, server.NewMemStorage())
	if _, err := c.AllocID(t.Context()); err == nil || !strings.Contains(err.Error(), "cluster") {
		t.Errorf("error is %v", err)
	}
}

func TestAfterCloseCallsFailAtOnce(t *testing.T) {
	n := newNetwork()
	n.scheduler(t, addr, server.NewMemStorage())
	c := n.client(t, addr)
	if _, err := c.Timestamp(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.Timestamp(t.Context()); !errors.Is(err, client.ErrClosed) {
		t.Errorf("Timestamp: %v", err)
	}
	if _, err := c.AllocID(t.Context()); !errors.Is(err, client.ErrClosed) {
		t.Errorf("AllocID: %v", err)
	}
}

func TestAddressesThatAreNoneAreRefused(t *testing.T) {
	for _, addrs := range [][]string{nil, {"localhost"}, {"ok:1", ""}} {
		if c, err := client.New(client.Options{Addrs: addrs}); err == nil {
			t.Errorf("%q was accepted", addrs)
			_ = c.Close()
		}
	}
}

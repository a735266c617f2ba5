// The service as a client sees it on the wire.

package server_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"tinykv/proto/metapb"
	"tinykv/proto/pdpb"
	"tinykv/scheduler/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const url = "http://127.0.0.1:2379"

// running is a server with a connection to it.
type running struct {
	pdpb.PDClient
	server *server.Server
	conn   *grpc.ClientConn
	served chan error
}

func run(t *testing.T, storage server.Storage) *running {
	t.Helper()
	s, err := server.New(server.Options{Storage: storage, AdvertiseURLs: []string{url}, ClusterID: 42})
	if err != nil {
		t.Fatal(err)
	}
	lis := bufconn.Listen(1 << 20)
	r := &running{server: s, served: make(chan error, 1)}
	go func() { r.served <- s.Serve(lis) }()
	r.conn, err = grpc.NewClient("passthrough:///pd", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	r.PDClient = pdpb.NewPDClient(r.conn)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Close(ctx)
		_ = r.conn.Close()
	})
	return r
}

func header() *pdpb.RequestHeader { return &pdpb.RequestHeader{ClusterId: 42} }

func bootstrap(t *testing.T, r *running) {
	t.Helper()
	res, err := r.Bootstrap(t.Context(), &pdpb.BootstrapRequest{
		Header: header(),
		Store:  &metapb.Store{Id: 1, Address: "kv:1"},
		Region: &metapb.Region{Id: 2, RegionEpoch: &metapb.RegionEpoch{ConfVer: 1, Version: 1},
			Peers: []*metapb.Peer{{Id: 3, StoreId: 1}}},
	})
	if err != nil || res.GetHeader().GetError() != nil {
		t.Fatal(err, res)
	}
}

func TestMembersTellHowToReachTheLeader(t *testing.T) {
	r := run(t, server.NewMemStorage())
	// no cluster id: that is what the caller wants to learn
	res, err := r.GetMembers(t.Context(), &pdpb.GetMembersRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Members) != 1 || res.Members[0].Name == "" || res.Members[0].MemberId == 0 ||
		res.Leader.GetClientUrls()[0] != url ||
		res.Leader.MemberId != res.Members[0].MemberId || res.Header.ClusterId != 42 {
		t.Errorf("%v", res)
	}
	info, err := r.GetClusterInfo(t.Context(), &pdpb.GetClusterInfoRequest{})
	if err != nil || len(info.ServiceModes) != 1 || info.ServiceModes[0] != pdpb.ServiceMode_PD_SVC_MODE {
		t.Errorf("%v, %v", info, err)
	}
	health, err := grpc_health_v1.NewHealthClient(r.conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || health.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("%v, %v", health, err)
	}
}

func TestARequestForAnotherClusterIsRefused(t *testing.T) {
	r := run(t, server.NewMemStorage())
	bootstrap(t, r)
	for _, h := range []*pdpb.RequestHeader{nil, {}, {ClusterId: 43}} {
		_, err := r.AllocID(t.Context(), &pdpb.AllocIDRequest{Header: h})
		wantMismatch(t, "AllocID", err)
		_, err = r.GetRegion(t.Context(), &pdpb.GetRegionRequest{Header: h})
		wantMismatch(t, "GetRegion", err)
		_, err = r.PutStore(t.Context(), &pdpb.PutStoreRequest{Header: h, Store: &metapb.Store{Id: 7, Address: "x:1"}})
		wantMismatch(t, "PutStore", err)
		stream, err := r.Tso(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(&pdpb.TsoRequest{Header: h, Count: 1})
		_, err = stream.Recv()
		wantMismatch(t, "Tso", err)
	}
}

func wantMismatch(t *testing.T, what string, err error) {
	t.Helper()
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "mismatch cluster id") {
		t.Errorf("%s: %v", what, err)
	}
}

func TestMistakesAboutTheClusterComeInTheHeader(t *testing.T) {
	r := run(t, server.NewMemStorage())
	stores, err := r.GetAllStores(t.Context(), &pdpb.GetAllStoresRequest{Header: header()})
	if err != nil || stores.Header.Error.GetType() != pdpb.ErrorType_NOT_BOOTSTRAPPED || stores.Header.ClusterId != 42 {
		t.Errorf("before bootstrap: %v, %v", stores, err)
	}
	bootstrap(t, r)
	store, err := r.GetStore(t.Context(), &pdpb.GetStoreRequest{Header: header(), StoreId: 9})
	if text := store.GetHeader().GetError().GetMessage(); err != nil || !strings.Contains(text, "invalid store ID") ||
		!strings.Contains(text, "not found") {
		t.Errorf("an unknown store: %v, %v", store, err)
	}
	put, err := r.PutStore(t.Context(), &pdpb.PutStoreRequest{Header: header(),
		Store: &metapb.Store{Id: 9, Address: "nonsense"}})
	if err != nil || put.Header.Error.GetType() != pdpb.ErrorType_INVALID_VALUE {
		t.Errorf("an address that is none: %v, %v", put, err)
	}
	again, err := r.Bootstrap(t.Context(), &pdpb.BootstrapRequest{Header: header()})
	if err != nil || again.Header.Error.GetType() != pdpb.ErrorType_ALREADY_BOOTSTRAPPED {
		t.Errorf("a second bootstrap: %v, %v", again, err)
	}
}

func TestNothingPanicsOnEmptyRequests(t *testing.T) {
	r := run(t, server.NewMemStorage())
	ctx, h := t.Context(), header()
	for range 2 { // before bootstrap and after it
		_, e1 := r.Bootstrap(ctx, &pdpb.BootstrapRequest{Header: h})
		_, e2 := r.PutStore(ctx, &pdpb.PutStoreRequest{Header: h})
		_, e3 := r.StoreHeartbeat(ctx, &pdpb.StoreHeartbeatRequest{Header: h})
		_, e4 := r.ScanRegions(ctx, &pdpb.ScanRegionsRequest{Header: h, Limit: -1})
		_, e5 := r.BatchScanRegions(ctx, &pdpb.BatchScanRegionsRequest{Header: h})
		_, e6 := r.GetRegionByID(ctx, &pdpb.GetRegionByIDRequest{Header: h})
		hb, err := r.RegionHeartbeat(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_ = hb.Send(&pdpb.RegionHeartbeatRequest{Header: h})
		res, e7 := hb.Recv()
		if err := errors.Join(e1, e2, e3, e4, e5, e6, e7); err != nil || res.GetHeader().GetError() == nil {
			t.Errorf("%v, %v", err, res)
		}
		if info, _ := r.IsBootstrapped(ctx, &pdpb.IsBootstrappedRequest{Header: h}); !info.GetBootstrapped() {
			bootstrap(t, r)
		}
	}
	if _, err := r.ScatterRegion(ctx, &pdpb.ScatterRegionRequest{Header: h}); status.Code(err) != codes.Unimplemented {
		t.Errorf("a call that nobody has written: %v", err)
	}
}

func TestTimestampsOfABatchEndAtTheAnswer(t *testing.T) {
	r := run(t, server.NewMemStorage())
	stream, err := r.Tso(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	last := int64(0)
	for _, count := range []uint32{1, 10, 262144, 1, 100} {
		if err := stream.Send(&pdpb.TsoRequest{Header: header(), Count: count}); err != nil {
			t.Fatal(err)
		}
		res, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		ts := res.Timestamp
		if first := ts.Physical<<18 + ts.Logical - int64(count) + 1; first <= last || res.Count != count ||
			ts.Logical < int64(count)-1 {
			t.Errorf("%d timestamps end at %v, the last before was %d", count, ts, last)
		}
		last = ts.Physical<<18 + ts.Logical
	}
	_ = stream.Send(&pdpb.TsoRequest{Header: header()})
	if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a count of 0: %v", err)
	}
}

func TestScanFillsTheFieldsThatOldClientsRead(t *testing.T) {
	r := run(t, server.NewMemStorage())
	bootstrap(t, r)
	hb, err := r.RegionHeartbeat(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	peer := &metapb.Peer{Id: 3, StoreId: 1}
	for i, end := range []string{"g", "p", ""} {
		m := &metapb.Region{
			Id: uint64(i + 2), StartKey: []byte([]string{"", "g", "p"}[i]), EndKey: []byte(end),
			RegionEpoch: &metapb.RegionEpoch{ConfVer: 1, Version: 5}, Peers: []*metapb.Peer{peer},
		}
		if err := hb.Send(&pdpb.RegionHeartbeatRequest{Header: header(), Region: m, Leader: peer}); err != nil {
			t.Fatal(err)
		}
	}
	// A report that cannot be true is answered, so an answer means that the ones before were heard.
	_ = hb.Send(&pdpb.RegionHeartbeatRequest{Header: header()})
	if _, err := hb.Recv(); err != nil {
		t.Fatal(err)
	}
	res, err := r.ScanRegions(t.Context(), &pdpb.ScanRegionsRequest{Header: header(), StartKey: []byte("h"), Limit: 10})
	if err != nil || len(res.Regions) != 2 || len(res.RegionMetas) != 2 || len(res.Leaders) != 2 ||
		res.RegionMetas[1].Id != 4 || res.Leaders[0].Id != 3 || res.Regions[0].Leader.Id != 3 {
		t.Errorf("%v, %v", res, err)
	}
	for _, q := range []struct {
		start, end string
		limit      int32
		all        bool
		want       int
		complete   bool
	}{
		{"a", "h", 10, true, 2, true}, {"a", "h", 1, true, 0, false}, {"a", "h", 1, false, 1, true}, {"", "", 10,
			true, 3, true},
	} {
		res, err := r.BatchScanRegions(t.Context(), &pdpb.BatchScanRegionsRequest{
			Header: header(), Limit: q.limit, ContainAllKeyRange: q.all,
			Ranges: []*pdpb.KeyRange{{StartKey: []byte(q.start), EndKey: []byte(q.end)}, {StartKey: []byte(q.start),
				EndKey: []byte(q.end)}},
		})
		if err != nil || len(res.Regions) != q.want || (res.Header.Error == nil) != q.complete {
			t.Errorf("%+v: %v, %v", q, res, err)
		}
	}
	prev, err := r.GetPrevRegion(t.Context(), &pdpb.GetRegionRequest{Header: header(), RegionKey: []byte("z")})
	if err != nil || prev.Region.GetId() != 3 {
		t.Errorf("%v, %v", prev, err)
	}
}

func TestARestartKnowsAllThatWasAcknowledged(t *testing.T) {
	dir := t.TempDir()
	var id, safePoint uint64
	var timestamp int64
	for round := range 3 {
		storage, err := server.OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		r := run(t, storage)
		if round == 0 {
			bootstrap(t, r)
		}
		if store, err := r.GetStore(t.Context(), &pdpb.GetStoreRequest{Header: header(), StoreId: 1}); err != nil ||
			store.Store.GetAddress() != "kv:1" {
			t.Errorf("store 1: %v, %v", store, err)
		}
		if reg, err := r.GetRegion(t.Context(), &pdpb.GetRegionRequest{Header: header()}); err != nil ||
			reg.Region.GetId() != 2 {
			t.Errorf("region: %v, %v", reg, err)
		}
		next, err := r.AllocID(t.Context(), &pdpb.AllocIDRequest{Header: header()})
		if err != nil || next.Id <= id {
			t.Errorf("id %d after %d, %v", next.GetId(), id, err)
		}
		stream, err := r.Tso(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(&pdpb.TsoRequest{Header: header(), Count: 1})
		ts, err := stream.Recv()
		if err != nil || ts.Timestamp.Physical<<18+ts.Timestamp.Logical <= timestamp {
			t.Errorf("timestamp %v after %d, %v", ts, timestamp, err)
		}
		before, err := r.GetGCSafePoint(t.Context(), &pdpb.GetGCSafePointRequest{Header: header()})
		if err != nil || before.SafePoint != safePoint {
			t.Errorf("safe point %d, want %d, %v", before.GetSafePoint(), safePoint, err)
		}
		for _, at := range []uint64{safePoint + 100, safePoint} { // the second is behind
			after, err := r.UpdateGCSafePoint(t.Context(), &pdpb.UpdateGCSafePointRequest{Header: header(),
				SafePoint: at})
			if err != nil || after.NewSafePoint != safePoint+100 {
				t.Errorf("safe point %d, want %d, %v", after.GetNewSafePoint(), safePoint+100, err)
			}
		}
		id, timestamp, safePoint = next.Id, ts.Timestamp.Physical<<18+ts.Timestamp.Logical, safePoint+100
		if err := r.server.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := storage.Close(); err != nil {
			t.Error(err)
		}
	}
}

// failing is a storage whose disk can be taken away.
type failing struct {
	*server.MemStorage
	err  error
	only string // the record that cannot be written; "" is all
}

func (f *failing) Save(ctx context.Context, name string, value []byte) error {
	if f.err != nil && (f.only == "" || f.only == name) {
		return f.err
	}
	return f.MemStorage.Save(ctx, name, value)
}

func TestWhatCannotBeMadeDurableDidNotHappen(t *testing.T) {
	disk := &failing{MemStorage: server.NewMemStorage()}
	r := run(t, disk)
	disk.err = errors.New("no space left")
	_, err := r.Bootstrap(t.Context(), &pdpb.BootstrapRequest{
		Header: header(), Store: &metapb.Store{Id: 1, Address: "kv:1"},
		Region: &metapb.Region{Id: 2, RegionEpoch: &metapb.RegionEpoch{ConfVer: 1, Version: 1},
			Peers: []*metapb.Peer{{Id: 3, StoreId: 1}}},
	})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("bootstrap: %v", err)
	}
	if _, err := r.AllocID(t.Context(), &pdpb.AllocIDRequest{Header: header()}); status.Code(err) != codes.Unavailable {
		t.Errorf("AllocID: %v", err)
	}
	if _, err := r.UpdateGCSafePoint(t.Context(), &pdpb.UpdateGCSafePointRequest{Header: header(),
		SafePoint: 9}); status.Code(err) != codes.Unavailable {
		t.Errorf("safe point: %v", err)
	}
	if yes, err := r.IsBootstrapped(t.Context(), &pdpb.IsBootstrappedRequest{Header: header()}); err != nil ||
		yes.Bootstrapped {
		t.Errorf("bootstrapped: %v, %v", yes, err)
	}
	if got, err := r.GetGCSafePoint(t.Context(), &pdpb.GetGCSafePointRequest{Header: header()}); err != nil ||
		got.SafePoint != 0 {
		t.Errorf("safe point: %v, %v", got, err)
	}
	disk.err = nil
	bootstrap(t, r)

	disk.err, disk.only = errors.New("no space left"), "cluster"
	_, err = r.PutStore(t.Context(), &pdpb.PutStoreRequest{Header: header(), Store: &metapb.Store{Id: 5, Address: "kv:5"}})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("PutStore: %v", err)
	}
	store, err := r.GetStore(t.Context(), &pdpb.GetStoreRequest{Header: header(), StoreId: 5})
	if err != nil || store.GetHeader().GetError() == nil {
		t.Errorf("a store that is not durable is known: %v, %v", store, err)
	}
}

func TestCloseEndsStreamsAndRefusesWhatComesLater(t *testing.T) {
	r := run(t, server.NewMemStorage())
	tso, err := r.Tso(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = tso.Send(&pdpb.TsoRequest{Header: header(), Count: 1})
	if _, err := tso.Recv(); err != nil {
		t.Fatal(err)
	}
	hb, err := r.RegionHeartbeat(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for range 2 {
		if err := r.server.Close(ctx); err != nil || ctx.Err() != nil {
			t.Errorf("close: %v, %v", err, ctx.Err())
		}
	}
	if err := <-r.served; err != nil {
		t.Errorf("serve: %v", err)
	}
	if _, err := tso.Recv(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "not leader") {
		t.Errorf("the stream of timestamps: %v", err)
	}
	if _, err := hb.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the stream of reports: %v", err)
	}
}

func TestAddressesThatNobodyCanDialAreNotAdvertised(t *testing.T) {
	for _, u := range []string{"", "127.0.0.1:2379", "http://127.0.0.1", "http://127.0.0.1:0", "http://:2379",
		"http://0.0.0.0:2379",
		"http://[::]:2379", "https://127.0.0.1:2379"} {
		s, err := server.New(server.Options{Storage: server.NewMemStorage(), AdvertiseURLs: []string{u}})
		if err == nil || !strings.Contains(err.Error(), "advertise") {
			t.Errorf("%q: %v", u, err)
			_ = s.Close(t.Context())
		}
	}
}

func TestARecordThatIsNotUnderstoodEndsTheStart(t *testing.T) {
	m := server.NewMemStorage()
	_ = m.Save(t.Context(), "timestamp", []byte("{]"))
	if _, err := server.New(server.Options{Storage: m, AdvertiseURLs: []string{url}}); err == nil ||
		!strings.Contains(err.Error(), `"timestamp"`) {
		t.Errorf("error is %v", err)
	}
}

func TestIDsThatStoresBroughtAreNotHandedOutAlsoAfterARestart(t *testing.T) {
	storage := server.NewMemStorage()
	r := run(t, storage)
	res, err := r.Bootstrap(t.Context(), &pdpb.BootstrapRequest{
		Header: header(),
		Store:  &metapb.Store{Id: 2, Address: "kv2:1"},
		Region: &metapb.Region{Id: 4, RegionEpoch: &metapb.RegionEpoch{ConfVer: 1, Version: 1},
			Peers: []*metapb.Peer{{Id: 5, StoreId: 1}, {Id: 6, StoreId: 2}, {Id: 7, StoreId: 3}}},
	})
	if err != nil || res.GetHeader().GetError() != nil {
		t.Fatal(err, res)
	}
	next := func(r *running) uint64 {
		res, err := r.AllocID(t.Context(), &pdpb.AllocIDRequest{Header: header()})
		if err != nil {
			t.Fatal(err)
		}
		return res.GetId()
	}
	if id := next(r); id <= 7 {
		t.Errorf("the first id after the bootstrap is %d, those up to 7 are taken", id)
	}
	put, err := r.PutStore(t.Context(), &pdpb.PutStoreRequest{Header: header(),
		Store: &metapb.Store{Id: 5000, Address: "kv3:1"}})
	if err != nil || put.GetHeader().GetError() != nil {
		t.Fatal(err, put)
	}
	if id := next(run(t, storage)); id <= 5000 {
		t.Errorf("after a restart the next id is %d, 5000 is a store's", id)
	}
}

// A cluster in memory for the tests: a real scheduler, and stores that keep pairs in a map and can be told to answer
// with any error.

package client_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"tinykv/kv/client"
	"tinykv/kv/region"
	"tinykv/kv/region/regionpb"
	"tinykv/proto/errorpb"
	"tinykv/proto/kvrpcpb"
	"tinykv/proto/metapb"
	"tinykv/proto/pdpb"
	"tinykv/proto/tikvpb"
)

const clusterID = 42

// world is all there is: the truth about regions, what the scheduler believes, the pairs, and who answers at which
// address.
type world struct {
	mu        sync.Mutex
	truth     []region.Region
	leaders   map[uint64]uint64 // region -> store that leads
	believed  []region.Region   // by the scheduler; nil: the truth
	pairs     map[string]string
	listeners map[string]*bufconn.Listener
	lookups   int // questions to the scheduler about regions

	// fail, if set, is asked before a store carries out a request; what it returns is the answer.
	fail func(store uint64, call string, kv *kvrpcpb.Context) (*errorpb.Error, error)
	// mostAtOnce, if set, is how many pairs an answer may have; a longer one is refused as too large.
	mostAtOnce int
	// lostSight lets each put be answered as one whose fate the store does not know.
	lostSight bool
	// calls counts requests by name.
	calls map[string]int
}

// newWorld has stores 1 to 3 and regions that end at the bounds; all regions have a peer on each store and are led by
// store 1.
func newWorld(t *testing.T, bounds ...string) *world {
	t.Helper()
	w := &world{
		leaders: map[uint64]uint64{}, pairs: map[string]string{}, listeners: map[string]*bufconn.Listener{},
		calls: map[string]int{},
	}
	start := []byte(nil)
	for i := range len(bounds) + 1 {
		var end []byte
		if i < len(bounds) {
			end = []byte(bounds[i])
		}
		w.addRegion(uint64(i+1), region.Range{Start: start, End: end})
		start = end
	}
	w.serve(t, "pd:1", func(g *grpc.Server) { pdpb.RegisterPDServer(g, &fakePD{w: w}) })
	for id := uint64(1); id <= 3; id++ {
		w.serve(t, storeAddr(id), func(g *grpc.Server) { tikvpb.RegisterTikvServer(g, &fakeStore{w: w, id: id}) })
	}
	return w
}

func storeAddr(id uint64) string { return fmt.Sprintf("kv%d:1", id) }

func (w *world) addRegion(id uint64, keys region.Range) {
	r := region.Region{ID: id, Range: keys, Epoch: region.Epoch{ConfVer: 1, Version: 1}}
	for store := uint64(1); store <= 3; store++ {
		r.Peers = append(r.Peers, region.Peer{ID: id*10 + store, StoreID: store})
	}
	w.truth = append(w.truth, r)
	w.leaders[id] = 1
}

func (w *world) serve(t *testing.T, addr string, register func(*grpc.Server)) {
	g := grpc.NewServer()
	register(g)
	lis := bufconn.Listen(1 << 20)
	w.mu.Lock()
	w.listeners[addr] = lis
	w.mu.Unlock()
	go func() { _ = g.Serve(lis) }()
	t.Cleanup(g.Stop)
}

func (w *world) client(t *testing.T, opts client.Options) *client.Client {
	t.Helper()
	opts.Scheduler, opts.Seed = []string{"pd:1"}, 1
	opts.DialOptions = []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn,
		error) {
		w.mu.Lock()
		lis := w.listeners[addr]
		w.mu.Unlock()
		if lis == nil {
			return nil, fmt.Errorf("connection to %s refused", addr)
		}
		return lis.DialContext(ctx)
	})}
	c, err := client.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// split cuts the region that holds key there, and tells nobody.
func (w *world) split(key string, newID uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, r := range w.truth {
		if !r.Range.Contains([]byte(key)) {
			continue
		}
		left, right := r, r
		left.Range.End, right.Range.Start = []byte(key), []byte(key)
		left.Epoch.Version++
		right.Epoch.Version++
		right.ID, right.Peers = newID, nil
		for _, p := range r.Peers {
			right.Peers = append(right.Peers, region.Peer{ID: newID*10 + p.StoreID, StoreID: p.StoreID})
		}
		w.leaders[newID] = w.leaders[r.ID]
		w.truth = slices.Replace(w.truth, i, i+1, left, right)
		return
	}
}

// believe freezes what the scheduler knows: from now on it does not follow the truth.
func (w *world) believe() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.believed = slices.Clone(w.truth)
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) count(call string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[call]
}

// fakePD answers from what is believed.
type fakePD struct {
	pdpb.UnimplementedPDServer
	w *world
}

func header() *pdpb.ResponseHeader { return &pdpb.ResponseHeader{ClusterId: clusterID} }

func (f *fakePD) GetMembers(context.Context, *pdpb.GetMembersRequest) (*pdpb.GetMembersResponse, error) {
	m := &pdpb.Member{Name: "pd", MemberId: 1, ClientUrls: []string{"http://pd:1"}}
	return &pdpb.GetMembersResponse{Header: header(), Members: []*pdpb.Member{m}, Leader: m}, nil
}

func (f *fakePD) GetStore(_ context.Context, r *pdpb.GetStoreRequest) (*pdpb.GetStoreResponse, error) {
	return &pdpb.GetStoreResponse{Header: header(), Store: &metapb.Store{Id: r.StoreId,
		Address: storeAddr(r.StoreId)}}, nil
}

func (f *fakePD) find(match func(region.Region) bool) (*pdpb.GetRegionResponse, error) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.w.lookups++
	regions := f.w.believed
	if regions == nil {
		regions = f.w.truth
	}
	for _, r := range regions {
		if match(r) {
			leader, _ := r.PeerOn(f.w.leaders[r.ID])
			return &pdpb.GetRegionResponse{Header: header(), Region: regionpb.FromRegion(r),
				Leader: regionpb.FromPeer(leader)}, nil
		}
	}
	return &pdpb.GetRegionResponse{Header: header()}, nil
}

func (f *fakePD) GetRegion(_ context.Context, q *pdpb.GetRegionRequest) (*pdpb.GetRegionResponse, error) {
	return f.find(func(r region.Region) bool { return r.Range.Contains(q.RegionKey) })
}

func (f *fakePD) GetPrevRegion(_ context.Context, q *pdpb.GetRegionRequest) (*pdpb.GetRegionResponse, error) {
	// the tests ask at starts only
	return f.find(func(r region.Region) bool { return bytes.Equal(r.Range.End, q.RegionKey) })
}

// fakeStore is a store as far as a client sees it.
type fakeStore struct {
	tikvpb.UnimplementedTikvServer
	w  *world
	id uint64
}

// check is the store's look at a request: what the test wants to go wrong, and whether region, epoch, leader and keys
// are right. The caller holds mu.
func (f *fakeStore) check(call string, kv *kvrpcpb.Context, keys ...[]byte) (*errorpb.Error, error) {
	f.w.calls[call]++
	if f.w.fail != nil {
		if regionErr, err := f.w.fail(f.id, call, kv); regionErr != nil || err != nil {
			return regionErr, err
		}
	}
	if kv.GetClusterId() != clusterID {
		return nil, status.Errorf(codes.Internal, "cluster id %d in a request", kv.GetClusterId())
	}
	i := slices.IndexFunc(f.w.truth, func(r region.Region) bool { return r.ID == kv.GetRegionId() })
	if i < 0 {
		return &errorpb.Error{RegionNotFound: &errorpb.RegionNotFound{RegionId: kv.GetRegionId()}}, nil
	}
	r := f.w.truth[i]
	if leader := f.w.leaders[r.ID]; leader != f.id {
		peer, _ := r.PeerOn(leader)
		return &errorpb.Error{NotLeader: &errorpb.NotLeader{RegionId: r.ID, Leader: regionpb.FromPeer(peer)}}, nil
	}
	if regionpb.ToEpoch(kv.GetRegionEpoch()) != r.Epoch {
		var current []*metapb.Region
		for _, r := range f.w.truth {
			current = append(current, regionpb.FromRegion(r))
		}
		return &errorpb.Error{EpochNotMatch: &errorpb.EpochNotMatch{CurrentRegions: current}}, nil
	}
	for _, k := range keys {
		if !r.Range.Contains(k) {
			return nil, status.Errorf(codes.Internal, "%s: key %q in a request to region %d %v", call, k, r.ID, r.Range)
		}
	}
	return nil, nil
}

func (f *fakeStore) lock() func() { f.w.mu.Lock(); return f.w.mu.Unlock }

func (f *fakeStore) RawGet(_ context.Context, r *kvrpcpb.RawGetRequest) (*kvrpcpb.RawGetResponse, error) {
	defer f.lock()()
	if e, err := f.check("RawGet", r.Context, r.Key); e != nil || err != nil {
		return &kvrpcpb.RawGetResponse{RegionError: e}, err
	}
	value, ok := f.w.pairs[string(r.Key)]
	return &kvrpcpb.RawGetResponse{Value: []byte(value), NotFound: !ok}, nil
}

func (f *fakeStore) RawPut(_ context.Context, r *kvrpcpb.RawPutRequest) (*kvrpcpb.RawPutResponse, error) {
	defer f.lock()()
	if e, err := f.check("RawPut", r.Context, r.Key); e != nil || err != nil {
		return &kvrpcpb.RawPutResponse{RegionError: e}, err
	}
	if f.w.lostSight {
		return &kvrpcpb.RawPutResponse{Error: regionpb.FromUndetermined(&region.UndeterminedError{})}, nil
	}
	if len(r.Value) > 100 {
		return &kvrpcpb.RawPutResponse{Error: "the value is too large"}, nil
	}
	f.w.pairs[string(r.Key)] = string(r.Value)
	return &kvrpcpb.RawPutResponse{}, nil
}

func (f *fakeStore) RawDelete(_ context.Context, r *kvrpcpb.RawDeleteRequest) (*kvrpcpb.RawDeleteResponse, error) {
	defer f.lock()()
	if e, err := f.check("RawDelete", r.Context, r.Key); e != nil || err != nil {
		return &kvrpcpb.RawDeleteResponse{RegionError: e}, err
	}
	delete(f.w.pairs, string(r.Key))
	return &kvrpcpb.RawDeleteResponse{}, nil
}

func (f *fakeStore) RawBatchGet(_ context.Context, r *kvrpcpb.RawBatchGetRequest) (*kvrpcpb.RawBatchGetResponse,
	error) {
	defer f.lock()()
	if e, err := f.check("RawBatchGet", r.Context, r.Keys...); e != nil || err != nil {
		return &kvrpcpb.RawBatchGetResponse{RegionError: e}, err
	}
	res := &kvrpcpb.RawBatchGetResponse{}
	for _, k := range r.Keys {
		if value, ok := f.w.pairs[string(k)]; ok {
			res.Pairs = append(res.Pairs, &kvrpcpb.KvPair{Key: k, Value: []byte(value)})
		}
	}
	if e := f.w.tooLarge(res.Pairs); e != nil {
		return &kvrpcpb.RawBatchGetResponse{RegionError: e}, nil
	}
	return res, nil
}

// tooLarge refuses an answer of more pairs than mostAtOnce as a store does.
func (w *world) tooLarge(pairs []*kvrpcpb.KvPair) *errorpb.Error {
	if w.mostAtOnce == 0 || len(pairs) <= w.mostAtOnce {
		return nil
	}
	return &errorpb.Error{Message: "too large", RaftEntryTooLarge: &errorpb.RaftEntryTooLarge{EntrySize: 1 << 20}}
}

func (f *fakeStore) RawBatchPut(_ context.Context, r *kvrpcpb.RawBatchPutRequest) (*kvrpcpb.RawBatchPutResponse,
	error) {
	defer f.lock()()
	var keys [][]byte
	for _, p := range r.Pairs {
		keys = append(keys, p.Key)
	}
	if e, err := f.check("RawBatchPut", r.Context, keys...); e != nil || err != nil {
		return &kvrpcpb.RawBatchPutResponse{RegionError: e}, err
	}
	for _, p := range r.Pairs {
		f.w.pairs[string(p.Key)] = string(p.Value)
	}
	return &kvrpcpb.RawBatchPutResponse{}, nil
}

func (f *fakeStore) RawBatchDelete(_ context.Context,
	r *kvrpcpb.RawBatchDeleteRequest) (*kvrpcpb.RawBatchDeleteResponse, error) {
	defer f.lock()()
	if e, err := f.check("RawBatchDelete", r.Context, r.Keys...); e != nil || err != nil {
		return &kvrpcpb.RawBatchDeleteResponse{RegionError: e}, err
	}
	for _, k := range r.Keys {
		delete(f.w.pairs, string(k))
	}
	return &kvrpcpb.RawBatchDeleteResponse{}, nil
}

// inRange returns the keys of a range in order. It refuses a range that leaves the region: a client has to clip.
func (f *fakeStore) inRange(call string, kv *kvrpcpb.Context, keys region.Range) ([]string, *errorpb.Error, error) {
	if e, err := f.check(call, kv); e != nil || err != nil {
		return nil, e, err
	}
	i := slices.IndexFunc(f.w.truth, func(r region.Region) bool { return r.ID == kv.GetRegionId() })
	if r := f.w.truth[i]; !r.Range.Intersect(keys).Equal(keys) {
		return nil, nil, status.Errorf(codes.Internal, "%s: range %v in a request to region %d %v", call, keys, r.ID,
			r.Range)
	}
	var found []string
	for k := range f.w.pairs {
		if keys.Contains([]byte(k)) {
			found = append(found, k)
		}
	}
	slices.Sort(found)
	return found, nil, nil
}

func (f *fakeStore) RawScan(_ context.Context, r *kvrpcpb.RawScanRequest) (*kvrpcpb.RawScanResponse, error) {
	defer f.lock()()
	keys := region.Range{Start: r.StartKey, End: r.EndKey}
	if r.Reverse {
		keys = region.Range{Start: r.EndKey, End: r.StartKey}
	}
	found, e, err := f.inRange("RawScan", r.Context, keys)
	if e != nil || err != nil {
		return &kvrpcpb.RawScanResponse{RegionError: e}, err
	}
	if r.Reverse {
		slices.SortFunc(found, func(a, b string) int { return cmp.Compare(b, a) })
	}
	res := &kvrpcpb.RawScanResponse{}
	for _, k := range found[:min(len(found), int(r.Limit))] {
		p := &kvrpcpb.KvPair{Key: []byte(k)}
		if !r.KeyOnly {
			p.Value = []byte(f.w.pairs[k])
		}
		res.Kvs = append(res.Kvs, p)
	}
	if e := f.w.tooLarge(res.Kvs); e != nil {
		return &kvrpcpb.RawScanResponse{RegionError: e}, nil
	}
	return res, nil
}

func (f *fakeStore) RawDeleteRange(_ context.Context,
	r *kvrpcpb.RawDeleteRangeRequest) (*kvrpcpb.RawDeleteRangeResponse, error) {
	defer f.lock()()
	found, e, err := f.inRange("RawDeleteRange", r.Context, region.Range{Start: r.StartKey, End: r.EndKey})
	for _, k := range found {
		delete(f.w.pairs, k)
	}
	return &kvrpcpb.RawDeleteRangeResponse{RegionError: e}, err
}

func (f *fakeStore) RawChecksum(_ context.Context, r *kvrpcpb.RawChecksumRequest) (*kvrpcpb.RawChecksumResponse,
	error) {
	defer f.lock()()
	res := &kvrpcpb.RawChecksumResponse{}
	for _, keys := range r.Ranges {
		found, e, err := f.inRange("RawChecksum", r.Context, region.Range{Start: keys.StartKey, End: keys.EndKey})
		if e != nil || err != nil {
			return &kvrpcpb.RawChecksumResponse{RegionError: e}, err
		}
		for _, k := range found { // not the real sum: the client only adds up
			res.Checksum ^= uint64(len(k)*31 + len(f.w.pairs[k]))
			res.TotalKvs++
			res.TotalBytes += uint64(len(k) + len(f.w.pairs[k]))
		}
	}
	return res, nil
}

func (f *fakeStore) RawGetKeyTTL(_ context.Context, r *kvrpcpb.RawGetKeyTTLRequest) (*kvrpcpb.RawGetKeyTTLResponse,
	error) {
	defer f.lock()()
	if e, err := f.check("RawGetKeyTTL", r.Context, r.Key); e != nil || err != nil {
		return &kvrpcpb.RawGetKeyTTLResponse{RegionError: e}, err
	}
	_, ok := f.w.pairs[string(r.Key)]
	return &kvrpcpb.RawGetKeyTTLResponse{NotFound: !ok, Ttl: 7}, nil
}

func (f *fakeStore) RawCompareAndSwap(_ context.Context, r *kvrpcpb.RawCASRequest) (*kvrpcpb.RawCASResponse, error) {
	defer f.lock()()
	if e, err := f.check("RawCompareAndSwap", r.Context, r.Key); e != nil || err != nil {
		return &kvrpcpb.RawCASResponse{RegionError: e}, err
	}
	old, ok := f.w.pairs[string(r.Key)]
	res := &kvrpcpb.RawCASResponse{PreviousNotExist: !ok, PreviousValue: []byte(old)}
	if r.PreviousNotExist && !ok || !r.PreviousNotExist && ok && old == string(r.PreviousValue) {
		res.Succeed = true
		f.w.pairs[string(r.Key)] = string(r.Value)
	}
	return res, nil
}

// BatchCommands answers each request of a frame by itself, the last first.
func (f *fakeStore) BatchCommands(stream tikvpb.Tikv_BatchCommandsServer) error {
	for {
		frame, err := stream.Recv()
		if err != nil {
			return nil
		}
		f.w.set(func() { f.w.calls["frame"]++ })
		answers := &tikvpb.BatchCommandsResponse{}
		for i, req := range slices.Backward(frame.Requests) {
			res, err := f.dispatch(stream.Context(), req)
			if err != nil {
				return err
			}
			answers.Responses = append(answers.Responses, res)
			answers.RequestIds = append(answers.RequestIds, frame.RequestIds[i])
		}
		if err := stream.Send(answers); err != nil {
			return err
		}
	}
}

// answer is one of a frame.
type answer = tikvpb.BatchCommandsResponse_Response

func (f *fakeStore) dispatch(
	ctx context.Context, req *tikvpb.BatchCommandsRequest_Request,
) (*answer, error) {
	switch cmd := req.Cmd.(type) {
	case *tikvpb.BatchCommandsRequest_Request_RawGet:
		res, err := f.RawGet(ctx, cmd.RawGet)
		return &answer{Cmd: &tikvpb.BatchCommandsResponse_Response_RawGet{RawGet: res}}, err
	case *tikvpb.BatchCommandsRequest_Request_RawPut:
		res, err := f.RawPut(ctx, cmd.RawPut)
		return &answer{Cmd: &tikvpb.BatchCommandsResponse_Response_RawPut{RawPut: res}}, err
	case *tikvpb.BatchCommandsRequest_Request_RawDelete:
		res, err := f.RawDelete(ctx, cmd.RawDelete)
		return &answer{Cmd: &tikvpb.BatchCommandsResponse_Response_RawDelete{RawDelete: res}}, err
	case *tikvpb.BatchCommandsRequest_Request_RawBatchGet:
		res, err := f.RawBatchGet(ctx, cmd.RawBatchGet)
		return &answer{Cmd: &tikvpb.BatchCommandsResponse_Response_RawBatchGet{RawBatchGet: res}}, err
	case *tikvpb.BatchCommandsRequest_Request_RawBatchPut:
		res, err := f.RawBatchPut(ctx, cmd.RawBatchPut)
		return &answer{Cmd: &tikvpb.BatchCommandsResponse_Response_RawBatchPut{RawBatchPut: res}}, err
	case *tikvpb.BatchCommandsRequest_Request_RawBatchDelete:
		res, err := f.RawBatchDelete(ctx, cmd.RawBatchDelete)
		return &tikvpb.BatchCommandsResponse_Response{
			Cmd: &tikvpb.BatchCommandsResponse_Response_RawBatchDelete{RawBatchDelete: res}}, err
	case *tikvpb.BatchCommandsRequest_Request_RawScan:
		res, err := f.RawScan(ctx, cmd.RawScan)
		return &answer{Cmd: &tikvpb.BatchCommandsResponse_Response_RawScan{RawScan: res}}, err
	case *tikvpb.BatchCommandsRequest_Request_RawDeleteRange:
		res, err := f.RawDeleteRange(ctx, cmd.RawDeleteRange)
		return &tikvpb.BatchCommandsResponse_Response{
			Cmd: &tikvpb.BatchCommandsResponse_Response_RawDeleteRange{RawDeleteRange: res}}, err
	}
	return nil, status.Errorf(codes.Unimplemented, "%T", req.Cmd)
}

// short is a context that ends soon, for calls that cannot succeed.
func short(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

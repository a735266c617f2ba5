// Clients of other versions of the API: what they are told.

package interop_test

import (
	"context"
	"testing"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/tikv/client-go/v2/rawkv"
)

// With TiKV, times to live are a mode of the whole cluster, and clients have to say that they mean it. Here every key
// may have one, so the two kinds of client are served alike and see the same data.
func TestClientOfClustersWithTimesToLive(t *testing.T) {
	server := start(t, "pebble")
	plain := connect(t, server.Scheduler)
	client, err := rawkv.NewClientWithOpts(t.Context(), []string{server.Scheduler},
		rawkv.WithAPIVersion(kvrpcpb.APIVersion_V1TTL))
	check(t, err)
	defer client.Close()

	check(t, client.BatchPutWithTTL(t.Context(), keysOf("a", "b"), keysOf("1", "2"), []uint64{1000, 0}))
	check(t, plain.Put(t.Context(), []byte("c"), []byte("3")))
	wantKeys(t, plain, "a", "b", "c")
	wantKeys(t, client, "a", "b", "c")
	ttl, err := plain.GetKeyTTL(t.Context(), []byte("a"))
	check(t, err)
	if ttl == nil || *ttl == 0 || *ttl > 1000 {
		t.Errorf("time to live: got %v, want 1000 s or a little less", ttl)
	}
}

// Version 2 puts a tenant's id before each key, and the client asks for the tenant first. There are none here.
func TestClientOfTenantsIsRefusedAtOnce(t *testing.T) {
	server := start(t, "pebble")
	ctx, cancel := context.WithTimeout(t.Context(), prompt)
	defer cancel()
	client, err := rawkv.NewClientWithOpts(ctx, []string{server.Scheduler},
		rawkv.WithAPIVersion(kvrpcpb.APIVersion_V2), rawkv.WithKeyspace("tenant"))
	if err == nil {
		client.Close()
		t.Fatal("a client of version 2 was made; its keys would be mixed with those of others")
	}
	if ctx.Err() != nil {
		t.Errorf("the client was still trying after %v: %v", prompt, err)
	}
}

// A client that lives through the end of the server: it finds the next one by itself, and every write that was
// acknowledged is there.

package interop_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tikv/client-go/v2/rawkv"

	"tinykv/kv/interop/process"
)

// recovery is how long a client may take until it works again: it backs off for up to 20 s on its own.
const recovery = 30 * time.Second

func TestClientLivesThroughARestart(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel() // it mostly waits
			t.Run("stopped", func(t *testing.T) {
				restart(t, engine, func(server *process.Server) {
					check(t, server.Stop())
				})
			})
			t.Run("killed", func(t *testing.T) {
				restart(t, engine, func(server *process.Server) {
					server.Kill()
				})
			})
		})
	}
}

func restart(t *testing.T, engine string, end func(*process.Server)) {
	options := process.Options{Dir: t.TempDir(), Engine: engine}
	server := startWith(t, options)
	client := connect(t, server.Scheduler)
	cluster := client.ClusterID()

	put(t, client, "before")
	check(t, client.PutWithTTL(t.Context(), []byte("mortal"), []byte("v"), 1000))
	acknowledged := writeUntil(t, client, func() { end(server) })

	options.Store, options.Scheduler, options.Status = server.Store, server.Scheduler, server.Status
	startWith(t, options)
	ctx, cancel := context.WithTimeout(t.Context(), recovery)
	defer cancel()
	value, err := client.Get(ctx, []byte("before"))
	check(t, err)
	if string(value) != "value of before" {
		t.Errorf("after the restart: got %q", value)
	}
	for i := range acknowledged {
		key := numbered(i)
		value, err := client.Get(ctx, key)
		check(t, err)
		if string(value) != string(key) {
			t.Errorf("write %d of %d was acknowledged before the end; after the restart it reads %q", i, acknowledged, value)
		}
	}
	ttl, err := client.GetKeyTTL(ctx, []byte("mortal"))
	check(t, err)
	if ttl == nil || *ttl == 0 || *ttl > 1000 {
		t.Errorf("time to live after the restart: %v", ttl)
	}
	put(t, client, "after")
	if again := connect(t, server.Scheduler); again.ClusterID() != cluster {
		t.Errorf("the cluster's id was %d before the restart and is %d after it", cluster, again.ClusterID())
	}
}

// writeUntil writes numbered keys, ends the server in the middle, and returns how many writes were acknowledged.
func writeUntil(t *testing.T, client *rawkv.Client, end func()) int {
	t.Helper()
	const enough = 200
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	acknowledged := 0
	warm := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for ; ctx.Err() == nil; acknowledged++ {
			if err := client.Put(ctx, numbered(acknowledged), numbered(acknowledged)); err != nil {
				return
			}
			if acknowledged == enough {
				close(warm)
			}
		}
	}()
	select {
	case <-warm:
	case <-time.After(recovery):
		t.Errorf("%d writes took more than %v", enough, recovery)
	}
	end()
	cancel()
	<-stopped
	return acknowledged
}

func numbered(i int) []byte { return fmt.Appendf(nil, "write-%06d", i) }

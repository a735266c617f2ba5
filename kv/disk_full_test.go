// A disk that takes no more, under a store of a cluster: the limit on the size of files stands for it.

//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"tinykv/kv/client"
)

func TestAStoreWithAFullDiskSaysSoAndTheOthersGoOn(t *testing.T) {
	t.Parallel() // it mostly waits
	c := newCrew(t)
	c.startScheduler()
	const full = 2
	limited := append([]string{"-c", `ulimit -f 4096; exec "$0" "$@"`, os.Args[0]}, c.args(full)...) // 2 or 4 MiB
	c.stores[full] = launch(t, exec.CommandContext(t.Context(), "sh", limited...))
	c.start(1, 3)
	c.awaitReady(1, 2, 3)
	kv := c.connect().Raw()
	if c.leader() != full { // the harder case: who acknowledges is who fails
		_ = (&playStore{status: c.status[c.leader()]}).order(t.Context(), "/leader", full) // it may be that nobody leads just now
	}
	last := map[string]string{} // key -> the value that was acknowledged last
	value := make([]byte, 200<<10)
	for i := 0; !c.failed(full); i++ {
		if i > 200 {
			t.Fatal("40 MiB were written and the limit was not met")
		}
		key, text := fmt.Sprint("k", i%5), fmt.Sprint(i)
		copy(value, text+":")
		switch err := kv.Put(within(t, verifyLimit), []byte(key), value); {
		case err == nil:
			last[key] = text
		case errors.Is(err, client.ErrUndetermined):
			delete(last, key) // nobody knows
		default:
			t.Fatal(err)
		}
	}
	c.stores[full].awaitLog("a disk failed")
	c.notServing(full)
	for key, text := range last {
		got, found, err := kv.Get(within(t, verifyLimit), []byte(key))
		if err != nil || !found || string(got[:len(text)+1]) != text+":" {
			t.Errorf("%s is %.10q, %v, %v; acknowledged was %s", key, got, found, err, text)
		}
	}
	if err := kv.Put(within(t, verifyLimit), []byte("k"), []byte("v")); err != nil {
		t.Errorf("the two that are well do not go on: %v", err)
	}
	c.stores[full].stop()
	c.start(full) // the disk has room again
	c.awaitReady(full)
	for deadline := time.Now().Add(readyLimit); ; time.Sleep(10 * time.Millisecond) {
		facts, err := (&playStore{status: c.status[full]}).ask(t.Context())
		leads, _ := (&playStore{status: c.status[c.leader()]}).ask(t.Context())
		if err == nil && len(facts.Regions) == 1 && len(leads.Regions) == 1 && facts.Regions[0].Applied == leads.Regions[0].Applied {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the store does not catch up: %+v, the leader %+v", facts, leads)
		}
	}
}

// failed tells whether a store says that its disk has failed.
func (c *crew) failed(id uint64) bool {
	facts, err := (&playStore{status: c.status[id]}).ask(c.t.Context())
	return err == nil && facts.Failure != ""
}

// notServing insists that a store says to everybody that it does not serve.
func (c *crew) notServing(id uint64) {
	c.t.Helper()
	conn, err := grpc.NewClient(c.peers[id], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	health, err := grpc_health_v1.NewHealthClient(conn).Check(within(c.t, verifyLimit), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || health.GetStatus() != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		c.t.Errorf("gRPC health is %v, %v", health, err)
	}
	req, err := http.NewRequestWithContext(context.WithoutCancel(c.t.Context()), http.MethodGet, "http://"+c.status[id]+"/healthz", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		c.t.Errorf("/healthz is %d", resp.StatusCode)
	}
}

// What strangers and mistaken stores may send to the port of a store: everything. Each is refused with a reason that is
// counted, and the cluster goes on.

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"tinykv/kv/command"
	"tinykv/kv/engine"
	"tinykv/kv/region"
	"tinykv/proto/storepb"
)

// counters are all metrics of a store, by name and labels.
func (c *crew) counters(id uint64) map[string]float64 {
	c.t.Helper()
	req, err := http.NewRequestWithContext(within(c.t, readyLimit), http.MethodGet, "http://"+c.status[id]+"/metrics", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	values := map[string]float64{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z_]+(?:{[^}]*})?) (\S+)$`).FindAllStringSubmatch(string(text), -1) {
		values[m[1]], _ = strconv.ParseFloat(m[2], 64)
	}
	return values
}

// awaitCount waits until a metric of a store has grown by one at least.
func (c *crew) awaitCount(id uint64, before map[string]float64, name string) {
	c.t.Helper()
	for deadline := time.Now().Add(readyLimit); ; time.Sleep(20 * time.Millisecond) {
		now := c.counters(id)
		if _, ok := now[name]; !ok {
			c.t.Fatalf("there is no metric %s", name)
		}
		if now[name] > before[name] {
			return
		}
		if time.Now().After(deadline) {
			c.t.Errorf("%s stays at %v", name, now[name])
			return
		}
	}
}

// intruder speaks to a store as if it were one.
type intruder struct {
	t      *testing.T
	client storepb.StoreClient
	hello  *storepb.Hello // a good one
	first  region.Region
}

func (c *crew) intrude(id, as uint64) *intruder {
	c.t.Helper()
	conn, err := grpc.NewClient(c.peers[id], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	facts, err := (&playStore{id: id, status: c.status[id]}).ask(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return &intruder{t: c.t, client: storepb.NewStoreClient(conn), first: c.peers.firstRegion(),
		hello: &storepb.Hello{ClusterId: facts.ClusterID, FromStore: as, ToStore: id, Version: 1}}
}

// message is a heartbeat of the next terms from the peer of one store to that of another, with changes.
func (i *intruder) message(from, to, term uint64, change func(*storepb.Message)) *storepb.Message {
	a, _ := i.first.PeerOn(from)
	b, _ := i.first.PeerOn(to)
	m := &storepb.Message{RegionId: i.first.ID, FromPeer: a.ID, ToPeer: b.ID, ConfVer: 1, Version: 1,
		Type: storepb.MessageType_HEARTBEAT, Term: term}
	if change != nil {
		change(m)
	}
	return m
}

// say opens a stream and sends one frame. What comes back is of no interest.
func (i *intruder) say(h *storepb.Hello, messages ...*storepb.Message) {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(i.t.Context(), readyLimit)
	defer cancel()
	stream, err := i.client.Raft(ctx)
	if err != nil {
		i.t.Fatal(err)
	}
	if err := stream.Send(&storepb.Frame{Hello: h, Messages: messages}); err != nil && err != io.EOF {
		i.t.Fatal(err)
	}
	_, _ = stream.CloseAndRecv()
}

func TestStoresRefuseWhatNoStoreOfTheirClusterSays(t *testing.T) {
	t.Parallel() // it mostly waits
	c := newCrew(t)
	c.begin()
	kv := c.connect().Raw()
	if err := kv.Put(within(t, verifyLimit), []byte("k"), []byte("v")); err != nil {
		t.Fatal(err)
	}
	leader := c.leader()
	victim := 1 + leader%3
	var facts serverStatus
	for deadline := time.Now().Add(readyLimit); ; time.Sleep(10 * time.Millisecond) {
		var err error
		if facts, err = (&playStore{id: victim, status: c.status[victim]}).ask(t.Context()); err != nil {
			t.Fatal(err)
		}
		if facts.Regions[0].Applied >= 7 { // it has what was written
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the follower does not catch up: %+v", facts)
		}
	}
	term := facts.Regions[0].Term
	i := c.intrude(victim, 9)
	hello := func(change func(*storepb.Hello)) *storepb.Hello {
		h := &storepb.Hello{ClusterId: i.hello.ClusterId, FromStore: 9, ToStore: victim, Version: 1}
		change(h)
		return h
	}
	good := func() *storepb.Hello { return hello(func(*storepb.Hello) {}) }
	entry, err := command.Encode(command.Write{Epoch: i.first.Epoch, Batch: new(engine.Batch)})
	if err != nil {
		t.Fatal(err)
	}
	entry[len(entry)-1] ^= 1
	stream := func(what string) string { return fmt.Sprintf(`tinykv_transport_streams_total{what=%q}`, what) }
	refused := func(reason string) string { return fmt.Sprintf(`tinykv_store_refused_total{reason=%q}`, reason) }
	// The messages are from the leader's peer, but of another store, if nothing else is said: store 9 has no peer.
	stranger := func(m *storepb.Message) { m.FromPeer = 999 }
	for _, act := range []struct {
		name, counted string
		hello         *storepb.Hello
		change        func(*storepb.Message)
	}{
		{"another cluster", stream("refused_cluster"), hello(func(h *storepb.Hello) { h.ClusterId++ }), nil},
		{"another store", stream("refused_store"), hello(func(h *storepb.Hello) { h.ToStore = leader }), nil},
		{"the store itself", stream("refused_store"), hello(func(h *storepb.Hello) { h.FromStore = victim }), nil},
		{"another version", stream("refused_version"), hello(func(h *storepb.Hello) { h.Version = 2 }), nil},
		{"no hello", stream("refused_malformed"), nil, nil},
		{"no region", stream("refused_malformed"), good(), func(m *storepb.Message) { m.RegionId = 0 }},
		{"in the leader's name", refused("bad_message"), good(), func(m *storepb.Message) { m.Term = term + 1 }},
		{"an unknown region", refused("unknown_region"), good(), func(m *storepb.Message) {
			m.RegionId, m.Type = 77, storepb.MessageType_APPEND_RESPONSE
		}},
		{"another peer", refused("stale_peer"), good(), func(m *storepb.Message) { m.ToPeer = 3 }},
		{"a peer of the absurd future", refused("bad_message"), good(), func(m *storepb.Message) {
			m.ToPeer, m.ConfVer = 1<<60, 1<<60
		}},
		{"an answer to a peer to come", refused("stale_peer"), good(), func(m *storepb.Message) {
			m.ToPeer, m.ConfVer, m.Type = 1<<60, 2, storepb.MessageType_APPEND_RESPONSE
		}},
		{"a removed peer", refused("stale_epoch"), good(), func(m *storepb.Message) { stranger(m); m.ConfVer = 0 }},
		{"an answer of a stranger", refused("unknown_sender"), good(), func(m *storepb.Message) {
			stranger(m)
			m.Type = storepb.MessageType_APPEND_RESPONSE
		}},
		{"an absurd term", refused("bad_message"), good(), func(m *storepb.Message) { stranger(m); m.Term = 1 << 63 }},
		{"a candidate's absurd log", refused("bad_message"), good(), func(m *storepb.Message) {
			stranger(m)
			m.Type, m.Force, m.Term, m.LogTerm, m.Index = storepb.MessageType_VOTE, true, term+1, 1<<60, 1<<60
		}},
		{"an append with a gap", refused("bad_message"), good(), func(m *storepb.Message) {
			stranger(m)
			m.Type, m.Term, m.Index, m.LogTerm = storepb.MessageType_APPEND, term+1, 6, term
			m.Entries = []*storepb.Entry{{Index: 9, Term: term}}
		}},
		{"an entry that is damaged", refused("bad_entry"), good(), func(m *storepb.Message) {
			stranger(m)
			m.Type, m.Term, m.Index, m.LogTerm = storepb.MessageType_APPEND, term+1, 6, term
			m.Entries = []*storepb.Entry{{Index: 7, Term: term, Data: entry}}
		}},
	} {
		before := c.counters(victim)
		i.say(act.hello, i.message(leader, victim, term, act.change))
		c.awaitCount(victim, before, act.counted)
		now, err := (&playStore{id: victim, status: c.status[victim]}).ask(t.Context())
		if err != nil {
			t.Fatalf("after %s: %v", act.name, err)
		}
		if r := now.Regions; len(r) != 1 || r[0].Term != term || r[0].LeaderStore != leader || r[0].Applied < 7 {
			t.Errorf("after %s: %+v", act.name, r)
		}
	}
	if v, _, err := kv.Get(within(t, verifyLimit), []byte("k")); string(v) != "v" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	if err := kv.Put(within(t, verifyLimit), []byte("k"), []byte("w")); err != nil {
		t.Error(err)
	}
	if text := c.stores[victim].stderr(); !strings.Contains(text, "look up who has this address") ||
		!strings.Contains(text, "correct the address of store") {
		t.Errorf("its log does not say what to do:\n%s", text)
	}
}

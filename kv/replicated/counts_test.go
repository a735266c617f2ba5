// What a put costs all three stores together: syncs, messages, entries. In virtual time, so the figures are those of the
// code and not of the machine: a sync takes about a millisecond, and a client is a tenth of that away.

package replicated

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/replica"
	"tinykv/raft"
)

// traffic counts what stores send to each other for the sake of writes.
type traffic struct {
	mu       sync.Mutex
	messages int // appends and their acknowledgements
	entries  int // in them
}

// counted is a transport that tells its traffic.
type counted struct {
	Transport
	traffic *traffic
}

func (c counted) Send(to uint64, messages []replica.Message) {
	c.traffic.mu.Lock()
	for i := range messages {
		switch m := &messages[i].Raft; m.Type {
		case raft.MsgApp, raft.MsgAppResp:
			c.traffic.messages++
			c.traffic.entries += len(m.Entries)
		}
	}
	c.traffic.mu.Unlock()
	c.Transport.Send(to, messages)
}

// slowLog is a log whose syncs take 0.8 to 1.2 ms.
type slowLog struct {
	raftlog.Log
	rng *rand.Rand
}

func (l slowLog) Write(b *raftlog.Batch, d engine.Durability) error {
	err := l.Log.Write(b, d)
	if d == engine.Synced {
		time.Sleep(800*time.Microsecond + time.Duration(l.rng.Int64N(int64(400*time.Microsecond))))
	}
	return err
}

// putMany lets clients put one key after the other, and returns how many puts there were.
func putMany(w *world, leader *node, clients, each int) int {
	var wait sync.WaitGroup
	for c := range clients {
		rng := rand.New(rand.NewPCG(uint64(c), 9))
		wait.Go(func() {
			for i := range each {
				time.Sleep(50*time.Microsecond + time.Duration(rng.Int64N(int64(100*time.Microsecond))))
				if err := leader.write(fmt.Sprintf("k%d/%d", c, i%10), fmt.Sprint(i)); err != nil {
					w.Error(err)
				}
			}
		})
	}
	wait.Wait()
	return clients * each
}

func (w *world) syncs() (log, data int) {
	for _, n := range w.nodes {
		log += n.log.Stats().Syncs
		data += n.data.Stats().Syncs
	}
	return log, data
}

func TestSyncsMessagesAndEntriesOfAPut(t *testing.T) {
	for _, c := range []struct {
		clients, each int
		syncs         float64 // for a put at most, of all three logs
		messages      float64
	}{
		{clients: 1, each: 500, syncs: 3.1, messages: 4.1},
		{clients: 16, each: 200, syncs: 0.9, messages: 1.2},
		{clients: 100, each: 50, syncs: 0.25, messages: 0.35},
	} {
		t.Run(fmt.Sprintf("%d clients", c.clients), func(t *testing.T) {
			var sent traffic
			edit := func(o *Options) {
				o.Log = slowLog{o.Log, rand.New(rand.NewPCG(o.StoreID, 8))}
				connect := o.Connect
				o.Connect = func(s *Store) Transport { return counted{connect(s), &sent} }
			}
			inWorld(t, 3, edit, func(w *world) {
				leader := w.leader(1, 2, 3)
				if err := leader.write("first", "v"); err != nil {
					w.Fatal(err)
				}
				w.same(w.all()...)
				logSyncs, dataSyncs := w.syncs()
				before, last := traffic{messages: sent.messages, entries: sent.entries}, leader.view().Last
				puts := putMany(w, leader, c.clients, c.each)
				appended := leader.view().Last - last
				w.same(w.all()...)
				logged, data := w.syncs()
				per := func(n int) float64 { return float64(n) / float64(puts) }
				syncs, messages := per(logged-logSyncs), per(sent.messages-before.messages)
				t.Logf("for a put: %.3f syncs of logs, %.3f messages, %.3f entries sent", syncs, messages,
					per(sent.entries-before.entries))
				if syncs > c.syncs || messages > c.messages {
					t.Errorf("%.3f syncs and %.3f messages for a put, at most %.2f and %.2f", syncs, messages, c.syncs,
						c.messages)
				}
				if data != dataSyncs {
					t.Errorf("%d syncs of the data stores, want none", data-dataSyncs)
				}
				if appended != uint64(puts) || sent.entries-before.entries != 2*puts {
					t.Errorf("%d puts: %d entries in the log, %d sent; want one each, and one to each follower", puts,
						appended, sent.entries-before.entries)
				}
			})
		})
	}
}

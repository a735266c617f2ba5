// What a put costs three real stores, by their own counters. How many clients share a sync depends on the disk and the
// processor; the bounds that are held whatever they are: kv/replicated/counts_test.go.

package main

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// counted adds up what all stores count under each of the names.
func (c *crew) counted(names ...string) map[string]float64 {
	c.t.Helper()
	sums := map[string]float64{}
	for id := range c.stores {
		request, err := http.NewRequestWithContext(within(c.t, verifyLimit), http.MethodGet, "http://"+c.status[id]+"/metrics", nil)
		if err != nil {
			c.t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			c.t.Fatal(err)
		}
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			for _, name := range names {
				var n float64
				if rest, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
					_, _ = fmt.Sscan(rest, &n)
					sums[name] += n
				}
			}
		}
		answer.Body.Close()
	}
	return sums
}

func TestSyncsOfAPutByTheCountersOfRealStores(t *testing.T) {
	t.Parallel() // it mostly waits
	const logSyncs, dataSyncs, sent = "tinykv_store_log_syncs_total", "tinykv_store_data_syncs_total", "tinykv_store_messages_sent_total"
	c := newCrew(t)
	c.more = []string{"--tick", "100ms"}
	c.begin()
	kv := c.connect().Raw()
	alone := 0.0
	for _, clients := range []int{1, 16, 100} {
		each := 1500/clients + 15
		before := c.counted(logSyncs, dataSyncs, sent)
		var wait sync.WaitGroup
		for w := range clients {
			wait.Go(func() {
				for i := range each {
					if err := kv.Put(within(t, verifyLimit), fmt.Appendf(nil, "k%d/%d", w, i), make([]byte, 256)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wait.Wait()
		after := c.counted(logSyncs, dataSyncs, sent)
		per := func(name string) float64 { return (after[name] - before[name]) / float64(clients*each) }
		t.Logf("%3d clients: %.3f syncs of logs and %.3f messages for a put, of all three stores", clients, per(logSyncs), per(sent))
		if after[dataSyncs] != before[dataSyncs] {
			t.Errorf("%d clients: %v syncs of the data stores", clients, after[dataSyncs]-before[dataSyncs])
		}
		switch syncs := per(logSyncs); {
		case clients == 1 && (syncs < 2 || syncs > 3.1):
			t.Errorf("one client: %.3f syncs for a put, want one of each store", syncs)
		case clients == 1:
			alone = syncs
		case syncs > alone/2:
			t.Errorf("%d clients: %.3f syncs for a put, which is hardly shared", clients, syncs)
		}
	}
}

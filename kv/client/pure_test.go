// What is decided without I/O: the cache, the pauses, the verdicts. And the pauses as a caller sees them, in virtual
// time.

package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tinykv/kv/region"
	"tinykv/kv/region/regionpb"
	"tinykv/proto/errorpb"
	"tinykv/proto/kvrpcpb"
)

// reg is "id start-end version"; "." is no bound. It has peers id*10+1 to id*10+3 on stores 1 to 3.
func reg(text string) region.Region {
	var bounds string
	r := region.Region{Epoch: region.Epoch{ConfVer: 1}}
	fmt.Sscan(text, &r.ID, &bounds, &r.Epoch.Version)
	start, end, _ := strings.Cut(strings.ReplaceAll(bounds, ".", ""), "-")
	r.Range = region.Range{Start: []byte(start), End: []byte(end)}
	for store := uint64(1); store <= 3; store++ {
		r.Peers = append(r.Peers, region.Peer{ID: r.ID*10 + store, StoreID: store})
	}
	return r
}

func (c *cache) String() string {
	var words []string
	for _, e := range c.entries {
		words = append(words, fmt.Sprintf("%d:%s-%s@%d", e.region.ID, e.region.Range.Start, e.region.Range.End,
			e.peer.StoreID))
	}
	return strings.Join(words, " ")
}

func TestTheCacheLearnsWhatIsNewer(t *testing.T) {
	for _, c := range []struct {
		learn []string
		want  string
	}{
		{[]string{"1 .-. 1", "1 .-g 2"}, "1:-g@1"},
		{[]string{"1 .-g 2", "1 .-. 1"}, "1:-g@1"}, // the scheduler's answer is older than what a store said
		{[]string{"1 .-g 2", "2 g-. 2"}, "1:-g@1 2:g-@1"},
		{[]string{"1 .-g 2", "2 g-. 2", "3 .-. 1"}, "1:-g@1 2:g-@1"},
		{[]string{"1 .-g 2", "2 g-. 2", "3 .-. 3"}, "3:-@1"},
		{[]string{"1 .-g 2", "2 f-. 2"}, "2:f-@1"}, // equal: the later answer counts
		{[]string{"1 .-g 2", "1 .-g 2"}, "1:-g@1"},
		{[]string{"1 g-a 2"}, ""},
	} {
		var got cache
		for _, text := range c.learn {
			r := reg(text)
			got.learn(r, r.Peers[0])
		}
		if got.String() != c.want {
			t.Errorf("learn %v: %q, want %q", c.learn, got.String(), c.want)
		}
	}
}

func TestTheCacheFindsTheRegionOfAKeyAndTheOneBefore(t *testing.T) {
	var c cache
	for _, text := range []string{"1 .-g 1", "2 g-p 1", "3 t-. 1"} {
		c.learn(reg(text), region.Peer{})
	}
	for _, q := range []struct {
		key          string
		find, before uint64
	}{
		{"", 1, 3}, {"a", 1, 1}, {"g", 2, 1}, {"h", 2, 2}, {"p", 0, 2}, {"q", 0, 0}, {"t", 3, 0}, {"u", 3, 3},
	} {
		at, ok := c.find([]byte(q.key))
		if at.region.ID != q.find || ok != (q.find != 0) {
			t.Errorf("find %q: %d", q.key, at.region.ID)
		}
		at, ok = c.findBefore([]byte(q.key))
		if at.region.ID != q.before || ok != (q.before != 0) {
			t.Errorf("before %q: %d, want %d", q.key, at.region.ID, q.before)
		}
	}
}

func TestTheCacheTriesEachPeerBeforeItForgets(t *testing.T) {
	var c cache
	r := reg("1 .-. 1")
	c.learn(r, r.Peers[1])
	var asked []uint64
	for range 10 {
		at, ok := c.find([]byte("k"))
		if !ok {
			break
		}
		asked = append(asked, at.peer.StoreID)
		c.unreachable(at)
	}
	if fmt.Sprint(asked) != "[2 3 1]" {
		t.Errorf("asked %v", asked)
	}

	c.learn(r, r.Peers[0])
	stale := located{r, r.Peers[2]}
	c.unreachable(stale) // news of a peer that is asked no more changes nothing
	c.lead(r, r.Peers[2])
	c.lead(reg("1 .-. 9"), r.Peers[1]) // nor does news of another epoch
	if c.String() != "1:-@3" {
		t.Errorf("cache is %s", c.String())
	}
	c.lead(r, region.Peer{ID: 99, StoreID: 9})
	if c.String() != "" {
		t.Errorf("a leader that is no peer leaves %s", c.String())
	}
}

func TestPausesDoubleWithinBoundsAndFollowTheSeed(t *testing.T) {
	for why := range numReasons {
		p := paces[why]
		a, b := newBackoff(7), newBackoff(7)
		full := p.first
		for i := range 40 {
			got := a.pause(why, 0)
			if got < full/2 || got > full {
				t.Errorf("reason %d, pause %d is %v, want %v to %v", why, i, got, full/2, full)
			}
			if same := b.pause(why, 0); same != got {
				t.Errorf("the same seed gives %v and %v", got, same)
			}
			full = min(2*full, p.longest)
		}
	}
	if got := newBackoff(1).pause(staleRoute, time.Minute); got != time.Minute {
		t.Errorf("the store asked for a minute and got %v", got)
	}
}

func TestEveryRegionErrorHasAVerdict(t *testing.T) {
	hint := &errorpb.EpochNotMatch{}
	for _, c := range []struct {
		err  *errorpb.Error
		want verdict
	}{
		{&errorpb.Error{NotLeader: &errorpb.NotLeader{}}, verdict{elsewhere: true, why: noLeader}},
		{&errorpb.Error{EpochNotMatch: hint}, verdict{forgetRegion: true, why: staleRoute}},
		{&errorpb.Error{RegionNotFound: &errorpb.RegionNotFound{}}, verdict{forgetRegion: true, why: staleRoute}},
		{&errorpb.Error{StoreNotMatch: &errorpb.StoreNotMatch{}}, verdict{forgetRegion: true, forgetStore: true,
			why: staleRoute}},
		{&errorpb.Error{ServerIsBusy: &errorpb.ServerIsBusy{BackoffMs: 1 << 60}}, verdict{why: busy,
			asked: maxAskedPause}},
		{&errorpb.Error{RaftEntryTooLarge: &errorpb.RaftEntryTooLarge{}}, verdict{fatal: true}},
		{&errorpb.Error{StaleCommand: &errorpb.StaleCommand{}}, verdict{why: noLeader}},
		{&errorpb.Error{Message: "new"}, verdict{forgetRegion: true, why: staleRoute}},
	} {
		if got := judge(c.err); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%v: %+v, want %+v", c.err, got, c.want)
		}
	}
}

// script is a transport that answers with region errors, one per attempt, at once.
type script struct {
	answers []*errorpb.Error
	sent    []time.Duration // when, since the beginning
	began   time.Time
}

func (s *script) send(context.Context, string, request) (response, error) {
	s.sent = append(s.sent, time.Since(s.began))
	e := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	return &kvrpcpb.RawPutResponse{RegionError: e}, nil
}

func (s *script) close() error { return nil }

// scripted is a client that knows its way and sends to a script.
func scripted(t *testing.T, answers ...*errorpb.Error) (*Client, *script) {
	c, err := New(Options{Scheduler: []string{"unused:1"}, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	s := &script{answers: answers, began: time.Now()}
	c.stores = s
	r := reg("1 .-. 1")
	c.cache.learn(r, r.Peers[0])
	for store := uint64(1); store <= 3; store++ {
		c.addresses[store] = fmt.Sprintf("kv%d:1", store)
	}
	return c, s
}

func TestABusyStoreIsAskedAfterThePauseItWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := &errorpb.Error{ServerIsBusy: &errorpb.ServerIsBusy{BackoffMs: 1500}}
		c, s := scripted(t, busy, busy, nil)
		defer c.Close()
		if err := c.Raw().Put(t.Context(), []byte("a"), nil); err != nil {
			t.Fatal(err)
		}
		if len(s.sent) != 3 || s.sent[1] != 1500*time.Millisecond || s.sent[2] != 3*time.Second {
			t.Errorf("sent at %v", s.sent)
		}
	})
}

func TestAGoodHintCostsNoPauseButABadOneDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := reg("1 .-. 1")
		moved := func(store int) *errorpb.Error {
			p := r.Peers[store-1]
			return &errorpb.Error{NotLeader: &errorpb.NotLeader{Leader: regionpb.FromPeer(p)}}
		}
		c, s := scripted(t, moved(2), moved(1), moved(2), nil)
		defer c.Close()
		if err := c.Raw().Put(t.Context(), []byte("a"), nil); err != nil {
			t.Fatal(err)
		}
		if len(s.sent) != 4 || s.sent[1] != 0 || s.sent[2] == 0 || s.sent[3] <= s.sent[2] {
			t.Errorf("sent at %v", s.sent)
		}
	})
}

func TestWithoutADeadlineACallEndsAfterTheDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, &errorpb.Error{StaleCommand: &errorpb.StaleCommand{}})
		defer c.Close()
		err := c.Raw().Put(t.Context(), []byte("a"), nil)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(s.began) != DefaultTimeout {
			t.Errorf("after %v: %v", time.Since(s.began), err)
		}
		if n := len(s.sent); n < 20 || n > 200 {
			t.Errorf("%d attempts in %v", n, DefaultTimeout)
		}
	})
}

// Clients: who calls, what they are told, and what they do then.

package sim

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"tinykv/kv/region"
	"tinykv/kv/replica"
)

type callKind uint8

const (
	callPut callKind = iota + 1
	callDelete
	callGet
	callSwap  // put, and tell what was there before
	callClear // delete all keys of the family default, but the pair, as a range
)

var callNames = [...]string{"", "put", "delete", "get", "swap", "clear"}

func (k callKind) String() string { return callNames[k] }

// client makes one call after another, each with its own chance.
type client struct {
	number int
	rnd    *rand.Rand
	leader uint64 // whom it takes for the leader; 0: nobody
	epoch  region.Epoch
}

// call is what a client wants: to write some keys as one, or to read some keys out of one state. It is tried until it is
// answered, or its time is over.
type call struct {
	id      uint64
	client  *client
	kind    callKind
	keys    []int
	began   time.Duration
	attempt *attempt // the one that is under way; nil: between two
	text    string   // of a desk: what is put, behind the number that makes it unique
	once    bool     // of a desk: it is not tried again
	tries   int
	over    bool
	err     error // after it is over: nil if it was answered
	unknown bool  // it may have taken effect
}

// attempt is one request to one store. What it puts is put by no other.
type attempt struct {
	call    *call // nil: an operator's request
	id      uint64
	value   uint32
	process *process
	life    int

	reads bool   // it reads, or is about to; a swap reads first, and then writes
	old   uint32 // what a swap has read
	term  uint64 // in which it did

	acked  uint64       // what had been acknowledged to anybody when it came
	trusts replica.View // of a lease read
	ours   bool         // it is in the hands of the server, not of the store
	reply  reply
}

// reply is what a client hears of an attempt.
type reply struct {
	err    error
	lost   bool // the connection broke: nobody knows
	values []uint32
}

// What clients say of a call that failed without any store's word.
var (
	errNobody  = errors.New("nobody served it in time")
	errSilence = errors.New("no answer in time")
)

// errRefused is what the network says of a store that is down.
var errRefused = errors.New("connection refused")

// scheduleClients lets all clients work.
func (c *Cluster) scheduleClients() {
	for i := range c.clients {
		c.at(c.now+c.think(&c.clients[i]), event{kind: evNext, client: i})
	}
}

// think is how long a client waits before its next call.
func (c *Cluster) think(cl *client) time.Duration {
	return time.Duration(cl.rnd.Int64N(int64(2 * tick)))
}

// nextCall decides what a client calls.
func (c *Cluster) nextCall(cl *client) {
	if c.ending {
		return
	}
	d := Decision{Verb: VerbCall, Client: cl.number, Value: c.calls + 1}
	d.For = tick * time.Duration(5+cl.rnd.IntN(40))
	d.Store = cl.leader
	if d.Store == 0 || cl.rnd.IntN(8) == 0 {
		d.Store = 1 + cl.rnd.Uint64N(uint64(len(c.processes)))
	}
	d.Keys = c.chooseKeys(cl)
	switch n := cl.rnd.IntN(40); {
	case n < 18:
		d.What = "put"
	case n < 20:
		d.What = "delete"
	case n < 21:
		d.What, d.Keys = "clear", c.keyspace.cleared()
	case n < 24:
		d.What, d.Keys = "swap", d.Keys[:1]
	default:
		d.What = "get"
	}
	c.do(d)
}

// chooseKeys takes one key most often; the pair; or some keys at once.
func (c *Cluster) chooseKeys(cl *client) []int {
	n := c.keyspace.size()
	key := 1 + cl.rnd.IntN(n)
	switch cl.rnd.IntN(8) {
	case 0, 1:
		return []int{thePair}
	case 2:
		if second := 1 + cl.rnd.IntN(n); second != key {
			return []int{key, second}
		}
	}
	return []int{key}
}

// begin begins a call.
func (c *Cluster) begin(d *Decision) *call {
	kind := callKind(slices.Index(callNames[:], d.What))
	return c.launch(&call{id: d.Value, client: &c.clients[d.Client], kind: kind, keys: d.Keys}, d.Store, d.For)
}

// launch sends the first request of a call, to a store.
func (c *Cluster) launch(call *call, storeID uint64, patience time.Duration) *call {
	call.began = c.now
	c.calls = max(c.calls, call.id)
	c.open = append(c.open, call)
	c.try(call, storeID)
	c.at(c.now+patience, event{kind: evGiveUp, call: call})
	return call
}

// try sends a request of a call to a store.
func (c *Cluster) try(call *call, storeID uint64) {
	c.requests++
	c.values++
	call.tries++
	if call.text != "" {
		c.texts[c.values] = call.text
	}
	a := &attempt{call: call, id: c.requests, value: c.values, process: c.process(storeID)}
	call.attempt = a
	if c.opts.Trace {
		c.tell(nil, "client %d calls store %d: %s", call.client.number, storeID, c.describeCall(a))
	}
	if delay, lost := c.network.toStore(a.id); !lost {
		c.at(c.now+delay, event{kind: evRequest, attempt: a})
	}
}

// send lets a reply travel to the client. It may be lost on the way.
func (c *Cluster) send(a *attempt, r reply) {
	a.reply = r
	if a.call == nil {
		return
	}
	if delay, lost := c.network.toClient(a.id); !lost {
		c.at(c.now+delay, event{kind: evReply, attempt: a})
	}
}

// hears is a client that gets a reply.
func (c *Cluster) hears(a *attempt) {
	call := a.call
	if call.over || call.attempt != a {
		return
	}
	r := &a.reply
	var undetermined *region.UndeterminedError
	switch write := call.kind != callGet; {
	case r.err == nil && !r.lost:
		call.client.leader = a.process.id
		c.succeed(a)
		return
	case write && (r.lost || errors.As(r.err, &undetermined)):
		c.finish(call, never)
		return
	}
	c.learn(call.client, a)
	if call.once {
		c.drop(call, r.err)
		return
	}
	call.attempt = nil
	backoff := time.Duration(c.draw(drawBackoff, a.id) % uint64(tick))
	c.at(c.now+backoff, event{kind: evAgain, call: call})
}

// again tries a call once more, where the client believes the leader to be, or anywhere.
func (c *Cluster) again(call *call) {
	if call.over {
		return
	}
	to := call.client.leader
	if chance := c.draw(drawStore, call.id, uint64(call.tries)); to == 0 || chance%6 == 0 {
		to = 1 + chance/6%uint64(len(c.processes))
	}
	c.try(call, to)
}

// learn corrects a client's picture of the cluster by an error.
func (c *Cluster) learn(cl *client, a *attempt) {
	var notLeader *region.NotLeaderError
	var epoch *region.EpochNotMatchError
	switch {
	case errors.As(a.reply.err, &notLeader):
		cl.leader = notLeader.Leader.StoreID
	case errors.As(a.reply.err, &epoch) && len(epoch.Current) > 0:
		cl.epoch = epoch.Current[0].Epoch
	case cl.leader == a.process.id:
		cl.leader = 0
	}
}

// succeed ends a call that was answered.
func (c *Cluster) succeed(a *attempt) {
	call := a.call
	if call.kind == callGet {
		c.counts.Reads++
	} else {
		c.counts.Writes++
	}
	c.finish(call, c.now)
}

// giveUp is a client whose patience is over. The store is told so, as servers tell it that a deadline has passed.
func (c *Cluster) giveUp(call *call) {
	if call.over {
		return
	}
	a := call.attempt
	if a == nil {
		c.drop(call, errNobody)
		return
	}
	if a.life == a.process.life {
		a.process.cancel(a)
	}
	c.finish(call, never)
}

// drop ends a call that has no effect.
func (c *Cluster) drop(call *call, err error) {
	call.err = err
	c.end(call)
}

// finish ends a call and enters it into the history. A read that got no answer is no part of it.
func (c *Cluster) finish(call *call, ended time.Duration) {
	if ended == never {
		call.unknown = call.kind != callGet
		call.err = errSilence
	}
	a := call.attempt
	for i, key := range call.keys {
		op := operation{key: key, client: call.client.number, kind: call.kind, value: a.value, began: call.began,
			ended: ended, store: a.process.id}
		switch {
		case call.kind == callGet && ended == never:
			continue
		case call.kind == callGet:
			op.value = a.reply.values[i]
		case call.kind == callSwap:
			op.swap = a
		case call.kind != callPut:
			op.kind, op.value = callDelete, 0
		}
		c.history.add(op)
	}
	if call.unknown {
		c.counts.Unknown++
		c.saw("unknown outcome")
	}
	c.end(call)
}

func (c *Cluster) end(call *call) {
	call.over = true
	c.note(nil, "over", call.id, uint64(c.now))
	if c.opts.Trace && call.attempt != nil {
		c.tell(nil, "client %d ends: %s", call.client.number, c.describeCall(call.attempt))
	}
	for i, other := range c.open {
		if other == call {
			c.open = append(c.open[:i], c.open[i+1:]...)
			break
		}
	}
	if !c.playing && !c.manual {
		c.at(c.now+c.think(call.client), event{kind: evNext, client: call.client.number})
	}
}

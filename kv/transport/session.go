// session: the stream from one other store.

package transport

import (
	"context"
	"errors"

	"tinykv/kv/replica"
)

// errSuperseded ends a stream whose store has opened a new one: it has restarted, or has given up the old one before
// we noticed.
var errSuperseded = errors.New("a newer stream of the same store takes the place of this one")

// session hands the messages of one stream to the handler. There is one for each store at most.
type session struct {
	t      *Transport
	from   uint64
	ctx    context.Context
	cancel context.CancelCauseFunc
	over   chan struct{} // closed when this session and those before it hand over nothing any more
}

// welcome checks a hello and begins a session, which must be ended by leave. ctx and cancel are those of the stream. The
// store is refused, with an error that says why to the other side, or takes the place of its earlier session, and then
// waits for a Receive of that to return: otherwise old messages might come after new ones.
func (t *Transport) welcome(ctx context.Context, cancel context.CancelCauseFunc, h hello) (*session, error) {
	if err := t.checkHello(h); err != nil {
		return nil, err
	}
	s := &session{t: t, from: h.from, ctx: ctx, cancel: cancel, over: make(chan struct{})}
	before, err := t.admit(s)
	if err != nil {
		return nil, err
	}
	if before != nil {
		t.warnings.warn("a store has opened another stream while one was open, which is ended; if this goes on, two processes run "+
			"as this store: stop one of them", s.from, nil)
		<-before.over
	}
	return s, nil
}

// admit makes a session the one of its store, and returns the one that was.
func (t *Transport) admit(s *session) (before *session, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ErrClosed
	}
	t.running.Add(1)
	before = t.sessions[s.from]
	t.sessions[s.from] = s
	t.knock(s.from)
	if before != nil {
		t.stats.Refused.Superseded++
		before.cancel(errSuperseded)
	}
	return before, nil
}

// checkHello refuses a hello and counts why.
func (t *Transport) checkHello(h hello) error {
	err := h.check(t.options.ClusterID, t.options.StoreID)
	if err == nil {
		return nil
	}
	t.count(func(s *Stats) {
		switch {
		case errors.Is(err, errOtherCluster):
			s.Refused.Cluster++
		case errors.Is(err, errOtherVersion):
			s.Refused.Version++
		default:
			s.Refused.Store++
		}
	})
	t.warnings.warn("refused a store", h.from, err)
	return err
}

// receive hands over the messages of a frame. False: the session is over.
func (s *session) receive(messages []replica.Message) bool {
	if s.ctx.Err() != nil {
		return false
	}
	bytes := 0
	for i := range messages {
		bytes += sizeOf(&messages[i])
	}
	if s.note(len(messages), bytes) && len(messages) > 0 {
		s.t.handler.Receive(s.ctx, s.from, messages)
	}
	return true
}

// note counts a frame. False: it must be thrown away.
func (s *session) note(messages, bytes int) bool {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	if s.t.cut[s.from] {
		s.t.stats.Cut += uint64(messages)
		return false
	}
	received := &s.t.stats.Received
	received.Frames++
	received.Messages += uint64(messages)
	received.Bytes += uint64(bytes)
	return true
}

// leave ends the session, when its stream has ended.
func (s *session) leave() {
	s.t.mu.Lock()
	if s.t.sessions[s.from] == s {
		delete(s.t.sessions, s.from)
	}
	s.t.mu.Unlock()
	close(s.over)
	s.t.running.Done()
}

package stage2ab_test

import (
	"fmt"
	"slices"
	"testing"

	"tinykv/raft"
)

// What becomes of a proposal (§5.3).
func TestLeaderAppendsAndSends(t *testing.T) {
	r := begin(t, appendOnly)
	n, _ := leader(r, 3, []uint64{1, 1})
	n.Hear(ack(2, 2, 3), ack(3, 2, 3))
	n.Proposes("a")
	n.Proposes("b")
	ms := n.Drain()
	hasLog(n, 1, 1, 2, 2, 2)
	for _, to := range []uint64{2, 3} {
		if got := sentTo(ms, to); !slices.Equal(got, []uint64{4, 5}) {
			bounds.Broken(t, r.Record(), fmt.Sprintf("node %d is sent the entries 4 and 5", to), fmt.Sprint(got))
		}
	}
}

// Counting copies, for every size (§5.3).
func TestQuorumOfCopiesCommits(t *testing.T) {
	for size := 1; size <= 6; size++ {
		r := begin(t, quorum)
		n, _ := leader(r, size, nil)
		n.Drain()
		for id := 2; id <= size; id++ {
			if copies := id - 1; copies < size/2+1 {
				committed(n, 0)
			}
			n.Hear(ack(uint64(id), 1, 1))
			if id >= size/2+1 {
				committed(n, 1)
			}
		}
		committed(n, 1)
	}
}

func TestQuorumIsOfVoters(t *testing.T) {
	r := begin(t, quorum)
	conf := raft.ConfState{Voters: voters(3), Learners: []uint64{4, 5}}
	n := r.Start(1, logOf(conf), plainVotes)
	n.Campaigns()
	n.Hear(vote(2, 1, true))
	n.Hear(ack(4, 1, 1), ack(5, 1, 1))
	committed(n, 0)
	n.Hear(ack(3, 1, 1))
	committed(n, 1)
}

// The smallest of a majority's largest: acknowledgements of different length.
func TestCommitIsWhatAMajorityHas(t *testing.T) {
	r := begin(t, quorum)
	n, _ := leader(r, 5, nil)
	for range 9 {
		n.Proposes("x")
	}
	n.Drain()
	for _, tt := range []struct{ from, index, want uint64 }{
		{2, 9, 0}, {3, 4, 4}, {4, 6, 6}, {5, 7, 7}, {3, 10, 9}, {5, 10, 10},
	} {
		n.Hear(ack(tt.from, 1, tt.index))
		committed(n, tt.want)
	}
}

// The leader's own disk is one of the quorum, when it has written (dissertation §10.2.1).
func TestLeaderCountsItselfWhenDurable(t *testing.T) {
	r := begin(t, quorum)
	n, _ := leader(r, 3, nil)
	n.Hear(ack(2, 1, 1))
	committed(n, 1)
	n.Proposes("x")
	rd, err := n.Ready()
	if err != nil {
		t.Fatal(err)
	}
	r.Say("node 1 takes a Ready with entry 2, and has not written it yet")
	n.Gets(ack(2, 1, 2))
	committed(n, 1)
	n.Write(rd)
	n.Advance()
	r.Say("node 1 has written it")
	n.Drain()
	committed(n, 2)
}

// Figure 8: replicas of an entry of an earlier term commit nothing (§5.4.2).
func TestEntriesOfEarlierTermsAreNotCounted(t *testing.T) {
	r := begin(t, quorum)
	n, _ := leader(r, 5, []uint64{1, 2})
	term := n.Term()
	n.Hear(ack(2, term, 2), ack(3, term, 2), ack(4, term, 2), ack(5, term, 2))
	if n.Commit() != 0 {
		r.Broken("entry 2 of term 2 is on all nodes, and not committed: a later leader may still replace it", n.Where())
	}
	n.Hear(ack(2, term, 3), ack(3, term, 3))
	committed(n, 3)
}

func TestAnswersOfEarlierTermsDoNotCount(t *testing.T) {
	r := begin(t, oldNews)
	n, _ := leader(r, 3, []uint64{1, 2})
	n.Hear(ack(2, 2, 3), ack(3, 1, 3))
	committed(n, 0)
	n.Hear(ack(9, n.Term(), 3))
	committed(n, 0)
	n.Hear(ack(2, n.Term(), 99))
	committed(n, 0)
	n.Hear(ack(2, n.Term(), 3))
	committed(n, 3)
}

// The network repeats and reorders.
func TestOldAnswersMoveNothingBack(t *testing.T) {
	r := begin(t, oldNews)
	n, _ := leader(r, 3, nil)
	n.Hear(ack(2, 1, 1))
	for range 5 {
		n.Proposes("x")
	}
	n.Drain()
	n.Hear(ack(2, 1, 5))
	committed(n, 5)
	for _, m := range []raft.Message{ack(2, 1, 2), ack(2, 1, 5), ack(2, 1, 0), reject(2, 1, 3, 1, 1), reject(2, 1, 5, 0,
		0),
		ack(2, 1, 4)} {
		n.Hear(m)
		p := progressOf(n, 2)
		if p.Match != 5 || p.Next <= p.Match {
			r.Broken("node 2 had acknowledged 5: match stays 5, and next is beyond it", fmt.Sprintf("%+v", p))
		}
		committed(n, 5)
	}
	n.Proposes("y")
	if got := sentTo(n.Drain(), 2); len(got) == 0 || !slices.Contains(got, 7) {
		r.Broken("entry 7 goes out to node 2", fmt.Sprint(got))
	}
}

func progressOf(n *node, id uint64) raft.ProgressStatus {
	for _, p := range n.Status().Progress {
		if p.ID == id {
			return p
		}
	}
	return raft.ProgressStatus{}
}

// In probe a rejection counts if it answers the append that is out.
func TestRejectionOfAnOldProbeIsIgnored(t *testing.T) {
	r := begin(t, oldNews)
	n, _ := leader(r, 3, []uint64{1, 1, 1, 1, 1, 1})
	before := progressOf(n, 2)
	n.Hear(reject(2, 2, 3, 1, 1))
	if p := progressOf(n, 2); p.Next != before.Next {
		r.Broken(fmt.Sprintf("nobody was asked about entry 3: next stays %d", before.Next), fmt.Sprintf("%+v", p))
	}
	n.Hear(reject(2, 2, before.Next-1, 0, 0), reject(2, 2, before.Next-1, 0, 0))
	if p := progressOf(n, 2); p.Next < 1 || p.Next <= p.Match || p.Next > before.Next-1 {
		r.Broken("a follower with an empty log: next goes back, to 1 at most", fmt.Sprintf("%+v", p))
	}
}

// A leader tells a follower no more than is known to match there (§5.3).
func TestHeartbeatTellsNoMoreThanMatches(t *testing.T) {
	r := begin(t, followerCommit)
	n, _ := leader(r, 3, nil)
	n.Hear(ack(2, 1, 1), ack(3, 1, 1))
	n.Proposes("x")
	n.Proposes("y")
	n.Drain()
	n.Hear(ack(2, 1, 3))
	committed(n, 3)
	for _, m := range find(n.Ticks(1), raft.MsgHeartbeat, 3) {
		if m.Commit > 1 {
			r.Broken("node 3 acknowledged 1 only: no heartbeat tells it that more is committed", spoken([]raft.Message{m}))
		}
	}
}

// Followers learn of a commit within a heartbeat, by whatever message.
func TestCommitIsTold(t *testing.T) {
	c := begin(t, progress).Cluster(upTo(3))
	n := c.Elect(1)
	n.Proposes("x")
	c.Run()
	c.Tick(2)
	for _, f := range c.Nodes {
		committed(f, 2)
		if !slices.Equal(f.Payloads(), []string{"x"}) {
			c.Broken(fmt.Sprintf("node %d applied x", f.ID), fmt.Sprint(f.Payloads()))
		}
	}
}

// What is lost is sent again.
func TestLostAppendIsRepeated(t *testing.T) {
	c := begin(t, progress).Cluster(upTo(3))
	n := c.Elect(1)
	c.Isolate(2, 3)
	for _, s := range []string{"x", "y"} {
		n.Proposes(s)
		c.Run()
	}
	c.Heal()
	c.Tick(4)
	for _, f := range c.Nodes {
		committed(f, 3)
	}
}

// An entry goes to a follower once, not the log with each message.
func TestOnlyWhatIsMissingIsSent(t *testing.T) {
	c := begin(t, bounds).Cluster(upTo(3))
	n := c.Elect(1)
	c.Sent = nil
	for i := range 50 {
		n.Proposes(fmt.Sprint(i))
		c.Run()
	}
	for _, to := range []uint64{2, 3} {
		if entries := len(sentTo(c.Sent, to)); entries > 60 {
			c.Broken(fmt.Sprintf("50 entries for node %d, of which none was lost", to), fmt.Sprintf("%d were sent", entries))
		}
	}
	committed(n, 51)
}

// A follower that lacks the end of the log is not sent the log from its beginning: that would be gigabytes after each
// election, or a snapshot. (Exactly what it lacks is best; a search that steps back too far is legal.)
func TestLogIsNotSentFromItsBeginning(t *testing.T) {
	r := begin(t, bounds)
	const has, all = 197, 201 // the last one opens the leader's term
	n, ms := leader(r, 3, slices.Repeat([]uint64{1}, all-1))
	sent := 0
	for match, round := 0, 0; match < all && round < 3*all; round++ {
		apps := find(ms, raft.MsgApp, 2)
		ms = nil
		if len(apps) == 0 {
			ms = n.Ticks(1)
		}
		for _, m := range apps {
			answer := reject(2, n.Term(), m.Index, has, 1)
			if m.Index <= max(has, uint64(match)) {
				match = max(match, int(m.Index)+len(m.Entries))
				sent += len(m.Entries)
				answer = ack(2, n.Term(), m.Index+uint64(len(m.Entries)))
			}
			ms = append(ms, n.Hear(answer)...)
		}
	}
	r.Done = []string{fmt.Sprintf("node 1 leads, with %d entries; node 2 has the first %d, says so, and accepts what fits",
		all, has)}
	if sent < all-has || sent > all*3/4 {
		r.Broken(fmt.Sprintf("the %d entries that node 2 lacks are sent, and not the log from its beginning", all-has),
			fmt.Sprintf("%d entries of %d", sent, all))
	}
}

// Limits in bytes, and in messages on their way (dissertation §10.2.1).
func TestMessagesAreBounded(t *testing.T) {
	r := begin(t, bounds)
	n, _ := leader(r, 3, nil, func(c *raft.Config) { c.MaxMessageBytes = 250 })
	n.Hear(ack(2, 1, 1), ack(3, 1, 1))
	for range 5 {
		n.Proposes(string(make([]byte, 84)))
	}
	ms := n.Drain()
	for _, m := range find(ms, raft.MsgApp) {
		if len(m.Entries) > 2 {
			r.Broken("with MaxMessageBytes 250, two entries of 100 bytes in a message", fmt.Sprintf("%d entries",
				len(m.Entries)))
		}
	}
	if got := sentTo(ms, 2); !slices.Equal(got, []uint64{2, 3, 4, 5, 6}) {
		r.Broken("all five entries are sent, each once", fmt.Sprint(got))
	}
}

func TestWindowIsBounded(t *testing.T) {
	r := begin(t, bounds)
	n, _ := leader(r, 3, nil, func(c *raft.Config) { c.MaxInflightMessages = 3 })
	n.Hear(ack(2, 1, 1), ack(3, 1, 1))
	var ms []raft.Message
	for range 8 {
		n.Proposes("x")
		ms = append(ms, n.Drain()...)
	}
	if got := sentTo(ms, 2); !slices.Equal(got, []uint64{2, 3, 4}) {
		r.Broken("three appends are on their way, one entry each; the rest waits", fmt.Sprint(got))
	}
	if got := sentTo(n.Hear(ack(2, 1, 3)), 2); len(got) == 0 || got[0] != 5 {
		r.Broken("an acknowledgement makes room for what comes next: entry 5", fmt.Sprint(got))
	}
}

func TestProbeSendsOneAtATime(t *testing.T) {
	r := begin(t, bounds)
	n, first := leader(r, 3, nil)
	sent := len(find(first, raft.MsgApp, 2))
	for range 5 {
		n.Proposes("x")
		sent += len(find(n.Drain(), raft.MsgApp, 2))
	}
	if sent != 1 {
		r.Broken("where the logs agree is not known: one append, until node 2 answers", fmt.Sprintf("%d appends", sent))
	}
	if got := sentTo(n.Hear(ack(2, 1, 1)), 2); !slices.Equal(got, []uint64{2, 3, 4, 5, 6}) {
		r.Broken("the answer is there: entries 2 to 6 follow", fmt.Sprint(got))
	}

	// Something was lost, so the leader probes again. An answer that was overtaken says nothing about this probe.
	n.Proposes("z")
	n.Drain()
	n.Hear(ack(2, 1, 4))
	again := n.Hear(reject(2, 1, 6, 4, 1))
	again = append(again, n.Hear(ack(2, 1, 2))...)
	for range 3 {
		n.Proposes("y")
		again = append(again, n.Drain()...)
	}
	if apps := find(again, raft.MsgApp, 2); len(apps) != 1 || apps[0].Index != 4 {
		r.Broken("one append after entry 4, which is known to match, until node 2 answers it", spoken(apps))
	}
	if got := sentTo(n.Hear(ack(2, 1, 7)), 2); !slices.Equal(got, []uint64{8, 9, 10}) {
		r.Broken("the answer is there: entries 8 to 10 follow", fmt.Sprint(got))
	}
}

// A message that waits is not rewritten when the log is: neither one whose entries are written, nor one whose entries are
// being written while the leader's successor replaces them.
func TestSentMessagesNeverChange(t *testing.T) {
	for _, written := range []bool{true, false} {
		r := begin(t, immutable)
		n, _ := leader(r, 3, nil)
		n.Hear(ack(2, 1, 1), ack(3, 1, 1))
		n.Proposes("mine 2")
		n.Proposes("mine 3")
		rd := n.Take()
		held := find(rd.Messages, raft.MsgApp)
		want := spoken(held)
		if written {
			n.Finish(rd)
		}
		n.Gets(app(5, 1, 1, 0, 5, 5, 5))
		if !written {
			r.Say("the appends of term 1 wait to be sent")
			n.Finish(rd)
		}
		n.Drain()
		if len(held) == 0 || len(sentTo(held, 2)) == 0 {
			r.Broken("appends of the entries 2 and 3", want)
		}
		if got := spoken(held); got != want {
			r.Broken("the appends of term 1 hold what they held:\n"+want, got)
		}
		hasLog(n, 1, 5, 5, 5)
	}
}

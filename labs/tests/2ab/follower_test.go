package stage2ab_test

import (
	"fmt"
	"slices"
	"testing"

	"tinykv/raft"
)

func follower(r *desk, logTerms ...uint64) *node {
	r.T.Helper()
	return r.Start(1, logOf(upTo(3), logTerms...))
}

// The consistency check (figure 2, AppendEntries 2; §5.3).
func TestAppendFollowsItsPredecessor(t *testing.T) {
	for _, tt := range []struct {
		have   []uint64
		m      raft.Message
		accept bool
		want   []uint64
	}{
		{nil, app(3, 0, 0, 0, 1, 2), true, []uint64{1, 2}},
		{[]uint64{1, 2}, app(3, 2, 2, 0, 3), true, []uint64{1, 2, 3}},
		{[]uint64{1, 2}, app(3, 2, 2, 0), true, []uint64{1, 2}},
		{[]uint64{1}, app(3, 2, 2, 0, 3), false, []uint64{1}},
		{[]uint64{1, 1}, app(3, 2, 2, 0, 3), false, []uint64{1, 1}},
		{[]uint64{1, 3}, app(3, 2, 2, 0, 3), false, []uint64{1, 3}},
	} {
		r := begin(t, matching)
		n := follower(r, tt.have...)
		m := answerTo(n, tt.m)
		if m.Reject == tt.accept {
			r.Broken(fmt.Sprintf("a log of the terms %v, an append after %d/%d: accepted %v", tt.have, tt.m.Index, tt.m.LogTerm,
				tt.accept), spoken([]raft.Message{m}))
		}
		if m.Reject && m.Index != tt.m.Index {
			r.Broken(fmt.Sprintf("a rejection names the entry that is missing, %d", tt.m.Index), spoken([]raft.Message{m}))
		}
		hasLog(n, tt.want...)
	}
}

// Replacing, and not replacing (figure 2, AppendEntries 3 and 4).
func TestConflictIsReplaced(t *testing.T) {
	for _, tt := range []struct {
		have []uint64
		m    raft.Message
		want []uint64
	}{
		{[]uint64{1, 1, 1}, app(3, 1, 1, 0, 2, 2), []uint64{1, 2, 2}},
		{[]uint64{1, 1, 1, 1}, app(3, 1, 1, 0, 2), []uint64{1, 2}},
		{[]uint64{1, 1, 1}, app(3, 0, 0, 0, 1, 1, 2, 2), []uint64{1, 1, 2, 2}},
		{[]uint64{1}, app(3, 0, 0, 0, 2), []uint64{2}},
		{[]uint64{1, 1, 1}, app(3, 1, 1, 0, 1, 1, 3), []uint64{1, 1, 1, 3}},
	} {
		r := begin(t, conflict)
		n := follower(r, tt.have...)
		answerTo(n, tt.m)
		hasLog(n, tt.want...)
		n = n.Restart()
		hasLog(n, tt.want...)
		if s := n.Status(); s.LastTerm != tt.want[len(tt.want)-1] || s.LastIndex != uint64(len(tt.want)) {
			r.Broken("after a restart the same log", n.Where())
		}
	}
}

func TestOldAppendCutsNothing(t *testing.T) {
	r := begin(t, conflict)
	n := follower(r, 1, 1, 1, 1)
	for _, m := range []raft.Message{app(2, 1, 1, 0, 1), app(2, 0, 0, 0), app(2, 2, 1, 0), app(2, 0, 0, 0, 1, 1)} {
		answerTo(n, m)
		hasLog(n, 1, 1, 1, 1)
	}
}

// A second truncation before the first is written, and one of what is half written.
func TestReplacedTwice(t *testing.T) {
	r := begin(t, conflict)
	n := follower(r, 1, 1, 1)
	answerTo(n, app(2, 1, 1, 0, 2, 2, 2))
	answerTo(n, app(3, 2, 2, 0, 3))
	hasLog(n, 1, 2, 3)
	for _, m := range []raft.Message{app(4, 1, 1, 0, 4, 4), app(5, 2, 4, 0, 5, 5)} {
		m.To = 1
		if err := n.Step(m); err != nil {
			r.Broken("both appends are accepted", err.Error())
		}
		r.Say("node 1 gets two appends before its next Ready")
	}
	n.Drain()
	hasLog(n, 1, 4, 5, 5)
}

func TestAckIsWhatTheMessageVouchesFor(t *testing.T) {
	for _, tt := range []struct {
		m    raft.Message
		want uint64
	}{
		{app(2, 2, 1, 0), 2}, {app(2, 1, 1, 0, 1), 2}, {app(2, 0, 0, 0), 0}, {app(2, 4, 1, 0, 2), 5},
		{app(2, 3, 1, 0, 2, 2), 5}, {app(2, 4, 1, 0), 4},
	} {
		r := begin(t, vouched)
		n := follower(r, 1, 1, 1, 1)
		if m := answerTo(n, tt.m); m.Reject || m.Index != tt.want {
			r.Broken(fmt.Sprintf("an acknowledgement of %d; the log has four entries, but the message knows only of these",
				tt.want),
				spoken([]raft.Message{m}))
		}
	}
}

// The leader hears how far the logs surely agree, however old its message.
func TestAppendBeforeTheCommitIndexIsAcknowledged(t *testing.T) {
	r := begin(t, vouched)
	n := follower(r, 1, 1, 1, 1)
	answerTo(n, app(2, 3, 1, 3))
	committed(n, 3)
	m := answerTo(n, app(2, 1, 1, 3, 1))
	if m.Reject || m.Index < 2 || m.Index > 3 {
		r.Broken("an acknowledgement of 3, the commit index: the logs agree up to there", spoken([]raft.Message{m}))
	}
	hasLog(n, 1, 1, 1, 1)
}

func TestFollowerCommit(t *testing.T) {
	for _, tt := range []struct {
		m    raft.Message
		want uint64
	}{
		{app(2, 1, 1, 3), 1}, {app(2, 3, 1, 2), 2}, {app(2, 1, 1, 9, 1), 2}, {app(2, 4, 1, 9, 2), 5},
		{app(2, 0, 0, 4), 0}, {app(2, 2, 1, 1<<60), 2},
	} {
		r := begin(t, followerCommit)
		n := follower(r, 1, 1, 1, 1)
		answerTo(n, tt.m)
		committed(n, tt.want)
		answerTo(n, app(2, 0, 0, 0, 1))
		committed(n, tt.want)
	}
}

// A rejected append commits nothing.
func TestRejectedAppendCommitsNothing(t *testing.T) {
	r := begin(t, followerCommit)
	n := follower(r, 1, 1, 1)
	answerTo(n, app(3, 3, 2, 3, 3))
	committed(n, 0)
}

func TestHeartbeatRaisesTheCommitIndex(t *testing.T) {
	r := begin(t, followerCommit)
	n := follower(r, 1, 1, 1)
	answerTo(n, app(1, 3, 1, 0))
	for _, tt := range []struct{ send, want uint64 }{{2, 2}, {1, 2}, {3, 3}, {0, 3}} {
		n.Hear(raft.Message{Type: raft.MsgHeartbeat, From: 2, Term: 1, Commit: tt.send})
		committed(n, tt.want)
	}
	if !slices.Equal(n.Payloads(), []string{"1/1", "2/1", "3/1"}) {
		r.Broken("entries 1 to 3 are applied, once each", fmt.Sprint(n.Payloads()))
	}
}

func TestCommittedEntriesStay(t *testing.T) {
	r := begin(t, appendOnly)
	n := follower(r, 1, 1, 1)
	answerTo(n, app(1, 3, 1, 2))
	n.Hear(app(3, 2, 1, 2, 3))
	hasLog(n, 1, 1, 3)
	m := app(4, 2, 1, 2, 4)
	n.Hear(m)
	hasLog(n, 1, 1, 4)
	bad := app(5, 0, 0, 0, 5, 5)
	n.Hear(bad)
	hasLog(n, 1, 1, 4)
	n.Hear(app(5, 1, 1, 0, 5, 5))
	hasLog(n, 1, 1, 4)
}

// Where the logs may agree (end of §5.3).
func TestRejectionSaysWhereToLook(t *testing.T) {
	for _, tt := range []struct {
		have []uint64
		m    raft.Message
		most uint64 // the hint is no later than this
		best uint64 // and not before this
	}{
		{[]uint64{1, 1}, app(3, 9, 3, 0), 2, 2},
		{[]uint64{1, 1, 2, 2, 2}, app(4, 4, 1, 0, 4), 2, 2},
		{[]uint64{1, 1, 3, 3, 3}, app(5, 5, 2, 0, 5), 2, 2},
		{[]uint64{2, 2, 2}, app(3, 3, 1, 0, 3), 0, 0},
	} {
		r := begin(t, converge)
		n := follower(r, tt.have...)
		m := answerTo(n, tt.m)
		var term uint64
		if m.Hint > 0 && m.Hint <= uint64(len(tt.have)) {
			term = tt.have[m.Hint-1]
		}
		if !m.Reject || m.Hint > tt.most || m.Hint < tt.best || m.LogTerm != term {
			r.Broken(fmt.Sprintf("with terms %v: no %d/%d here; the logs may agree at %d", tt.have, tt.m.Index, tt.m.LogTerm,
				tt.best), spoken([]raft.Message{m}))
		}
	}
}

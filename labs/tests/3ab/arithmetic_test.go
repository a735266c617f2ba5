// Configurations as values: which change leads where.

package stage3ab_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"tinykv/labs/tests/explain"
	"tinykv/labs/tests/raftdesk"
	"tinykv/raft"
	"tinykv/raft/rafttest"
)

// alone is node 1 with a configuration, out of any cluster.
func alone(t *testing.T, rule explain.Rule, conf raft.ConfState, options ...raftdesk.Option) *node {
	t.Helper()
	d := raftdesk.Open(t, rule, options...)
	d.AtApply = (*node).ApplyChange
	return d.Fresh(1, conf)
}

func same(a, b raft.ConfState) bool {
	return slices.Equal(a.Voters, b.Voters) && slices.Equal(a.VotersOutgoing, b.VotersOutgoing) &&
		slices.Equal(a.Learners, b.Learners) && slices.Equal(a.LearnersNext, b.LearnersNext) && a.AutoLeave == b.AutoLeave
}

func show(c raft.ConfState) string {
	return fmt.Sprintf("%s auto leave %v", rafttest.FormatConf(c), c.AutoLeave)
}

// leadsTo checks where a change leads, or that it is refused.
func leadsTo(t *testing.T, rule explain.Rule, from raft.ConfState, cc raft.ConfChange, want raft.ConfState, bad bool) {
	t.Helper()
	n := alone(t, rule, from)
	n.D.Say("from %s\nApplyConfChange(%v, transition %d)", show(from), cc.Changes, cc.Transition)
	got, err := n.ApplyConfChange(cc)
	if bad {
		n.D.Check(errors.Is(err, raft.ErrBadConfChange), "ErrBadConfChange", "%s", explain.Error(err))
	} else {
		n.D.Check(err == nil, "no error", "%s", explain.Error(err))
	}
	n.D.Check(same(got, want), show(want), "%s", show(got))
	n.D.Check(same(n.Status().ConfState, want), "and the node is in it", "%s", show(n.Status().ConfState))
}

var base = raft.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4}}

// One voter comes or goes, or learners do.
func TestSingleSteps(t *testing.T) {
	l := func(ids ...uint64) []uint64 { return ids }
	for _, c := range []struct {
		cc   raft.ConfChange
		want raft.ConfState
	}{
		{change(add(5)), raft.ConfState{Voters: l(1, 2, 3, 5), Learners: l(4)}},
		{change(add(3)), base},
		{change(add(4)), voters(1, 2, 3, 4)},
		{change(learner(3)), raft.ConfState{Voters: l(1, 2), Learners: l(3, 4)}},
		{change(learner(4)), base},
		{change(learner(5)), raft.ConfState{Voters: l(1, 2, 3), Learners: l(4, 5)}},
		{change(removal(2)), raft.ConfState{Voters: l(1, 3), Learners: l(4)}},
		{change(removal(4)), voters(1, 2, 3)},
		{change(removal(9)), base},
		{change(learner(5), learner(6), removal(4)), raft.ConfState{Voters: l(1, 2, 3), Learners: l(5, 6)}},
		{change(add(5), learner(5)), raft.ConfState{Voters: l(1, 2, 3), Learners: l(4, 5)}},
		{change(removal(3), add(3)), base},
	} {
		leadsTo(t, arithmetic, base, c.cc, c.want, false)
	}
}

// Two voters at once, or who asks for it, go through a joint configuration.
func TestJointSteps(t *testing.T) {
	l := func(ids ...uint64) []uint64 { return ids }
	trans := func(tr raft.ConfChangeTransition, cs ...raft.ConfChangeSingle) raft.ConfChange {
		return raft.ConfChange{Transition: tr, Changes: cs}
	}
	old := l(1, 2, 3)
	for _, c := range []struct {
		cc   raft.ConfChange
		want raft.ConfState
	}{
		{change(add(5), removal(3)), raft.ConfState{Voters: l(1, 2, 5), VotersOutgoing: old, Learners: l(4),
			AutoLeave: true}},
		{change(add(4), add(5)), raft.ConfState{Voters: l(1, 2, 3, 4, 5), VotersOutgoing: old, AutoLeave: true}},
		{change(removal(1), removal(2)), raft.ConfState{Voters: l(3), VotersOutgoing: old, Learners: l(4), AutoLeave: true}},
		{change(add(4), learner(3)), raft.ConfState{Voters: l(1, 2, 4), VotersOutgoing: old, LearnersNext: l(3),
			AutoLeave: true}},
		{trans(raft.ConfChangeJointImplicit, add(5)), raft.ConfState{Voters: l(1, 2, 3, 5), VotersOutgoing: old,
			Learners: l(4), AutoLeave: true}},
		{trans(raft.ConfChangeJointExplicit, learner(3), learner(6)), raft.ConfState{Voters: l(1, 2), VotersOutgoing: old,
			Learners: l(4, 6), LearnersNext: l(3)}},
	} {
		leadsTo(t, oneStep, base, c.cc, c.want, false)
	}
}

// The way out: an empty change.
func TestLeavingAJointConfiguration(t *testing.T) {
	joint := raft.ConfState{Voters: []uint64{1, 2, 5}, VotersOutgoing: []uint64{1, 2, 3}, Learners: []uint64{4, 6},
		LearnersNext: []uint64{3}, AutoLeave: true}
	leadsTo(t, oneStep, joint, change(), raft.ConfState{Voters: []uint64{1, 2, 5}, Learners: []uint64{3, 4, 6}}, false)
	leadsTo(t, oneStep, joint, change(add(7)), joint, true)
	leadsTo(t, oneStep, joint, change(removal(3)), joint, true)
	leadsTo(t, oneStep, base, change(), base, true)
}

// What is no configuration is none, and a node that was told none does not guess one.
func TestImpossibleChanges(t *testing.T) {
	single := voters(1)
	leadsTo(t, arithmetic, single, change(removal(1)), single, true)
	leadsTo(t, arithmetic, single, change(learner(1)), single, true)
	leadsTo(t, arithmetic, base, change(removal(1), removal(2), removal(3)), base, true)
	leadsTo(t, arithmetic, base, change(add(raft.None)), base, true)
	leadsTo(t, arithmetic, base, change(removal(raft.None)), base, true)
	leadsTo(t, arithmetic, base, change(add(5), raft.ConfChangeSingle{Type: 9, NodeID: 6}), base, true)
	leadsTo(t, arithmetic, raft.ConfState{}, change(add(1)), raft.ConfState{}, true)
}

// model is a configuration as sets.
type model struct{ voters, outgoing, learners, next map[uint64]bool }

func keys(m map[uint64]bool) []uint64 {
	var out []uint64
	for id := range m {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// Whatever changes come, in any order: the same as in sets. And what was handed out before stays as it was.
func TestRandomChangesMatchTheModel(t *testing.T) {
	for _, seed := range explain.Seeds(60) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		n := alone(t, arithmetic, voters(1, 2, 3))
		n.D.Note = explain.Replay(t, "3ab", seed)
		now := raft.ConfState{Voters: []uint64{1, 2, 3}}
		var shown, kept []raft.ConfState
		for range 40 {
			cc := raft.ConfChange{Transition: raft.ConfChangeTransition(rnd.IntN(3))}
			for range rnd.IntN(4) {
				cc.Changes = append(cc.Changes, raft.ConfChangeSingle{Type: raft.ConfChangeType(1 + rnd.IntN(3)),
					NodeID: uint64(1 + rnd.IntN(7))})
			}
			want, ok := expect(now, cc)
			n.D.Say("ApplyConfChange(%v, transition %d)", cc.Changes, cc.Transition)
			got, err := n.ApplyConfChange(cc)
			n.D.Check((err == nil) == ok, fmt.Sprintf("possible: %v", ok), "%s", explain.Error(err))
			n.D.Check(same(got, want), show(want), "%s", show(got))
			now = want
			shown, kept = append(shown, got), append(kept, want)
		}
		n.D.Rule = frozen
		for i := range shown {
			n.D.Check(same(shown[i], kept[i]), show(kept[i])+", as it was handed out", "%s", show(shown[i]))
		}
	}
}

func set(ids []uint64) map[uint64]bool {
	m := map[uint64]bool{}
	for _, id := range ids {
		m[id] = true
	}
	return m
}

// expect is what a change leads to, by sets.
func expect(c raft.ConfState, cc raft.ConfChange) (raft.ConfState, bool) {
	m := model{set(c.Voters), set(c.VotersOutgoing), set(c.Learners), set(c.LearnersNext)}
	joint := len(m.outgoing) > 0
	if joint != (len(cc.Changes) == 0) {
		return c, false
	}
	if joint {
		return raft.ConfState{Voters: c.Voters, Learners: keys(set(slices.Concat(c.Learners, c.LearnersNext)))}, true
	}
	for _, s := range cc.Changes {
		delete(m.voters, s.NodeID)
		delete(m.learners, s.NodeID)
		switch s.Type {
		case raft.ConfChangeAddNode:
			m.voters[s.NodeID] = true
		case raft.ConfChangeAddLearner:
			m.learners[s.NodeID] = true
		}
	}
	if len(m.voters) == 0 {
		return c, false
	}
	next := raft.ConfState{Voters: keys(m.voters), Learners: keys(m.learners)}
	differ := 0
	for _, id := range keys(set(slices.Concat(c.Voters, next.Voters))) {
		if slices.Contains(c.Voters, id) != slices.Contains(next.Voters, id) {
			differ++
		}
	}
	if differ <= 1 && cc.Transition == raft.ConfChangeAuto {
		return next, true
	}
	next.VotersOutgoing, next.AutoLeave = c.Voters, cc.Transition != raft.ConfChangeJointExplicit
	next.LearnersNext = slices.DeleteFunc(slices.Clone(next.Learners), func(id uint64) bool {
		return !slices.Contains(c.Voters, id)
	})
	next.Learners = slices.DeleteFunc(next.Learners, func(id uint64) bool { return slices.Contains(c.Voters, id) })
	return next, true
}

// Commands on the stores as processes: to look at them, and to hurt them.

package shell

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Processes is a cluster whose stores the shell can hurt. Errors are one line each.
type Processes interface {
	// Stores are the ids of the stores, ascending.
	Stores() []uint64
	// List looks at every store.
	List(ctx context.Context) []Process
	// Kill ends a store's process at once, as kill -9 does.
	Kill(store uint64) error
	// Restart starts a store that was killed, or ends it and starts it again.
	Restart(ctx context.Context, store uint64) error
	// Pause stops a store's process as SIGSTOP does: it does nothing, and notices nothing, until Resume.
	Pause(store uint64) error
	Resume(store uint64) error
	// Cut separates a store from all others, as a broken cable would; Heal ends that. Clients reach it all the same.
	Cut(ctx context.Context, store uint64) error
	Heal(ctx context.Context, store uint64) error
	// Lead asks for a store to become the leader of every region.
	Lead(ctx context.Context, store uint64) error
}

// Process is a store as a process.
type Process struct {
	Store   uint64
	Address string
	PID     int    // 0: it does not run
	State   string // alive, paused, killed; or what else there is to say
	Cut     bool   // from the other stores
	Regions []ProcessRegion
}

// ProcessRegion is what a store says of its peer of a region.
type ProcessRegion struct {
	ID, Leader    uint64 // Leader is the store that leads, as far as this one knows; 0: it does not know
	Term, Applied uint64
}

func processCommands(p Processes) []command {
	var ids []string
	for _, id := range p.Stores() {
		ids = append(ids, strconv.FormatUint(id, 10))
	}
	on := func(act func(ctx context.Context, store uint64) error) func(context.Context, *Shell, input) (result, error) {
		return func(ctx context.Context, _ *Shell, in input) (result, error) {
			store, err := storeOf(in.args[0], p)
			if err != nil {
				return nil, err
			}
			return done{true}, act(ctx, store)
		}
	}
	now := func(act func(store uint64) error) func(context.Context, *Shell, input) (result, error) {
		return on(func(_ context.Context, store uint64) error { return act(store) })
	}
	one := func(c command) command {
		c.args, c.min, c.max, c.choices = "STORE", 1, 1, ids
		return c
	}
	return []command{
		{name: "status", short: "the stores: who leads, in which term, how far each is",
			run: func(ctx context.Context, _ *Shell, _ input) (result, error) { return processTable(p.List(ctx)), nil }},
		one(command{name: "kill", short: "end a store at once, as kill -9 does", example: []string{"kill 2"},
			long: "What was acknowledged is on the disks of two stores at least, so nothing is lost.", run: now(p.Kill)}),
		one(command{name: "restart", short: "start a killed store, or any one anew", run: on(p.Restart)}),
		one(command{name: "pause", short: "stop a store, as SIGSTOP does",
			long: "It notices nothing until it goes on; a leader then still believes that it leads.", run: now(p.Pause)}),
		one(command{name: "resume", short: "let a paused store go on", run: now(p.Resume)}),
		one(command{name: "cut", short: "cut a store off from the others",
			long: "As a broken cable would. Clients reach it all the same.", run: on(p.Cut)}),
		{name: "heal", args: "[STORE]", max: 1, choices: ids, short: "mend the cables of a store, or all",
			run: runHeal(p)},
		one(command{name: "leader", short: "hand leadership to a store", run: on(p.Lead)}),
	}
}

func storeOf(word []byte, p Processes) (uint64, error) {
	id, err := strconv.ParseUint(string(word), 10, 64)
	if err != nil || !slices.Contains(p.Stores(), id) {
		return 0, fmt.Errorf("there is no store %s: the stores are %s", brief(word), strings.Trim(fmt.Sprint(p.Stores()), "[]"))
	}
	return id, nil
}

func runHeal(p Processes) func(context.Context, *Shell, input) (result, error) {
	return func(ctx context.Context, _ *Shell, in input) (result, error) {
		if len(in.args) == 1 {
			store, err := storeOf(in.args[0], p)
			if err != nil {
				return nil, err
			}
			return done{true}, p.Heal(ctx, store)
		}
		for _, proc := range p.List(ctx) {
			if !proc.Cut {
				continue
			}
			if err := p.Heal(ctx, proc.Store); err != nil {
				return nil, err
			}
		}
		return done{true}, nil
	}
}

func processTable(all []Process) tableResult {
	t := tableResult{Columns: []string{"STORE", "STATE", "LEADS", "TERM", "APPLIED", "PID", "ADDRESS"}}
	leaders := map[uint64]ProcessRegion{} // region -> the newest word on who leads it
	for _, p := range all {
		state, pid, leads := p.State, "", []string{}
		if p.Cut {
			state += ", cut off"
		}
		if p.PID != 0 {
			pid = strconv.Itoa(p.PID)
		}
		var terms, applied []string
		for _, r := range p.Regions {
			terms = append(terms, strconv.FormatUint(r.Term, 10))
			applied = append(applied, strconv.FormatUint(r.Applied, 10))
			if r.Leader == p.Store {
				leads = append(leads, fmt.Sprintf("region %d", r.ID))
			}
			if old, known := leaders[r.ID]; !known || r.Term > old.Term || r.Term == old.Term && old.Leader == 0 {
				leaders[r.ID] = r
			}
		}
		t.Rows = append(t.Rows, []string{strconv.FormatUint(p.Store, 10), state, strings.Join(leads, ", "),
			strings.Join(terms, ","), strings.Join(applied, ","), pid, p.Address})
	}
	t.note = leaderNote(leaders)
	return t
}

// leaderNote says who leads, by the word of those with the highest term. A leader that was cut off believes in itself.
func leaderNote(leaders map[uint64]ProcessRegion) string {
	var ids []uint64
	for id := range leaders {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var notes []string
	for _, id := range ids {
		if r := leaders[id]; r.Leader != 0 {
			notes = append(notes, fmt.Sprintf("region %d is led by store %d in term %d", id, r.Leader, r.Term))
		} else {
			notes = append(notes, fmt.Sprintf("nobody leads region %d in term %d", id, r.Term))
		}
	}
	if len(notes) == 0 {
		return "(no store answers)"
	}
	return "(" + strings.Join(notes, "; ") + ")"
}

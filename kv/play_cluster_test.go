// "play" with three stores: they are hurt in every way that the shell offers, and nothing is lost and nobody left behind.

//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// electionTimeout is the longest that a store of play waits for a leader before it campaigns: 19 ticks.
const electionTimeout = 19 * playTick

// game is a play that is spoken to by lines, and what it has answered so far.
type game struct {
	*program
	t    *testing.T
	say  func(line string)
	text fmt.Stringer // where the answers are
	seen int          // how much of that was read
}

// throughAPipe plays as a program does.
func throughAPipe(t *testing.T) *game {
	p := kv(t, "play")
	return &game{program: p, t: t, say: p.start(t), text: &p.out}
}

// onATerminal plays as a person does.
func onATerminal(t *testing.T) *game {
	s := onScreen(t, "3")
	return &game{program: s.program, t: t, say: func(line string) { s.press(t, line+enter) }, text: &s.text}
}

// order says a line and waits until an answer has come that matches the pattern; it returns what the parentheses of the
// pattern held, and how long it took.
func (g *game) order(line, pattern string) (found []string, took time.Duration) {
	g.t.Helper()
	match := regexp.MustCompile(pattern)
	began := time.Now()
	g.say(line)
	for {
		text := g.text.String()
		if m := match.FindStringSubmatchIndex(text[g.seen:]); m != nil {
			found = match.FindStringSubmatch(text[g.seen:])
			g.seen += m[1]
			return found[1:], time.Since(began)
		}
		if strings.Contains(text[g.seen:], "error:") || g.err.String() != "" || time.Since(began) > 30*time.Second {
			g.t.Fatalf("%s: nothing like %s after %v in\n%s\n%s", line, pattern, time.Since(began), text[g.seen:], g.err.String())
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// ok is the answer to an order that was carried out.
const ok = `OK\r?\n`

// value is the answer to a get: this and nothing else.
func value(v string) string { return `(?:^|[^ \d])` + v + `\r?\n` }

// leader is the store that leads, as soon as one does.
func (g *game) leader() string {
	g.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		found, _ := g.order("status", `\((?:region 4 is led by store (\d)|nobody leads|no store answers).*\)`)
		if found[0] != "" {
			return found[0]
		}
	}
	g.t.Fatalf("nobody leads:\n%s", g.text)
	return ""
}

// pids are the processes of the stores that run.
func (g *game) pids() (pids []int) {
	table, _ := g.order("status", `(?s)STORE(.*)\((?:region|nobody)`)
	for line := range strings.Lines(table[0]) {
		if m := regexp.MustCompile(`\s(\d+)\s+127\.0\.0\.1`).FindStringSubmatch(line); m != nil {
			pid, _ := strconv.Atoi(m[1])
			pids = append(pids, pid)
		}
	}
	return pids
}

// end leaves, and insists that nothing is left.
func (g *game) end() {
	g.t.Helper()
	pids := g.pids()
	g.say("quit")
	if err := g.Wait(); err != nil {
		g.t.Errorf("%v\n%s", err, g.err.String())
	}
	g.leavesNothing(g.t)
	gone(g.t, pids)
}

// gone waits until processes have ended.
func gone(t *testing.T, pids []int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var left []int
		for _, pid := range pids {
			if !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) && !isZombie(pid) {
				left = append(left, pid)
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("processes %v are left", left)
		}
	}
}

// isZombie tells whether a process has ended and only its parent, who may never ask, does not know yet.
func isZombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

func TestWritesGoOnWhenTheLeaderIsKilled(t *testing.T) {
	t.Parallel() // it mostly waits
	for name, begin := range map[string]func(*testing.T) *game{"pipe": throughAPipe, "terminal": onATerminal} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			g := begin(t)
			g.order("put a 1", ok)
			first := time.Since(began)
			old := g.leader()
			g.order("kill "+old, ok)
			_, away := g.order("put b 2", ok)
			next := g.leader()
			if next == old {
				t.Errorf("store %s, which was killed, leads", old)
			}
			g.order("get a", value("1"))
			g.order("restart "+old, ok)
			g.order("kill "+next, ok) // of the two that are left one was away
			_, again := g.order("put c 3", ok)
			g.order("scan", `(?s)a +1.*b +2.*c +3.*\(3 pairs\)`)
			t.Logf("first write %v after the start; after a kill of the leader writes went on within %v, and within %v "+
				"(two election timeouts are %v)", first, away, again, 2*electionTimeout)
			g.end()
		})
	}
}

func TestNothingIsLostOrStaleWhenStoresArePausedAndCutOff(t *testing.T) {
	t.Parallel() // it mostly waits
	g := throughAPipe(t)
	g.order("put k 1", ok)
	old := g.leader()
	g.order("pause "+old, ok)
	for g.leader() == old { // it is believed in until somebody else is elected
	}
	g.order("get k", value("1")) // asks the paused store first, and then the others
	g.order("put k 2", ok)
	g.order("resume "+old, ok)
	g.order("get k", value("2"))
	cut := g.leader()
	g.order("cut "+cut, ok)
	g.order("status", `alive, cut off`)
	for g.leader() == cut {
	}
	g.order("get k", value("2")) // asks the store that is cut off first: by now it must not answer, nor with what is old later
	g.order("put k 3", ok)
	g.order("heal", ok)
	g.order("get k", value("3"))
	to := "1"
	if g.leader() == to {
		to = "2"
	}
	g.order("leader "+to, ok)
	if got := g.leader(); got != to {
		t.Errorf("store %s leads, want %s", got, to)
	}
	g.order("get k", value("3"))
	g.end()
}

func TestPlayKilledWithMinus9LeavesNobodyAndNothing(t *testing.T) {
	t.Parallel() // it mostly waits
	g := throughAPipe(t)
	g.order("put k 1", ok)
	pids := g.pids()
	if len(pids) != 3 {
		t.Fatalf("the stores are processes %v", pids)
	}
	g.order("pause 2", ok) // who is paused can't notice
	if err := g.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = g.Wait()
	gone(t, pids)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		left, err := filepath.Glob(filepath.Join(g.tmp, "tinykv-play-*"))
		if err != nil || len(left) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("left behind: %v", left)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestOrdersThatCannotBeCarriedOutSayWhatToDo(t *testing.T) {
	t.Parallel() // it mostly waits
	p := kv(t, "play")
	p.Stdin = strings.NewReader("kill 1\nkill 1\npause 1\nresume 2\nkill 7\nrestart 1\n")
	if err := p.Run(); err == nil {
		t.Error("orders that failed ended with status 0")
	}
	for _, want := range []string{"line 2: store 1 does not run: restart 1 starts it", "line 3: store 1 does not run",
		"line 4: store 2 is not paused", "line 5: there is no store 7: the stores are 1 2 3"} {
		if !strings.Contains(p.err.String(), want) {
			t.Errorf("no %q in\n%s", want, p.err.String())
		}
	}
	p.leavesNothing(t)
}

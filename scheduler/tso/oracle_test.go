// Scripts: what goes in, what effects come out, one rule of the package's page at a time.

package tso_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"tinykv/scheduler/tso"
)

// script runs one line after the other against an Oracle and compares the effects. A line is "input -> effects":
//
//	ask NOW ID COUNT   durable NOW   failed   stop
//	persist UPTO   grant ID FIRST..LAST   refuse ID busy|count|storage|stopped|exhausted
func script(t *testing.T, o *tso.Oracle, lines string) {
	t.Helper()
	for line := range strings.Lines(strings.TrimSpace(lines)) {
		line = strings.TrimSpace(line)
		input, want, _ := strings.Cut(line, "->")
		if got := show(do(t, o, input)); got != strings.TrimSpace(want) {
			t.Fatalf("%s\n got: %s\nwant: %s", strings.TrimSpace(input), got, strings.TrimSpace(want))
		}
	}
}

func do(t *testing.T, o *tso.Oracle, input string) []tso.Effect {
	t.Helper()
	verb, args, _ := strings.Cut(strings.TrimSpace(input), " ")
	var now int64
	var id uint64
	var count uint32
	switch verb {
	case "ask":
		if _, err := fmt.Sscan(args, &now, &id, &count); err != nil {
			t.Fatalf("bad script line %q: %v", input, err)
		}
		return o.Request(now, id, count)
	case "durable":
		if _, err := fmt.Sscan(args, &now); err != nil {
			t.Fatalf("bad script line %q: %v", input, err)
		}
		return o.Persisted(now)
	case "failed":
		return o.PersistFailed(errors.New("disk on fire"))
	case "stop":
		return o.Stop()
	}
	t.Fatalf("unknown verb in script line %q", input)
	return nil
}

func show(effects []tso.Effect) string {
	var words []string
	for _, e := range effects {
		switch e := e.(type) {
		case tso.Persist:
			words = append(words, fmt.Sprintf("persist %d", e.UpTo))
		case tso.Grant:
			words = append(words, fmt.Sprintf("grant %d %v..%v", e.ID, e.First(), e.Last))
		case tso.Refuse:
			words = append(words, fmt.Sprintf("refuse %d %s", e.ID, reason(e.Err)))
		}
	}
	return strings.Join(words, "; ")
}

func reason(err error) string {
	for name, target := range map[string]error{
		"busy": tso.ErrBusy, "count": tso.ErrCount, "storage": tso.ErrStorage,
		"stopped": tso.ErrStopped, "exhausted": tso.ErrExhausted,
	} {
		if errors.Is(err, target) {
			return name
		}
	}
	return "for no documented reason: " + err.Error()
}

func TestNothingIsGrantedBeforeABoundIsDurable(t *testing.T) {
	script(t, tso.New(0, tso.Options{WindowMillis: 100}), `
		ask 1000 1 1   -> persist 1100
		ask 1001 2 3   ->
		durable 1005   -> grant 1 1005.0..1005.0; grant 2 1005.1..1005.3
		ask 1005 3 1   -> grant 3 1005.4..1005.4
		ask 1006 4 10  -> grant 4 1006.0..1006.9`)
}

func TestTheNextBoundIsAskedForWhenHalfTheWindowIsSpent(t *testing.T) {
	script(t, tso.New(0, tso.Options{WindowMillis: 100}), `
		ask 1000 1 1  -> persist 1100
		durable 1000  -> grant 1 1000.0..1000.0
		ask 1049 2 1  -> grant 2 1049.0..1049.0
		ask 1050 3 1  -> grant 3 1050.0..1050.0; persist 1150
		ask 1099 4 1  -> grant 4 1099.0..1099.0
		durable 1099  ->
		ask 1100 5 1  -> grant 5 1100.0..1100.0; persist 1200`)
}

func TestARestartBeginsAtTheBoundThatIsDurable(t *testing.T) {
	script(t, tso.New(1100, tso.Options{WindowMillis: 100}), `
		ask 1001 1 1  -> persist 1200
		durable 1002  -> grant 1 1100.0..1100.0
		ask 1003 2 1  -> grant 2 1100.1..1100.1`)
}

func TestAClockThatJumpsBackIsNotFollowed(t *testing.T) {
	script(t, tso.New(0, tso.Options{WindowMillis: 100}), `
		ask 1000 1 1  -> persist 1100
		durable 1000  -> grant 1 1000.0..1000.0
		ask 10 2 1    -> grant 2 1000.1..1000.1
		ask -5 3 1    -> grant 3 1000.2..1000.2
		ask 1001 4 1  -> grant 4 1001.0..1001.0`)
}

func TestAClockThatJumpsAheadIsFollowedOnceTheBoundIs(t *testing.T) {
	script(t, tso.New(0, tso.Options{WindowMillis: 100}), `
		ask 1000 1 1   -> persist 1100
		durable 1000   -> grant 1 1000.0..1000.0
		ask 9000 2 1   -> persist 9100
		ask 1001 3 1   ->
		durable 1001   -> grant 2 9000.0..9000.0; grant 3 9000.1..9000.1`)
}

func TestAnAbsurdClockIsNotFollowed(t *testing.T) {
	script(t, tso.New(500, tso.Options{WindowMillis: 100}), fmt.Sprintf(`
		ask %d 1 1  -> persist 600
		durable %d  -> grant 1 500.0..500.0`, int64(tso.MaxPhysical)+1, int64(1)<<62))
}

func TestAUsedUpMillisecondMovesPhysicalOnWithoutTheClock(t *testing.T) {
	script(t, tso.New(0, tso.Options{WindowMillis: 100}), `
		ask 1000 1 262144  -> persist 1100
		durable 1000       -> grant 1 1000.0..1000.262143
		ask 1000 2 1       -> grant 2 1001.0..1001.0
		ask 1000 3 262143  -> grant 3 1001.1..1001.262143
		ask 1000 4 2       -> grant 4 1002.0..1002.1
		ask 1000 5 262143  -> grant 5 1003.0..1003.262142`)
}

func TestAUsedUpWindowWaitsForTheDisk(t *testing.T) {
	script(t, tso.New(0, tso.Options{WindowMillis: 2}), `
		ask 1000 1 262144  -> persist 1002
		durable 1000       -> grant 1 1000.0..1000.262143
		ask 1000 2 262144  -> grant 2 1001.0..1001.262143; persist 1003
		ask 1000 3 1       ->
		durable 1000       -> grant 3 1002.0..1002.0; persist 1004`)
}

func TestCountsOfZeroAndAboveAMillisecondAreRefused(t *testing.T) {
	script(t, tso.New(0, tso.Options{}), `
		ask 1000 1 0           -> refuse 1 count
		ask 1000 2 262145      -> refuse 2 count
		ask 1000 3 4294967295  -> refuse 3 count
		ask 1000 4 262144      -> persist 4000`)
}

func TestAFailedDiskRefusesWhoWaitsAndIsTriedAgain(t *testing.T) {
	script(t, tso.New(0, tso.Options{WindowMillis: 100}), `
		ask 1000 1 1  -> persist 1100
		ask 1000 2 1  ->
		failed        -> refuse 1 storage; refuse 2 storage
		failed        ->
		ask 1000 3 1  -> persist 1100
		durable 1000  -> grant 3 1000.0..1000.0`)
}

func TestAStoppedOracleRefusesEverybody(t *testing.T) {
	script(t, tso.New(0, tso.Options{WindowMillis: 100}), `
		ask 1000 1 1  -> persist 1100
		stop          -> refuse 1 stopped
		durable 1000  ->
		failed        ->
		ask 1000 2 1  -> refuse 2 stopped`)
}

func TestADiskSlowerThanTheWindowDelaysAndDoesNotStarve(t *testing.T) {
	script(t, tso.New(0, tso.Options{WindowMillis: 100}), `
		ask 1000 1 1  -> persist 1100
		ask 1500 2 1  ->
		durable 2000  -> grant 1 1099.0..1099.0; grant 2 1099.1..1099.1; persist 1199
		ask 3000 3 1  ->
		durable 4000  -> grant 3 1198.0..1198.0; persist 1298
		durable 5000  -> persist 1397`)
}

func TestTheEndOfTimeIsRefusedAndNotWrappedAround(t *testing.T) {
	script(t, tso.New(tso.MaxPhysical, tso.Options{}), fmt.Sprintf(`
		ask 1 1 262144  -> persist %d
		durable 1       -> grant 1 %d.0..%d.262143
		ask 1 2 1       -> refuse 2 exhausted`,
		int64(tso.MaxPhysical)+1, int64(tso.MaxPhysical), int64(tso.MaxPhysical)))
	script(t, tso.New(1<<62, tso.Options{}), `ask 1 1 1 -> refuse 1 exhausted`)
}

func TestRequestsThatWaitAreBounded(t *testing.T) {
	o := tso.New(0, tso.Options{})
	for id := range uint64(1 << 16) {
		o.Request(1000, id, 1)
	}
	script(t, o, `ask 1000 99999 1 -> refuse 99999 busy`)
}

func TestTimestampAsANumberKeepsTheOrder(t *testing.T) {
	ordered := []tso.Timestamp{{0, 0}, {0, 1}, {0, tso.MaxLogical}, {1, 0}, {1700000000000, 5}, {1700000000001, 0},
		{tso.MaxPhysical, tso.MaxLogical}}
	for i, ts := range ordered {
		if got := tso.FromUint64(ts.Uint64()); got != ts {
			t.Errorf("FromUint64(%v.Uint64()) = %v", ts, got)
		}
		if i > 0 && ordered[i-1].Uint64() >= ts.Uint64() {
			t.Errorf("%v is before %v, but not as a number", ordered[i-1], ts)
		}
	}
	if int64(ordered[len(ordered)-1].Uint64()) < 0 {
		t.Error("the last timestamp is negative as a signed number")
	}
}

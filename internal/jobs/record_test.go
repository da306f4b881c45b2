package jobs

import (
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/systemd"
)

func TestTake(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return now.Add(time.Duration(minutes) * time.Minute) }
	run := func(exit int, result string) systemd.RunEvent {
		return systemd.RunEvent{Start: at(exit - 1), Exit: at(exit), Success: result == "success", Result: result}
	}
	r := &Record{Since: at(-60)}
	for i, step := range []struct {
		event    systemd.RunEvent
		news     bool
		success  time.Time
		failures uint64
	}{
		{run(-50, "success"), true, at(-50), 0},
		{run(-50, "success"), false, at(-50), 0}, // the signal, and then what the manager still knows
		{run(-40, "exit-code"), true, at(-50), 1},
		{run(-45, "success"), false, at(-50), 1}, // an older one that arrives late
		{run(-30, "exec-condition"), false, at(-50), 1},
		{run(-20, "signal"), true, at(-50), 2},
		{run(90, "success"), false, at(-50), 2}, // the clock was wrong and is right again
		{run(-5, "success"), true, at(-5), 2},
	} {
		if news := r.take(step.event, now); news != step.news || !r.Success.Equal(step.success) || r.Failures != step.failures {
			t.Errorf("step %d: news %v, %+v", i, news, *r)
		}
	}
	if r.Result != "success" || !r.OK {
		t.Errorf("%+v", *r)
	}
}

// A clock that was years ahead leaves no success that keeps alerts quiet until then.
func TestCorrect(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	ahead := now.AddDate(4, 0, 0)
	success := systemd.RunEvent{Start: ahead.Add(-time.Minute), Exit: ahead, Success: true, Result: "success"}
	failure := systemd.RunEvent{Start: now.Add(-time.Minute), Exit: now, Result: "exit-code"}

	fine := Record{Since: now, Seen: now, Exit: now.Add(time.Second), Success: now.Add(time.Second), OK: true, Result: "success"}
	if before := fine; fine.correct(now) || fine != before {
		t.Errorf("a second ahead: %+v", fine)
	}
	r := Record{Since: ahead.AddDate(-4, -1, 0), Seen: ahead.AddDate(-4, -1, 0), Failures: 3}
	if !r.take(success, ahead) || r.correct(ahead) {
		t.Fatalf("while the clock is wrong: %+v", r)
	}
	if !r.correct(now) || !r.Success.IsZero() || !r.Exit.IsZero() || r.OK || !r.Since.Equal(now) || r.Failures != 3 {
		t.Errorf("when it is right: %+v", r)
	}
	if r.correct(now) || r.take(success, now) { // which systemd still knows
		t.Errorf("again: %+v", r)
	}
	if !r.take(failure, now) || r.Failures != 4 || !r.Success.IsZero() {
		t.Errorf("after a failure: %+v", r)
	}
	r = Record{Success: ahead}
	if !r.take(failure, now) || !r.correct(now) || !r.Success.IsZero() || r.Result != "exit-code" {
		t.Errorf("a failure came first: %+v", r)
	}
}

func TestRunning(t *testing.T) {
	for state, want := range map[[2]string]bool{
		{"activating", "start-pre"}:    true,
		{"activating", "start"}:        true,
		{"active", "running"}:          true,
		{"deactivating", "stop-post"}:  true,
		{"active", "exited"}:           false,
		{"activating", "auto-restart"}: false,
		{"inactive", "dead"}:           false,
		{"failed", "failed"}:           false,
		{"", ""}:                       false,
	} {
		if got := Running(&systemd.Unit{ActiveState: state[0], SubState: state[1]}); got != want {
			t.Errorf("%v: %v", state, got)
		}
	}
}

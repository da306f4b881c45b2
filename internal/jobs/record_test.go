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
		{run(90, "success"), true, at(90), 2}, // the clock is wrong
		{run(90, "success"), false, at(90), 2},
		{run(-5, "success"), true, at(-5), 2}, // and right again
	} {
		if news := r.take(step.event, now); news != step.news || !r.Success.Equal(step.success) || r.Failures != step.failures {
			t.Errorf("step %d: news %v, %+v", i, news, *r)
		}
	}
	if r.Result != "success" || !r.OK {
		t.Errorf("%+v", *r)
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

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

// A clock that was years ahead leaves no success that keeps alerts quiet until then, and one that
// is behind does not make a success forgotten.
func TestBelieved(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	ahead := now.AddDate(4, 0, 0)
	success := systemd.RunEvent{Start: ahead.Add(-time.Minute), Exit: ahead, Success: true, Result: "success"}
	failure := systemd.RunEvent{Start: now.Add(-time.Minute), Exit: now, Result: "exit-code"}

	if fine := (Record{Exit: now.Add(time.Second), Success: now.Add(time.Second), OK: true}); *fine.believed(now) != fine {
		t.Errorf("a second ahead: %+v", fine.believed(now))
	}
	r := Record{Failures: 3}
	if !r.take(success, ahead) || *r.believed(ahead) != r {
		t.Fatalf("while the clock is ahead: %+v", r)
	}
	if b := r.believed(now); !b.Success.IsZero() || !b.Exit.IsZero() || b.OK || b.Failures != 3 {
		t.Errorf("when it is not: %+v", b)
	}
	if r.take(success, now) { // which systemd still knows
		t.Errorf("again: %+v", r)
	}
	if b := r.believed(ahead); !b.Success.Equal(ahead) || !b.OK {
		t.Errorf("a clock that was behind is right again: %+v", b)
	}
	if !r.take(failure, now) || r.take(failure, now) {
		t.Errorf("a failure: %+v", r)
	}
	if b := r.believed(now); b.Failures != 4 || !b.Success.IsZero() || b.Result != "exit-code" {
		t.Errorf("after a failure: %+v", b)
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

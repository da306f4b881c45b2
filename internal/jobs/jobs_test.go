package jobs

import (
	"log/slog"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/systemd"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// What a clock that was years ahead has left is gone at the first look, for a job that did not run
// since, for one that did, and for one that systemd does not know; the next look has no news, one more has
// it by the clock alone.
func TestLookCorrects(t *testing.T) {
	const idle, failed, gone = "idle.service", "failed.service", "gone.service"
	host := testenv.Systemd(t, map[string]string{
		idle:   "[Service]\nType=oneshot\nExecStart=/bin/true\n",
		failed: "[Service]\nType=oneshot\nExecStart=/bin/false\n",
	})
	if _, err := host.TrySystemctl("start", failed); err == nil {
		t.Fatal("it did not fail")
	}
	hub := systemd.NewHub(slog.New(slog.DiscardHandler))
	defer hub.Close()
	f := NewFollower(hub, host.BusAddress(), []string{idle, failed}, time.Now)
	defer f.Close()

	now := time.Now()
	ahead := now.AddDate(4, 0, 0)
	past := Past{}
	for _, unit := range []string{idle, failed, gone} {
		past[unit] = &Record{Since: now.AddDate(-1, 0, 0), Seen: now, Exit: ahead, Success: ahead, OK: true, Result: "success"}
	}
	for i, changed := range []bool{true, false, true} {
		if i == 2 {
			past[idle].Success = ahead
		}
		v, err := f.Look(t.Context(), past)
		if err != nil {
			t.Fatal(err)
		}
		if v.Changed != changed {
			t.Errorf("look %d: changed %v", i, v.Changed)
		}
		for unit, r := range past {
			ran := unit == failed
			if !r.Success.IsZero() || r.OK || r.Exit.After(time.Now()) || r.Exit.IsZero() == ran || (r.Failures == 1) != ran {
				t.Errorf("look %d: %s: %+v", i, unit, *r)
			}
		}
	}
}

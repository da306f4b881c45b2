package jobs

import (
	"log/slog"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/systemd"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// What a clock that was years ahead has left is not shown, of a job that did not run since and of
// one that did.
func TestLookWithClockBack(t *testing.T) {
	const idle, failed = "idle.service", "failed.service"
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

	ahead := time.Now().AddDate(4, 0, 0)
	past := Past{}
	for _, unit := range []string{idle, failed} {
		past[unit] = &Record{Since: ahead, Seen: ahead, Exit: ahead, Success: ahead, OK: true, Result: "success"}
	}
	for i, changed := range []bool{true, false} {
		v, err := f.Look(t.Context(), past)
		if err != nil {
			t.Fatal(err)
		}
		if v.Changed != changed || len(v.Jobs) != 2 {
			t.Errorf("look %d: changed %v, %d jobs", i, v.Changed, len(v.Jobs))
		}
		for _, j := range v.Jobs {
			ran, r := j.Unit.Name == failed, j.Past
			if !r.Success.IsZero() || r.OK || r.Since.After(time.Now()) || r.Exit.After(time.Now()) || r.Exit.IsZero() == ran || (r.Failures == 1) != ran {
				t.Errorf("look %d: %s: %+v", i, j.Unit.Name, *r)
			}
		}
	}
}

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// switches are files that the units of a test look at.
type switches struct {
	t   *testing.T
	dir string
}

func newSwitches(t *testing.T) switches {
	t.Helper()
	return switches{t, t.TempDir()}
}

func (s switches) path(name string) string { return filepath.Join(s.dir, name) }

func (s switches) on(name string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), nil, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s switches) off(name string) {
	s.t.Helper()
	if err := os.Remove(s.path(name)); err != nil {
		s.t.Fatal(err)
	}
}

// TestServices takes a real systemd through each fault of service_alerts.yml, next to units
// that are well or ill in ways that concern nobody.
func TestServices(t *testing.T) {
	t.Parallel()
	s := newSwitches(t)
	host := testenv.Systemd(t, map[string]string{
		"web.service": "[Service]\nExecStart=/bin/sleep infinity\n",
		"db.service":  "[Service]\nExecStart=/bin/sleep infinity\n",
		"job.service": fmt.Sprintf("[Service]\nType=oneshot\nExecStart=/bin/sh -c 'test ! -e %s'\n", s.path("job-fails")),
		"flap.service": fmt.Sprintf("[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=always\nRestartSec=200ms\n"+
			"ExecStart=/bin/sh -c 'while test ! -e %s; do sleep 0.1; done; sleep 0.2; exit 1'\n", s.path("flap")),
		"tick.timer":   "[Timer]\nOnCalendar=*:*:0/2\nAccuracySec=1ms\n",
		"tick.service": fmt.Sprintf("[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'while test -e %s; do sleep 0.1; done'\n", s.path("tick-hangs")),
		"weekly.timer": "[Timer]\nOnCalendar=weekly\nUnit=job.service\n",
		"wrong.timer":  "[Timer]\nOnCalendar=weekly\nUnit=job.service\n",
		"idle.service": "[Service]\nExecStart=/bin/sleep infinity\n",

		"default.target.wants/web.service":   "",
		"default.target.wants/db.service":    "",
		"default.target.wants/flap.service":  "",
		"default.target.wants/timers.target": "",
		"timers.target.wants/tick.timer":     "",
		"timers.target.wants/weekly.timer":   "",
		"timers.target.wants/wrong.timer":    "",
	})
	h := New(t, Options{
		Config: "criticalservice: {units: [web.service, db.service]}\nsystemd: {}\n",
		Env:    []string{"DBUS_SYSTEM_BUS_ADDRESS=" + host.BusAddress()},
		Rules:  []string{"service_alerts", "exporter"},
	})
	unit := func(alert, name string) Alert { return Alert{alert, map[string]string{"name": name}} }
	critical, failed := unit("CriticalServiceDown", "web.service"), unit("SystemdServiceFailed", "job.service")
	flapping, overdue := unit("SystemdServiceFlapping", "flap.service"), unit("TimerOverdue", "tick.timer")
	wrong := unit("SystemdUnitNotLoadable", "wrong.timer")
	testenv.Eventually(t, Limit, func() error { // the interval is known after the first run
		if len(h.Query(`systemd_timer_interval_seconds{name="tick.timer"}`)) == 0 {
			return fmt.Errorf("tick.timer has not run")
		}
		return nil
	})

	// A critical service that fails is CriticalServiceDown's alone; one that is stopped too.
	host.Systemctl("kill", "--signal=KILL", "web.service")
	h.WaitFiring(critical.Name, critical.Labels)
	h.ExactlyFiring(critical)
	host.Systemctl("start", "web.service")
	h.WaitResolved(critical.Name, critical.Labels)
	host.Systemctl("stop", "web.service")
	h.WaitFiring(critical.Name, critical.Labels)
	h.ExactlyFiring(critical)
	host.Systemctl("start", "web.service")
	h.WaitResolved(critical.Name, critical.Labels)

	s.on("job-fails")
	if out, err := host.TrySystemctl("start", "job.service"); err == nil {
		t.Fatalf("job.service did not fail: %s", out)
	}
	s.on("flap")
	s.on("tick-hangs")
	host.WriteUnit("wrong.timer", "[Timer]\nOnCalendar=*-*-0/2\nUnit=job.service\n")
	host.Systemctl("daemon-reload")
	for _, alert := range []Alert{failed, flapping, overdue, wrong} {
		h.WaitFiring(alert.Name, alert.Labels)
	}
	h.ExactlyFiring(failed, flapping, overdue, wrong)

	s.off("job-fails")
	host.Systemctl("start", "job.service")
	s.off("flap")
	s.off("tick-hangs")
	host.WriteUnit("wrong.timer", "[Timer]\nOnCalendar=weekly\nUnit=job.service\n")
	host.Systemctl("daemon-reload")
	for _, alert := range []Alert{failed, flapping, overdue, wrong} {
		h.WaitResolved(alert.Name, alert.Labels)
	}
	h.ExactlyFiring()
	for _, alert := range []Alert{critical, failed, overdue, wrong} { // those that have a `for`
		h.WaitPending(alert.Name, alert.Labels)
	}
	h.ExactlyFired(critical, failed, flapping, overdue, wrong)
}

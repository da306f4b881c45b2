package systemd

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

func TestMain(m *testing.M) {
	if address := os.Getenv(insideHost); address != "" {
		os.Exit(watchInside(address))
	}
	goleak.VerifyTestMain(m)
}

// patience is some 20 times what the slowest transition takes.
const patience = 20 * time.Second

// units of the test host: each is a case of its own.
var units = map[string]string{
	"healthy.service":                      "[Service]\nExecStart=/bin/sleep infinity\n",
	"default.target.wants/healthy.service": "",
	"broken.service":                       "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'exit 3'\n",
	"default.target.wants/broken.service":  "",
	"short.service":                        "[Unit]\nCollectMode=inactive-or-failed\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'sleep 0.1; exit 7'\n",
	"keeper.service":                       "[Unit]\nAfter=short.service\n[Service]\nExecStart=/bin/sleep infinity\n",
	"job.service":                          "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'sleep 0.1'\n",
	"flapping.service":                     "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=always\nRestartSec=100ms\nExecStart=/bin/sh -c 'sleep 0.1; exit 1'\n",
	"limited.service":                      "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=3\n[Service]\nRestart=on-failure\nRestartSec=10ms\nExecStart=/bin/false\n",
	"polite.service":                       "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=always\nRestartSec=50ms\nExecStart=/bin/sleep 0.05\n",
	"killed.service":                       "[Service]\nExecStart=/bin/sleep infinity\n",
	"slow.service":                         "[Service]\nType=oneshot\nTimeoutStartSec=300ms\nExecStart=/bin/sleep infinity\n",
	"skipped.service":                      "[Service]\nType=oneshot\nExecCondition=/bin/false\nExecStart=/bin/true\n",
	"prepared.service":                     "[Service]\nType=oneshot\nExecStartPre=/bin/sleep infinity\nExecStart=/bin/true\n",
	"prefailed.service":                    "[Service]\nType=oneshot\nExecStartPre=/bin/false\nExecStart=/bin/true\n",
	"remains.service":                      "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\nExecStop=/bin/false\n",
	"dependent.service":                    "[Unit]\nRequires=prefailed.service\nAfter=prefailed.service\n[Service]\nType=oneshot\nExecStart=/bin/true\n",
	"inst@.service":                        "[Service]\nExecStart=/bin/sleep infinity\n",
	"dozing@.service":                      "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=other.target\n",
	"asleep.service":                       "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=other.target\n",
	"other.target.wants/asleep.service":    "",
	"static.service":                       "[Service]\nExecStart=/bin/sleep infinity\n",
	"disabled.service":                     "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=other.target\n",
	"calendar.timer":                       "[Timer]\nOnCalendar=*-*-* 03:00:00\nUnit=job.service\n",
	"timers.target.wants/calendar.timer":   "",
	"monotonic.timer":                      "[Timer]\nOnActiveSec=1h\nUnit=job.service\n",
	"timers.target.wants/monotonic.timer":  "",
	"often.timer":                          "[Timer]\nOnActiveSec=100ms\nOnUnitActiveSec=1h\nAccuracySec=1ms\nUnit=ticked.service\n",
	"ticked.service":                       "[Service]\nType=oneshot\nExecStart=/bin/true\n",
	"wrong.timer":                          "[Timer]\nOnCalendar=*-*-0/2\nUnit=job.service\n",
	"timers.target.wants/wrong.timer":      "",
	"default.target.wants/timers.target":   "",
}

// fixture is a host, a handle on it, and the runs that were reported.
type fixture struct {
	*testenv.SystemdHost
	*Handle
	t    *testing.T
	hub  *Hub
	mu   sync.Mutex
	runs []RunEvent
}

func newFixture(t *testing.T, interest Interest) *fixture {
	t.Helper()
	host := testenv.Systemd(t, units)
	host.Systemctl("mask", "masked.service")
	host.Systemctl("daemon-reload")
	f := &fixture{SystemdHost: host, t: t, hub: NewHub(slog.New(slog.DiscardHandler))}
	t.Cleanup(func() { _ = f.hub.Close() })
	f.Handle = f.hub.Watch(host.BusAddress())
	f.Require(interest)
	f.Subscribe(func(e RunEvent) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.runs = append(f.runs, e)
	})
	f.snapshot()
	return f
}

func (f *fixture) snapshot() *Snapshot {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := f.Snapshot(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// until waits for a unit to satisfy want, and returns it.
func (f *fixture) until(name string, want func(u *Unit) bool) *Unit {
	f.t.Helper()
	var unit *Unit
	testenv.Eventually(f.t, patience, func() error {
		s, err := f.Snapshot(context.Background())
		if err != nil {
			return err
		}
		if unit = s.Unit(name); unit == nil {
			return fmt.Errorf("%s is not known", name)
		}
		if !want(unit) {
			return fmt.Errorf("not as wanted: %+v", *unit)
		}
		return nil
	})
	return unit
}

// ran waits for the n-th run of a unit to be reported.
func (f *fixture) ran(name string, n int) RunEvent {
	f.t.Helper()
	var run RunEvent
	testenv.Eventually(f.t, patience, func() error {
		runs := f.runsOf(name)
		if len(runs) < n {
			return fmt.Errorf("%d runs of %s", len(runs), name)
		}
		run = runs[n-1]
		return nil
	})
	return run
}

func (f *fixture) runsOf(name string) []RunEvent {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.runs), func(e RunEvent) bool { return e.Unit != name })
}

// settle waits until the watcher has taken up all that happened before: signals are in order, so
// the run of a unit started now ends after them.
func (f *fixture) settle() *Snapshot {
	f.t.Helper()
	before := uint64(0)
	if u := f.snapshot().Unit("job.service"); u != nil {
		before = u.Runs
	}
	f.Systemctl("start", "job.service")
	f.until("job.service", func(u *Unit) bool { return u.Runs > before })
	return f.snapshot()
}

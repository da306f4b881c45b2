package systemd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is some 20 times what the slowest transition takes.
const patience = 20 * time.Second

// units of the test host: each is a case of its own.
var units = map[string]string{
	"healthy.service":                      "[Service]\nExecStart=/bin/sleep infinity\n",
	"default.target.wants/healthy.service": "",
	"broken.service":                       "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'exit 3'\n",
	"default.target.wants/broken.service":  "",
	"short.service":                        "[Unit]\nCollectMode=inactive-or-failed\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'sleep 0.1; exit 7'\n",
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

func TestStates(t *testing.T) {
	f := newFixture(t, Interest{
		Names: []string{"healthy.service", "missing.service", "masked.service", "inst@a.service", "dozing@a.service", "static.service", "wrong.timer"},
	})
	f.Systemctl("start", "inst@a.service")
	f.until("inst@a.service", (*Unit).Active)
	s := f.snapshot()
	for _, test := range []struct{ name, load, active, sub string }{
		{"healthy.service", "loaded", "active", "running"},
		{"broken.service", "loaded", "failed", "failed"},
		{"missing.service", "not-found", "inactive", "dead"},
		{"masked.service", "masked", "inactive", "dead"},
		{"inst@a.service", "loaded", "active", "running"},
		{"dozing@a.service", "loaded", "inactive", "dead"},
		{"static.service", "loaded", "inactive", "dead"},
		{"wrong.timer", "bad-setting", "inactive", "dead"},
		{"calendar.timer", "loaded", "active", "waiting"},
		{"default.target", "loaded", "active", "active"},
	} {
		u := s.Unit(test.name)
		if u == nil {
			t.Errorf("%s is not known", test.name)
		} else if u.LoadState != test.load || u.ActiveState != test.active || u.SubState != test.sub {
			t.Errorf("%s: %s %s %s, want %v", test.name, u.LoadState, u.ActiveState, u.SubState, test)
		}
	}
	if u := s.Unit("wrong.timer"); u.LoadError == "" {
		t.Error("wrong.timer: no load error")
	}
	if u := s.Unit("healthy.service"); u.Service.Type != "simple" || u.Service.ExecMainStart.IsZero() || !u.Service.ExecMainExit.IsZero() || u.ActiveEnter.IsZero() || u.ControlGroup != "/system.slice/healthy.service" {
		t.Errorf("healthy.service: %+v", *u)
	}
	if u := s.Unit("broken.service"); u.Result != "exit-code" || u.Service.ExecMainStatus != 3 || !slices.Equal(u.Results, []string{"exit-code"}) {
		t.Errorf("broken.service: %+v", *u)
	} else if u.Failures != 0 || u.Runs != 0 {
		t.Errorf("broken.service failed before the watch began, and was counted: %+v", *u)
	}
	if u := s.Unit("disabled.service"); u != nil {
		t.Errorf("disabled.service is shown, nobody asked for it: %+v", *u)
	}
}

func TestPatterns(t *testing.T) {
	f := newFixture(t, Interest{Patterns: []string{"*s*.service"}, EnabledOnly: true})
	s := f.snapshot()
	if u := s.Unit("asleep.service"); u == nil || u.InMemory || u.FileState != "enabled" || u.LoadState != "loaded" {
		t.Errorf("asleep.service is enabled and not in memory: %+v", u)
	}
	for _, name := range []string{"static.service", "disabled.service", "masked.service"} {
		if u := s.Unit(name); u != nil {
			t.Errorf("%s is shown: %+v", name, *u)
		}
	}
	f.Require(Interest{Patterns: []string{"s?atic*"}})
	s = f.snapshot()
	if s.Unit("static.service") == nil || s.Unit("asleep.service") != nil {
		t.Error("a new interest does not replace the old one")
	}
	f.Require(Interest{Patterns: []string{"*s*.service"}, EnabledOnly: true})
	f.Systemctl("enable", "disabled.service")
	f.until("disabled.service", func(u *Unit) bool { return u.FileState == "enabled" })
}

func TestFailures(t *testing.T) {
	f := newFixture(t, Interest{})
	started := time.Now()

	_, _ = f.TrySystemctl("start", "short.service") // 100 ms, and gone from memory at once
	run := f.ran("short.service", 1)
	if run.Success || run.Result != "exit-code" || run.ExitCode != 7 || run.InvocationID == "" || run.Start.Before(started) || !run.Exit.After(run.Start) {
		t.Errorf("short.service: %+v", run)
	}
	_, _ = f.TrySystemctl("start", "short.service")
	f.ran("short.service", 2)
	f.settle()
	if u := f.until("short.service", func(u *Unit) bool { return !u.InMemory }); u.Failures != 2 || u.Runs != 2 || !slices.Equal(u.Results, []string{"exit-code"}) {
		t.Errorf("two failures of short.service: %+v", *u)
	}

	f.Systemctl("start", "killed.service")
	f.until("killed.service", (*Unit).Active)
	f.Systemctl("kill", "--signal=KILL", "killed.service")
	if run := f.ran("killed.service", 1); run.Result != "signal" || run.ExitCode != -1 || run.Signal != 9 {
		t.Errorf("killed.service: %+v", run)
	}
	_, _ = f.TrySystemctl("start", "slow.service")
	if run := f.ran("slow.service", 1); run.Result != "timeout" || run.Success {
		t.Errorf("slow.service: %+v", run)
	}
	_, _ = f.TrySystemctl("start", "skipped.service")
	if run := f.ran("skipped.service", 1); run.Result != "exec-condition" || run.Success {
		t.Errorf("skipped.service: %+v", run)
	}
	_, _ = f.TrySystemctl("start", "dependent.service")
	if run := f.ran("dependent.service", 1); run.Result != "dependency" || run.Success || run.InvocationID != "" {
		t.Errorf("dependent.service: %+v", run)
	}
	if run := f.ran("prefailed.service", 1); run.Result != "exit-code" || run.ExitCode != -1 || run.Start.Before(started.Truncate(time.Second)) || run.Exit.Before(run.Start) {
		t.Errorf("prefailed.service: %+v", run)
	}
	f.Systemctl("start", "remains.service")
	if run := f.ran("remains.service", 1); !run.Success {
		t.Errorf("remains.service: %+v", run)
	}
	_, _ = f.TrySystemctl("stop", "remains.service")
	if run := f.ran("remains.service", 2); run.Success {
		t.Errorf("remains.service after its failed stop: %+v", run)
	}
	f.settle()
	s := f.snapshot()
	for name, want := range map[string]uint64{"killed.service": 1, "slow.service": 1, "prefailed.service": 1, "remains.service": 1, "job.service": 0, "broken.service": 0} {
		if u := s.Unit(name); u.Failures != want {
			t.Errorf("%s: %d failures, want %d: %+v", name, u.Failures, want, *u)
		}
	}
}

func TestRestarts(t *testing.T) {
	f := newFixture(t, Interest{})
	f.Systemctl("start", "--no-block", "flapping.service", "limited.service", "polite.service")
	u := f.until("limited.service", func(u *Unit) bool { return u.ActiveState == "failed" })
	f.settle()
	if u = f.snapshot().Unit("limited.service"); u.Failures != 3 {
		t.Errorf("limited.service: %d failures, want 3: %+v", u.Failures, *u)
	}
	f.until("flapping.service", func(u *Unit) bool { return u.Service.Restarts >= 5 && u.Failures >= 5 })
	f.Systemctl("stop", "flapping.service")
	f.until("flapping.service", func(u *Unit) bool { return u.ActiveState == "inactive" || u.ActiveState == "" })
	u = f.settle().Unit("flapping.service")
	runs := f.runsOf("flapping.service")
	failures := uint64(0)
	for _, run := range runs {
		if !run.Success {
			failures++
		}
	}
	if u.Failures != failures || uint64(len(runs)) != u.Runs {
		t.Errorf("flapping.service: %d failures in %d runs counted, %d in %d reported", u.Failures, u.Runs, failures, len(runs))
	}
	u = f.until("polite.service", func(u *Unit) bool { return u.Runs >= 5 })
	if u.Failures != 0 || len(u.Results) != 0 {
		t.Errorf("polite.service ends well and is restarted: %+v", *u)
	}
}

func TestExecStartPre(t *testing.T) {
	f := newFixture(t, Interest{})
	f.Systemctl("start", "--no-block", "prepared.service")
	u := f.until("prepared.service", func(u *Unit) bool { return u.SubState == "start-pre" })
	if u.ActiveState != "activating" || !u.Service.ExecMainStart.IsZero() || !u.Service.ExecMainExit.IsZero() || u.InactiveExit.IsZero() {
		t.Errorf("during ExecStartPre: %+v", *u)
	}
	if runs := f.runsOf("prepared.service"); len(runs) > 0 {
		t.Errorf("a run that still goes on is reported: %+v", runs)
	}
}

func TestTimers(t *testing.T) {
	f := newFixture(t, Interest{})
	s := f.snapshot()
	if u := s.Unit("calendar.timer"); u.Timer.Unit != "job.service" || !u.Timer.LastTrigger.IsZero() || u.Timer.Interval != 0 {
		t.Errorf("calendar.timer never ran: %+v", *u)
	}
	next := s.NextElapse(s.Unit("calendar.timer"))
	if ahead := time.Until(next); ahead < 0 || ahead > 25*time.Hour || next.Second() > 0 && next.Minute() > 1 {
		t.Errorf("calendar.timer elapses at %s", next)
	}
	u := s.Unit("monotonic.timer")
	next = s.NextElapse(u)
	if d := next.Sub(u.ActiveEnter) - time.Hour; d.Abs() > time.Second {
		t.Errorf("monotonic.timer: entered %s, elapses %s", u.ActiveEnter, next)
	}
	if next != f.snapshot().NextElapse(u) {
		t.Error("the same elapse has two times")
	}
	before := time.Now()
	f.Systemctl("start", "often.timer")
	u = f.until("often.timer", func(u *Unit) bool { return !u.Timer.LastTrigger.IsZero() && u.Timer.Interval > 0 })
	if u.Timer.LastTrigger.Before(before) || (u.Timer.Interval-time.Hour).Abs() > 10*time.Second {
		t.Errorf("often.timer: %+v", u.Timer)
	}
}

func TestReloadAndReexec(t *testing.T) {
	f := newFixture(t, Interest{Names: []string{"late.service"}})
	if u := f.snapshot().Unit("late.service"); u.LoadState != "not-found" {
		t.Errorf("late.service: %+v", *u)
	}
	_, _ = f.TrySystemctl("start", "short.service")
	f.until("short.service", func(u *Unit) bool { return u.Failures == 1 })
	resyncs := f.snapshot().Stats.Resyncs
	f.WriteUnit("late.service", "[Service]\nExecStart=/bin/sleep infinity\n")
	f.Systemctl("daemon-reload")
	f.until("late.service", func(u *Unit) bool { return u.LoadState == "loaded" })
	if got := f.snapshot().Stats; got.Resyncs <= resyncs || got.Reloads == 0 {
		t.Errorf("after daemon-reload: %+v", got)
	}
	resyncs = f.snapshot().Stats.Resyncs
	f.Systemctl("daemon-reexec")
	testenv.Eventually(t, patience, func() error {
		if s, err := f.Snapshot(context.Background()); err != nil || s.Stats.Resyncs == resyncs {
			return fmt.Errorf("no resync: %w", err)
		}
		return nil
	})
	// Signals still come, and what was counted is neither lost nor counted again.
	f.Systemctl("start", "late.service")
	f.until("late.service", (*Unit).Active)
	s := f.settle()
	if u := s.Unit("short.service"); u.Failures != 1 {
		t.Errorf("short.service: %+v", *u)
	}
	if u := s.Unit("broken.service"); u.Failures != 0 || u.ActiveState != "failed" {
		t.Errorf("broken.service: %+v", *u)
	}
}

func TestBusRestart(t *testing.T) {
	f := newFixture(t, Interest{})
	f.SignalBus(syscall.SIGKILL)
	testenv.Eventually(t, patience, func() error {
		s, err := f.Snapshot(context.Background())
		if err == nil && s.Stats.Connects < 2 {
			err = errors.New("still the first connection")
		}
		return err
	})
	_, _ = f.TrySystemctl("start", "short.service")
	f.until("short.service", func(u *Unit) bool { return u.Failures == 1 })
}

func TestLossOfBus(t *testing.T) {
	f := newFixture(t, Interest{})
	f.Systemctl("start", "--no-block", "flapping.service")
	f.until("flapping.service", func(u *Unit) bool { return u.Failures >= 1 })
	f.StopBus()
	testenv.Eventually(t, 5*time.Second, func() error {
		if _, err := f.Snapshot(context.Background()); err == nil {
			return errors.New("no error without a bus")
		}
		return nil
	})
	_, _ = f.TrySystemctl("start", "prefailed.service") // unseen
	f.Systemctl("stop", "flapping.service")
	f.StartBus()
	u := f.until("prefailed.service", func(u *Unit) bool { return u.Failures > 0 })
	if u.Failures != 1 {
		t.Errorf("prefailed.service: %+v", *u)
	}
	f.Reboot()
	f.until("healthy.service", func(u *Unit) bool { return f.snapshot().Stats.Connects >= 3 && u.Active() })
}

func TestHungBus(t *testing.T) {
	f := newFixture(t, Interest{})
	f.SignalBus(syscall.SIGSTOP)
	testenv.Eventually(t, 4*pingInterval, func() error {
		if _, err := f.Snapshot(context.Background()); err == nil {
			return errors.New("no error from a hung bus")
		}
		return nil
	})
	f.SignalBus(syscall.SIGCONT)
	f.until("healthy.service", (*Unit).Active)
}

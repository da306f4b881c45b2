package systemd

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/systemd"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func TestLint(t *testing.T) { collectortest.Lint(t, Definition()) }

func TestConfig(t *testing.T) {
	load := func(yaml string) ([]collector.Source, error) {
		return collector.Load("test.yml", []byte("systemd:\n  "+yaml+"\n"), []*collector.Definition{Definition()})
	}
	for _, test := range []struct{ yaml, want string }{
		{"user: nobody-of-this-name", `test.yml:2:9: systemd.user: user "nobody-of-this-name" is not known`},
		{"include: '('", "test.yml:2:12: systemd.include: expected a regular expression: error parsing regexp: missing closing ): `(`"},
	} {
		if _, err := load(test.yaml); err == nil || err.Error() != test.want {
			t.Errorf("%s:\n got %v\nwant %s", test.yaml, err, test.want)
		}
	}
	sources, err := load("sources: [{name: root, user: root}]")
	if err != nil || len(sources) != 2 || sources[0].Name != "default" || sources[1].Name != "root" {
		t.Errorf("a user's manager beside the system's: %+v %v", sources, err)
	}
}

func newUnits(t *testing.T, env collector.Env, yaml string) (collector.Source, *units) {
	t.Helper()
	source := collectortest.Load(t, Definition(), yaml)[0]
	c, err := source.New(env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.(*units).Close() })
	return source, c.(*units)
}

// Each kind of unit in each state that has a meaning of its own.
func TestEmit(t *testing.T) {
	at := func(minutes int) time.Time { return collectortest.Now.Add(time.Duration(minutes) * time.Minute) }
	service := func(name, active, sub string) *systemd.Unit {
		return &systemd.Unit{Name: name, InMemory: true, LoadState: "loaded", ActiveState: active, SubState: sub, Result: "success", Service: systemd.Service{Type: "simple"}}
	}
	timer := func(name string, t systemd.Timer) *systemd.Unit {
		return &systemd.Unit{Name: name, InMemory: true, LoadState: "loaded", ActiveState: "active", SubState: "waiting", Result: "success", Timer: t}
	}
	flapping := service("flapping.service", "activating", "auto-restart")
	flapping.Service.Restarts, flapping.Failures, flapping.Result, flapping.Results = 7, 8, "signal", []string{"exit-code", "signal"}
	running := timer("running.timer", systemd.Timer{LastTrigger: at(-5), NextRealtime: at(-5), Interval: time.Hour})
	running.SubState = "running"
	gone := &systemd.Unit{Name: "run-u1.service", Failures: 1, Results: []string{"timeout"}}
	asleep := service("asleep.service", "inactive", "dead")
	asleep.InMemory, asleep.FileState, asleep.Service.Type = false, "enabled", ""
	static := service("static.service", "inactive", "dead") // another collector asks for it
	static.InMemory, static.FileState = false, "static"
	up := service("up.service", "active", "running")
	up.ControlGroup = "/system.slice/up.service"
	ended := service("ended.service", "active", "running") // since the snapshot
	ended.ControlGroup = "/system.slice/ended.service"
	s := systemd.NewSnapshot(collectortest.Now,
		up, ended, service("reloading.service", "reloading", "reload"), flapping, gone, asleep, static,
		timer("weekly.timer", systemd.Timer{LastTrigger: at(-60), NextRealtime: at(7*24*60 - 60), Interval: 7 * 24 * time.Hour}),
		timer("never.timer", systemd.Timer{NextRealtime: at(10)}), running,
		&systemd.Unit{Name: "wrong.timer", InMemory: true, LoadState: "bad-setting", ActiveState: "inactive", SubState: "dead", LoadError: "Unit wrong.timer has a bad unit file setting."},
		&systemd.Unit{Name: "absent.service", InMemory: true, LoadState: "not-found", ActiveState: "inactive", SubState: "dead"},
		&systemd.Unit{Name: "tank.mount", InMemory: true, LoadState: "loaded", ActiveState: "failed", SubState: "failed", Result: "exit-code", Results: []string{"exit-code"}, Failures: 1},
		&systemd.Unit{Name: "user.slice", InMemory: true, LoadState: "loaded", ActiveState: "active", SubState: "active"},
		&systemd.Unit{Name: "fresh.service", InMemory: true},
	)
	source, c := newUnits(t, collectortest.Env(t), "resources: true\ncgroup_root: testdata/units/cgroup")
	out := source.Batch()
	emitStats(systemd.Stats{Connects: 1, Resyncs: 3, Reloads: 2}, out)
	c.emit(s, out)
	if err := out.Err(); err != nil {
		t.Error(err)
	}
	collectortest.Want(t, collectortest.Text(t, out), "testdata/units/want.prom")
	collectortest.Covered(t, Definition(), out)
}

// value of one series of a text exposition.
func value(text, series string) (float64, bool) {
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(text)
	if found == nil {
		return 0, false
	}
	v, err := strconv.ParseFloat(found[1], 64)
	return v, err == nil
}

func TestReal(t *testing.T) {
	host := testenv.Systemd(t, map[string]string{
		"web.service":                        "[Service]\nExecStart=/bin/sleep infinity\n",
		"default.target.wants/web.service":   "",
		"short.service":                      "[Unit]\nStartLimitIntervalSec=0\nCollectMode=inactive-or-failed\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'sleep 0.1; exit 1'\n",
		"often.timer":                        "[Timer]\nOnActiveSec=100ms\nOnUnitActiveSec=1h\nAccuracySec=1ms\nUnit=ticked.service\n",
		"timers.target.wants/often.timer":    "",
		"never.timer":                        "[Timer]\nOnCalendar=weekly\nUnit=ticked.service\n",
		"timers.target.wants/never.timer":    "",
		"wrong.timer":                        "[Timer]\nOnCalendar=*-*-0/2\n",
		"timers.target.wants/wrong.timer":    "",
		"ticked.service":                     "[Service]\nType=oneshot\nExecStart=/bin/true\n",
		"default.target.wants/timers.target": "",
	})
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", host.BusAddress())
	env := collectortest.Env(t)
	source, c := newUnits(t, env, "resources: true\ncgroup_root: "+host.CgroupRoot())
	var text string
	var out *metric.Batch
	shows := func(series string, ok func(float64) bool) {
		t.Helper()
		testenv.Eventually(t, patience, func() error {
			var err error
			if out, err = collectortest.Collect(t, source, c); err != nil {
				return err
			}
			text = collectortest.Text(t, out)
			if v, found := value(text, series); !found || !ok(v) {
				return fmt.Errorf("%s: %v %v in\n%s", series, v, found, text)
			}
			return nil
		})
	}
	is := func(want float64) func(float64) bool { return func(v float64) bool { return v == want } }
	now := float64(time.Now().Unix())

	shows(`systemd_unit_state{source="default",name="web.service",type="service",state="active"}`, is(1))
	shows(`systemd_unit_state{source="default",name="web.service",type="service",state="failed"}`, is(0))
	shows(`systemd_service_restart_total{source="default",name="web.service"}`, is(0))
	shows(`systemd_unit_load_error{source="default",name="wrong.timer",load_state="bad-setting"}`, is(1))
	shows(`systemd_timer_interval_seconds{source="default",name="often.timer"}`, func(v float64) bool { return v > 3590 && v < 3700 })
	shows(`systemd_timer_last_trigger_seconds{source="default",name="often.timer"}`, func(v float64) bool { return v > now-60 && v < now+60 })
	shows(`systemd_timer_next_elapse_timestamp_seconds{source="default",name="never.timer"}`, func(v float64) bool { return v > now && v < now+8*86400 })
	if strings.Contains(text, `systemd_timer_last_trigger_seconds{source="default",name="never.timer"`) {
		t.Errorf("a timer that never ran has a last trigger:\n%s", text)
	}
	shows(`systemd_unit_cpu_usage_seconds_total{source="default",name="web.service"}`, func(v float64) bool { return v >= 0 })

	// Failures between two scrapes, of a unit that is gone at the second.
	for range 3 {
		_, _ = host.TrySystemctl("start", "short.service")
	}
	shows(`systemd_unit_failures_total{source="default",name="short.service"}`, is(3))
	shows(`systemd_unit_result{source="default",name="short.service",result="exit-code"}`, is(1))
	testenv.Eventually(t, patience, func() error { // until systemd has dropped it
		out, err := collectortest.Collect(t, source, c)
		if err == nil && strings.Contains(collectortest.Text(t, out), `systemd_unit_state{source="default",name="short.service"`) {
			err = errors.New("a unit that is not in memory has a state")
		}
		return err
	})

	host.Systemctl("daemon-reload")
	shows(`systemd_manager_reloads_total{source="default"}`, func(v float64) bool { return v >= 1 })
	shows(`systemd_resyncs_total{source="default"}`, func(v float64) bool { return v >= 2 })
	shows(`systemd_unit_failures_total{source="default",name="short.service"}`, is(3))

	host.StopBus()
	testenv.Eventually(t, patience, func() error {
		out, err := collectortest.Collect(t, source, c)
		if err == nil {
			return errors.New("no error without a bus")
		}
		text = collectortest.Text(t, out)
		return nil
	})
	if strings.Contains(text, "systemd_unit_") || !strings.Contains(text, "systemd_bus_connections_total") {
		t.Errorf("without a bus:\n%s", text)
	}
	host.StartBus()
	shows(`systemd_bus_connections_total{source="default"}`, func(v float64) bool { return v >= 2 })
	shows(`systemd_unit_failures_total{source="default",name="short.service"}`, is(3))
}

// An unchanged manager costs a scrape nothing, and a changed one is seen.
func TestUnchanged(t *testing.T) {
	host := testenv.Systemd(t, map[string]string{"web.service": "[Service]\nExecStart=/bin/sleep infinity\n"})
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", host.BusAddress())
	source, c := newUnits(t, collectortest.Env(t), "{}")
	testenv.Eventually(t, patience, func() error {
		if _, err := collectortest.Collect(t, source, c); !errors.Is(err, collector.ErrUnchanged) {
			return fmt.Errorf("not unchanged yet: %w", err)
		}
		return nil
	})
	host.Systemctl("start", "web.service")
	testenv.Eventually(t, patience, func() error {
		out, err := collectortest.Collect(t, source, c)
		if err != nil {
			return err
		}
		if v, _ := value(collectortest.Text(t, out), `systemd_unit_state{source="default",name="web.service",type="service",state="active"}`); v != 1 {
			return errors.New("web.service is not active")
		}
		return nil
	})
}

func BenchmarkEmit(b *testing.B) {
	var list []*systemd.Unit
	for i := range 1000 {
		list = append(list, &systemd.Unit{
			Name: fmt.Sprintf("unit-%04d.service", i), InMemory: true, LoadState: "loaded", ActiveState: "active",
			SubState: "running", Result: "success", Service: systemd.Service{Type: "simple"},
		})
	}
	s := systemd.NewSnapshot(time.Now(), list...)
	source := collectortest.Load(b, Definition(), "{}")[0]
	c, err := source.New(collectortest.Env(b))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		out := source.Batch()
		c.(*units).emit(s, out)
		if out.Series() != 7000 {
			b.Fatal(out.Series())
		}
	}
}

package criticalservice

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/command"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/runner"
	"vulcan.lan/vulcan_exporter/internal/state"
	"vulcan.lan/vulcan_exporter/internal/systemd"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func TestLint(t *testing.T) { collectortest.Lint(t, Definition()) }

func TestValidate(t *testing.T) {
	for _, test := range []struct{ yaml, want string }{
		{"units: []", "test.yml:2:10: criticalservice.units: expected at least one unit such as nginx.service"},
		{"units: [nginx]", `test.yml:2:11: criticalservice.units[0]: expected the full name of a unit such as nginx.service, found "nginx"`},
		{"units: [a@.service]", `test.yml:2:11: criticalservice.units[0]: "a@.service" is a template; expected an instance such as "a@NAME.service"`},
		{"units: ['a[.service']", `test.yml:2:11: criticalservice.units[0]: "a[.service" is not a valid glob`},
		{"units: [a.service, a.service]", `test.yml:2:22: criticalservice.units[1]: "a.service" is listed twice`},
	} {
		_, err := collector.Load("test.yml", []byte("criticalservice:\n  "+test.yaml+"\n"), []*collector.Definition{Definition()})
		if err == nil || err.Error() != test.want {
			t.Errorf("%s:\n got %v\nwant %s", test.yaml, err, test.want)
		}
	}
}

// Every state, load state and kind of match in one list.
func TestEmit(t *testing.T) {
	unit := func(name, load, active string) *systemd.Unit {
		return &systemd.Unit{Name: name, InMemory: true, LoadState: load, ActiveState: active}
	}
	disabled := unit("redis-old.service", "loaded", "inactive")
	disabled.FileState = "disabled"
	s := systemd.NewSnapshot(collectortest.Now,
		unit("up.service", "loaded", "active"), unit("reloading.service", "loaded", "reloading"),
		unit("starting.service", "loaded", "activating"), unit("failed.service", "loaded", "failed"),
		unit("masked.service", "masked", "inactive"), unit("missing.service", "not-found", "inactive"),
		unit("wrong.timer", "bad-setting", "inactive"),
		unit("redis-a.service", "loaded", "active"), unit("redis-b.service", "loaded", "inactive"),
		unit("redis-gone.service", "not-found", "inactive"), disabled,
	)
	names := []string{"up.service", "reloading.service", "starting.service", "failed.service", "masked.service", "missing.service", "wrong.timer", "unheard.service", "redis-a.service"}
	out := metric.NewBatch(Definition().Metrics, "source", "default", 0)
	inventory(Config{Units: names}, out)
	empty := emit(s, names, []string{"redis-*.service", "nothing-*"}, out)
	if len(empty) != 1 || empty[0] != "nothing-*" {
		t.Errorf("globs that match nothing: %q", empty)
	}
	if err := out.Err(); err != nil {
		t.Error(err)
	}
	collectortest.Want(t, collectortest.Text(t, out), "testdata/states/want.prom")
	collectortest.Covered(t, Definition(), out)
}

// exporter runs the collector as the exporter does.
func exporter(t *testing.T, yaml string) *runner.Manager {
	logger := collectortest.Logger(t)
	hub := systemd.NewHub(logger)
	m := runner.New(runner.Deps{Logger: logger, Now: time.Now, Exec: command.Exec{}, Systemd: hub, State: state.Open(t.TempDir(), logger)})
	t.Cleanup(func() {
		if err := errors.Join(m.Close(context.Background()), hub.Close()); err != nil {
			t.Error(err)
		}
	})
	m.Apply(collectortest.Load(t, Definition(), yaml))
	return m
}

func scrape(t *testing.T, m *runner.Manager) string {
	t.Helper()
	var b strings.Builder
	for _, part := range m.Gather(context.Background(), func(string) bool { return true }, 5*time.Second) {
		if err := metric.WriteText(&b, part); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// shows waits until a scrape has all of lines.
func shows(t *testing.T, m *runner.Manager, lines ...string) string {
	t.Helper()
	var text string
	testenv.Eventually(t, patience, func() error {
		text = scrape(t, m)
		for _, line := range lines {
			if !strings.Contains(text, line+"\n") {
				return fmt.Errorf("missing %s in\n%s", line, text)
			}
		}
		return nil
	})
	return text
}

func series(name, unit string, value int) string {
	return fmt.Sprintf(`critical_service_%s{source="default",name=%q} %d`, name, unit, value)
}

func TestTransitions(t *testing.T) {
	const sleeper = "[Service]\nExecStart=/bin/sleep infinity\n"
	host := testenv.Systemd(t, map[string]string{
		"web.service": sleeper, "redis-a.service": sleeper, "broken.service": "[Service]\nExecStart=/bin/false\n",
		"default.target.wants/web.service": "", "default.target.wants/redis-a.service": "",
	})
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", host.BusAddress())
	m := exporter(t, `units: [web.service, gone.service, broken.service, "redis-*.service"]`)
	shows(t, m,
		series("active", "web.service", 1), series("loaded", "web.service", 1), series("failed", "web.service", 0),
		series("configured", "gone.service", 1), series("active", "gone.service", 0), series("loaded", "gone.service", 0), series("failed", "gone.service", 0),
		series("loaded", "broken.service", 1), series("active", "broken.service", 0),
		series("configured", "redis-a.service", 1), series("active", "redis-a.service", 1))

	host.Systemctl("stop", "web.service")
	_, _ = host.TrySystemctl("start", "broken.service")
	host.WriteUnit("redis-b.service", sleeper)
	host.WriteUnit("default.target.wants/redis-b.service", "")
	host.Systemctl("daemon-reload")
	shows(t, m, series("active", "web.service", 0), series("failed", "broken.service", 1), series("active", "redis-b.service", 0))
	host.Systemctl("start", "web.service", "redis-b.service")
	shows(t, m, series("active", "web.service", 1), series("active", "redis-b.service", 1))

	host.StopBus()
	begun := time.Now()
	text := shows(t, m, `vulcan_collector_up{collector="criticalservice",source="default"} 0`, series("configured", "web.service", 1))
	t.Logf("a dead bus was shown after %s", time.Since(begun))
	if strings.Contains(text, "critical_service_active") {
		t.Errorf("states are shown without a bus:\n%s", text)
	}
	host.Systemctl("stop", "web.service")
	host.StartBus()
	shows(t, m, `vulcan_collector_up{collector="criticalservice",source="default"} 1`, series("active", "web.service", 0), series("active", "redis-a.service", 1))
}

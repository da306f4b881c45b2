package systemd

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

func TestUnitName(t *testing.T) {
	for path, want := range map[dbus.ObjectPath]string{
		"/org/freedesktop/systemd1/unit/nginx_2eservice":             "nginx.service",
		"/org/freedesktop/systemd1/unit/_31password_2eservice":       "1password.service",
		"/org/freedesktop/systemd1/unit/dev_2dsda_5cx2d1_2edevice":   `dev-sda\x2d1.device`,
		"/org/freedesktop/systemd1/unit/container_40a_5fb_2eservice": "container@a_b.service",
		"/org/freedesktop/systemd1/unit/broken_zz_2":                 "broken_zz_2",
	} {
		if got, ok := unitName(path); !ok || got != want {
			t.Errorf("%s: %q %v, want %q", path, got, ok, want)
		}
	}
	if name, ok := unitName("/org/freedesktop/systemd1/job/12"); ok {
		t.Errorf("a job is not a unit: %q", name)
	}
}

func FuzzUnitName(f *testing.F) {
	f.Add("nginx_2eservice")
	f.Add("_")
	f.Add("a_4")
	f.Fuzz(func(t *testing.T, escaped string) {
		name, ok := unitName(dbus.ObjectPath(unitPathStart + escaped))
		if !ok || len(name) > len(escaped) {
			t.Errorf("%q: %q %v", escaped, name, ok)
		}
	})
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"nginx.service": true, "user@1000.service": true, `dev-a\x2db.swap`: true, "-.mount": true,
		"nginx": false, "inst@.service": false, "@x.service": false, ".service": false, "a b.service": false, "a.conf": false, "*.service": false,
	} {
		if got := ValidName(name); got != want {
			t.Errorf("ValidName(%q) = %v", name, got)
		}
	}
	for _, test := range []struct {
		pattern, name string
		want          bool
	}{
		{"redis-*.service", "redis-litellm.service", true},
		{"redis-*.service", "redis.service", false},
		{`dev-a\x2d*.swap`, `dev-a\x2db.swap`, true},
		{"[!a]b.timer", "ab.timer", false},
		{"[!a]b.timer", "cb.timer", true},
		{"[", "[", false},
	} {
		if got := Match(test.pattern, test.name); got != test.want {
			t.Errorf("Match(%q, %q) = %v", test.pattern, test.name, got)
		}
	}
	if ValidPattern("[a") || !ValidPattern("a*") {
		t.Error("ValidPattern")
	}
}

// never and unset are the two ways in which systemd says that there is no time.
func TestDecode(t *testing.T) {
	u := Unit{Name: "a.timer"}
	u.setType(properties{
		"LastTriggerUSec":         dbus.MakeVariant(uint64(0)),
		"NextElapseUSecRealtime":  dbus.MakeVariant(uint64(math.MaxUint64)),
		"NextElapseUSecMonotonic": dbus.MakeVariant(uint64(math.MaxUint64)),
		"Result":                  dbus.MakeVariant(int32(1)), // of another type: left alone
	})
	if timer := u.Timer; !timer.LastTrigger.IsZero() || !timer.next(time.Hour).IsZero() || u.Result != "" {
		t.Errorf("nothing is set: %+v", u)
	}
	u.setType(properties{
		"NextElapseUSecRealtime":  dbus.MakeVariant(uint64(2_000_000)),
		"NextElapseUSecMonotonic": dbus.MakeVariant(uint64(3_000_000)),
	})
	if next := u.Timer.next(-2 * time.Second); !next.Equal(time.Unix(1, 0)) {
		t.Errorf("the monotonic trigger is first: %s", next)
	}
	if next := u.Timer.next(time.Hour); !next.Equal(time.Unix(2, 0)) {
		t.Errorf("the calendar trigger is first: %s", next)
	}
}

// feed plays states of a service into a table, as signals bring them.
func feed(t *table, name string, states ...Unit) *Unit {
	for _, state := range states {
		r := t.get(name)
		counted := r.next
		state.Name, state.Failures, state.Runs, state.Results = name, counted.Failures, counted.Runs, counted.Results
		if state.StateChange.IsZero() {
			state.StateChange = counted.StateChange.Add(time.Second)
		}
		r.next, r.baseline = state, true
		t.commit(r)
	}
	return t.records[name].unit
}

// A run of 10 ms on a busy bus: what lies between is merged into one signal.
func TestMergedSignals(t *testing.T) {
	running := func(id string, restarts uint32, exit int64) Unit {
		return Unit{InvocationID: id, ActiveState: "active", SubState: "running", Result: "success", InactiveExit: time.Unix(exit, 0), Service: Service{Restart: "on-failure", Restarts: restarts}}
	}
	down := func(u Unit, result string) Unit {
		u.ActiveState, u.SubState, u.Result = "failed", "failed", result
		return u
	}
	table := newTable(time.Unix(0, 0))
	u := feed(&table, "a.service", running("1", 0, 1), running("4", 3, 9))
	if u.Failures != 3 {
		t.Errorf("three restarts of which nothing else was seen: %d failures", u.Failures)
	}
	u = feed(&table, "a.service", down(running("4", 3, 9), "signal"), down(running("4", 3, 9), "signal"), running("5", 4, 10))
	if u.Failures != 4 || u.Runs != 1 {
		t.Errorf("one failure seen, one restart: %d failures, %d runs", u.Failures, u.Runs)
	}
	// Started again by hand: systemd announces the invocation while the state is still failed.
	failed := down(running("5", 4, 10), "signal")
	begun := failed
	begun.InvocationID = "6"
	u = feed(&table, "a.service", failed, begun, running("6", 0, 12))
	if u.Failures != 5 || u.Runs != 2 {
		t.Errorf("a start after a failure: %d failures, %d runs", u.Failures, u.Runs)
	}
	// An automatic restart whose steps are merged: failed, auto-restart, and the next invocation.
	next := Unit{InvocationID: "8", ActiveState: "inactive", SubState: "dead", Result: "success", InactiveExit: time.Unix(14, 0), Service: Service{Restart: "on-failure", Restarts: 1}}
	u = feed(&table, "a.service", running("7", 0, 13), next, running("8", 1, 15))
	if u.Failures != 6 || u.Runs != 2 {
		t.Errorf("a merged restart: %d failures, %d runs", u.Failures, u.Runs)
	}
	always := func(id string, restarts uint32) Unit {
		u := running(id, restarts, int64(restarts))
		u.Service.Restart = "always"
		return u
	}
	if u = feed(&table, "b.service", always("1", 0), always("2", 1)); u.Failures != 0 {
		t.Errorf("Restart=always may follow a success: %d failures", u.Failures)
	}
	// systemd 254, RestartMode=direct: no failed state.
	direct := always("2", 1)
	direct.ActiveState, direct.SubState, direct.Result = "activating", "auto-restart-queued", "exit-code"
	if u = feed(&table, "b.service", direct); u.Failures != 1 || !slices.Equal(u.Results, []string{"exit-code"}) {
		t.Errorf("direct restart: %+v", *u)
	}
}

func TestGoneUnitsAreBounded(t *testing.T) {
	table := newTable(time.Unix(0, 0))
	for i := range maxGone + 50 {
		name := "run-" + time.Duration(i).String() + ".service"
		r := table.get(name)
		r.next.InMemory, r.next.Failures, r.next.StateChange = true, 1, time.Unix(int64(i+1), 0)
		table.removed(name)
	}
	if got := len(table.records); got != maxGone {
		t.Errorf("%d units that are gone are kept, want %d", got, maxGone)
	}
	if table.records["run-0s.service"] != nil {
		t.Error("the oldest is kept")
	}
}

func TestReadCgroup(t *testing.T) {
	root := t.TempDir()
	write := func(name, content string) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("v2/system.slice/a.service/cpu.stat", "usage_usec 1500000\nuser_usec 1\n")
	write("v2/system.slice/a.service/memory.current", "4096\n")
	write("v1/memory/system.slice/a.service/memory.usage_in_bytes", "8192\n")
	write("v1/cpuacct/system.slice/a.service/cpuacct.usage", "2500000000\n")
	write("v1/pids/system.slice/a.service/pids.current", "3\n")
	got, err := ReadCgroup(filepath.Join(root, "v2"), "/system.slice/a.service")
	if err != nil || got.CPUSeconds != 1.5 || got.MemoryBytes != 4096 || !math.IsNaN(got.Tasks) {
		t.Errorf("v2: %+v %v", got, err)
	}
	got, err = ReadCgroup(filepath.Join(root, "v1"), "/system.slice/a.service")
	if err != nil || got.CPUSeconds != 2.5 || got.MemoryBytes != 8192 || got.Tasks != 3 {
		t.Errorf("v1: %+v %v", got, err)
	}
	for _, group := range []string{"", "/system.slice/gone.service"} {
		if _, err := ReadCgroup(root, group); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", group, err)
		}
	}
}

// A service that is about to start again has its result and main process reset
// while its state is still that of the run before.
func TestLastRunBeforeTheNext(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	ended := Unit{
		Name: "a.service", InvocationID: "1", ActiveState: "failed", Result: "exit-code",
		InactiveEnter: at(11), Service: Service{ExecMainStart: at(5), ExecMainExit: at(10), ExecMainCode: exited, ExecMainStatus: 1},
	}
	if e, ok := ended.LastRun(); !ok || e.Success || !e.Exit.Equal(at(10)) || e.ExitCode != 1 {
		t.Errorf("%+v, %v", e, ok)
	}
	reset := ended
	reset.InvocationID, reset.Result, reset.Service = "2", "success", Service{}
	if e, ok := reset.LastRun(); ok {
		t.Errorf("a failed unit with its result reset: %+v", e)
	}
	reset.ActiveState, reset.starting = "inactive", true
	if e, ok := reset.LastRun(); ok {
		t.Errorf("an announced start: %+v", e)
	}
	reset.starting, reset.Service.ExecMainStart = false, at(12)
	if e, ok := reset.LastRun(); ok {
		t.Errorf("a run that began after it ended: %+v", e)
	}
}

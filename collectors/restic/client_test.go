package restic

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/command"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// One that hangs holds up no other, even where no more than one may run.
func TestHangDelaysNobody(t *testing.T) {
	limits := &limits{calls: make(chan struct{}, 1), heavy: make(chan struct{}, 1)}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	release, err := take(ctx, limits.calls, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	second, err := take(ctx, limits.calls, time.Hour) // waits for the slot time, not for release
	if err != nil {
		t.Fatal(err)
	}
	release() // gives nothing back twice
	if len(limits.calls) != 1 {
		t.Errorf("%d places taken, want 1", len(limits.calls))
	}
	second()
	if len(limits.calls) != 0 {
		t.Errorf("%d places taken, want none", len(limits.calls))
	}
	short, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stop()
	if _, err := take(ctx, limits.calls, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := take(short, limits.calls, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no place: %v", err)
	}
}

// asked keeps what a call was given.
type asked struct{ cmd command.Cmd }

func (a *asked) Run(_ context.Context, cmd command.Cmd) (command.Result, error) {
	a.cmd = cmd
	return command.Result{Stdout: []byte("[]")}, nil
}

// Secrets reach restic by its environment and never by its arguments.
func TestEnvironmentOfCalls(t *testing.T) {
	file := filepath.Join(t.TempDir(), "env")
	content := "RESTIC_REPOSITORY=rest:http://u:hunter2@h/\nRESTIC_PASSWORD=hunter3\nRESTIC_HOST=other\nLC_ALL=de_DE.UTF-8\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	password := filepath.Join("testdata", "v0.18", "password")
	for yaml, want := range map[string][]string{
		"environment_file: " + file:                                          {"RESTIC_PASSWORD=hunter3", "RESTIC_REPOSITORY=rest:http://u:hunter2@h/"},
		"environment_file: " + file + ", location: /srv":                     {"RESTIC_PASSWORD=hunter3", "RESTIC_REPOSITORY=/srv"},
		"environment_file: " + file + ", password_command: pass":             {"RESTIC_PASSWORD_COMMAND=pass", "RESTIC_REPOSITORY=rest:http://u:hunter2@h/"},
		"location: /srv, cache_dir: /c, password_file: " + password:          {"RESTIC_CACHE_DIR=/c", "RESTIC_PASSWORD_FILE=" + password, "RESTIC_REPOSITORY=/srv"},
		"location: /srv, options: [s3.region=x], password_command: 'pass x'": {"RESTIC_PASSWORD_COMMAND=pass x", "RESTIC_REPOSITORY=/srv"},
	} {
		var a asked
		env := collectortest.Env(t)
		env.Exec = &a
		if _, err := collectortest.Run(t, collectortest.Load(t, Definition(), "sources: [{name: a, locks_interval: 0s, "+yaml+"}]")[0], env); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(a.cmd.Env, want) {
			t.Errorf("%s: environment %q, want %q", yaml, a.cmd.Env, want)
		}
		if args := strings.Join(a.cmd.Args, " "); strings.Contains(args, "hunter") || !strings.HasPrefix(args, "--no-lock") {
			t.Errorf("%s: arguments %q", yaml, args)
		}
	}
}

func TestValidate(t *testing.T) {
	for yaml, want := range map[string]string{
		"location: /srv":      "password_file: expected password_file",
		"password_command: x": "location: expected a repository",
		"location: 'rest:https://u:p@h/', password_command: x":                          "location: holds a password",
		"location: /srv, password_command: x, password_file: y":                         "password_command: expected either",
		"location: /srv, password_command: x, binary: ''":                               "binary: expected",
		"location: /srv, password_command: x, expect: [{}]":                             "expect[0]: expected a host",
		"location: /srv, password_command: x, expect: [{host: a}, {host: a}]":           "expect[1]: the same",
		"location: /srv, password_command: x, retention: {keep_daily: -1}":              "retention.keep_daily: expected",
		"location: /srv, password_command: x, check: {unit: a.service, result_file: b}": "check.result_file: expected either",
		"location: /srv, password_command: x, check: {unit: a.service}":                 "check.interval: expected the time between two checks",
		"location: /srv, password_command: x, check: {interval: 1d, unit: a.timer}":     "check.unit: expected a service",
		"location: /srv, password_command: x, check: {parts: 0}":                        "check.parts: expected",
		"location: /srv, password_command: x, check: {interval: 1d, timeout: 0s}":       "check.timeout: expected",
	} {
		_, err := collector.Load("t.yml", []byte("restic: {sources: [{name: a, "+yaml+"}]}"), []*collector.Definition{Definition()})
		if err == nil || !strings.Contains(err.Error(), "restic.sources[0]."+want) {
			t.Errorf("%s: %v, want %s", yaml, err, want)
		}
	}
	for _, yaml := range []string{"{}", "{sources: []}", "{definitions: [/nonexistent/*.env]}"} {
		if _, err := collector.Load("t.yml", []byte("restic: "+yaml), []*collector.Definition{Definition()}); err == nil {
			t.Errorf("%s watches nothing and is no error", yaml)
		}
	}
}

// Results of checks that something else runs.
func TestResultFile(t *testing.T) {
	f := newFake(t)
	file := filepath.Join(t.TempDir(), "result")
	f.source = collectortest.Load(t, Definition(), "sources: [{name: Home, location: '"+home+"', password_command: x, check: {interval: 7d, result_file: "+file+"}}]")[0]
	f.restart(t)
	if text := f.collect(t); strings.Contains(text, "restic_integrity_check_success") {
		t.Errorf("a result without a file:\n%s", text)
	}
	write := func(content string) {
		t.Helper()
		at := f.now.Add(-time.Hour)
		if err := errors.Join(os.WriteFile(file, []byte(content), 0o600), os.Chtimes(file, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	write("load indexes\nno errors were found\n")
	has(t, f.collect(t), `restic_integrity_check_success{repository="Home"} 1`, `restic_integrity_check_timestamp_seconds{repository="Home"} 1.7935308e+09`)
	f.now = f.now.Add(time.Hour)
	write("load indexes\ncheck all packs\n") // it goes on: the last result stays
	has(t, f.collect(t), `restic_integrity_check_success{repository="Home"} 1`, `restic_integrity_check_timestamp_seconds{repository="Home"} 1.7935308e+09`)
	write("pack 75dc: does not exist\nFatal: repository contains errors\n")
	has(t, f.collect(t), `restic_integrity_check_success{repository="Home"} 0`, `restic_integrity_check_errors{repository="Home"} 1`, `restic_integrity_check_timestamp_seconds{repository="Home"} 1.7935344e+09`)
	if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o700)); err != nil {
		t.Fatal(err)
	}
	has(t, f.collect(t), `restic_integrity_check_success{repository="Home"} 0`, `restic_listing_success{repository="Home"} 1`)
}

func TestCheckUnit(t *testing.T) {
	host := testenv.Systemd(t, map[string]string{
		"restic-check.service": "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/false\n",
	})
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", host.BusAddress())
	f := newFake(t)
	f.source = collectortest.Load(t, Definition(), "sources: [{name: Home, location: '"+home+"', password_command: x, check: {interval: 7d, unit: restic-check.service}}]")[0]
	f.restart(t)
	t.Cleanup(func() { _ = f.c.(collector.Closer).Close() })
	if text := f.collect(t); strings.Contains(text, "restic_integrity_check_success") {
		t.Errorf("a result of a unit that never ran:\n%s", text)
	}
	result := func(want string) {
		t.Helper()
		testenv.Eventually(t, time.Minute, func() error {
			if text := f.collect(t); !strings.Contains(text, `restic_integrity_check_success{repository="Home"} `+want) {
				return errors.New("the result is not " + want)
			}
			return nil
		})
	}
	_, _ = host.TrySystemctl("start", "restic-check.service")
	result("0")
	host.WriteUnit("restic-check.service", "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/true\n")
	host.Systemctl("daemon-reload")
	host.Systemctl("start", "restic-check.service")
	result("1")
	// A lock that was lost, a kill and a timeout prove nothing.
	for _, ends := range []string{"exit 11", "exit 130", "kill -9 $$"} {
		host.WriteUnit("restic-check.service", "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/sh -c '"+ends+"'\n")
		host.Systemctl("daemon-reload")
		_, _ = host.TrySystemctl("start", "restic-check.service")
		time.Sleep(100 * time.Millisecond)
		if text := f.collect(t); !strings.Contains(text, `restic_integrity_check_success{repository="Home"} 1`) {
			t.Errorf("after %q:\n%s", ends, text)
		}
	}
}

package server

import (
	"context"
	"errors"
	"fmt"
	"html"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/runner"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// TestStatusPage goes through the real manager: trouble comes first, sources
// that run at scrape are fresh, and domain facts come from the series.
func TestStatusPage(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "/run/credentials/a.service")
	active := metric.NewGauge("critical_service_active", "1 if active.", metric.Labels("name"))
	var down atomic.Bool
	critical := fake{name: "criticalservice", metrics: []metric.Metric{active},
		collect: func(_ context.Context, _ collector.Env, out *metric.Batch) error {
			out.Bool(active, !down.Load(), "postgresql.service")
			out.Gauge(active, 1, "nginx.service")
			return nil
		}}
	_, url := start(t, Options{ConfigFile: "/etc/x y.yml"}, critical, beta(errors.New("open /etc/beta.key: permission denied")))
	testenv.Eventually(t, hang, func() error {
		if got := get(t, url+"/-/ready"); got.status != 200 {
			return errors.New(got.body)
		}
		return nil
	})
	page := get(t, url+"/")
	page.want(t, 200, "<h1>1 source cannot tell</h1>", "Cannot tell", "beta/default", "open /etc/beta.key: permission denied",
		"namei -l /etc/beta.key", html.EscapeString("--config.file=/etc/x y.yml"), "env CREDENTIALS_DIRECTORY=/run/credentials/a.service", "--log.level=debug collect beta/default",
		"2 are in order", `href="debug?source=criticalservice%2fdefault"`)
	page.wantNot(t, "<h2>Broken", "beta_value")
	if strings.Index(page.body, "Cannot tell") > strings.Index(page.body, "<h2>Sources") {
		t.Error("trouble is not first")
	}
	down.Store(true)
	get(t, url+"/").want(t, 200, "<h1>1 thing is broken · 1 source cannot tell</h1>", "postgresql.service is required and not active",
		"systemctl status -- postgresql.service", "1 other is in order")
}

func TestQuietStatusPage(t *testing.T) {
	_, url := start(t, Options{}, alpha("one"))
	testenv.Eventually(t, hang, func() error {
		page := get(t, url+"/")
		if !strings.Contains(page.body, `<main class="quiet">`) {
			return errors.New(page.body)
		}
		page.want(t, 200, "<h1>No trouble seen</h1>", "just now", "at scrape")
		page.wantNot(t, "<h2>Broken", "Cannot tell")
		return nil
	})
}

func TestStartingAndEmptyStatusPage(t *testing.T) {
	_, url := start(t, Options{}, background(alpha(), time.Hour))
	get(t, url+"/").want(t, 200, `<main class="starting">`, "1 source was not tried yet", "waiting", "none yet")
	s, empty := start(t, Options{}, alpha())
	s.opts.Manager.Apply(nil)
	get(t, empty+"/").want(t, 200, `<main class="trouble">`, "Nothing is observed", "No collector is configured")
}

// TestExporterFaults: a refused configuration is on the page with its text.
func TestExporterFaults(t *testing.T) {
	refused := errors.New("vulcan.yml:3:5: alpha.<greeting>: wrong")
	s, url := start(t, Options{ConfigFile: "/etc/vulcan.yml", ReloadError: func() error { return refused }}, alpha())
	get(t, url+"/").wantNot(t, "The exporter itself")
	s.opts.Manager.ReloadFailed()
	get(t, url+"/").want(t, 200, "The exporter itself", html.EscapeString(refused.Error()), "check /etc/vulcan.yml")
}

func background(f fake, every time.Duration) fake {
	f.every = every
	return f
}

func TestSourceState(t *testing.T) {
	now := time.Date(2026, 11, 3, 3, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for name, c := range map[string]struct {
		status            runner.Status
		state, data, next string
		shown             string
	}{
		"well":         {runner.Status{Interval: time.Minute, Up: true, LastAttempt: ago(time.Second * 40), LastSuccess: ago(time.Second * 40), NextRun: now.Add(20 * time.Second)}, "ok", "40 s old", "in 20 s", "until 03:02:20"},
		"at scrape":    {runner.Status{Up: true, LastAttempt: now, LastSuccess: now}, "ok", "just now", "at scrape", ""},
		"not tried":    {runner.Status{Interval: time.Minute, NextRun: now.Add(5 * time.Second)}, "waiting", "none yet", "in 5 s", "never succeeded"},
		"never worked": {runner.Status{Interval: time.Minute, LastAttempt: now}, "failing", "none yet", "not scheduled", "never succeeded"},
		"fails lately": {runner.Status{Interval: time.Hour, LastAttempt: now, LastSuccess: ago(90 * time.Minute), NextRun: ago(time.Second)}, "failing", "1 h 30 min old", "due", "still shows its values of Nov 3 01:30:00, until 04:30:00"},
		"fails long":   {runner.Status{Interval: time.Minute, LastAttempt: now, LastSuccess: ago(50 * time.Hour)}, "failing", "2 d 2 h old", "not scheduled", "no longer in /metrics"},
		"fails scrape": {runner.Status{LastAttempt: now, LastSuccess: ago(time.Minute)}, "failing", "1 min old", "at scrape", "none of its values now"},
		"hangs":        {runner.Status{Interval: time.Minute, Up: true, InFlight: true, LastAttempt: ago(181 * time.Second), LastSuccess: ago(181 * time.Second)}, "stale", "3 min 1 s old", "running", "no longer in /metrics"},
		"clock set":    {runner.Status{Interval: time.Minute, Up: true, LastAttempt: now.Add(time.Hour), LastSuccess: now.Add(time.Hour)}, "ok", "0 ms old", "not scheduled", ""},
	} {
		v := view(c.status, now)
		if v.State != c.state || v.Data() != c.data || v.Next() != c.next {
			t.Errorf("%s: %q, %q, %q; want %q, %q, %q", name, v.State, v.Data(), v.Next(), c.state, c.data, c.next)
		}
		if !strings.Contains(v.shown(), c.shown) {
			t.Errorf("%s: %q lacks %q", name, v.shown(), c.shown)
		}
	}
}

// TestMending: texts of real errors lead to what mends them.
func TestMending(t *testing.T) {
	s := &Server{user: "vulcan", exe: "/usr/bin/vulcan_exporter"}
	for _, c := range []struct{ text, advice, command string }{
		{"open /root/a b/key: permission denied", "The user vulcan may not use it", "namei -l '/root/a b/key'"},
		{"stat /tank: permission denied", "may not use it", "namei -l /tank"},
		{"dial unix /run/podman/podman.sock: connect: permission denied", "may not use it", "namei -l /run/podman/podman.sock"},
		{"dial unix /run/redis.sock: connect: no such file or directory", "Nothing listens on this socket", "ls -l /run/redis.sock"},
		{"open /etc/nothing.pem: no such file or directory", "does not exist", "namei -l /etc/nothing.pem"},
		{`exec: "zpool": executable file not found in $PATH`, "The program zpool is not on", "command -v zpool"},
		{"zpool list: exit status 1: Permission denied the ZFS utilities must be run as root.", "lacks a permission", "id vulcan"},
		{"dial tcp 127.0.0.1:5432: connect: connection refused", "Nothing listens there", "ss -ltnp 'sport = :5432'"},
		{"dial tcp [::1]:6379: connect: connection refused", "Nothing listens there", "ss -ltnp 'sport = :6379'"},
		{"dial tcp: lookup s3.example on 192.168.1.1:53: no such host", "does not resolve", "getent hosts s3.example"},
		{"dial tcp 10.88.0.1:443: connect: no route to host", "no way to that address", "ip route get 10.88.0.1"},
		{"dial unix /run/dbus/system_bus_socket: connect: no such file or directory", "message bus", "systemctl status dbus.socket dbus.service"},
		{"ERROR: permission denied for table LiteLLM_SpendLogs (SQLSTATE 42501)", "lacks a privilege", ""},
		{`FATAL: password authentication failed for user "vulcan" (SQLSTATE 28P01)`, "was refused", ""},
		{"NOAUTH Authentication required.", "was refused", ""},
		{"GET https://dns/api: 403 Forbidden", "lack a permission on the other side", ""},
		{"tls: failed to verify certificate: x509: certificate signed by unknown authority", "not accepted", ""},
		{"/var/lib/vulcan_exporter/zfs.default.lock is in use by another process: resource temporarily unavailable", "share one --storage.path", "pgrep -a vulcan_exporter"},
		{"does not return since its deadline of 10s: context deadline exceeded", "hangs in the kernel", "dmesg -T | tail"},
		{"restic killed after 30s: context deadline exceeded", "took too long", ""},
		{"write /var/x: no space left on device", "full or read-only", "df -h"},
		{"something nobody has seen", "repeats the run", ""},
	} {
		advice, commands := s.mend(sourceView{Status: runner.Status{Reason: runner.ReasonError, Error: c.text}})
		if !strings.Contains(advice, c.advice) || c.command != "" && !slices.Contains(commands, c.command) {
			t.Errorf("%q: %q, %q; want %q, %q", c.text, advice, commands, c.advice, c.command)
		}
		if strings.Contains(advice+strings.Join(commands, ""), "$1") || strings.Contains(advice, "USER") {
			t.Errorf("%q: unfilled: %q %q", c.text, advice, commands)
		}
	}
	advice, _ := s.mend(sourceView{Status: runner.Status{Reason: runner.ReasonPanic, Error: "panic: open /x: permission denied"}})
	if !strings.Contains(advice, "report") {
		t.Errorf("a panic is mended by %q", advice)
	}
}

// TestProposedCommandsAreQuoted: whoever writes an error text or a label must
// not write the command that a tired person copies.
func TestProposedCommandsAreQuoted(t *testing.T) {
	s := &Server{user: "vulcan", exe: "/usr/bin/vulcan_exporter"}
	_, commands := s.mend(sourceView{Status: runner.Status{Error: "open /tmp/$(reboot);`id`' x: permission denied"}})
	if want := `namei -l '/tmp/$(reboot);` + "`id`" + `'\'' x'`; !slices.Contains(commands, want) {
		t.Errorf("%q, want %s", commands, want)
	}
	r := rule{labels: []string{"name"}, mending: unitMending}
	got := r.commands(sample{map[string]string{"name": "x; rm -rf /"}, 0})
	if want := "systemctl status -- 'x; rm -rf /'"; got[0] != want {
		t.Errorf("%q, want %q", got[0], want)
	}
	if got := visible("a\u202eb\x1b[31m\nc"); got != `a\u202eb\u001b[31m`+"\nc" {
		t.Errorf("%q", got)
	}
}

func TestSummaries(t *testing.T) {
	s := demoServer(t)
	p := demo(s)
	var said []string
	for _, b := range p.Broken {
		said = append(said, b.Says)
	}
	// Home's unit is failed too: it is told once, as the backup that it is.
	want := []string{
		"postgresql.service is required and not active.", "mnt-tank.mount failed.",
		"restic-backups-Home.service failed; last succeeded 2 d 2 h ago.",
	}
	if !slices.Equal(said, want) {
		t.Errorf("broken: %q\nwant %q", said, want)
	}
	if p.Headline() != "3 things are broken · 2 sources cannot tell" {
		t.Errorf("headline %q", p.Headline())
	}
	for _, sec := range p.Sections {
		if sec.Title == backups && (len(sec.Rows) != 3 || sec.Rows[1].Labels != "backup Audio" || sec.Rows[2].Labels != "backup src") {
			t.Errorf("backups are not oldest first after trouble: %+v", sec.Rows)
		}
	}
}

// TestSummaryOfFailingSource: what an older snapshot says is marked with its
// age, and limits are compared with the thing's own.
func TestSummaryOfFailingSource(t *testing.T) {
	now := time.Date(2026, 11, 3, 3, 0, 0, 0, time.UTC)
	job := func(name string, v float64) sample {
		return sample{map[string]string{"source": "default", "name": name + ".service", "backup": name}, v}
	}
	have := map[string][]sample{
		"backup_last_success_timestamp_seconds": {
			job("hourly", float64(now.Add(-2*time.Hour).Unix())), job("daily", float64(now.Add(-30*time.Hour).Unix())), job("unknown", 1e9),
		},
		"backup_expected_interval_seconds": {job("hourly", 3600), job("daily", 86400)},
	}
	failing := view(runner.Status{Collector: "backup", Source: "default", Interval: time.Hour, LastAttempt: now, LastSuccess: now.Add(-90 * time.Minute)}, now)
	_, broken := summarize(have, []sourceView{failing}, now)
	if len(broken) != 1 || broken[0].What != "hourly.service (backup hourly)" {
		t.Fatalf("%+v, want hourly only: 30 h are well within 1.5 days, and without an interval there is no limit", broken)
	}
	if !strings.Contains(broken[0].Says, "As of Nov 3 01:30:00") || broken[0].Source != "backup/default" {
		t.Errorf("%+v lacks the age of its source", broken[0])
	}
}

func TestManyBrokenThings(t *testing.T) {
	active := metric.NewGauge("critical_service_active", "1 if active.", metric.Labels("name"))
	critical := fake{name: "criticalservice", metrics: []metric.Metric{active},
		collect: func(_ context.Context, _ collector.Env, out *metric.Batch) error {
			for i := range 300 {
				out.Gauge(active, 0, fmt.Sprintf("unit-%03d.service", i))
			}
			return nil
		}}
	_, url := start(t, Options{}, critical)
	testenv.Eventually(t, hang, func() error {
		page := get(t, url+"/")
		if page.status != 200 || !strings.Contains(page.body, "300 things are broken") {
			return errors.New(page.body)
		}
		page.want(t, 200, "275 more", "288 more", "unit-000.service")
		page.wantNot(t, "unit-299.service")
		return nil
	})
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 400 * time.Millisecond: "400 ms", 59 * time.Second: "59 s", 60 * time.Second: "1 min", 61 * time.Second: "1 min 1 s",
		10*time.Minute + 30*time.Second: "10 min", 25 * time.Hour: "1 d 1 h", 1000 * time.Hour: "41 d", -90 * time.Second: "-1 min 30 s",
	} {
		if got := span(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

// TestCertificates: a chain is one thing whose earliest end counts, two faults
// are told once, authorities of a trust store are left out.
func TestCertificates(t *testing.T) {
	now := time.Date(2026, 11, 3, 3, 0, 0, 0, time.UTC)
	one := func(kind, name, position string, v float64) sample {
		return sample{map[string]string{"source": "default", "name": name, "type": kind, "path": "/c/" + name, "position": position}, v}
	}
	end := func(d time.Duration) float64 { return float64(now.Add(d).Unix()) }
	have := map[string][]sample{
		"certificate_not_after_timestamp_seconds": {
			one("ca", "old-root", "0", end(-1e4*time.Hour)),
			one("nginx", "good", "0", end(300*time.Hour)), one("nginx", "good", "1", end(200*time.Hour)),
			one("nginx", "dead", "0", end(-50*time.Hour)),
		},
		"certificate_chain_valid": {one("nginx", "good", "", 1), one("nginx", "dead", "", 0), one("nginx", "alone", "", 0), one("ca", "old-root", "", 0)},
	}
	sections, broken := summarize(have, nil, now)
	var said []string
	for _, b := range broken {
		said = append(said, b.Says)
	}
	if want := []string{"dead is at its end; expired 2 d 2 h ago.", "alone has no valid chain to a trusted root."}; !slices.Equal(said, want) {
		t.Errorf("%q, want %q", said, want)
	}
	if rows := sections[0].Rows; len(rows) != 3 || rows[2].Subject != "good" || rows[2].Moment != "expires in 8 d 8 h" {
		t.Errorf("%+v", rows)
	}
	if want := "openssl x509 -noout -subject -dates -in /c/dead"; !slices.Equal(broken[0].Mending, []string{want}) {
		t.Errorf("%q, want only %q: it has no endpoint", broken[0].Mending, want)
	}
}

// TestContainers: one that should run and does not is told, whether it ended or was never made,
// and nothing is said while the engine does not tell.
func TestContainers(t *testing.T) {
	of := func(source, name, state string, v float64) sample {
		return sample{map[string]string{"source": source, "name": name, "state": state}, v}
	}
	have := map[string][]sample{
		"container_socket_up":  {of("default", "", "", 1), of("user", "", "", 1), of("lost", "", "", 0)},
		"container_configured": {of("default", "web", "", 1), of("default", "gone", "", 1), of("user", "web", "", 1), of("lost", "db", "", 1)},
		"container_state": {
			of("default", "web", "running", 1), of("default", "web", "exited", 0), of("default", "once", "running", 0),
			of("user", "web", "running", 0), of("user", "web", "exited", 1),
		},
		"container_health": {of("default", "web", "unhealthy", 1), of("user", "web", "healthy", 0)},
	}
	_, broken := summarize(have, nil, time.Now())
	var said []string
	for _, b := range broken {
		said = append(said, b.What+": "+b.Says)
	}
	want := []string{
		"gone: gone should run and does not.", "web (source user): web should run and does not.",
		"web: web is unhealthy: its own check fails.",
	}
	if !slices.Equal(said, want) {
		t.Errorf("%q, want %q", said, want)
	}
}

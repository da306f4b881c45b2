package server

import (
	"fmt"
	"time"

	"vulcan.lan/vulcan_exporter/internal/runner"
)

// demoNow is when the demonstration page is made: three in the morning.
var demoNow = time.Date(2026, 11, 3, 3, 12, 44, 0, time.UTC)

// demo is a page of a bad night, with texts from real errors and hostile ones.
func demo(s *Server, extra ...sample) page {
	s.host, s.user, s.exe = "vulcan", "vulcan_exporter", "/usr/bin/vulcan_exporter"
	s.opts.ConfigFile, s.opts.StoragePath = "/etc/vulcan_exporter.yml", "/var/lib/vulcan_exporter"
	p := page{Host: s.host, Version: "0.1.0", Now: demoNow}
	for _, status := range demoStatus() {
		v := view(status, demoNow)
		p.Sources = append(p.Sources, v)
		switch {
		case v.bad():
			p.Blind = append(p.Blind, s.blind(v))
		case v.State == "waiting":
			p.Waiting++
		}
	}
	have := demoSamples()
	have["critical_service_active"] = append(have["critical_service_active"], extra...)
	p.sort()
	p.Exporter = append(p.Exporter, s.own(have)...)
	p.Sections, p.Broken = summarize(have, p.Sources, demoNow)
	return p
}

func demoStatus() []runner.Status {
	ago := func(d time.Duration) time.Time { return demoNow.Add(-d) }
	in := func(d time.Duration) time.Time { return demoNow.Add(d) }
	well := func(collector, source string, every, age, took time.Duration, series int) runner.Status {
		s := runner.Status{
			Collector: collector, Source: source, Interval: every, Timeout: 30 * time.Second, Since: ago(93 * time.Hour),
			LastAttempt: ago(age), LastSuccess: ago(age), LastDuration: took, Up: true, Series: series,
		}
		if every > 0 {
			s.NextRun = in(every - age)
		}
		return s
	}
	fail := func(s runner.Status, since time.Duration, reason runner.Reason, text string, times uint64) runner.Status {
		s.LastSuccess, s.Up, s.Reason, s.Error = ago(since), false, reason, text
		s.Failures = map[runner.Reason]uint64{reason: times}
		return s
	}
	waiting := well("restic", "Photos", 6*time.Hour, 0, 0, 0)
	waiting.LastAttempt, waiting.LastSuccess, waiting.NextRun, waiting.Up = time.Time{}, time.Time{}, in(95*time.Second), false
	running := well("restic", "Audio", 6*time.Hour, 5*time.Hour+50*time.Minute, 41*time.Second, 38)
	running.InFlight = true
	return []runner.Status{
		well("backup", "default", time.Minute, 22*time.Second, 4*time.Millisecond, 118),
		fail(well("certificate", "default", time.Hour, 12*time.Minute, 80*time.Millisecond, 260), 72*time.Minute, runner.ReasonError,
			"open /var/lib/postgresql/certs/server.key: permission denied", 2),
		well("criticalservice", "default", 0, 0, 120*time.Microsecond, 60),
		fail(well("postgres", "nextcloud", time.Minute, 8*time.Second, 2*time.Millisecond, 0), 27*time.Minute, runner.ReasonError,
			"failed to connect to `user=vulcan database=nextcloud`: 127.0.0.1:5432 (localhost): dial error: dial tcp 127.0.0.1:5432: connect: connection refused", 27),
		running, waiting,
		well("systemd", "default", 0, 0, 300*time.Microsecond, 3902),
		well("zfs", "default", 5*time.Minute, 131*time.Second, 240*time.Millisecond, 811),
	}
}

func demoSamples() map[string][]sample {
	unit := func(v float64, name string) sample {
		return sample{map[string]string{"source": "default", "name": name, "state": "failed"}, v}
	}
	job := func(v float64, name string) sample {
		return sample{map[string]string{"source": "default", "name": "restic-backups-" + name + ".service", "backup": name}, v}
	}
	pool := func(v float64, name string) sample {
		return sample{map[string]string{"source": "default", "pool": name}, v}
	}
	at := func(ago time.Duration) float64 { return float64(demoNow.Add(-ago).Unix()) }
	have := map[string][]sample{
		reloadMetric: {{nil, 1}}, persistentMetric: {{nil, 1}}, corruptMetric: {{nil, 0}},
		"critical_service_active": {unit(0, "postgresql.service"), unit(1, "nginx.service"), unit(1, "dovecot.service")},
		"systemd_unit_state":      {unit(1, "postgresql.service"), unit(1, "restic-backups-Home.service"), unit(1, "mnt-tank.mount")},
		"backup_service_failed":   {job(1, "Home"), job(0, "Audio"), job(0, "src")},
		"backup_last_success_timestamp_seconds": {
			job(at(50*time.Hour), "Home"), job(at(3*time.Hour+10*time.Minute), "Audio"), job(at(2*time.Hour+55*time.Minute), "src"),
		},
		"backup_expected_interval_seconds": {job(86400, "Home"), job(86400, "Audio"), job(86400, "src")},
		"zfs_pool_imported":                {pool(1, "rpool"), pool(1, "tank")},
		"zfs_pool_clean":                   {pool(1, "rpool"), pool(1, "tank")},
		"zfs_pool_scrub_due_timestamp_seconds": {
			pool(at(-9*24*time.Hour), "rpool"), pool(at(-20*24*time.Hour), "tank"),
		},
	}
	certificate := func(name string, left time.Duration) sample {
		return sample{map[string]string{"source": "default", "name": name, "type": "nginx", "path": "/var/lib/nginx-certs/" + name + ".crt", "position": "0"}, at(-left)}
	}
	have["certificate_not_after_timestamp_seconds"] = []sample{
		certificate("wallabag.vulcan.lan", 61*24*time.Hour), certificate("nextcloud.vulcan.lan", 12*24*time.Hour), certificate("dns.vulcan.lan", 33*24*time.Hour),
	}
	for i := range 40 {
		have["systemd_unit_state"] = append(have["systemd_unit_state"], unit(0, fmt.Sprintf("service-%d.service", i)))
	}
	return have
}

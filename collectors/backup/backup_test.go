package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLint(t *testing.T) { collectortest.Lint(t, Definition()) }

const patience = 20 * time.Second

func of(name, unit, backup string) string {
	return fmt.Sprintf(`%s{source="default",name=%q,backup=%q}`, name, unit, backup)
}

const (
	oneshot = "[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\n"
	daily   = "[Unit]\nDefaultDependencies=no\n[Timer]\nOnCalendar=daily\n"
)

func boot(t *testing.T) *testenv.SystemdHost {
	t.Helper()
	h := testenv.Systemd(t, map[string]string{
		"restic-backups-Home.service":  oneshot + "ExecStart=/bin/true\n",
		"restic-backups-Home.timer":    daily,
		"restic-backups-Audio.service": oneshot + "ExecStart=/bin/true\n",
		"restic-backups-Audio.timer":   strings.Replace(daily, "daily", "weekly", 1),
		"restic-backups-Hangs.service": oneshot + "ExecStartPre=/bin/sleep 600\nExecStart=/bin/true\n",
		"postgresql-backup.service":    oneshot + "ExecStart=/bin/sleep 600\n",
	})
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", h.BusAddress())
	return h
}

const jobsConfig = `
jobs:
  - units: "restic-backups-*.service"
  - {units: postgresql-backup.service, expected_interval: 1d}
  - units: "gone-*.service"
`

const home = "restic-backups-Home.service"

func TestJobs(t *testing.T) {
	h := boot(t)
	h.Systemctl("start", "restic-backups-Home.timer", "restic-backups-Audio.timer")
	o := collectortest.Observe(t, Definition(), jobsConfig)

	// Result of a unit that never ran reads success, and is none.
	o.Sees(of("backup_job_configured", home, "Home")+" 1", of("backup_never_succeeded", home, "Home")+" 1",
		of("backup_timer_active", home, "Home")+" 1", of("backup_next_run_timestamp_seconds", home, "Home"),
		of("backup_job_configured", "postgresql-backup.service", "postgresql-backup")+" 1",
		of("backup_expected_interval_seconds", "postgresql-backup.service", "postgresql-backup")+" 86400",
		`backup_jobs_matched{source="default",units="gone-*.service"} 0`,
		`backup_jobs_matched{source="default",units="restic-backups-*.service"} 3`,
		"!"+of("backup_last_success_timestamp_seconds", home, "Home"), "!"+of("backup_last_run_success", home, "Home"),
		"!"+of("backup_timer_active", "postgresql-backup.service", "postgresql-backup"))

	h.Systemctl("start", home)
	o.Sees(of("backup_last_run_success", home, "Home")+" 1", of("backup_never_succeeded", home, "Home")+" 0",
		of("backup_failures_total", home, "Home")+" 0", of("backup_duration_seconds", home, "Home"))
	success := o.Value(of("backup_last_success_timestamp_seconds", home, "Home"))
	if age := float64(time.Now().Unix()) - success; age < -1 || age > 20 {
		t.Errorf("success %v s ago", age)
	}

	// A failed run does not renew the success, and is counted once.
	h.WriteUnit(home, oneshot+"ExecStart=/bin/false\n")
	h.Systemctl("daemon-reload")
	_, _ = h.TrySystemctl("start", home)
	o.Sees(of("backup_last_run_success", home, "Home")+" 0", of("backup_service_failed", home, "Home")+" 1",
		of("backup_failures_total", home, "Home")+" 1")
	if now := o.Value(of("backup_last_success_timestamp_seconds", home, "Home")); now != success {
		t.Errorf("a failed run moved the success from %v to %v", success, now)
	}
	h.Systemctl("reset-failed", home)
	o.Sees(of("backup_service_failed", home, "Home")+" 0", of("backup_last_run_success", home, "Home")+" 0")

	// A restart of the exporter and a reboot change nothing of the past.
	o.Restart()
	o.Sees(of("backup_failures_total", home, "Home")+" 1", of("backup_last_run_success", home, "Home")+" 0")
	o.Stop()
	h.Reboot()
	o.Start()
	o.Sees(of("backup_failures_total", home, "Home")+" 1", of("backup_last_run_success", home, "Home")+" 0")
	if now := o.Value(of("backup_last_success_timestamp_seconds", home, "Home")); now != success {
		t.Errorf("a reboot moved the success from %v to %v", success, now)
	}

	// A timer that was not enabled is off after the reboot.
	o.Sees(of("backup_timer_active", home, "Home")+" 0", "!"+of("backup_next_run_timestamp_seconds", home, "Home"))

	// What ends while the exporter is down is taken over.
	o.Stop()
	h.WriteUnit(home, oneshot+"ExecStart=/bin/true\n")
	h.Systemctl("daemon-reload")
	h.Systemctl("start", "restic-backups-Home.timer") // keeps the unit in memory
	h.Systemctl("start", home)
	o.Start()
	o.Sees(of("backup_last_run_success", home, "Home")+" 1", of("backup_failures_total", home, "Home")+" 1")
	if now := o.Value(of("backup_last_success_timestamp_seconds", home, "Home")); now <= success {
		t.Errorf("the run in between was not taken over: %v", now)
	}

	h.Systemctl("stop", "restic-backups-Home.timer")
	h.RemoveUnit(home)
	h.RemoveUnit("restic-backups-Home.timer")
	h.Systemctl("daemon-reload")
	o.Sees("!name=\"" + home + "\"")
}

// A timer that is stopped, or disabled altogether, leaves the manager's
// memory and takes its service along: both are told.
func TestTimerOff(t *testing.T) {
	h := boot(t)
	h.WriteUnit("restic-backups-Home.timer", daily+"[Install]\nWantedBy=default.target\n")
	h.Systemctl("daemon-reload")
	h.Systemctl("enable", "--now", "restic-backups-Home.timer")
	h.Systemctl("start", "restic-backups-Audio.timer")
	o := collectortest.Observe(t, Definition(), jobsConfig)
	const audio = "restic-backups-Audio.service"
	o.Sees(of("backup_timer_active", home, "Home")+" 1", of("backup_timer_active", audio, "Audio")+" 1")
	h.Systemctl("stop", "restic-backups-Audio.timer")
	h.Systemctl("disable", "--now", "restic-backups-Home.timer")
	for _, restarted := range []bool{false, true} {
		o.Sees(of("backup_timer_active", home, "Home")+" 0", of("backup_timer_active", audio, "Audio")+" 0",
			of("backup_job_configured", home, "Home")+" 1", of("backup_job_configured", audio, "Audio")+" 1")
		if !restarted {
			o.Restart()
		}
	}
}

// A run that hangs in ExecStartPre is running, not a success, and its past
// stays what it was; killed, it is one failure.
func TestHangAndKill(t *testing.T) {
	h := boot(t)
	o := collectortest.Observe(t, Definition(), jobsConfig)
	const hangs, dump = "restic-backups-Hangs.service", "postgresql-backup.service"
	h.Systemctl("start", "--no-block", hangs, dump)
	o.Sees(of("backup_running", hangs, "Hangs")+" 1", of("backup_running", dump, "postgresql-backup")+" 1",
		"!"+of("backup_last_exit_timestamp_seconds", hangs, "Hangs"), of("backup_never_succeeded", hangs, "Hangs")+" 1")
	h.Systemctl("kill", "--signal=KILL", hangs, dump)
	for unit, name := range map[string]string{hangs: "Hangs", dump: "postgresql-backup"} {
		o.Sees(of("backup_running", unit, name)+" 0", of("backup_last_run_success", unit, name)+" 0",
			of("backup_failures_total", unit, name)+" 1", of("backup_never_succeeded", unit, name)+" 1",
			of("backup_last_start_timestamp_seconds", unit, name))
	}
}

// Without a bus no job is told, but artifacts are.
func TestDeadBus(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+filepath.Join(t.TempDir(), "none"))
	file := filepath.Join(t.TempDir(), "a.tar")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := collectortest.Load(t, Definition(), `
jobs: [{units: a.service}]
artifacts: [{name: a, path: `+file+`}]`)[0]
	out, err := collectortest.Run(t, s, collectortest.Env(t))
	if err == nil {
		t.Error("no error")
	}
	text := collectortest.Text(t, out)
	if strings.Contains(text, "backup_job") || !strings.Contains(text, `backup_artifact_size_bytes{source="default",backup="a"} 1`) {
		t.Error(text)
	}
}

// The unit that writes an artifact need not be a job: what it is writing is not judged.
func TestUnitOfArtifact(t *testing.T) {
	h := boot(t)
	path := filepath.Join(t.TempDir(), "db.sql")
	if err := os.WriteFile(path, []byte("--\n-- PostgreSQL database dump\n--\n\nSELECT"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.Systemctl("start", "--no-block", "postgresql-backup.service")
	s, c := artifactCollector(t, `artifacts: [{name: db, path: `+path+`, format: pg_dump, unit: postgresql-backup.service}]`)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- c.(collector.Runner).Run(ctx) }()
	defer func() { cancel(); <-ended }()
	defer c.(collector.Closer).Close()
	const judged = `backup_artifact_complete{source="default",backup="db"} 0`
	for range 10 { // one pass settles it, then it is read, the next one would tell
		if text := pass(t, s, c); strings.Contains(text, "backup_artifact_complete") || strings.Contains(text, "backup_job") {
			t.Fatal(text)
		}
		time.Sleep(50 * time.Millisecond)
	}
	_, _ = h.TrySystemctl("stop", "postgresql-backup.service")
	testenv.Eventually(t, patience, func() error {
		if text := pass(t, s, c); !strings.Contains(text, judged) {
			return errors.New(text)
		}
		return nil
	})
}

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

const archiveJob = "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/true\n"

// dumpFile is what pg_dumpall writes of a real server.
type dumpFile struct {
	t        *testing.T
	path     string
	postgres *testenv.Postgres
}

func newDumpFile(t *testing.T) dumpFile {
	t.Helper()
	d := dumpFile{t, filepath.Join(t.TempDir(), "all.sql"), testenv.StartPostgres(t)}
	d.postgres.Exec(t, "postgres", "CREATE TABLE words (word text)")
	return d
}

// write dumps the server, of which the table has so many rows, and gives the size.
func (d dumpFile) write(rows int) (size int) {
	d.t.Helper()
	d.postgres.Exec(d.t, "postgres", "TRUNCATE words", fmt.Sprintf("INSERT INTO words SELECT md5(n::text) FROM generate_series(1, %d) AS n", rows))
	dump := d.postgres.Dump(d.t, "pg_dumpall")
	writeFile(d.t, d.path, string(dump))
	return len(dump)
}

// touch sets the age of the dump.
func (d dumpFile) touch(age time.Duration) {
	d.t.Helper()
	at := time.Now().Add(-age)
	if err := os.Chtimes(d.path, at, at); err != nil {
		d.t.Fatal(err)
	}
}

// TestBackupFaults: a dump that is old, one that is away and one that is a fraction of those
// before it; a job whose unit is gone beside a glob that matches none; a mount that fails.
func TestBackupFaults(t *testing.T) {
	t.Parallel()
	host := testenv.Systemd(t, map[string]string{
		"archive.service": archiveJob,
		"srv.mount":       "[Unit]\nDefaultDependencies=no\n[Mount]\nWhat=nothing\nWhere=/srv\nType=nosuchfs\n",
	})
	host.Systemctl("start", "archive.service")
	dump := newDumpFile(t)
	dump.write(1000)
	config := `
systemd: {}
backup:
  interval: 1s
  artifacts: [{name: postgresql, path: ` + dump.path + `, format: pg_dump, max_age: 1d}]
  jobs:
    - {units: archive.service, expected_interval: 1d}
`
	h := New(t, Options{
		Env:    []string{"DBUS_SYSTEM_BUS_ADDRESS=" + host.BusAddress()},
		Rules:  []string{"backup_alerts", "service_alerts", "exporter"},
		Config: config,
		Scale:  600, // an hour is 6 s
		Fakes:  map[string]string{"BackupArtifactStale": "the time of the file"},
	})
	seen := func(rows int) {
		t.Helper()
		h.waitValue(`backup_artifact_size_bytes{backup="postgresql"}`, float64(dump.write(rows)))
	}
	about := func(name string) Alert { return Alert{name, map[string]string{"backup": "postgresql"}} }
	h.waitValue(`backup_artifact_complete{backup="postgresql"}`, 1)
	h.oneAfterTheOther(nil,
		fault{
			cause:  func() { dump.touch(25 * time.Hour) },
			mend:   func() { dump.touch(0) },
			alerts: []Alert{about("BackupArtifactStale")},
		},
		fault{
			cause:  func() { rename(t, dump.path, dump.path+".away") },
			mend:   func() { rename(t, dump.path+".away", dump.path) },
			alerts: []Alert{{"BackupArtifactUnreadable", map[string]string{"backup": "postgresql", "reason": "missing"}}},
		},
		fault{
			cause: func() {
				host.RemoveUnit("archive.service")
				host.Systemctl("daemon-reload")
				h.Reload(config + "    - {units: borg-*.service, expected_interval: 1d}\n")
			},
			mend: func() {
				host.WriteUnit("archive.service", archiveJob)
				host.Systemctl("daemon-reload")
				h.Reload(config)
			},
			alerts: []Alert{
				{"BackupJobMissing", map[string]string{"name": "archive.service"}},
				{"BackupJobMissing", map[string]string{"units": "borg-*.service"}},
			},
		},
		fault{
			cause: func() { _, _ = host.TrySystemctl("start", "srv.mount") },
			mend:  func() { host.Systemctl("reset-failed", "srv.mount") },
			alerts: []Alert{
				{"SystemdUnitFailed", map[string]string{"name": "srv.mount", "type": "mount"}},
			},
		},
		fault{
			cause: func() {
				for i := range 4 { // earlier ones, to which it is compared
					seen(1001 + i)
				}
				seen(10)
			},
			mend:   func() { seen(1000) },
			alerts: []Alert{about("BackupArtifactShrunk")},
		},
	)
}

// TestBackupIntervalUnknown: a job without a timer, whose interval nobody has said. Its alert waits
// three days, so that other durations become a second here: too little for the rules on the exporter.
func TestBackupIntervalUnknown(t *testing.T) {
	t.Parallel()
	host := testenv.Systemd(t, map[string]string{"archive.service": archiveJob, "vault.service": archiveJob})
	host.Systemctl("start", "archive.service", "vault.service")
	const config = "systemd: {}\nbackup:\n  interval: 1s\n  jobs:\n    - {units: archive.service, expected_interval: 1d}\n    - {units: vault.service%s}\n"
	h := New(t, Options{
		Env:    []string{"DBUS_SYSTEM_BUS_ADDRESS=" + host.BusAddress()},
		Rules:  []string{"backup_alerts", "service_alerts"},
		Config: fmt.Sprintf(config, ""),
		Scale:  26000, // 3 days are 10 s
	})
	h.oneAfterTheOther(nil, fault{
		cause:  func() { h.waitValue(`backup_job_configured{name="vault.service"}`, 1) },
		mend:   func() { h.Reload(fmt.Sprintf(config, ", expected_interval: 1d")) },
		alerts: []Alert{{"BackupIntervalUnknown", map[string]string{"name": "vault.service"}}},
	})
}

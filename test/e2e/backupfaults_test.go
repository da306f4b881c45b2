package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

const archiveJob = "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/true\n"

// dumpFile is a dump in the form of pg_dumpall.
type dumpFile struct {
	t    *testing.T
	path string
}

// write replaces the dump by a whole one with so many statements.
func (d dumpFile) write(statements int) {
	d.t.Helper()
	const head, end = "--\n-- PostgreSQL database cluster dump\n--\n\n", "--\n-- PostgreSQL database cluster dump complete\n--\n\n"
	if err := os.WriteFile(d.path, []byte(head+strings.Repeat("SET x;\n", statements)+end), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// touch sets the age of the dump.
func (d dumpFile) touch(age time.Duration) {
	d.t.Helper()
	at := time.Now().Add(-age)
	if err := os.Chtimes(d.path, at, at); err != nil {
		d.t.Fatal(err)
	}
}

func (d dumpFile) rename(from, to string) {
	d.t.Helper()
	if err := os.Rename(d.path+from, d.path+to); err != nil {
		d.t.Fatal(err)
	}
}

// TestBackupFaults: a dump that is old, one that is away and one that is a tenth of those before
// it; a job whose unit is gone beside a glob that matches none; a mount that fails.
func TestBackupFaults(t *testing.T) {
	t.Parallel()
	host := testenv.Systemd(t, map[string]string{
		"archive.service": archiveJob,
		"srv.mount":       "[Unit]\nDefaultDependencies=no\n[Mount]\nWhat=nothing\nWhere=/srv\nType=nosuchfs\n",
	})
	host.Systemctl("start", "archive.service")
	dump := dumpFile{t, filepath.Join(t.TempDir(), "all.sql")}
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
	})
	size := func(statements int) {
		dump.write(statements)
		info, err := os.Stat(dump.path)
		if err != nil {
			t.Fatal(err)
		}
		h.waitValue(`backup_artifact_size_bytes{backup="postgresql"}`, float64(info.Size()))
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
			cause:  func() { dump.rename("", ".away") },
			mend:   func() { dump.rename(".away", "") },
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
					size(1001 + i)
				}
				size(100)
			},
			mend:   func() { size(1000) },
			alerts: []Alert{about("BackupArtifactShrunk")},
		},
	)
}

// TestBackupIntervalUnknown: a job without a timer, whose interval nobody has said.
func TestBackupIntervalUnknown(t *testing.T) {
	t.Parallel()
	host := testenv.Systemd(t, map[string]string{"archive.service": archiveJob, "vault.service": archiveJob})
	host.Systemctl("start", "archive.service", "vault.service")
	const config = "backup:\n  interval: 1s\n  jobs:\n    - {units: archive.service, expected_interval: 1d}\n    - {units: vault.service%s}\n"
	h := New(t, Options{
		Env:    []string{"DBUS_SYSTEM_BUS_ADDRESS=" + host.BusAddress()},
		Rules:  []string{"backup_alerts"},
		Config: fmt.Sprintf(config, ""),
		Scale:  26000, // 3 days are 10 s
	})
	unknown := Alert{"BackupIntervalUnknown", map[string]string{"name": "vault.service"}}
	h.WaitFiring(unknown.Name, unknown.Labels)
	h.ExactlyFiring(unknown)
	h.Reload(fmt.Sprintf(config, ", expected_interval: 1d"))
	h.WaitResolved(unknown.Name, unknown.Labels)
	h.ExactlyFiring()
}

package e2e

import (
	"fmt"
	"os"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// often is a timer that starts its unit twice a second.
const often = "[Unit]\nDefaultDependencies=no\n[Timer]\nOnActiveSec=1ms\nOnUnitInactiveSec=500ms\nAccuracySec=1ms\n"

// One backup that fails, one whose timer is off, one that nobody starts, and a
// dump that is cut off: one alert each, and none of the general ones.
func TestBackup(t *testing.T) {
	t.Parallel()
	const (
		job   = "[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nExecStart=%s\n"
		timer = "[Unit]\nDefaultDependencies=no\n[Timer]\nOnCalendar=daily\n"
	)
	host := testenv.Systemd(t, map[string]string{
		"restic-backups-Home.service":  fmt.Sprintf(job, "/bin/true"),
		"restic-backups-Home.timer":    timer,
		"restic-backups-Audio.service": fmt.Sprintf(job, "/bin/true"),
		"restic-backups-Audio.timer":   timer,
		"archive.service":              fmt.Sprintf(job, "/bin/true"),
	})
	timers := []string{"restic-backups-Home.timer", "restic-backups-Audio.timer"}
	host.Systemctl(append([]string{"start", "restic-backups-Home.service", "restic-backups-Audio.service", "archive.service"}, timers...)...)
	dump := newDumpFile(t)
	size := dump.write(10)
	h := New(t, Options{
		Env:   []string{"DBUS_SYSTEM_BUS_ADDRESS=" + host.BusAddress()},
		Rules: []string{"backup_alerts", "service_alerts", "exporter"},
		Config: `
systemd: {}
backup:
  interval: 1s
  jobs:
    - {units: "restic-backups-*.service", expected_interval: 1d}
    - {units: archive.service, expected_interval: 1d}
  artifacts: [{name: postgresql, path: ` + dump.path + `, format: pg_dump, max_age: 1d}]
`,
	})
	h.ExactlyFiring()

	home := map[string]string{"name": "restic-backups-Home.service", "backup": "Home"}
	host.WriteUnit("restic-backups-Home.service", fmt.Sprintf(job, "/bin/false"))
	host.Systemctl("daemon-reload")
	_, _ = host.TrySystemctl("start", "restic-backups-Home.service")
	h.WaitFiring("BackupServiceFailed", home)

	audio := map[string]string{"name": "restic-backups-Audio.service"}
	host.Systemctl("stop", "restic-backups-Audio.timer")
	h.WaitFiring("BackupTimerInactive", audio)

	if err := os.Truncate(dump.path, int64(size)-40); err != nil {
		t.Fatal(err)
	}
	h.WaitFiring("BackupArtifactTruncated", map[string]string{"backup": "postgresql"})
	h.ExactlyFiring(
		Alert{"BackupServiceFailed", home}, Alert{"BackupTimerInactive", audio},
		Alert{"BackupArtifactTruncated", map[string]string{"backup": "postgresql"}},
	)

	host.WriteUnit("restic-backups-Home.service", fmt.Sprintf(job, "/bin/true"))
	host.Systemctl("daemon-reload")
	host.Systemctl("start", "restic-backups-Home.service", "restic-backups-Audio.timer")
	dump.write(10)
	h.WaitResolved("BackupServiceFailed", home)
	h.WaitResolved("BackupTimerInactive", audio)
	h.WaitResolved("BackupArtifactTruncated", map[string]string{"backup": "postgresql"})
	h.ExactlyFiring()

	// Nobody starts the archive any more: no failure tells, only its age.
	archive := map[string]string{"name": "archive.service"}
	h.Reload(`
systemd: {}
backup:
  interval: 1s
  jobs:
    - {units: "restic-backups-*.service", expected_interval: 1d}
    - {units: archive.service, expected_interval: 4s}
`)
	h.WaitFiring("BackupNotRunning", archive)
	host.WriteUnit("archive.timer", often)
	host.Systemctl("daemon-reload")
	host.Systemctl("start", "archive.timer")
	h.WaitResolved("BackupNotRunning", archive)
	h.ExactlyFiring()
	h.ExactlyFired(
		Alert{"BackupServiceFailed", home}, Alert{"BackupTimerInactive", audio},
		Alert{"BackupArtifactTruncated", map[string]string{"backup": "postgresql"}},
		Alert{"BackupNotRunning", archive},
	)
}

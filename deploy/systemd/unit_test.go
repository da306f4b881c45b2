package systemd_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// TestExposure: systemd's own judgement of the sandbox, 0 to 10.
func TestExposure(t *testing.T) {
	testenv.Need(t, "systemd-analyze")
	for unit, highest := range map[string]float64{"vulcan-exporter.service": 1.5, "vulcan-exporter@.service": 2} {
		out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", "./"+unit).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		match := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
		if match == nil {
			t.Fatalf("no level in:\n%s", out)
		}
		level, err := strconv.ParseFloat(string(match[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: exposure %.1f", unit, level)
		if level > highest {
			t.Errorf("%s has an exposure of %.1f, more than %.1f:\n%s", unit, level, highest, out)
		}
	}
}

// TestExamples: systemd understands every line of the examples, and none takes the sandbox away.
func TestExamples(t *testing.T) {
	testenv.Need(t, "systemd-analyze")
	examples, err := filepath.Glob("examples/*.conf")
	if err != nil || len(examples) < 6 {
		t.Fatalf("%d examples, %v", len(examples), err)
	}
	for _, example := range examples {
		unit := "vulcan-exporter.service"
		if filepath.Base(example) == "podman-socket.conf" {
			unit = "vulcan-exporter.socket" // any socket
		}
		dir := t.TempDir()
		for _, name := range []string{"vulcan-exporter.service", "vulcan-exporter.socket"} {
			write(t, filepath.Join(dir, name), runnable(read(t, name)))
		}
		write(t, filepath.Join(dir, unit+".d", filepath.Base(example)), runnable(read(t, example)))
		out, err := exec.Command("systemd-analyze", "verify", "--man=no", filepath.Join(dir, unit)).CombinedOutput()
		if err != nil || strings.Contains(string(out), dir) {
			t.Errorf("%s: %v\n%s", example, err, out)
		}
		if unit == "vulcan-exporter.service" {
			if out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", filepath.Join(dir, unit)).CombinedOutput(); err != nil {
				t.Errorf("%s: exposure above 2.0: %v\n%s", example, err, out)
			}
		}
	}
}

// runnable has a program that is here; the exporter is that of an installed package.
func runnable(unit string) string {
	return strings.ReplaceAll(unit, "/usr/bin/vulcan_exporter", "/bin/true")
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

const watchesBus = "criticalservice: {units: [dbus.service]}\nsystemd: {interval: 1s}\n"

// TestService is the life of the main unit: install, start, reload with a good and a bad file, a
// process that hangs, one that is killed.
func TestService(t *testing.T) {
	t.Parallel()
	h := install(t)
	address := freeAddress(t)
	h.file("/etc/vulcan_exporter.yml", watchesBus)
	h.file("/etc/default/vulcan-exporter", "ARGS=--web.listen-address="+address+"\n")
	h.Systemctl("daemon-reload")
	h.Systemctl("start", "vulcan-exporter.service") // returns after READY=1
	if _, err := get(address); err != nil {
		t.Errorf("ready, and does not answer: %v", err)
	}
	h.metrics(address, `critical_service_active\{source="default",name="dbus.service"\} 1`,
		`systemd_unit_state\{.*name="vulcan-exporter.service",.*state="active".*\} 1`,
		`process_start_time_seconds .*`)
	pid := h.property("vulcan-exporter.service", "MainPID")
	// The files are the service user's, and nobody else's to read.
	if got := h.run(`stat -c %U /proc/"$1"; stat -c '%U %a' /var/lib/vulcan_exporter /var/cache/vulcan_exporter`, pid); strings.Join(strings.Fields(got), " ") != "vulcan-exporter vulcan-exporter 700 vulcan-exporter 700" {
		t.Errorf("user and folders: %s", got)
	}
	if got := h.property("vulcan-exporter.service", "StatusText"); got != "2 sources, 0 failing" {
		t.Errorf("status is %q", got)
	}

	h.file("/etc/vulcan_exporter.yml", "criticalservice: {units: [vulcan-exporter.service]}\n")
	h.Systemctl("reload", "vulcan-exporter.service")
	h.metrics(address, `critical_service_active\{source="default",name="vulcan-exporter.service"\} 1`, `vulcan_config_last_reload_successful 1`)

	h.file("/etc/vulcan_exporter.yml", "criticalservice: {unit: [dbus.service]}\n")
	if out, err := h.TrySystemctl("reload", "vulcan-exporter.service"); err == nil {
		t.Errorf("a reload of a bad file succeeds: %s", out)
	}
	h.metrics(address, `critical_service_active\{source="default",name="vulcan-exporter.service"\} 1`)
	if got := h.property("vulcan-exporter.service", "MainPID"); got != pid {
		t.Errorf("reloads changed the process from %s to %s", pid, got)
	}
	h.file("/etc/vulcan_exporter.yml", watchesBus)

	// kill -9 and a new one comes.
	h.Systemctl("kill", "--signal=KILL", "vulcan-exporter.service")
	again := h.restarted(pid)
	h.metrics(address, `critical_service_active\{source="default",name="dbus.service"\} 1`)
	if got := h.property("vulcan-exporter.service", "NRestarts"); got != "1" || again == pid {
		t.Errorf("%s restarts", got)
	}
	h.Systemctl("stop", "vulcan-exporter.service")
	if got := h.property("vulcan-exporter.service", "Result"); got != "success" {
		t.Errorf("stopped with %s", got)
	}
}

// TestWatchdog: a process that stands still is replaced.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	h := install(t)
	address := freeAddress(t)
	h.file("/etc/vulcan_exporter.yml", watchesBus)
	h.file("/etc/default/vulcan-exporter", "ARGS=--web.listen-address="+address+"\n")
	h.WriteUnit("vulcan-exporter.service.d/test.conf", "[Service]\nWatchdogSec=2s\nRestartSec=100ms\n")
	h.Systemctl("daemon-reload")
	h.Systemctl("start", "vulcan-exporter.service")
	pid := h.property("vulcan-exporter.service", "MainPID")
	h.Systemctl("kill", "--kill-who=main", fmt.Sprintf("--signal=%d", syscall.SIGSTOP), "vulcan-exporter.service")
	h.restarted(pid)
	h.metrics(address, `critical_service_active\{source="default",name="dbus.service"\} 1`)
	if got := h.property("vulcan-exporter.service", "NRestarts"); got != "1" {
		t.Errorf("%s restarts", got)
	}
}

// restarted waits for another process than pid.
func (h *host) restarted(pid string) string {
	h.t.Helper()
	now := pid
	testenv.Eventually(h.t, limit, func() error {
		now = h.property("vulcan-exporter.service", "MainPID")
		if state := h.property("vulcan-exporter.service", "ActiveState"); state != "active" || now == pid || now == "0" {
			return fmt.Errorf("main process %s, was %s, %s", now, pid, state)
		}
		return nil
	})
	return now
}

// TestSocketActivation: the socket starts the exporter at the first scrape, keeps its address
// through a restart, and is all the network that the exporter needs.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	h := install(t)
	address := freeAddress(t)
	h.file("/etc/vulcan_exporter.yml", watchesBus)
	// As the package has it, with its ARGS: an EnvironmentFile= overrides every Environment=.
	h.file("/etc/default/vulcan-exporter", read(t, "../deb/default"))
	h.use("vulcan-exporter.service", "socket-activation.conf")
	h.WriteUnit("vulcan-exporter.service.d/test.conf", "[Service]\nPrivateNetwork=yes\n")
	h.WriteUnit("vulcan-exporter.socket.d/test.conf", "[Socket]\nListenStream=\nListenStream="+address+"\n")
	h.Systemctl("daemon-reload")
	h.Systemctl("start", "vulcan-exporter.socket")
	if got := h.property("vulcan-exporter.service", "ActiveState"); got != "inactive" {
		t.Errorf("the service is %s before the first connection", got)
	}
	h.metrics(address, `critical_service_active\{source="default",name="dbus.service"\} 1`)
	h.Systemctl("restart", "vulcan-exporter.service")
	if _, err := get(address); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	h.Systemctl("stop", "vulcan-exporter.service")
	// Between two processes a scrape waits in the socket's queue and starts the next.
	if _, err := get(address); err != nil {
		t.Errorf("while it was stopped: %v", err)
	}
}

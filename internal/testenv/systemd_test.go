package testenv

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

func TestSystemd(t *testing.T) {
	h := Systemd(t, map[string]string{
		"sleeper.service":                      "[Service]\nExecStart=/bin/sleep infinity\n",
		"default.target.wants/sleeper.service": "",
		"bad.service":                          "[Service]\nType=oneshot\nExecStart=/bin/false\n",
	})
	if got := strings.TrimSpace(h.Systemctl("is-active", "sleeper.service")); got != "active" {
		t.Errorf("sleeper.service is %s", got)
	}
	if out, err := h.TrySystemctl("start", "bad.service"); err == nil {
		t.Errorf("bad.service started: %s", out)
	}
	h.WriteUnit("late.service", "[Service]\nExecStart=/bin/sleep infinity\n")
	h.Systemctl("daemon-reload")
	h.Systemctl("start", "late.service")
	h.Systemctl("daemon-reexec")
	h.SignalBus(syscall.SIGKILL)
	Eventually(t, 20*time.Second, func() error {
		conn, err := dbus.Connect(h.BusAddress())
		if err != nil {
			return err
		}
		return conn.Close()
	})
	h.StopBus()
	if conn, err := dbus.Connect(h.BusAddress()); err == nil {
		_ = conn.Close()
		t.Error("the bus answers after StopBus")
	}
	h.StartBus()

	root, inner := h.CgroupRoot(), h.inner
	h.Reboot()
	if got, _ := h.TrySystemctl("is-active", "late.service"); strings.TrimSpace(got) != "inactive" {
		t.Errorf("late.service is %s after a reboot", got)
	}
	h.Kill()
	if err := syscall.Kill(inner, 0); err != syscall.ESRCH {
		t.Errorf("the first PID 1 still exists: %v", err)
	}
	if root == "" {
		t.Fatal("no cgroup found")
	}
	if _, err := os.Stat(root); !os.IsNotExist(err) {
		t.Errorf("cgroup %s is left: %v", root, err)
	}
}

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// TestLostGround: data that grows old, state that cannot be read, a folder that cannot be written.
func TestLostGround(t *testing.T) {
	t.Parallel()
	host := testenv.Systemd(t, map[string]string{"backup-home.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n"})
	const config = "systemd: {interval: 1s}\n"
	h := New(t, Options{
		Config: config,
		Env:    []string{"DBUS_SYSTEM_BUS_ADDRESS=" + host.BusAddress()},
		Rules:  []string{"exporter"},
	})
	stale := Alert{"CollectorDataStale", map[string]string{"collector": "systemd", "source": "default"}}
	corrupt, forgetful := Alert{Name: "VulcanStateCorrupt"}, Alert{Name: "VulcanStateNotPersistent"}
	h.waitValue(`vulcan_collector_up{collector="systemd"}`, 1)
	h.ExactlyFiring()

	// The run that fails is told by its age before it has failed for CollectorFailing's 10 minutes.
	host.StopBus()
	h.WaitFiring(stale.Name, stale.Labels)
	h.ExactlyFiring(stale)
	host.StartBus()
	h.WaitResolved(stale.Name, stale.Labels)

	state := filepath.Join(h.dir, "state")
	kept := filepath.Join(state, "backup.default.json")
	writeFile(t, kept, `{"version":1,"state":{"jobs":`)
	h.Reload(config + "backup: {jobs: [{units: \"backup-*.service\"}]}\n")
	h.WaitFiring(corrupt.Name, nil)
	h.ExactlyFiring(corrupt)
	if _, err := os.Stat(kept + ".corrupt"); err != nil {
		t.Errorf("what could not be read was not set aside: %v", err)
	}

	// Root may write anywhere, but not below a file.
	h.restart(t, func() {
		rename(t, state, state+".away")
		writeFile(t, state, "")
	})
	h.WaitFiring(forgetful.Name, nil)
	h.WaitResolved(corrupt.Name, nil)
	h.ExactlyFiring(forgetful)
	h.restart(t, func() {
		if err := os.Remove(state); err != nil {
			t.Fatal(err)
		}
		rename(t, state+".away", state)
	})
	h.WaitResolved(forgetful.Name, nil)
	h.ExactlyFired(stale, corrupt, forgetful)
}

// TestSeriesBudget watches more than the exporter publishes of one source, from its start on.
func TestSeriesBudget(t *testing.T) {
	t.Parallel()
	host := testenv.Systemd(t, nil)
	config := func(units int) string {
		names := make([]string, units)
		for i := range names {
			names[i] = fmt.Sprintf("service-%d.service", i)
		}
		return "criticalservice: {units: [" + strings.Join(names, ", ") + "]}\n"
	}
	h := New(t, Options{
		Config: config(4000),
		Env:    []string{"DBUS_SYSTEM_BUS_ADDRESS=" + host.BusAddress()},
		Rules:  []string{"exporter"},
		Scale:  1080, // six hours take 20 s
	})
	dropped := Alert{"CollectorSeriesDropped", map[string]string{"collector": "criticalservice", "source": "default"}}
	h.WaitFiring(dropped.Name, dropped.Labels)
	h.ExactlyFiring(dropped)
	h.waitValue("count(critical_service_configured)", 4000)
	h.Reload(config(10))
	h.waitValue("count(critical_service_loaded)", 10)
	h.WaitResolved(dropped.Name, dropped.Labels)
	h.ExactlyFired(dropped)
}

// restart ends the exporter as systemd does and starts it again after the change.
func (h *Harness) restart(t *testing.T, change func()) {
	t.Helper()
	if err := h.Exporter.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := h.Exporter.Wait(t, Limit); err != nil {
		t.Fatalf("SIGTERM: %v", err)
	}
	change()
	h.StartExporter()
}

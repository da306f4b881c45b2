package e2e

import (
	"syscall"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

const watched = "criticalservice: {units: [web.service]}\nsystemd: {}\n"

// TestBlindness goes through the ways in which the exporter stops knowing: each has to be said,
// and no alert on what it does not know may fire or resolve in the meantime.
func TestBlindness(t *testing.T) {
	t.Parallel()
	host := testenv.Systemd(t, map[string]string{
		"web.service":                      "[Service]\nExecStart=/bin/sleep infinity\n",
		"default.target.wants/web.service": "",
	})
	h := New(t, Options{
		Config: watched,
		Env:    []string{"DBUS_SYSTEM_BUS_ADDRESS=" + host.BusAddress()},
		Rules:  []string{"service_alerts", "exporter"},
	})
	down := Alert{Name: "VulcanExporterDown"}
	systemd := Alert{"CollectorFailing", map[string]string{"collector": "systemd"}}
	critical := Alert{"CollectorFailing", map[string]string{"collector": "criticalservice"}}
	config := Alert{Name: "VulcanConfigReloadFailed"}

	// A bus that is gone takes the values with it: a stopped service must not look healthy.
	host.StopBus()
	h.WaitFiring(systemd.Name, systemd.Labels)
	h.WaitFiring(critical.Name, critical.Labels)
	h.ExactlyFiring(systemd, critical)
	if left := h.Query("critical_service_active or systemd_unit_state"); len(left) > 0 {
		t.Errorf("values without a bus: %v", left)
	}
	if left := h.Query("critical_service_configured"); len(left) != 1 {
		t.Errorf("what is configured is known without a bus: %v", left)
	}
	host.StartBus()
	h.WaitResolved(systemd.Name, systemd.Labels)
	h.WaitResolved(critical.Name, critical.Labels)

	// A bad file keeps what runs.
	h.Reload("criticalservice: {unit: [web.service]}\n")
	h.WaitFiring(config.Name, nil)
	h.ExactlyFiring(config)
	if up := h.Query("critical_service_active == 1"); len(up) != 1 {
		t.Errorf("critical services after a reload that failed: %v", up)
	}
	h.Reload(watched)
	h.WaitResolved(config.Name, nil)

	h.Exporter.Kill()
	h.WaitFiring(down.Name, nil)
	h.ExactlyFiring(down)
	h.StartExporter()
	h.WaitResolved(down.Name, nil)
	h.ExactlyFired(systemd, critical, config, down)
}

// TestRestartLoop restarts the exporter so fast that it is never down for long.
func TestRestartLoop(t *testing.T) {
	t.Parallel()
	h := New(t, Options{Config: "systemd: {}\n", Rules: []string{"exporter"}, Env: []string{
		"DBUS_SYSTEM_BUS_ADDRESS=" + testenv.Systemd(t, nil).BusAddress(),
	}})
	for range 3 {
		started := h.Query("process_start_time_seconds")
		if err := h.Exporter.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := h.Exporter.Wait(t, Limit); err != nil {
			t.Fatalf("SIGTERM: %v", err)
		}
		h.StartExporter()
		h.WaitChange("process_start_time_seconds", started)
	}
	loop := Alert{Name: "VulcanExporterRestartLoop"}
	h.WaitFiring(loop.Name, nil)
	h.WaitResolved(loop.Name, nil)
	h.ExactlyFired(loop)
}

package e2e

import (
	"os"
	"testing"

	"vulcan.lan/vulcan_exporter/collectors/zfs/zfstest"
)

// Pools that fail in the ways recorded from a real OpenZFS: the alert of each
// fault, and no other.
func TestZFS(t *testing.T) {
	t.Parallel()
	replay, err := zfstest.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	host := zfstest.New(t, replay)
	healthy := []string{"scrub_finished", "healthy_snaps"}
	host.Use(healthy)
	// The recordings are old: what is expected has to be older still.
	const base = "\nzfs:\n  interval: 1s\n  timeout: 6s\n  scrub_max_age: 50y\n"
	const expected = base + "  pools: [tank, vault]\n  snapshots: [{datasets: tank/data, names: autosnap_*_hourly, max_age: 50y}]\n"
	h := New(t, Options{
		Env:    []string{"PATH=" + host.Bin + ":" + os.Getenv("PATH")},
		Rules:  []string{"storage_alerts", "exporter"},
		Config: expected,
		Fakes:  map[string]string{"ZFS": "zpool and zfs (recorded output)"},
	})
	h.ExactlyFiring()
	pool := func(name string) map[string]string { return map[string]string{"pool": name} }
	var fired []Alert
	step := func(states []string, alerts ...Alert) {
		t.Helper()
		host.Use(states)
		for _, a := range alerts {
			h.WaitFiring(a.Name, a.Labels)
		}
		h.ExactlyFiring(alerts...)
		fired = append(fired, alerts...)
	}
	repair := func(config string, alerts ...Alert) {
		t.Helper()
		h.Reload(config)
		host.Use(healthy)
		for _, a := range alerts {
			h.WaitResolved(a.Name, a.Labels)
		}
		h.ExactlyFiring()
	}

	degraded := Alert{"ZFSPoolDegraded", map[string]string{"pool": "tank", "state": "degraded"}}
	step([]string{"degraded_faulted_vdev", "healthy_snaps"}, degraded)
	repair(expected, degraded)

	missing := Alert{"ZFSPoolMissing", pool("vault")}
	step([]string{"exported", "healthy_snaps"}, missing)
	repair(expected, missing)

	// Repaired checksum errors: the pool reads online.
	repaired := Alert{"ZFSDeviceErrors", pool("tank")}
	step([]string{"cksum_mirror_repaired", "healthy_snaps"}, repaired)
	repair(base, repaired) // from here on other pools are looked at

	lost, device := Alert{"ZFSDataErrors", pool("small")}, Alert{"ZFSDeviceErrors", pool("small")}
	step([]string{"data_errors"}, lost, device)
	repair(base, lost, device)

	// Full at half its capacity.
	full := Alert{"ZFSPoolCapacityCritical", pool("tiny")}
	step([]string{"tiny_enospc"}, full)
	repair(base, full)

	filling := Alert{"ZFSPoolCapacityHigh", pool("small")}
	step([]string{"cap80"}, filling)
	repair(base, filling)

	// No new snapshot: the hourly ones are held to two hours now.
	stale := Alert{"ZFSSnapshotAgeTooOld", map[string]string{"name": "tank/data", "names": "autosnap_*_hourly"}}
	h.Reload(base + "  snapshots: [{datasets: tank/data, names: autosnap_*_hourly, max_age: 2h}]\n")
	step(healthy, stale)
	repair(base, stale)

	h.ExactlyFired(fired...)
}

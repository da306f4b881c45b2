package lab

import (
	"fmt"
	"os"

	"vulcan.lan/vulcan_exporter/collectors/zfs/zfstest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// appliances are what cannot run here: a firewall that is played and a ZFS that is replayed.
func (l *Lab) appliances() {
	l.t.Helper()
	firewall := testenv.StartOPNsense(l.t, "25.7.8", testenv.OPNsenseOptions{})
	listen := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(l.t))
	l.add("opnsense: {interval: 2s, timeout: 5s, sources: [{name: home, url: %q, ca_file: %q, key_file: %q, secret_file: %q, listen: %q, client: {key_file: %q, secret_file: %q}}]}\n",
		firewall.URL, firewall.CAFile, l.secret("opnsense-key", testenv.OPNsenseKey), l.secret("opnsense-secret", testenv.OPNsenseSecret), listen,
		l.secret("opnsense-client-key", proxyUser), l.secret("opnsense-client-secret", proxyPassword))
	const endpoint = "diagnostics/activity/getActivity"
	for kind, handler := range answers {
		l.fault("OPNsense: "+kind, func() { firewall.Answer(endpoint, handler) }, func() { firewall.Answer(endpoint, nil) })
	}

	replay, err := zfstest.Build(l.t.TempDir())
	if err != nil {
		l.t.Fatal(err)
	}
	pools := zfstest.New(l.t, replay)
	healthy := []string{"scrub_finished", "healthy_snaps"}
	pools.Use(healthy)
	l.Env = append(l.Env, "PATH="+pools.Bin+":"+os.Getenv("PATH"))
	l.add("zfs: {interval: 2s, timeout: 5s, scrub_max_age: 50y}\n")
	l.fault("pool degraded", func() { pools.Use([]string{"degraded_faulted_vdev", "healthy_snaps"}) }, func() { pools.Use(healthy) })
	l.fault("zpool hangs", func() { pools.Use(healthy, zfstest.HangAll) }, func() { pools.Use(healthy) })
}

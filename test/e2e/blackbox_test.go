package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// site is a real nginx that sends a page of 30 kB: at full speed, at 10 kB a second, or not.
type site struct {
	nginx   *testenv.Nginx
	address string
	dir     string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{address: freeAddress(t)}
	dir, err := os.MkdirTemp("/tmp", "vsite-") // t.TempDir keeps nginx's workers out
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s.dir = dir
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s.page(t, "index.html")
	s.behaviour(t, "")
	s.start(t)
	return s
}

func (s *site) page(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(strings.Repeat("0123456789", 3000)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// behaviour sets the directives of the location; nginx has to be reloaded.
func (s *site) behaviour(t *testing.T, directives string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "location.conf"), []byte(directives), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (s *site) start(t *testing.T) {
	t.Helper()
	s.nginx = testenv.StartNginx(t, fmt.Sprintf(
		"server { listen %s; root %s; location / { include %[2]s/location.conf; } }", s.address, s.dir))
}

func (s *site) url() string { return "http://" + s.address + "/" }

// TestBlackbox takes endpoints through the faults of blackbox_alerts.yml: stopped, answering with
// an error, slow. Those of other owners are stopped as well, and told by nobody here.
func TestBlackbox(t *testing.T) {
	t.Parallel()
	stopped, broken, slow := newSite(t), newSite(t), newSite(t)
	blackbox := startBlackbox(t, nil)
	probes := []Probe{
		{Job: "blackbox_http", Target: stopped.url(), Service: "wiki"},
		{Job: "blackbox_http", Target: broken.url()},
		{Job: "blackbox_http", Target: slow.url()},
		{Job: "blackbox_tcp", Target: stopped.address},
		{Job: "blackbox_tcp", Target: slow.address},
	}
	for _, owner := range []string{"nextcloud", "grafana", "prometheus", "loki"} {
		probes = append(probes, Probe{Job: "blackbox_http", Target: stopped.url() + owner, Service: owner})
		stopped.page(t, owner)
	}
	probes = append(probes, Probe{Job: "blackbox_http", Target: slow.url() + "nextcloud", Service: "nextcloud"})
	slow.page(t, "nextcloud")
	h := New(t, Options{
		Rules:    []string{"blackbox_alerts", "network_alerts", "dns_alerts"},
		Blackbox: blackbox.Address,
		Probes:   probes,
		// Slow is more than 2 s, which a scrape of a second could not see.
		ProbeInterval: "5s",
	})
	h.waitValue(`sum(probe_success)`, float64(len(probes)))
	h.ExactlyFiring()
	down := func(job, target string) Alert {
		return Alert{"EndpointDown", map[string]string{"job": job, "instance": target}}
	}
	faults := []Alert{
		down("blackbox_http", stopped.url()), down("blackbox_tcp", stopped.address), down("blackbox_http", broken.url()),
		{"SlowResponse", map[string]string{"instance": slow.url()}},
	}

	stopped.nginx.Stop()
	broken.behaviour(t, "return 404;")
	broken.nginx.Reload(t)
	slow.behaviour(t, "limit_rate 10k;")
	slow.nginx.Reload(t)
	for _, alert := range faults {
		h.WaitFiring(alert.Name, alert.Labels)
	}
	h.ExactlyFiring(faults...)

	stopped.start(t)
	broken.behaviour(t, "")
	broken.nginx.Reload(t)
	slow.behaviour(t, "")
	slow.nginx.Reload(t)
	for _, alert := range faults {
		h.WaitResolved(alert.Name, alert.Labels)
	}
	h.ExactlyFiring()

	// Without its exporter nothing is known of them: that is said, once a job, and nothing else.
	blind := []Alert{
		{"BlackboxExporterDown", map[string]string{"job": "blackbox_http"}},
		{"BlackboxExporterDown", map[string]string{"job": "blackbox_tcp"}},
	}
	blackbox.Stop()
	for _, alert := range blind {
		h.WaitFiring(alert.Name, alert.Labels)
	}
	h.ExactlyFiring(blind...)
	blackbox.Start(t)
	for _, alert := range blind {
		h.WaitResolved(alert.Name, alert.Labels)
	}
	h.ExactlyFired(append(faults, blind...)...)
}

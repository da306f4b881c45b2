package e2e

import (
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// TestDNSServer stops one of two real DNS servers, then has it refuse the name it is asked for.
func TestDNSServer(t *testing.T) {
	t.Parallel()
	const refuses = `	local-zone: "localhost." always_refuse`
	one, other := testenv.StartUnbound(t, ""), testenv.StartUnbound(t, "")
	blackbox := startBlackbox(t, nil)
	h := New(t, Options{
		Rules:    []string{"dns_alerts", "blackbox_alerts", "network_alerts"},
		Blackbox: blackbox.Address,
		Probes:   []Probe{{Job: "blackbox_dns", Target: one.Address}, {Job: "blackbox_dns", Target: other.Address}},
	})
	h.waitValue(`sum(probe_success)`, 2)
	h.ExactlyFiring()
	down := Alert{"DNSServerDown", map[string]string{"instance": one.Address}}
	for _, fault := range []func(){
		one.Stop,
		func() { one.Stop(); one.Start(t, refuses) },
	} {
		fault()
		h.WaitFiring(down.Name, down.Labels)
		h.ExactlyFiring(down)
		one.Stop()
		one.Start(t, "")
		h.WaitResolved(down.Name, down.Labels)
	}
	h.ExactlyFired(down)
}

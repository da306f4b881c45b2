package e2e

import (
	"fmt"
	"path/filepath"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// startBlackbox starts the exporter with the shipped configuration.
func startBlackbox(t *testing.T, n *testenv.Namespace) *testenv.SocketExporter {
	t.Helper()
	return testenv.StartSocketExporter(t, n, "prometheus-blackbox-exporter",
		"--config.file="+filepath.Join(testenv.Root(t), "deploy", "prometheus", "blackbox.yml"),
		"--web.external-url=http://localhost/") // it cannot infer it from a socket
}

// TestNetwork pulls a cable, drops every third packet to one host and all to another: real
// interfaces and packet filters in two namespaces, real exporters in one of them.
func TestNetwork(t *testing.T) {
	t.Parallel()
	testenv.Need(t, "iptables")
	near, far := testenv.StartNamespace(t, ""), testenv.StartNamespace(t, "")
	testenv.Wires(t, near, far, "lan0", "san0", "veth0") // the last is that of a container
	near.Run(t, "ip address add 192.0.2.1/24 dev lan0")
	const good, lossy, dead = "192.0.2.2", "192.0.2.3", "192.0.2.4"
	for _, address := range []string{good, lossy, dead} {
		far.Run(t, "ip address add "+address+"/24 dev lan0")
	}
	blackbox := startBlackbox(t, near)
	node := testenv.StartSocketExporter(t, near, "prometheus-node-exporter",
		"--collector.disable-defaults", "--collector.netclass")
	h := New(t, Options{
		Rules:    []string{"network_alerts", "blackbox_alerts", "dns_alerts", "system_alerts"},
		Targets:  map[string]string{"node": node.Address},
		Blackbox: blackbox.Address,
		Probes: []Probe{
			{Job: "blackbox_icmp", Target: good}, {Job: "blackbox_icmp", Target: lossy}, {Job: "blackbox_icmp", Target: dead},
		},
		Scale: 30,
	})
	h.waitValue(`sum(probe_success)`, 3)
	h.waitValue(`sum(node_network_carrier{device=~"lan0|san0"})`, 2)
	h.waitValue(`min(count_over_time(probe_success[30s])) >= bool 10`, 1)
	h.ExactlyFiring()

	down := Alert{"InterfaceDown", map[string]string{"device": "san0"}}
	loss := Alert{"HighPacketLoss", map[string]string{"instance": lossy}}
	unreachable := Alert{"HostUnreachable", map[string]string{"instance": dead}}
	rules := func(action string) string {
		return fmt.Sprintf("iptables %[1]s INPUT -d %[2]s -m statistic --mode nth --every 3 --packet 0 -j DROP; iptables %[1]s INPUT -d %[3]s -j DROP",
			action, lossy, dead)
	}
	far.Run(t, rules("-A"))
	far.Run(t, "ip link set san0 down; ip link set veth0 down")
	for _, alert := range []Alert{down, unreachable, loss} {
		h.WaitFiring(alert.Name, alert.Labels)
	}
	h.ExactlyFiring(down, unreachable, loss)

	far.Run(t, rules("-D"))
	far.Run(t, "ip link set san0 up")
	for _, alert := range []Alert{down, unreachable, loss} {
		h.WaitResolved(alert.Name, alert.Labels)
	}
	for _, alert := range []Alert{down, unreachable, loss} {
		h.WaitPending(alert.Name, alert.Labels)
	}
	h.ExactlyFired(down, unreachable, loss)
}

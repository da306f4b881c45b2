package deb_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

var (
	fence    = regexp.MustCompile("(?ms)^   ```\n(.*?)^   ```$")
	packaged = regexp.MustCompile(`/usr/share/[a-z_-]+/[^\s\x60;:,]*[^\s\x60;:,.]`)
	file     = regexp.MustCompile(`[a-z_]+_alerts\.yml`)
)

// guide runs docs/install.md: its commands, from the installed package to the alert, and looks for
// all that it names. Debian's Prometheus and Alertmanager are ours, at ports of their own, and two
// minutes are a second.
func guide(t *testing.T, first string) {
	t.Helper()
	page := read(t, "../../docs/install.md")
	var commands string
	blocks := fence.FindAllStringSubmatch(page, -1)
	if len(blocks) != 4 || !strings.Contains(blocks[0][1], "apt-get install ./dist/*.deb") {
		t.Fatalf("%d blocks, the first must install", len(blocks))
	}
	for _, b := range blocks[1:] {
		commands += regexp.MustCompile(`(?m)^   `).ReplaceAllString(b[1], "")
	}
	m := boot(t)
	address := func() string { return fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t)) }
	exporter, prometheus, alertmanager := address(), address(), address()
	const until = `until amtool --alertmanager.url=http://127.0.0.1:9093 alert query alertname=CriticalServiceDown | grep cron; do sleep 1; done`
	for _, change := range [][2]string{
		{"sleep 180\n", "timeout 60 bash -c '" + until + "'\n"},
		{"promtool check config", "sed -i 's/for: 2m/for: 1s/' /etc/prometheus/rules/*.yml\npromtool check config"},
		{"15s", "1s"}, {"127.0.0.1:9847", exporter}, {"127.0.0.1:9090", prometheus}, {"127.0.0.1:9093", alertmanager},
	} {
		if !strings.Contains(commands, change[0]) {
			t.Fatalf("no %q in:\n%s", change[0], commands)
		}
		commands = strings.ReplaceAll(commands, change[0], change[1])
	}
	m.WriteUnit("cron.service", "[Service]\nExecStart=/bin/sleep infinity\n")
	m.WriteUnit("prometheus.service", "[Service]\nExecStart="+testenv.Tool(t, "prometheus")+
		" --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/var/lib/guide-prometheus --web.listen-address="+prometheus+"\n")
	m.WriteUnit("prometheus-alertmanager.service", "[Service]\nExecStart="+testenv.Tool(t, "alertmanager")+
		" --config.file=/etc/prometheus/alertmanager.yml --storage.path=/var/lib/guide-alertmanager --cluster.listen-address= --web.listen-address="+alertmanager+"\n")
	m.run(`mkdir -p /etc/prometheus; touch /etc/prometheus/prometheus.yml
		printf '%s\n' 'route: {receiver: none}' 'receivers: [{name: none}]' >/etc/prometheus/alertmanager.yml
		printf 'ARGS=--web.listen-address=%s\n' "$1" >/etc/default/vulcan-exporter
		dpkg --force-confold -i "$2"
		systemctl daemon-reload; systemctl start cron.service prometheus-alertmanager.service`, exporter, first)

	path := filepath.Dir(testenv.Tool(t, "promtool"))
	out := m.run("set -x; PATH=$1:$PATH\n"+commands, path)
	if !strings.Contains(out, "CriticalServiceDown") {
		t.Errorf("no alert:\n%s", out)
	}
	firing := m.run(`"$1"/amtool --alertmanager.url=http://"$2" alert query`, path, alertmanager)
	if regexp.MustCompile("(?m)^(NodeExporter|BlackboxExporter|VulcanExporter)Down").MatchString(firing) {
		t.Errorf("an exporter that this host does not have, or that runs, is told:\n%s", firing)
	}

	for _, path := range packaged.FindAllString(page, -1) {
		m.run("ls -d "+path, path)
	}
	for _, name := range file.FindAllString(page, -1) {
		if _, err := os.Stat(filepath.Join("../../alerts", name)); err != nil {
			t.Error(err)
		}
	}
}

package alerts

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// catalogue is one file of catalogue/, as far as a scrape can tell of it.
type catalogue struct {
	Exporter string   `yaml:"exporter"`
	Version  string   `yaml:"version"`
	Jobs     []string `yaml:"jobs"`
	Metrics  []struct {
		Name   string              `yaml:"name"`
		Type   string              `yaml:"type"`
		Labels []string            `yaml:"labels"`
		Values map[string][]string `yaml:"values"`
	} `yaml:"metrics"`
}

// TestCatalogueDrift starts the exporters that Debian or the pinned tools have, in front of real
// servers, and compares what they publish with what catalogue/ declares. `make catalogue` shows
// all that differs; a type that is another, or a name that only looks like one, is a failure.
func TestCatalogueDrift(t *testing.T) {
	starts := servers()
	maps.Copy(starts, monitors())
	for file, start := range starts {
		t.Run(file, func(t *testing.T) {
			var declared catalogue
			decode(t, filepath.Join("catalogue", file+".yml"), &declared, true)
			families := scrape(t, start(t), declared)
			for _, line := range drift(t, declared, families) {
				t.Logf("%s %s: %s", declared.Exporter, declared.Version, line)
			}
		})
	}
}

// servers are exporters in front of something else, by the file that declares their metrics.
func servers() map[string]func(*testing.T) string {
	return map[string]func(*testing.T) string{
		"node_exporter": func(t *testing.T) string {
			return exporter(t, "prometheus-node-exporter", "--web.listen-address=ADDRESS", "--collector.disable-defaults",
				"--collector.cpu", "--collector.loadavg", "--collector.meminfo", "--collector.filesystem", "--collector.netdev",
				"--collector.netclass", "--collector.timex", "--collector.vmstat", "--collector.time", "--collector.uname",
				"--collector.diskstats", "--collector.stat", "--collector.pressure", "--collector.edac", "--collector.hwmon", "--collector.mdadm")
		},
		"postgres_exporter": func(t *testing.T) string {
			server := testenv.StartPostgres(t)
			t.Setenv("DATA_SOURCE_NAME", server.DSN("postgres"))
			return exporter(t, "prometheus-postgres-exporter", "--web.listen-address=ADDRESS")
		},
		"redis_exporter": func(t *testing.T) string {
			return exporter(t, "prometheus-redis-exporter", "-web.listen-address=ADDRESS", "-include-system-metrics",
				"-redis.addr=redis://"+testenv.StartRedis(t).Address())
		},
		"nginx_exporter": func(t *testing.T) string {
			address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
			testenv.StartNginx(t, "server { listen "+address+"; location /status { stub_status; } }")
			return exporter(t, "prometheus-nginx-exporter", "-web.listen-address=ADDRESS", "-nginx.scrape-uri=http://"+address+"/status")
		},
		"postfix": func(t *testing.T) string {
			queue := testenv.StartMailQueue(t)
			queue.Send(t, 2)
			return exporter(t, "prometheus-postfix-exporter", "--web.listen-address=ADDRESS",
				"--postfix.showq_path="+queue.Showq, "--postfix.logfile_path="+filepath.Join(queue.Dir, "mail.log"))
		},
	}
}

// monitors tell of themselves or of what they are asked to probe.
func monitors() map[string]func(*testing.T) string {
	return map[string]func(*testing.T) string{
		"prometheus_own": func(t *testing.T) string {
			config := filepath.Join(t.TempDir(), "prometheus.yml")
			writeFile(t, config, "global: {evaluation_interval: 1s}\nalerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:9']}]}]}\nrule_files: [rule.yml]\n")
			writeFile(t, filepath.Join(filepath.Dir(config), "rule.yml"), "groups: [{name: g, rules: [{alert: A, expr: vector(1)}]}]\n")
			return exporter(t, testenv.Tool(t, "prometheus"), "--web.listen-address=ADDRESS", "--config.file="+config, "--storage.tsdb.path="+t.TempDir(), "--log.level=warn")
		},
		"alertmanager": func(t *testing.T) string {
			config := filepath.Join(t.TempDir(), "alertmanager.yml")
			writeFile(t, config, "route: {receiver: x}\nreceivers: [{name: x}]\n")
			return exporter(t, testenv.Tool(t, "alertmanager"), "--web.listen-address=ADDRESS", "--config.file="+config, "--storage.path="+t.TempDir(), "--cluster.listen-address=")
		},
		"victoriametrics": func(t *testing.T) string {
			return exporter(t, "victoria-metrics", "-httpListenAddr=ADDRESS", "-storageDataPath="+t.TempDir(), "-retentionPeriod=1", "-memory.allowedBytes=100MB")
		},
		"blackbox_exporter": func(t *testing.T) string {
			site := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(site.Close)
			config := filepath.Join(t.TempDir(), "blackbox.yml")
			writeFile(t, config, "modules: {any: {prober: http, http: {preferred_ip_protocol: ip4, valid_status_codes: [404]}}}\n")
			url := exporter(t, "prometheus-blackbox-exporter", "--web.listen-address=ADDRESS", "--config.file="+config)
			return strings.Replace(url, "/metrics", "/probe?module=any&target="+site.URL, 1)
		},
	}
}

// exporter starts a program on a free port in place of ADDRESS and returns the address of its metrics.
func exporter(t *testing.T, program string, args ...string) string {
	t.Helper()
	testenv.Need(t, program)
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "ADDRESS", address)
	}
	testenv.Start(t, exec.Command(program, args...))
	return "http://" + address + "/metrics"
}

// scrape returns the page once at least half of what is declared is on it.
func scrape(t *testing.T, url string, declared catalogue) map[string]*dto.MetricFamily {
	t.Helper()
	var families map[string]*dto.MetricFamily
	testenv.Eventually(t, time.Minute, func() error {
		response, err := http.Get(url)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		parser := expfmt.NewTextParser(model.LegacyValidation)
		if families, err = parser.TextToMetricFamilies(response.Body); err != nil {
			return err
		}
		seen := 0
		for _, m := range declared.Metrics {
			if families[m.Name] != nil {
				seen++
			}
		}
		if 2*seen < len(declared.Metrics) {
			return fmt.Errorf("%s: %s, %d of %d declared metrics", url, response.Status, seen, len(declared.Metrics))
		}
		return nil
	})
	return families
}

// drift compares. What a scrape of a moment cannot show (a metric of a fault, a label value that
// did not occur) is no difference by itself, so it is only told.
func drift(t *testing.T, declared catalogue, families map[string]*dto.MetricFamily) []string {
	t.Helper()
	var lines []string
	for _, m := range declared.Metrics {
		family := families[m.Name]
		if family == nil {
			lines = append(lines, m.Name+": not published now")
			continue
		}
		if kind := strings.ToLower(family.GetType().String()); kind != m.Type && kind != "untyped" {
			t.Errorf("%s: %s, declared as %s", m.Name, kind, m.Type)
		}
		labels := map[string]map[string]bool{}
		for _, series := range family.Metric {
			for _, pair := range series.Label {
				if labels[pair.GetName()] == nil {
					labels[pair.GetName()] = map[string]bool{}
				}
				labels[pair.GetName()][pair.GetValue()] = true
			}
		}
		for _, name := range slices.Sorted(maps.Keys(labels)) {
			if !slices.Contains(m.Labels, name) {
				lines = append(lines, fmt.Sprintf("%s: has the label %q, which is not declared", m.Name, name))
			}
			for value := range labels[name] {
				if known := m.Values[name]; known != nil && !slices.Contains(known, value) {
					lines = append(lines, fmt.Sprintf("%s: %s=%q, which is not declared", m.Name, name, value))
				}
			}
		}
		for _, name := range m.Labels {
			if labels[name] == nil {
				lines = append(lines, fmt.Sprintf("%s: no series has the declared label %q now", m.Name, name))
			}
		}
	}
	return lines
}

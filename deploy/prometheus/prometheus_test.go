// Package prometheus_test checks the shipped configuration with promtool and runs it: a real
// Prometheus, with VictoriaMetrics, blackbox_exporter and the exporter beside it.
package prometheus_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

const limit = 2 * time.Minute

// jobs are the names that rules and dashboards may use.
var jobs = []string{
	"vulcan_exporter", "node", "postgres", "nginx", "nginx_log", "postfix", "dovecot", "redis", "php-fpm", "nextcloud", "zfs", "systemd",
	"opnsense", "technitium_dns", "home_assistant", "node-red", "prometheus", "alertmanager", "grafana", "loki", "victoriametrics",
	"blackbox_http", "blackbox_icmp", "blackbox_dns", "blackbox_tcp",
}

// install lays the configuration out as its head comment says, with addresses replaced.
func install(t *testing.T, replace ...string) string {
	t.Helper()
	dir, replacer := t.TempDir(), strings.NewReplacer(replace...)
	copyTree := func(from, to string) {
		t.Helper()
		err := filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yml") {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(from, path)
			if err != nil {
				return err
			}
			target := filepath.Join(dir, to, rel)
			if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
				return err
			}
			return os.WriteFile(target, []byte(replacer.Replace(string(content))), 0o644)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	copyTree("targets", "targets")
	rules, err := filepath.Glob(filepath.Join(testenv.Root(t), "alerts", "*.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(rules, "legacy-names.yml", "prometheus.yml") {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(path)
		if name != "prometheus.yml" {
			name = filepath.Join("rules", name)
		}
		write(t, filepath.Join(dir, name), replacer.Replace(string(content)))
	}
	write(t, filepath.Join(dir, "secrets/home_assistant_token"), "t")
	write(t, filepath.Join(dir, "secrets/node-red_token"), "t")
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestConfig: promtool of the pinned Prometheus and of Debian's accept it.
func TestConfig(t *testing.T) {
	config := filepath.Join(install(t), "prometheus.yml")
	testenv.Need(t, "/usr/bin/promtool")
	for _, promtool := range []string{testenv.Tool(t, "promtool"), "/usr/bin/promtool"} {
		if out, err := exec.Command(promtool, "check", "config", "--lint-fatal", config).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", promtool, err, out)
		}
	}
}

type target struct {
	ScrapePool, ScrapeURL, Health, LastError string
	Labels                                   map[string]string
}

// TestRun starts everything. Targets that this machine does not have stay down.
func TestRun(t *testing.T) {
	testenv.Need(t, "victoria-metrics", "prometheus-blackbox-exporter")
	free := func() string { return fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t)) }
	exporter, blackbox, storage, prometheus := free(), free(), free(), free()
	smtp, err := net.Listen("tcp", "127.0.0.1:0") // what blackbox_tcp probes
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = smtp.Close() }()

	arguments := regexp.MustCompile(`(?m)^ARGS="(.*)"$`).FindSubmatch(read(t, "../victoriametrics/victoria-metrics.default"))
	vm := strings.Fields(strings.NewReplacer("127.0.0.1:8428", storage, "/var/lib/victoria-metrics", t.TempDir()).Replace(string(arguments[1])))
	vm = append(vm, "-search.latencyOffset=1s") // it hides the newest 30 s by default
	testenv.Start(t, exec.Command("victoria-metrics", vm...))
	testenv.Start(t, exec.Command("prometheus-blackbox-exporter", "--config.file=blackbox.yml", "--web.listen-address="+blackbox))
	config := filepath.Join(t.TempDir(), "vulcan.yml")
	write(t, config, "certificate: {interval: 1s, files: [{type: ca, paths: [/etc/ssl/certs/ca-certificates.crt], optional: true}]}\n")
	binary := testenv.Exporter(t)
	testenv.Start(t, exec.Command(binary, "run", "--config.file="+config, "--storage.path="+t.TempDir(), "--web.listen-address="+exporter))
	dir := install(t, "127.0.0.1:9847", exporter, "127.0.0.1:9115", blackbox, "127.0.0.1:8428", storage, "127.0.0.1:9090", prometheus,
		"127.0.0.1:25", smtp.Addr().String(), "https://www.vulcan.lan/", "http://"+storage+"/health",
		"scrape_interval: 15s", "scrape_interval: 1s", "scrape_timeout: 10s", "scrape_timeout: 1s", "evaluation_interval: 15s", "evaluation_interval: 1s",
		"scrape_interval: 60s", "scrape_interval: 2s", "scrape_interval: 30s", "scrape_interval: 2s", "scrape_timeout: 30s", "scrape_timeout: 2s", "scrape_timeout: 25s", "scrape_timeout: 2s")
	write(t, filepath.Join(dir, "rules/old.yml"), "groups: [{name: old, rules: [{alert: NoSnapshots, expr: 'restic_snapshots_total == 0'}]}]\n")
	server := testenv.Start(t, exec.Command(testenv.Tool(t, "prometheus"), "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+t.TempDir(), "--web.listen-address="+prometheus, "--log.level=warn"))

	testenv.Eventually(t, limit, func() error {
		if err := server.Exited(); err != nil {
			t.Fatal(err)
		}
		for _, query := range []string{
			`up{job="vulcan_exporter"} == 1`,
			`up{job="prometheus"} == 1`,
			`up{job="victoriametrics"} == 1`,
			`certificate_not_after_timestamp_seconds{job="vulcan_exporter"}`,
			`probe_success{job="blackbox_tcp",service="smtp",instance="` + smtp.Addr().String() + `",module=""} == 1`,
			`probe_success{job="blackbox_http",instance="http://` + storage + `/health"} == 1`,
		} {
			if n, err := ask(prometheus, query); err != nil || n == 0 {
				return fmt.Errorf("%s: %d series, %w", query, n, err)
			}
		}
		// The same samples, in the long-term storage, with who sent them.
		if n, err := ask(storage, `up{job="vulcan_exporter",monitor="vulcan"} == 1`); err != nil || n == 0 {
			return fmt.Errorf("%d series in VictoriaMetrics, %w", n, err)
		}
		return nil
	})
	if n, err := ask(storage, `{__name__=~"go_.*|.*_bucket",job="vulcan_exporter"}`); err != nil || n > 0 {
		t.Errorf("%d series that are to be dropped came to VictoriaMetrics, %v", n, err)
	}
	checkTargets(t, prometheus)
	checkRules(t, prometheus)
	checkMigration(t, binary, config, prometheus)
}

// checkMigration: of all rules that are loaded, shipped ones included, only the old one is told.
func checkMigration(t *testing.T, binary, config, address string) {
	t.Helper()
	out, err := exec.Command(binary, "migrate", "--config.file="+config, "--prometheus=http://"+address, t.TempDir()).CombinedOutput()
	if err == nil {
		t.Errorf("complete, with an old rule:\n%s", out)
	}
	want := "rule       old/NoSnapshots: restic_snapshots_total -> restic_snapshots\n0 metrics covered, 0 missing, 1 selected"
	if !strings.Contains(string(out), want) {
		t.Errorf("no %q in:\n%s", want, out)
	}
}

// checkTargets: each job has targets, and probes ask for what is meant.
func checkTargets(t *testing.T, address string) {
	t.Helper()
	var body struct {
		Data struct{ ActiveTargets []target }
	}
	get(t, "http://"+address+"/api/v1/targets?state=active", &body)
	found := map[string]bool{}
	var urls []string
	for _, a := range body.Data.ActiveTargets {
		found[a.ScrapePool] = true
		urls = append(urls, a.ScrapeURL)
		if a.Labels["instance"] == "" || a.Labels["module"] != "" {
			t.Errorf("labels of %s: %v", a.ScrapeURL, a.Labels)
		}
	}
	for _, job := range jobs {
		if !found[job] {
			t.Errorf("job %s has no target", job)
		}
		delete(found, job)
	}
	if len(found) > 0 {
		t.Errorf("jobs that no rule knows: %v", found)
	}
	for _, want := range []string{
		"/scrape?target=redis%3A%2F%2F10.88.0.1%3A8085", "/probe?module=icmp&target=192.168.1.1", "/probe?module=dns&target=192.168.1.1%3A53",
		"/probe?module=http_401&target=https%3A%2F%2Falertmanager.vulcan.lan%2F", ":8123/api/prometheus",
	} {
		if !slices.ContainsFunc(urls, func(u string) bool { return strings.HasSuffix(u, want) }) {
			t.Errorf("nothing asks %s; asked are %v", want, urls)
		}
	}
}

// checkRules: all files are loaded and no rule fails.
func checkRules(t *testing.T, address string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(testenv.Root(t), "alerts", "*.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var body struct {
		Data struct {
			Groups []struct {
				Name, File string
				Rules      []struct{ Name, Health, LastError string }
			}
		}
	}
	get(t, "http://"+address+"/api/v1/rules", &body)
	loaded := map[string]bool{}
	for _, g := range body.Data.Groups {
		loaded[filepath.Base(g.File)] = true
		for _, r := range g.Rules {
			if r.Health == "err" {
				t.Errorf("%s: %s", r.Name, r.LastError)
			}
		}
	}
	if len(loaded) != len(files)+2 {
		t.Errorf("%d rule files loaded, want %d, legacy-names.yml and the old one", len(loaded), len(files))
	}
}

// ask counts the series of an instant query.
func ask(address, query string) (int, error) {
	response, err := http.Get("http://" + address + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	var body struct {
		Data struct{ Result []json.RawMessage }
	}
	err = json.NewDecoder(response.Body).Decode(&body)
	return len(body.Data.Result), err
}

func get(t *testing.T, address string, v any) {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, v); err != nil {
		t.Fatalf("%v\n%s", err, content)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

package fleet

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// every is the interval of scrapes and of evaluations, as in deploy/prometheus.
const every = 15 * time.Second

// scrapeConfig has each host as a target of the job that the rules name.
func scrapeConfig(hosts int, address string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "global: {scrape_interval: %[1]s, scrape_timeout: %[1]s}\n", every)
	b.WriteString("scrape_configs:\n  - job_name: vulcan_exporter\n    static_configs:\n")
	for i := range hosts {
		fmt.Fprintf(&b, "      - {targets: [%q], labels: {instance: \"host-%d:9847\"}}\n", address, i)
	}
	return b.String()
}

// figures are what was measured of one engine.
type figures struct {
	engine         string
	hosts          int
	series         float64
	rules          float64 // seconds of one evaluation of all groups, which run side by side
	missed         float64 // evaluations that did not begin in time
	cpu            float64 // cores, on average, evaluation included
	memory         float64 // resident bytes
	bytesPerSample float64 // without the index
	firing         int
}

func (f figures) row() string {
	return fmt.Sprintf("| %s | %d | %.0f | %.2f | %.2f | %.0f | %.2f | %.0f | %d |",
		f.engine, f.hosts, f.series, f.rules, f.cpu, f.memory/(1<<20), f.bytesPerSample, f.missed, f.firing)
}

const header = `| engine | hosts | series | rules, s | CPU, cores | RSS, MiB | bytes/sample | missed | alerts |
|---|---|---|---|---|---|---|---|---|`

// cpuOf is the CPU time that a process has used (proc(5), stat: utime and stime, 100 a second).
func cpuOf(t testing.TB, p *testenv.Process) float64 {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}

func residentOf(t testing.TB, p *testenv.Process) float64 {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmRSS:\s+([0-9]+) kB`).FindSubmatch(content)
	if m == nil {
		t.Fatalf("no VmRSS of %d", p.PID)
	}
	kilobytes, _ := strconv.ParseFloat(string(m[1]), 64)
	return kilobytes * 1024
}

// total sums the samples of a metric on a /metrics page, those that have the texts in their labels.
func total(t testing.TB, url, name string, having ...string) float64 {
	t.Helper()
	page, err := get(url)
	if err != nil {
		t.Fatal(err)
	}
	sum, found := 0., false
	for text := range strings.Lines(string(page)) {
		if m := line.FindStringSubmatch(strings.TrimSpace(text)); m != nil && m[1] == name && !slices.ContainsFunc(having, func(h string) bool { return !strings.Contains(m[2], h) }) {
			value, _ := strconv.ParseFloat(m[3], 64)
			sum, found = sum+value, true
		}
	}
	if !found {
		t.Fatalf("%s has no %s", url, name)
	}
	return sum
}

func sizeOf(dir string) (bytes float64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			if info, err := e.Info(); err == nil {
				bytes += float64(info.Size())
			}
		}
		return nil
	})
	return bytes
}

// prometheus measures a Prometheus over the hosts for a while.
func prometheus(t testing.TB, hosts int, target string, while time.Duration) figures {
	t.Helper()
	dir := t.TempDir()
	config := fmt.Sprintf("%srule_files: [%q]\n", strings.Replace(scrapeConfig(hosts, target), "global: {", fmt.Sprintf("global: {evaluation_interval: %s, ", every), 1),
		filepath.Join(testenv.Root(t), "alerts", "*.yml"))
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	p := testenv.Start(t, exec.Command(testenv.Tool(t, "prometheus"), "--config.file="+write(t, dir, "prometheus.yml", config),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--web.enable-admin-api", "--log.level=warn"))
	cpu := settled(t, p, "http://"+address+"/-/ready", while)
	metrics := "http://" + address + "/metrics"
	f := figures{
		engine: "Prometheus", hosts: hosts, cpu: cpu, memory: residentOf(t, p),
		series: total(t, metrics, "prometheus_tsdb_head_series"),
		rules:  total(t, metrics, "prometheus_rule_group_last_duration_seconds"),
		missed: total(t, metrics, "prometheus_rule_group_iterations_missed_total"),
		firing: firing(t, "http://"+address),
	}
	samples := total(t, metrics, "prometheus_tsdb_head_samples_appended_total")
	if err := post("http://" + address + "/api/v1/admin/tsdb/snapshot"); err != nil {
		t.Fatal(err)
	}
	chunks, err := filepath.Glob(filepath.Join(dir, "data", "snapshots", "*", "*", "chunks"))
	if err != nil || len(chunks) == 0 {
		t.Fatal("the snapshot has no chunks", err)
	}
	for _, dir := range chunks {
		f.bytesPerSample += sizeOf(dir) / samples
	}
	p.Kill()
	return f
}

// victoria measures a VictoriaMetrics, with a vmalert beside it, whose CPU and memory are counted
// with it.
func victoria(t testing.TB, hosts int, target string, while time.Duration) figures {
	t.Helper()
	dir := t.TempDir()
	address, alerting := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t)), fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	db := testenv.Start(t, exec.Command("/usr/bin/victoria-metrics", "-httpListenAddr="+address, "-storageDataPath="+filepath.Join(dir, "data"),
		"-promscrape.config="+write(t, dir, "scrape.yml", scrapeConfig(hosts, target)), "-search.latencyOffset=1s", "-search.maxUniqueTimeseries=2000000", "-loggerLevel=ERROR"))
	ready(t, db, "http://"+address+"/health")
	sink := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) // takes the alerts
	t.Cleanup(sink.Close)
	rules := testenv.Start(t, exec.Command("/usr/bin/vmalert", "-httpListenAddr="+alerting, "-datasource.url=http://"+address,
		"-remoteWrite.url=http://"+address, "-evaluationInterval="+every.String(), "-notifier.url="+sink.URL,
		"-rule="+filepath.Join(testenv.Root(t), "alerts", "*.yml"), "-loggerLevel=ERROR"))
	ready(t, rules, "http://"+alerting+"/health")
	before, begun := cpuOf(t, rules), time.Now()
	cpu := settled(t, db, "http://"+address+"/health", while)
	cpu += (cpuOf(t, rules) - before) / time.Since(begun).Seconds()
	metrics := "http://" + address + "/metrics"
	groups := "http://" + alerting + "/metrics"
	f := figures{
		engine: "VictoriaMetrics", hosts: hosts, cpu: cpu, memory: residentOf(t, db) + residentOf(t, rules),
		series: total(t, metrics, "vm_new_timeseries_created_total"),
		rules:  total(t, groups, "vmalert_iteration_duration_seconds_sum") / total(t, groups, "vmalert_iteration_duration_seconds_count") * ruleGroups(t),
		missed: total(t, groups, "vmalert_iteration_missed_total"),
		firing: firing(t, "http://"+alerting),
	}
	_, _ = get("http://" + address + "/internal/force_flush")
	f.bytesPerSample = total(t, metrics, "vm_data_size_bytes", "storage/") / total(t, metrics, "vm_rows", "storage/")
	rules.Kill()
	db.Kill()
	return f
}

func ruleGroups(t testing.TB) float64 {
	files, err := filepath.Glob(filepath.Join(testenv.Root(t), "alerts", "*.yml"))
	if err != nil {
		t.Fatal(err)
	}
	return float64(len(files))
}

// settled waits until it is ready and the first scrapes and rules are over, and gives the average
// of the cores that it uses in the time after that.
func settled(t testing.TB, p *testenv.Process, url string, while time.Duration) float64 {
	t.Helper()
	ready(t, p, url)
	<-time.After(2 * every)
	before := cpuOf(t, p)
	<-time.After(while)
	if err := p.Exited(); err != nil {
		t.Fatal(err)
	}
	return (cpuOf(t, p) - before) / while.Seconds()
}

func ready(t testing.TB, p *testenv.Process, url string) {
	t.Helper()
	testenv.Eventually(t, time.Minute, func() error {
		if err := p.Exited(); err != nil {
			t.Fatal(err)
		}
		_, err := get(url)
		return err
	})
}

func post(url string) error {
	response, err := http.Post(url, "", nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
}

func firing(t testing.TB, url string) int {
	t.Helper()
	page, err := get(url + "/api/v1/alerts")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(page), `"state":"firing"`)
}

func write(t testing.TB, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

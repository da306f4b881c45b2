// Package e2e proves alerts from the observed thing to the delivered message: the real
// vulcan_exporter, a real Prometheus with the shipped rules and a real Alertmanager whose
// receiver is the test. Everything listens on loopback ports that were free, and is killed by
// process id when the test ends.
//
// Time is the one thing that is not real: Prometheus runs a copy of each rule file whose
// durations a program has divided by Options.Scale, so that minutes take seconds.
package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// Limit bounds every wait. What is waited for takes some seconds; a machine under load is slower.
const Limit = 2 * time.Minute

// Options say what is under test.
type Options struct {
	// Config is the exporter's configuration. Empty: no exporter is started.
	Config string
	// Env is added to the exporter's environment, such as DBUS_SYSTEM_BUS_ADDRESS=unix:path=...
	Env []string
	// Args are added to the exporter's command line.
	Args []string
	// Rules are the shipped rule files under test, without path and ".yml".
	Rules []string
	// Targets are further scrape jobs: job name -> host:port of something with /metrics.
	Targets map[string]string
	// Instances is the label instance of those of the Targets, by job, whose address it is not.
	Instances map[string]string
	// Probes are made through the blackbox exporter at the address Blackbox, every ProbeInterval;
	// empty: 1s.
	Probes                  []Probe
	Blackbox, ProbeInterval string
	// Scale divides the durations in the rules; 0 means 60, a minute takes a second.
	Scale float64
	// Replace puts other text into the copy of the rules, for amounts that a test cannot make
	// real, such as gigabytes. What it replaces must be there; Fakes has to say so.
	Replace map[string]string
	// Fakes names the software that the test plays itself, for docs/proof.md, by the beginning of
	// the names of the alerts that depend on it: {"OPNsense": "OPNsense API"}.
	Fakes map[string]string
}

// Harness is one running chain of exporter, Prometheus and Alertmanager.
type Harness struct {
	// Exporter is the running vulcan_exporter, nil without Options.Config.
	Exporter *testenv.Process
	// ExporterURL, PrometheusURL and AlertmanagerURL have no trailing slash.
	ExporterURL, PrometheusURL, AlertmanagerURL string

	t       testing.TB
	dir     string
	options Options
	inbox   *inbox
	// replacements counts what Options.Replace has replaced.
	replacements int
	// fired and resolved are the alerts that were delivered as such, for the record.
	fired, resolved []string
}

// New starts the chain and returns when the exporter is ready and Prometheus has scraped every
// target once.
func New(t testing.TB, options Options) *Harness {
	t.Helper()
	if options.Scale == 0 {
		options.Scale = 60
	}
	h := &Harness{t: t, dir: t.TempDir(), options: options, inbox: newInbox(t)}
	t.Cleanup(h.recordProof)
	jobs := map[string]string{}
	for job, address := range options.Targets {
		jobs[job] = address
	}
	if options.Config != "" {
		address := freeAddress(t)
		h.ExporterURL = "http://" + address
		jobs["vulcan_exporter"] = address
		h.StartExporter()
	}
	h.startAlertmanager()
	h.startPrometheus(jobs)
	return h
}

// StartExporter starts the exporter, at New or again after the test has killed it.
func (h *Harness) StartExporter() {
	h.t.Helper()
	config := h.write("vulcan.yml", h.options.Config)
	args := append([]string{
		"run",
		"--config.file=" + config,
		"--storage.path=" + filepath.Join(h.dir, "state"),
		"--web.listen-address=" + h.ExporterURL[len("http://"):],
	}, h.options.Args...)
	if err := build(); err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.Command(binaryPath(), args...)
	cmd.Env = append(os.Environ(), h.options.Env...)
	h.Exporter = testenv.Start(h.t, cmd)
	h.waitReady(h.Exporter, h.ExporterURL+"/-/ready")
}

// Reload gives the running exporter another configuration by SIGHUP, which it applies in its
// own time.
func (h *Harness) Reload(config string) {
	h.t.Helper()
	h.options.Config = config
	h.write("vulcan.yml", config)
	if err := h.Exporter.Signal(syscall.SIGHUP); err != nil {
		h.t.Fatal(err)
	}
}

func (h *Harness) startAlertmanager() {
	h.t.Helper()
	config := h.write("alertmanager.yml", fmt.Sprintf(`
route: {receiver: test, group_by: ["..."], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers:
  - name: test
    webhook_configs: [{url: %q, send_resolved: true}]
`, h.inbox.URL))
	address := freeAddress(h.t)
	h.AlertmanagerURL = "http://" + address
	process := testenv.Start(h.t, exec.Command(testenv.Tool(h.t, "alertmanager"),
		"--config.file="+config,
		"--storage.path="+filepath.Join(h.dir, "alertmanager"),
		"--web.listen-address="+address,
		"--cluster.listen-address=",
	))
	h.waitReady(process, h.AlertmanagerURL+"/-/ready")
}

func (h *Harness) startPrometheus(jobs map[string]string) {
	h.t.Helper()
	config := fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}
rule_files: [%q]
scrape_configs:
`, h.AlertmanagerURL[len("http://"):], filepath.Join(h.dir, "rules-*.yml"))
	for job, address := range jobs {
		instance := h.options.Instances[job]
		if instance == "" {
			instance = address
		}
		config += fmt.Sprintf("  - {job_name: %q, static_configs: [{targets: [%q], labels: {instance: %q}}]}\n", job, address, instance)
	}
	config += h.options.probeJobs()
	address := freeAddress(h.t)
	h.PrometheusURL = "http://" + address
	process := testenv.Start(h.t, exec.Command(testenv.Tool(h.t, "prometheus"),
		"--config.file="+h.write("prometheus.yml", config),
		"--storage.tsdb.path="+filepath.Join(h.dir, "prometheus"),
		"--web.listen-address="+address,
		"--rules.alert.resend-delay=1s",
		"--log.level=warn",
	))
	h.waitReady(process, h.PrometheusURL+"/-/ready")
	testenv.Eventually(h.t, Limit, func() error {
		targets := len(jobs) + len(h.options.Probes)
		if scraped := len(h.Query(`count_over_time(up[1h])`)); scraped < targets {
			return fmt.Errorf("%d of %d targets scraped", scraped, targets)
		}
		return nil
	})
	h.loadRules(process)
}

// loadRules gives Prometheus the scaled rules only now that its targets are scraped: that takes
// 5 s after a start, longer than the scaled `for` of an alert on a target that is absent.
func (h *Harness) loadRules(prometheus *testenv.Process) {
	h.t.Helper()
	for _, name := range h.options.Rules {
		shipped, err := os.ReadFile(filepath.Join(testenv.Root(h.t), "alerts", name+".yml"))
		if err != nil {
			h.t.Fatal(err)
		}
		scaled, err := ScaleRules([]byte(h.replaced(string(shipped))), h.options.Scale)
		if err != nil {
			h.t.Fatalf("%s: %v", name, err)
		}
		h.write("rules-"+name+".yml", string(scaled))
	}
	if h.replacements < len(h.options.Replace) {
		h.t.Fatalf("the rules have not all of %q", h.options.Replace)
	}
	if err := prometheus.Signal(syscall.SIGHUP); err != nil {
		h.t.Fatal(err)
	}
	testenv.Eventually(h.t, Limit, func() error {
		loaded := strings.Count(string(h.get(h.PrometheusURL+"/api/v1/rules")), `"file":`)
		if loaded < len(h.options.Rules) {
			return fmt.Errorf("%d of %d rule files loaded\n%s", loaded, len(h.options.Rules), prometheus.Output())
		}
		return nil
	})
}

func (h *Harness) replaced(rules string) string {
	h.t.Helper()
	for from, to := range h.options.Replace {
		if strings.Contains(rules, from) {
			rules = strings.ReplaceAll(rules, from, to)
			h.replacements++
		}
	}
	return rules
}

func (h *Harness) waitReady(process *testenv.Process, url string) {
	h.t.Helper()
	waitReady(h.t, process, url)
}

func waitReady(t testing.TB, process *testenv.Process, url string) {
	t.Helper()
	testenv.Eventually(t, Limit, func() error {
		if err := process.Exited(); err != nil {
			t.Fatal(err)
		}
		response, err := http.Get(url)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, response.Status)
		}
		return nil
	})
}

func (h *Harness) write(name, content string) string {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

func freeAddress(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
}

// build compiles the exporter once for each test process.
var build = sync.OnceValue(func() error { return testenv.BuildExporter(binaryPath()) })

func binaryPath() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("vulcan_exporter.%d", os.Getpid()))
}

// Cleanup removes the exporter that was built; call it at the end of TestMain.
func Cleanup() { _ = os.Remove(binaryPath()) }

package alerts

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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

// TestEngines loads the shipped files into every engine that the pack is for and lets them work
// on the series of the unit tests: no rule may fail, and all engines must find the same alerts.
func TestEngines(t *testing.T) {
	page, rules := exposition(t), t.TempDir()
	for _, path := range ruleFiles(t) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(rules, path), string(content))
	}
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, page)
	}))
	t.Cleanup(target.Close)
	testenv.Need(t, "/usr/bin/prometheus", "/usr/bin/vmalert", "victoria-metrics")
	rules = filepath.Join(rules, "*.yml")
	three := startPrometheus(t, testenv.Tool(t, "prometheus"), rules, target.URL)
	two := startPrometheus(t, "/usr/bin/prometheus", rules, target.URL)
	victoria := startVictoriaMetrics(t, rules, target.URL)
	// Windows fill at the pace of each engine, and VictoriaMetrics finds a new series some
	// seconds late: what counts is that they come to agree.
	testenv.Eventually(t, 3*time.Minute, func() error {
		want := active(t, three)
		if len(want) < 100 {
			time.Sleep(time.Second)
			return fmt.Errorf("only %d alerts are active: the series of the tests do not reach the rules", len(want))
		}
		err := errors.Join(compare("Prometheus 2.42", active(t, two), want), compare("vmalert", withoutNew(t, active(t, victoria)), withoutNew(t, want)))
		if err != nil {
			time.Sleep(time.Second) // an evaluation
		}
		return err
	})
}

// withoutNew leaves out alerts on increase() and changes(): MetricsQL counts the first value of a
// series that appears as one, PromQL does not (docs.victoriametrics.com/metricsql).
func withoutNew(t *testing.T, alerts []string) []string {
	rules := alertsOf(t)
	return slices.DeleteFunc(slices.Clone(alerts), func(alert string) bool {
		return slices.ContainsFunc(rules, func(r rule) bool {
			return strings.HasPrefix(alert, r.Alert+" ") && (strings.Contains(r.Expr, "increase(") || strings.Contains(r.Expr, "changes("))
		})
	})
}

func compare(name string, got, want []string) error {
	var lines []string
	for _, alert := range got {
		if !slices.Contains(want, alert) {
			lines = append(lines, "more: "+alert)
		}
	}
	for _, alert := range want {
		if !slices.Contains(got, alert) {
			lines = append(lines, "missing: "+alert)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("%s, compared to Prometheus 3: %s", name, strings.Join(lines, "; "))
}

var firstNumber = regexp.MustCompile(`-?[0-9]+(\.[0-9]+)?(e\+?[0-9]+)?`)

// exposition returns the first value of every series of every unit test. The tests contradict
// one another: each gets instances of its own.
func exposition(t *testing.T) string {
	var page strings.Builder
	n := 0
	for _, path := range glob(t, "tests/*.yml") {
		var file testFile
		decode(t, path, &file, false)
		for _, test := range file.Tests {
			n++
			for _, series := range test.InputSeries {
				value := firstNumber.FindString(series.Values)
				name, labels, _ := strings.Cut(strings.TrimSuffix(strings.TrimSpace(series.Series), "}"), "{")
				if value == "" || name == "up" { // up is the engine's own
					continue
				}
				own := fmt.Sprintf(`instance="t%d-`, n)
				if labels = strings.ReplaceAll(labels, `instance="`, own); !strings.Contains(labels, own) {
					labels = strings.TrimPrefix(labels+", "+own+`"`, ", ")
				}
				_, _ = fmt.Fprintf(&page, "%s{%s} %s\n", name, labels, value)
			}
		}
	}
	return page.String()
}

func startPrometheus(t *testing.T, path, rules, target string) string {
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	writeFile(t, config, scrapeConfig(target, ", evaluation_interval: 1s")+fmt.Sprintf("rule_files: [%q]\n", rules))
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	testenv.Start(t, exec.Command(path, "--config.file="+config, "--storage.tsdb.path="+dir+"/data",
		"--web.listen-address="+address, "--log.level=warn"))
	return "http://" + address + "/api/v1/rules"
}

// startVictoriaMetrics starts the database as well: vmalert only asks it.
func startVictoriaMetrics(t *testing.T, rules, target string) string {
	dir := t.TempDir()
	config := filepath.Join(dir, "scrape.yml")
	writeFile(t, config, scrapeConfig(target, ""))
	notifier := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(notifier.Close)
	database := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	testenv.Start(t, exec.Command("victoria-metrics", "-storageDataPath="+dir+"/data", "-retentionPeriod=1",
		"-httpListenAddr="+database, "-promscrape.config="+config, "-search.latencyOffset=0s", "-memory.allowedBytes=200MB"))
	if out, err := exec.Command("/usr/bin/vmalert", "-dryRun", "-rule="+rules).CombinedOutput(); err != nil {
		t.Fatalf("vmalert -dryRun: %v\n%s", err, out)
	}
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	testenv.Start(t, exec.Command("/usr/bin/vmalert", "-rule="+rules, "-datasource.url=http://"+database,
		"-remoteWrite.url=http://"+database, "-notifier.url="+notifier.URL, "-evaluationInterval=1s",
		"-remoteWrite.flushInterval=100ms", "-datasource.queryTimeAlignment=false", "-disableAlertgroupLabel",
		"-httpListenAddr="+address))
	return "http://" + address + "/api/v1/rules"
}

func scrapeConfig(target, more string) string {
	return fmt.Sprintf(`global: {scrape_interval: 1s, scrape_timeout: 1s%s}
scrape_configs:
  - {job_name: vulcan_exporter, honor_labels: true, static_configs: [{targets: [%q]}]}
`, more, strings.TrimPrefix(target, "http://"))
}

// engineRule is a rule as both APIs show it.
type engineRule struct {
	Name, Health, LastError string
	LastEvaluation          time.Time
	Alerts                  []struct{ Labels map[string]string }
}

// active returns the pending and firing alerts once every rule was evaluated; none of them may fail.
func active(t *testing.T, url string) []string {
	t.Helper()
	rules, err := fetchRules(url)
	if err != nil {
		return nil
	}
	var alerts []string
	for _, r := range rules {
		if r.LastEvaluation.Year() < 2000 {
			return nil
		}
		if r.Health != "ok" {
			t.Fatalf("%s: %s: %s: %s", url, r.Name, r.Health, r.LastError)
		}
		for _, alert := range r.Alerts {
			alerts = append(alerts, r.Name+" "+alert.Labels["instance"])
		}
	}
	slices.Sort(alerts)
	return slices.Compact(alerts)
}

func fetchRules(url string) ([]engineRule, error) {
	response, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Data struct {
			Groups []struct{ Rules []engineRule }
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err
	}
	var rules []engineRule
	for _, group := range answer.Data.Groups {
		rules = append(rules, group.Rules...)
	}
	if len(rules) == 0 {
		return nil, errors.New("no rules yet")
	}
	return rules, nil
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

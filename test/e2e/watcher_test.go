package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// sent is what a Prometheus has handed to its Alertmanager: the names of alerts.
type sent struct {
	mu    sync.Mutex
	names map[string]int
}

func (s *sent) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var alerts []struct {
		Labels map[string]string `json:"labels"`
	}
	if json.NewDecoder(r.Body).Decode(&alerts) != nil {
		return // a scrape
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, alert := range alerts {
		s.names[alert.Labels["alertname"]+" of "+alert.Labels["monitor"]]++
	}
}

// TestWatcher runs a real Prometheus on deploy/prometheus/watcher.yml, with the shipped rules beside
// it, and kills the real Prometheus that it watches. It says so, and nothing of its own Watchdog.
func TestWatcher(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	received := &sent{names: map[string]int{}}
	alertmanager := httptest.NewServer(received)
	t.Cleanup(alertmanager.Close)
	first := freeAddress(t)
	empty := filepath.Join(dir, "empty.yml")
	copyReplaced(t, "deploy/prometheus/watcher.yml", filepath.Join(dir, "prometheus.yml"), map[string]string{
		"vulcan:9090": first, "vulcan:9093": alertmanager.Listener.Addr().String(),
		"scrape_interval: 15s": "scrape_interval: 1s", "evaluation_interval: 15s": "evaluation_interval: 1s",
	})
	shipped, err := os.ReadFile(filepath.Join(testenv.Root(t), "alerts", "monitoring_alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	scaled, err := ScaleRules(shipped, 60)
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{empty: "{}", filepath.Join(dir, "rules", "monitoring_alerts.yml"): string(scaled)} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	prometheus := func(address, config string) *daemon {
		return startDaemon(t, address, "/-/ready", testenv.Tool(t, "prometheus"), "--config.file="+config,
			"--storage.tsdb.path="+config+".data", "--web.listen-address="+address, "--rules.alert.resend-delay=1s", "--log.level=warn")
	}
	watched := prometheus(first, empty)
	watcher := prometheus(freeAddress(t), filepath.Join(dir, "prometheus.yml"))
	h := &Harness{t: t, PrometheusURL: "http://" + watcher.Address}
	h.waitValue(`count(ALERTS{alertname="Watchdog", alertstate="firing"}) + sum(up{job="prometheus"})`, 2)

	watched.Kill()
	testenv.Eventually(t, Limit, func() error {
		received.mu.Lock()
		defer received.mu.Unlock()
		if received.names["PrometheusDown of watcher"] == 0 {
			return fmt.Errorf("sent: %v", received.names)
		}
		return nil
	})
	received.mu.Lock()
	defer received.mu.Unlock()
	if received.names["Watchdog of watcher"] > 0 {
		t.Error("its own Watchdog was sent")
	}
	delete(received.names, "AlertmanagerDown of watcher") // what plays it here has no metrics
	if len(received.names) != 1 {
		t.Errorf("sent: %v", received.names)
	}
}

// copyReplaced copies a shipped file with other texts, which it must have.
func copyReplaced(t *testing.T, shipped, to string, replace map[string]string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(testenv.Root(t), shipped))
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for from, with := range replace {
		if !strings.Contains(text, from) {
			t.Fatalf("%s has no %q", shipped, from)
		}
		text = strings.ReplaceAll(text, from, with)
	}
	if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(testenv.Tool(t, "promtool"), "check", "config", "--syntax-only", to).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

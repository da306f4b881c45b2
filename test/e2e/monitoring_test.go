package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// watchedChain is a real Prometheus with a real Alertmanager behind it, which the Prometheus of the
// Harness observes from outside, and what else monitoring_alerts.yml speaks of.
type watchedChain struct {
	dir                                        string
	prometheus, alertmanager, victoria, target *daemon
	loki                                       *testenv.Loki
	grafana                                    *http.Server
	grafanaAddress                             string
	// receiver is what the Alertmanager sends to; its Watchdogs are the beats of a dead man's switch.
	receiver *inbox
}

func newWatchedChain(t *testing.T) *watchedChain {
	t.Helper()
	w := &watchedChain{dir: t.TempDir(), receiver: newInbox(t), grafanaAddress: freeAddress(t)}
	w.loki = testenv.StartLoki(t, testenv.LokiOptions{})
	w.startGrafana(t)
	address := freeAddress(t)
	w.alertmanagerConfig(t, w.receiver.URL)
	w.alertmanager = startDaemon(t, address, "/-/ready", testenv.Tool(t, "alertmanager"),
		"--config.file="+w.path("alertmanager.yml"), "--storage.path="+w.path("alertmanager"),
		"--web.listen-address="+address, "--cluster.listen-address=")
	address = freeAddress(t)
	w.victoria = startDaemon(t, address, "/health", "victoria-metrics", "-storageDataPath="+w.path("victoria"), "-httpListenAddr="+address)
	address = freeAddress(t)
	w.target = startDaemon(t, address, "/metrics", "prometheus-redis-exporter", "--web.listen-address="+address)
	address = freeAddress(t)
	w.prometheusConfig(t, "", w.alertmanager.Address)
	w.prometheus = startDaemon(t, address, "/-/ready", testenv.Tool(t, "prometheus"),
		"--config.file="+w.path("prometheus.yml"), "--storage.tsdb.path="+w.path("prometheus"),
		"--web.listen-address="+address, "--rules.alert.resend-delay=1s", "--log.level=warn")
	return w
}

func (w *watchedChain) path(name string) string { return filepath.Join(w.dir, name) }

func (w *watchedChain) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(w.path(name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// alertmanagerConfig routes as deploy/alertmanager does, in seconds.
func (w *watchedChain) alertmanagerConfig(t *testing.T, url string) {
	t.Helper()
	w.write(t, "alertmanager.yml", fmt.Sprintf(`
route: {receiver: test, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1s}
receivers: [{name: test, webhook_configs: [{url: %q, send_resolved: false}]}]
`, url))
}

// prometheusConfig gives the watched Prometheus the shipped Watchdog, another rule and Alertmanagers.
func (w *watchedChain) prometheusConfig(t *testing.T, rule string, alertmanagers ...string) {
	t.Helper()
	shipped, err := os.ReadFile(filepath.Join(testenv.Root(t), "alerts", "monitoring_alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	scaled, err := ScaleRules(shipped, 60)
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, "shipped.yml", string(scaled))
	w.write(t, "own.yml", fmt.Sprintf("groups: [{name: own, rules: [{record: own, expr: '%s'}]}]", rule+" vector(1)"))
	w.write(t, "prometheus.yml", fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
alerting: {alertmanagers: [{static_configs: [{targets: ["%s"]}]}]}
rule_files: [%q, %q]
scrape_configs: [{job_name: loki, static_configs: [{targets: [%q, "localhost:%[5]d"]}]}]
`, strings.Join(alertmanagers, `", "`), w.path("shipped.yml"), w.path("own.yml"), w.loki.URL[len("http://"):], w.loki.Port))
}

func (w *watchedChain) reload(t *testing.T, d *daemon) {
	t.Helper()
	if err := d.process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// startGrafana plays Grafana, which Debian does not have: all that is asked of it is /metrics.
func (w *watchedChain) startGrafana(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", w.grafanaAddress)
	if err != nil {
		t.Fatal(err)
	}
	w.grafana = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = rw.Write([]byte("grafana_build_info{version=\"11.0.0\"} 1\n"))
	})}
	go func() { _ = w.grafana.Serve(listener) }()
	t.Cleanup(func() { _ = w.grafana.Close() })
}

// beats counts the Watchdogs that the dead man's switch has got.
func (w *watchedChain) beats() int {
	n := 0
	for _, notification := range w.receiver.all() {
		if notification.Labels["alertname"] == "Watchdog" {
			n++
		}
	}
	return n
}

// waitBeats returns after so many more of them.
func (w *watchedChain) waitBeats(t *testing.T, more int) {
	t.Helper()
	before := w.beats()
	testenv.Eventually(t, Limit, func() error {
		if now := w.beats(); now < before+more {
			return fmt.Errorf("%d beats, were %d", now, before)
		}
		return nil
	})
}

// waitNoWatchdog returns when the watched Alertmanager knows of no Watchdog any more.
func (w *watchedChain) waitNoWatchdog(t *testing.T) {
	t.Helper()
	testenv.Eventually(t, Limit, func() error {
		response, err := http.Get("http://" + w.alertmanager.Address + "/api/v2/alerts")
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		var alerts []struct {
			Labels map[string]string `json:"labels"`
		}
		if err := json.NewDecoder(response.Body).Decode(&alerts); err != nil {
			return err
		}
		for _, alert := range alerts {
			if alert.Labels["alertname"] == "Watchdog" {
				return fmt.Errorf("still there: %v", alert)
			}
		}
		return nil
	})
}

// TestMonitoring lets each part of the monitoring fail while a second Prometheus watches it.
func TestMonitoring(t *testing.T) {
	t.Parallel()
	w := newWatchedChain(t)
	blackbox := startBlackbox(t, nil)
	page := "http://" + w.prometheus.Address + "/-/ready"
	h := New(t, Options{
		Rules: []string{"monitoring_alerts", "blackbox_alerts"},
		Targets: map[string]string{
			"prometheus": w.prometheus.Address, "alertmanager": w.alertmanager.Address, "grafana": w.grafanaAddress,
			"loki": w.loki.URL[len("http://"):], "victoriametrics": w.victoria.Address, "redis": w.target.Address,
		},
		Instances: map[string]string{"prometheus": page, "loki": w.loki.URL + "/ready"},
		Blackbox:  blackbox.Address,
		Probes: []Probe{
			{Job: "blackbox_http", Target: page, Service: "prometheus"},
			{Job: "blackbox_http", Target: w.loki.URL + "/ready", Service: "loki"},
		},
		Fakes: map[string]string{"Grafana": "Grafana"},
	})
	watchdog := Alert{"Watchdog", nil}
	h.waitValue(`sum(probe_success) + sum(up)`, 10)
	h.WaitFiring(watchdog.Name, nil)
	h.ExactlyFiring(watchdog)
	all := []Alert{watchdog}
	together := func(alerts []Alert, faults, mends []func()) {
		t.Helper()
		for _, fault := range faults {
			fault()
		}
		for _, alert := range alerts {
			h.WaitFiring(alert.Name, alert.Labels)
		}
		h.ExactlyFiring(append([]Alert{watchdog}, alerts...)...)
		for _, mend := range mends {
			mend()
		}
		for _, alert := range alerts {
			h.WaitResolved(alert.Name, alert.Labels)
		}
		h.ExactlyFiring(watchdog)
		all = append(all, alerts...)
	}

	// The way to the dead man's switch, and its silence once Prometheus is gone.
	w.waitBeats(t, 3)
	prometheus := Alert{"PrometheusDown", map[string]string{"job": "prometheus", "instance": page}}
	w.prometheus.Kill()
	h.WaitFiring(prometheus.Name, prometheus.Labels)
	h.ExactlyFiring(watchdog, prometheus)
	w.waitNoWatchdog(t)
	w.prometheus.Start(t)
	h.WaitResolved(prometheus.Name, prometheus.Labels)
	w.waitBeats(t, 3)
	all = append(all, prometheus)

	together([]Alert{
		{"LokiDown", map[string]string{"job": "loki", "instance": w.loki.URL + "/ready"}},
		{"GrafanaDown", map[string]string{"instance": w.grafanaAddress}},
		{"VictoriaMetricsDown", map[string]string{"instance": w.victoria.Address}},
		{"AlertmanagerDown", map[string]string{"instance": w.alertmanager.Address}},
		{"TargetDown", map[string]string{"job": "redis", "instance": w.target.Address}},
	}, []func(){
		w.loki.Kill, func() { _ = w.grafana.Close() }, w.victoria.Kill, w.alertmanager.Kill, w.target.Kill,
	}, []func(){
		func() { w.loki.Start(t) }, func() { w.startGrafana(t) }, func() { w.victoria.Start(t) },
		func() { w.alertmanager.Start(t) }, func() { w.target.Start(t) },
	})

	// Two targets with one name: a rule that cannot be evaluated. An Alertmanager that nobody has
	// started. A receiver that is away.
	dead := freeAddress(t)
	together([]Alert{
		{"PrometheusRuleFailing", map[string]string{"rule_group": w.path("own.yml") + ";own"}},
		{"PrometheusNotDelivering", map[string]string{"target": dead}},
		{"AlertmanagerNotDelivering", map[string]string{"integration": "webhook"}},
	}, []func(){
		func() {
			w.prometheusConfig(t, `label_replace(up, "instance", "one", "", "") +`, w.alertmanager.Address, dead)
			w.reload(t, w.prometheus)
			w.alertmanagerConfig(t, "http://"+dead)
			w.reload(t, w.alertmanager)
		},
	}, []func(){
		func() {
			w.prometheusConfig(t, "", w.alertmanager.Address)
			w.reload(t, w.prometheus)
			w.alertmanagerConfig(t, w.receiver.URL)
			w.reload(t, w.alertmanager)
		},
	})

	together([]Alert{{"MonitoringConfigRejected", map[string]string{"job": "alertmanager"}}}, []func(){
		func() { w.write(t, "alertmanager.yml", "route: {}"); w.reload(t, w.alertmanager) },
	}, []func(){
		func() { w.alertmanagerConfig(t, w.receiver.URL); w.reload(t, w.alertmanager) },
	})
	h.catalogued(t, "prometheus", "prometheus_own")
	h.catalogued(t, "alertmanager", "alertmanager")
	h.catalogued(t, "victoriametrics", "victoriametrics")
	h.ExactlyFired(all...)
}

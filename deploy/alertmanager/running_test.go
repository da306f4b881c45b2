package alertmanager

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

const limit = time.Minute

// running is a real Alertmanager with the shipped configuration. Only where it sends to and how
// long it waits are changed, by texts that must be in the file.
type running struct {
	t    *testing.T
	url  string
	mail *testenv.MailSink
	// pager and watchdog are the receivers of the two webhooks.
	pager, watchdog *hook
}

func start(t *testing.T) *running {
	t.Helper()
	dir := t.TempDir()
	r := &running{t: t, mail: testenv.StartMailSink(t), pager: newHook(t), watchdog: newHook(t)}
	content, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for from, to := range map[string]string{
		"localhost:25":                   r.mail.Address,
		"/etc/alertmanager/page_url":     r.pager.file(t, dir, "page_url"),
		"/etc/alertmanager/watchdog_url": r.watchdog.file(t, dir, "watchdog_url"),
		"group_wait: 30s":                "group_wait: 1s",
		"group_interval: 5m":             "group_interval: 1s",
		"group_interval: 1m":             "group_interval: 1s",
		"repeat_interval: 50s":           "repeat_interval: 1s",
		"[templates/*.tmpl]":             "[" + absolute(t, "templates") + "/*.tmpl]",
	} {
		if !strings.Contains(text, from) {
			t.Fatalf("%s has no %q", config, from)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	path := filepath.Join(dir, "alertmanager.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	r.url = "http://" + address
	process := testenv.Start(t, exec.Command(testenv.Tool(t, "alertmanager"), "--config.file="+path,
		"--storage.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--cluster.listen-address="))
	testenv.Eventually(t, limit, func() error {
		if err := process.Exited(); err != nil {
			t.Fatal(err)
		}
		response, err := http.Get(r.url + "/-/ready")
		if err != nil {
			return err
		}
		return response.Body.Close()
	})
	return r
}

// alert is what Alertmanager's API takes and gives.
type alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
	Status      *struct {
		State string `json:"state"` // unprocessed, active, suppressed
	} `json:"status,omitempty"`
}

// send gives alerts to Alertmanager, as Prometheus does.
func (r *running) send(alerts ...alert) {
	r.t.Helper()
	body, err := json.Marshal(alerts)
	if err != nil {
		r.t.Fatal(err)
	}
	response, err := http.Post(r.url+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		r.t.Fatalf("alerts are refused: %s\n%s", response.Status, body)
	}
}

// firing returns an alert that began a minute ago.
func firing(name string, labels ...map[string]string) alert {
	now := time.Now()
	a := alert{Labels: map[string]string{"alertname": name}, StartsAt: now.Add(-time.Minute), EndsAt: now.Add(time.Hour)}
	for _, more := range labels {
		maps.Copy(a.Labels, more)
	}
	return a
}

// states returns the state of each alert by its label case, once all have one.
func (r *running) states(n int) map[string]string {
	r.t.Helper()
	var states map[string]string
	testenv.Eventually(r.t, limit, func() error {
		response, err := http.Get(r.url + "/api/v2/alerts")
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		var all []alert
		if err := json.NewDecoder(response.Body).Decode(&all); err != nil {
			return err
		}
		states = map[string]string{}
		for _, a := range all {
			if a.Status.State == "unprocessed" {
				return fmt.Errorf("%v is not yet processed", a.Labels)
			}
			states[a.Labels["case"]] = a.Status.State
		}
		if len(states) < n {
			return fmt.Errorf("%d of %d alerts", len(states), n)
		}
		return nil
	})
	return states
}

// hook is the receiver of a webhook.
type hook struct {
	url string

	mu    sync.Mutex
	names []string // of the alerts that came, with their status
}

func (h *hook) received() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.names)
}

// file writes the address into a file, as the credential that Alertmanager reads.
func (h *hook) file(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(h.url+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

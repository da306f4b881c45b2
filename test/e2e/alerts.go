package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// Alert names an alert and those of its labels that matter; other labels may have any value.
type Alert struct {
	Name   string
	Labels map[string]string
}

// Sample is one series of the answer to a query.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Query asks Prometheus for the current value of an expression.
func (h *Harness) Query(promql string) []Sample {
	h.t.Helper()
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
				Value  [2]any            `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	body := h.get(h.PrometheusURL + "/api/v1/query?query=" + url.QueryEscape(promql))
	if err := json.Unmarshal(body, &answer); err != nil {
		h.t.Fatalf("query %s: %v: %s", promql, err, body)
	}
	samples := make([]Sample, 0, len(answer.Data.Result))
	for _, result := range answer.Data.Result {
		text, _ := result.Value[1].(string)
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			h.t.Fatalf("query %s: %v: %s", promql, err, body)
		}
		samples = append(samples, Sample{Labels: result.Metric, Value: value})
	}
	return samples
}

// WaitChange returns when a query that answered with before has another value in each series.
func (h *Harness) WaitChange(promql string, before []Sample) {
	h.t.Helper()
	testenv.Eventually(h.t, Limit, func() error {
		now := h.Query(promql)
		if len(now) == 0 || len(now) != len(before) {
			return fmt.Errorf("%s: %d series, were %d", promql, len(now), len(before))
		}
		for i := range now {
			if now[i].Value == before[i].Value {
				return fmt.Errorf("%s is still %v", promql, now[i])
			}
		}
		return nil
	})
}

// WaitFiring returns when the alert fires in Prometheus and its message was delivered.
func (h *Harness) WaitFiring(name string, labels map[string]string) Notification {
	h.t.Helper()
	alert := Alert{name, labels}
	var delivered Notification
	testenv.Eventually(h.t, Limit, func() error {
		if !slices.ContainsFunc(h.firing(), alert.matches) {
			return fmt.Errorf("%s does not fire; %s", alert, h.state())
		}
		var ok bool
		if delivered, ok = h.last(alert); !ok || delivered.Status != "firing" {
			return fmt.Errorf("%s fires, its message has not arrived", alert)
		}
		return nil
	})
	h.fired = addOnce(h.fired, name)
	return delivered
}

// WaitResolved returns when the alert no longer fires and that was delivered too.
func (h *Harness) WaitResolved(name string, labels map[string]string) {
	h.t.Helper()
	alert := Alert{name, labels}
	testenv.Eventually(h.t, Limit, func() error {
		if slices.ContainsFunc(h.firing(), alert.matches) {
			return fmt.Errorf("%s still fires; %s", alert, h.state())
		}
		if delivered, ok := h.last(alert); !ok || delivered.Status != "resolved" {
			return fmt.Errorf("%s does not fire, that message has not arrived", alert)
		}
		return nil
	})
	h.resolved = addOnce(h.resolved, name)
}

// WaitPending returns when the alert waits for its `for` to pass, or has done so since New.
func (h *Harness) WaitPending(name string, labels map[string]string) {
	h.t.Helper()
	alert := Alert{name, labels}
	testenv.Eventually(h.t, Limit, func() error {
		if !slices.ContainsFunc(h.seen("pending"), alert.matches) {
			return fmt.Errorf("%s was never pending; %s", alert, h.state())
		}
		return nil
	})
}

// ExactlyFiring fails the test unless these alerts fire now, each as one series, and no other.
func (h *Harness) ExactlyFiring(want ...Alert) {
	h.t.Helper()
	if problem := difference(want, h.firing()); problem != "" {
		h.t.Fatalf("firing now: %s", problem)
	}
}

// ExactlyFired fails the test unless these alerts, and no others, fired at any time since New
// and were delivered. Call it last: it is what shows that nothing else was disturbed.
func (h *Harness) ExactlyFired(want ...Alert) {
	h.t.Helper()
	if problem := difference(want, h.seen("firing")); problem != "" {
		h.t.Fatalf("fired since the start: %s", problem)
	}
	for _, notification := range h.inbox.all() {
		if !slices.ContainsFunc(want, func(a Alert) bool { return a.matches(notification.Labels) }) {
			h.t.Fatalf("delivered, not expected: %v", notification.Labels)
		}
	}
	for _, alert := range want {
		h.fired = addOnce(h.fired, alert.Name)
	}
}

// Delivered returns every notification so far, in order of arrival.
func (h *Harness) Delivered() []Notification { return h.inbox.all() }

func (h *Harness) firing() []map[string]string {
	h.t.Helper()
	return labelsOf(h.Query(`ALERTS{alertstate="firing"}`))
}

func (h *Harness) seen(state string) []map[string]string {
	h.t.Helper()
	return labelsOf(h.Query(fmt.Sprintf(`count_over_time(ALERTS{alertstate=%q}[1d])`, state)))
}

func (h *Harness) last(alert Alert) (Notification, bool) {
	received := h.inbox.all()
	for _, notification := range slices.Backward(received) {
		if alert.matches(notification.Labels) {
			return notification, true
		}
	}
	return Notification{}, false
}

// state describes all alerts, for the message of a test that fails.
func (h *Harness) state() string {
	h.t.Helper()
	return fmt.Sprintf("alerts now: %v", labelsOf(h.Query("ALERTS")))
}

func (h *Harness) get(url string) []byte {
	h.t.Helper()
	response, err := http.Get(url)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		h.t.Fatalf("%s: %s: %v\n%s", url, response.Status, err, body)
	}
	return body
}

func (a Alert) matches(labels map[string]string) bool {
	for name, value := range a.Labels {
		if labels[name] != value {
			return false
		}
	}
	return labels["alertname"] == a.Name
}

// String returns the alert as a selector.
func (a Alert) String() string {
	pairs := make([]string, 0, len(a.Labels))
	for name, value := range a.Labels {
		pairs = append(pairs, fmt.Sprintf("%s=%q", name, value))
	}
	slices.Sort(pairs)
	return a.Name + "{" + strings.Join(pairs, ", ") + "}"
}

func difference(want []Alert, got []map[string]string) string {
	var problems []string
	for _, alert := range want {
		n := 0
		for _, labels := range got {
			if alert.matches(labels) {
				n++
			}
		}
		if n != 1 {
			problems = append(problems, fmt.Sprintf("%s: %d times", alert, n))
		}
	}
	for _, labels := range got {
		if !slices.ContainsFunc(want, func(a Alert) bool { return a.matches(labels) }) {
			problems = append(problems, fmt.Sprintf("not expected: %v", labels))
		}
	}
	return strings.Join(problems, "; ")
}

func labelsOf(samples []Sample) []map[string]string {
	labels := make([]map[string]string, 0, len(samples))
	for _, sample := range samples {
		labels = append(labels, sample.Labels)
	}
	return labels
}

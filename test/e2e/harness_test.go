package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

func TestMain(m *testing.M) {
	code := m.Run()
	Cleanup()
	os.Exit(code)
}

// TestHarness proves the chain itself on a made-up target: it must see an alert fire and
// resolve, and tell when something else fires.
func TestHarness(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		active := 1
		if down.Load() {
			active = 0
		}
		_, _ = fmt.Fprintf(w, "critical_service_active{name=\"a.service\"} %d\n", active)
		_, _ = fmt.Fprintln(w, `critical_service_active{name="b.service"} 1`)
	}))
	t.Cleanup(target.Close)

	h := New(t, Options{
		Rules:   []string{"service_alerts"},
		Fakes:   map[string]string{"": "the exporter"},
		Targets: map[string]string{"vulcan_exporter": strings.TrimPrefix(target.URL, "http://")},
	})
	h.ExactlyFiring()
	a := map[string]string{"name": "a.service"}
	down.Store(true)
	message := h.WaitFiring("CriticalServiceDown", a)
	if message.Labels["severity"] != "critical" || !strings.Contains(message.Annotations["summary"], "a.service") {
		t.Errorf("delivered %+v", message)
	}
	h.WaitPending("CriticalServiceDown", a)
	h.ExactlyFiring(Alert{"CriticalServiceDown", a})
	down.Store(false)
	h.WaitResolved("CriticalServiceDown", a)
	h.ExactlyFiring()
	h.ExactlyFired(Alert{"CriticalServiceDown", a})
}

func TestDifference(t *testing.T) {
	t.Parallel()
	got := []map[string]string{{"alertname": "A", "name": "x"}, {"alertname": "B"}}
	for _, test := range []struct {
		want    []Alert
		problem string
	}{
		{[]Alert{{Name: "A"}, {Name: "B"}}, ""},
		{[]Alert{{Name: "A"}}, "not expected: map[alertname:B]"},
		{[]Alert{{Name: "A"}, {Name: "B"}, {Name: "C"}}, "C{}: 0 times"},
		{[]Alert{{"A", map[string]string{"name": "y"}}, {Name: "A"}, {Name: "B"}}, `A{name="y"}: 0 times`},
	} {
		if problem := difference(test.want, got); problem != test.problem {
			t.Errorf("%v: %q, want %q", test.want, problem, test.problem)
		}
	}
}

func TestScaleRules(t *testing.T) {
	t.Parallel()
	const shipped = `groups:
    - interval: 5m
      name: g
      rules:
        - alert: A
          expr: increase(a[15m]) >= 4 and max_over_time(b[1h:5m] offset 30m) > 10 * 60
          for: 2m
          keep_firing_for: 1s
          labels:
            for: 2m
        - expr: x - time() < 30 * 86400
          record: r
`
	const scaled = `groups:
    - interval: 5s
      name: g
      rules:
        - alert: A
          expr: increase(a[15s]) >= 4 and max_over_time(b[1m:] offset 30s) > 10 * 1
          for: 2s
          keep_firing_for: 1s
          labels:
            for: 2m
        - expr: x - time() < 30 * 86400
          record: r
`
	got, err := ScaleRules([]byte(shipped), 60)
	if err != nil || string(got) != scaled {
		t.Errorf("error %v, got\n%s", err, got)
	}
	for _, bad := range []string{"for: soon", "expr: rate(a[fast])", "expr: a offset x"} {
		if got, err := ScaleRules([]byte("groups: [{rules: [{"+bad+"}]}]"), 60); err == nil {
			t.Errorf("%q: no error but %s", bad, got)
		}
	}
}

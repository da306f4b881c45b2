package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// clockOf passes on what node_exporter says, with another offset, state and time of the clock:
// the machine's clock is not the test's to set.
type clockOf struct {
	node         string
	offset       atomic.Value // string
	synchronised atomic.Bool
	ahead        atomic.Int64 // seconds
}

var clockLines = regexp.MustCompile(`(?m)^(node_timex_offset_seconds|node_timex_sync_status|node_time_seconds) .*$`)

// ServeHTTP answers a scrape.
func (c *clockOf) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	response, err := http.Get("http://" + c.node + "/metrics")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	_, _ = w.Write(clockLines.ReplaceAllFunc(body, func(line []byte) []byte {
		name, _, _ := strings.Cut(string(line), " ")
		switch name {
		case "node_timex_offset_seconds":
			return []byte(name + " " + c.offset.Load().(string))
		case "node_timex_sync_status":
			if c.synchronised.Load() {
				return []byte(name + " 1")
			}
			return []byte(name + " 0")
		}
		return fmt.Appendf(nil, "%s %d", name, time.Now().Unix()+c.ahead.Load())
	}))
}

// TestClock has node_exporter say that the clock is off in either way, and not disciplined.
func TestClock(t *testing.T) {
	t.Parallel()
	node := testenv.StartSocketExporter(t, nil, "prometheus-node-exporter",
		"--collector.disable-defaults", "--collector.timex", "--collector.time")
	clock := &clockOf{node: node.Address}
	clock.offset.Store("0.001")
	clock.synchronised.Store(true)
	server := httptest.NewServer(clock)
	t.Cleanup(server.Close)
	h := New(t, Options{
		Rules:   []string{"system_alerts"},
		Targets: map[string]string{"node": strings.TrimPrefix(server.URL, "http://")},
		Fakes:   map[string]string{"Clock": "the clock"},
	})
	h.waitValue(`node_timex_sync_status`, 1)
	skew, free := Alert{Name: "ClockSkew"}, Alert{Name: "ClockNotSynchronised"}

	clock.offset.Store("-0.06")
	h.WaitFiring(skew.Name, nil)
	h.ExactlyFiring(skew)
	clock.offset.Store("-0.04")
	h.WaitResolved(skew.Name, nil)
	clock.ahead.Store(-30)
	clock.synchronised.Store(false)
	h.WaitFiring(skew.Name, nil)
	h.WaitFiring(free.Name, nil)
	h.ExactlyFiring(skew, free)
	clock.ahead.Store(0)
	clock.synchronised.Store(true)
	h.WaitResolved(skew.Name, nil)
	h.WaitResolved(free.Name, nil)
	h.ExactlyFired(skew, free)
}

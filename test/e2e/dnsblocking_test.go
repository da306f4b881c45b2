package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
	"vulcan.lan/vulcan_exporter/internal/testenv/technitiumtest"
)

// startBlockedClients make 85 queries a second, of which the share is blocked that the function
// sets, in percent.
func startBlockedClients(t *testing.T, server *technitiumtest.Server) (share func(percent int)) {
	t.Helper()
	var mu sync.Mutex
	blocked := 50
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		n, due, last := 0, 0.0, time.Now()
		for {
			select {
			case <-stop:
				return
			case now := <-time.After(50 * time.Millisecond):
				mu.Lock()
				percent := blocked
				mu.Unlock()
				for due += now.Sub(last).Seconds() * 85; due >= 1; due-- {
					row := query(now)
					if n++; n%100*37%100 < percent { // evenly spread
						row.ResponseType, row.Answer = "Blocked", "A 0.0.0.0"
					}
					server.Log(row)
				}
				last = now
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-stopped })
	return func(percent int) {
		mu.Lock()
		defer mu.Unlock()
		blocked = percent
	}
}

func query(now time.Time) technitiumtest.Row {
	return technitiumtest.Row{
		Time: now, Client: "192.0.2.7", Protocol: "Udp", ResponseType: "Recursive", RCode: "NoError",
		QName: "www.example.com", QType: "A", QClass: "IN", Answer: "A 192.0.2.80", RTT: 5,
	}
}

// TestDNSBlocking: one server whose blocking is off, and one whose lists are empty, whose log is
// read too slowly, and of which a real Loki refuses a row.
func TestDNSBlocking(t *testing.T) {
	t.Parallel()
	loki := testenv.StartLoki(t, testenv.LokiOptions{Limits: map[string]any{"max_line_size": "1KB"}})
	var slow sync.RWMutex // held while the log's database does not answer
	server := technitiumtest.Start(t, technitiumtest.Options{Between: func() {
		slow.RLock()
		defer slow.RUnlock()
	}})
	blocked := startBlockedClients(t, server)
	open := technitiumtest.Start(t, technitiumtest.Options{})
	open.Set(func(s *technitiumtest.Settings) { s.Blocking = false })
	config := func(more string) string {
		return fmt.Sprintf("dnsquery:\n  interval: 1s\n  sources:\n    - {name: main, url: %q, token_file: %q, loki: {url: %q}}\n    - {name: open, url: %q, token_file: %q%s}\n",
			server.URL, server.TokenFile, loki.URL, open.URL, open.TokenFile, more)
	}
	h := New(t, Options{
		Config: config(""),
		Rules:  []string{"dns_alerts"},
		Scale:  240, // an hour takes 15 s, in which 85 queries a second are more than 1,000
		Fakes:  map[string]string{"DNS": "Technitium"},
	})
	alert := func(name, source string) Alert { return Alert{name, map[string]string{"source": source}} }
	off, collapsed := alert("DNSBlockingDisabled", "open"), alert("DNSBlockedRatioCollapsed", "main")
	lag, refused := alert("DNSIngestLag", "main"), alert("DNSLokiRowsRefused", "main")
	refused.Labels["reason"] = "oversized"
	h.waitValue(`dns_query_loki_up`, 1)
	h.waitValue(`dns_query_loki_dropped_total{reason="oversized"}`, 0)
	h.ExactlyFiring()

	long := query(time.Now())
	long.Answer = "TXT " + strings.Repeat("x", 2000)
	server.Log(long)
	h.WaitFiring(refused.Name, refused.Labels)
	h.ExactlyFiring(refused)

	h.WaitFiring(off.Name, off.Labels)
	open.Set(func(s *technitiumtest.Settings) { s.Blocking = true })
	h.Reload(config(", top_domains: 1")) // a source that is new asks at once, not within a minute
	h.WaitResolved(off.Name, off.Labels)
	h.waitValue(`dns_query_server_blocking_enabled{source="open"}`, 1)
	h.WaitResolved(refused.Name, refused.Labels)
	h.ExactlyFiring()

	blocked(0)
	h.WaitFiring(collapsed.Name, collapsed.Labels)
	h.ExactlyFiring(collapsed)
	blocked(50)
	h.WaitResolved(collapsed.Name, collapsed.Labels)

	slow.Lock()
	h.WaitFiring(lag.Name, lag.Labels)
	h.ExactlyFiring(lag)
	slow.Unlock()
	h.WaitResolved(lag.Name, lag.Labels)
	h.ExactlyFired(off, collapsed, lag, refused)
}

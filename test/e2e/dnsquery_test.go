package e2e

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
	"vulcan.lan/vulcan_exporter/internal/testenv/technitiumtest"
)

// dnsClients make queries of a server with a query log: so many a second, of which some fail.
type dnsClients struct {
	server          *technitiumtest.Server
	rate, servfails atomic.Int64
}

func startClients(t *testing.T, server *technitiumtest.Server) *dnsClients {
	t.Helper()
	c := &dnsClients{server: server}
	c.rate.Store(20)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		var due, failing float64
		last := time.Now()
		for {
			select {
			case <-stop:
				return
			case now := <-time.After(50 * time.Millisecond):
				for due += now.Sub(last).Seconds() * float64(c.rate.Load()); due >= 1; due-- {
					row := technitiumtest.Row{
						Time: now, Client: "192.0.2.7", Protocol: "Udp", ResponseType: "Recursive", RCode: "NoError",
						QName: "www.example.com", QType: "A", QClass: "IN", Answer: "A 192.0.2.80", RTT: 5,
					}
					if failing += float64(c.servfails.Load()) / float64(c.rate.Load()); failing >= 1 {
						failing--
						row.RCode, row.Answer = "ServerFailure", ""
					}
					server.Log(row)
				}
				last = now
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-stopped })
	return c
}

// TestDNSQueryLog takes the query log through what dns_alerts.yml tells of it. Loki is real, the
// DNS server is not: Technitium cannot be had here.
func TestDNSQueryLog(t *testing.T) {
	t.Parallel()
	loki := testenv.StartLoki(t, testenv.LokiOptions{})
	server := technitiumtest.Start(t, technitiumtest.Options{})
	clients := startClients(t, server)
	h := New(t, Options{
		Config: fmt.Sprintf(`
dnsquery:
  interval: 1s
  sources: [{name: main, url: %q, token_file: %q, loki: {url: %q}}]
`, server.URL, server.TokenFile, loki.URL),
		Rules: []string{"dns_alerts", "exporter"},
		Fakes: map[string]string{
			"DNSHighQueryRate": "Technitium", "DNSServfailRatioHigh": "Technitium", "DNSQueryLogUnreadable": "Technitium",
			"DNSRowsLost": "Technitium", "DNSLokiPushFailing": "Technitium",
		},
	})
	h.waitValue(`dns_query_loki_up`, 1)
	h.waitValue(`sum(rate(dns_query_total[15s])) > bool 10`, 1)
	h.ExactlyFiring()
	source := map[string]string{"source": "main"}
	alert := func(name string) Alert { return Alert{name, source} }
	lost, unreadable, push := alert("DNSRowsLost"), alert("DNSQueryLogUnreadable"), alert("DNSLokiPushFailing")
	servfail, rate := alert("DNSServfailRatioHigh"), alert("DNSHighQueryRate")

	server.Log(technitiumtest.Row{Time: time.Now(), Client: "192.0.2.7", Protocol: "Udp", ResponseType: "Recursive", RCode: "NoError", Malformed: true})
	h.WaitFiring(lost.Name, source)
	h.ExactlyFiring(lost)

	clients.servfails.Store(10)
	h.WaitFiring(servfail.Name, source)
	clients.servfails.Store(0)
	h.WaitResolved(servfail.Name, source)

	loki.Stop(t)
	clients.rate.Store(300)
	h.WaitFiring(rate.Name, source)
	h.WaitFiring(push.Name, source)
	clients.rate.Store(20)
	loki.Start(t)
	h.WaitResolved(rate.Name, source)
	h.WaitResolved(push.Name, source)

	if err := os.WriteFile(server.TokenFile, []byte("revoked"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.WaitFiring(unreadable.Name, source)
	if err := os.WriteFile(server.TokenFile, []byte(technitiumtest.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	h.WaitResolved(unreadable.Name, source)
	h.WaitResolved(lost.Name, source)
	h.ExactlyFired(lost, servfail, rate, push, unreadable)
}

package lab

import (
	"fmt"
	"sync"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
	"vulcan.lan/vulcan_exporter/internal/testenv/technitiumtest"
)

// dns is a Technitium that is played, whose clients ask ten queries a second, and a real Loki.
func (l *Lab) dns() {
	l.t.Helper()
	server := technitiumtest.Start(l.t, technitiumtest.Options{})
	l.Secrets = append(l.Secrets, technitiumtest.Token)
	l.DNS = server
	ask := time.NewTicker(100 * time.Millisecond)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; ; n++ {
			select {
			case <-ask.C:
				server.Log(query(n))
			case <-done:
				return
			}
		}
	}()
	l.Quiet = sync.OnceFunc(func() { ask.Stop(); close(done); <-ended })
	l.t.Cleanup(l.Quiet)

	front := newPlayed(l, server.ServeHTTP)
	store := testenv.StartLoki(l.t, testenv.LokiOptions{})
	l.Loki = store.URL
	l.add("dnsquery: {interval: 2s, timeout: 5s, sources: [{name: home, url: %q, token_file: %q, loki: {url: %q}}]}\n",
		front.URL, server.TokenFile, store.URL)
	l.played("Technitium", front)
	l.fault("Technitium: permission taken", func() { server.Deny("Logs") }, func() { server.Allow("Logs") })
	l.stops("Loki", store.Kill, func() { store.Start(l.t) }, store.Process)
}

func query(n int) technitiumtest.Row {
	return technitiumtest.Row{
		Time: time.Now(), Client: fmt.Sprintf("10.0.0.%d", n%5), Protocol: "Udp", ResponseType: "Recursive", RCode: "NoError",
		QName: fmt.Sprintf("host-%d.example", n%40), QType: "A", QClass: "IN", Answer: "192.0.2.1", RTT: 12,
	}
}

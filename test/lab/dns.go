package lab

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
	"vulcan.lan/vulcan_exporter/internal/testenv/technitiumtest"
)

// flood is how many times the usual ten queries a second clients ask in the fault.
const flood = 100

// dns is a Technitium that is played, whose clients ask ten queries a second, and a real Loki
// behind a front that wants a token, as it has none itself.
func (l *Lab) dns() {
	l.t.Helper()
	server := technitiumtest.Start(l.t, technitiumtest.Options{})
	l.Secrets = append(l.Secrets, technitiumtest.Token)
	l.DNS = server
	ask := time.NewTicker(100 * time.Millisecond)
	done, ended := make(chan struct{}), make(chan struct{})
	var flooded atomic.Bool
	go func() {
		defer close(ended)
		for n := 0; ; n++ {
			select {
			case <-ask.C:
				server.Log(query(n, time.Now()))
				if flooded.Load() {
					server.Log(burst(n, flood-1)...)
				}
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
	gate := newPlayed(l, behindToken(store.URL))
	l.add("dnsquery: {interval: 2s, timeout: 5s, sources: [{name: home, url: %q, token_file: %q, loki: {url: %q, token_file: %q}}]}\n",
		front.URL, server.TokenFile, gate.URL, l.secret("loki", lokiToken))
	l.played("Technitium", front)
	l.fault("Technitium: permission taken", func() { server.Deny("Logs") }, func() { server.Allow("Logs") })
	l.fault("DNS flooded", func() { flooded.Store(true) }, func() { flooded.Store(false) })
	for _, kind := range []string{"rejected", "error"} { // no other: what is answered well counts as stored
		handler := answers[kind]
		l.fault("Loki: "+kind, func() { gate.fault.Store(&handler) }, func() { gate.fault.Store(nil) })
	}
	l.stops("Loki", store.Kill, func() { store.Start(l.t) }, store.Process)
}

// behindToken passes on what shows the token.
func behindToken(store string) http.HandlerFunc {
	target, _ := url.Parse(store) // which testenv made
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // Loki is stopped by faults
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+lokiToken {
			http.Error(w, "no token", http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}
}

// burst are queries of the last tenth of a second.
func burst(n, count int) (rows []technitiumtest.Row) {
	begun := time.Now().Add(-100 * time.Millisecond)
	for i := range count {
		rows = append(rows, query(n+i, begun.Add(time.Duration(i)*time.Millisecond)))
	}
	return rows
}

func query(n int, at time.Time) technitiumtest.Row {
	return technitiumtest.Row{
		Time: at, Client: fmt.Sprintf("10.0.0.%d", n%5), Protocol: "Udp", ResponseType: "Recursive", RCode: "NoError",
		QName: fmt.Sprintf("host-%d.example", n%40), QType: "A", QClass: "IN", Answer: "192.0.2.1", RTT: 12,
	}
}

// Package demo is the whole picture on loopback, to look at and to play with: a host with
// everything that the exporter watches, Prometheus and Alertmanager with the shipped rules, in
// which minutes take seconds, and a page with buttons that break things. `make demo` runs it
// until it is interrupted; among the other tests it runs for a moment, to see that all of it is
// there.
package demo

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
	"vulcan.lan/vulcan_exporter/test/e2e"
	"vulcan.lan/vulcan_exporter/test/lab"
)

var open = flag.Duration("demo.open", 0, "how long the demo stays, if nobody interrupts it")

func TestDemo(t *testing.T) {
	testenv.NeedRoot(t)
	l := lab.New(t)
	h := e2e.New(t, e2e.Options{Config: l.Config(), Env: l.Env, Rules: groups(t)})
	board := newBoard(t, l.Faults, h.PrometheusURL)
	links := [][2]string{
		{"break something", board.url},
		{"vulcan_exporter", h.ExporterURL},
		{"Prometheus, alerts", h.PrometheusURL + "/api/v1/alerts"},
		{"Alertmanager", h.AlertmanagerURL},
		{"Loki, DNS queries", l.Loki + "/loki/api/v1/query_range?query=" + url.QueryEscape(`{job="dns_query_logs"}`)},
	}
	for _, link := range links {
		fmt.Fprintf(os.Stderr, "%-20s %s\n", link[0], link[1])
		if status := get(t, link[1]); status != http.StatusOK {
			t.Errorf("%s: %s answers %d", link[0], link[1], status)
		}
	}
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	defer stop()
	if *open == 0 {
		h.WaitFiring("Watchdog", nil) // which always fires
		h.ExactlyFiring(e2e.Alert{Name: "Watchdog"})
		tour(t, board, h)
		return
	}
	fmt.Fprintln(os.Stderr, "Ctrl-C ends it.")
	ctx, cancel := context.WithTimeout(ctx, *open)
	defer cancel()
	board.work(ctx)
}

// tour plays a visitor who breaks things by the page's buttons and mends them again: stops a
// service, lets a certificate expire, floods DNS.
func tour(t *testing.T, b *board, h *e2e.Harness) {
	t.Helper()
	push := func(action, name string) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			defer cancel()
			response, err := http.PostForm(b.url+"/"+action, map[string][]string{"name": {name}})
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = response.Body.Close() }()
			page, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(page), name) {
				t.Errorf("%s %s: %s %v", action, name, response.Status, err)
			}
		}()
		b.work(ctx)
		<-answered
	}
	for _, visit := range []struct {
		fault, alert string
		labels       map[string]string
	}{
		{"service stopped", "CriticalServiceDown", map[string]string{"name": "web.service"}},
		{"certificate expired", "CertificateExpired", map[string]string{"type": "nginx"}},
		{"DNS flooded", "DNSHighQueryRate", map[string]string{"source": "home"}},
	} {
		if rate := dnsRate(h); rate > 50 {
			t.Errorf("%.0f DNS queries a second before there is a flood", rate)
		}
		push("break", visit.fault)
		h.WaitFiring(visit.alert, visit.labels)
		if rate := dnsRate(h); visit.fault == "DNS flooded" && (rate < 500 || rate > 1500) {
			t.Errorf("%.0f DNS queries a second in a flood of 1,000", rate)
		}
		push("mend", visit.fault)
		h.WaitResolved(visit.alert, visit.labels)
	}
}

// dnsRate is how many queries a second are counted, as Prometheus sees it.
func dnsRate(h *e2e.Harness) float64 {
	sum := 0.
	for _, s := range h.Query("sum(rate(dns_query_total[10s]))") {
		sum += s.Value
	}
	return sum
}

// groups are the shipped alert groups but those about exporters that the demo does not have: they
// would tell that nothing is scraped of them.
func groups(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(testenv.Root(t), "alerts", "*.yml"))
	if err != nil || len(files) == 0 {
		t.Fatal("no alerts found", err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".yml"); name != "blackbox_alerts" && name != "system_alerts" {
			names = append(names, name)
		}
	}
	return names
}

func get(t *testing.T, url string) int {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// board is the page with the buttons. What they do is done by work, one after the other.
type board struct {
	url, prometheus string
	faults          []lab.Fault
	jobs            chan func()

	mu     sync.Mutex
	broken map[string]bool
}

var page = template.Must(template.New("").Parse(`<!doctype html><meta charset="utf-8"><title>Break something</title>
<meta name="viewport" content="width=device-width"><style>body{font:16px sans-serif;max-width:40em;margin:1em auto;padding:0 1em}
form{display:flex;justify-content:space-between;padding:.3em 0;border-bottom:1px solid #ccc}.broken{font-weight:bold;color:#b00}</style>
<h1>Alerts</h1><ul>{{range .alerts}}<li><b>{{.Labels.alertname}}</b> {{.State}}: {{.Annotations.summary}}{{else}}<li>none{{end}}</ul>
<p>A minute of a rule takes a second here. The firewall is a recording in which gateways are down. <a href="/">Look again</a>
<h1>Break something</h1>
{{range .faults}}<form method="post" action="/{{if index $.broken .Name}}mend{{else}}break{{end}}">
<span{{if index $.broken .Name}} class="broken"{{end}}>{{.Name}}</span><button name="name" value="{{.Name}}">{{if index $.broken .Name}}mend{{else}}break{{end}}</button></form>
{{end}}`))

func newBoard(t *testing.T, faults []lab.Fault, prometheus string) *board {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &board{url: "http://" + listener.Addr().String(), prometheus: prometheus, faults: faults, broken: map[string]bool{}, jobs: make(chan func())}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { b.show(w) })
	mux.HandleFunc("POST /break", func(w http.ResponseWriter, r *http.Request) { b.act(w, r, true) })
	mux.HandleFunc("POST /mend", func(w http.ResponseWriter, r *http.Request) { b.act(w, r, false) })
	server := &http.Server{Handler: http.NewCrossOriginProtection().Handler(mux), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return b
}

func (b *board) show(w io.Writer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = page.Execute(w, map[string]any{"faults": b.faults, "broken": b.broken, "alerts": b.alerts()})
}

// alerts are those that Prometheus holds, whose own pages are not in the build of the module.
func (b *board) alerts() (alerts []alert) {
	var answer struct{ Data struct{ Alerts []alert } }
	response, err := http.Get(b.prometheus + "/api/v1/alerts")
	if err != nil {
		return nil
	}
	defer func() { _ = response.Body.Close() }()
	if json.NewDecoder(response.Body).Decode(&answer) != nil {
		return nil
	}
	return answer.Data.Alerts
}

type alert struct {
	State               string
	Labels, Annotations map[string]string
}

// set says whether that is a change.
func (b *board) set(name string, broken bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	changed := b.broken[name] != broken
	b.broken[name] = broken
	return changed
}

func (b *board) act(w http.ResponseWriter, r *http.Request, breaks bool) {
	name := r.FormValue("name")
	done := make(chan struct{})
	job := func() {
		defer close(done)
		for _, f := range b.faults {
			if f.Name != name || !b.set(name, breaks) {
				continue
			}
			if breaks {
				f.Break()
			} else {
				f.Mend()
			}
		}
		b.show(w)
	}
	select {
	case b.jobs <- job:
		<-done
	case <-r.Context().Done():
	}
}

// work does what the buttons ask for until ctx ends.
func (b *board) work(ctx context.Context) {
	for {
		select {
		case job := <-b.jobs:
			job()
		case <-ctx.Done():
			return
		}
	}
}

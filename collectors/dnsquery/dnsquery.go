// Package dnsquery counts each query of Technitium DNS servers (https://technitium.com/dns/, versions
// 13 to 15) once, and sends each to Loki once.
//
// Source: the HTTP API's query log, of any of the server's query log apps. Privileges: an API token
// with Logs: View; Dashboard: View and Settings: View for what is said of the server itself.
// Cost: one request for each interval, which reads some 64 known rows and the new ones; the server
// counts the rows of the overlap for it. Once a minute one request for its newest row and three for
// its state.
//
// What is read goes one way: package tail finds new rows, they are put into the queue for Loki on
// disk, they are counted, and position, counts and the queue's end are saved as one. Only then are
// they shown and sent. After a crash the state that was saved last is the one to go on from; rows
// that the queue has beyond it are cut off and read again.
package dnsquery

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/dnsquery/loki"
	"vulcan.lan/vulcan_exporter/collectors/dnsquery/tail"
	"vulcan.lan/vulcan_exporter/collectors/dnsquery/technitium"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// Definition registers the collector.
func Definition() *collector.Definition {
	return collector.Define(collector.Spec[Config]{
		Name:      "dnsquery",
		Prefix:    "dns_query_",
		Summary:   "The query log of Technitium DNS servers: every query counted exactly once, in Prometheus and in Loki.",
		Metrics:   declared,
		Every:     15 * time.Second,
		Timeout:   10 * time.Second,
		Sources:   true,
		Defaults:  defaults(),
		Inventory: func(cfg Config, out *metric.Batch) { out.Bool(lokiConfigured, cfg.Loki.URL != "") },
		New:       open,
	})
}

type dnsquery struct {
	cfg     Config
	env     collector.Env
	client  *technitium.Client
	reader  tail.Reader
	entries entries
	names   *names
	server  server
	running atomic.Bool
	view    atomic.Pointer[view]
	fault   atomic.Pointer[error]    // why Run ended, nil while it works
	loki    atomic.Pointer[delivery] // nil where none is configured or it is not open yet

	mu      sync.Mutex
	unsaved *position // where nothing outlives the process
	errors  map[technitium.Reason]float64
}

// delivery is what sends rows to Loki.
type delivery struct {
	queue  *loki.Queue
	pusher *loki.Pusher
}

// pageRows is how many rows are read, counted and saved at once.
const pageRows = 20_000

func open(cfg Config, env collector.Env) (collector.Collector, error) {
	client, err := technitium.New(technitium.Options{
		URL: cfg.URL, TokenFile: cfg.TokenFile, CAFile: cfg.CAFile, App: cfg.App, ClassPath: cfg.ClassPath, Node: cfg.Node,
	})
	if err != nil {
		return nil, err
	}
	d := &dnsquery{cfg: cfg, env: env, client: client, errors: map[technitium.Reason]float64{}}
	d.reader = tail.Reader{Source: client, Now: env.Now, Overlap: cfg.Overlap.Std(), PerPage: pageRows}
	d.names = newNames(cfg.Names, env.Now, env.Logger)
	d.entries = entries{job: cfg.Loki.Job, source: env.Source, extra: cfg.Loki.Labels, nameOf: d.names.of}
	d.server = server{client: client, now: env.Now, updates: cfg.UpdateCheck, failed: d.failed, log: collector.Transitions{Logger: env.Logger}}
	return d, nil
}

// Close ends idle connections.
func (d *dnsquery) Close() error {
	d.client.Close()
	return nil
}

// Collect emits what was committed, and asks the server about itself. A server or a Loki that is
// down is data.
func (d *dnsquery) Collect(ctx context.Context, out *metric.Batch) error {
	if err := d.look(ctx); err != nil {
		return err
	}
	if v := d.view.Load(); v != nil {
		v.emit(out, d.names)
	}
	out.Bool(statePersistent, d.env.State.Persistent())
	if d.cfg.Loki.URL != "" {
		d.emitLoki(out)
	}
	inner, cancel := collector.Margin(ctx, 0.1)
	defer cancel()
	d.server.collect(inner, out)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, reason := range technitium.Reasons() {
		out.Counter(apiErrors, d.errors[technitium.Reason(reason)], reason)
	}
	if fault := d.fault.Load(); fault != nil {
		return *fault
	}
	return nil
}

// look gives something to emit where nothing runs in the background: what was saved last, and
// whether the log can be read.
func (d *dnsquery) look(ctx context.Context) error {
	if d.running.Load() || d.env.State.Persistent() {
		return nil
	}
	st, err := d.load()
	if err != nil {
		return err
	}
	_, _, err = d.reader.Probe(ctx, st.Position)
	d.failed(err)
	if !d.running.Load() {
		d.publish(st, progress{up: err == nil, asked: true})
	}
	return nil
}

// failed counts an error of the API.
func (d *dnsquery) failed(err error) {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, technitium.ErrUnsupported) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.errors[technitium.ReasonOf(err)]++
}

func (d *dnsquery) emitLoki(out *metric.Batch) {
	l := d.loki.Load()
	if l == nil {
		if !d.env.State.Persistent() {
			out.Bool(lokiUp, false)
		}
		return
	}
	rows, bytes := l.queue.Backlog()
	out.Gauge(lokiQueueRows, float64(rows))
	out.Gauge(lokiQueueBytes, float64(bytes))
	out.Gauge(lokiQueueMax, float64(l.queue.Max()))
	totals := l.queue.Totals()
	out.Counter(rowsPushed, float64(totals.Pushed))
	for reason, n := range totals.Dropped {
		out.Counter(lokiDropped, float64(n), reason)
	}
	out.Counter(lokiDropped, float64(totals.Lost), dropLost)
	s := l.pusher.Stats()
	if s.Known {
		out.Bool(lokiUp, s.Up)
	}
	out.Time(lokiSuccess, s.LastSuccess)
	for reason, n := range s.Failures {
		out.Counter(lokiFailures, float64(n), reason)
	}
	s.Durations.Emit(out, lokiPush)
}

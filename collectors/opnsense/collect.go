package opnsense

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/opnsense/facts"
	"vulcan.lan/vulcan_exporter/collectors/opnsense/proxy"
	"vulcan.lan/vulcan_exporter/collectors/opnsense/shape"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// Limits of one run's phases; together they stay below its deadline.
const (
	shakeTimeout = 4 * time.Second
	probeTimeout = 6 * time.Second
	factTimeout  = 12 * time.Second // top(1) alone takes 2 s
	parallel     = 4
)

// memory is kept from one run to the next.
type memory struct {
	boot        time.Time
	unavailable map[string]bool // endpoints; for the log
	kept        map[string]kept
}

// kept is a reading that is shown for a while without being renewed.
type kept struct {
	at   time.Time
	emit func(*metric.Batch)
}

// probeEndpoint shows with one small request that web server, PHP and the API
// work, and whether the key is accepted.
const probeEndpoint = "core/system/status"

// Collect implements collector.Collector. A firewall that is down is data.
func (o *opnsense) Collect(ctx context.Context, out *metric.Batch) error {
	if err := o.begin(); err != nil {
		return err
	}
	up := o.probe(ctx, out)
	if up && o.client.Credentials != nil {
		o.collectFacts(ctx, out)
	}
	o.emitProxy(out)
	return o.shapes.Export(func(shapes map[string]*shape.Endpoint) error { return o.env.State.Save(shapes) })
}

// begin loads what was learned before.
func (o *opnsense) begin() error {
	if o.begun {
		return nil
	}
	var shapes map[string]*shape.Endpoint
	if _, err := o.env.State.Load(&shapes); err != nil {
		return err
	}
	o.shapes.Import(shapes)
	o.memory.unavailable, o.memory.kept = map[string]bool{}, map[string]kept{}
	o.begun = true
	if o.cfg.Insecure {
		o.env.Logger.Warn("insecure_skip_verify is set: any certificate is accepted, and whoever answers gets the API key", "url", o.cfg.URL)
	}
	return nil
}

// probe finds out whether the firewall answers.
func (o *opnsense) probe(ctx context.Context, out *metric.Batch) bool {
	shake, cancel := context.WithTimeout(ctx, shakeTimeout)
	err := o.upstream.Shake(shake)
	cancel()
	if err == nil {
		err = o.ask(ctx)
	}
	var status facts.StatusError
	answered := err == nil || errors.As(err, &status) && status < http.StatusInternalServerError
	if !answered {
		o.probes[probeReason(err)]++
	}
	out.Bool(upstreamUp, answered)
	for _, reason := range probeReasons {
		out.Counter(probeFailures, o.probes[reason], reason)
	}
	if expiry, trusted, known := o.upstream.Certificate(); known {
		out.Time(certificateExpiry, expiry)
		out.Bool(certificateTrusted, trusted)
	}
	switch accepted, known := o.proxy.KeyAccepted(); {
	case o.client.Credentials != nil && answered:
		out.Bool(keyAccepted, status != http.StatusUnauthorized)
	case o.client.Credentials == nil && known:
		out.Bool(keyAccepted, accepted)
	}
	return answered && status != http.StatusUnauthorized
}

// ask makes the probe's request.
func (o *opnsense) ask(ctx context.Context) error {
	if o.client.Credentials == nil {
		return o.client.Head(ctx, probeTimeout)
	}
	_, err := o.client.Get(ctx, probeEndpoint, probeTimeout)
	return err
}

func probeReason(err error) string {
	var certificate *proxy.CertificateError
	var status facts.StatusError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &certificate):
		return "certificate"
	case errors.As(err, &status):
		return "status"
	case errors.Is(err, facts.ErrSecret):
		return "secret"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, facts.ErrTooLarge), strings.Contains(err.Error(), "malformed"):
		return "other"
	}
	return "connect"
}

// fact is one endpoint and what is made of its answer.
type fact struct {
	endpoint string
	every    time.Duration // least time between two readings
	parse    func(body []byte) (emit func(*metric.Batch), err error)
}

// collectFacts asks several endpoints at a time and emits in a fixed order. An
// endpoint that hangs or is not there costs its own facts only.
func (o *opnsense) collectFacts(ctx context.Context, out *metric.Batch) {
	wanted := o.facts()
	emits := make([]func(*metric.Batch), len(wanted))
	errs := make([]error, len(wanted))
	places := make(chan struct{}, parallel)
	var wait sync.WaitGroup
	for i, f := range wanted {
		wait.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			emits[i], errs[i] = o.read(ctx, f)
		})
	}
	wait.Wait()
	for i, f := range wanted {
		out.Bool(factsAvailable, errs[i] == nil, f.endpoint)
		if emits[i] != nil {
			emits[i](out)
		}
		switch was := o.memory.unavailable[f.endpoint]; {
		case errs[i] != nil && !was:
			o.env.Logger.Warn("facts not available", "endpoint", f.endpoint, "err", errs[i])
		case errs[i] == nil && was:
			o.env.Logger.Info("facts available again", "endpoint", f.endpoint)
		}
		o.memory.unavailable[f.endpoint] = errs[i] != nil
	}
}

func (o *opnsense) read(ctx context.Context, f fact) (func(*metric.Batch), error) {
	now := o.env.Now()
	if k, ok := o.keep(f.endpoint); ok && now.Sub(k.at).Abs() < f.every {
		return k.emit, nil
	}
	body, err := o.client.Get(ctx, f.endpoint, factTimeout)
	if err != nil {
		return nil, err
	}
	if len(body) <= shape.MaxBody && o.shapes.Due(f.endpoint, now) {
		if changes := o.shapes.Observe(f.endpoint, body, now); len(changes) > 0 {
			o.changed(changes)
		}
	}
	emit, err := f.parse(body)
	if err == nil && f.every > 0 {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.memory.kept[f.endpoint] = kept{now, emit}
	}
	return emit, err
}

func (o *opnsense) keep(endpoint string) (kept, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	k, ok := o.memory.kept[endpoint]
	return k, ok
}

// emitProxy emits what the proxy counted.
func (o *opnsense) emitProxy(out *metric.Batch) {
	if o.server != nil {
		out.Bool(listening, o.server.Listening())
	}
	for _, r := range proxy.Refusals() {
		out.Counter(refused, o.proxy.Refused(r), string(r))
	}
	for _, r := range proxy.Errors() {
		out.Counter(failures, o.proxy.Failed(r), string(r))
	}
	count, sum, buckets := o.proxy.Added().Read()
	out.Histogram(addedDuration, count, sum, buckets)
	total := 0.0
	endpoints := o.proxy.Endpoints()
	names := make([]string, 0, len(endpoints))
	for _, e := range endpoints {
		names = append(names, e.Name)
		total += e.InFlight
		for i, class := range proxy.Classes() {
			out.Counter(requests, e.Requests[i], e.Name, class)
		}
		count, sum, buckets := e.Upstream.Read()
		out.Histogram(upstreamDuration, count, sum, buckets, e.Name)
		for i, field := range e.Fields {
			out.Counter(transformed, e.Transformed[i], e.Name, field)
			out.Counter(injected, e.Injected[i], e.Name, field)
		}
	}
	out.Gauge(inFlight, total)
	o.emitShapes(out, names)
}

func (o *opnsense) emitShapes(out *metric.Batch, names []string) {
	for _, f := range o.facts() {
		if !slices.Contains(names, f.endpoint) {
			names = append(names, f.endpoint)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, name := range names {
		for _, kind := range shape.Kinds() {
			out.Counter(shapeChanges, o.changes[name][shape.Kind(kind)], name, kind)
		}
	}
	o.shapes.Endpoints(func(name string, fields int, lastChanges map[shape.Kind]time.Time) {
		out.Gauge(shapeFields, float64(fields), name)
		for kind, last := range lastChanges {
			out.Time(shapeChanged, last, name, string(kind))
		}
	})
}

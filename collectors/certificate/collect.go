package certificate

import (
	"context"
	"crypto/x509"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"vulcan.lan/vulcan_exporter/collectors/certificate/chain"
	"vulcan.lan/vulcan_exporter/collectors/certificate/files"
	"vulcan.lan/vulcan_exporter/collectors/certificate/wire"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// typeCA and typeCRL are the types of files that other keys than files name.
const (
	typeCA       = "ca"
	typeCRL      = "crl"
	typeEndpoint = "endpoint"
	typeServed   = "served"
)

type certificates struct {
	endpoints []Endpoint
	watcher   files.Watcher
	now       func() time.Time
	logger    *slog.Logger
	last      *files.Pass // the last that was emitted
	emittedAt time.Time
	faults    map[string]string // endpoint or path -> the fault that was logged
	before    map[string]string // those of the pass before
}

func newCollector(cfg Config, env collector.Env) (collector.Collector, error) {
	c := &certificates{endpoints: cfg.Endpoints, now: env.Now, logger: env.Logger}
	for _, f := range cfg.Files {
		set := files.Set{Type: f.Type, Paths: f.Paths, Exclude: f.Exclude, Key: f.Key, Optional: f.Optional}
		if f.Password != "" {
			set.Password = func() (string, error) {
				secret, err := f.Password.Read()
				return secret.Reveal(), err
			}
		}
		c.watcher.Sets = append(c.watcher.Sets, set)
	}
	var served []string
	authorities := append(append([]string{}, cfg.Roots...), cfg.Intermediates...)
	for _, e := range cfg.Endpoints {
		if e.CAFile != "" {
			authorities = append(authorities, e.CAFile)
		}
		if e.Serves != "" {
			served = append(served, e.Serves)
		}
	}
	c.watcher.Sets = append(c.watcher.Sets,
		files.Set{Type: typeCA, Paths: unique(authorities, cfg.Files)},
		files.Set{Type: typeCRL, Paths: unique(cfg.CRLs, cfg.Files)},
		// Last: what a set has as well is shown under the type of that set.
		files.Set{Type: typeServed, Paths: unique(served, cfg.Files)})
	c.watcher.Trust = &files.Trust{Roots: cfg.Roots, Intermediates: cfg.Intermediates, CRLs: cfg.CRLs}
	return c, nil
}

// unique drops the paths that come twice or that a group of files lists as they are.
func unique(paths []string, groups []Files) []string {
	seen := map[string]bool{}
	for _, g := range groups {
		for _, path := range g.Paths {
			seen[path] = true
		}
	}
	var kept []string
	for _, path := range paths {
		if !seen[path] {
			seen[path] = true
			kept = append(kept, path)
		}
	}
	return kept
}

// Collect looks at all files and then at all endpoints.
func (c *certificates) Collect(ctx context.Context, out *metric.Batch) error {
	pass, err := c.watcher.Scan(ctx, c.now())
	if err != nil {
		c.last = nil
		return err
	}
	if len(c.endpoints) == 0 && c.last != nil && pass.Equal(c.last) && !c.crlTurned(pass) {
		return collector.ErrUnchanged
	}
	seen := c.probe(ctx)
	if err := ctx.Err(); err != nil {
		c.last = nil
		return err
	}
	c.before, c.faults = c.faults, map[string]string{}
	c.emitFiles(pass, out)
	for i := range seen {
		c.emitEndpoint(pass, &seen[i], out)
	}
	c.last, c.emittedAt = pass, c.now()
	return nil
}

// presented is what an endpoint showed, and the verdict on it.
type presented struct {
	endpoint Endpoint
	wire.Result
	verdict chain.Verdict
	judged  bool
}

// atOnce bounds the connections that are open at the same time.
const atOnce = 32

func (c *certificates) probe(ctx context.Context) []presented {
	seen := make([]presented, len(c.endpoints))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, e := range c.endpoints {
		seen[i].endpoint = e
		group.Go(func() (err error) {
			defer func() {
				if p := recover(); p != nil {
					c.logger.Error("a probe panicked", "endpoint", e.Name, "panic", p)
					seen[i].Result = wire.Result{Reason: wire.Other}
				}
			}()
			seen[i].look(ctx, c)
			return nil
		})
	}
	_ = group.Wait() // each fault is part of what was seen
	return seen
}

func (p *presented) look(ctx context.Context, c *certificates) {
	ctx, cancel := context.WithTimeout(ctx, p.endpoint.Timeout.Std())
	defer cancel()
	p.Result = wire.Probe(ctx, wire.Target{
		Address: p.endpoint.Address, ServerName: p.endpoint.ServerName, StartTLS: p.endpoint.StartTLS,
	}, c.now)
	if len(p.Certificates) == 0 {
		return
	}
	trust, ok := c.watcher.Trust.Current()
	if p.endpoint.CAFile != "" {
		trust.Roots, ok = x509.NewCertPool(), false
		for _, root := range files.Certificates(p.endpoint.CAFile) {
			trust.Roots.AddCert(root)
			ok = true
		}
	}
	if ok {
		p.verdict, p.judged = trust.Served(p.Certificates, c.now()), true
	}
}

// say logs a fault when it begins, changes or ends. The detail holds times and ports, so that it
// is no part of what changes.
func (c *certificates) say(subject, fault, detail string) {
	before := c.before[subject]
	switch {
	case before != "" && fault == "":
		c.logger.Info("in order again", "subject", subject, "was", before)
	case before != fault:
		c.logger.Warn("certificate fault", "subject", subject, "fault", fault, "detail", detail)
	}
	if fault != "" {
		c.faults[subject] = fault
	}
}

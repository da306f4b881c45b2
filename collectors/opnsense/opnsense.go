// Package opnsense observes OPNsense firewalls and stands between them and
// opnsense-exporter.
//
// Each source is a firewall. A reverse proxy of its API
// (https://docs.opnsense.org/development/api.html) rewrites the fields whose
// types vary between firmware versions, which make opnsense-exporter drop a
// whole endpoint; it holds the API key, so that the exporter's container needs
// none. The shape of the answers is learned, and a change is told. Facts that
// the alerts need (processor, memory, gateways, updates) are read natively.
//
// Endpoints: those of package proxy's allow-list for clients; core/system/status,
// routing/settings/searchGateway, core/firmware/status, diagnostics/activity,
// diagnostics/system/* for facts. Privileges on the firewall: an API user with
// "Lobby: Dashboard", "Status: System", "System: Firmware", "System: Gateways" and
// "Diagnostics: System Activity"; none on this machine. Cost on the firewall: one
// TLS handshake and seven small requests a run; top(1) runs there for 2 s.
package opnsense

import (
	"context"
	"net/url"
	"sync"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/opnsense/facts"
	"vulcan.lan/vulcan_exporter/collectors/opnsense/proxy"
	"vulcan.lan/vulcan_exporter/collectors/opnsense/shape"
	"vulcan.lan/vulcan_exporter/collectors/opnsense/transform"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// Definition registers the collector.
func Definition() *collector.Definition {
	return collector.Define(collector.Spec[Config]{
		Name:     "opnsense",
		Summary:  "OPNsense firewalls: their health, load and gateways, and a proxy that lets opnsense-exporter read the API of every version.",
		Metrics:  declared,
		Every:    30 * time.Second,
		Timeout:  25 * time.Second,
		Sources:  true,
		Defaults: defaults(),
		Inventory: func(cfg Config, out *metric.Batch) {
			out.Bool(insecure, cfg.Insecure)
		},
		New: open,
	})
}

type opnsense struct {
	cfg      Config
	env      collector.Env
	upstream *proxy.Upstream
	proxy    *proxy.Proxy
	server   *proxy.Server // nil where there is no address
	client   *facts.Client
	shapes   *shape.Learner

	begun  bool
	probes map[string]float64 // failures by reason

	mu      sync.Mutex
	changes map[string]map[shape.Kind]float64 // by endpoint
	memory  memory
}

const (
	maxRequest    = 64 << 10 // bytes; a search has some dozens
	maxConcurrent = 32       // twice what one exporter asks at once
)

func open(cfg Config, env collector.Env) (collector.Collector, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, err
	}
	rules := transform.Builtin()
	for _, r := range cfg.Rules {
		rules = append(rules, r.compiled())
	}
	table, err := transform.Compile(rules)
	if err != nil {
		return nil, err
	}
	o := &opnsense{cfg: cfg, env: env, shapes: shape.New(dynamicKeys()), changes: map[string]map[shape.Kind]float64{}, probes: map[string]float64{}}
	trust := proxy.Trust{CAFile: cfg.CAFile, PinSHA256: cfg.PinSHA256, ServerName: cfg.ServerName, Insecure: cfg.Insecure}
	o.upstream = proxy.NewUpstream(u, trust, cfg.HTTPVersion, env.Now)
	credentials := secrets(cfg.KeyFile, cfg.SecretFile)
	o.client = &facts.Client{Transport: o.upstream, URL: u, Credentials: credentials, MaxResponse: cfg.MaxResponse}
	o.proxy = proxy.New(proxy.Options{
		Upstream: o.upstream, Timeout: cfg.UpstreamTimeout.Std(),
		Allow: append(proxy.Endpoints(), cfg.Allow...), Table: table,
		Shapes: o.shapes, Changed: o.changed,
		Credentials: credentials, Client: secrets(cfg.Client.KeyFile, cfg.Client.SecretFile),
		MaxRequest: maxRequest, MaxResponse: cfg.MaxResponse, MaxConcurrent: maxConcurrent,
		Now: env.Now, Logger: env.Logger,
	})
	if cfg.Listen != "" {
		o.server = &proxy.Server{Address: cfg.Listen, Proxy: o.proxy, Logger: env.Logger}
		if cfg.ListenTLS.CertFile != "" {
			o.server.TLS = &proxy.ListenTLS{CertFile: cfg.ListenTLS.CertFile, KeyFile: cfg.ListenTLS.KeyFile, ClientCAFile: cfg.ListenTLS.ClientCAFile}
		}
	}
	return o, nil
}

// secrets reads a pair of files at each use; nil where none are given.
func secrets(key, secret config.SecretFile) func() (config.Secret, config.Secret, error) {
	if key == "" {
		return nil
	}
	return func() (k, s config.Secret, err error) {
		if k, err = key.Read(); err != nil {
			return k, s, err
		}
		s, err = secret.Read()
		return k, s, err
	}
}

// dynamicKeys are objects whose keys are names of things: no new interface is
// a change of the API.
func dynamicKeys() map[string][]string {
	return map[string][]string{
		"core/system/status":                            {"subsystems"},
		"diagnostics/traffic/interface":                 {"interfaces"},
		"diagnostics/firewall/pf_statistics/interfaces": {"interfaces"},
		"kea/leases4/search":                            {"interfaces"},
		"kea/leases6/search":                            {"interfaces"},
		"dhcpv4/leases/searchLease":                     {"interfaces"},
		"unbound/diagnostics/stats":                     {"data", "data.num.query.type", "data.num.answer.rcode"},
	}
}

// Run serves the proxy.
func (o *opnsense) Run(ctx context.Context) error {
	if o.server == nil {
		<-ctx.Done()
		return nil
	}
	return o.server.Run(ctx)
}

// Close drops idle connections.
func (o *opnsense) Close() error {
	o.upstream.Close()
	return nil
}

// changed is told of changes in the shape of answers, by requests of clients
// and by our own.
func (o *opnsense) changed(changes []shape.Change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range changes {
		if o.changes[c.Endpoint] == nil {
			o.changes[c.Endpoint] = map[shape.Kind]float64{}
		}
		o.changes[c.Endpoint][c.Kind]++
		o.env.Logger.Warn("the API changed", "endpoint", c.Endpoint, "field", c.Field, "change", string(c.Kind), "was", c.Was, "is", c.Is)
	}
}

package dnsquery

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/dnsquery/loki"
	"vulcan.lan/vulcan_exporter/collectors/dnsquery/technitium"
	"vulcan.lan/vulcan_exporter/internal/config"
)

// Config names one server, or one node of a cluster, and its query log.
type Config struct {
	URL         string            `yaml:"url" doc:"the server's web service, such as http://127.0.0.1:5380 or https://dns.example:53443"`
	TokenFile   config.SecretFile `yaml:"token_file" doc:"file with an API token; its user needs Logs: View, and Dashboard: View and Settings: View for what is said of the server"`
	CAFile      string            `yaml:"ca_file" doc:"certificates to trust instead of the system's, PEM"`
	App         string            `yaml:"app" doc:"name of the query log app, as installed"`
	ClassPath   string            `yaml:"class_path" doc:"class path of the query log app, such as QueryLogsMySql.App"`
	Node        string            `yaml:"node" doc:"node of a cluster to ask about; by default the one at url"`
	Overlap     config.Duration   `yaml:"overlap" doc:"how far reading looks behind the newest row, twice the longest time that single rows come late; steps of the server's clock may be longer"`
	MaxClients  int               `yaml:"max_clients" doc:"most clients with a counter of their own; what later ones ask is counted as other"`
	Clients     []string          `yaml:"clients" doc:"addresses of the clients with a counter of their own, instead of the first ones that come"`
	TopDomains  int               `yaml:"top_domains" doc:"how many of the most frequent names are shown; 0: none"`
	UpdateCheck bool              `yaml:"update_check" doc:"let the server ask its vendor once a day whether there is a newer version"`
	Names       Names             `yaml:"names" doc:"names of clients"`
	Loki        Loki              `yaml:"loki" doc:"where each row is sent, once"`
}

// Names tell clients apart for people.
type Names struct {
	File       string `yaml:"file" doc:"names of clients in the format of /etc/hosts, read again when it changes"`
	Resolver   string `yaml:"resolver" doc:"DNS server for reverse lookups of clients, such as 192.0.2.1:53; none by default"`
	LogsItself bool   `yaml:"resolver_is_logged" doc:"the resolver may be the server that is being logged, whose log then holds our own lookups"`
}

// Loki is a log store, https://grafana.com/docs/loki/latest/reference/loki-http-api/.
type Loki struct {
	URL          string            `yaml:"url" doc:"Loki's base URL, such as http://127.0.0.1:3100; by default nothing is sent"`
	Tenant       string            `yaml:"tenant" doc:"tenant, sent as X-Scope-OrgID"`
	Username     string            `yaml:"username" doc:"user for basic authentication"`
	PasswordFile config.SecretFile `yaml:"password_file" doc:"file with the user's password"`
	TokenFile    config.SecretFile `yaml:"token_file" doc:"file with a bearer token"`
	CAFile       string            `yaml:"ca_file" doc:"certificates to trust instead of the system's, PEM"`
	CertFile     string            `yaml:"cert_file" doc:"client certificate, PEM"`
	KeyFile      string            `yaml:"key_file" doc:"key of the client certificate, PEM"`
	Job          string            `yaml:"job_label" doc:"value of the label job"`
	Labels       []string          `yaml:"labels" doc:"further stream labels beside job, source, rcode and response_type, for dashboards that select them: client_ip, client_hostname, protocol, qtype; each multiplies the streams"`
	QueueBytes   int64             `yaml:"queue_bytes" doc:"disk for rows that Loki has not taken; when it is full, rows stay at the server until there is room"`
}

func defaults() Config {
	return Config{
		App: "Query Logs (Sqlite)", ClassPath: "QueryLogsSqlite.App", Overlap: config.Duration(10 * time.Minute),
		MaxClients: 100, UpdateCheck: true,
		Loki: Loki{Job: "dns_query_logs", QueueBytes: 1 << 30},
	}
}

// extraLabels are what Loki.Labels may name.
var extraLabels = []string{"client_ip", "client_hostname", "protocol", "qtype"}

// Validate implements config.Validator.
func (c *Config) Validate(report func(path, format string, args ...any)) {
	if err := (technitium.Options{URL: c.URL}).Check(); err != nil {
		report("url", "%v", err)
	}
	if c.TokenFile == "" {
		report("token_file", "expected the file of an API token")
	}
	if c.App == "" || c.ClassPath == "" {
		report("app", "expected a name and a class path of a query log app")
	}
	if c.Overlap < config.Duration(time.Minute) || c.Overlap > config.Duration(24*time.Hour) {
		report("overlap", "expected 1m to 1d, found %s", c.Overlap)
	}
	if c.MaxClients < 1 || c.MaxClients > 5000 {
		report("max_clients", "expected 1 to 5000, found %d", c.MaxClients)
	}
	for i, client := range c.Clients {
		if _, err := netip.ParseAddr(client); err != nil {
			report(fmt.Sprintf("clients[%d]", i), "expected an IP address, found %q", client)
		}
	}
	if c.TopDomains < 0 || c.TopDomains > 1000 {
		report("top_domains", "expected 0 to 1000, found %d", c.TopDomains)
	}
	c.Names.validate(c.URL, report)
	c.Loki.validate(report)
}

func (n *Names) validate(server string, report func(path, format string, args ...any)) {
	if n.Resolver == "" {
		return
	}
	host, _, err := net.SplitHostPort(n.Resolver)
	if _, bad := netip.ParseAddr(host); err != nil || bad != nil {
		report("names.resolver", "expected an IP address and a port such as 192.0.2.1:53, found %q", n.Resolver)
		return
	}
	if u, err := url.Parse(server); err == nil && u.Hostname() == host && !n.LogsItself {
		report("names.resolver", "this is the server that is being logged: each lookup would be a row of its log; set resolver_is_logged if that is wanted")
	}
}

func (l *Loki) validate(report func(path, format string, args ...any)) {
	if l.URL == "" {
		return
	}
	if key, fault := l.options().Check(); fault != "" {
		report("loki."+key, "%s", fault)
	}
	if l.Job == "" {
		report("loki.job_label", "expected a value")
	}
	for i, label := range l.Labels {
		if !slices.Contains(extraLabels, label) || slices.Index(l.Labels, label) < i {
			report(fmt.Sprintf("loki.labels[%d]", i), "expected one of %q, each once, found %q", extraLabels, label)
		}
	}
	if l.QueueBytes < 16<<20 {
		report("loki.queue_bytes", "expected at least %d, found %d", 16<<20, l.QueueBytes)
	}
}

func (l *Loki) options() loki.Options {
	return loki.Options{
		URL: l.URL, Tenant: l.Tenant, Username: l.Username, PasswordFile: l.PasswordFile, TokenFile: l.TokenFile,
		CAFile: l.CAFile, CertFile: l.CertFile, KeyFile: l.KeyFile, Durations: lokiPush,
	}
}

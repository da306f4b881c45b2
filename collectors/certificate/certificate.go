// Package certificate observes certificates on disk, on the wire, and whether the two agree.
//
// System: certificate files (PEM, DER, PKCS#12; revocation lists) and TLS servers. Interface: the
// file system and one TLS handshake an endpoint. Privileges: read access to the files; to compare
// private keys also to them, of which only the public half is kept. Cost: a pass over files that
// did not change is a stat each and publishes nothing new; an endpoint is one connection.
//
// A file that cannot be read and an endpoint that does not answer are data: each has a reason,
// and the others go on. A file that several paths lead to (the hash links of /etc/ssl/certs) is
// shown once, under the first path that names it.
package certificate

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/certificate/files"
	"vulcan.lan/vulcan_exporter/collectors/certificate/wire"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/config"
)

// Config says which certificates to observe and what to trust.
type Config struct {
	Files         []Files    `yaml:"files" doc:"groups of certificate files"`
	Endpoints     []Endpoint `yaml:"endpoints" doc:"TLS servers whose certificates are taken from a handshake"`
	Roots         []string   `yaml:"roots" doc:"files of trusted root certificates, instead of the system's store; shown as type ca"`
	Intermediates []string   `yaml:"intermediates" doc:"files of intermediate certificates that complete the chains of files; shown as type ca"`
	CRLs          []string   `yaml:"crls" doc:"revocation lists, shown as type crl, by which chains are judged"`
}

// Files is a group of files of one type.
type Files struct {
	Type     string            `yaml:"type" doc:"value of the label type, such as nginx; ca is for authorities, which have alerts of their own"`
	Paths    []string          `yaml:"paths" doc:"absolute paths, and patterns with * ? [] {} and ** for any folders"`
	Exclude  []string          `yaml:"exclude" doc:"patterns of paths, or of file names where they hold no slash, to leave out"`
	Key      string            `yaml:"key" doc:"path of the private key, with {dir} and {stem} of the certificate's; else the usual names beside it are tried"`
	Password config.SecretFile `yaml:"password_file" doc:"file with the password of PKCS#12 files"`
	Optional bool              `yaml:"optional" doc:"true where it is in order that nothing is found"`
}

// Endpoint is a TLS server.
type Endpoint struct {
	Name       string          `yaml:"name" doc:"value of the label name, unique among the endpoints"`
	Address    string          `yaml:"address" doc:"host:port"`
	ServerName string          `yaml:"server_name" doc:"name to ask for and to expect in the certificate; the host of the address where empty"`
	StartTLS   string          `yaml:"starttls" doc:"protocol that begins in plain text: smtp, imap, pop3 or postgres"`
	CAFile     string          `yaml:"ca_file" doc:"trusted root certificates for this endpoint"`
	Serves     string          `yaml:"serves" doc:"path of the certificate file that the server is configured with, to notice that it was renewed and not reloaded"`
	Timeout    config.Duration `yaml:"timeout" doc:"deadline of connection and handshake; 5s where empty"`
}

const defaultTimeout = 5 * time.Second

// Validate checks the paths, patterns and addresses.
func (c *Config) Validate(report func(path, format string, args ...any)) {
	if len(c.Files)+len(c.Endpoints)+len(c.Roots)+len(c.Intermediates)+len(c.CRLs) == 0 {
		report("files", "expected files or endpoints")
	}
	taken := map[[2]string]bool{}
	for i := range c.Files {
		c.Files[i].validate(fmt.Sprintf("files[%d].", i), report)
		for j, path := range c.Files[i].Paths {
			key := [2]string{c.Files[i].Type, path}
			if taken[key] {
				report(fmt.Sprintf("files[%d].paths[%d]", i, j), "%q is listed twice for type %s", path, c.Files[i].Type)
			}
			taken[key] = true
		}
	}
	for i := range c.Endpoints {
		at := fmt.Sprintf("endpoints[%d].", i)
		c.Endpoints[i].validate(at, report)
		same := func(e Endpoint) bool { return e.Name == c.Endpoints[i].Name }
		if c.Endpoints[i].Name != "" && slices.IndexFunc(c.Endpoints, same) < i {
			report(at+"name", "the name %q is taken by another endpoint", c.Endpoints[i].Name)
		}
	}
	validatePaths("roots", c.Roots, report)
	validatePaths("intermediates", c.Intermediates, report)
	validatePaths("crls", c.CRLs, report)
}

func (f *Files) validate(at string, report func(path, format string, args ...any)) {
	if f.Type == "" {
		report(at+"type", "expected a type such as nginx")
	}
	if len(f.Paths) == 0 {
		report(at+"paths", "expected at least one path or pattern")
	}
	for i, path := range f.Paths {
		validatePath(fmt.Sprintf("%spaths[%d]", at, i), path, report)
	}
	for i, pattern := range f.Exclude {
		if !files.ValidPattern(pattern) {
			report(fmt.Sprintf("%sexclude[%d]", at, i), "%q is not a valid pattern", pattern)
		}
	}
	if f.Key != "" && !filepath.IsAbs(strings.Replace(f.Key, "{dir}", "/", 1)) {
		report(at+"key", "expected an absolute path such as {dir}/{stem}.key, found %q", f.Key)
	}
}

func validatePaths(at string, paths []string, report func(path, format string, args ...any)) {
	for i, path := range paths {
		one := fmt.Sprintf("%s[%d]", at, i)
		validatePath(one, path, report)
		if slices.Index(paths, path) < i {
			report(one, "%q is listed twice", path)
		}
	}
}

func validatePath(at, path string, report func(path, format string, args ...any)) {
	switch {
	case !filepath.IsAbs(path):
		report(at, "expected an absolute path, found %q", path)
	case !files.ValidPattern(path):
		report(at, "%q is not a valid pattern", path)
	}
}

func (e *Endpoint) validate(at string, report func(path, format string, args ...any)) {
	if e.Name == "" {
		report(at+"name", "expected a name")
	}
	if host, port, err := net.SplitHostPort(e.Address); err != nil || host == "" || port == "" {
		report(at+"address", "expected host:port, found %q", e.Address)
	} else if e.ServerName == "" {
		e.ServerName = host
	}
	if e.StartTLS != "" && !slices.Contains(wire.Protocols(), e.StartTLS) {
		report(at+"starttls", "expected one of %s, found %q", strings.Join(wire.Protocols(), ", "), e.StartTLS)
	}
	for key, path := range map[string]string{"ca_file": e.CAFile, "serves": e.Serves} {
		if path != "" && (!filepath.IsAbs(path) || files.IsPattern(path)) {
			report(at+key, "expected the absolute path of one file, found %q", path)
		}
	}
	if e.Timeout == 0 {
		e.Timeout = config.Duration(defaultTimeout)
	}
}

// Definition describes the collector.
func Definition() *collector.Definition {
	return collector.Define(collector.Spec[Config]{
		Name:    "certificate",
		Summary: "Certificates in files and on the wire: expiry, keys, chains, revocation, and whether servers present what the files hold.",
		Metrics: declared,
		Every:   5 * time.Minute,
		Timeout: 2 * time.Minute,
		Budget:  100_000, // 10,000 files have five series each
		New:     newCollector,
	})
}

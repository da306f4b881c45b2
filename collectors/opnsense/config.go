package opnsense

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/url"
	"slices"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/opnsense/proxy"
	"vulcan.lan/vulcan_exporter/collectors/opnsense/transform"
	"vulcan.lan/vulcan_exporter/internal/config"
)

// Config is one firewall.
type Config struct {
	URL        string `yaml:"url" doc:"address of the firewall, https only"`
	CAFile     string `yaml:"ca_file" doc:"PEM certificates to verify the firewall against instead of the system's; a self-signed certificate is its own CA"`
	PinSHA256  string `yaml:"pin_sha256" doc:"base64 of the SHA-256 of the firewall's public key, instead of a CA"`
	ServerName string `yaml:"server_name" doc:"name in the firewall's certificate where it is not the host of url"`
	Insecure   bool   `yaml:"insecure_skip_verify" doc:"accept any certificate: whoever answers gets the API key"`

	KeyFile    config.SecretFile `yaml:"key_file" doc:"file with the API key; without one clients send their own and no facts are read"`
	SecretFile config.SecretFile `yaml:"secret_file" doc:"file with the API secret"`

	Listen    string `yaml:"listen" doc:"address of the proxy; empty for none"`
	ListenTLS TLS    `yaml:"listen_tls" doc:"TLS on the proxy's address"`
	Client    Client `yaml:"client" doc:"key and secret that the proxy's clients must show; needs key_file"`

	Allow []string `yaml:"allow" doc:"endpoints below /api/ that the proxy serves beside those of opnsense-exporter; * matches within one segment"`
	Rules []Rule   `yaml:"rules" doc:"types that clients expect, beside the built-in ones and before them"`

	HTTPVersion     string          `yaml:"http_version" doc:"auto, 1.1 or 2, towards the firewall"`
	UpstreamTimeout config.Duration `yaml:"upstream_timeout" doc:"longest time that the firewall may take for one answer"`
	MaxResponse     int64           `yaml:"max_response_bytes" doc:"largest answer that is passed on"`
}

// TLS is the proxy's certificate.
type TLS struct {
	CertFile     string `yaml:"cert_file" doc:"PEM certificate chain"`
	KeyFile      string `yaml:"key_file" doc:"PEM private key"`
	ClientCAFile string `yaml:"client_ca_file" doc:"PEM certificates that client certificates must come from; without it clients need none"`
}

// Client is what clients of the proxy must show as HTTP basic authentication.
type Client struct {
	KeyFile    config.SecretFile `yaml:"key_file" doc:"file with the user name"`
	SecretFile config.SecretFile `yaml:"secret_file" doc:"file with the password"`
}

// Rule is one row of the table of types.
type Rule struct {
	Endpoint string            `yaml:"endpoint" doc:"path below /api/"`
	Field    string            `yaml:"field" doc:"keys joined by dots, * for any other key, [] for the elements of a list: rows[].priority"`
	Type     string            `yaml:"type" doc:"string, int, number, bool, object or array"`
	Values   map[string]string `yaml:"values" doc:"JSON for certain texts, before the type's own mapping"`
	Inject   string            `yaml:"inject" doc:"JSON for a field that is null, empty or missing; counted as injected"`
}

func (r Rule) compiled() transform.Rule {
	return transform.Rule{Endpoint: r.Endpoint, Path: r.Field, Want: transform.Want(r.Type), Values: r.Values, Inject: r.Inject}
}

// defaults listen on loopback only. 15 s is what opnsense-exporter waits.
func defaults() Config {
	return Config{Listen: "127.0.0.1:8444", HTTPVersion: "auto", UpstreamTimeout: config.Duration(15 * time.Second), MaxResponse: 8 << 20}
}

// Validate implements config.Validator.
func (c *Config) Validate(report func(path, format string, args ...any)) {
	if u, err := url.Parse(c.URL); err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.User != nil || u.RawQuery != "" {
		report("url", "expected https://HOST or https://HOST:PORT, found %q", c.URL)
	}
	c.validateTrust(report)
	if (c.KeyFile == "") != (c.SecretFile == "") {
		report("key_file", "expected key_file and secret_file, or none of them")
	}
	if (c.Client.KeyFile == "") != (c.Client.SecretFile == "") {
		report("client", "expected key_file and secret_file, or none of them")
	}
	if c.Client.KeyFile != "" && c.KeyFile == "" {
		report("client", "clients cannot have a key of their own without key_file: it would go to the firewall")
	}
	if _, _, err := net.SplitHostPort(c.Listen); c.Listen != "" && err != nil {
		report("listen", "expected HOST:PORT or nothing, found %q", c.Listen)
	}
	if (c.ListenTLS.CertFile == "") != (c.ListenTLS.KeyFile == "") || c.ListenTLS.ClientCAFile != "" && c.ListenTLS.CertFile == "" {
		report("listen_tls", "expected cert_file and key_file")
	}
	for i, pattern := range c.Allow {
		if err := proxy.CheckPattern(pattern); err != nil {
			report(fmt.Sprintf("allow[%d]", i), "%v, found %q", err, pattern)
		}
	}
	for i, r := range c.Rules {
		at := fmt.Sprintf("rules[%d]", i)
		if err := proxy.CheckPattern(r.Endpoint); err != nil {
			report(at+".endpoint", "%v, found %q", err, r.Endpoint)
		}
		if err := r.compiled().Check(); err != nil {
			report(at, "%v", err)
		}
	}
	if !slices.Contains([]string{"auto", "1.1", "2"}, c.HTTPVersion) {
		report("http_version", "expected auto, 1.1 or 2, found %q", c.HTTPVersion)
	}
	if c.UpstreamTimeout <= 0 {
		report("upstream_timeout", "expected a duration above 0")
	}
	if c.MaxResponse < 1<<10 || c.MaxResponse > 1<<30 {
		report("max_response_bytes", "expected 1024 to 1073741824")
	}
}

func (c *Config) validateTrust(report func(path, format string, args ...any)) {
	ways := 0
	for _, given := range []bool{c.CAFile != "", c.PinSHA256 != "", c.Insecure} {
		if given {
			ways++
		}
	}
	if ways > 1 {
		report("ca_file", "expected at most one of ca_file, pin_sha256 and insecure_skip_verify")
	}
	if sum, err := base64.StdEncoding.DecodeString(c.PinSHA256); c.PinSHA256 != "" && (err != nil || len(sum) != 32) {
		report("pin_sha256", "expected 32 bytes in base64, found %q", c.PinSHA256)
	}
}

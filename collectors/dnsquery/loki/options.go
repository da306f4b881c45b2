package loki

import (
	"strings"
	"time"

	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/httpjson"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// Options tell where Loki is and how to push to it.
type Options struct {
	// URL is Loki's base, http or https; the path of the push API is added unless it is there.
	URL string
	// Tenant is sent as X-Scope-OrgID; empty: none is sent.
	Tenant string
	// Username and PasswordFile are for basic authentication, TokenFile for a bearer token. The
	// files are read for each push.
	Username     string
	PasswordFile config.SecretFile
	TokenFile    config.SecretFile
	// CAFile holds the certificates to trust instead of the system's; CertFile and KeyFile the
	// client's. All are PEM and read at each connection.
	CAFile, CertFile, KeyFile string
	// Timeout is for one push; 0: 30 s.
	Timeout time.Duration
	// BatchBytes is about the size of the entries of one push before compression; 0: 1 MiB.
	BatchBytes int
	// MinBackoff and MaxBackoff bound the pause after a failed push; 0: 500 ms and 1 min.
	MinBackoff, MaxBackoff time.Duration
	// Durations declares the buckets of Stats.Durations, seconds.
	Durations metric.Histogram
}

const pushPath = "/loki/api/v1/push"

// Check tells what is wrong: the setting's usual key in a configuration file and the fault, both
// empty if nothing is.
func (o Options) Check() (key, fault string) {
	if err := (httpjson.Config{URL: o.URL}).Check(); err != nil {
		return "url", err.Error()
	}
	switch {
	case strings.HasPrefix(o.URL, "unix:"):
		return "url", "expected http://host or https://host"
	case (o.Username == "") != (o.PasswordFile == ""):
		return "username", "username and password_file belong together"
	case o.Username != "" && o.TokenFile != "":
		return "token_file", "use one of token_file and username"
	case (o.CertFile == "") != (o.KeyFile == ""):
		return "cert_file", "cert_file and key_file belong together"
	case strings.ContainsFunc(o.Tenant, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "tenant", "expected printable ASCII without spaces"
	}
	return "", ""
}

// endpoint is the URL of the push API.
func (o Options) endpoint() string {
	return strings.TrimSuffix(strings.TrimRight(o.URL, "/"), pushPath) + pushPath
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	set(&o.Timeout, 30*time.Second)
	set(&o.MinBackoff, 500*time.Millisecond)
	set(&o.MaxBackoff, time.Minute)
	if o.BatchBytes <= 0 {
		o.BatchBytes = 1 << 20
	}
	return o
}

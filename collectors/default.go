package collectors

import (
	"os"
	"os/exec"
	"strings"
)

// part is a piece of the default configuration and what it needs of a machine.
type part struct {
	when func() bool
	yaml string
}

// DefaultConfig observes what this machine has, without a configuration file:
// a collector whose system is not here would only tell that.
func DefaultConfig() []byte {
	var b strings.Builder
	for _, p := range defaults() {
		if p.when() {
			b.WriteString(p.yaml)
		}
	}
	return []byte(b.String())
}

func defaults() []part {
	systemd := func() bool { return exists("/run/systemd/system") } // sd_booted(3)
	return []part{
		{func() bool { return true }, `
certificate:
  files:
    - {type: ca, paths: [/etc/ssl/certs/ca-certificates.crt, /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem, /etc/ssl/cert.pem], optional: true}
    - {type: system, paths: ["/etc/ssl/certs/ssl-cert-*.pem", "/etc/ssl/private/*.{crt,pem}", "/etc/pki/tls/certs/*.crt"], exclude: ["ca-bundle*"], optional: true}
    - {type: letsencrypt, paths: ["/etc/letsencrypt/live/**/fullchain.pem"], optional: true}
    - {type: acme, paths: ["/var/lib/acme/*/fullchain.pem"], optional: true}
    - type: server
      paths:
        - "/etc/{nginx,apache2,httpd,postfix,dovecot,postgresql}/**/*.{crt,pem,cert}"
        - "/var/lib/*-certs/*.{crt,pem}"
      optional: true
`},
		{systemd, `
criticalservice: {units: [dbus.service, systemd-journald.service]}
systemd: {}
backup: {jobs: [{units: "*backup*.service"}]}
`},
		{func() bool { return onPath("zpool") }, `
zfs: {}
`},
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func onPath(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"vulcan.lan/vulcan_exporter/collectors/certificate/zoo"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// estate is a host with certificates in files, three web servers that use some of them, and an
// authority.
type estate struct {
	t        *testing.T
	dir      string
	root, ca *zoo.Cert
	now      time.Time
}

// issue writes a pair of files with the given lifetime left, of a year.
func (e *estate) issue(name string, left time.Duration) *zoo.Cert {
	e.t.Helper()
	const year = 365 * 24 * time.Hour
	leaf := e.ca.Issue(e.t, filepath.Base(name)+".test", zoo.Lifetime(e.now.Add(left-year), e.now.Add(left)))
	e.write(name+".key", leaf.KeyPEM(e.t))
	e.write(name+".crt", zoo.PEM(leaf, e.ca))
	return leaf
}

func (e *estate) write(name string, content []byte) { zoo.Write(e.t, e.dir, name, content) }

func (e *estate) path(name string) string { return filepath.Join(e.dir, name) }

func (e *estate) server(address, name, more string) string {
	return fmt.Sprintf("server { listen %[1]s ssl; server_name %[2]s.test; ssl_certificate %[3]s.crt; ssl_certificate_key %[3]s.key; %[4]s return 204; }\n",
		address, filepath.Base(name), e.path(name), more)
}

func (e *estate) staple(leaf *zoo.Cert, left time.Duration) {
	e.t.Helper()
	der, err := ocsp.CreateResponse(e.ca.Certificate, e.ca.Certificate, ocsp.Response{
		SerialNumber: leaf.SerialNumber, ThisUpdate: e.now.Add(-time.Hour), NextUpdate: e.now.Add(left),
	}, e.ca.Key)
	if err != nil {
		e.t.Fatal(err)
	}
	e.write("staple.der", der)
}

// healthy writes everything as it ought to be.
func (e *estate) healthy() {
	e.t.Helper()
	const fine = 200 * 24 * time.Hour
	for _, name := range []string{"drift", "soon", "short", "host", "stapled", "down", "alone/alone", "last", "expired", "key", "broken", "revoked"} {
		leaf := e.issue(name, fine)
		if name == "stapled" {
			e.staple(leaf, fine)
		}
	}
	e.write("single.pem", zoo.PEM(e.issue("single-source", fine), e.ca))
	e.write("glob/one.pem", zoo.PEM(e.issue("glob-source", fine), e.ca))
	e.write("list.crl", e.ca.Revoke(e.t, e.now.Add(-time.Hour), e.now.Add(fine)))
}

// TestCertificates takes files and three real nginx through each fault of
// certificate_alerts.yml, all at once, and back.
func TestCertificates(t *testing.T) {
	t.Parallel()
	e := &estate{t: t, dir: t.TempDir(), now: time.Now(), root: zoo.Root(t, "Root")}
	e.ca = e.root.Authority(t, "CA", zoo.Lifetime(e.now.Add(-time.Hour), e.now.Add(5*365*24*time.Hour)))
	e.healthy()
	e.write("root.cer", zoo.PEM(e.root))
	var address [3]string
	for i := range address {
		address[i] = freeAddress(t)
	}
	sites := e.server(address[0], "soon", "") + e.server(address[0], "short", "") + e.server(address[0], "host", "") +
		e.server(address[0], "stapled", "ssl_stapling on; ssl_stapling_file "+e.path("staple.der")+";") +
		e.server(address[0], "alone/alone", "")
	web := testenv.StartNginx(t, sites)
	drift := testenv.StartNginx(t, e.server(address[1], "drift", ""))
	downSite := e.server(address[2], "down", "")
	down := testenv.StartNginx(t, downSite)

	config := fmt.Sprintf(`certificate:
  interval: 1s
  timeout: 30s
  files:
    - {type: nginx, paths: ["%[1]s/*.crt"], exclude: ["*-source.crt"]}
    - {type: postfix, paths: ["%[1]s/single.pem", "%[1]s/glob/*.pem"]}
  roots: ["%[1]s/root.cer"]
  crls: ["%[1]s/list.crl"]
  endpoints:
    - {name: web-alone, address: "%[2]s", server_name: alone.test}
`, e.dir, address[0])
	for name, at := range map[string]string{"soon": address[0], "short": address[0], "host": address[0], "stapled": address[0], "drift": address[1], "down": address[2]} {
		config += fmt.Sprintf("    - {name: web-%[1]s, address: %[2]q, server_name: %[1]s.test, serves: %[3]s/%[1]s.crt}\n", name, at, e.dir)
	}
	h := New(t, Options{Config: config, Rules: []string{"certificate_alerts", "exporter"}, Scale: 100})
	h.ExactlyFiring()

	faults := e.breakAll(web, drift, down)
	for _, a := range faults {
		h.WaitFiring(a.Name, a.Labels)
	}
	h.ExactlyFiring(faults...)

	if err := os.Remove(e.path("alone/alone.crt")); err != nil { // see that nothing old is left
		t.Fatal(err)
	}
	e.healthy()
	web.Reload(t)
	drift.Reload(t)
	testenv.StartNginx(t, downSite)
	for _, a := range faults {
		h.WaitResolved(a.Name, a.Labels)
	}
	h.ExactlyFiring()
	h.ExactlyFired(faults...)
}

// breakAll brings every fault about and gives the alerts that are to fire, one for each.
func (e *estate) breakAll(web, drift, down *testenv.Nginx) []Alert {
	e.t.Helper()
	const day = 24 * time.Hour
	e.issue("soon", 20*day) // and presented: the file's alert alone
	e.issue("last", 12*time.Hour)
	e.issue("expired", -time.Hour)
	e.issue("alone/alone", -time.Hour) // presented, and in no file that is observed
	leaf := e.issue("short", 200*day)
	e.write("short.crt", zoo.PEM(leaf)) // presented too: the file's alert alone
	other := e.ca.Issue(e.t, "elsewhere.test")
	e.write("host.crt", zoo.PEM(other, e.ca))
	e.write("host.key", other.KeyPEM(e.t))
	e.staple(e.issue("stapled", 200*day), -time.Minute)
	web.Reload(e.t)
	e.issue("drift", 300*day) // and no reload
	down.Stop()
	e.write("key.key", other.KeyPEM(e.t))
	e.write("broken.crt", zoo.PEM(other)[:200])
	revoked := e.issue("revoked", 200*day)
	e.write("list.crl", e.ca.Revoke(e.t, e.now.Add(-2*time.Hour), e.now.Add(-time.Hour), revoked))
	for _, name := range []string{"single.pem", "glob/one.pem"} {
		if err := os.Remove(e.path(name)); err != nil {
			e.t.Fatal(err)
		}
	}
	file := func(alert, name string) Alert { return Alert{alert, map[string]string{"name": name, "type": "nginx"}} }
	wire := func(alert, name string) Alert { return Alert{alert, map[string]string{"name": name}} }
	return []Alert{
		file("CertificateExpiringSoon", "soon"), file("CertificateLastDay", "last"), file("CertificateExpired", "expired"),
		{"CertificateExpired", map[string]string{"name": "web-alone", "type": "endpoint"}},
		{"CertificateChainInvalid", map[string]string{"name": "short", "type": "nginx", "reason": "incomplete"}},
		wire("CertificateHostnameMismatch", "web-host"), wire("CertificateServedDiffers", "web-drift"), wire("CertificateEndpointDown", "web-down"),
		wire("CertificateStapleInvalid", "web-stapled"), file("CertificateKeyMismatch", "key"),
		{"CertificateFileUnreadable", map[string]string{"name": "broken", "reason": "malformed"}},
		file("CertificateRevoked", "revoked"), {"CertificateCRLStale", map[string]string{"name": "list"}},
		{"CertificateFileMissing", map[string]string{"path": e.path("single.pem")}},
		{"CertificateFilesNotFound", map[string]string{"glob": e.path("glob/*.pem")}},
	}
}

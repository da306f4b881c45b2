package testenv

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"embed"
	"encoding/base64"
	"encoding/pem"
	"io"
	"io/fs"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// opnsenseAnswers are answers in the shape that each version gives, one file for each endpoint. A
// version without a file of its own answers as the one before it. What is known to differ:
//
//	searchGateway        24.7-25.7.7 monitor_disable true (implicit) and 0 (legacy); 24.7, 25.1 numeric
//	                     weight; all versions numeric priority, rows that lack fields, "~" for no
//	                     measurement, a status in the language of the user
//	core/system/status   24.7 an object for each subsystem; 25.1 metadata.system.status 2; from 25.7.7
//	                     on a word, "OK" included
//	core/firmware/status 24.7 product_check null, no needs_reboot; 25.1 empty PHP arrays for maps
//	getProtocolStatistics from 26.1 a counter that underflowed to 1.8446744073709087e+19
//	traffic/interface, pf_statistics  26.1, 26.7 [] for an empty map of interfaces
//	unbound              25.1 and 25.7.7 without extended statistics; 26.1 with "" and null
//	system*              24.7 device_seq as text, no loadavg; 26.7 "N/A" for what sysctl did not tell
//	HTTP/1.1             26.7 a chunked body that is malformed (core/firmware/status); HTTP/2 is fine
//
//go:embed opnsense
var opnsenseAnswers embed.FS

// OPNsenseVersions are the versions that the fake knows, in their order.
func OPNsenseVersions() []string { return []string{"24.7", "25.1", "25.7.7", "25.7.8", "26.1", "26.7"} }

// OPNsenseKey and OPNsenseSecret are the API key of the fake.
const (
	OPNsenseKey    = "w86XNZob8Oq8aC5r0kbNarNtdpoQU781fyoeaOBQsBwkXUt"
	OPNsenseSecret = "XeD26XVrJ5ilAc1Z1b0T2KrlJa2oXZvhUpRjY0dqIdvXhQ9"
)

// OPNsense is a firewall's API over TLS on loopback, HTTP/1.1 and HTTP/2.
type OPNsense struct {
	URL    string
	CAFile string // PEM of the certificate authority that signed the certificate
	Pin    string // base64 of the SHA-256 of the server's public key

	server   *httptest.Server
	mu       sync.Mutex
	version  string
	key      string
	answers  map[string]http.HandlerFunc
	requests []*http.Request
}

// OPNsenseOptions are the ways in which a certificate can be wrong.
type OPNsenseOptions struct {
	NotAfter time.Time // zero: in a year
	Name     string    // empty: 127.0.0.1
}

// StartOPNsense starts a fake firewall.
func StartOPNsense(t testing.TB, version string, options OPNsenseOptions) *OPNsense {
	t.Helper()
	o := &OPNsense{version: version, key: OPNsenseKey, answers: map[string]http.HandlerFunc{}}
	o.server = httptest.NewUnstartedServer(o)
	certificate, ca := opnsenseCertificate(t, options)
	o.server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	o.server.EnableHTTP2 = true
	o.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	o.server.StartTLS()
	t.Cleanup(o.Stop)
	sum := sha256.Sum256(certificate.Leaf.RawSubjectPublicKeyInfo)
	o.URL, o.Pin = o.server.URL, base64.StdEncoding.EncodeToString(sum[:])
	o.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(o.CAFile, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	return o
}

// Stop ends the firewall; connections are refused afterwards.
func (o *OPNsense) Stop() {
	o.server.CloseClientConnections()
	o.server.Close()
}

// Update changes the version, as a firmware update does.
func (o *OPNsense) Update(version string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.version = version
}

// Revoke makes the API refuse its key.
func (o *OPNsense) Revoke() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.key = ""
}

// Answer replaces the answer of an endpoint (below /api/), or with nil restores it.
func (o *OPNsense) Answer(endpoint string, handler http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers[endpoint] = handler
}

// Requests returns what was asked so far.
func (o *OPNsense) Requests() []*http.Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.requests)
}

// ServeHTTP implements http.Handler.
func (o *OPNsense) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	endpoint := strings.TrimPrefix(r.URL.Path, "/api/")
	o.mu.Lock()
	o.requests = append(o.requests, r)
	version, key, answer := o.version, o.key, o.answers[endpoint]
	o.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: "PHPSESSID", Value: "c0ffee", HttpOnly: true, Secure: true})
	w.Header().Set("Server", "OPNsense")
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	if user, password, _ := r.BasicAuth(); key == "" || user != key || password != OPNsenseSecret {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"status":401,"message":"Authentication Failed"}`)
		return
	}
	if answer != nil {
		answer(w, r)
		return
	}
	body, ok := OPNsenseAnswer(version, endpoint)
	switch {
	case !ok:
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"errorMessage":"Endpoint not found"}`)
	case version == "26.7" && endpoint == "core/firmware/status" && r.ProtoMajor == 1:
		malformed(w, body)
	default:
		_, _ = w.Write(body)
	}
}

// OPNsenseAnswer is what a version answers.
func OPNsenseAnswer(version, endpoint string) ([]byte, bool) {
	versions := OPNsenseVersions()
	for i := slices.Index(versions, version); i >= 0; i-- {
		body, err := fs.ReadFile(opnsenseAnswers, "opnsense/"+versions[i]+"/"+strings.ReplaceAll(endpoint, "/", ".")+".json")
		if err == nil {
			return body, true
		}
	}
	return nil, false
}

// malformed sends a chunked body whose second chunk has no size.
func malformed(w http.ResponseWriter, body []byte) {
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = buf.WriteString("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n")
	_, _ = buf.Write(body[:16])
	_, _ = buf.WriteString("\r\n\r\n")
	_, _ = buf.Write(body[16:])
	_ = buf.Flush()
}

func opnsenseCertificate(t testing.TB, options OPNsenseOptions) (leaf tls.Certificate, ca []byte) {
	t.Helper()
	now := time.Now()
	if options.NotAfter.IsZero() {
		options.NotAfter = now.AddDate(1, 0, 0)
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "OPNsense test CA"},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "OPNsense.localdomain"},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: options.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if options.Name != "" {
		server.IPAddresses, server.DNSNames = nil, []string{options.Name}
	}
	authorityKey, authorityDER := sign(t, authority, authority, nil)
	serverKey, serverDER := sign(t, server, authority, authorityKey)
	parsed, err := x509.ParseCertificate(serverDER)
	if err != nil {
		t.Fatal(err)
	}
	leaf = tls.Certificate{Certificate: [][]byte{serverDER}, PrivateKey: serverKey, Leaf: parsed}
	return leaf, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authorityDER})
}

// sign makes a key and a certificate for it; a nil signer signs itself.
func sign(t testing.TB, template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return key, der
}

package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"
)

// Trust is how the firewall proves that it is the firewall.
type Trust struct {
	// CAFile holds PEM certificates to verify against instead of the system's;
	// a self-signed server certificate is its own CA. It is read anew for each
	// connection.
	CAFile string
	// PinSHA256 is the base64 of the SHA-256 of the server's public key (SPKI,
	// RFC 7469 section 2.4). It takes the place of a CA; names do not matter.
	PinSHA256 string
	// ServerName is the name in the certificate where it is not the URL's host.
	ServerName string
	// Insecure accepts any certificate.
	Insecure bool
}

// CertificateError is a certificate that does not prove who the server is.
type CertificateError struct{ err error }

func (e *CertificateError) Error() string { return "certificate not trusted: " + e.err.Error() }
func (e *CertificateError) Unwrap() error { return e.err }

// Upstream is the connection to one firewall.
type Upstream struct {
	URL       *url.URL
	trust     Trust
	now       func() time.Time
	transport *http.Transport

	mu      sync.Mutex
	expiry  time.Time // of the certificate seen last
	trusted int       // 0 no certificate seen yet, 1 trusted, 2 not
}

// Limits of the connection's phases. The whole exchange has its own.
const (
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 5 * time.Second
	maxHeader        = 64 << 10
)

// NewUpstream prepares connections; it makes none. version is "1.1", "2" or
// "auto" (HTTP/2 where the server offers it).
func NewUpstream(u *url.URL, trust Trust, version string, now func() time.Time) *Upstream {
	up := &Upstream{URL: u, trust: trust, now: now}
	if up.trust.ServerName == "" {
		up.trust.ServerName = u.Hostname()
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(version != "2")
	protocols.SetHTTP2(version != "1.1")
	up.transport = &http.Transport{
		// No proxy of the environment: credentials go to the firewall only.
		Proxy:       nil,
		DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig: &tls.Config{
			ServerName: up.trust.ServerName,
			MinVersion: tls.VersionTLS12,
			// The standard verification knows no pins and reads its CA once.
			// verify does all of it, on resumed connections too.
			InsecureSkipVerify: true,
			VerifyConnection:   up.verify,
		},
		TLSHandshakeTimeout:    handshakeTimeout,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        90 * time.Second,
		DisableCompression:     true,
		Protocols:              protocols,
	}
	return up
}

// RoundTrip sends one request. It follows no redirect.
func (u *Upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	return u.transport.RoundTrip(r)
}

// Close drops idle connections.
func (u *Upstream) Close() { u.transport.CloseIdleConnections() }

// Certificate tells of the certificate that the server showed last: when it
// ends and whether it was trusted. known is false before the first handshake.
func (u *Upstream) Certificate() (expiry time.Time, trusted, known bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.expiry, u.trusted == 1, u.trusted != 0
}

// Shake makes a TLS handshake, so that the certificate is known even while the
// pooled connections of the day before go on working.
func (u *Upstream) Shake(ctx context.Context) error {
	address := u.URL.Host
	if u.URL.Port() == "" {
		address = net.JoinHostPort(u.URL.Hostname(), "443")
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout+handshakeTimeout)
	defer cancel()
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout}, Config: u.transport.TLSClientConfig.Clone()}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

func (u *Upstream) verify(state tls.ConnectionState) error {
	leaf := state.PeerCertificates[0] // a TLS server always shows one
	err := u.judge(leaf, state.PeerCertificates[1:])
	u.mu.Lock()
	defer u.mu.Unlock()
	u.expiry, u.trusted = leaf.NotAfter, 1
	if err == nil {
		return nil
	}
	u.trusted = 2
	if u.trust.Insecure {
		return nil
	}
	return &CertificateError{err}
}

func (u *Upstream) judge(leaf *x509.Certificate, chain []*x509.Certificate) error {
	now := u.now()
	if u.trust.PinSHA256 != "" {
		sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
		pin, err := base64.StdEncoding.DecodeString(u.trust.PinSHA256)
		switch {
		case err != nil:
			return err
		case !bytes.Equal(sum[:], pin):
			return fmt.Errorf("the public key is %s, not the pinned one", base64.StdEncoding.EncodeToString(sum[:]))
		case now.Before(leaf.NotBefore) || now.After(leaf.NotAfter):
			return fmt.Errorf("valid from %s to %s", leaf.NotBefore, leaf.NotAfter)
		}
		return nil
	}
	options := x509.VerifyOptions{DNSName: u.trust.ServerName, CurrentTime: now, Intermediates: x509.NewCertPool()}
	for _, c := range chain {
		options.Intermediates.AddCert(c)
	}
	if u.trust.CAFile != "" {
		pem, err := os.ReadFile(u.trust.CAFile)
		if err != nil {
			return err
		}
		options.Roots = x509.NewCertPool()
		if !options.Roots.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s holds no certificate", u.trust.CAFile)
		}
	}
	_, err := leaf.Verify(options)
	return err
}

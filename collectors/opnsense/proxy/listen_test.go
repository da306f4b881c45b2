package proxy

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// TLS on the listener, with client certificates.
func TestListenerTLS(t *testing.T) {
	fw := testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{})
	certificate, pool := selfSigned(t)
	e := start(t, fw, func(_ *Options, _ *Trust, s *Server) {
		s.TLS = &ListenTLS{CertFile: certificate.file, KeyFile: certificate.key, ClientCAFile: certificate.file}
	})
	ask := func(certificates ...tls.Certificate) error {
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "example.com", Certificates: certificates}}}
		r, _ := http.NewRequest(http.MethodGet, "https://"+e.address+"/api/core/service/search", nil)
		r.SetBasicAuth(testenv.OPNsenseKey, testenv.OPNsenseSecret)
		res, err := c.Do(r)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				err = fmt.Errorf("%s", res.Status)
			}
		}
		return err
	}
	if err := ask(certificate.pair); err != nil {
		t.Error(err)
	}
	if err := ask(); err == nil {
		t.Error("a client without a certificate is served")
	}
	e.refused(RefusedIncomplete, 1)
}

type files struct {
	file, key string
	pair      tls.Certificate
}

// selfSigned makes a certificate for both ends.
func selfSigned(t *testing.T) (files, *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"example.com"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	f := files{file: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), pair: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	if err := errors.Join(os.WriteFile(f.file, certPEM, 0o600), os.WriteFile(f.key, keyPEM, 0o600)); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return f, pool
}

// An address that is in use, or does not exist yet, is waited for.
func TestListenerWaits(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(300*time.Millisecond, func() { _ = taken.Close() })
	fw := testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{})
	e := start(t, fw, func(_ *Options, _ *Trust, s *Server) { s.Address = taken.Addr().String() })
	if res, _ := e.get("core/service/search"); res.StatusCode != http.StatusOK || !strings.Contains(e.log.String(), "cannot listen yet") {
		t.Errorf("%s\n%s", res.Status, e.log)
	}
	server := &Server{Address: "192.0.2.1:8444", Proxy: e.proxy, Logger: e.proxy.options.Logger} // TEST-NET-1: nobody's
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := server.Run(ctx); !errors.Is(err, context.DeadlineExceeded) || server.Listening() {
		t.Errorf("ended with %v, listening %v", err, server.Listening())
	}
}

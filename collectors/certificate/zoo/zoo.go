// Package zoo makes certificates for tests: of any lifetime, in any relation, with any name. What
// they are is for OpenSSL to say, by OpenSSL; a parser under test does not judge itself.
package zoo

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// Cert is a certificate with its private key, which also issues others where it is a CA.
type Cert struct {
	*x509.Certificate
	Key crypto.Signer

	issuer *Cert
}

// Option changes the template of a certificate.
type Option func(c *x509.Certificate)

// Lifetime sets both ends.
func Lifetime(from, to time.Time) Option {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = from, to }
}

// Names sets the subject alternative names; an IP address is one too.
func Names(names ...string) Option { return func(c *x509.Certificate) { c.DNSNames = names } }

// Subject sets the whole name.
func Subject(name pkix.Name) Option { return func(c *x509.Certificate) { c.Subject = name } }

// CA makes the certificate an authority.
func CA() Option {
	return func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid = true, true
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		c.ExtKeyUsage = nil
	}
}

// Usage sets the extended key usage.
func Usage(u ...x509.ExtKeyUsage) Option { return func(c *x509.Certificate) { c.ExtKeyUsage = u } }

// NewKey makes a P-256 key, the fastest.
func NewKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Root makes a self-signed authority.
func Root(t testing.TB, name string, options ...Option) *Cert {
	t.Helper()
	return make1(t, nil, NewKey(t), name, append([]Option{CA()}, options...))
}

// SelfSigned makes a self-signed certificate that is none.
func SelfSigned(t testing.TB, name string, options ...Option) *Cert {
	t.Helper()
	return make1(t, nil, NewKey(t), name, append([]Option{Names(name)}, options...))
}

// Authority makes an intermediate below c.
func (c *Cert) Authority(t testing.TB, name string, options ...Option) *Cert {
	t.Helper()
	return make1(t, c, NewKey(t), name, append([]Option{CA()}, options...))
}

// Issue makes a server's certificate below c.
func (c *Cert) Issue(t testing.TB, name string, options ...Option) *Cert {
	t.Helper()
	return c.IssueFor(t, NewKey(t), name, options...)
}

// IssueFor makes a server's certificate for a key.
func (c *Cert) IssueFor(t testing.TB, key crypto.Signer, name string, options ...Option) *Cert {
	t.Helper()
	return make1(t, c, key, name, append([]Option{Names(name)}, options...))
}

// CrossSign gives another authority's key a certificate below c.
func (c *Cert) CrossSign(t testing.TB, other *Cert, options ...Option) *Cert {
	t.Helper()
	return make1(t, c, other.Key, "", append([]Option{CA(), Subject(other.Subject)}, options...))
}

func make1(t testing.TB, issuer *Cert, key crypto.Signer, name string, options []Option) *Cert {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Truncate(time.Second)
	template := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, option := range options {
		option(template)
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.Certificate, issuer.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Cert{Certificate: parsed, Key: key, issuer: issuer}
}

// Revoke makes a revocation list of c that is in force for the given time.
func (c *Cert) Revoke(t testing.TB, from, to time.Time, certs ...*Cert) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(7), ThisUpdate: from, NextUpdate: to}
	for _, r := range certs {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: r.SerialNumber, RevocationTime: from})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, c.Certificate, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// PEM writes certificates one after the other.
func PEM(certs ...*Cert) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a Buffer takes all
	}
	return b.Bytes()
}

// KeyPEM writes the private key as PKCS#8.
func (c *Cert) KeyPEM(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Write writes a file below dir and returns its path. Folders are made as needed, and others may
// read: servers that drop their rights have to.
func Write(t testing.TB, dir, name string, parts ...[]byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Join(parts, nil), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// OpenSSL runs the openssl binary and fails the test where that fails.
func OpenSSL(t testing.TB, args ...string) string {
	t.Helper()
	out, err := TryOpenSSL(t, args...)
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// TryOpenSSL runs the openssl binary; its output and its verdict are the answer.
func TryOpenSSL(t testing.TB, args ...string) (string, error) {
	t.Helper()
	testenv.Need(t, "openssl")
	cmd := exec.Command("openssl", args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"
)

var errUsage = errors.New("wrong usage")

// client asks one server once.
type client struct {
	method, ca, user string
	status           int
}

func (c client) ask(url, pattern string) (string, error) {
	want, err := regexp.Compile("(?m)" + pattern)
	if err != nil {
		return "", errors.Join(errUsage, err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	if c.ca != "" {
		content, err := os.ReadFile(c.ca)
		if err != nil {
			return "", errors.Join(errUsage, err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(content)
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	req, err := http.NewRequest(c.method, url, nil)
	if err != nil {
		return "", errors.Join(errUsage, err)
	}
	if name, password, ok := strings.Cut(c.user, ":"); ok {
		req.SetBasicAuth(name, password)
	}
	resp, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return "", err
	case resp.StatusCode != c.status:
		return string(body), fmt.Errorf("status %d, want %d", resp.StatusCode, c.status)
	case !want.Match(body):
		return string(body), fmt.Errorf("does not match %s", pattern)
	}
	return string(body), nil
}

// makeWeb writes cert.pem, key.pem and web.yml, a configuration with TLS and
// the user prometheus with the password secret, into the working folder.
func makeWeb() int {
	cert, key, err := selfSigned()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	web := fmt.Sprintf("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\nbasic_auth_users: {prometheus: %q}\n", hash)
	for name, content := range map[string][]byte{"cert.pem": cert, "key.pem": key, "web.yml": []byte(web)} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}

func selfSigned() (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(127, 0, 0, 2)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	var c, k bytes.Buffer
	err = errors.Join(pem.Encode(&c, &pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.Encode(&k, &pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	return c.Bytes(), k.Bytes(), err
}

package httpjson

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
)

// OwnError is a file of ours that cannot be used: a secret, a CA, a certificate of the client.
type OwnError struct{ Err error }

func (e OwnError) Error() string { return e.Err.Error() }

// Unwrap gives what is wrong with the file.
func (e OwnError) Unwrap() error { return e.Err }

// TLSFiles are read at each connection, so that renewed ones need no reload. Empty: the system's
// authorities, no certificate of the client.
type TLSFiles struct{ CA, Cert, Key string }

// Dial is a http.Transport's DialTLSContext. A file that cannot be used is an OwnError.
func (f TLSFiles) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, OwnError{err}
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, OwnError{fmt.Errorf("%s holds no certificate", f.CA)}
		}
	}
	if f.Cert != "" {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, OwnError{err}
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return (&tls.Dialer{Config: cfg}).DialContext(ctx, network, address)
}

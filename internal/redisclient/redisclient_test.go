package redisclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// files writes a self-signed certificate for 127.0.0.1 and its key where the server's user can
// read them.
func files(t *testing.T) (cert, key string) {
	t.Helper()
	certPEM, keyPEM := testenv.Certificate(t)
	dir, err := os.MkdirTemp("/tmp", "vredis-tls-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	err = errors.Join(os.Chmod(dir, 0o755),
		os.WriteFile(cert, certPEM, 0o644),
		os.WriteFile(key, keyPEM, 0o644))
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func ping(t *testing.T, cfg Config) error {
	t.Helper()
	c := New(cfg)
	t.Cleanup(func() { _ = c.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return c.Use(func(r *redis.Client) error { return r.Ping(ctx).Err() })
}

func TestTLS(t *testing.T) {
	cert, key := files(t)
	port := testenv.FreePort(t)
	r := testenv.StartRedis(t, "--tls-port", strconv.Itoa(port), "--tls-cert-file", cert, "--tls-key-file", key,
		"--tls-ca-cert-file", cert, "--tls-auth-clients", "no")
	address := fmt.Sprintf("127.0.0.1:%d", port)
	for name, c := range map[string]struct {
		cfg    Config
		reason string
	}{
		"trusted":     {Config{Address: address, TLS: true, TLSCAFile: cert}, ""},
		"not trusted": {Config{Address: address, TLS: true}, ReasonTLS},
		// A plain server waits for the end of the line that it takes the greeting for.
		"no TLS there":   {Config{Address: r.Address(), TLS: true, TLSCAFile: cert}, ReasonTimeout},
		"no CA file":     {Config{Address: address, TLS: true, TLSCAFile: "/not/there"}, ReasonCredentials},
		"no certificate": {Config{Address: address, TLS: true, TLSCAFile: key}, ReasonCredentials},
		"plain":          {Config{Address: r.Address()}, ""},
	} {
		if key, fault := c.cfg.Check(); fault != "" {
			t.Errorf("%s: %s: %s", name, key, fault)
		}
		err := ping(t, c.cfg)
		reason := ""
		if err != nil {
			reason = Reason(err)
		}
		if reason != c.reason {
			t.Errorf("%s: %q, want %q: %v", name, reason, c.reason, err)
		}
	}
}

func TestReason(t *testing.T) {
	for err, want := range map[error]string{
		errors.New("?"): ReasonOther,
		fmt.Errorf("x: %w", context.DeadlineExceeded):                                            ReasonTimeout,
		refusal(full + " reached"):                                                               ReasonFull,
		&net.OpError{Op: "read", Err: syscall.ECONNRESET}:                                        ReasonRefused,
		&net.OpError{Op: "dial", Err: syscall.ENOENT}:                                            ReasonRefused,
		&net.OpError{Op: "remote error", Err: errors.New("tls: protocol version not supported")}: ReasonTLS,
		&credentialsError{os.ErrNotExist}:                                                        ReasonCredentials,
	} {
		if got := Reason(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}

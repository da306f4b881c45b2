package pgsession

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

func secret(t *testing.T, content string) config.SecretFile {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.SecretFile(path)
}

func connect(t *testing.T, cfg Config) (*Session, error) {
	t.Helper()
	s := New(cfg, "test")
	t.Cleanup(func() { _ = s.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := s.Conn(ctx)
	return s, err
}

// TestTLS connects to a server with a certificate and without one, by a service file too.
func TestTLS(t *testing.T) {
	t.Parallel()
	certPEM, keyPEM := testenv.Certificate(t)
	cert, key := string(certPEM), string(keyPEM)
	ca := string(secret(t, cert))
	p := testenv.NewPostgres(t)
	p.Set("ssl=on", "ssl_cert_file="+p.File(t, "cert.pem", cert), "ssl_key_file="+p.File(t, "key.pem", key))
	p.Start(t)
	plain := testenv.StartPostgres(t)
	dsn := func(p *testenv.Postgres, mode string) string {
		return p.TCP("postgres", "postgres") + "?sslmode=" + mode
	}
	service := secret(t, fmt.Sprintf("[db]\nhost=127.0.0.1\nport=%d\nuser=postgres\ndbname=postgres\nsslmode=verify-full\nsslrootcert=%s\n", p.Port, ca))
	for name, c := range map[string]struct {
		dsn, reason string
	}{
		"trusted":        {dsn(p, "verify-full&sslrootcert="+ca), ""},
		"service file":   {fmt.Sprintf("service=db servicefile=%s", service), ""},
		"not trusted":    {dsn(p, "verify-full"), ReasonTLS},
		"no TLS offered": {dsn(plain, "require"), ReasonTLS},
		"preferred":      {dsn(plain, "prefer"), ""},
		"no such user":   {fmt.Sprintf("postgres://nobody@127.0.0.1:%d/postgres?sslmode=disable", plain.Port), ReasonAuth},
		"no database":    {plain.TCP("postgres", "nothing"), ReasonDatabase},
	} {
		cfg := Config{DSN: c.dsn, PasswordFile: secret(t, testenv.PostgresPassword)}
		if err := cfg.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		s, err := connect(t, cfg)
		reason := ""
		if err != nil {
			reason = Reason(err)
		}
		if reason != c.reason {
			t.Errorf("%s: %q, want %q: %v", name, reason, c.reason, err)
		}
		if err == nil && s.Version() < 10_00_00 {
			t.Errorf("%s: version %d", name, s.Version())
		}
	}
}

// TestLimits shows that the session is read-only, in UTC, and that the server ends statements.
func TestLimits(t *testing.T) {
	t.Parallel()
	p := testenv.StartPostgres(t, "timezone=Pacific/Honolulu")
	s := New(Config{DSN: p.DSN("postgres")}, "test")
	t.Cleanup(func() { _ = s.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	short, cancelShort := context.WithTimeout(ctx, time.Second)
	defer cancelShort()
	conn, err := s.Conn(short)
	if err != nil {
		t.Fatal(err)
	}
	var zone, check string
	if err := conn.QueryRow(ctx, "SELECT current_setting('timezone'), current_setting('client_connection_check_interval')").Scan(&zone, &check); err != nil || zone != "UTC" || check != "5s" {
		t.Errorf("time zone %s, connection check %s, %v", zone, check, err)
	}
	if _, err := conn.Exec(ctx, "CREATE TABLE t ()"); err == nil {
		t.Error("the session can write")
	}
	if _, err := conn.Exec(ctx, "SELECT pg_sleep(60)"); Reason(err) != ReasonTimeout || conn.IsClosed() {
		t.Errorf("a statement without end: %v", err)
	}
	again, err := s.Conn(ctx)
	if err != nil || again != conn {
		t.Errorf("another session: %v", err)
	}
}

func TestReason(t *testing.T) {
	for err, want := range map[error]string{
		errors.New("?"): ReasonOther,
		ErrClosing:      ReasonTimeout,
		fmt.Errorf("x: %w", context.DeadlineExceeded):                                      ReasonTimeout,
		&credentialsError{os.ErrNotExist}:                                                  ReasonCredentials,
		&net.OpError{Op: "dial", Err: os.ErrNotExist}:                                      ReasonRefused,
		errors.Join(errors.New("server refused TLS connection"), context.DeadlineExceeded): ReasonTimeout,
	} {
		if got := Reason(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}

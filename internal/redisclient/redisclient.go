// Package redisclient makes bounded clients of one Redis server (https://redis.io/docs/latest/)
// for collectors: one connection each, every command within the deadline of its context, and a
// password that is read from its file at each connection.
package redisclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"vulcan.lan/vulcan_exporter/internal/config"
)

// Config tells where a server is. Collectors embed it by a key of their own or copy its fields.
type Config struct {
	Address      string            `yaml:"address" doc:"host:port, or the absolute path of a socket"`
	Username     string            `yaml:"username" doc:"ACL user; empty: the default user"`
	PasswordFile config.SecretFile `yaml:"password_file" doc:"file with the password"`
	TLS          bool              `yaml:"tls" doc:"use TLS"`
	TLSCAFile    string            `yaml:"tls_ca_file" doc:"CA certificates to trust instead of the system's, PEM"`
}

// Check says what is wrong with the configuration by a key and a text, "" if nothing is.
func (c Config) Check() (key, fault string) {
	_, _, err := net.SplitHostPort(c.Address)
	switch {
	case !filepath.IsAbs(c.Address) && err != nil:
		return "address", fmt.Sprintf("expected host:port or the absolute path of a socket, found %q", c.Address)
	case c.Username != "" && c.PasswordFile == "":
		return "password_file", "expected the password of the user"
	case c.TLSCAFile != "" && !c.TLS:
		return "tls_ca_file", "expected tls: true beside it"
	}
	return "", ""
}

// Client is for one goroutine at a time.
type Client struct {
	cfg    Config
	client *redis.Client // nil where there is no connection
}

// New makes a client. It connects at its first use.
func New(cfg Config) *Client {
	redis.SetLogger(silent{}) // the one setting that the library has for the whole process
	return &Client{cfg: cfg}
}

// silent keeps the library from logging each failure to standard error: errors are returned too.
type silent struct{}

// Printf implements the library's logger.
func (silent) Printf(context.Context, string, ...any) {}

// Use runs commands. After a failure that is not an answer of the server all starts anew at the
// next use: the library would go on to dial in the background and meanwhile answer with its last
// error, which nobody has measured.
func (c *Client) Use(commands func(*redis.Client) error) error {
	if c.client == nil {
		c.client = redis.NewClient(options(c.cfg))
	}
	err := commands(c.client)
	var answer redis.Error
	if err != nil && !errors.As(err, &answer) {
		_ = c.Close()
	}
	return err
}

// Close ends the connection.
func (c *Client) Close() error {
	if c.client == nil {
		return nil
	}
	err := c.client.Close()
	c.client = nil
	return err
}

func options(cfg Config) *redis.Options {
	options := &redis.Options{
		Network: "tcp", Addr: cfg.Address,
		Protocol: 2, DisableIdentity: true, // nothing is sent but what was asked for
		PoolSize: 1, MaxActiveConns: 1,
		MaxRetries: 1, DialerRetries: 1, // once, for a connection that a restart has cut
		ContextTimeoutEnabled:    true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if filepath.IsAbs(cfg.Address) {
		options.Network = "unix"
	}
	if cfg.PasswordFile != "" {
		options.CredentialsProviderContext = func(context.Context) (string, string, error) {
			password, err := cfg.PasswordFile.Read()
			if err != nil {
				return "", "", &credentialsError{err}
			}
			return cfg.Username, password.Reveal(), nil
		}
	}
	options.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		if cfg.TLS {
			return dialTLS(ctx, network, address, cfg.TLSCAFile)
		}
		var dialer net.Dialer
		c, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &conn{c}, nil
	}
	return options
}

// dialTLS reads the CA file at each connection, so that a renewed one needs no reload.
func dialTLS(ctx context.Context, network, address, caFile string) (net.Conn, error) {
	var roots *x509.CertPool
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, &credentialsError{err}
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, &credentialsError{fmt.Errorf("%s holds no certificate", caFile)}
		}
	}
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	return dialer.DialContext(ctx, network, address)
}

// conn tells why a server hung up. One that is full says so before it is asked anything, and
// closes: the first question meets that answer or a closed connection, and the library takes
// either for something else.
type conn struct{ net.Conn }

type refusal string

func (r refusal) Error() string { return string(r) }

const full = "ERR max number of clients"

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if text, ok := strings.CutPrefix(string(p[:min(n, len(full)+1)]), "-"); ok && text == full {
		return 0, refusal(full + " reached")
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		if _, why := c.Read(make([]byte, 256)); errors.As(why, new(refusal)) {
			return n, why
		}
	}
	return n, err
}

// SyscallConn lets the pool look whether the connection is still open.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	raw, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return raw.SyscallConn()
}

// Why a server gave no answer: the closed set of a metric's label reason.
const (
	ReasonRefused     = "refused"
	ReasonTimeout     = "timeout"
	ReasonAuth        = "auth"        // wrong or missing password
	ReasonCredentials = "credentials" // our own files cannot be read
	ReasonTLS         = "tls"
	ReasonFull        = "full"    // maxclients reached
	ReasonLoading     = "loading" // reading its data after a start
	ReasonOther       = "other"
)

// Reasons lists them all.
func Reasons() []string {
	return []string{
		ReasonRefused, ReasonTimeout, ReasonAuth, ReasonCredentials, ReasonTLS, ReasonFull, ReasonLoading, ReasonOther,
	}
}

type credentialsError struct{ error }

func (e *credentialsError) Unwrap() error { return e.error }

// Reason classifies an error of a command.
func Reason(err error) string {
	var credentials *credentialsError
	var network net.Error
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &credentials):
		return ReasonCredentials
	case Denied(err):
		return ReasonOther
	case answers(err, "WRONGPASS", "NOAUTH", "ERR invalid password", "ERR AUTH"):
		return ReasonAuth
	case answers(err, full):
		return ReasonFull
	case answers(err, "LOADING"):
		return ReasonLoading
	case errors.As(err, &verify), errors.As(err, &record),
		errors.As(err, &op) && op.Op == "remote error": // a TLS alert
		return ReasonTLS
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout),
		errors.As(err, &network) && network.Timeout():
		return ReasonTimeout
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist), errors.Is(err, io.EOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return ReasonRefused
	}
	return ReasonOther
}

// Denied tells whether the server answered that the user may not run the command.
func Denied(err error) bool { return answers(err, "NOPERM") }

// answers tells whether the server's own answer begins with one of the texts.
func answers(err error, prefixes ...string) bool {
	var answer redis.Error
	var hungUp refusal
	text := ""
	switch {
	case errors.As(err, &hungUp):
		text = hungUp.Error()
	case errors.As(err, &answer):
		text = answer.Error()
	}
	for _, p := range prefixes {
		if strings.HasPrefix(text, p) {
			return true
		}
	}
	return false
}

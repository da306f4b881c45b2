// Package httpjson is the one bounded client for HTTP APIs that answer in JSON, over TCP, TLS or
// a unix socket.
//
// Bounded: every request ends with its context and in any case after a minute, at most 16 MiB of
// an answer are read, and no redirect is followed, so a token is never sent to another host. The
// environment's proxies are not used: what is observed is what the configuration names.
package httpjson

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"vulcan.lan/vulcan_exporter/internal/config"
)

const (
	maxBody    = 16 << 20
	maxMessage = 200
	hardLimit  = time.Minute
)

// Config tells where the API is.
type Config struct {
	// URL is the base of all paths: http://host:port, https://host/base or unix:///path/to/socket.
	URL string
	// TokenFile holds a token for "Authorization: Bearer"; empty: none is sent.
	TokenFile config.SecretFile
	// CAFile holds the certificates to trust instead of the system's, PEM.
	CAFile string
}

// Check says what is wrong with the URL, nil if nothing is.
func (c Config) Check() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return err
	case u.User != nil:
		return errors.New("expected a URL without a user: secrets are read from files")
	case u.Scheme == "unix" && u.Host == "" && strings.HasPrefix(u.Path, "/"):
		return nil
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.RawQuery == "":
		return nil
	}
	return fmt.Errorf("expected http://host, https://host or unix:///path, found %q", c.URL)
}

// Client asks one API. It may be used by several goroutines.
type Client struct {
	cfg  Config
	base string
	http *http.Client
}

// New makes a client; it opens nothing.
func New(cfg Config) (*Client, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	transport := &http.Transport{
		MaxIdleConnsPerHost: 4, IdleConnTimeout: 90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: hardLimit,
	}
	c := &Client{cfg: cfg, base: strings.TrimRight(cfg.URL, "/")}
	if socket, ok := strings.CutPrefix(cfg.URL, "unix://"); ok {
		c.base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}
	}
	if cfg.CAFile != "" {
		transport.DialTLSContext = TLSFiles{CA: cfg.CAFile}.Dial
	}
	c.http = &http.Client{
		Transport: transport, Timeout: hardLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Get decodes the JSON answer to a GET of path, which may have a query, into a value. An answer
// other than 200 is a StatusError.
func (c *Client) Get(ctx context.Context, path string, into any) error {
	return c.Stream(ctx, path, func(d *json.Decoder) error {
		if err := d.Decode(into); err != nil {
			return err
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return errors.New("more follows the JSON value")
		}
		return nil
	})
}

// Stream gives the answer to a GET as a sequence of JSON values, which read takes from d up to
// io.EOF. An answer longer than the limit is a FormatError.
func (c *Client) Stream(ctx context.Context, path string, read func(d *json.Decoder) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	var token config.Secret
	if c.cfg.TokenFile != "" {
		if token, err = c.cfg.TokenFile.Read(); err != nil {
			return OwnError{err}
		}
		req.Header.Set("Authorization", "Bearer "+token.Reveal())
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		// Read on for as long as a token that begins in the message may be. Taking one out moves
		// up what follows, where another may have begun that was not read to its end, for which the
		// connection may also be to blame.
		limit := maxMessage + len(token.Reveal())
		message, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)))
		text := token.Redact(string(message))
		if err != nil || len(message) == limit {
			text = withoutBegin(text, token.Reveal())
		}
		return StatusError{resp.StatusCode, strings.ToValidUTF8(text[:min(len(text), maxMessage)], "?")}
	}
	body := &limited{r: resp.Body, left: maxBody}
	if err := read(json.NewDecoder(body)); err != nil {
		if body.err != nil {
			return body.err // the transport's fault, not the format's
		}
		return FormatError{err}
	}
	return nil
}

// withoutBegin is text without a begin of token at its end.
func withoutBegin(text, token string) string {
	for n := len(token) - 1; n > 0; n-- {
		if rest, ok := strings.CutSuffix(text, token[:n]); ok {
			return rest
		}
	}
	return text
}

// limited tells an answer that was cut by its sender or by us from one that is not JSON.
type limited struct {
	r    io.Reader
	left int64
	err  error
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		l.err = FormatError{fmt.Errorf("the answer is longer than %d bytes", maxBody)}
		return 0, l.err
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		l.err = err
	}
	return n, err
}

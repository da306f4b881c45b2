// Package technitium asks the HTTP API of a Technitium DNS Server, versions 13 to 15
// (https://github.com/TechnitiumSoftware/DnsServer/blob/master/APIDOCS.md).
//
// The token is sent as "Authorization: Bearer", which version 15 prefers, and as the field token
// of a POST form, the only way up to version 14: it is in no URL, so in no access log, and it is
// cut out of every error. The server answers 200 to what it refuses; the status in the body
// decides. Nothing is read beyond Options.MaxBytes, and no redirect is followed.
//
// Privileges: a token of a user with Logs: View for Logs; Dashboard: View for Stats and Lifetime;
// Zones: View for Zones; Settings: View for Settings. Session and Update need a token only.
//
// Cost at the server: each page of Logs counts all rows that its interval selects and then walks
// to the page, so ask for large pages and for the interval that is needed.
package technitium

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/httpjson"
)

const (
	defaultMaxBytes = 64 << 20
	maxMessage      = 300
	hardLimit       = 2 * time.Minute
)

// Options say which server is asked, and how.
type Options struct {
	// URL is the base of the web service, as http://host:5380 or https://host:53443/base.
	URL string
	// TokenFile holds an API token. It is read for each call, so a new one needs no reload.
	TokenFile config.SecretFile
	// CAFile holds the certificates to trust instead of the system's, PEM.
	CAFile string
	// App and ClassPath name the query log app, as installed: "Query Logs (Sqlite)" and
	// "QueryLogsSqlite.App".
	App, ClassPath string
	// Node is the cluster node to ask about (version 14 or later), "" for the one at URL.
	Node string
	// MaxBytes is how much of an answer is read, 64 MiB if 0.
	MaxBytes int64
}

// Check says what is wrong with the URL, nil if nothing is.
func (o Options) Check() error {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil:
		return errors.New("not a URL") // err repeats it, and a secret may be in it
	case u.User != nil:
		return errors.New("expected a URL without a user: the token is read from token_file")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("expected a URL without a query: the token is read from token_file")
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "":
		return nil
	}
	return fmt.Errorf("expected http://host:port or https://host:port, found %q", o.URL)
}

// Client asks one server. It may be used by several goroutines.
type Client struct {
	opts Options
	base string
	http *http.Client
}

// New makes a client; it opens nothing.
func New(opts Options) (*Client, error) {
	if err := opts.Check(); err != nil {
		return nil, err
	}
	if opts.MaxBytes == 0 {
		opts.MaxBytes = defaultMaxBytes
	}
	transport := &http.Transport{
		// No proxy: what is asked is what the configuration names.
		MaxIdleConnsPerHost: 2, IdleConnTimeout: 90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: hardLimit,
	}
	c := &Client{opts: opts, base: strings.TrimRight(opts.URL, "/")}
	if opts.CAFile != "" {
		transport.DialTLSContext = httpjson.TLSFiles{CA: opts.CAFile}.Dial
	}
	c.http = &http.Client{
		Transport: transport, Timeout: hardLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// call is one request to the API.
type call struct {
	path       string
	permission string // that the token's user needs
	form       url.Values
	get        bool // the server has the path for GET only
}

// do sends a call and gives the body of an answer with status 200 to read.
func (c *Client) do(ctx context.Context, call call, read func(io.Reader) error) error {
	token, err := c.opts.TokenFile.Read()
	if err != nil {
		return &Error{Reason: ReasonToken, Path: call.path, Message: err.Error(), err: err}
	}
	err = c.exchange(ctx, call, token.Reveal(), read)
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	}
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Reason: transportReason(err), Message: err.Error(), err: err}
	}
	e.Path = call.path
	e.Message = cut(redact(e.Message, token.Reveal()))
	if e.Reason == ReasonPermission {
		e.Message += " The token's user lacks the permission " + call.permission + "."
	}
	return e
}

func (c *Client) exchange(ctx context.Context, call call, token string, read func(io.Reader) error) error {
	req, err := c.request(ctx, call, token)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			return u.Err // without the URL
		}
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		message, _ := io.ReadAll(io.LimitReader(resp.Body, 16*maxMessage))
		return httpError{resp.StatusCode, cut(redact(string(message), token))}
	}
	body := &bounded{r: resp.Body, left: c.opts.MaxBytes, max: c.opts.MaxBytes}
	if err := read(body); err != nil {
		if body.err != nil {
			return body.err // the transport's fault, not the format's
		}
		return err
	}
	return nil
}

func (c *Client) request(ctx context.Context, call call, token string) (*http.Request, error) {
	method, body := http.MethodGet, ""
	if !call.get {
		form := url.Values{"token": {token}}
		for k, v := range call.form {
			form[k] = v
		}
		if c.opts.Node != "" {
			form.Set("node", c.opts.Node)
		}
		method, body = http.MethodPost, form.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+call.path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if call.get {
		req.URL.RawQuery = call.form.Encode()
	} else {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	return req, nil
}

// redact takes the token out of text of unknown origin, before it is cut.
func redact(s, token string) string { return strings.ReplaceAll(s, token, "<token>") }

// cut makes text of unknown origin fit for one line of a log.
func cut(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + " ..."
	}
	return s
}

// bounded tells an answer that was cut, by its sender or by us, from one that is not JSON.
type bounded struct {
	r         io.Reader
	left, max int64
	err       error
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// One byte more tells an answer of exactly the limit from a longer one.
		if n, err := b.r.Read(p[:min(len(p), 1)]); n == 0 {
			return 0, err
		}
		b.err = decodeError(fmt.Sprintf("longer than %d bytes", b.max))
		return 0, b.err
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

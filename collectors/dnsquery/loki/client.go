package loki

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/httpjson"
)

// maxMessage is what is read of an answer: Loki names some ten entries in one.
const maxMessage = 16 << 10

// client speaks the push API.
type client struct {
	o    Options
	http *http.Client
	enc  *encoder
}

func newClient(o Options) *client {
	c := &client{o: o, enc: newEncoder()}
	transport := &http.Transport{
		MaxIdleConnsPerHost: 1, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
		DialTLSContext: httpjson.TLSFiles{CA: o.CAFile, Cert: o.CertFile, Key: o.KeyFile}.Dial,
	}
	c.http = &http.Client{
		Transport: transport, Timeout: o.Timeout,
		// A redirect would carry the credentials to another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// push sends entries once.
func (c *client) push(ctx context.Context, entries []Entry) verdict {
	status, header, message, err := c.post(ctx, entries)
	if err != nil {
		return verdict{kind: failed, reason: failReason(err), message: err.Error()}
	}
	return judge(status, header, message)
}

func (c *client) post(ctx context.Context, entries []Entry) (status int, header http.Header, message string, err error) {
	body, err := c.enc.body(entries)
	if err != nil {
		return 0, nil, "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.o.endpoint(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, "", err
	}
	if err := c.headers(req.Header); err != nil {
		return 0, nil, "", err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxMessage))
	if err != nil && resp.StatusCode < 300 {
		err = nil // the status is the answer; what follows it does not matter
	}
	return resp.StatusCode, resp.Header, strings.TrimSpace(strings.ToValidUTF8(c.redact(req.Header, string(text)), "?")), err
}

// redact takes our credentials out of an answer, in each form in which they were sent.
func (c *client) redact(sent http.Header, text string) string {
	_, credentials, _ := strings.Cut(sent.Get("Authorization"), " ")
	text = config.NewSecret(credentials).Redact(text)
	if _, password, ok := (&http.Request{Header: sent}).BasicAuth(); ok {
		text = config.NewSecret(password).Redact(text)
	}
	return text
}

func (c *client) headers(h http.Header) error {
	h.Set("Content-Type", "application/json")
	h.Set("Content-Encoding", "gzip")
	h.Set("User-Agent", "vulcan_exporter")
	if c.o.Tenant != "" {
		h.Set("X-Scope-OrgID", c.o.Tenant)
	}
	switch {
	case c.o.TokenFile != "":
		token, err := c.o.TokenFile.Read()
		if err != nil {
			return httpjson.OwnError{Err: err}
		}
		h.Set("Authorization", "Bearer "+token.Reveal())
	case c.o.Username != "":
		password, err := c.o.PasswordFile.Read()
		if err != nil {
			return httpjson.OwnError{Err: err}
		}
		(&http.Request{Header: h}).SetBasicAuth(c.o.Username, password.Reveal())
	}
	return nil
}

// failReason classifies an error of the way to Loki.
func failReason(err error) string {
	var own httpjson.OwnError
	if errors.As(err, &own) {
		return FailCredentials
	}
	switch httpjson.Reason(err) {
	case httpjson.ReasonTimeout:
		return FailTimeout
	case httpjson.ReasonTLS:
		return FailTLS
	}
	return FailConnection
}

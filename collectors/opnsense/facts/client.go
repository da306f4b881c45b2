package facts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"vulcan.lan/vulcan_exporter/internal/config"
)

// Client asks an API for whole answers.
type Client struct {
	// Transport follows no redirect and verifies the server.
	Transport http.RoundTripper
	URL       *url.URL
	// Credentials gives the API key and secret; nil sends none.
	Credentials func() (key, secret config.Secret, err error)
	MaxResponse int64 // bytes
}

// StatusError is an answer other than 200.
type StatusError int

func (e StatusError) Error() string { return fmt.Sprintf("status %d", int(e)) }

// ErrTooLarge is an answer beyond the limit.
var ErrTooLarge = errors.New("the answer is too large")

// ErrSecret is a key or secret that cannot be read.
var ErrSecret = errors.New("the API key cannot be read")

// Get asks for a path below /api/.
func (c *Client) Get(ctx context.Context, endpoint string, timeout time.Duration) ([]byte, error) {
	return c.do(ctx, http.MethodGet, "/api/"+endpoint, timeout)
}

// Head asks for the start page, which any running OPNsense has.
func (c *Client) Head(ctx context.Context, timeout time.Duration) error {
	_, err := c.do(ctx, http.MethodHead, "/", timeout)
	return err
}

func (c *Client) do(ctx context.Context, method, path string, timeout time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, c.URL.JoinPath(path).String(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "vulcan_exporter")
	r.Header.Set("Accept", "application/json")
	if c.Credentials != nil {
		key, secret, err := c.Credentials()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSecret, err)
		}
		r.SetBasicAuth(key.Reveal(), secret.Reveal())
	}
	res, err := c.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, StatusError(res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, c.MaxResponse+1))
	if err == nil && int64(len(body)) > c.MaxResponse {
		err = ErrTooLarge
	}
	return body, err
}

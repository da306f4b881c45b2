package proxy

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/opnsense/shape"
)

// rewrite makes the request to the firewall: the header is built anew, so that
// nothing of the client's gets through but what the API has a use for.
func (p *Proxy) rewrite(r *httputil.ProxyRequest) {
	r.SetURL(p.options.Upstream.URL)
	header := http.Header{"User-Agent": {"vulcan_exporter"}}
	for _, name := range []string{"Accept", "Content-Type"} {
		if v := r.In.Header.Get(name); v != "" {
			header.Set(name, v)
		}
	}
	if p.options.Credentials == nil {
		if v := r.In.Header.Get("Authorization"); v != "" {
			header.Set("Authorization", v)
			exchangeOf(r.In.Context()).credentials = true
		}
	}
	r.Out.Header = header
}

// transport measures and bounds the exchange with the firewall.
type transport struct{ p *Proxy }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	x := exchangeOf(r.Context())
	if t.p.options.Credentials != nil {
		key, secret, err := t.p.options.Credentials()
		if err != nil {
			return nil, &failure{ErrorSecret, err.Error()}
		}
		r.SetBasicAuth(key.Reveal(), secret.Reveal())
	}
	begun := time.Now()
	response, err := t.p.options.Upstream.RoundTrip(r)
	x.upstream += time.Since(begun)
	if err != nil {
		return nil, err
	}
	t.p.noteKey(x, response.StatusCode)
	response.Body = &body{ReadCloser: response.Body, x: x}
	return response, nil
}

// noteKey learns from the answer whether the API takes the key.
func (p *Proxy) noteKey(x *exchange, status int) {
	switch {
	case !x.credentials && p.options.Credentials == nil:
	case status == http.StatusUnauthorized:
		p.stats.key.Store(2)
	case status < 300:
		p.stats.key.Store(1)
	}
}

// body measures the time that its reader waits for the firewall.
type body struct {
	io.ReadCloser
	x *exchange
}

// Read implements io.Reader.
func (b *body) Read(buf []byte) (int, error) {
	begun := time.Now()
	n, err := b.ReadCloser.Read(buf)
	b.x.upstream += time.Since(begun)
	if err != nil && err != io.EOF {
		err = &brokenBody{err}
	}
	return n, err
}

// brokenBody is an answer that did not arrive as its header announced it.
type brokenBody struct{ error }

// Unwrap gives what went wrong.
func (b *brokenBody) Unwrap() error { return b.error }

// modify turns the firewall's answer into the one for the client.
func (p *Proxy) modify(res *http.Response) error {
	x := exchangeOf(res.Request.Context())
	if res.StatusCode < 200 || res.StatusCode >= 300 && res.StatusCode < 400 {
		return &failure{ErrorRedirect, fmt.Sprintf("status %d", res.StatusCode)}
	}
	encoding := strings.ToLower(res.Header.Get("Content-Encoding"))
	res.Header = keep(res.Header)
	if x.head {
		if x.endpoint.program != nil {
			res.Header.Del("Content-Length") // of a body that a GET would not give
		}
		return nil
	}
	if res.ContentLength > p.options.MaxResponse {
		return &failure{ErrorTooLarge, fmt.Sprintf("%d bytes", res.ContentLength)}
	}
	switch encoding {
	case "", "identity":
	case "gzip": // not asked for; a compressed bomb meets the limit below
		unzipped, err := gzip.NewReader(res.Body)
		if err != nil {
			return &failure{ErrorEncoding, err.Error()}
		}
		res.Body = struct {
			io.Reader
			io.Closer
		}{unzipped, res.Body}
		res.ContentLength = -1
		res.Header.Del("Content-Length")
	default:
		return &failure{ErrorEncoding, "an encoding that was not asked for"}
	}
	ok := res.StatusCode < 300
	due := ok && !x.endpoint.glob && p.options.Shapes.Due(x.endpoint.Name, p.options.Now())
	if ok && (x.endpoint.program != nil || due) {
		return p.whole(x, res, due)
	}
	res.Body = &limited{ReadCloser: res.Body, left: p.options.MaxResponse, p: p, x: x, ctx: res.Request.Context()}
	return nil
}

// keep picks what of an answer's header is for the client: no cookie, no
// location, no server name.
func keep(header http.Header) http.Header {
	out := make(http.Header, 4)
	for _, name := range []string{"Content-Type", "Content-Length", "Cache-Control", "Retry-After", "Www-Authenticate"} {
		if v := header[name]; len(v) > 0 {
			out[name] = v[:1]
		}
	}
	return out
}

// whole reads an answer to its end, learns from it and rewrites it.
func (p *Proxy) whole(x *exchange, res *http.Response, due bool) error {
	buf, _ := bodies.Get().(*bytes.Buffer)
	buf.Reset()
	if res.ContentLength > 0 {
		buf.Grow(int(res.ContentLength) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(res.Body, p.options.MaxResponse+1))
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	if n > p.options.MaxResponse {
		return &failure{ErrorTooLarge, fmt.Sprintf("more than %d bytes", p.options.MaxResponse)}
	}
	raw := buf.Bytes()
	out := raw
	if x.endpoint.program != nil {
		rewritten, report, err := x.endpoint.program.Apply(raw)
		if err == nil {
			out = rewritten
			x.endpoint.count(report)
		} else {
			p.stats.errors[ErrorNotJSON].Add(1)
		}
	}
	if due && n <= shape.MaxBody {
		if changes := p.options.Shapes.Observe(x.endpoint.Name, raw, p.options.Now()); len(changes) > 0 {
			p.options.Changed(changes)
		}
	}
	res.Body = &pooled{Reader: bytes.NewReader(out), buf: buf}
	res.ContentLength = int64(len(out))
	res.Header.Set("Content-Length", strconv.Itoa(len(out)))
	return nil
}

// bodies keeps the buffers of whole answers.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooled is the size of buffer that is kept for the next answer, in bytes.
const maxPooled = 1 << 20

type pooled struct {
	*bytes.Reader
	buf *bytes.Buffer
}

// Close implements io.Closer.
func (b *pooled) Close() error {
	if b.buf != nil && b.buf.Cap() <= maxPooled {
		bodies.Put(b.buf)
	}
	b.buf = nil
	return nil
}

// limited cuts off a body that is passed on while it arrives.
type limited struct {
	io.ReadCloser
	left int64
	p    *Proxy
	x    *exchange
	ctx  context.Context
}

// Read implements io.Reader.
func (l *limited) Read(buf []byte) (int, error) {
	n, err := l.ReadCloser.Read(buf)
	if l.left -= int64(n); l.left < 0 {
		n, err = 0, &failure{ErrorTooLarge, "an answer beyond the limit"}
	}
	if err != nil && err != io.EOF {
		l.p.fault(l.x, reasonOf(err, l.ctx), err)
	}
	return n, err
}

// isProtocol recognises what net/http says of a header that is no HTTP; it has
// no type for that.
func isProtocol(err error) bool {
	text := err.Error()
	return strings.Contains(text, "malformed") || strings.Contains(text, "exceeded") || strings.Contains(text, "protocol error")
}

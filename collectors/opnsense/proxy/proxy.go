// Package proxy is a reverse proxy for the API of one OPNsense firewall
// (https://docs.opnsense.org/development/api.html): read-only endpoints of an
// allow-list, limits on everything, and answers rewritten by rules so that a
// strictly typed client reads those of every firmware version.
//
// Credentials go to the firewall, over a verified connection, and nowhere
// else: no redirect is followed, no environment proxy used, no cookie passed,
// and nothing that a client or the firewall sends gets into a log.
package proxy

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/opnsense/shape"
	"vulcan.lan/vulcan_exporter/collectors/opnsense/transform"
	"vulcan.lan/vulcan_exporter/internal/config"
)

// Options are what a Proxy is made of.
type Options struct {
	Upstream *Upstream
	// Timeout bounds one exchange with the firewall.
	Timeout time.Duration
	// Allow are the endpoints below /api/; a * matches within one segment.
	Allow []string
	Table *transform.Table
	// Shapes learns from answers; Changed is told of what it finds.
	Shapes  *shape.Learner
	Changed func([]shape.Change)
	// Credentials gives the API key and secret that are sent instead of the
	// client's own. nil passes the client's through.
	Credentials func() (key, secret config.Secret, err error)
	// Client gives the key and secret that clients must show. nil asks none.
	Client func() (key, secret config.Secret, err error)
	// MaxRequest and MaxResponse are sizes of bodies in bytes, MaxConcurrent
	// is the number of requests in flight.
	MaxRequest, MaxResponse int64
	MaxConcurrent           int
	Now                     func() time.Time
	Logger                  *slog.Logger
}

// Proxy is an http.Handler.
type Proxy struct {
	options   Options
	allow     allowList
	endpoints []*endpoint
	stats     *Stats
	inFlight  atomic.Int64
	reverse   *httputil.ReverseProxy
}

// New makes a Proxy.
func New(o Options) *Proxy {
	p := &Proxy{options: o, stats: newStats()}
	p.allow, p.endpoints = newAllowList(o.Allow, o.Table)
	p.reverse = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      transport{p},
		ModifyResponse: p.modify,
		ErrorHandler:   p.failed,
		BufferPool:     &copyBuffers{},
		ErrorLog:       silent(),
	}
	return p
}

// silent takes what net/http prints: all of it is counted here, and some of it
// quotes the request.
func silent() *log.Logger { return log.New(io.Discard, "", 0) }

// exchange is one forwarded request.
type exchange struct {
	endpoint    *endpoint
	head        bool
	credentials bool          // the client's own were sent
	upstream    time.Duration // spent waiting for the firewall
	failed      bool
	status      int
	http.ResponseWriter
}

// WriteHeader notes the status.
func (x *exchange) WriteHeader(status int) {
	if status >= 200 && x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController through.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	served(r.Context())
	e := p.admit(w, r)
	if e == nil {
		return
	}
	if !p.enter(e) {
		p.refuse(w, RefusedBusy, http.StatusServiceUnavailable)
		return
	}
	defer p.leave(e)
	x := &exchange{endpoint: e, ResponseWriter: w, head: r.Method == http.MethodHead}
	defer func() { p.finish(x, begun) }()
	ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), exchangeKey{}, x), p.options.Timeout)
	defer cancel()
	p.reverse.ServeHTTP(x, r.WithContext(ctx))
}

// admit checks everything that can be checked before the firewall is asked,
// and reads the body. It returns nil after an answer was given.
func (p *Proxy) admit(w http.ResponseWriter, r *http.Request) *endpoint {
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost {
		p.refuse(w, RefusedMethod, http.StatusForbidden)
		return nil
	}
	// A path with escapes (RawPath) or an absolute request target is nothing
	// that a client of this API sends.
	e := p.allow.find(r.URL.Path)
	if e == nil || r.URL.RawPath != "" || r.URL.Host != "" {
		p.refuse(w, RefusedPath, http.StatusForbidden)
		return nil
	}
	// Nobody downstream is left to disagree about where a body ends.
	if len(r.TransferEncoding) > 0 {
		w.Header().Set("Connection", "close")
		p.refuse(w, RefusedLength, http.StatusLengthRequired)
		return nil
	}
	if !p.known(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="vulcan_exporter"`)
		p.refuse(w, RefusedCredentials, http.StatusUnauthorized)
		return nil
	}
	if r.ContentLength > p.options.MaxRequest {
		w.Header().Set("Connection", "close")
		p.refuse(w, RefusedBody, http.StatusRequestEntityTooLarge)
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, p.options.MaxRequest))
	if err != nil {
		p.refuse(w, RefusedBody, http.StatusBadRequest)
		return nil
	}
	r.Body = http.NoBody
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return e
}

// known checks the client's credentials where it must have some.
func (p *Proxy) known(r *http.Request) bool {
	if p.options.Client == nil {
		return true
	}
	key, secret, err := p.options.Client()
	if err != nil {
		p.options.Logger.Warn("credentials of clients cannot be read; all are refused", "err", err)
		return false
	}
	user, password, _ := r.BasicAuth()
	same := subtle.ConstantTimeCompare([]byte(user), []byte(key.Reveal())) &
		subtle.ConstantTimeCompare([]byte(password), []byte(secret.Reveal()))
	return same == 1
}

// enter takes a place. One endpoint gets at most a quarter of them, so that
// the firewall hanging on it leaves the others room.
func (p *Proxy) enter(e *endpoint) bool {
	most := int64(p.options.MaxConcurrent)
	all, its := p.inFlight.Add(1), e.inFlight.Add(1) // both, for leave lowers both
	if all > most || its > max(1, most/4) {
		p.leave(e)
		return false
	}
	return true
}

func (p *Proxy) leave(e *endpoint) {
	p.inFlight.Add(-1)
	e.inFlight.Add(-1)
}

// refuse answers a request that is not forwarded. Why is a matter of the
// metrics, not of the one who asks.
func (p *Proxy) refuse(w http.ResponseWriter, why Reason, status int) {
	p.stats.refused[why].Add(1)
	http.Error(w, http.StatusText(status), status)
}

// finish counts an exchange, also one whose answer was cut off (a panic with
// http.ErrAbortHandler is on its way then).
func (p *Proxy) finish(x *exchange, begun time.Time) {
	e := x.endpoint
	switch {
	case x.failed && x.status < 400:
		e.requests[aborted].Add(1)
	default:
		e.requests[class(x.status)].Add(1)
	}
	e.upstream.observe(x.upstream)
	p.stats.added.observe(time.Since(begun) - x.upstream)
	if !x.failed && e.failing.Load() && e.failing.Swap(false) {
		p.options.Logger.Info("endpoint answers again", "endpoint", e.Name)
	}
}

// fault counts a failure and logs the first of a row.
func (p *Proxy) fault(x *exchange, why Reason, err error) {
	x.failed = true
	p.stats.errors[why].Add(1)
	if why != ErrorClientGone && !x.endpoint.failing.Swap(true) {
		p.options.Logger.Warn("endpoint fails", "endpoint", x.endpoint.Name, "reason", string(why), "err", err)
	}
}

// failed answers where the firewall gave no answer that can be passed on.
func (p *Proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r.Context())
	if x == nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	why := reasonOf(err, r.Context())
	p.fault(x, why, err)
	status := http.StatusBadGateway
	if why == ErrorTimeout {
		status = http.StatusGatewayTimeout
	}
	http.Error(w, "upstream: "+string(why), status)
}

// failure is an error whose reason is known where it arises.
type failure struct {
	reason Reason
	text   string
}

func (f *failure) Error() string { return f.text }

func reasonOf(err error, ctx context.Context) Reason {
	var known *failure
	var certificate *CertificateError
	var broken *brokenBody
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &known):
		return known.reason
	case errors.As(err, &certificate):
		return ErrorCertificate
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return ErrorTimeout
	case ctx.Err() != nil:
		return ErrorClientGone
	case errors.As(err, &timeout) && timeout.Timeout():
		return ErrorTimeout
	case errors.As(err, &broken), isProtocol(err):
		return ErrorProtocol
	}
	return ErrorConnect
}

// copyBuffers keeps the buffers that bodies are copied with.
type copyBuffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (c *copyBuffers) Get() []byte {
	if b, ok := c.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 32<<10)
}

// Put implements httputil.BufferPool.
func (c *copyBuffers) Put(b []byte) { c.pool.Put(&b) }

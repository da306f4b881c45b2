package proxy

import (
	"strings"
	"sync/atomic"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/opnsense/transform"
)

// Reason is why a request was refused or failed.
type Reason string

// Refusals: the request is not forwarded.
const (
	RefusedMethod      Reason = "method"      // not GET, HEAD or POST
	RefusedPath        Reason = "path"        // not on the allow-list, or not a plain path
	RefusedLength      Reason = "length"      // a body without a Content-Length
	RefusedBody        Reason = "body"        // a body that is too large or did not arrive
	RefusedCredentials Reason = "credentials" // not the ones that clients must have
	RefusedBusy        Reason = "busy"        // too many requests in flight
	RefusedConnection  Reason = "connection"  // too many connections
	RefusedIncomplete  Reason = "incomplete"  // a connection closed before it held a whole, valid request
)

// Errors: the request was forwarded, or would have been.
const (
	ErrorConnect     Reason = "connect"     // no connection
	ErrorTimeout     Reason = "timeout"     // no whole answer in time
	ErrorCertificate Reason = "certificate" // the server's certificate is not trusted
	ErrorRedirect    Reason = "redirect"    // an answer that points elsewhere; not followed
	ErrorTooLarge    Reason = "too_large"   // an answer beyond the limit
	ErrorEncoding    Reason = "encoding"    // an answer in an encoding that was not asked for
	ErrorProtocol    Reason = "protocol"    // an answer that is no proper HTTP or broke off
	ErrorSecret      Reason = "secret"      // the file with the API key cannot be read
	ErrorNotJSON     Reason = "not_json"    // an answer for which there are rules is no JSON; passed on unchanged
	ErrorClientGone  Reason = "client_gone" // the client did not wait for the answer
)

// Refusals are the reasons not to forward.
func Refusals() []Reason {
	return []Reason{RefusedMethod, RefusedPath, RefusedLength, RefusedBody, RefusedCredentials, RefusedBusy, RefusedConnection, RefusedIncomplete}
}

// Errors are the reasons of failure.
func Errors() []Reason {
	return []Reason{ErrorConnect, ErrorTimeout, ErrorCertificate, ErrorRedirect, ErrorTooLarge, ErrorEncoding,
		ErrorProtocol, ErrorSecret, ErrorNotJSON, ErrorClientGone}
}

// Classes are the classes of the status codes that clients are given; aborted
// is an answer that was cut off.
func Classes() []string { return []string{"2xx", "4xx", "5xx", "aborted"} }

func class(status int) int {
	switch {
	case status < 400:
		return 0
	case status < 500:
		return 1
	default:
		return 2
	}
}

const aborted = 3

// Buckets are the upper bounds of the duration histograms in seconds: an
// answer of OPNsense takes 10 ms to some seconds, our own part microseconds.
func Buckets() (upstream, added []float64) {
	return []float64{0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}, []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.1}
}

// Histogram counts durations. It is safe for concurrent use.
type Histogram struct {
	bounds []float64
	counts []atomic.Uint64 // not cumulative; the last one is beyond all bounds
	sum    atomic.Uint64   // nanoseconds
}

func newHistogram(bounds []float64) *Histogram {
	return &Histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

func (h *Histogram) observe(d time.Duration) {
	d = max(d, 0)
	i := 0
	for i < len(h.bounds) && d.Seconds() > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(uint64(d))
}

// Read returns the number of observations, their sum in seconds and the
// cumulative counts of the buckets.
func (h *Histogram) Read() (count uint64, sum float64, cumulative []uint64) {
	cumulative = make([]uint64, len(h.bounds))
	for i := range h.counts {
		count += h.counts[i].Load()
		if i < len(cumulative) {
			cumulative[i] = count
		}
	}
	return count, float64(h.sum.Load()) / float64(time.Second), cumulative
}

// endpoint is one entry of the allow-list and what was counted of it.
type endpoint struct {
	Name        string
	glob        bool               // stands for several endpoints
	program     *transform.Program // nil where no rule is about it
	requests    [4]atomic.Uint64   // by class
	upstream    *Histogram
	transformed []atomic.Uint64 // by field of the program
	injected    []atomic.Uint64
	inFlight    atomic.Int64
	failing     atomic.Bool // the last request failed; for the log
}

func newEndpoint(name string, program *transform.Program) *endpoint {
	bounds, _ := Buckets()
	e := &endpoint{Name: name, glob: strings.Contains(name, "*"), program: program, upstream: newHistogram(bounds)}
	if program != nil {
		e.transformed = make([]atomic.Uint64, len(program.Fields()))
		e.injected = make([]atomic.Uint64, len(program.Fields()))
	}
	return e
}

func (e *endpoint) count(r transform.Report) {
	for i, n := range r.Transformed {
		e.transformed[i].Add(n)
		e.injected[i].Add(r.Injected[i])
	}
}

// Stats is what a Proxy counts since it was made.
type Stats struct {
	refused map[Reason]*atomic.Uint64
	errors  map[Reason]*atomic.Uint64
	added   *Histogram
	// key is what was last learned of the clients' credentials: 0 nothing,
	// 1 accepted, 2 rejected.
	key atomic.Int32
}

func newStats() *Stats {
	_, bounds := Buckets()
	s := &Stats{refused: map[Reason]*atomic.Uint64{}, errors: map[Reason]*atomic.Uint64{}, added: newHistogram(bounds)}
	for _, r := range Refusals() {
		s.refused[r] = new(atomic.Uint64)
	}
	for _, r := range Errors() {
		s.errors[r] = new(atomic.Uint64)
	}
	return s
}

// Refused counts the requests that were not forwarded.
func (p *Proxy) Refused(r Reason) float64 { return float64(p.stats.refused[r].Load()) }

// Failed counts the requests that failed.
func (p *Proxy) Failed(r Reason) float64 { return float64(p.stats.errors[r].Load()) }

// Added is the time that the proxy itself took.
func (p *Proxy) Added() *Histogram { return p.stats.added }

// KeyAccepted tells whether the API took the credentials of the last request
// that had some; known is false before that.
func (p *Proxy) KeyAccepted() (accepted, known bool) {
	key := p.stats.key.Load()
	return key == 1, key != 0
}

// Endpoint is a reading of what was counted of one endpoint.
type Endpoint struct {
	Name string
	// Requests are by class, in the order of Classes.
	Requests []float64
	InFlight float64
	Upstream *Histogram
	// Fields are the paths of the rules; Transformed and Injected count the
	// values that were rewritten and made up.
	Fields                []string
	Transformed, Injected []float64
}

// Endpoints reads all endpoints, by name.
func (p *Proxy) Endpoints() []Endpoint {
	out := make([]Endpoint, 0, len(p.endpoints))
	for _, e := range p.endpoints {
		reading := Endpoint{Name: e.Name, InFlight: float64(e.inFlight.Load()), Upstream: e.upstream}
		for i := range e.requests {
			reading.Requests = append(reading.Requests, float64(e.requests[i].Load()))
		}
		if e.program != nil {
			reading.Fields = e.program.Fields()
		}
		for i := range e.transformed {
			reading.Transformed = append(reading.Transformed, float64(e.transformed[i].Load()))
			reading.Injected = append(reading.Injected, float64(e.injected[i].Load()))
		}
		out = append(out, reading)
	}
	return out
}

// Package server answers over HTTP: /metrics, the status page, one source's
// debug page, health, readiness and reload. Listeners, TLS, basic auth and
// socket activation are those of the Prometheus exporter-toolkit.
package server

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/collectors/version"

	"vulcan.lan/vulcan_exporter/internal/runner"
)

// Options configure a Server.
type Options struct {
	Logger     *slog.Logger
	Manager    *runner.Manager
	Collectors []string // the names that collect[] may use
	// Reload reads the configuration file again.
	Reload func() error
	// Lifecycle allows POST /-/reload.
	Lifecycle bool
	// Pprof serves /debug/pprof.
	Pprof bool
	// ReloadError is why the last reload was refused, nil if it was not.
	ReloadError func() error
	// ConfigFile and StoragePath are named in the commands that the status
	// page proposes.
	ConfigFile, StoragePath string
}

// Server is the exporter's HTTP side.
type Server struct {
	opts    Options
	process *prometheus.Registry
	handler http.Handler
	// patience is how long a client may take to read an answer.
	patience time.Duration
	// host, user and exe are who, as whom and what this process is.
	host, user, exe string
}

// New makes a Server.
func New(opts Options) (*Server, error) {
	s := &Server{opts: opts, process: prometheus.NewRegistry(), patience: time.Minute}
	s.host, s.user, s.exe = self()
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		version.NewCollector("vulcan_exporter"),
	} {
		if err := s.process.Register(c); err != nil {
			return nil, err
		}
	}
	var err error
	s.handler, err = s.routes()
	return s, err
}

// HTTP is a server for one listener, with every phase of a request bounded.
// All of them share the limits on requests at once.
func (s *Server) HTTP() *http.Server {
	return &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      s.patience,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelDebug),
	}
}

func (s *Server) routes() (http.Handler, error) {
	compress, err := gzhttp.NewWrapper(gzhttp.EnableZstd(true), gzhttp.PreferZstd(true))
	if err != nil {
		return nil, err
	}
	page := func(h http.HandlerFunc) http.Handler { return limit(maxPages, h) }
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", compress(limit(maxScrapes, s.metrics)))
	mux.Handle("GET /{$}", compress(page(s.status)))
	mux.HandleFunc("GET /status.css", asset("status.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET /status.js", asset("status.js", "text/javascript; charset=utf-8"))
	mux.Handle("GET /debug", page(s.debug))
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "healthy") })
	mux.HandleFunc("GET /-/ready", s.ready)
	mux.HandleFunc("POST /-/reload", s.reload)
	if s.opts.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return guarded(mux), nil
}

const (
	// maxScrapes are served at once; more get 503, so that a flood of them
	// cannot exhaust the process.
	maxScrapes = 40
	// maxPages are served at once: they run sources too.
	maxPages = 8
)

// limit answers 503 beyond n requests at once.
func limit(n int, h http.HandlerFunc) http.Handler {
	inFlight := make(chan struct{}, n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case inFlight <- struct{}{}:
			defer func() { <-inFlight }()
			h(w, r)
		default:
			http.Error(w, fmt.Sprintf("%d requests for %s are in flight already", n, r.URL.Path), http.StatusServiceUnavailable)
		}
	})
}

// policy lets a page load its own style and script and nothing else,
// https://www.w3.org/TR/CSP3/.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guarded tells browsers to trust no content of any answer: labels and error
// texts come from anywhere.
func guarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		h.ServeHTTP(w, r)
	})
}

// ready is 200 once the configuration is loaded, the listeners are bound
// (else nobody would answer here) and every source's first attempt has ended
// or 30 s have passed.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if !s.opts.Manager.Ready() {
		http.Error(w, "first attempts are still running", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

func (s *Server) reload(w http.ResponseWriter, _ *http.Request) {
	if !s.opts.Lifecycle {
		http.Error(w, "reload over HTTP needs --web.enable-lifecycle; SIGHUP reloads always", http.StatusForbidden)
		return
	}
	if err := s.opts.Reload(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, "reloaded")
}

// debug runs one source now and shows its log, metrics and config.
func (s *Server) debug(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	id := r.URL.Query().Get("source")
	if !s.opts.Manager.Has(id) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, "no source %q; expected /debug?source= and one of:\n", id)
		for _, status := range s.opts.Manager.Status() {
			fmt.Fprintln(w, status.ID())
		}
		return
	}
	// A pass may take longer than an answer; its source's deadline bounds it.
	out := http.NewResponseController(w)
	var report bytes.Buffer
	err := errors.Join(
		out.SetWriteDeadline(time.Time{}),
		s.opts.Manager.Debug(r.Context(), id, &report),
		out.SetWriteDeadline(time.Now().Add(s.patience)),
	)
	if err != nil {
		s.opts.Logger.Warn("debug page", "source", id, "err", err)
	}
	_, _ = report.WriteTo(w) // the client may be gone
}

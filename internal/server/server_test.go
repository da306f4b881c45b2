package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/command"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/runner"
	"vulcan.lan/vulcan_exporter/internal/state"
	"vulcan.lan/vulcan_exporter/internal/systemd"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hang is a limit that only a fault reaches.
const hang = 20 * time.Second

// fake is a collector that a test decides about.
type fake struct {
	name    string
	metrics []metric.Metric
	every   time.Duration
	timeout time.Duration
	collect func(ctx context.Context, env collector.Env, out *metric.Batch) error
}

type fakeConfig struct {
	Greeting string `yaml:"greeting"`
}

type fakeRun struct {
	fake
	env collector.Env
}

func (f fakeRun) Collect(ctx context.Context, out *metric.Batch) error {
	return f.collect(ctx, f.env, out)
}

func (f fake) definition() *collector.Definition {
	if f.timeout == 0 {
		f.timeout = 5 * time.Second
	}
	return collector.Define(collector.Spec[fakeConfig]{
		Name: f.name, Metrics: f.metrics, Every: f.every, Timeout: f.timeout, Budget: 1000,
		New: func(_ fakeConfig, env collector.Env) (collector.Collector, error) { return fakeRun{f, env}, nil },
	})
}

// start serves the fakes and returns the server and its URL.
func start(t *testing.T, opts Options, fakes ...fake) (*Server, string) {
	t.Helper()
	opts.Logger = slog.New(slog.DiscardHandler)
	hub := systemd.NewHub(opts.Logger)
	opts.Manager = runner.New(runner.Deps{
		Logger: opts.Logger, Now: time.Now, Exec: command.Exec{}, Systemd: hub, State: state.Open(t.TempDir(), opts.Logger),
	})
	var definitions []*collector.Definition
	var file strings.Builder
	for _, f := range fakes {
		definitions = append(definitions, f.definition())
		opts.Collectors = append(opts.Collectors, f.name)
		fmt.Fprintf(&file, "%s: {greeting: hello from %s}\n", f.name, f.name)
	}
	sources, err := collector.Load("test.yml", []byte(file.String()), definitions)
	if err != nil {
		t.Fatal(err)
	}
	opts.Manager.Apply(sources)
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.handler)
	t.Cleanup(func() {
		web.Close()
		ctx, cancel := context.WithTimeout(context.Background(), hang)
		defer cancel()
		if err := errors.Join(opts.Manager.Close(ctx), hub.Close()); err != nil {
			t.Error(err)
		}
	})
	return s, web.URL
}

// answer is a response that was read.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request with pairs of header names and values. No header but
// those is sent, so nothing is decompressed behind the test's back.
func ask(t *testing.T, method, url string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	client := http.Client{Transport: transport, Timeout: hang}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func get(t *testing.T, url string, header ...string) answer {
	t.Helper()
	return ask(t, http.MethodGet, url, header...)
}

func (a answer) want(t *testing.T, status int, parts ...string) {
	t.Helper()
	if a.status != status {
		t.Errorf("status %d, want %d: %.300s", a.status, status, a.body)
	}
	for _, part := range parts {
		if !strings.Contains(a.body, part) {
			t.Errorf("missing %q in:\n%s", part, a.body)
		}
	}
}

func (a answer) wantNot(t *testing.T, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(a.body, part) {
			t.Errorf("unexpected %q in:\n%s", part, a.body)
		}
	}
}

var (
	alphaValue = metric.NewGauge("alpha_value", "A value.", metric.Labels("text"))
	alphaTotal = metric.NewCounter("alpha_seen_total", "Things seen.")
	betaValue  = metric.NewGauge("beta_value", "A value.")
)

func alpha(texts ...string) fake {
	return fake{name: "alpha", metrics: []metric.Metric{alphaValue, alphaTotal},
		collect: func(_ context.Context, env collector.Env, out *metric.Batch) error {
			env.Logger.Debug("looking closely", "texts", len(texts))
			for i, text := range texts {
				out.Gauge(alphaValue, float64(i), text)
			}
			out.Counter(alphaTotal, float64(len(texts)))
			return nil
		}}
}

func beta(err error) fake {
	return fake{name: "beta", metrics: []metric.Metric{betaValue},
		collect: func(_ context.Context, _ collector.Env, out *metric.Batch) error {
			out.Gauge(betaValue, 7)
			return err
		}}
}

func TestHealthReadyReload(t *testing.T) {
	release := make(chan struct{})
	slow := beta(nil)
	slow.every = 50 * time.Millisecond
	slow.collect = func(ctx context.Context, _ collector.Env, _ *metric.Batch) error {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	}
	reloads := 0
	refused := errors.New("test.yml:3:5: alpha.greeting: wrong")
	opts := Options{Lifecycle: true, Reload: func() error {
		reloads++
		if reloads > 1 {
			return refused
		}
		return nil
	}}
	_, url := start(t, opts, slow)
	get(t, url+"/-/healthy").want(t, 200, "healthy")
	get(t, url+"/-/ready").want(t, 503, "first attempts")
	close(release)
	testenv.Eventually(t, hang, func() error {
		if got := get(t, url+"/-/ready"); got.status != 200 {
			return fmt.Errorf("ready: %d %s", got.status, got.body)
		}
		return nil
	})
	get(t, url+"/-/reload").want(t, 405)
	ask(t, http.MethodPost, url+"/-/reload").want(t, 200, "reloaded")
	ask(t, http.MethodPost, url+"/-/reload").want(t, 500, refused.Error())
	if reloads != 2 {
		t.Errorf("reloaded %d times, want 2: GET must not reload", reloads)
	}
}

func TestReloadNeedsItsFlag(t *testing.T) {
	_, url := start(t, Options{Reload: func() error { t.Error("reloaded"); return nil }}, alpha())
	ask(t, http.MethodPost, url+"/-/reload").want(t, 403, "--web.enable-lifecycle")
}

func TestPprofNeedsItsFlag(t *testing.T) {
	_, closed := start(t, Options{}, alpha())
	get(t, closed+"/debug/pprof/").want(t, 404)
	_, open := start(t, Options{Pprof: true}, alpha())
	get(t, open+"/debug/pprof/").want(t, 200, "goroutine")
	get(t, open+"/debug/pprof/goroutine?debug=1").want(t, 200, "goroutine profile")
}

func TestDebugPage(t *testing.T) {
	_, url := start(t, Options{}, alpha("one"), beta(errors.New("open /etc/beta: permission denied")))
	good := get(t, url+"/debug?source=alpha/default")
	good.want(t, 200, "# source alpha/default", "looking closely", `alpha_value{source="default",text="one"} 0`,
		"greeting: hello from alpha", "timeout: 5s")
	bad := get(t, url+"/debug?source=beta/default")
	bad.want(t, 200, "# error: open /etc/beta: permission denied", "greeting: hello from beta")
	bad.wantNot(t, "beta_value")
	unknown := get(t, url+"/debug?source=<script>")
	unknown.want(t, 404, "alpha/default", "beta/default")
	for _, a := range []answer{good, bad, unknown} {
		if got := a.header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
			t.Errorf("a debug page is %q", got)
		}
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	_, url := start(t, Options{}, alpha())
	get(t, url+"/nothing").want(t, 404)
	get(t, url+"/status.html").want(t, 404)
	ask(t, http.MethodPost, url+"/metrics").want(t, 405)
	if head := ask(t, http.MethodHead, url+"/metrics"); head.status != 200 || head.body != "" {
		t.Errorf("HEAD: %d with %d bytes", head.status, len(head.body))
	}
}

// TestSecurityHeaders: no answer, whatever it holds, is more than text to a
// browser, and the pages load nothing but the exporter's own files.
func TestSecurityHeaders(t *testing.T) {
	_, url := start(t, Options{}, alpha("x"))
	for _, path := range []string{"/", "/metrics", "/debug?source=alpha/default", "/-/ready", "/status.css", "/status.js", "/nothing"} {
		h := get(t, url+path).header
		directives := strings.Split(h.Get("Content-Security-Policy"), "; ")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"} {
			if !slices.Contains(directives, want) {
				t.Errorf("%s: policy %q lacks %q", path, directives, want)
			}
		}
		if strings.Contains(h.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s: unsafe policy", path)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: content may be sniffed", path)
		}
	}
}

// TestDebugReaders: clients that ask for a long page and do not read it are cut off, so that they
// do not keep others from theirs.
func TestDebugReaders(t *testing.T) {
	long := metric.NewGauge("long", "A metric of 8 MB.", metric.Labels("n"))
	s, url := start(t, Options{}, fake{name: "a", metrics: []metric.Metric{long},
		collect: func(_ context.Context, _ collector.Env, out *metric.Batch) error {
			for i := range 1000 {
				out.Gauge(long, 1, fmt.Sprintf("%08000d", i))
			}
			return nil
		}})
	s.patience = time.Second
	for range maxPages {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /debug?source=a/default HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	busy := false
	testenv.Eventually(t, hang, func() error {
		switch got := get(t, url+"/debug?source=a/nobody"); {
		case got.status == http.StatusServiceUnavailable:
			busy = true
			return errors.New(got.body)
		case !busy:
			return fmt.Errorf("the clients do not wait yet: %d", got.status)
		}
		return nil
	})
}

package proxy

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/opnsense/shape"
	"vulcan.lan/vulcan_exporter/collectors/opnsense/transform"
	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// bench is a proxy in front of a fake firewall.
type env struct {
	t       testing.TB
	fw      *testenv.OPNsense
	proxy   *Proxy
	up      *Upstream
	address string
	log     *testenv.Buffer

	mu      sync.Mutex
	changes []shape.Change
}

// start runs a proxy; change may alter its options before.
func start(t testing.TB, fw *testenv.OPNsense, change func(o *Options, trust *Trust, s *Server)) *env {
	t.Helper()
	e := &env{t: t, fw: fw, log: &testenv.Buffer{}}
	table, err := transform.Compile(transform.Builtin())
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.NewTextHandler(e.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o := Options{
		Timeout: 10 * time.Second, Allow: Endpoints(), Table: table, Shapes: shape.New(nil), MaxRequest: 64 << 10, MaxResponse: 1 << 20, MaxConcurrent: 32,
		Now: time.Now, Logger: logger,
		Changed: func(c []shape.Change) { e.mu.Lock(); defer e.mu.Unlock(); e.changes = append(e.changes, c...) },
	}
	trust := Trust{CAFile: fw.CAFile}
	server := &Server{Address: "127.0.0.1:0", Logger: logger}
	if change != nil {
		change(&o, &trust, server)
	}
	u, err := url.Parse(fw.URL)
	if err != nil {
		t.Fatal(err)
	}
	if o.Upstream == nil {
		o.Upstream = NewUpstream(u, trust, "auto", o.Now)
	}
	e.up = o.Upstream
	e.proxy = New(o)
	server.Proxy = e.proxy
	e.serve(server)
	return e
}

func (e *env) serve(server *Server) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	e.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			e.t.Errorf("the listener ended with %v", err)
		}
		e.up.Close()
	})
	testenv.Eventually(e.t, 20*time.Second, func() error {
		if server.Addr() == nil {
			return net.ErrClosed
		}
		return nil
	})
	e.address = server.Addr().String()
}

var client = &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 32}, Timeout: 30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// get asks the proxy as opnsense-exporter does and returns status and body.
func (e *env) get(endpoint string) (*http.Response, string) {
	e.t.Helper()
	return e.do(http.MethodGet, endpoint, nil)
}

func (e *env) do(method, endpoint string, body io.Reader) (*http.Response, string) {
	e.t.Helper()
	r, err := http.NewRequest(method, "http://"+e.address+"/api/"+endpoint, body)
	if err != nil {
		e.t.Fatal(err)
	}
	r.SetBasicAuth(testenv.OPNsenseKey, testenv.OPNsenseSecret)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Accept-Encoding", "gzip, deflate, br")
	res, err := client.Do(r)
	if err != nil {
		e.t.Fatalf("%s %s: %v", method, endpoint, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return res, "cut off: " + err.Error()
	}
	return res, string(text)
}

// raw sends bytes and returns the first line of the answer, "" where the
// connection was closed without one.
func (e *env) raw(request string) string {
	e.t.Helper()
	conn, err := net.Dial("tcp", e.address)
	if err != nil {
		e.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		e.t.Fatal(err)
	}
	answer, _ := io.ReadAll(conn)
	line, _, _ := strings.Cut(string(answer), "\r\n")
	return line
}

// eventually waits for a counter, which is counted after the answer was sent.
func (e *env) eventually(what string, read func() float64, want float64) {
	e.t.Helper()
	var got float64
	deadline := time.Now().Add(20 * time.Second)
	for got = read(); got != want && time.Now().Before(deadline); got = read() {
		time.Sleep(5 * time.Millisecond)
	}
	if got != want {
		e.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func (e *env) refused(why Reason, want float64) {
	e.t.Helper()
	e.eventually("refused "+string(why), func() float64 { return e.proxy.Refused(why) }, want)
}

func (e *env) failed(why Reason, want float64) {
	e.t.Helper()
	e.eventually("failed "+string(why), func() float64 { return e.proxy.Failed(why) }, want)
}

func (e *env) requests(endpoint string, class int) float64 {
	for _, x := range e.proxy.Endpoints() {
		if x.Name == endpoint {
			return x.Requests[class]
		}
	}
	return -1
}

// noSecrets fails where a log holds the key, the secret or their header.
func (e *env) noSecrets() {
	e.t.Helper()
	r, _ := http.NewRequest(http.MethodGet, "http://x/", nil)
	r.SetBasicAuth(testenv.OPNsenseKey, testenv.OPNsenseSecret)
	for _, secret := range []string{testenv.OPNsenseKey, testenv.OPNsenseSecret, strings.TrimPrefix(r.Header.Get("Authorization"), "Basic ")} {
		if strings.Contains(e.log.String(), secret) {
			e.t.Errorf("the log shows a secret:\n%s", e.log)
		}
	}
}

func key() (config.Secret, config.Secret, error) {
	return config.NewSecret(testenv.OPNsenseKey), config.NewSecret(testenv.OPNsenseSecret), nil
}

func upstreamOf(t testing.TB, fw *testenv.OPNsense, trust Trust, version string) *Upstream {
	t.Helper()
	u, err := url.Parse(fw.URL)
	if err != nil {
		t.Fatal(err)
	}
	return NewUpstream(u, trust, version, time.Now)
}

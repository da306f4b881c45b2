package proxy

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// A gigabyte, an answer without end and a compressed bomb are cut off, and
// cost no more memory than the limit.
func TestLargeAnswers(t *testing.T) {
	fw := testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{})
	e := start(t, fw, func(o *Options, _ *Trust, _ *Server) { o.Timeout = 5 * time.Second })
	block := bytes.Repeat([]byte(" "), 1<<20)
	huge := func(w http.ResponseWriter, r *http.Request) {
		for range 1024 {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
	announced := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1073741824")
		huge(w, r)
	}
	bomb := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		for range 64 {
			if _, err := z.Write(block); err != nil {
				return
			}
		}
		_ = z.Close()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	want := 0.0
	for name, answer := range map[string]http.HandlerFunc{"huge": huge, "announced": announced, "bomb": bomb} {
		fw.Answer("core/system/status", answer)
		res, body := e.get("core/system/status")
		if want++; res.StatusCode != http.StatusBadGateway || len(body) > 1000 {
			t.Errorf("%s: %s, %d bytes", name, res.Status, len(body))
		}
	}
	e.failed(ErrorTooLarge, want)
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 64<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

// An endpoint without rules is passed on as it arrives, up to the limit.
func TestLargeAnswerPassedOn(t *testing.T) {
	fw := testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{})
	e := start(t, fw, func(o *Options, _ *Trust, _ *Server) { o.Allow = append(o.Allow, "core/menu/search") })
	e.proxy.options.Shapes.Due("core/menu/search", time.Now()) // not sampled
	fw.Answer("core/menu/search", func(w http.ResponseWriter, _ *http.Request) {
		for range 4 {
			_, _ = w.Write(bytes.Repeat([]byte("x"), 512<<10))
		}
	})
	if _, body := e.get("core/menu/search"); !strings.HasPrefix(body, "cut off") {
		t.Errorf("%d bytes arrived", len(body))
	}
	e.failed(ErrorTooLarge, 1)
	e.eventually("aborted", func() float64 { return e.requests("core/menu/search", aborted) }, 1)
}

func TestAnswersOfOtherKinds(t *testing.T) {
	fw := testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{})
	e := start(t, fw, nil)
	zipped := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, body)
			_ = z.Close()
		}
	}
	plain := func(status int, encoding, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if encoding != "" {
				w.Header().Set("Content-Encoding", encoding)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		status int
		body   string
		reason Reason
	}{
		{"gzip that nobody asked for", zipped(`{"rows":[{"running":"1"}]}`), 200, `{"rows":[{"running":1}]}`, ""},
		{"broken gzip", plain(200, "gzip", "xx"), 502, "upstream: encoding\n", ErrorEncoding},
		{"brotli", plain(200, "br", "xx"), 502, "upstream: encoding\n", ErrorEncoding},
		{"HTML", plain(200, "", "<html>login</html>"), 200, "<html>login</html>", ErrorNotJSON},
		{"truncated JSON", plain(200, "", `{"rows":[{"running":"1"}`), 200, `{"rows":[{"running":"1"}`, ErrorNotJSON},
		{"empty", plain(200, "", ""), 200, "", ErrorNotJSON},
		{"404", plain(404, "", `{"running":"1"}`), 404, `{"running":"1"}`, ""},
		{"500", plain(500, "", "oops"), 500, "oops", ""},
	} {
		fw.Answer("core/service/search", test.answer)
		var before float64
		if test.reason != "" {
			before = e.proxy.Failed(test.reason)
		}
		res, body := e.get("core/service/search")
		if res.StatusCode != test.status || body != test.body {
			t.Errorf("%s: %s %q", test.name, res.Status, body)
		}
		if test.reason != "" {
			e.failed(test.reason, before+1)
		}
	}
	fw.Answer("core/service/search", nil)
	if res, body := e.do(http.MethodHead, "core/service/search", nil); res.StatusCode != http.StatusOK || body != "" || res.Header.Get("Content-Length") != "" {
		t.Errorf("HEAD: %s %q length %q", res.Status, body, res.Header.Get("Content-Length"))
	}
}

func TestRequestBodies(t *testing.T) {
	fw := testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{})
	e := start(t, fw, func(o *Options, _ *Trust, _ *Server) { o.MaxRequest = 100 })
	got := make(chan string, 1)
	fw.Answer("core/service/search", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- fmt.Sprintf("%s %d %q", body, r.ContentLength, r.TransferEncoding)
		_, _ = io.WriteString(w, "{}")
	})
	if res, _ := e.do(http.MethodPost, "core/service/search", strings.NewReader(`{"current":1}`)); res.StatusCode != http.StatusOK || <-got != `{"current":1} 13 []` {
		t.Errorf("POST: %s", res.Status)
	}
	if res, _ := e.do(http.MethodPost, "core/service/search", strings.NewReader(strings.Repeat("x", 101))); res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("large body: %s", res.Status)
	}
	e.refused(RefusedBody, 1)
}

// The firewall hangs on one endpoint: the others answer, and clients that try
// again and again do not use up the room.
func TestOneEndpointHangs(t *testing.T) {
	fw := testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{})
	e := start(t, fw, func(o *Options, _ *Trust, _ *Server) { o.Timeout = 20 * time.Second; o.MaxConcurrent = 16 })
	release := make(chan struct{})
	fw.Answer("core/firmware/status", func(_ http.ResponseWriter, r *http.Request) { <-release })
	var hung sync.WaitGroup
	for range 20 {
		hung.Go(func() { e.get("core/firmware/status") })
	}
	e.refused(RefusedBusy, 16) // 4 hang
	begun := time.Now()
	for _, endpoint := range Endpoints() {
		if endpoint == "core/firmware/status" {
			continue
		}
		if res, _ := e.get(endpoint); res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", endpoint, res.Status)
		}
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the other endpoints took %s", took)
	}
	close(release)
	hung.Wait()
}

// A request that all places together refuse takes none of its endpoint's, and gives none back.
func TestRefusedTakesNoPlace(t *testing.T) {
	p, one, other := &Proxy{options: Options{MaxConcurrent: 4}}, &endpoint{}, &endpoint{}
	p.inFlight.Store(4) // of other endpoints
	for range 3 {
		if p.enter(one) {
			t.Fatal("a fifth place")
		}
	}
	if n := one.inFlight.Load(); n != 0 {
		t.Errorf("%d in flight", n)
	}
	p.inFlight.Store(0)
	if !p.enter(one) || p.enter(one) || !p.enter(other) {
		t.Error("an endpoint gets a quarter of the places")
	}
}

func TestUpstreamNeverAnswers(t *testing.T) {
	fw := testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{})
	e := start(t, fw, func(o *Options, _ *Trust, _ *Server) { o.Timeout = 200 * time.Millisecond })
	fw.Answer("core/service/search", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	fw.Answer("core/system/status", func(w http.ResponseWriter, r *http.Request) { // a byte now and then, for ever
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, " ")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	})
	for _, endpoint := range []string{"core/service/search", "core/system/status"} {
		if res, _ := e.get(endpoint); res.StatusCode != http.StatusGatewayTimeout {
			t.Errorf("%s: %s", endpoint, res.Status)
		}
	}
	e.failed(ErrorTimeout, 2)
	if n := strings.Count(e.log.String(), "endpoint fails"); n != 2 {
		t.Errorf("%d lines in the log", n)
	}
	fw.Answer("core/service/search", nil)
	e.get("core/service/search")
	if !strings.Contains(e.log.String(), "answers again") {
		t.Error("the recovery is not logged")
	}
	fw.Stop()
	if res, _ := e.get("core/service/search"); res.StatusCode != http.StatusBadGateway {
		t.Errorf("stopped: %s", res.Status)
	}
	e.failed(ErrorConnect, 1)
	e.noSecrets()
}

// Connections that send their header slowly are closed after 5 s, and one
// address has at most 64 of them.
func TestSlowloris(t *testing.T) {
	fw := testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{})
	e := start(t, fw, nil)
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for range maxPerClient + 10 {
		c, err := net.Dial("tcp", e.address)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		_, _ = io.WriteString(c, "GET /api/core/system/status HTTP/1.1\r\nHost: x\r\nX-")
	}
	e.refused(RefusedConnection, 10)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
				for _, c := range conns {
					_, _ = io.WriteString(c, "a")
				}
			}
		}
	}()
	e.refused(RefusedIncomplete, maxPerClient)
	if res, _ := e.get("core/system/status"); res.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %s", res.Status)
	}
}

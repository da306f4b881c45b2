package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

const (
	alphaSeries = `alpha_value{source="default",text="one"} 0`
	betaSeries  = `beta_value{source="default"} 7`
)

func TestSelection(t *testing.T) {
	_, url := start(t, Options{}, alpha("one"), beta(nil))
	get(t, url+"/metrics").want(t, 200, alphaSeries, betaSeries, "go_goroutines", "process_", "vulcan_exporter_build_info",
		`vulcan_collector_up{collector="alpha",source="default"} 1`, "vulcan_config_last_reload_successful 1")
	only := get(t, url+"/metrics?collect[]=alpha")
	only.want(t, 200, alphaSeries)
	only.wantNot(t, "beta")
	both := get(t, url+"/metrics?collect[]=alpha&collect[]=beta")
	both.want(t, 200, alphaSeries, betaSeries)
	without := get(t, url+"/metrics?exclude[]=alpha")
	without.want(t, 200, betaSeries)
	without.wantNot(t, "alpha")
	get(t, url+"/metrics?collect[]=gamma").want(t, 400, `unknown collector "gamma"`, `"alpha" "beta"`)
	get(t, url+"/metrics?exclude[]=gamma").want(t, 400, `unknown collector "gamma"`)
	get(t, url+"/metrics?collect[]=alpha&exclude[]=beta").want(t, 400, "exclude each other")
}

// hostile are label values that break out of quoting, lines or markup where
// somebody forgot to escape.
var hostile = []string{
	`quote " backslash \ end`, "new\nline # TYPE x counter", `}{} 1`, "<script>alert(1)</script>", "\u202egnp.exe", "größer", "",
	"</pre><img src=x onerror=alert(1)>", "' ; rm -rf / ; '",
}

func TestTextFormatParses(t *testing.T) {
	_, url := start(t, Options{}, alpha(hostile...))
	got := get(t, url+"/metrics")
	got.want(t, 200)
	if ct := got.header.Get("Content-Type"); !strings.HasPrefix(ct, "text/plain; version=0.0.4") {
		t.Errorf("content type %q", ct)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(got.body))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]float64{}
	for _, m := range families["alpha_value"].GetMetric() {
		for _, l := range m.Label {
			if l.GetName() == "text" {
				seen[l.GetValue()] = m.Gauge.GetValue()
			}
		}
	}
	for i, text := range hostile {
		if v, ok := seen[text]; !ok || v != float64(i) {
			t.Errorf("label %q came back as %v, %v; want %d", text, v, ok, i)
		}
	}
}

// TestOpenMetrics reads the answer with Prometheus' own parser by way of
// promtool, which also lints it, and checks what that parser forgives.
func TestOpenMetrics(t *testing.T) {
	_, url := start(t, Options{}, alpha(hostile...), beta(nil))
	got := get(t, url+"/metrics", "Accept", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")
	got.want(t, 200, "# TYPE alpha_seen counter\nalpha_seen_total{source=\"default\"} 9")
	if ct := got.header.Get("Content-Type"); !strings.HasPrefix(ct, "application/openmetrics-text; version=1.0.0") {
		t.Errorf("content type %q", ct)
	}
	if !strings.HasSuffix(got.body, "\n# EOF\n") || strings.Count(got.body, "# EOF") != 1 {
		t.Errorf("ends with %q, want exactly one # EOF at the end", got.body[max(0, len(got.body)-40):])
	}
	if strings.Contains(got.body, "_created") {
		t.Error("has _created series")
	}
	openMetricsLines(t, got.body)
}

// openMetricsLines checks the structure of an OpenMetrics text: each family in
// one block, TYPE before its samples, no empty line, no family twice.
func openMetricsLines(t *testing.T, body string) {
	t.Helper()
	family, seen := "", map[string]bool{}
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		switch rest, isType := strings.CutPrefix(line, "# TYPE "); {
		case line == "":
			t.Error("empty line")
		case isType:
			family, _, _ = strings.Cut(rest, " ")
			if seen[family] {
				t.Errorf("family %s comes twice", family)
			}
			seen[family] = true
		case !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, family):
			t.Errorf("sample %q stands in the block of %s", line, family)
		}
	}
	if !seen["alpha_seen"] || !seen["beta_value"] {
		t.Errorf("families %v", seen)
	}
}

// TestLint: the whole page passes the pinned promtool, in both formats that
// its parser reads.
func TestLint(t *testing.T) {
	promtool := testenv.Tool(t, "promtool")
	_, url := start(t, Options{}, alpha(hostile...), beta(errors.New("fault")))
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(get(t, url+"/metrics").body)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestCompression(t *testing.T) {
	_, url := start(t, Options{}, alpha(strings.Split(strings.Repeat("x", 600), "")[:1]...))
	plain := get(t, url+"/metrics")
	if e := plain.header.Get("Content-Encoding"); e != "" {
		t.Errorf("encoded as %q unasked", e)
	}
	gz := get(t, url+"/metrics", "Accept-Encoding", "gzip")
	if e := gz.header.Get("Content-Encoding"); e != "gzip" {
		t.Fatalf("encoding %q, want gzip", e)
	}
	r, err := gzip.NewReader(strings.NewReader(gz.body))
	if err != nil {
		t.Fatal(err)
	}
	wantSeries(t, r)
	for _, accept := range []string{"zstd", "gzip, zstd", "gzip;q=0.8, zstd;q=1.0"} {
		z := get(t, url+"/metrics", "Accept-Encoding", accept)
		if e := z.header.Get("Content-Encoding"); e != "zstd" {
			t.Fatalf("encoding %q for %q, want zstd", e, accept)
		}
		if v := z.header.Get("Vary"); !strings.Contains(v, "Accept-Encoding") {
			t.Errorf("vary %q", v)
		}
		d, err := zstd.NewReader(strings.NewReader(z.body))
		if err != nil {
			t.Fatal(err)
		}
		wantSeries(t, d)
		d.Close()
	}
	if e := get(t, url+"/metrics", "Accept-Encoding", "br, identity").header.Get("Content-Encoding"); e != "" {
		t.Errorf("encoding %q, want none", e)
	}
}

func wantSeries(t *testing.T, r io.Reader) {
	t.Helper()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte("alpha_value{")) || !bytes.Contains(text, []byte("vulcan_exporter_build_info")) {
		t.Errorf("decompressed to %.200s", text)
	}
}

// TestScrapeTimeout: a source that runs at scrape is waited for as long as the
// scraper's timeout leaves, and the others are served although it hangs. Its
// run keeps its own deadline: the next scraper may have more patience.
func TestScrapeTimeout(t *testing.T) {
	var calls atomic.Int32
	left := make(chan time.Duration, 100)
	stuck := beta(nil)
	stuck.timeout = time.Minute
	stuck.collect = func(ctx context.Context, _ collector.Env, out *metric.Batch) error {
		if calls.Add(1) == 1 {
			return nil // the first run is the source's own, with its own timeout
		}
		deadline, _ := ctx.Deadline()
		left <- time.Until(deadline)
		<-ctx.Done()
		out.Gauge(betaValue, 7)
		return ctx.Err()
	}
	_, url := start(t, Options{}, alpha("one"), stuck)
	testenv.Eventually(t, hang, func() error {
		if calls.Load() == 0 || get(t, url+"/-/ready").status != 200 {
			return errors.New("not begun")
		}
		return nil
	})
	begun := time.Now()
	got := get(t, url+"/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "1.2")
	if took := time.Since(begun); took < 700*time.Millisecond || took > 20*700*time.Millisecond {
		t.Errorf("a scrape of 1.2 s took %s, want 0.7 s", took)
	}
	got.want(t, 200, alphaSeries)
	got.wantNot(t, "beta_value")
	if d := <-left; d < 50*time.Second {
		t.Errorf("the run may take %s, want its own minute", d)
	}
}

func TestBudget(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": scrapeBudget, "nonsense": scrapeBudget, "-1": scrapeBudget, "NaN": scrapeBudget, "1e300": scrapeBudget,
		"10": 9500 * time.Millisecond, "1": 500 * time.Millisecond, "0.5": 250 * time.Millisecond,
	} {
		r, err := http.NewRequest(http.MethodGet, "/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", header)
		if got := budget(r); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

func TestInFlightLimit(t *testing.T) {
	release := make(chan struct{})
	stuck := beta(nil)
	stuck.timeout = time.Minute
	stuck.collect = func(ctx context.Context, _ collector.Env, _ *metric.Batch) error {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	}
	_, url := start(t, Options{}, stuck)
	var wait sync.WaitGroup
	var served atomic.Int32
	for range maxScrapes {
		wait.Go(func() {
			for range 1000 { // a poll below may hold the last place for a moment
				if get(t, url+"/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "60").status == 200 {
					served.Add(1)
					return
				}
			}
		})
	}
	testenv.Eventually(t, hang, func() error {
		got := get(t, url+"/metrics?collect[]=unknown") // runs nothing and waits for nothing
		if got.status != http.StatusServiceUnavailable {
			return fmt.Errorf("%d: %s", got.status, got.body)
		}
		got.want(t, 503, "40 requests for /metrics are in flight")
		return nil
	})
	get(t, url+"/-/healthy").want(t, 200)
	close(release)
	wait.Wait()
	if served.Load() != maxScrapes {
		t.Errorf("%d of %d served", served.Load(), maxScrapes)
	}
	get(t, url+"/metrics").want(t, 200, betaSeriesUp)
}

const betaSeriesUp = `vulcan_collector_up{collector="beta",source="default"} 1`

// TestFailedSourceIsAbsent: no value of a failed at-scrape source, a 0 of its up.
func TestFailedSourceIsAbsent(t *testing.T) {
	_, url := start(t, Options{}, alpha("one"), beta(errors.New("broken")))
	got := get(t, url+"/metrics")
	got.want(t, 200, alphaSeries, `vulcan_collector_up{collector="beta",source="default"} 0`,
		`vulcan_collector_failures_total{collector="beta",source="default",reason="error"}`)
	got.wantNot(t, "beta_value", "broken")
}

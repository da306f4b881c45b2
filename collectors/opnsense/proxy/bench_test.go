package proxy

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"vulcan.lan/vulcan_exporter/collectors/opnsense/shape"
	"vulcan.lan/vulcan_exporter/collectors/opnsense/transform"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// benchProxy is set in the processes that the benchmark starts of its own
// binary, so that what a proxy costs is that of its process alone.
const benchProxy = "VULCAN_BENCH_PROXY"

func TestMain(m *testing.M) {
	if mode := os.Getenv(benchProxy); mode != "" {
		fmt.Fprintln(os.Stderr, child(mode))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// child serves as one of the two Go proxies until it is killed.
func child(mode string) error {
	u, err := url.Parse(os.Getenv("VULCAN_BENCH_URL"))
	if err != nil {
		return err
	}
	up := NewUpstream(u, Trust{CAFile: os.Getenv("VULCAN_BENCH_CA")}, "1.1", time.Now)
	table, err := transform.Compile(transform.Builtin())
	if err != nil {
		return err
	}
	s := &Server{Address: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}
	s.Proxy = New(Options{
		Upstream: up, Timeout: 10 * time.Second, Allow: append(Endpoints(), "core/menu/search"), Table: table, Shapes: shape.New(nil),
		Changed: func([]shape.Change) {}, MaxRequest: 64 << 10, MaxResponse: 8 << 20, MaxConcurrent: 32, Now: time.Now, Logger: s.Logger,
	})
	if mode == "plain" {
		listener, err := s.listen(context.Background())
		if err != nil {
			return err
		}
		fmt.Println(listener.Addr())
		reverse := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }, Transport: up.transport}
		return http.Serve(listener, reverse)
	}
	go func() {
		for s.Addr() == nil {
			time.Sleep(time.Millisecond)
		}
		fmt.Println(s.Addr())
	}()
	return s.Run(context.Background())
}

// contender is one proxy under measurement.
type contender struct {
	name    string
	pid     int
	address string
	count   int // requests in a round
	cpu     time.Duration
	wall    time.Duration
	done    int
	latency []time.Duration
}

func launch(b *testing.B, name string, count int, cmd *exec.Cmd) *contender {
	b.Helper()
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return &contender{name: name, pid: cmd.Process.Pid, address: strings.TrimSpace(line), count: count}
}

// cpuOf is the processor time of a process, to 10 ms.
func cpuOf(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		b.Fatal(err1, err2)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// one makes one request.
func (c *contender) one(path string, size int) error {
	r, err := http.NewRequest(http.MethodGet, "http://"+c.address+path, nil)
	if err != nil {
		return err
	}
	r.SetBasicAuth(testenv.OPNsenseKey, testenv.OPNsenseSecret)
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if err != nil || res.StatusCode != http.StatusOK || n < int64(size)/2 {
		return fmt.Errorf("%s, %d bytes, %w", res.Status, n, err)
	}
	return nil
}

// round makes the requests, as many at a time as opnsense-exporter has
// collectors, and some more one after the other for the latency.
func (c *contender) round(b *testing.B, path string, size int) {
	b.Helper()
	const exporter = 4 // of the 16 places that one endpoint may have; all here ask the same one
	var group errgroup.Group
	before, begun := cpuOf(b, c.pid), time.Now()
	for range exporter {
		group.Go(func() error {
			for range c.count / exporter {
				if err := c.one(path, size); err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	c.wall += time.Since(begun)
	c.cpu += cpuOf(b, c.pid) - before
	c.done += c.count / exporter * exporter
	for range c.count / 10 {
		begun := time.Now()
		if err := c.one(path, size); err != nil {
			b.Fatalf("%s: %v", c.name, err)
		}
		c.latency = append(c.latency, time.Since(begun))
	}
}

// median is that of the latencies, in microseconds.
func (c *contender) median() float64 {
	slices.Sort(c.latency)
	return float64(c.latency[len(c.latency)/2].Microseconds())
}

func (c *contender) each(d time.Duration) float64 { return float64(d.Microseconds()) / float64(c.done) }

// gatewayRows is an answer of searchGateway of about size bytes.
func gatewayRows(size int) []byte {
	raw, _ := testenv.OPNsenseAnswer("25.1", "routing/settings/searchGateway")
	var v struct {
		Total int   `json:"total"`
		Rows  []any `json:"rows"`
	}
	_ = json.Unmarshal(raw, &v)
	rows := v.Rows
	for v.Rows = rows[:1]; ; v.Rows = append(v.Rows[:len(v.Rows):len(v.Rows)], rows[len(v.Rows)%len(rows)]) {
		if body, _ := json.Marshal(v); len(body) >= size {
			return body
		}
	}
}

// BenchmarkProxy compares, in processor time of the proxy for each request,
// this proxy with a plain httputil.ReverseProxy and with a Python http.server
// as it replaces one, all in front of the same TLS server.
func BenchmarkProxy(b *testing.B) {
	testenv.Need(b, "python3")
	for _, size := range []int{2 << 10, 100 << 10} {
		for name, endpoint := range map[string]string{"rules": "routing/settings/searchGateway", "norules": "core/menu/search"} {
			b.Run(fmt.Sprintf("%dkB/%s", size>>10, name), func(b *testing.B) { benchmarkProxy(b, size, "/api/"+endpoint) })
		}
	}
}

func benchmarkProxy(b *testing.B, size int, path string) {
	fw := testenv.StartOPNsense(b, "25.1", testenv.OPNsenseOptions{})
	body := gatewayRows(size)
	fw.Answer(strings.TrimPrefix(path, "/api/"), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	})
	self := func(mode string) *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), benchProxy+"="+mode, "VULCAN_BENCH_URL="+fw.URL, "VULCAN_BENCH_CA="+fw.CAFile)
		return cmd
	}
	ours, plain := launch(b, "ours", 1000, self("ours")), launch(b, "plain", 1000, self("plain"))
	python := launch(b, "python", 60, exec.Command("python3", "testdata/transformer.py", fw.URL))
	for range b.N {
		for _, c := range []*contender{ours, plain, python, plain, ours, ours, plain, plain, ours} {
			c.round(b, path, size)
		}
	}
	b.ReportMetric(0, "ns/op")
	for _, c := range []*contender{ours, plain, python} {
		b.ReportMetric(c.each(c.cpu), c.name+"-cpu-us/req")
		b.ReportMetric(c.median(), c.name+"-latency-us")
		b.ReportMetric(1e6/c.each(c.wall), c.name+"-req/s")
	}
	b.ReportMetric(python.each(python.cpu)/ours.each(ours.cpu), "python/ours")
	b.ReportMetric(ours.each(ours.cpu)/plain.each(plain.cpu), "ours/plain")
}

package dnsquery

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/testenv"
	fake "vulcan.lan/vulcan_exporter/internal/testenv/technitiumtest"
)

// drained runs the collector against a child until it has read that many rows and Loki has them.
func drained(t testing.TB, url string, rows, top int) *dnsquery {
	t.Helper()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(fake.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := defaults()
	cfg.URL, cfg.TokenFile, cfg.Loki.URL, cfg.TopDomains = url, config.SecretFile(token), url, top
	env := collectortest.Env(t)
	env.Now, env.Interval = time.Now, time.Second
	c, err := open(cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	d := c.(*dnsquery)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	deadline := time.Now().Add(5 * time.Minute)
	for {
		if v, l := d.view.Load(), d.loki.Load(); v != nil && l != nil && v.counts.Rows >= float64(rows) {
			if left, _ := l.queue.Backlog(); left == 0 {
				break
			}
		}
		select {
		case err := <-done:
			t.Fatal(err)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("not all rows were read")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := d.view.Load().counts.Rows; got != float64(rows) {
		t.Errorf("%v rows counted, want %d", got, rows)
	}
	if got := d.loki.Load().queue.Totals().Pushed; got != int64(rows) {
		t.Errorf("%d rows in Loki, want %d", got, rows)
	}
	return d
}

func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkEndToEnd reads rows from the API, counts them, keeps the state and sends them to Loki,
// and compares the CPU time of a row with that of the straightforward Python way.
func BenchmarkEndToEnd(b *testing.B) {
	testenv.Need(b, "/usr/bin/python3") // Debian: python3-requests, python3-prometheus-client
	const rows, pythonRows = 300_000, 10_000
	var ours, theirs time.Duration
	var wall time.Duration
	url := child(b, rows)
	for b.Loop() {
		before, begun := cpu(b), time.Now()
		drained(b, url, rows, 0)
		ours += cpu(b) - before
		wall += time.Since(begun)
		cmd := exec.Command("/usr/bin/python3", "testdata/straightforward.py", url, fake.Token, strconv.Itoa(pythonRows))
		out, err := cmd.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != strconv.Itoa(pythonRows) {
			b.Fatalf("%v: %s", err, out)
		}
		theirs += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	perRow := float64(ours.Nanoseconds()) / float64(b.N*rows)
	python := float64(theirs.Nanoseconds()) / float64(b.N*pythonRows)
	b.ReportMetric(perRow, "cpu-ns/row")
	b.ReportMetric(python, "python-cpu-ns/row")
	b.ReportMetric(python/perRow, "x-less-cpu")
	b.ReportMetric(float64(b.N*rows)/wall.Seconds(), "rows/s")
}

// A million different names go through in bounded memory: the log, the counts and the queue are
// read and written in parts.
func TestMillionNames(t *testing.T) {
	const rows = millionNames
	url := child(t, rows)
	runtime.GC()
	debug.FreeOSMemory()
	before := resident(t)
	peak, stop := make(chan int64), make(chan struct{})
	go func() {
		most := int64(0)
		for {
			most = max(most, resident(t))
			select {
			case <-stop:
				peak <- most
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	begun, used := time.Now(), cpu(t)
	d := drained(t, url, rows, 10)
	took, spent := time.Since(begun), cpu(t)-used
	close(stop)
	grown := <-peak - before
	v := d.view.Load()
	t.Logf("%d rows in %s, %s of CPU; resident memory grew by at most %d MiB; about %.0f different names, state of %d KiB", rows, took.Round(time.Millisecond), spent.Round(time.Millisecond), grown>>20, v.domains, stateSize(t, d.env)>>10)
	if grown > 256<<20 {
		t.Errorf("resident memory grew by %d MiB", grown>>20)
	}
	if v.domains < 0.93*rows || v.domains > 1.07*rows {
		t.Errorf("%.0f different names, want about %d", v.domains, rows)
	}
}

// resident is VmRSS in bytes.
func resident(t testing.TB) int64 {
	content, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Error(err)
		return 0
	}
	pages, err := strconv.ParseInt(strings.Fields(string(content))[1], 10, 64)
	if err != nil {
		t.Error(err)
	}
	return pages * int64(os.Getpagesize())
}

func stateSize(t testing.TB, env collector.Env) int64 {
	t.Helper()
	var raw jsonSize
	if found, err := env.State.Load(&raw); err != nil || !found {
		t.Fatal(found, err)
	}
	return int64(raw)
}

// jsonSize is the length of what it is read from.
type jsonSize int64

func (s *jsonSize) UnmarshalJSON(data []byte) error {
	*s = jsonSize(len(data))
	return nil
}

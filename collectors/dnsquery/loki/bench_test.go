package loki

import (
	"io"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"
)

// BenchmarkDelivery is the way of a query log row through the queue to a server that only reads:
// appended and fsynced in pages of 1000, read back, encoded, compressed, posted, acknowledged.
// cpu-s/100k is the processor time of this process, the server's reading included. The script that
// this replaces needs 11 s for 100,000 rows, counting and API included (requests and
// prometheus_client, batches of 100; measured against a simulator of the query log).
func BenchmarkDelivery(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			http.NotFound(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	q := openQueue(b, b.TempDir(), 256<<20)
	page := rows(1000, time.Now())
	startPusher(b, Options{URL: server.URL}, q)
	before := cpu(b)
	n := 0
	for b.Loop() {
		add(b, q, page...)
		n += len(page)
	}
	drained(b, q)
	b.ReportMetric((cpu(b)-before).Seconds()/float64(n)*100_000, "cpu-s/100k")
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

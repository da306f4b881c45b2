package loki

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// forgetful passes pushes on to Loki and loses the answers to some.
type forgetful struct {
	*httptest.Server
	every int32        // of so many pushes, the answer to one comes back
	seen  atomic.Int32 // pushes
}

func startForgetful(t *testing.T, target string, every int32) *forgetful {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	f := &forgetful{every: every}
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			proxy.ServeHTTP(w, r)
			return
		}
		if n := f.seen.Add(1); n%f.every == 0 {
			proxy.ServeHTTP(w, r)
			return
		}
		proxy.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(f.Close)
	return f
}

// Each row is in Loki once, whatever happens on the way: two of three answers are lost after Loki
// took the push, the pusher is stopped over and over between push and acknowledgement, the queue
// is opened anew, Loki crashes and is stopped, and it writes its chunks. Batches are larger than
// a block of Loki's chunks (256 kB), where a row that comes again meets the first no more.
func TestEveryRowOnce(t *testing.T) {
	t.Parallel()
	l := testenv.StartLoki(t, testenv.LokiOptions{})
	f := startForgetful(t, l.URL, 3)
	dir := t.TempDir()
	want := rows(9000, time.Now().Add(-30*time.Minute))
	q := openQueue(t, dir, 64<<20)
	for part := want; len(part) > 0; part = part[min(1000, len(part)):] {
		add(t, q, part[:min(1000, len(part))]...)
	}
	options := Options{URL: f.URL, BatchBytes: 700_000, MinBackoff: 500 * time.Millisecond, MaxBackoff: time.Second}
	stops := 0
	for ; stops < 3; stops++ {
		seen := f.seen.Load()
		p := startPusher(t, options, q)
		testenv.Eventually(t, time.Minute, func() error {
			if n, _ := q.Backlog(); n > 0 && f.seen.Load() == seen {
				return fmt.Errorf("nothing pushed, %d rows in the queue", n)
			}
			return nil
		})
		p.stop()
		end := q.End()
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		q = openQueue(t, dir, 64<<20)
		if err := q.Truncate(end); err != nil {
			t.Fatal(err)
		}
		if stops == 1 {
			l.Kill()
			l.Start(t)
		}
	}
	startPusher(t, options, q)
	drained(t, q)
	if n := q.Totals(); n.Pushed != int64(len(want)) || n.Lost != 0 {
		t.Errorf("totals %+v", n)
	}
	sameRows(t, l, "", want)
	l.Flush(t)
	l.Stop(t)
	l.Start(t)
	sameRows(t, l, "", want)
	t.Logf("%d pushes for %d rows", f.seen.Load(), len(want))
}

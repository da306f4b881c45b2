package loki

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

var pushSeconds = metric.NewHistogram("test_push_seconds", "Seconds that a push took.", []float64{.1, 1, 10})

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func openQueue(t testing.TB, dir string, max int64) *Queue {
	t.Helper()
	q, err := OpenQueue(dir, max, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

// add appends and commits.
func add(t testing.TB, q *Queue, entries ...Entry) Offset {
	t.Helper()
	end, err := q.Append(entries)
	if err != nil {
		t.Fatal(err)
	}
	q.Commit(end)
	return end
}

// rows makes n query log rows, 7 ms apart from start on, in three streams; each 10th is the same
// as the one before but for the nanosecond that tells identical rows apart.
func rows(n int, start time.Time) []Entry {
	codes := []string{"NoError", "NxDomain", "ServerFailure"}
	made := make([]Entry, 0, n)
	for i := range n {
		if i%10 == 9 {
			e := made[i-1]
			e.Time = e.Time.Add(1)
			made = append(made, e)
			continue
		}
		made = append(made, Entry{
			Time:   start.Add(time.Duration(i) * 7 * time.Millisecond),
			Labels: []Label{{"job", "dns_query_logs"}, {"rcode", codes[i%7%3]}},
			Line:   fmt.Sprintf(`{"qname":"host-%d.example.\"net\"","answer":"ä\u0001, 192.0.2.%d"}`, i, i%250),
			Metadata: []Label{
				{"client", fmt.Sprintf("2001:db8::%x", i%50)}, {"qname", fmt.Sprintf("host-%d.example.net", i)}, {"qtype", "AAAA"},
			},
		})
	}
	return made
}

// running is a Pusher at work.
type running struct {
	*Pusher
	stop func() // ends it and waits
}

func startPusher(t testing.TB, o Options, q *Queue) running {
	t.Helper()
	o.Durations = pushSeconds
	if o.MinBackoff == 0 {
		o.MinBackoff, o.MaxBackoff = 20*time.Millisecond, 300*time.Millisecond
	}
	p, err := NewPusher(o, q, time.Now, quiet())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	stop := func() { cancel(); work.Wait() }
	t.Cleanup(stop)
	return running{p, stop}
}

// drained waits until nothing is left in the queue.
func drained(t testing.TB, q *Queue) {
	t.Helper()
	testenv.Eventually(t, time.Minute, func() error {
		if n, _ := q.Backlog(); n != 0 {
			return fmt.Errorf("%d rows in the queue", n)
		}
		return nil
	})
}

// sameRows fails the test unless Loki holds exactly these entries, each once, by a log query and
// by a metric query.
func sameRows(t testing.TB, l *testenv.Loki, tenant string, want []Entry) {
	t.Helper()
	if len(want) == 0 {
		t.Fatal("nothing to compare")
	}
	byTime := func(a, b Entry) int { return a.Time.Compare(b.Time) }
	start, end := slices.MinFunc(want, byTime).Time.Add(-time.Minute), slices.MaxFunc(want, byTime).Time.Add(time.Minute)
	got := make(map[string]int)
	for _, r := range l.Rows(t, tenant, `{job="dns_query_logs"}`, start, end) {
		delete(r.Metadata, "detected_level") // Loki adds these two
		delete(r.Stream, "service_name")
		got[fmt.Sprintln(r.Nanos, r.Line, r.Stream, r.Metadata)]++
	}
	for _, e := range want {
		got[fmt.Sprintln(e.Time.UnixNano(), e.Line, asMap(e.Labels), asMap(e.Metadata))]--
	}
	maps.DeleteFunc(got, func(_ string, n int) bool { return n == 0 })
	for i, row := range slices.Sorted(maps.Keys(got)) {
		if t.Errorf("%+d of %s", got[row], row); i == 4 {
			break
		}
	}
	if len(got) > 0 {
		t.Fatalf("%d rows are not as often in Loki as they should be (%d rows)", len(got), len(want))
	}
	query := fmt.Sprintf(`sum(count_over_time({job="dns_query_logs"}[%dms]))`, end.Sub(start).Milliseconds())
	if n := l.Count(t, tenant, query, end); n != int64(len(want)) {
		t.Fatalf("%s: %d, want %d", query, n, len(want))
	}
}

package loki

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// limits are those of one tenant for each case.
func limits() map[string]map[string]any {
	return map[string]map[string]any{
		"plain":    {},
		"labels":   {"max_label_value_length": 50},
		"old":      {"reject_old_samples_max_age": "1h"},
		"future":   {"creation_grace_period": "10m"},
		"long":     {"max_line_size": "1KB"},
		"rate":     {"ingestion_rate_mb": 0.4, "ingestion_burst_size_mb": 0.1},
		"stream":   {"per_stream_rate_limit": "300KB", "per_stream_rate_limit_burst": "100KB"},
		"streams":  {"max_global_streams_per_user": 2},
		"nometa":   {"allow_structured_metadata": false},
		"blocked":  {"block_ingestion_until": "2099-01-01T00:00:00Z"},
		"ordered":  {"unordered_writes": false},
		"manymeta": {"max_structured_metadata_entries_count": 4},
	}
}

// Loki's limits, hit on purpose: what it can take is there, each row once; what it cannot is
// dropped and counted for what it is; what may pass later is not dropped.
func TestLimits(t *testing.T) {
	t.Parallel()
	l := testenv.StartLoki(t, testenv.LokiOptions{Tenants: limits()})
	recent := time.Now().Add(-20 * time.Minute).Truncate(time.Millisecond)
	some := func() []Entry { return rows(300, recent) }
	with := func(good []Entry, bad ...Entry) []Entry { // the bad ones in the midst
		half := len(good) / 2
		return append(append(append([]Entry(nil), good[:half]...), bad...), good[half:]...)
	}
	changed := func(n int, change func(i int, e *Entry)) []Entry {
		bad := rows(n, recent.Add(time.Minute))
		for i := range bad {
			change(i, &bad[i])
		}
		return bad
	}
	aged := func(by time.Duration) []Entry {
		return changed(40, func(i int, e *Entry) { e.Time = e.Time.Add(-by) })
	}
	for _, c := range []struct {
		tenant string
		good   []Entry
		bad    []Entry
		reason string
	}{
		{"old", some(), aged(3 * time.Hour), DropTooOld},
		{"future", some(), aged(-time.Hour), DropTooNew},
		{"long", some(), changed(3, func(_ int, e *Entry) { e.Line = strings.Repeat("x", 1100) }), DropOversized},
		{"manymeta", some(), changed(2, func(_ int, e *Entry) {
			e.Metadata = append(e.Metadata, Label{"a", "1"}, Label{"b", "2"})
		}), DropInvalid},
		{"labels", some(), changed(30, func(i int, e *Entry) {
			e.Labels = []Label{{"job", "x"}, {"rcode", strings.Repeat("y", 60)}}
		}), DropInvalid},
	} {
		t.Run(c.tenant, func(t *testing.T) {
			q := openQueue(t, t.TempDir(), 64<<20)
			all := with(c.good, c.bad...)
			add(t, q, all...)
			p := startPusher(t, Options{URL: l.URL, Tenant: c.tenant}, q)
			drained(t, q)
			want := Totals{Pushed: int64(len(c.good)), Dropped: map[string]int64{c.reason: int64(len(c.bad))}}
			sameTotals(t, q, want)
			sameRows(t, l, c.tenant, c.good)
			if s := p.Stats(); !s.Up || s.LastSuccess.IsZero() {
				t.Errorf("stats %+v", s)
			}
		})
	}
	t.Run("rate", func(t *testing.T) { limitedRate(t, l, "rate", FailRateLimit) })
	t.Run("stream", func(t *testing.T) { limitedRate(t, l, "stream", FailRateLimit) })
	t.Run("behind", func(t *testing.T) { behind(t, l, recent) })
	t.Run("later", func(t *testing.T) { later(t, l, some()) })
}

// limitedRate pushes batches that are larger than what the limit takes at once.
func limitedRate(t *testing.T, l *testenv.Loki, tenant, reason string) {
	q := openQueue(t, t.TempDir(), 64<<20)
	good := rows(4000, time.Now().Add(-10*time.Minute).Truncate(time.Millisecond))
	add(t, q, good...)
	p := startPusher(t, Options{URL: l.URL, Tenant: tenant, MinBackoff: 100 * time.Millisecond}, q)
	drained(t, q)
	sameTotals(t, q, Totals{Pushed: int64(len(good))})
	if n := p.Stats().Failures[reason]; n == 0 {
		t.Errorf("the limit was not hit: %+v", p.Stats())
	}
	sameRows(t, l, tenant, good)
}

// behind pushes entries that are further behind their stream than half of max_chunk_age (1 h).
// With the schema v13, Loki takes them where unordered_writes is off, which lifts that limit.
func behind(t *testing.T, l *testenv.Loki, recent time.Time) {
	for tenant, want := range map[string]Totals{
		"plain":   {Pushed: 100, Dropped: map[string]int64{DropTooFarBehind: 50}},
		"ordered": {Pushed: 150},
	} {
		q := openQueue(t, t.TempDir(), 64<<20)
		good := rows(100, recent)
		add(t, q, good...)
		startPusher(t, Options{URL: l.URL, Tenant: tenant}, q)
		drained(t, q)
		more := rows(50, recent.Add(-2*time.Hour))
		add(t, q, more...)
		drained(t, q)
		sameTotals(t, q, want)
		if tenant == "ordered" {
			good = append(good, more...)
		}
		sameRows(t, l, tenant, good)
	}
}

// later pushes to tenants that may not push for now, and can once their limits are changed.
func later(t *testing.T, l *testenv.Loki, good []Entry) {
	queues := make(map[string]*Queue)
	for tenant, reason := range map[string]string{"streams": FailStreamLimit, "nometa": FailConfig, "blocked": FailBlocked} {
		q := openQueue(t, t.TempDir(), 64<<20)
		add(t, q, good...)
		queues[tenant] = q
		p := startPusher(t, Options{URL: l.URL, Tenant: tenant}, q)
		testenv.Eventually(t, time.Minute, func() error {
			if s := p.Stats(); s.Failures[reason] < 3 || s.Up {
				return fmt.Errorf("%s: %+v", tenant, s)
			}
			return nil
		})
		if n, _ := q.Backlog(); n != int64(len(good)) {
			t.Errorf("%s: %d rows left", tenant, n)
		}
	}
	freed := limits()
	for tenant := range queues {
		freed[tenant] = map[string]any{}
	}
	l.SetTenants(t, freed)
	for tenant, q := range queues {
		drained(t, q)
		sameTotals(t, q, Totals{Pushed: int64(len(good))})
		sameRows(t, l, tenant, good)
	}
}

func sameTotals(t *testing.T, q *Queue, want Totals) {
	t.Helper()
	got := q.Totals()
	maps.DeleteFunc(got.Dropped, func(_ string, n int64) bool { return n == 0 })
	if got.Pushed != want.Pushed || got.Lost != want.Lost || !maps.Equal(got.Dropped, want.Dropped) {
		t.Errorf("totals %+v, want %+v", got, want)
	}
}

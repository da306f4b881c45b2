package litellm

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"vulcan.lan/vulcan_exporter/collectors/litellm/litellmtest"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

var benchRows = flag.Int("rows", 1_000_000, "rows of the log in BenchmarkRefresh; 10000000 takes some minutes to fill")

// BenchmarkRefresh compares a run of the collector on a month-old gateway, some requests after
// the one before, with what other exporters do at each scrape: a sum over the log. Measured is
// the time that the database itself counts (pg_stat_statements), all statements of the run
// together, and in ns/op the whole run. One run in twenty begins from the saved state and looks
// at all rows since the horizon, as one each ten minutes does.
func BenchmarkRefresh(b *testing.B) {
	p := testenv.StartPostgres(b, "shared_preload_libraries=pg_stat_statements", "shared_buffers=512MB", "max_wal_size=8GB")
	litellmtest.Create(b, p, litellmtest.Current)
	litellmtest.Fill(b, p, *benchRows)
	p.Exec(b, litellmtest.Database, "CREATE EXTENSION pg_stat_statements")
	password := litellmtest.CreateRole(b, p)
	source := collectortest.Load(b, Definition(), fmt.Sprintf("sources: [{name: main, timeout: 5m, postgres: {dsn: %q, password_file: %q}}]",
		p.TCP(litellmtest.Role, litellmtest.Database), password))[0]
	env := collectortest.Env(b)
	env.Interval = 30 * time.Second
	c, err := source.New(env)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.(collector.Closer).Close() })
	collect := func() {
		ctx, cancel := context.WithTimeout(context.Background(), source.Timeout)
		defer cancel()
		out := source.Batch()
		if err := c.Collect(ctx, out); err != nil || out.Err() != nil {
			b.Fatal(err, out.Err())
		}
	}
	collect() // the first run reads all days
	admin := p.Conn(b, litellmtest.Database)
	first := milliseconds(b, admin, litellmtest.Role)
	// As many requests as come in 30 s, and what they add to today's rows.
	write := fmt.Sprintf(`
		INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, "startTime", "endTime", model, model_group, status)
		SELECT gen_random_uuid()::text, '', now() AT TIME ZONE 'utc' - random() * interval '1 minute', now() AT TIME ZONE 'utc', 'm', 'model-1', 'success'
		  FROM generate_series(1, %[1]d);
		UPDATE "LiteLLM_DailyUserSpend" SET spend = spend + 0.01, successful_requests = successful_requests + 1
		 WHERE id IN (SELECT id FROM "LiteLLM_DailyUserSpend" ORDER BY date DESC, id LIMIT %[1]d)`, max(1, *benchRows/(30*24*120)))
	// The collector counts from its first run on: put its horizon where it is in steady state.
	c.(*litellm).state.Requests.Horizon = time.Now().Add(-defaults().Overlap.Std())
	restart := func() { c.(*litellm).state = nil }
	for range 5 {
		collect()
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, runs, spent := heap(), 0, 0.0
	for b.Loop() {
		b.StopTimer()
		if _, err := admin.Exec(b.Context(), write); err != nil {
			b.Fatal(err)
		}
		if runs%20 == 0 {
			restart()
			// A quarter of an hour holds 30 runs; here they are over in a second.
			p.Exec(b, litellmtest.Database, `DELETE FROM "LiteLLM_SpendLogs" WHERE model = 'm'`,
				`VACUUM "LiteLLM_SpendLogs"`, `VACUUM "LiteLLM_DailyUserSpend"`)
		}
		p.Exec(b, litellmtest.Database, "SELECT pg_stat_statements_reset()")
		b.StartTimer()
		collect()
		b.StopTimer()
		spent += milliseconds(b, admin, litellmtest.Role)
		runs++
		b.StartTimer()
	}
	b.ReportMetric(float64(heap())-float64(before), "heap-growth-B")

	const naiveRuns = 3
	p.Exec(b, litellmtest.Database, "SELECT pg_stat_statements_reset()")
	for range naiveRuns {
		p.Exec(b, litellmtest.Database, `SELECT model, sum(spend), count(*) FROM "LiteLLM_SpendLogs" GROUP BY model`)
	}
	naive := milliseconds(b, admin, "postgres") / naiveRuns
	each := spent / float64(runs)
	b.ReportMetric(first, "first-db-ms")
	b.ReportMetric(each, "db-ms/op")
	b.ReportMetric(naive, "naive-db-ms")
	b.ReportMetric(naive/each, "x-less-db-time")
}

// milliseconds is what the database has spent on the statements of a role since the reset.
func milliseconds(b *testing.B, conn *pgx.Conn, role string) float64 {
	b.Helper()
	var ms float64
	row := conn.QueryRow(b.Context(), `SELECT coalesce(sum(total_exec_time + total_plan_time), 0) FROM pg_stat_statements s
		JOIN pg_roles r ON r.oid = s.userid WHERE r.rolname = $1 AND query NOT LIKE '%pg_stat_statements%'`, role)
	if err := row.Scan(&ms); err != nil {
		b.Fatal(err)
	}
	return ms
}

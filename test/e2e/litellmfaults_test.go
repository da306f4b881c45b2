package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"vulcan.lan/vulcan_exporter/collectors/litellm/litellmtest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// otherDays lets the database's clock run ahead, for the session of the exporter alone: LiteLLM's
// days are compared when they are over. It begins at noon.
const otherDays = `
	CREATE TABLE clock (ahead INTERVAL NOT NULL);
	INSERT INTO clock SELECT (date_trunc('day', now() AT TIME ZONE 'utc') + interval '12 h') AT TIME ZONE 'utc' - now();
	CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql SECURITY DEFINER
		AS 'SELECT pg_catalog.clock_timestamp() + ahead FROM public.clock';
	ALTER ROLE ` + litellmtest.Role + ` IN DATABASE ` + litellmtest.Database + ` SET search_path = public, pg_catalog`

// endDay writes what a day has cost, as the request log and as the daily table have it, and
// begins the next.
func endDay(logged, daily int) string {
	return fmt.Sprintf(`
		INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, "startTime", "endTime", model, model_group, custom_llm_provider, status, spend)
		SELECT gen_random_uuid()::text, 'acompletion', t, t, 'm', 'chat', 'openai', 'success', %d
		  FROM (SELECT public.clock_timestamp() AT TIME ZONE 'utc' AS t) AS now;
		INSERT INTO "LiteLLM_DailyUserSpend" (id, user_id, date, api_key, model, model_group, custom_llm_provider, spend, successful_requests)
		VALUES (gen_random_uuid()::text, 'u', to_char(public.clock_timestamp() AT TIME ZONE 'utc', 'YYYY-MM-DD'), repeat('a', 64), 'm', 'chat', 'openai', %d, 1);
		UPDATE clock SET ahead = ahead + interval '1 day'`, logged, daily)
}

// TestLiteLLMTables: a budget that will not last, two records of a day that differ, and a
// database that cannot be read, in part and at all.
func TestLiteLLMTables(t *testing.T) {
	t.Parallel()
	p, config := llmGateway(t)
	p.Exec(t, litellmtest.Database, otherDays, `
		INSERT INTO "LiteLLM_TeamTable" (team_id, team_alias, max_budget, spend, budget_duration, budget_reset_at)
		VALUES ('1', 'research', 10, 5, '30d', (now() AT TIME ZONE 'utc') + interval '15 days')`)
	h := New(t, Options{
		Config: config, Rules: []string{"litellm_alerts", "exporter"}, Scale: 600, // an hour takes 6 s
		Fakes: map[string]string{
			"LiteLLMBudget": litellmTables, "LiteLLMDatabase": litellmTables,
			"LiteLLMLedger": litellmTables + ", whose clock it moves a day ahead",
		},
	})
	h.waitValue(`litellm_budget_spend_usd`, 5)
	do := func(sql string) func() {
		return func() { t.Helper(); p.Exec(t, litellmtest.Database, sql) }
	}
	main := map[string]string{"source": "main"}
	h.oneAfterTheOther(nil,
		fault{
			cause:  do(`UPDATE "LiteLLM_TeamTable" SET spend = 7`),
			mend:   do(`UPDATE "LiteLLM_TeamTable" SET max_budget = 20`),
			alerts: []Alert{{"LiteLLMBudgetBurn", map[string]string{"kind": "team", "name": "research"}}},
		},
		fault{
			cause:  do(endDay(5, 3)),
			mend:   do(endDay(4, 4)),
			alerts: []Alert{{"LiteLLMLedgerDiffers", main}},
		},
		fault{
			cause:  do(`REVOKE SELECT (max_budget) ON "LiteLLM_TeamTable" FROM ` + litellmtest.Role),
			mend:   do(`GRANT SELECT (max_budget) ON "LiteLLM_TeamTable" TO ` + litellmtest.Role),
			alerts: []Alert{{"LiteLLMDatabaseUnreadable", map[string]string{"part": "budgets", "state": "privilege"}}},
		},
		fault{
			cause:  p.Stop,
			mend:   func() { p.Start(t) },
			alerts: []Alert{{"LiteLLMDatabaseUnreadable", map[string]string{"source": "main", "part": ""}}},
		},
	)
}

// proxy plays LiteLLM's proxy: it answers completions and writes each to the log.
type proxy struct {
	down, unready, mute, forgets atomic.Bool

	mu  sync.Mutex
	log *pgx.Conn // nil where nobody completes
}

// ServeHTTP answers health pages and completions.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case p.down.Load():
		panic(http.ErrAbortHandler) // the connection ends without an answer
	case p.unready.Load() && r.URL.Path == "/health/readiness":
		http.Error(w, `{"detail":"Service Unhealthy (Connection refused)"}`, http.StatusServiceUnavailable)
	case r.URL.Path != "/v1/chat/completions":
		_, _ = io.WriteString(w, `{"status":"healthy"}`)
	case p.mute.Load():
		http.Error(w, `{"error":{"message":"litellm.InternalServerError"}}`, http.StatusInternalServerError)
	default:
		if !p.forgets.Load() {
			if err := p.record(context.WithoutCancel(r.Context())); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		_, _ = io.WriteString(w, `{"choices":[{"finish_reason":"stop","message":{"content":"ready"}}]}`)
	}
}

func (p *proxy) record(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.log.Exec(ctx, `
		INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, "startTime", "endTime", model, model_group, custom_llm_provider, status)
		SELECT gen_random_uuid()::text, 'acompletion', t, t, 'm', 'chat', 'openai', 'success'
		  FROM (SELECT clock_timestamp() AT TIME ZONE 'utc' AS t) AS now`)
	return err
}

// start listens and gives the URL.
func (p *proxy) start(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return server.URL
}

// gatewayConfig has a proxy with everything and one that is asked for nothing but its health.
func gatewayConfig(t *testing.T, database *testenv.Postgres, redis string, main, spare *proxy) string {
	t.Helper()
	return fmt.Sprintf(`
litellm:
  interval: 1s
  timeout: 5s
  sources:
    - name: main
      url: %q
      canary: {models: [chat], interval: 1s, timeout: 1s}
      redis: {address: %q}
      postgres: {dsn: %q, password_file: %q}
    - {name: spare, url: %q}
`, main.start(t), redis, database.TCP(litellmtest.Role, litellmtest.Database), litellmtest.CreateRole(t, database), spare.start(t))
}

// TestLiteLLMGateway: completions that are not recorded or not answered, a proxy that is down or
// not ready, spend that piles up in a real Redis, and that Redis down.
func TestLiteLLMGateway(t *testing.T) {
	t.Parallel()
	database, buffer := testenv.StartPostgres(t), testenv.StartRedis(t)
	litellmtest.Create(t, database, litellmtest.Current)
	main, spare := &proxy{log: database.Conn(t, litellmtest.Database)}, &proxy{}
	h := New(t, Options{
		Config: gatewayConfig(t, database, buffer.Socket, main, spare),
		Rules:  []string{"litellm_alerts", "exporter"}, Scale: 600, // 15 minutes take 1.5 s
		Fakes: map[string]string{"LiteLLM": "LiteLLM's proxy"},
	})
	h.waitValue(`count(litellm_canary_success == 1) + count(litellm_log_newest_timestamp_seconds) + count(litellm_redis_up == 1)`, 3)
	queue := redis.NewClient(&redis.Options{Network: "unix", Addr: buffer.Socket, PoolSize: 1})
	t.Cleanup(func() { _ = queue.Close() })
	onMain := map[string]string{"source": "main"}
	toggle := func(what *atomic.Bool, alert string, labels map[string]string) fault {
		return fault{
			cause: func() { what.Store(true) }, mend: func() { what.Store(false) },
			alerts: []Alert{{alert, labels}},
		}
	}
	const list = "litellm_daily_spend_update_buffer"
	h.oneAfterTheOther(nil,
		toggle(&main.forgets, "LiteLLMSpendNotRecorded", onMain),
		// Between these two completions are answered and recorded.
		toggle(&spare.down, "LiteLLMDown", map[string]string{"source": "spare"}),
		toggle(&spare.unready, "LiteLLMDown", map[string]string{"source": "spare"}),
		toggle(&main.mute, "LiteLLMCanaryFailing", map[string]string{"source": "main", "model_group": "chat"}),
		fault{
			cause: func() {
				if err := queue.LPush(t.Context(), list, make([]any, 101)...).Err(); err != nil {
					t.Fatal(err)
				}
			},
			mend: func() {
				if err := queue.Del(t.Context(), list).Err(); err != nil {
					t.Fatal(err)
				}
			},
			alerts: []Alert{{"LiteLLMSpendQueueGrowing", map[string]string{"source": "main", "queue": "daily"}}},
		},
		fault{
			cause: buffer.Stop, mend: func() { buffer.Start(t) },
			alerts: []Alert{{"LiteLLMRedisDown", onMain}},
		},
	)
}

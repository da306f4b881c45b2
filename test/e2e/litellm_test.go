package e2e

import (
	"fmt"
	"testing"

	"vulcan.lan/vulcan_exporter/collectors/litellm/litellmtest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

const litellmTables = "LiteLLM's proxy, which writes the tables of a real PostgreSQL"

// llmGateway is a LiteLLM's database and the configuration that reads it.
func llmGateway(t *testing.T) (*testenv.Postgres, string) {
	t.Helper()
	p := testenv.StartPostgres(t)
	litellmtest.Create(t, p, litellmtest.Current)
	password := litellmtest.CreateRole(t, p)
	return p, fmt.Sprintf("litellm:\n  interval: 1s\n  timeout: 5s\n  sources: [{name: main, postgres: {dsn: %q, password_file: %q}}]\n",
		p.TCP(litellmtest.Role, litellmtest.Database), password)
}

// TestLiteLLMLatency writes requests that take 100 seconds: at first four, too few to tell. What
// began before the exporter did is not counted, so they end ahead of the clock.
func TestLiteLLMLatency(t *testing.T) {
	t.Parallel()
	p, config := llmGateway(t)
	h := New(t, Options{
		Config: config, Rules: []string{"litellm_alerts", "exporter"},
		Fakes: map[string]string{"LiteLLM": litellmTables},
	})
	log := func(from, to int, seconds float64) {
		p.Exec(t, litellmtest.Database, fmt.Sprintf(`
			INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, "startTime", "endTime", model, model_group, custom_llm_provider, status, spend)
			SELECT 'r' || n, 'acompletion', now() AT TIME ZONE 'utc', (now() AT TIME ZONE 'utc') + make_interval(secs => %g), 'm', 'chat', 'openai', 'success', 0.01
			  FROM generate_series(%d, %d) AS n`, seconds, from, to))
	}
	log(0, 0, 1)
	h.waitValue(`sum(litellm_request_duration_seconds_count{model_group="chat"})`, 1)
	log(1, 4, 100)
	h.waitValue(`sum(litellm_request_duration_seconds_count{model_group="chat"})`, 5)
	h.ExactlyFiring()
	log(11, 60, 100)
	slow := Alert{"LiteLLMHighLatency", map[string]string{"model_group": "chat"}}
	h.WaitFiring(slow.Name, slow.Labels)
	h.ExactlyFiring(slow)
	h.WaitResolved(slow.Name, slow.Labels) // by itself, half an hour later
	h.ExactlyFired(slow)
}

// TestLiteLLMCost spends 26 USD within a day, here 29 seconds; then a busy gateway logs nothing
// for half of one.
func TestLiteLLMCost(t *testing.T) {
	t.Parallel()
	p, config := llmGateway(t)
	h := New(t, Options{
		Config: config, Rules: []string{"litellm_alerts", "exporter"}, Scale: 3000,
		Fakes: map[string]string{"LiteLLM": litellmTables},
	})
	spent := func(usd float64) {
		p.Exec(t, litellmtest.Database, fmt.Sprintf(`
			INSERT INTO "LiteLLM_DailyUserSpend" (id, user_id, date, api_key, model, model_group, custom_llm_provider, prompt_tokens, completion_tokens, spend, successful_requests, failed_requests)
			VALUES ('1', 'u', to_char(now() AT TIME ZONE 'utc', 'YYYY-MM-DD'), repeat('a', 64), 'm', 'chat', 'openai', 1, 1, %[1]g, 1, 0)
			ON CONFLICT (id) DO UPDATE SET spend = %[1]g`, usd))
	}
	spent(100)
	testenv.Eventually(t, Limit, func() error {
		if got := h.Query(`sum(litellm_spend_usd_total offset 29s)`); len(got) != 1 || got[0].Value != 100 {
			return fmt.Errorf("spend of the day before: %v", got)
		}
		return nil
	})
	spent(124.9)
	h.waitValue(`sum(litellm_spend_usd_total)`, 124.9)
	h.ExactlyFiring()
	spent(126)
	costly := Alert{"LiteLLMHighCost", map[string]string{"source": "main"}}
	h.WaitFiring(costly.Name, costly.Labels)
	h.ExactlyFiring(costly)
	h.WaitResolved(costly.Name, costly.Labels) // by itself, a day later

	log := func(requests int) {
		p.Exec(t, litellmtest.Database, fmt.Sprintf(`
			INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, "startTime", "endTime", model, model_group, custom_llm_provider, status, spend)
			SELECT gen_random_uuid()::text, 'acompletion', now() AT TIME ZONE 'utc', now() AT TIME ZONE 'utc', 'm', 'chat', 'openai', 'success', 0
			  FROM generate_series(1, %d)`, requests))
	}
	log(1000)
	h.waitValue(`litellm_log_rows_last_hour`, 1000)
	h.ExactlyFiring()
	silent := Alert{"LiteLLMSpendNotRecorded", map[string]string{"source": "main"}}
	h.WaitFiring(silent.Name, silent.Labels)
	h.ExactlyFiring(silent)
	log(1)
	h.WaitResolved(silent.Name, silent.Labels)
	h.ExactlyFired(costly, silent)
}

package litellmtest

import (
	"fmt"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// Fill writes a month of requests into the log at once, evenly, and the daily table that belongs
// to them: 12 model groups of 4 providers, 20 keys, 5 % failures, metadata of some 400 bytes.
func Fill(t testing.TB, p *testenv.Postgres, rows int) {
	t.Helper()
	p.Exec(t, Database, Prepare, fmt.Sprintf(`
		INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, api_key, spend, prompt_tokens, completion_tokens, total_tokens,
			"startTime", "endTime", "completionStartTime", model, model_group, custom_llm_provider, cache_hit, status, metadata)
		SELECT 'chatcmpl-' || i, 'acompletion', md5((i %% 20)::text) || md5((i %% 20)::text), random() / 100, 500, 200, 700,
			s, s + random() * interval '20 s', s + interval '1 s', 'provider/model-' || i %% 12, 'model-' || i %% 12,
			(ARRAY['openai', 'anthropic', 'ollama', NULL])[i %% 4 + 1], 'False', CASE WHEN i %% 20 = 0 THEN 'failure' ELSE 'success' END,
			jsonb_build_object('user_api_key_alias', 'key', 'filler', repeat(md5(i::text), 10),
				'error_information', CASE WHEN i %% 20 = 0 THEN '{"error_class": "RateLimitError", "error_code": "429"}'::jsonb END)
		  FROM (SELECT i, (now() AT TIME ZONE 'utc') - interval '30 days' + i * interval '30 days' / %[1]d AS s FROM generate_series(1, %[1]d) i) x`, rows),
		`INSERT INTO "LiteLLM_DailyUserSpend" (id, user_id, date, api_key, model, model_group, custom_llm_provider, mcp_namespaced_tool_name, endpoint,
			spend, prompt_tokens, completion_tokens, successful_requests, failed_requests, api_requests)
		 SELECT gen_random_uuid()::text, 'u', to_char("startTime", 'YYYY-MM-DD'), api_key, model, model_group, custom_llm_provider, '', '',
			sum(spend), sum(prompt_tokens), sum(completion_tokens), count(*) FILTER (WHERE status = 'success'), count(*) FILTER (WHERE status = 'failure'), count(*)
		  FROM "LiteLLM_SpendLogs" GROUP BY 3, 4, 5, 6, 7`,
		"VACUUM ANALYZE")
}

package litellm

import (
	"strings"
	"testing"

	"vulcan.lan/vulcan_exporter/collectors/litellm/litellmtest"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
)

func TestDeclarations(t *testing.T) { collectortest.Lint(t, Definition()) }

// utc is LiteLLM's clock in SQL.
const utc = `(now() AT TIME ZONE 'utc')`

// day is a day of the daily table, so many days ago.
func day(ago string) string {
	return `to_char(` + utc + ` - interval '` + ago + ` days', 'YYYY-MM-DD')`
}

// seed fills the tables with little of everything: names that are NULL, empty, missing, renamed.
var seed = []string{
	`INSERT INTO "LiteLLM_TeamTable" (team_id, team_alias, max_budget, spend, budget_duration, budget_reset_at, blocked) VALUES
		('t1', 'research', 100, 50, '30d', ` + utc + ` + interval '15 days', true),
		('t2', NULL, NULL, 0, NULL, NULL, false)`,
	`INSERT INTO "LiteLLM_BudgetTable" (budget_id, max_budget, budget_duration, budget_reset_at) VALUES
		('b1', 10, '1d', ` + utc + ` + interval '12 hours')`,
	`INSERT INTO "LiteLLM_VerificationToken" (token, key_name, key_alias, team_id, spend, max_budget, budget_id, expires, blocked) VALUES
		(repeat('a', 64), 'sk-...aaaa', 'voice', 't1', 12, NULL, 'b1', ` + utc + ` + interval '90 days', NULL),
		(repeat('b', 64), 'sk-...bbbb', NULL, 't2', 1, 4, NULL, NULL, true),
		(repeat('c', 64), 'sk-...cccc', '', NULL, 1, NULL, NULL, NULL, NULL),
		(repeat('d', 64), 'sk-...dddd', 'ui', 'litellm-dashboard', 0, 0.25, NULL, NULL, NULL),
		(repeat('e', 64), 'sk-...eeee', 'old', NULL, 0, 1, NULL, ` + utc + ` - interval '30 days', NULL)`,
	`INSERT INTO "LiteLLM_DeletedVerificationToken" (id, token, key_alias, team_id) VALUES ('1', repeat('f', 64), 'gone', 't1')`,
	`INSERT INTO "LiteLLM_UserTable" (user_id, user_alias, user_email, max_budget, spend) VALUES
		('u1', NULL, 'private@example.org', 'Infinity', 1), ('u2', 'Ann', 'ann@example.org', 5, 6)`,
	`INSERT INTO "LiteLLM_DailyUserSpend"
		(id, user_id, date, api_key, model, model_group, custom_llm_provider, prompt_tokens, completion_tokens, cache_read_input_tokens, cache_creation_input_tokens, spend, successful_requests, failed_requests) VALUES
		('1', 'u1', ` + day("0") + `, repeat('a', 64), 'openai/gpt', 'gpt', 'openai', 100, 50, 10, 5, 0.1, 3, 1),
		('2', 'u1', ` + day("1") + `, repeat('a', 64), 'openai/gpt', 'gpt', 'openai', 1, 1, 0, 0, 0.2, 1, 0),
		('3', NULL, ` + day("1") + `, repeat('a', 64), 'openai/gpt', 'gpt', 'openai', 1, 1, 0, 0, 0.4, 1, 0),
		('4', 'u1', ` + day("9") + `, repeat('a', 64), 'openai/gpt', 'gpt', 'openai', 1, 1, 0, 0, 1000, 1, 0),
		('5', 'u1', ` + day("9") + `, repeat('b', 64), 'local', '', NULL, 1, 1, 0, 0, 2, 1, 0),
		('6', 'u1', ` + day("0") + `, repeat('c', 64), NULL, NULL, '', 1, 1, 0, 0, 3, 1, 0),
		('7', 'u1', ` + day("0") + `, repeat('f', 64), 'local', 'local', '', 1, 1, 0, 0, 4, 1, 0),
		('8', 'u1', ` + day("0") + `, repeat('9', 64), 'local', 'local', '', 1, 1, 0, 0, 5, 1, 0),
		('9', 'u1', ` + day("0") + `, '', 'local', 'local', '', 1, 1, 0, 0, 'NaN', 0, 1)`,
	`INSERT INTO "LiteLLM_HealthCheckTable" (health_check_id, model_name, model_id, status, checked_at) VALUES
		('1', 'gpt', 'x', 'unhealthy', ` + utc + ` - interval '2 hours'), ('2', 'gpt', 'x', 'healthy', ` + utc + ` - interval '1 hour'),
		('3', 'llama', 'y', 'healthy', ` + utc + `), ('4', 'llama', 'z', 'unhealthy', ` + utc + `)`,
}

// logged are requests in the log: columns request_id, start and end in seconds ago, first token
// ago or NULL, model group, provider, status, cache_hit, metadata.
func logged(rows ...string) string {
	values := make([]string, len(rows))
	for i, r := range rows {
		values[i] = "(" + r + ")"
	}
	return `INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, "startTime", "endTime", "completionStartTime", model, model_group, custom_llm_provider, status, cache_hit, metadata, spend, messages)
		SELECT id, 'acompletion', ` + utc + ` - make_interval(secs => s), ` + utc + ` - make_interval(secs => e), ` + utc + ` - make_interval(secs => f), 'm', g, p, st, c, md::jsonb, 0.5, '{"secret":"prompt"}'
		FROM (VALUES ` + strings.Join(values, ", ") + `) AS v(id, s, e, f, g, p, st, c, md)`
}

const failed = `'{"error_information":{"error_class":"RateLimitError","error_code":"429","error_message":"secret message"}}'`

func TestDatabase(t *testing.T) {
	t.Parallel()
	m := monitor(t, litellmtest.Current, "")
	m.exec(t, seed...)
	text := m.text(t)
	has(t, text,
		`litellm_database_up{source="main"} 1`,
		`litellm_state_persistent{source="main"} 1`,
		`litellm_spend_usd_total{source="main",model_group="gpt",provider="openai",team="research",key="voice"} 1000.7`,
		`litellm_spend_usd_total{source="main",model_group="local",provider="unknown",team="t2",key="unnamed"} 2`,
		`litellm_spend_usd_total{source="main",model_group="unknown",provider="unknown",team="none",key="unnamed"} 3`,
		`litellm_spend_usd_total{source="main",model_group="local",provider="unknown",team="research",key="gone"} 4`,
		`litellm_spend_usd_total{source="main",model_group="local",provider="unknown",team="unknown",key="unknown"} 5`,
		`litellm_spend_usd_total{source="main",model_group="local",provider="unknown",team="none",key="none"} 0`,
		`litellm_tokens_total{source="main",model_group="gpt",provider="openai",team="research",key="voice",kind="prompt"} 103`,
		`litellm_tokens_total{source="main",model_group="gpt",provider="openai",team="research",key="voice",kind="cache_read"} 10`,
		`litellm_tokens_total{source="main",model_group="gpt",provider="openai",team="research",key="voice",kind="cache_creation"} 5`,
		`litellm_requests_total{source="main",model_group="gpt",provider="openai",team="research",key="voice",outcome="success"} 6`,
		`litellm_requests_total{source="main",model_group="gpt",provider="openai",team="research",key="voice",outcome="failure"} 1`,
		`litellm_ledger_corrections_total{source="main"} 0`,
		`litellm_budget_spend_usd{source="main",kind="key",name="voice"} 12`,
		`litellm_budget_limit_usd{source="main",kind="key",name="voice"} 10`,
		`litellm_budget_remaining_ratio{source="main",kind="key",name="voice"} 0`,
		`litellm_budget_remaining_ratio{source="main",kind="key",name="sk-...bbbb"} 0.75`,
		`litellm_budget_blocked{source="main",kind="key",name="sk-...bbbb"} 1`,
		`litellm_budget_remaining_ratio{source="main",kind="team",name="research"} 0.5`,
		`litellm_budget_projected_spend_usd{source="main",kind="team",name="research"} 99.9*`,
		`litellm_budget_limit_usd{source="main",kind="user",name="Ann"} 5`,
		`litellm_budgets{source="main",kind="key"} 2`, `litellm_budgets{source="main",kind="user"} 1`,
		`litellm_budgets_exceeded{source="main",kind="key"} 1`, `litellm_budgets_exceeded{source="main",kind="team"} 0`,
		`litellm_health_check_healthy{source="main",model_group="gpt"} 1`,
		`litellm_health_check_healthy{source="main",model_group="llama"} 0`,
		`litellm_log_rows_last_hour{source="main"} 0`,
	)
	for _, p := range parts {
		has(t, text, `litellm_database_part{source="main",part="`+p+`",state="ok"} 1`)
	}
	lacks(t, text, "litellm_request_duration_seconds_count", "litellm_ledger_difference_usd", "litellm_log_newest_timestamp_seconds")

	m.exec(t, logged(
		`'r1', 5, 2, 4, 'gpt', 'openai', 'success', 'False', '{}'`, // streamed: 3 s, first token after 1 s
		`'r2', 9, 2, 2, 'gpt', 'openai', NULL, 'None', NULL`,       // as old versions write: not streamed, 7 s
		`'r3', 3, 3, NULL, 'gpt', 'openai', 'failure', '', `+failed,
		`'r4', 2, 2, 2, 'gpt', 'openai', 'success', 'True', '{}'`,
		`'r5', 3, 4, 3, '', NULL, 'success', '', '{}'`, // ends before it starts: another clock
		`'r6', 3, 3, 3, NULL, NULL, 'failure', '', '"text"'`,
	))
	// The log's first rows began before the exporter looked at it.
	has(t, m.text(t), `litellm_log_rows_last_hour{source="main"} 6`)
	m.exec(t, `UPDATE "LiteLLM_SpendLogs" SET request_id = request_id || '.2', "startTime" = "startTime" + interval '1 minute', "endTime" = "endTime" + interval '1 minute', "completionStartTime" = "completionStartTime" + interval '1 minute'`)
	for range 2 { // a second look counts nothing again
		text = m.text(t)
		has(t, text,
			`litellm_request_duration_seconds_count{source="main",model_group="gpt",provider="openai"} 2`,
			`litellm_request_duration_seconds_sum{source="main",model_group="gpt",provider="openai"} 10`,
			`litellm_request_duration_seconds_bucket{source="main",model_group="gpt",provider="openai",le="5"} 1`,
			`litellm_request_duration_seconds_count{source="main",model_group="m",provider="unknown"} 1`,
			`litellm_request_duration_seconds_sum{source="main",model_group="m",provider="unknown"} 0`,
			`litellm_time_to_first_token_seconds_count{source="main",model_group="gpt",provider="openai"} 1`,
			`litellm_time_to_first_token_seconds_sum{source="main",model_group="gpt",provider="openai"} 1`,
			`litellm_logged_requests_total{source="main",model_group="gpt",provider="openai",result="cache_hit"} 1`,
			`litellm_logged_requests_total{source="main",model_group="gpt",provider="openai",result="failure"} 1`,
			`litellm_logged_requests_total{source="main",model_group="m",provider="unknown",result="failure"} 1`,
			`litellm_errors_total{source="main",class="RateLimitError",code="429"} 1`,
			`litellm_errors_total{source="main",class="unknown",code="none"} 1`,
		)
		m.restart(t)
	}
	for _, private := range []string{"secret", "private@", strings.Repeat("a", 16), "Ann@", "sk-...dddd"} {
		if strings.Contains(text, private) {
			t.Errorf("%q is shown", private)
		}
	}
}

// TestOldSchema reads a database of 2024 and says what it cannot know.
func TestOldSchema(t *testing.T) {
	t.Parallel()
	m := monitor(t, litellmtest.Old, "")
	m.text(t)
	m.exec(t, `INSERT INTO "LiteLLM_VerificationToken" (token, key_alias, max_budget, spend) VALUES ('x', 'k', 2, 1)`,
		`INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, "startTime", "endTime", model, spend)
		 VALUES ('1', 'completion', `+utc+` + interval '1 s', `+utc+` + interval '3 s', 'gpt', 0.25),
		        ('2', 'completion', `+utc+` - interval '25 h', `+utc+`, 'gpt', 100)`)
	text := m.text(t)
	has(t, text,
		`litellm_database_part{source="main",part="ledger",state="fallback"} 1`,
		`litellm_database_part{source="main",part="requests",state="ok"} 1`,
		`litellm_database_part{source="main",part="budgets",state="ok"} 1`,
		`litellm_window_spend_usd{source="main",model_group="gpt",provider="unknown"} 0.25`,
		`litellm_window_requests{source="main",model_group="gpt",provider="unknown"} 1`,
		`litellm_request_duration_seconds_sum{source="main",model_group="gpt",provider="unknown"} 2`,
		`litellm_budget_remaining_ratio{source="main",kind="key",name="k"} 0.5`)
	lacks(t, text, "litellm_spend_usd_total", "litellm_ledger_corrections_total", "litellm_ledger_difference_usd")
}

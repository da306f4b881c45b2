package main

func litellm(all alerts) *board {
	b := &board{
		all: all, uid: "litellm", title: "LiteLLM", hours: 24,
		about:      "What do language models cost, by whom and with which model, and does the gateway answer in time?",
		watch:      all.named("litellm_alerts", ""),
		collectors: []string{"litellm"},
	}
	b.first(
		number("What was spent in 24 hours?", "By LiteLLM's daily table.", "currencyUSD",
			q(`sum(litellm_spend_usd_total{@}) - sum(litellm_spend_usd_total{@} offset 24h) or sum(litellm_window_spend_usd{@})`, "")).
			limit(all.limit("LiteLLMHighCost", "litellm_spend_usd_total")).decimals(2).w(5),
		number("Is the gateway alive?", "Every gateway is alive.", "none", q(`min(litellm_gateway_up{@})`, "")).yes("yes", "NO").shows("LiteLLMDown").w(4),
		number("How slow is the slowest?", "95 of 100 requests were answered within this time, in the last 30 minutes.", "s",
			q(`max(histogram_quantile(0.95, sum by (model_group, le) (rate(litellm_request_duration_seconds_bucket{@}[30m]))))`, "")).
			limit(all.limit("LiteLLMHighLatency", "")).none("no requests").w(5),
	)
	b.line(9,
		graph("Which model costs how much?", "USD in the hour before.", "currencyUSD", q(`sum by (model_group) (increase(litellm_spend_usd_total{@}[1h]))`, "{{model_group}}")).stacked(),
		graph("Which team and key cost how much?", "USD in the hour before; the 10 most expensive.", "currencyUSD",
			q(`topk(10, sum by (team, key) (increase(litellm_spend_usd_total{@}[1h])))`, "{{team}} {{key}}")).stacked(),
	)
	spent, limit1 := all.share("LiteLLMBudgetExceeded", "")
	b.line(8,
		ranking("Which budget is used up?", "Spent part of the budget; at 100 % the gateway refuses requests.", "percentunit",
			q(`sort_desc(`+spent+`)`, "{{kind}} {{name}}")).limit(limit1).between(0, 1),
		list("Will a budget last until its reset?", "What will be spent at the reset if it goes on like this.", []string{"kind", "name"},
			col("Spent", "currencyUSD", `litellm_budget_spend_usd{@}`),
			col("Limit", "currencyUSD", `litellm_budget_limit_usd{@}`),
			col("Projected", "currencyUSD", `litellm_budget_projected_spend_usd{@}`),
			col("Reset", "dateTimeFromNow", `1000 * litellm_budget_reset_timestamp_seconds{@}`),
		).sorted("Projected", true).shows("LiteLLMBudgetBurn").w(12),
	)
	b.line(8,
		heat("How long do answers take?", "Requests by their duration.", "s", q(`sum by (le) (increase(litellm_request_duration_seconds_bucket{@}[$__rate_interval]))`, "{{le}}")),
		graph("Which model is slow?", "95 of 100 requests of the last 30 minutes were answered within this time.", "s",
			q(`histogram_quantile(0.95, sum by (model_group, le) (rate(litellm_request_duration_seconds_bucket{@}[30m])))`, "{{model_group}}")).
			limit(all.limit("LiteLLMHighLatency", "")),
	)
	b.line(8,
		graph("How long until the first token?", "95 of 100 streamed requests of the last 30 minutes began to answer within this time.", "s",
			q(`histogram_quantile(0.95, sum by (model_group, le) (rate(litellm_time_to_first_token_seconds_bucket{@}[30m])))`, "{{model_group}}")).w(8),
		graph("How many requests, and how many fail?", "Requests in the request log.", "reqps",
			q(`sum by (result) (rate(litellm_logged_requests_total{@}[$__rate_interval]))`, "{{result}}")).stacked().w(8),
		graph("Why do requests fail?", "Failed requests in the hour before, by class and status code.", "none",
			q(`sum by (class, code) (increase(litellm_errors_total{@}[1h]))`, "{{class}} {{code}}")).bars().w(8),
	)
	b.line(8,
		graph("How many tokens are used?", "Tokens a second, over an hour.", "none", q(`sum by (kind) (rate(litellm_tokens_total{@}[1h]))`, "{{kind}}")).stacked().w(8),
		graph("Does spend wait to be written?", "Batches in Redis, by queue; they grow when nobody writes them to the database.", "none",
			q(`litellm_redis_queue_length{@}`, "{{queue}} {{instance}}")).limit(all.limit("LiteLLMSpendQueueGrowing", "")).w(8),
		graph("Do log and daily table agree?", "USD of the request log minus the daily table, for the last closed day.", "currencyUSD",
			q(`litellm_ledger_difference_usd{@}`, "{{instance}}")).limit(all.limit("LiteLLMLedgerDiffers", "")).free().w(8),
	)
	b.line(7,
		states("When did a test question fail?", "Completions that the exporter asks for itself.",
			q(`litellm_canary_success{@}`, "{{model_group}} {{instance}}")).yes("answered", "failed").shows("LiteLLMCanaryFailing").w(12),
		list("Can everything be read?", "The gateway and what it rests on.", []string{"instance"},
			col("Alive", "none", `litellm_gateway_up{@}`).yes("yes", "NO"),
			col("Ready", "none", `litellm_gateway_ready{@}`).yes("yes", "NO"),
			col("Database", "none", `litellm_database_up{@}`).yes("up", "DOWN"),
			col("Redis", "none", `litellm_redis_up{@}`).yes("up", "DOWN"),
			col("Newest request", "dateTimeFromNow", `1000 * litellm_log_newest_timestamp_seconds{@}`),
		).w(12).shows("LiteLLMDatabaseUnreadable", "LiteLLMRedisDown", "LiteLLMSpendNotRecorded"),
	)
	return b
}

package ledger

import "vulcan.lan/vulcan_exporter/internal/metric"

var (
	owner = metric.Labels("model_group", "provider", "team", "key")
	model = metric.Labels("model_group", "provider")

	spendTotal = metric.NewCounter("litellm_spend_usd_total",
		"USD that LiteLLM has recorded as spent, over the life of its daily table.", owner)
	tokensTotal = metric.NewCounter("litellm_tokens_total",
		"Tokens that LiteLLM has recorded, over the life of its daily table; prompt includes what was read from a cache.",
		owner, metric.Closed("kind", "prompt", "completion", "cache_read", "cache_creation"))
	requestsTotal = metric.NewCounter("litellm_requests_total",
		"Requests that LiteLLM has recorded, over the life of its daily table; answers from its own cache are successes.",
		owner, metric.Closed("outcome", "success", "failure"))

	correctionsTotal = metric.NewCounter("litellm_ledger_corrections_total",
		"Times that a series of the daily table fell, which a counter cannot follow.")
	correctedTotal = metric.NewCounter("litellm_ledger_corrected_usd_total",
		"USD by which the daily table fell: the sum of litellm_spend_usd_total is the table's sum plus this.")
	fullRead = metric.NewGauge("litellm_ledger_full_read_timestamp_seconds",
		"Unix time at which all days of the daily table were read last; the last three are read each time.")
	difference = metric.NewGauge("litellm_ledger_difference_usd",
		"USD of the request log minus USD of the daily table for the last closed day (UTC): above 0, rows of the daily table were lost.")
	differenceDay = metric.NewGauge("litellm_ledger_difference_day_timestamp_seconds",
		"Unix time at which the day of the difference began.")

	windowSpend = metric.NewGauge("litellm_window_spend_usd",
		"USD of the requests of the last 24 hours in the request log, where there is no daily table to count from.", model)
	windowRequests = metric.NewGauge("litellm_window_requests",
		"Requests of the last 24 hours in the request log, where there is no daily table to count from.", model)
)

// Declared are the metrics of this package.
var Declared = []metric.Metric{
	spendTotal, tokensTotal, requestsTotal, correctionsTotal, correctedTotal, fullRead,
	difference, differenceDay, windowSpend, windowRequests,
}

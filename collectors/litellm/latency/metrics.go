package latency

import "vulcan.lan/vulcan_exporter/internal/metric"

// buckets suit language models: from an answer of one word to a long one of a slow model.
var buckets = []float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600}

var (
	model = metric.Labels("model_group", "provider")

	durationSeconds = metric.NewHistogram("litellm_request_duration_seconds",
		"Seconds from the start to the end of each successful request, answers from LiteLLM's cache left out.",
		buckets, model, metric.Live())
	firstTokenSeconds = metric.NewHistogram("litellm_time_to_first_token_seconds",
		"Seconds from the start to the first token of each successful streamed request.",
		buckets, model, metric.Live())
	loggedTotal = metric.NewCounter("litellm_logged_requests_total",
		"Requests in the request log since the exporter first looked, each counted once.",
		model, metric.Closed("result", resultSuccess, resultCacheHit, resultFailure), metric.Live())
	errorsTotal = metric.NewCounter("litellm_errors_total",
		"Failed requests in the request log since the exporter first looked, by the class of the error and the status code, if there was one.",
		metric.Labels("class", "code"), metric.Live())
	since = metric.NewGauge("litellm_log_since_timestamp_seconds",
		"Unix time from which on requests of the log are counted.", metric.Live())
	newest = metric.NewGauge("litellm_log_newest_timestamp_seconds",
		"Unix time at which the newest request in the log began.")
	lastHour = metric.NewGauge("litellm_log_rows_last_hour",
		"Requests in the log that began in the last hour.")
)

// Results of a request.
const (
	resultSuccess  = "success"
	resultCacheHit = "cache_hit"
	resultFailure  = "failure"
)

// Declared are the metrics of this package.
var Declared = []metric.Metric{durationSeconds, firstTokenSeconds, loggedTotal, errorsTotal, since, newest, lastHour}

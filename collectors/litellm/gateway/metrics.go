package gateway

import "vulcan.lan/vulcan_exporter/internal/metric"

var (
	model = metric.Labels("model_group")

	up = metric.NewGauge("litellm_gateway_up",
		"1 if the gateway answered that it is alive, 0 if not.", metric.Live())
	ready = metric.NewGauge("litellm_gateway_ready",
		"1 if the gateway answered that it is ready, its database included, 0 if not.", metric.Live())
	answerSeconds = metric.NewGauge("litellm_gateway_answer_seconds",
		"Seconds until the gateway answered that it is alive, as the exporter measured it.", metric.Live())
	info = metric.NewInfo("litellm_gateway_info",
		"1 with the gateway's version, where it tells.", metric.Labels("version"))

	canarySuccess = metric.NewGauge("litellm_canary_success",
		"1 if the last completion that the exporter asked for was answered, 0 if not.", model, metric.Live())
	canarySeconds = metric.NewGauge("litellm_canary_seconds",
		"Seconds that the last answered completion took, as the exporter measured it.", model, metric.Live())
	canaryAttempt = metric.NewGauge("litellm_canary_last_attempt_timestamp_seconds",
		"Unix time at which the last completion was asked for.", model, metric.Live())
	canaryAnswered = metric.NewGauge("litellm_canary_last_success_timestamp_seconds",
		"Unix time at which a completion was last answered.", model, metric.Live())
	canaryFailures = metric.NewCounter("litellm_canary_failures_total",
		"Completions that the exporter asked for and that were not answered, retries included.", model, metric.Live())
	checkHealthy = metric.NewGauge("litellm_health_check_healthy",
		"1 if LiteLLM's own last health check of all deployments of the model was passed, 0 if one was not.", model)
	checkTime = metric.NewGauge("litellm_health_check_timestamp_seconds",
		"Unix time of the oldest of the last health checks of the model's deployments.", model)
	canaryInterval = metric.NewGauge("litellm_canary_interval_seconds",
		"Seconds between two completions of a model.", metric.Live())
)

// Declared are the metrics of this package.
var Declared = []metric.Metric{
	up, ready, answerSeconds, info,
	canarySuccess, canarySeconds, canaryAttempt, canaryAnswered, canaryFailures, canaryInterval,
	checkHealthy, checkTime,
}

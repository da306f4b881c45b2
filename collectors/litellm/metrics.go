package litellm

import (
	"slices"

	"vulcan.lan/vulcan_exporter/collectors/litellm/budget"
	"vulcan.lan/vulcan_exporter/collectors/litellm/gateway"
	"vulcan.lan/vulcan_exporter/collectors/litellm/latency"
	"vulcan.lan/vulcan_exporter/collectors/litellm/ledger"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/pgsession"
	"vulcan.lan/vulcan_exporter/internal/redisclient"
)

// Parts of what is read from the database; each may fail by itself.
const (
	partLedger     = "ledger"
	partDifference = "difference"
	partRequests   = "requests"
	partFreshness  = "freshness"
	partBudgets    = "budgets"
	partChecks     = "checks"
)

var parts = []string{partLedger, partDifference, partRequests, partFreshness, partBudgets, partChecks}

// States of a part.
const (
	stateOK        = "ok"
	stateFallback  = "fallback" // of the ledger: no daily table, a window of the log instead
	stateSchema    = pgsession.ReasonSchema
	statePrivilege = pgsession.ReasonPrivilege
	stateTimeout   = pgsession.ReasonTimeout
	stateOther     = pgsession.ReasonOther
)

var (
	databaseUp = metric.NewGauge("litellm_database_up",
		"1 if LiteLLM's database was connected to and answered, 0 if not.", metric.Live())
	databaseError = metric.NewGauge("litellm_database_error",
		"1 for why there is no session with the database, 0 for the other reasons.",
		metric.Closed("reason", pgsession.Reasons()...), metric.Live())
	part = metric.NewState("litellm_database_part",
		"1 for the state of this part of what is read from the database: schema means a table or column that is not there, privilege one that may not be read.",
		[]string{stateOK, stateFallback, stateSchema, statePrivilege, stateTimeout, stateOther},
		metric.Closed("part", parts...), metric.Live())
	statePersistent = metric.NewGauge("litellm_state_persistent",
		"1 if counts and labels survive the exporter, 0 if it has no folder to keep them in.", metric.Live())

	redisUp = metric.NewGauge("litellm_redis_up",
		"1 if LiteLLM's Redis answered, 0 if not.", metric.Live())
	redisError = metric.NewGauge("litellm_redis_error",
		"1 for why LiteLLM's Redis gave no answer, 0 for the other reasons.",
		metric.Closed("reason", redisclient.Reasons()...), metric.Live())
	redisPing = metric.NewGauge("litellm_redis_ping_seconds",
		"Seconds from a PING to its answer, as the exporter measured it.", metric.Live())
	queueLength = metric.NewGauge("litellm_redis_queue_length",
		"Batches of spend that wait in Redis to be written to the database; 0 where LiteLLM does not use the buffer.",
		metric.Closed("queue", queueNames()...))
)

var declared = slices.Concat([]metric.Metric{
	databaseUp, databaseError, part, statePersistent, redisUp, redisError, redisPing, queueLength,
}, ledger.Declared, latency.Declared, budget.Declared, gateway.Declared)

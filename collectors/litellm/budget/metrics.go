package budget

import "vulcan.lan/vulcan_exporter/internal/metric"

var (
	entity = []metric.Option{metric.Closed("kind", kinds...), metric.Labels("name")}
	kind   = metric.Closed("kind", kinds...)

	spendUSD = metric.NewGauge("litellm_budget_spend_usd",
		"USD spent since the budget was last reset.", entity...)
	limitUSD = metric.NewGauge("litellm_budget_limit_usd",
		"USD at which the gateway refuses requests.", entity...)
	remaining = metric.NewGauge("litellm_budget_remaining_ratio",
		"Part of the budget that is left, 0 to 1.", entity...)
	resets = metric.NewGauge("litellm_budget_reset_timestamp_seconds",
		"Unix time at which the budget is reset next; absent where it never is.", entity...)
	projected = metric.NewGauge("litellm_budget_projected_spend_usd",
		"USD that will be spent at the reset if spending goes on as since the last one; absent in the first twentieth of the period.", entity...)
	expires = metric.NewGauge("litellm_budget_expiry_timestamp_seconds",
		"Unix time at which the key expires; absent where it never does.", entity...)
	blocked = metric.NewGauge("litellm_budget_blocked",
		"1 if an administrator has blocked the key or team.", entity...)
	budgets = metric.NewGauge("litellm_budgets",
		"Keys, teams and users with a budget, those beyond the limit of series included.", kind)
	exceeded = metric.NewGauge("litellm_budgets_exceeded",
		"Keys, teams and users whose budget is spent, those beyond the limit of series included.", kind)
)

// Declared are the metrics of this package.
var Declared = []metric.Metric{spendUSD, limitUSD, remaining, resets, projected, expires, blocked, budgets, exceeded}

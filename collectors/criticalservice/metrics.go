package criticalservice

import "vulcan.lan/vulcan_exporter/internal/metric"

var (
	configured = metric.NewGauge("critical_service_configured",
		"1 for each unit that must be active; a glob that matches nothing is shown by itself.",
		metric.Labels("name"), metric.Live())
	loaded = metric.NewGauge("critical_service_loaded",
		"1 if the unit's file exists and can be loaded, 0 if it does not exist, is masked or is wrong.",
		metric.Labels("name"))
	active = metric.NewGauge("critical_service_active",
		"1 if the unit is active or reloading, 0 in any other state and if it does not exist.",
		metric.Labels("name"))
	failed = metric.NewGauge("critical_service_failed",
		"1 if the unit is in the state failed.",
		metric.Labels("name"))
)

package systemd

import "vulcan.lan/vulcan_exporter/internal/metric"

const peer = "systemd_exporter"

// states that systemd_exporter shows; reloading counts as active.
var states = []string{"activating", "active", "deactivating", "failed", "inactive"}

var (
	unitState = metric.NewState("systemd_unit_state",
		"1 for the state that the unit is in; reloading is shown as active.",
		states, metric.Labels("name", "type"), metric.Compat(peer))
	restarts = metric.NewCounter("systemd_service_restart_total",
		"Automatic restarts of the service since it was last started by hand.",
		metric.Labels("name"), metric.Compat(peer))
	lastTrigger = metric.NewGauge("systemd_timer_last_trigger_seconds",
		"When the timer last elapsed in Unix seconds, absent if it never did.",
		metric.Labels("name"), metric.Compat(peer))
	nextElapse = metric.NewGauge("systemd_timer_next_elapse_timestamp_seconds",
		"When the timer elapses next in Unix seconds, absent while the unit that it started still runs.",
		metric.Labels("name"))
	interval = metric.NewGauge("systemd_timer_interval_seconds",
		"Seconds from the timer's last elapse to the next one, as of when both were last known.",
		metric.Labels("name"))
	failures = metric.NewCounter("systemd_unit_failures_total",
		"Invocations of the unit that failed since the exporter watches it, each counted once.",
		metric.Labels("name"))
	unitResult = metric.NewGauge("systemd_unit_result",
		"1 if the unit's last run had this result, for results other than success that were seen since the exporter watches.",
		metric.Labels("name", "result"))
	loadError = metric.NewGauge("systemd_unit_load_error",
		"1 for a unit whose file is there and cannot be loaded (bad-setting, error).",
		metric.Labels("name", "load_state"))
	memory = metric.NewGauge("systemd_unit_memory_bytes",
		"Memory of the unit's control group in bytes, page cache included.",
		metric.Labels("name"))
	cpu = metric.NewCounter("systemd_unit_cpu_usage_seconds_total",
		"CPU time of the unit's control group in seconds.",
		metric.Labels("name"))
	tasks = metric.NewGauge("systemd_unit_tasks",
		"Processes and threads in the unit's control group.",
		metric.Labels("name"))
	connects = metric.NewCounter("systemd_bus_connections_total",
		"Connections to the bus that led to a full read of all units.",
		metric.Live())
	resyncs = metric.NewCounter("systemd_resyncs_total",
		"Full reads of all units: one a connection, daemon-reload or daemon-reexec.",
		metric.Live())
	reloads = metric.NewCounter("systemd_manager_reloads_total",
		"Ends of daemon-reload and daemon-reexec seen.",
		metric.Live())
)

func metrics() []metric.Metric {
	return []metric.Metric{
		unitState, restarts, lastTrigger, nextElapse, interval, failures, unitResult, loadError,
		memory, cpu, tasks, connects, resyncs, reloads,
	}
}

package main

func services(all alerts) *board {
	b := &board{
		all: all, uid: "services", title: "Services and timers", hours: 24,
		about:      "Do all services run that must, did a unit fail, and when does each timer run next?",
		watch:      all.named("service_alerts", ""),
		collectors: []string{"criticalservice", "systemd"},
	}
	b.first(
		number("Are critical services down?", "Units that must be active and are not.", "none",
			q(`count(critical_service_active{@} == 0) or 0 * count(critical_service_active{@})`, "")).limit(some(all, "CriticalServiceDown")).w(5),
		number("Have units failed?", "Units of any type in the state failed.", "none",
			q(`count(systemd_unit_state{@, state="failed"} == 1) or 0 * count(systemd_unit_state{@, state="failed"})`, "")).
			limit(some(all, "SystemdServiceFailed")).shows("SystemdUnitFailed").w(4),
		plain("When is the next timer due?", "The timer that elapses first.", "dateTimeFromNow",
			q(`1000 * min(systemd_timer_next_elapse_timestamp_seconds{@} > time())`, "")).w(5),
	)
	b.line(12, states("When was a critical service down?", "Units that must be active.",
		q(`critical_service_active{@}`, "{{name}} {{instance}}")).yes("active", "down").shows("CriticalServiceDown"))
	b.line(9,
		list("Which units have failed?", "Units in the state failed.", []string{"name", "type", "instance"},
			col("State", "none", `systemd_unit_state{@, state="failed"} == 1`).says(map[string]word{"1": {"failed", "red"}}),
		).none("none").w(8).shows("SystemdServiceFailed", "SystemdUnitFailed"),
		list("Why did units fail?", "Last result other than success, and failures since the exporter watches.", []string{"name", "result", "instance"},
			col("Last run", "none", `systemd_unit_result{@}`).says(map[string]word{"1": {"with this", "red"}, "0": {"earlier", "text"}}),
		).none("none failed").w(8),
		list("Which unit files are broken?", "Units that systemd cannot load.", []string{"name", "load_state", "instance"},
			col("State", "none", `systemd_unit_load_error{@} == 1`).says(map[string]word{"1": {"not loaded", "orange"}}),
		).none("none").w(8).shows("SystemdUnitNotLoadable"),
	)
	b.line(10, list("When does each timer run?", "A timer is overdue when it has not elapsed for one and a half of its intervals.", []string{"name", "instance"},
		col("Next", "dateTimeFromNow", `1000 * systemd_timer_next_elapse_timestamp_seconds{@}`),
		col("Last", "dateTimeFromNow", `1000 * systemd_timer_last_trigger_seconds{@}`),
		col("Every", "s", `systemd_timer_interval_seconds{@}`),
	).sorted("Next", false).shows("TimerOverdue"))
	b.line(8,
		graph("Does a service restart over and over?", "Automatic restarts in the 15 minutes before; the 8 most at each moment.", "none",
			q(`topk(8, increase(systemd_service_restart_total{@}[15m]))`, "{{name}} {{instance}}")).
			limit(all.limit("SystemdServiceFlapping", "")),
		graph("How often do units fail?", "Runs that failed in the hour before; the 8 most at each moment.", "none",
			q(`topk(8, sum by (name, instance) (increase(systemd_unit_failures_total{@}[1h])))`, "{{name}} {{instance}}")).bars(),
	)
	b.line(9,
		graph("Which services use most memory?", "Control groups, page cache included; the 10 largest at each moment.", "bytes",
			q(`topk(10, systemd_unit_memory_bytes{@})`, "{{name}} {{instance}}")),
		graph("Which services use most CPU?", "Processors in use; the 10 busiest at each moment.", "none",
			q(`topk(10, rate(systemd_unit_cpu_usage_seconds_total{@}[$__rate_interval]))`, "{{name}} {{instance}}")),
	)
	b.line(7,
		graph("How many units are in which state?", "All units that are shown.", "none",
			q(`sum by (state) (systemd_unit_state{@})`, "{{state}}")).stacked(),
		graph("Does a service pile up processes?", "Processes and threads; the 10 largest at each moment.", "none",
			q(`topk(10, systemd_unit_tasks{@})`, "{{name}} {{instance}}")),
	)
	return b
}

package main

func containers(all alerts) *board {
	b := &board{
		all: all, uid: "containers", title: "Containers", hours: 24,
		about:      "Does every container run that should, and does one crash over and over?",
		watch:      all.named("container_alerts", ""),
		collectors: []string{"container"},
	}
	b.first(
		number("Are containers missing?", "Containers that should run and do not.", "none",
			q(`count(container_configured{@} unless on (job, instance, source, name) container_state{@, state="running"} == 1) or 0 * count(container_configured{@})`, "")).
			limit(some(all, "ContainerDown")).w(5),
		plain("How many run?", "Containers in the state running.", "none", q(`count(container_state{@, state="running"} == 1)`, "")).w(4),
		number("Does the engine answer?", "Podman or Docker listed its containers.", "none", q(`min(container_socket_up{@})`, "")).yes("yes", "NO").shows("ContainerEngineDown").w(5),
	)
	b.line(9, states("When did a container not run?", "Containers that the engine knows.", q(`container_state{@, state="running"}`, "{{name}} {{instance}}")).
		yes("running", "not running").shows("ContainerDown"))
	b.line(9, list("What state is each container in?", "One row for each container.", []string{"name", "source", "instance"},
		col("Should run", "none", `container_configured{@}`).says(map[string]word{"1": {"yes", "text"}}),
		col("Runs", "none", `container_state{@, state="running"}`).yes("running", "no"),
		col("Healthy", "none", `container_health{@, state="healthy"}`).yes("healthy", "no"),
		col("Started", "dateTimeFromNow", `1000 * container_started_timestamp_seconds{@}`),
		col("Last exit code", "none", `container_exit_code{@}`),
		col("Restarts", "none", `container_restarts_total{@}`),
	).sorted("Runs", false).shows("ContainerDown", "ContainerUnhealthy"))
	b.line(8,
		graph("Does a container crash over and over?", "Lives that ended in failure, in the 15 minutes before.", "none",
			q(`sum without (result) (increase(container_exits_total{@, result="failure"}[15m]))`, "{{name}} {{instance}}")).
			limit(all.limit("ContainerRestartLoop", "container_exits_total")),
		graph("Does the engine restart one?", "Restarts by the engine's own policy, in the 15 minutes before.", "none",
			q(`increase(container_restarts_total{@}[15m])`, "{{name}} {{instance}}")).limit(all.limit("ContainerRestartLoop", "container_restarts_total")),
	)
	b.line(8,
		graph("Which containers use most CPU?", "Processors in use; the 10 busiest at each moment.", "none",
			q(`topk(10, rate(container_cpu_seconds_total{@}[$__rate_interval]))`, "{{name}} {{instance}}")),
		graph("Which containers use most memory?", "Memory of the control group; the 10 largest at each moment.", "bytes",
			q(`topk(10, container_memory_current_bytes{@})`, "{{name}} {{instance}}")),
	)
	return b
}

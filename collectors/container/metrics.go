package container

import (
	"vulcan.lan/vulcan_exporter/internal/httpjson"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// How a life of a container ended.
const (
	resultSuccess = "success"
	resultFailure = "failure"
)

var (
	name = metric.Labels("name")

	socketUp = metric.NewGauge("container_socket_up",
		"1 if the engine listed its containers, 0 if not.", metric.Live())
	socketError = metric.NewGauge("container_socket_error",
		"1 for why the engine gave no list, 0 for the other reasons.",
		metric.Closed("reason", httpjson.Reasons()...), metric.Live())
	configured = metric.NewGauge("container_configured",
		"1 for a container that should run: named in the configuration or by a quadlet file.", name, metric.Live())
	lifeState = metric.NewState("container_state",
		"1 for the state that the container is in, 0 for the others.",
		[]string{"configured", "created", "initialized", "running", "paused", "restarting", "stopping", "stopped", "removing", "exited", "dead"}, name, metric.Live())
	info = metric.NewInfo("container_info",
		"1 with the image of the container.", metric.Labels("name", "image"), metric.Live())

	health = metric.NewState("container_health",
		"1 for what the container's own check says, 0 for the other answers; a container without one is absent.",
		[]string{"starting", "healthy", "unhealthy"}, name)
	exitCode = metric.NewGauge("container_exit_code",
		"Exit code of the container's last life; absent while it runs and before it ever ran.", name)
	started = metric.NewGauge("container_started_timestamp_seconds",
		"Unix time at which the container was last started.", name)
	finished = metric.NewGauge("container_finished_timestamp_seconds",
		"Unix time at which the container last ended.", name)
	restarts = metric.NewCounter("container_restarts_total",
		"Restarts by the engine's own restart policy, since the container was created.", name)
	cpu = metric.NewCounter("container_cpu_seconds_total",
		"Seconds of CPU time that the running container has used, from its control group of version 2; absent where it has none here.", name)
	memoryBytes = metric.NewGauge("container_memory_current_bytes",
		"Bytes of memory that are charged to the running container, page cache included, from its control group of version 2; absent where it has none here.", name)
	unreadable = metric.NewGauge("container_unreadable",
		"Listed containers whose details the engine did not give.")

	exits = metric.NewCounter("container_exits_total",
		"Lives of containers of this name that ended, from the engine's events, those between two runs included; failure is an exit code other than 0.",
		metric.Labels("name"), metric.Closed("result", resultSuccess, resultFailure), metric.Live())
	eventsReadable = metric.NewGauge("container_events_readable",
		"1 if the engine told its events, on which container_exits_total rests, 0 if not.")
)

var declared = []metric.Metric{
	socketUp, socketError, configured, lifeState, info, health, exitCode, started, finished, restarts,
	cpu, memoryBytes, unreadable, exits, eventsReadable,
}

package opnsense

import (
	"vulcan.lan/vulcan_exporter/collectors/opnsense/facts"
	"vulcan.lan/vulcan_exporter/collectors/opnsense/proxy"
	"vulcan.lan/vulcan_exporter/collectors/opnsense/shape"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// probeReasons are why the probe got no usable answer.
var probeReasons = []string{"connect", "timeout", "certificate", "secret", "status", "other"}

var upstreamBuckets, addedBuckets = proxy.Buckets()

// The proxy and its transform. All of these are counted by this process.
var (
	listening = metric.NewGauge("opnsense_proxy_listening",
		"1 while the proxy's address is bound.", metric.Live())
	requests = metric.NewCounter("opnsense_proxy_requests_total",
		"Requests that were forwarded, by endpoint and class of the answer; aborted were cut off.",
		metric.Labels("endpoint"), metric.Closed("class", proxy.Classes()...), metric.Live())
	refused = metric.NewCounter("opnsense_proxy_refused_total",
		"Requests and connections that were refused, by reason.", metric.Closed("reason", texts(proxy.Refusals())...), metric.Live())
	failures = metric.NewCounter("opnsense_proxy_errors_total",
		"Forwarded requests without a proper answer, by reason.", metric.Closed("reason", texts(proxy.Errors())...), metric.Live())
	inFlight = metric.NewGauge("opnsense_proxy_in_flight_requests",
		"Requests that the proxy is working on.", metric.Live())
	upstreamDuration = metric.NewHistogram("opnsense_proxy_upstream_duration_seconds",
		"Time that the firewall took to answer a forwarded request, in seconds.", upstreamBuckets, metric.Labels("endpoint"), metric.Live())
	addedDuration = metric.NewHistogram("opnsense_proxy_added_duration_seconds",
		"Time that the proxy itself took for a forwarded request, in seconds.", addedBuckets, metric.Live())
	transformed = metric.NewCounter("opnsense_transform_fields_total",
		"Values that were given the type that the client expects.", metric.Labels("endpoint", "field"), metric.Live())
	injected = metric.NewCounter("opnsense_transform_injected_total",
		"Values that the firewall did not give and that were made up, or set to null, so that the client can read the rest.",
		metric.Labels("endpoint", "field"), metric.Live())
	shapeChanges = metric.NewCounter("opnsense_shape_changes_total",
		"Changes in the fields and types of an endpoint's answers since they were learned.",
		metric.Labels("endpoint"), metric.Closed("change", shape.Kinds()...), metric.Live())
	shapeChanged = metric.NewGauge("opnsense_shape_last_change_timestamp_seconds",
		"Unix time of the last change in the fields or types of an endpoint's answers, absent if there was none.",
		metric.Labels("endpoint"), metric.Closed("change", shape.Kinds()...), metric.Live())
	shapeFields = metric.NewGauge("opnsense_shape_fields",
		"Fields known in an endpoint's answers, once learned.", metric.Labels("endpoint"), metric.Live())
)

// The connection to the firewall.
var (
	upstreamUp = metric.NewGauge("opnsense_upstream_up",
		"1 if the firewall answered the last probe over a connection whose certificate was accepted, whatever it thinks of the API key.", metric.Live())
	probeFailures = metric.NewCounter("opnsense_upstream_probe_failures_total",
		"Probes without a usable answer, by reason.", metric.Closed("reason", probeReasons...), metric.Live())
	certificateTrusted = metric.NewGauge("opnsense_upstream_certificate_trusted",
		"1 if the certificate that the firewall showed last is valid for its CA, pin, name and time.", metric.Live())
	certificateExpiry = metric.NewGauge("opnsense_upstream_certificate_not_after_timestamp_seconds",
		"Unix time at which the certificate that the firewall showed last ends.", metric.Live())
	insecure = metric.NewGauge("opnsense_upstream_insecure",
		"1 if any certificate is accepted, so that nothing proves that the firewall is the firewall.", metric.Live())
	keyAccepted = metric.NewGauge("opnsense_api_key_accepted",
		"1 if the API accepted the key that it was shown last, 0 if it answered 401.", metric.Live())
	factsAvailable = metric.NewGauge("opnsense_facts_available",
		"1 if the endpoint gave the facts that are read from it.", metric.Labels("endpoint"), metric.Live())
)

// What the firewall tells of itself.
var (
	cpu = metric.NewGauge("opnsense_cpu_ratio",
		"Share of all processors' time over the last two seconds, by mode.", metric.Closed("mode", "user", "nice", "system", "interrupt", "idle"))
	load1  = metric.NewGauge("opnsense_load1", "Load average over 1 minute.")
	load5  = metric.NewGauge("opnsense_load5", "Load average over 5 minutes.")
	load15 = metric.NewGauge("opnsense_load15", "Load average over 15 minutes.")
	boot   = metric.NewGauge("opnsense_boot_timestamp_seconds",
		"Unix time of the last boot, from the uptime.")
	memoryTotal    = metric.NewGauge("opnsense_memory_total_bytes", "Physical memory in bytes.")
	memoryUsed     = metric.NewGauge("opnsense_memory_used_bytes", "Memory that is neither inactive, cached nor free, in bytes; it includes the ARC of ZFS.")
	memoryARC      = metric.NewGauge("opnsense_memory_arc_bytes", "Memory of the ARC of ZFS in bytes.")
	filesystemUsed = metric.NewGauge("opnsense_filesystem_used_ratio",
		"Share of a file system that is in use, to a hundredth.", metric.Labels("device", "mountpoint", "type"))
	temperature = metric.NewGauge("opnsense_sensor_temperature_celsius",
		"Temperature in degrees Celsius.", metric.Labels("device", "type"))
	health = metric.NewState("opnsense_health_state",
		"1 for the gravest notice that the firewall shows.", facts.Severities())
	gatewayInfo = metric.NewInfo("opnsense_gateway_info",
		"A configured gateway with its interface, address and monitored address.",
		metric.Labels("name", "interface", "device", "protocol", "address", "monitor"))
	gatewayEnabled   = metric.NewGauge("opnsense_gateway_enabled", "1 if the gateway is enabled.", metric.Labels("name"))
	gatewayMonitored = metric.NewGauge("opnsense_gateway_monitored", "1 if the gateway is enabled and monitored by dpinger.", metric.Labels("name"))
	gatewayDefault   = metric.NewGauge("opnsense_gateway_default", "1 if the gateway is the active default gateway.", metric.Labels("name"))
	gatewayState     = metric.NewState("opnsense_gateway_state",
		"1 for the state of an enabled gateway; degraded is a warning whose text is in a language that is not read.", facts.GatewayStates(), metric.Labels("name"))
	gatewayLoss  = metric.NewGauge("opnsense_gateway_loss_ratio", "Share of dpinger's probes that were lost.", metric.Labels("name"))
	gatewayDelay = metric.NewGauge("opnsense_gateway_delay_seconds", "Mean round trip time of dpinger's probes in seconds.", metric.Labels("name"))
	gatewayDev   = metric.NewGauge("opnsense_gateway_delay_stddev_seconds", "Standard deviation of the round trip time of dpinger's probes in seconds.", metric.Labels("name"))
	version      = metric.NewInfo("opnsense_version_info", "Version of OPNsense and of its operating system.", metric.Labels("version", "os", "product"))
	rebootNeeded = metric.NewGauge("opnsense_reboot_needed",
		"1 if the pending updates need a reboot, as the last update check found; absent where it failed.")
	upgradeReboot = metric.NewGauge("opnsense_upgrade_reboot_needed",
		"1 if the upgrade to the next major version needs a reboot, as the last update check found; absent where it failed.")
	updates     = metric.NewGauge("opnsense_updates_pending", "Packages to upgrade or install, as the last update check found; absent where it failed.")
	updateCheck = metric.NewGauge("opnsense_update_check_timestamp_seconds", "Unix time of the last update check.")
)

var declared = []metric.Metric{
	listening, requests, refused, failures, inFlight, upstreamDuration, addedDuration, transformed, injected,
	shapeChanges, shapeChanged, shapeFields,
	upstreamUp, probeFailures, certificateTrusted, certificateExpiry, insecure, keyAccepted, factsAvailable,
	cpu, load1, load5, load15, boot, memoryTotal, memoryUsed, memoryARC, filesystemUsed, temperature, health,
	gatewayInfo, gatewayEnabled, gatewayMonitored, gatewayDefault, gatewayState, gatewayLoss, gatewayDelay, gatewayDev,
	version, rebootNeeded, upgradeReboot, updates, updateCheck,
}

func texts[T ~string](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

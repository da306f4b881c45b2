package main

func opnsense(all alerts) *board {
	b := &board{
		all: all, uid: "opnsense", title: "OPNsense", hours: 24,
		about:      "Is the firewall up, are its gateways, and is what it says still understood?",
		watch:      all.named("opnsense_alerts", ""),
		collectors: []string{"opnsense"},
	}
	b.first(
		number("Does every firewall answer?", "Firewalls that answered over an accepted connection.", "none", q(`min(opnsense_upstream_up{@})`, "")).yes("yes", "NO").shows("OPNsenseDown").w(5),
		number("Are gateways offline?", "Monitored gateways in the state offline.", "none",
			q(`count(opnsense_gateway_state{@, state="offline"} == 1) or 0 * count(opnsense_gateway_state{@, state="offline"})`, "")).limit(some(all, "OPNsenseGatewayDown")).w(4),
		number("How busy is the busiest CPU?", "Share of time that is not idle.", "percentunit", q(`max(1 - opnsense_cpu_ratio{@, mode="idle"})`, "")).limit(all.limit("OPNsenseHighCPU", "")).w(5),
	)
	b.line(7, states("When was a gateway not online?", "1 is online.", q(`opnsense_gateway_state{@, state="online"}`, "{{name}} {{instance}}")).yes("online", "not online").
		shows("OPNsenseGatewayDown", "OPNsenseGatewayDegraded"))
	b.line(8,
		graph("Does a gateway lose packets?", "Share of dpinger's probes that were lost.", "percentunit", q(`opnsense_gateway_loss_ratio{@}`, "{{name}} {{instance}}")).shows("OPNsenseGatewayDegraded").w(8),
		graph("How long is the way out?", "Mean round trip time of dpinger's probes.", "s", q(`opnsense_gateway_delay_seconds{@}`, "{{name}} {{instance}}")).w(8),
		graph("How hot is it?", "Sensors of the firewall.", "celsius", q(`opnsense_sensor_temperature_celsius{@}`, "{{device}} {{instance}}")).free().w(8),
	)
	b.line(8,
		graph("What does the CPU do?", "Share of time, by mode.", "percentunit", q(`avg by (mode) (opnsense_cpu_ratio{@, mode!="idle"})`, "{{mode}}")).
			limit(all.limit("OPNsenseHighCPU", "")).stacked().between(0, 1).w(8),
		graph("How much memory is used?", "Neither inactive, cached nor free; the ARC of ZFS is part of it.", "bytes",
			q(`opnsense_memory_used_bytes{@}`, "used {{instance}}"), q(`opnsense_memory_total_bytes{@}`, "total {{instance}}")).w(8),
		ranking("Which file system is full?", "Share in use.", "percentunit", q(`sort_desc(opnsense_filesystem_used_ratio{@})`, "{{mountpoint}} {{instance}}")).neutral().between(0, 1).w(8),
	)
	b.line(6,
		list("What state is each firewall in?", "As the firewall says, and its certificate.", []string{"source", "instance"},
			col("Up since", "dateTimeFromNow", `1000 * opnsense_boot_timestamp_seconds{@}`),
			col("API key", "none", `opnsense_api_key_accepted{@}`).yes("accepted", "REFUSED"),
			col("Certificate", "none", `opnsense_upstream_certificate_trusted{@}`).yes("trusted", "NOT TRUSTED"),
			col("Checked", "none", `opnsense_upstream_insecure{@}`).says(map[string]word{"1": {"NO", "orange"}, "0": {"yes", "green"}}),
			col("Proxy", "none", `opnsense_proxy_listening{@}`).yes("listens", "NO"),
			col("Expires", "dateTimeFromNow", `1000 * opnsense_upstream_certificate_not_after_timestamp_seconds{@}`),
			col("Reboot", "none", `opnsense_reboot_needed{@}`).says(map[string]word{"1": {"with the updates", "orange"}, "0": {"no", "text"}}),
			col("Updates", "none", `opnsense_updates_pending{@}`),
		).shows("OPNsenseAPIKeyRejected", "OPNsenseCertificateRejected", "OPNsenseCertificateExpiring", "OPNsenseCertificateNotVerified"),
	)
	b.section("What opnsense-exporter is given")
	b.line(8,
		graph("How often is the firewall asked?", "Forwarded requests a second, by class of the answer.", "reqps",
			q(`sum by (class) (rate(opnsense_proxy_requests_total{@}[$__rate_interval]))`, "{{class}}")).stacked().shows("OPNsenseProxyNotListening").w(8),
		graph("Why do requests fail?", "Requests without a proper answer, and refused ones, per second.", "reqps",
			q(`topk(5, sum by (reason) (rate(opnsense_proxy_errors_total{@}[$__rate_interval])))`, "{{reason}}"),
			q(`topk(3, sum by (reason) (rate(opnsense_proxy_refused_total{@}[$__rate_interval])))`, "refused: {{reason}}")).shows("OPNsenseProxyFailing").w(8),
		heat("How long does the firewall take?", "Forwarded requests by the time that the firewall took.", "s",
			q(`sum by (le) (increase(opnsense_proxy_upstream_duration_seconds_bucket{@}[$__rate_interval]))`, "{{le}}")).w(8),
	)
	b.line(8,
		graph("Which values needed another type?", "Values a second that were given the type that the client expects.", "none",
			q(`topk(8, sum by (endpoint, field) (rate(opnsense_transform_fields_total{@}[$__rate_interval])))`, "{{endpoint}} {{field}}")).w(8),
		graph("Did the firewall's answers change?", "Fields that came, went or changed their type, in the hour before.", "none",
			q(`sum by (change) (increase(opnsense_shape_changes_total{@}[1h]))`, "{{change}}")).bars().shows("OPNsenseAPIChanged").w(8),
		list("Which answers are understood?", "Endpoints that facts are read from, and fields known of each.", []string{"endpoint", "instance"},
			col("Facts", "none", `opnsense_facts_available{@}`).yes("read", "none"),
			col("Last change", "dateTimeFromNow", `1000 * max without (change) (opnsense_shape_last_change_timestamp_seconds{@})`),
		).w(8),
	)
	return b
}

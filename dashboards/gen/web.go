package main

func web(all alerts) *board {
	b := &board{
		all: all, uid: "web", title: "Web", hours: 24,
		about:    "Do the sites answer, in time, and do the servers behind them?",
		watch:    append(all.named("nginx_alerts", ""), all.named("nextcloud_alerts", "NextcloudNot")...),
		anywhere: append(all.named("blackbox_alerts", ""), "NextcloudDown", "NextcloudHighLatency"),
		alive:    `up{job=~"blackbox_(http|tcp)"} == 1`,
	}
	b.first(
		number("Are endpoints down?", "Probed addresses that do not answer as they should.", "none",
			q(`count(probe_success{job=~"blackbox_(http|tcp|dns)"} == 0) or 0 * count(probe_success{job=~"blackbox_(http|tcp|dns)"})`, "")).limit(some(all, "EndpointDown")).w(4),
		number("How slow is the slowest?", "Mean time of the last 5 minutes, of those that answer.", "s",
			q(`max(avg_over_time(probe_duration_seconds{job=~"blackbox_(http|tcp)"}[5m]))`, "")).limit(all.limit("SlowResponse", "")).w(5),
		plain("When does one expire next?", "The next one that a probed address presents.", "dateTimeFromNow",
			q(`1000 * min(probe_ssl_earliest_cert_expiry{job=~"blackbox_.*"})`, "")).w(5),
	)
	b.section("Endpoints")
	b.line(9, states("When did an address not answer?", "Probes of pages, ports and name servers.",
		q(`probe_success{job=~"blackbox_(http|tcp|dns)"}`, "{{service}} {{instance}}")).yes("answers", "down").shows("EndpointDown"))
	b.line(8,
		graph("Which address is slow?", "Mean time of a probe over 5 minutes.", "s",
			q(`avg_over_time(probe_duration_seconds{job=~"blackbox_(http|tcp)"}[5m])`, "{{service}} {{instance}}")).limit(all.limit("SlowResponse", "")),
		graph("What takes the time?", "Phases of the requests to pages, of all together.", "s",
			q(`avg by (phase) (probe_http_duration_seconds{job="blackbox_http"})`, "{{phase}}")).stacked(),
	)
	b.line(8, list("What does each page say?", "The last probe of each.", []string{"service", "instance"},
		col("Answers", "none", `probe_success{job=~"blackbox_(http|tcp|dns)"}`).yes("yes", "NO"),
		col("Status", "none", `probe_http_status_code{job="blackbox_http"}`),
		col("Took", "s", `probe_duration_seconds{job=~"blackbox_(http|tcp|dns)"}`),
		col("Certificate", "dateTimeFromNow", `1000 * probe_ssl_earliest_cert_expiry{job=~"blackbox_(http|tcp)"}`),
	).sorted("Answers", false).w(16),
		states("When was the prober down?", "Whether Prometheus reached blackbox_exporter.", q(`min by (job) (up{job=~"blackbox_.*"})`, "{{job}}")).
			yes("up", "down").shows("BlackboxExporterDown").w(8))
	b.section("nginx and Nextcloud")
	b.line(8,
		graph("How many requests?", "Requests a second.", "reqps", q(`rate(nginx_http_requests_total{job="nginx", #}[$__rate_interval])`, "{{instance}}")).shows("NginxDown").w(8),
		graph("How does nginx answer?", "Answers a second, by class of the status, as its log has them.", "reqps",
			q(`sum by (class) (rate(nginx_log_responses_total{job="nginx_log", #}[$__rate_interval]))`, "{{class}}")).stacked().shows("NginxLogNotRead").w(8),
		graph("Which site has errors?", "Part of the answers of 10 minutes that are errors of the server.", "percentunit",
			q(`sum by (server_name) (rate(nginx_log_responses_total{job="nginx_log", #, class="5xx"}[10m])) / sum by (server_name) (rate(nginx_log_responses_total{job="nginx_log", #}[10m]))`, "{{server_name}}")).
			limit(all.limit("NginxHighErrorRate", "")).w(8),
	)
	b.line(8,
		graph("What do connections do?", "Connections of nginx.", "none", q(`nginx_connections_reading{job="nginx", #}`, "reading"), q(`nginx_connections_writing{job="nginx", #}`, "writing"),
			q(`nginx_connections_waiting{job="nginx", #}`, "waiting")).stacked().w(8),
		graph("Is Nextcloud slow?", "Mean time of its page over 5 minutes.", "s", q(`avg_over_time(probe_duration_seconds{job="blackbox_http", service="nextcloud"}[5m])`, "{{instance}}")).
			limit(all.limit("NextcloudHighLatency", "")).w(8),
		states("When was a server down?", "nginx and Nextcloud, and the exporters that ask them.",
			q(`nginx_up{job="nginx", #}`, "nginx {{instance}}"), q(`probe_success{job="blackbox_http", service="nextcloud"}`, "Nextcloud"),
			q(`up{job=~"nginx|nginx_log|nextcloud", #}`, "exporter {{job}}")).yes("up", "down").shows("NextcloudDown", "NginxNotObserved", "NextcloudNotObserved").w(8),
	)
	return b
}

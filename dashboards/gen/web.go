package main

func web(all alerts) *board {
	b := &board{
		all: all, uid: "web", title: "Web", hours: 24,
		about:    "Do the sites answer, in time, and do the servers behind them?",
		anywhere: all.named("blackbox_alerts", ""),
		alive:    `up{job=~"blackbox_(http|tcp)"} == 1`,
	}
	b.first(
		number("Are endpoints down?", "Probed addresses that do not answer as they should.", "none",
			q(`count(probe_success{job=~"blackbox_(http|tcp|dns)"} == 0) or 0 * count(probe_success{job=~"blackbox_(http|tcp|dns)"})`, "")).limit(some(all, "EndpointDown")).w(4),
		number("How slow is the slowest?", "Mean time of the last 5 minutes, of those that answer.", "s",
			q(`max(avg_over_time(probe_duration_seconds{job=~"blackbox_(http|tcp)"}[5m]))`, "")).limit(all.limit("SlowResponse", "")).w(5),
		plain("When does a certificate expire?", "The next one that a probed address presents.", "dateTimeFromNow",
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
		col("Certificate expires", "dateTimeFromNow", `1000 * probe_ssl_earliest_cert_expiry{job=~"blackbox_.*"}`),
		col("Redirects", "none", `probe_http_redirects{job="blackbox_http"}`),
	).sorted("Answers", false).w(16),
		states("When was the prober down?", "Whether Prometheus reached blackbox_exporter.", q(`min by (job) (up{job=~"blackbox_.*"})`, "{{job}}")).
			yes("up", "down").shows("BlackboxExporterDown").w(8))
	return b
}

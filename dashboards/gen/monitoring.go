package main

import "github.com/grafana/grafana-foundation-sdk/go/dashboard"

func monitoring(all alerts) *board {
	b := &board{
		all: all, uid: "monitoring", title: "Monitoring", hours: 24,
		about: "Do Prometheus, Alertmanager, Grafana, Loki and VictoriaMetrics work, and do alerts reach somebody?",
		watch: all.named("monitoring_alerts", ""),
		// Prometheus writes this series about itself, so there is one wherever this is asked.
		alive: `up{job="prometheus", #}`,
	}
	b.first(
		number("Are targets down?", "Targets that Prometheus could not scrape, of all jobs.", "none",
			q(`count(up{job=~".+", #} == 0) or 0 * count(up{job=~".+", #})`, "")).limit(some(all, "TargetDown")).w(4),
		number("Were alerts not delivered?", "Deliveries that Prometheus or Alertmanager failed to make in the last hour.", "none",
			q(`sum(increase(prometheus_notifications_errors_total{job="prometheus", #}[1h])) + sum(increase(alertmanager_notifications_failed_total{job="alertmanager", #}[1h]))`, "")).
			limit(some(all, "AlertmanagerNotDelivering")).shows("PrometheusNotDelivering").decimals(0).w(5),
		number("Are configurations accepted?", "Of Prometheus and Alertmanager.", "none",
			q(`min(prometheus_config_last_reload_successful{job="prometheus", #} or alertmanager_config_last_reload_successful{job="alertmanager", #})`, "")).
			yes("yes", "NO").shows("MonitoringConfigRejected").w(5),
	)
	b.line(9, states("When was a part of it down?", "Whether Prometheus reached it.",
		q(`up{job=~"prometheus|alertmanager|grafana|loki|victoriametrics", #}`, "{{job}} {{instance}}")).yes("up", "down").
		shows("PrometheusDown", "AlertmanagerDown", "GrafanaDown", "LokiDown", "VictoriaMetricsDown"))
	b.line(9,
		list("Which targets are down?", "Of all jobs; each job's own alert tells of it.", []string{"job", "instance"},
			col("State", "none", `up{job=~".+", #} == 0`).says(map[string]word{"0": {"down", "red"}}),
		).none("none").shows("TargetDown").w(8),
		graph("Are alerts sent and delivered?", "Notifications in the hour before, of Alertmanager, by the way they go.", "none",
			q(`sum by (integration) (increase(alertmanager_notifications_total{job="alertmanager", #}[1h]))`, "{{integration}}"),
			q(`sum by (integration) (increase(alertmanager_notifications_failed_total{job="alertmanager", #}[1h]))`, "{{integration}}, failed")).bars().
			shows("AlertmanagerNotDelivering").w(8),
		graph("Do rules fail?", "Evaluations of rules that failed, in the 5 minutes before.", "none",
			q(`sum by (rule_group) (increase(prometheus_rule_evaluation_failures_total{job="prometheus", #}[5m]))`, "{{rule_group}}")).
			limit(all.limit("PrometheusRuleFailing", "")).w(8),
	)
	firing := `ALERTS{alertstate="firing", instance=~"|$instance(:[0-9]+)?"`
	bySeverity := graph("How many alerts fire?", "Of the chosen hosts and of no host, by severity.", "none",
		q(`count by (severity) (`+firing+`, alertname!="Watchdog"}) or 0 * count by (severity) (`+firing+`})`, "{{severity}}")).stacked().stepped().shows("Watchdog")
	for _, severity := range []string{"critical", "warning", "info"} {
		bySeverity.override("byName", severity, dashboard.DynamicConfigValue{Id: "color", Value: map[string]string{"mode": "fixed", "fixedColor": severityColor(severity)}})
	}
	b.line(8,
		graph("How many series are there?", "In Prometheus's head, the last hours.", "none", q(`prometheus_tsdb_head_series{job="prometheus", #}`, "{{instance}}")).free().w(8),
		bySeverity.w(8),
		graph("How long do scrapes take?", "The slowest target of each job.", "s", q(`max by (job) (scrape_duration_seconds{job=~".+", #})`, "{{job}}")).w(8),
	)
	return b
}

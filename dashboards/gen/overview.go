package main

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// overviewUID is of the dashboard whose alerts are those of the others.
const overviewUID = "overview"

// overview shows what all the areas come to. Its panels need the other dashboards.
func overview(all alerts, areas []*board) *board {
	b := &board{
		all: all, uid: overviewUID, title: "Overview", hours: 24,
		about: "Is everything all right, and since when? Then: which area, which alert, which source.",
		alive: `up{@} == 1`,
	}
	for _, area := range areas {
		b.watch = append(b.watch, area.watch...)
		b.anywhere = append(b.anywhere, area.anywhere...)
	}
	b.first(
		number("How many are critical?", "Firing alerts of severity critical.", "none", q(b.bySeverity("critical"), "")).limit(limit{color: "red", op: atLeast, value: 1}).w(4),
		number("How many are warnings?", "Firing alerts of severity warning.", "none", q(b.bySeverity("warning"), "")).limit(limit{color: "orange", op: atLeast, value: 1}).w(4),
		number("Is all data fresh?", "Sources that have not succeeded for three of their intervals.", "suffix: stale",
			q(fmt.Sprintf(`count(vulcan:collector_data_age:intervals{@} > %g) or 0 * count(vulcan:collector_data_age:intervals{@})`, all.limit("CollectorDataStale", "").value), "")).
			limit(some(all, "CollectorDataStale")).words(map[string]word{"0": {"FRESH", "green"}}).w(6),
	)
	b.line(7, b.states(areas))
	b.line(8, list("Which alerts fire?", "Those of severity info need nobody; they are listed all the same. The name leads to the runbook.",
		[]string{"severity", "alertname", "of", "instance"},
		col("Since", "dateTimeFromNow", fmt.Sprintf(`label_join(1000 * ((%s) and ignoring (alertstate) (%s)), "of", " ", "name", "repository", "pool", "collector", "device", "service")`,
			b.alertsOf("ALERTS_FOR_STATE", `alertname!="Watchdog"`), b.alertsOf("ALERTS", firingState+`alertname!="Watchdog"`))),
	).sorted("Since", true).none("none"))
	b.panels[len(b.panels)-1].Panel.FieldConfig.Overrides = append(b.panels[len(b.panels)-1].Panel.FieldConfig.Overrides, toRunbook())
	b.line(10, b.history(areas))
	b.line(firstRow+1,
		plain("How old is the oldest backup?", "The job whose last success is longest ago.", "dateTimeFromNow", q(`1000 * min(backup_last_success_timestamp_seconds{@})`, "")),
		plain("When does a certificate expire?", "The next one, authorities left out.", "dateTimeFromNow",
			q(`1000 * min(certificate_not_after_timestamp_seconds{@, type!="ca"} > time())`, "")),
		number("How full is the fullest pool?", "Allocated part of the ZFS pool.", "percentunit", q(`max(zfs_pool_capacity_ratio{@})`, "")).
			limit(all.limit("ZFSPoolCapacityHigh", ""), all.limit("ZFSPoolCapacityCritical", "zfs_pool_capacity_ratio")),
		number("What did LLMs cost in 24 hours?", "By LiteLLM's daily table.", "currencyUSD",
			q(`sum(litellm_spend_usd_total{@}) - sum(litellm_spend_usd_total{@} offset 24h) or sum(litellm_window_spend_usd{@})`, "")).
			limit(all.limit("LiteLLMHighCost", "litellm_spend_usd_total")).decimals(2),
	)
	b.line(10,
		list("How is each source?", "What vulcan_exporter reads, the stalest first.", []string{"collector", "source", "instance"},
			col("Last run", "none", `vulcan_collector_up{@}`).yes("succeeded", "failed"),
			col("Last success", "dateTimeFromNow", `1000 * vulcan_collector_last_success_timestamp_seconds{@}`),
			col("Age in intervals", "none", `vulcan:collector_data_age:intervals{@}`).limit(all.limit("CollectorDataStale", "")),
		).sorted("Age in intervals", true).w(15),
		states("When did a source fail?", "Result of each source's last run; only collectors of which one failed in an hour.",
			q(`min by (collector) (vulcan_collector_up{@})`, "{{collector}}")).yes("succeeded", "failed").w(9),
	)
	return b
}

func (b *board) bySeverity(severity string) string {
	return fmt.Sprintf("count(%s) or 0 * max(%s)", b.alertsOf("ALERTS", firingState+fmt.Sprintf("severity=%q", severity)), b.living())
}

// states are the areas' own answers to "all right?", each leading to its dashboard.
func (b *board) states(areas []*board) *panel {
	p := number("Which area is not all right?", "Each area says OK while none of its alerts fires and somebody measures it. A click leads to its dashboard.", "suffix: firing")
	for _, area := range areas {
		p.add(true, series, q(area.status(), area.title))
		p.override("byName", area.title, dashboard.DynamicConfigValue{Id: "links", Value: []map[string]any{{
			"title": "Dashboard " + area.title, "url": "/d/vulcan-" + area.uid + "?${__url_time_range}&${instance:queryparam}&${datasource:queryparam}",
		}}})
	}
	p.limit(limit{color: "red", op: atLeast, value: 1})
	return p.words(map[string]word{"0": {"OK", "green"}}).none("NOT WATCHED").w(24)
}

// history is what states was over time.
func (b *board) history(areas []*board) *panel {
	p := states("When was which area not all right?", "Green: no alert of the area fires. Red: at least one does. A gap: nobody measured.")
	for _, area := range areas {
		p.add(false, series, q("("+area.status()+") > bool 0", area.title))
	}
	return p.words(map[string]word{"0": {"OK", "green"}, "1": {"alert", "red"}})
}

// toRunbook makes an alert's name lead to its page.
func toRunbook() dashboard.DashboardFieldConfigSourceOverrides {
	return dashboard.DashboardFieldConfigSourceOverrides{
		Matcher: dashboard.MatcherConfig{Id: "byName", Options: heading("alertname")},
		Properties: []dashboard.DynamicConfigValue{{Id: "links", Value: []map[string]any{{
			"title": "Runbook", "targetBlank": true, "url": runbooks + "${__value.raw}.md",
		}}}},
	}
}

// runbooks is where the pages are, as in the alerts' annotations.
const runbooks = "https://vulcan.lan/vulcan_exporter/alerts/runbooks/"

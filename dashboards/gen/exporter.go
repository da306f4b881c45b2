package main

func exporter(all alerts) *board {
	b := &board{
		all: all, uid: "exporter", title: "Exporter", hours: 12,
		about: "Does vulcan_exporter itself work: is every source read, in time and whole?",
		watch: all.named("exporter", ""),
		alive: `up{@} == 1`,
	}
	b.first(
		number("How many sources fail?", "Sources whose last run failed.", "none",
			q(`count(vulcan_collector_up{@} == 0) or 0 * count(vulcan_collector_up{@})`, "")).limit(some(all, "CollectorFailing")).w(5),
		number("How old is the data?", "In intervals of its source, since the last success.", "none",
			q(`max(vulcan:collector_data_age:intervals{@})`, "")).limit(all.limit("CollectorDataStale", "")).decimals(1).w(4),
		number("Is the configuration valid?", "When it was last read.", "none", q(`min(vulcan_config_last_reload_successful{@})`, "")).
			yes("yes", "NO").shows("VulcanConfigReloadFailed").w(5),
	)
	b.line(11, list("How is each source?", "One row for each collector and source.", []string{"collector", "source", "instance"},
		col("Last run", "none", `vulcan_collector_up{@}`).yes("succeeded", "failed"),
		col("Last success", "dateTimeFromNow", `1000 * vulcan_collector_last_success_timestamp_seconds{@}`),
		col("Age in intervals", "none", `vulcan:collector_data_age:intervals{@}`).limit(all.limit("CollectorDataStale", "")),
		col("Every", "s", `vulcan_collector_interval_seconds{@}`),
		col("Took", "s", `vulcan_collector_duration_seconds{@}`),
		col("Series", "none", `vulcan_collector_series{@}`),
	).sorted("Last run", false).shows("CollectorFailing"))
	b.line(8,
		graph("Is a source stale?", "Time since the last success, in intervals.", "none", q(`vulcan:collector_data_age:intervals{@}`, "{{collector}} {{source}} {{instance}}")).
			limit(all.limit("CollectorDataStale", "")),
		graph("Why do runs fail?", "Failed runs in the hour before.", "none",
			q(`sum by (reason) (increase(vulcan_collector_failures_total{@}[1h]))`, "{{reason}}")).bars(),
	)
	b.line(9, states("When did a source fail?", "Result of each source's last run.", q(`vulcan_collector_up{@}`, "{{collector}} {{source}} {{instance}}")).yes("succeeded", "failed"))
	b.line(8,
		graph("Which source takes long?", "Duration of the last run; the 10 longest at each moment.", "s", q(`topk(10, vulcan_collector_duration_seconds{@})`, "{{collector}} {{source}} {{instance}}")).w(8),
		graph("Which source has many series?", "Series of the last run, and those that were not published.", "none",
			q(`topk(10, vulcan_collector_series{@})`, "{{collector}} {{source}}"), q(`sum(increase(vulcan_collector_series_dropped_total{@}[6h]))`, "not published")).
			shows("CollectorSeriesDropped").w(8),
		graph("Does a run hang?", "Sources whose run is going on.", "none", q(`sum by (collector) (vulcan_collector_in_flight{@})`, "{{collector}}")).stacked().w(8),
	)
	b.line(8,
		graph("How much memory does it take?", "Resident memory of the process.", "bytes", q(`process_resident_memory_bytes{@}`, "{{instance}}")).w(8),
		graph("How much CPU does it take?", "Part of one processor.", "percentunit", q(`rate(process_cpu_seconds_total{@}[$__rate_interval])`, "{{instance}}")).w(8),
		graph("How fast does it answer a scrape?", "As Prometheus measured it.", "s", q(`scrape_duration_seconds{@}`, "{{instance}}")).w(8),
	)
	b.line(7,
		list("Which version runs, since when?", "And whether its state survives a restart.", []string{"instance"},
			col("Started", "dateTimeFromNow", `1000 * process_start_time_seconds{@}`),
			col("State", "none", `vulcan_state_persistent{@}`).yes("kept", "NOT KEPT"),
			col("Corrupt files", "none", `vulcan_state_corrupt_total{@}`).limit(all.limit("VulcanStateCorrupt", "")),
			col("Configuration read", "dateTimeFromNow", `1000 * vulcan_config_last_reload_success_timestamp_seconds{@}`),
		).shows("VulcanStateNotPersistent", "VulcanExporterRestartLoop").w(16),
		states("When was it down?", "Whether Prometheus reached it.", q(`up{@}`, "{{instance}}")).yes("up", "down").shows("VulcanExporterDown").w(8),
	)
	return b
}

package main

func homeAssistant(all alerts) *board {
	b := &board{
		all: all, uid: "home-assistant", title: "Home Assistant", hours: 24,
		about:      "Does Home Assistant answer, does it record, and is there a whole backup?",
		watch:      all.named("home_assistant_alerts", ""),
		collectors: []string{"homeassistant"},
	}
	b.first(
		number("Does it answer?", "The API answered with its version.", "none", q(`min(home_assistant_api_up{@})`, "")).yes("yes", "NO").shows("HomeAssistantDown").w(4),
		plain("How old is the newest backup?", "Newest whole backup, by the time inside of it.", "dateTimeFromNow",
			q(`1000 * min(home_assistant_backup_newest_timestamp_seconds{@})`, "")).shows("HomeAssistantBackupStale").w(5),
		plain("When was a state recorded?", "Newest state that the recorder has written.", "dateTimeFromNow",
			q(`1000 * min(home_assistant_recorder_newest_state_timestamp_seconds{@})`, "")).shows("HomeAssistantNotRecording").w(5),
	)
	b.line(8,
		states("When was it not running?", "Whether the core was running.", q(`home_assistant_state{@, state="RUNNING"}`, "{{source}} {{instance}}")).yes("running", "not running").w(12),
		graph("How fast does it answer?", "Time of the API's answer.", "s", q(`home_assistant_api_response_seconds{@}`, "{{source}} {{instance}}")),
	)
	b.line(8,
		graph("Is the database slow?", "Time to read the 1,000 newest states.", "s", q(`home_assistant_recorder_read_seconds{@}`, "{{source}} {{instance}}")).
			limit(all.limit("HomeAssistantDatabaseSlow", "")).w(8),
		graph("Does it still record?", "Age of the newest recorded state.", "s", q(`time() - home_assistant_recorder_newest_state_timestamp_seconds{@}`, "{{source}} {{instance}}")).
			limit(all.limit("HomeAssistantNotRecording", "")).w(8),
		graph("How much does it record?", "States a second.", "none", q(`rate(home_assistant_recorder_states_written_total{@}[$__rate_interval])`, "{{source}} {{instance}}")).w(8),
	)
	b.line(8,
		graph("How large is the database?", "Bytes of the recorder's database.", "bytes", q(`home_assistant_recorder_size_bytes{@}`, "{{source}} {{instance}}")).free().w(8),
		list("Are the backups whole and fresh?", "Files in the backup folders.", []string{"source", "instance"},
			col("Whole", "none", `home_assistant_backups{@}`).limit(all.limit("HomeAssistantBackupMissing", "")),
			col("Damaged", "none", `home_assistant_backups_unreadable{@}`).limit(all.limit("HomeAssistantBackupDamaged", "")),
			col("Newest", "dateTimeFromNow", `1000 * home_assistant_backup_newest_timestamp_seconds{@}`),
			col("Size", "bytes", `home_assistant_backup_newest_size_bytes{@}`),
			col("Usual size", "bytes", `home_assistant_backup_median_size_bytes{@}`),
			col("Last completed", "dateTimeFromNow", `1000 * home_assistant_backup_last_completion_timestamp_seconds{@}`),
		).shows("HomeAssistantBackupFailed").w(16),
	)
	b.line(7,
		list("Can everything be read?", "What is configured, and whether it could be read whole.", []string{"source", "part", "instance"},
			col("Read", "none", `home_assistant_readable{@}`).yes("yes", "no"),
		).shows("HomeAssistantNotFullyObserved").w(12),
		graph("Which kinds of entities are unavailable?", "Entities that Home Assistant says are unavailable, by domain.", "none",
			q(`count by (domain) (homeassistant_entity_available{job="home_assistant", #} == 0) or 0 * count by (domain) (homeassistant_entity_available{job="home_assistant", #})`, "{{domain}}")).bars(),
	)
	return b
}

// Package migrate knows what the shell and Python scripts published that
// vulcan_exporter replaces, and says what of it is covered by what.
//
// Names is the one list: the recording rules (deploy/prometheus/legacy-names.yml),
// the table in docs/migration.md and the command `vulcan_exporter migrate` come
// from it.
package migrate

// Name is a metric of an old script.
type Name struct {
	Old string
	// Collector that covers it now.
	Collector string
	// New are the metrics to use instead; empty where there is none.
	New []string
	// Expr records the old name from the new ones, in PromQL; empty where the
	// name stayed, or where nothing honest can be recorded.
	Expr string
	// Gone is a label that the metric no longer has, where its name stayed.
	Gone string
	// Note says what changes.
	Note string
}

// Kept is true where the name stayed.
func (n Name) Kept() bool {
	for _, name := range n.New {
		if name == n.Old {
			return true
		}
	}
	return false
}

// Script is a program that vulcan_exporter replaces.
type Script struct {
	Name, Collector string
	// Was is what it was and when it ran, Changes what is different now.
	Was, Changes string
}

// Scripts lists what is replaced.
func Scripts() []Script {
	return []Script{
		{"restic-metrics, restic-check", "restic", "bash and jq, timers (6 h, weekly), textfile", "Never locks (`--no-lock`), one deadline a repository, a repository that fails does not end the pass. Failure omits values instead of writing 0."},
		{"certificate-exporter", "certificate", "bash and openssl, timer (1 h), textfile", "Expiry as a timestamp, any key type, chains of any length, and what servers really present. A file that cannot be read has a reason, not the expiry 0."},
		{"litellm-exporter", "litellm", "curl, timer (1 h), textfile", "Liveness, readiness and completion are three things; spend and latency come from LiteLLM's database. The completion (`canary`) costs money and is off until asked for."},
		{"backup-status-exporter", "backup", "bash and systemctl, timer (daily), textfile", "Runs are followed by signals; success and attempt are told apart, survive a reboot, and dumps are read to their end."},
		{"critical-services-exporter", "criticalservice", "socat and bash, 45 forks a scrape, port 9221", "One snapshot fed by signals. Remove the scrape job critical-services-health."},
		{"dns-query-log-exporter", "dnsquery", "Python, port 9275, pushes to Loki", "Every row once, through crashes; no label of a domain. Remove the scrape job dns_query_logs. State begins anew: stop the old one first, or rows are in Loki twice."},
		{"opnsense-api-transformer", "opnsense", "Python proxy, port 8444", "The proxy is part of the collector (`listen`), holds the API key itself and tells of fields whose type changed. Point opnsense-exporter at it."},
		{"home-assistant-backup-monitor", "homeassistant", "bash, timer (5 min), textfile", "Backups are opened, so a cut-off one does not count; no series for each file."},
		{"mbsync health checks", "mbsync", "bash in the sync and timers, textfile", "A failed or killed run never renews the last success; each account is judged by its own rhythm."},
	}
}

// Names lists the metrics of the scripts.
func Names() []Name {
	var all []Name
	for _, part := range [][]Name{resticNames(), certificateNames(), litellmNames(), backupNames(), criticalNames(), dnsNames(), homeAssistantNames(), mbsyncNames()} {
		all = append(all, part...)
	}
	return all
}

// Find gives the entry of an old name.
func Find(old string) (Name, bool) {
	for _, n := range Names() {
		if n.Old == old {
			return n, true
		}
	}
	return Name{}, false
}

func kept(collector, name, note string) Name {
	return Name{Old: name, Collector: collector, New: []string{name}, Note: note}
}

func renamed(collector, old, name, note string) Name {
	return Name{Old: old, Collector: collector, New: []string{name}, Expr: name, Note: note}
}

func resticNames() []Name {
	const c = "restic"
	return []Name{
		renamed(c, "restic_check_success", "restic_listing_success", "It always meant that the snapshots could be listed. Integrity is `restic_integrity_check_success`."),
		renamed(c, "restic_snapshots_total", "restic_snapshots", "A gauge."),
		kept(c, "restic_repo_size_bytes", "Absent, not 0, while a repository cannot be read."),
		renamed(c, "restic_repo_files_total", "restic_repo_files", "The script showed 0 for ever: it read a field that restic does not give."),
		kept(c, "restic_restore_size_bytes", "Absent, not 0, while a repository cannot be read."),
		renamed(c, "restic_unique_files_total", "restic_unique_files", "A gauge."),
		kept(c, "restic_unique_size_bytes", "Absent, not 0, while a repository cannot be read."),
		kept(c, "restic_last_snapshot_timestamp_seconds", "Absent, not 0, while a repository cannot be read."),
		renamed(c, "restic_last_check_timestamp_seconds", "restic_last_listing_timestamp_seconds", "It always was the time of the listing. Integrity is `restic_integrity_check_timestamp_seconds`."),
		{
			Old: "restic_scrape_duration_seconds", Collector: c, New: []string{"vulcan_collector_duration_seconds"},
			Expr: `label_replace(vulcan_collector_duration_seconds{collector="restic"}, "repository", "$1", "source", "(.*)")`,
			Note: "Of the last run of each repository.",
		},
		kept(c, "restic_integrity_check_success", "One series a repository instead of one for all: `min without (repository) (...)` is the old one."),
		kept(c, "restic_integrity_check_timestamp_seconds", "One series a repository instead of one for all."),
		{
			Old: "restic_read_data_part", Collector: c, New: []string{"restic_integrity_check_part"},
			Expr: "max by (job, instance) (restic_integrity_check_part)", Note: "By repository now; recorded is the highest.",
		},
		{Old: "restic_read_data_repos_verified", Collector: c, New: []string{"restic_integrity_check_cycle_parts"}, Note: "By repository and result; a count of repositories says nothing of their data."},
		{Old: "restic_read_data_repos_skipped", Collector: c, New: []string{"restic_integrity_check_cycle_parts", "restic_integrity_check_skipped_total"}, Note: "By repository and reason."},
		{Old: "restic_read_data_repos_failed", Collector: c, New: []string{"restic_integrity_check_cycle_parts", "restic_integrity_check_errors"}, Note: "By repository."},
		{
			Old: "restic_read_data_repos_total", Collector: c, New: []string{"restic_repository_configured"},
			Expr: "count by (job, instance) (restic_repository_configured)", Note: "",
		},
		{
			Old: "restic_read_data_timestamp_seconds", Collector: c, New: []string{"restic_integrity_check_timestamp_seconds"},
			Expr: "max by (job, instance) (restic_integrity_check_timestamp_seconds)", Note: "By repository now; recorded is the newest.",
		},
	}
}

// leaf selects what the script looked at: files, and of a chain its first certificate.
const leaf = `certificate_not_after_timestamp_seconds{endpoint="",position="0"}`

func certificateNames() []Name {
	const c = "certificate"
	notAfter := []string{"certificate_not_after_timestamp_seconds"}
	return []Name{
		{
			Old: "certificate_expiry_seconds", Collector: c, New: notAfter,
			Expr: "max without (endpoint, position, source) (" + leaf + " - time())", Note: "A timestamp ages while nobody looks; remaining seconds did not.",
		},
		{
			Old: "certificate_days_until_expiry", Collector: c, New: notAfter,
			Expr: "max without (endpoint, position, source) ((" + leaf + " - time()) / 86400)", Note: "Not cut to whole days: the last day is no longer 0.",
		},
		{
			Old: "certificate_valid", Collector: c, New: []string{"certificate_not_after_timestamp_seconds", "certificate_file_error"},
			Expr: "max without (endpoint, position, source) (" + leaf + " > bool time())", Note: "A file that cannot be read is `certificate_file_error`, and has no validity.",
		},
		kept(c, "certificate_file_exists", ""),
		kept(c, "certificate_key_matches", "Any type of key; never -1: absent, with the reason in `certificate_key_error`."),
		kept(c, "certificate_chain_valid", "Never -1. Servers have series too, with the label `endpoint`; add `endpoint=\"\"` for files alone."),
		{
			Old: "certificate_exporter_last_run_timestamp_seconds", Collector: c, New: []string{"vulcan_collector_last_success_timestamp_seconds"},
			Expr: `max by (job, instance) (vulcan_collector_last_success_timestamp_seconds{collector="certificate"})`, Note: "CollectorDataStale watches it.",
		},
	}
}

func litellmNames() []Name {
	const c = "litellm"
	return []Name{
		{
			Old: "litellm_availability", Collector: c, New: []string{"litellm_canary_success", "litellm_gateway_up"},
			Expr: `label_replace(litellm_canary_success, "model", "$1", "model_group", "(.*)")`, Note: "It was a completion: a model that is down is not a gateway that is down.",
		},
		{
			Old: "litellm_response_time_seconds", Collector: c, New: []string{"litellm_canary_seconds", "litellm_request_duration_seconds"},
			Expr: `label_replace(litellm_canary_seconds, "model", "$1", "model_group", "(.*)")`, Note: "The script showed 0 for ever: it read a field that the answer does not have.",
		},
	}
}

func backupNames() []Name {
	const c = "backup"
	return []Name{
		renamed(c, "backup_service_active", "backup_running", "1 during ExecStartPre as well, when the script saw `activating`."),
		kept(c, "backup_service_failed", "Labels name and source beside backup."),
		kept(c, "backup_timer_active", "Labels name and source beside backup."),
		renamed(c, "backup_last_run_timestamp_seconds", "backup_last_exit_timestamp_seconds", "Attempts. For alerts use `backup_last_success_timestamp_seconds`, which a failed run does not renew."),
		kept(c, "backup_last_run_success", "Absent where no run is known, instead of success."),
	}
}

func criticalNames() []Name {
	const c = "criticalservice"
	return []Name{
		{Old: "critical_service_active", Collector: c, New: []string{"critical_service_active"}, Gone: "service", Note: "`service=\"nginx\"` is `name=\"nginx.service\"`."},
		{Old: "critical_service_failed", Collector: c, New: []string{"critical_service_failed"}, Gone: "service", Note: "`service=\"nginx\"` is `name=\"nginx.service\"`."},
		{
			Old: "critical_service_load_state", Collector: c, New: []string{"critical_service_loaded"},
			Expr: `label_replace(critical_service_loaded, "service", "$1", "name", "(.*)\\.[a-z]+")`, Note: "1 if the unit could be loaded.",
		},
	}
}

func dnsNames() []Name {
	const c = "dnsquery"
	return []Name{
		renamed(c, "dns_queries_total", "dns_query_total", "By rcode and response_type; by query type, protocol and client each a counter of its own (`dns_query_by_qtype_total` ...). There is no label of a domain."),
		{Old: "dns_query_log_last_row", Collector: c, New: []string{"dns_query_cursor_timestamp_seconds", "dns_query_backlog_rows"}, Note: "A row's number changes when old rows are deleted."},
		{
			Old: "authentication_failures_total", Collector: c, New: []string{"dns_query_api_errors_total"},
			Expr: `sum by (job, instance) (dns_query_api_errors_total{reason=~"token|permission"})`, Note: "",
		},
		{
			Old: "api_errors_total", Collector: c, New: []string{"dns_query_api_errors_total"},
			Expr: `label_replace(dns_query_api_errors_total, "error_type", "$1", "reason", "(.*)")`, Note: "More reasons than auth, network, timeout, other.",
		},
		{
			Old: "last_successful_query_timestamp", Collector: c, New: []string{"vulcan_collector_last_success_timestamp_seconds"},
			Expr: `max by (job, instance) (vulcan_collector_last_success_timestamp_seconds{collector="dnsquery"})`, Note: "CollectorDataStale watches it.",
		},
		{Old: "consecutive_failures", Collector: c, New: []string{"vulcan_collector_failures_total", "vulcan_collector_up"}, Note: "How long it fails is the age of the last success."},
	}
}

func homeAssistantNames() []Name {
	const c = "homeassistant"
	return []Name{
		renamed(c, "home_assistant_backup_count", "home_assistant_backups", "Whole backups; `home_assistant_backups_unreadable` are the others."),
		renamed(c, "home_assistant_backup_total_size_bytes", "home_assistant_backups_size_bytes", ""),
		renamed(c, "home_assistant_backup_latest_timestamp", "home_assistant_backup_newest_timestamp_seconds", "Absent, not 0, where there is none or the folder cannot be read."),
		{
			Old: "home_assistant_backup_latest_age_seconds", Collector: c, New: []string{"home_assistant_backup_newest_timestamp_seconds"},
			Expr: "time() - home_assistant_backup_newest_timestamp_seconds", Note: "",
		},
		{Old: "home_assistant_backup_size_bytes", Collector: c, New: []string{"home_assistant_backup_newest_size_bytes", "home_assistant_backup_median_size_bytes"}, Note: "No series for each file: a file never changes, the newest is compared with the median."},
		{Old: "home_assistant_backup_age_seconds", Collector: c, New: []string{"home_assistant_backup_newest_timestamp_seconds", "home_assistant_backup_oldest_timestamp_seconds"}, Note: "No series for each file."},
	}
}

func mbsyncNames() []Name {
	const c = "mbsync"
	return []Name{
		renamed(c, "mbsync_last_sync_timestamp_seconds", "mbsync_last_exit_timestamp_seconds", "Attempts, as the script wrote it. For alerts use `mbsync_last_success_timestamp_seconds`."),
		renamed(c, "mbsync_last_sync_status", "mbsync_last_run_success", "0 also for a run that was killed, of which the script wrote nothing."),
		renamed(c, "mbsync_last_error_code", "mbsync_last_exit_status", "0 after a success."),
	}
}

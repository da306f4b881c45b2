package dashboards

import (
	"hash/fnv"
	"math"
	"regexp"
	"time"
)

const (
	minute = 60.0
	hour   = 60 * minute
	day    = 24 * hour
)

// moment is a point of the story: seconds before its end, and Unix time.
type moment struct{ before, unix float64 }

// value is what a series says; false: nothing.
type value func(m moment, seed float64) (float64, bool)

func is(v float64) value { return func(moment, float64) (float64, bool) { return v, true } }

func absent(moment, float64) (float64, bool) { return 0, false }

// wave swings around a middle, over the day and in noise.
func wave(middle, swing float64) value {
	return func(m moment, seed float64) (float64, bool) {
		slow := math.Sin(2 * math.Pi * (m.unix/day + seed))
		quick := math.Sin(2*math.Pi*(m.unix/(37*minute)+7*seed)) * 0.4
		return middle + swing*(slow+quick)/1.4, true
	}
}

// counts grows by so much a second, with the day's swing.
func counts(rate float64) value {
	return func(m moment, seed float64) (float64, bool) {
		elapsed := 9*day - m.before
		return math.Max(0, rate*(0.5+seed)*(elapsed+0.6*day/(2*math.Pi)*(1-math.Cos(2*math.Pi*elapsed/day)))), true
	}
}

// every is a moment in the past that recurs, the last time so long before the end.
func every(period, age float64) value {
	return func(m moment, seed float64) (float64, bool) {
		since := math.Mod(age+math.Mod(seed*1e4, period/4)-m.before, period)
		if since < 0 {
			since += period
		}
		return m.unix - since, true
	}
}

// coming is the next such moment.
func coming(period, age float64) value {
	return func(m moment, seed float64) (float64, bool) {
		last, _ := every(period, age)(m, seed)
		return last + period, true
	}
}

// ahead is a fixed moment, so long from the end of the story; behind 0 it is past.
func ahead(seconds float64) value {
	return func(m moment, _ float64) (float64, bool) { return m.unix + m.before + seconds, true }
}

// during is bad for a while and good else.
func during(from, to, bad, good float64) value {
	return func(m moment, _ float64) (float64, bool) {
		if m.before <= from && m.before >= to {
			return bad, true
		}
		return good, true
	}
}

// grows is a size that grows slowly.
func grows(from, perDay float64) value {
	return func(m moment, seed float64) (float64, bool) {
		return from*(0.4+seed) + perDay*(2*day-m.before)/day, true
	}
}

// fills rises over the last two days.
func fills(from, to float64) value {
	return func(m moment, _ float64) (float64, bool) { return to - (to-from)*m.before/(2*day), true }
}

// said are the values by series, the first that fits. A series is written name{label="value",...}
// with sorted labels.
var said = []struct {
	series *regexp.Regexp
	value  value
}{
	// Faults: a backup that failed and was mended, mail that is not fetched now, a pool too full,
	// a service that was down for a while, a gateway that was.
	say(`^backup_last_run_success.*"Photos"`, during(16*hour, 11*hour, 0, 1)),
	say(`^backup_failures_total.*"Photos"`, during(16*hour, 0, 1, 0)),
	say(`^mbsync_last_run_success.*assembly`, during(2*hour, 0, 0, 1)),
	say(`^mbsync_last_success_timestamp.*assembly`, func(m moment, seed float64) (float64, bool) {
		v, _ := every(15*minute, 5*minute)(m, seed)
		return math.Min(v, m.unix+m.before-2*hour), true
	}),
	say(`^zfs_pool_capacity_ratio`, fills(0.79, 0.82)),
	say(`^zfs_pool_usable_used_ratio`, fills(0.84, 0.87)),
	say(`^critical_service_active.*home-assistant`, during(7*hour, 6.5*hour, 0, 1)),
	say(`^opnsense_gateway_state.*LTE.*"online"`, during(9*hour, 8*hour, 0, 1)),
	say(`^opnsense_gateway_state.*LTE.*"offline"`, during(9*hour, 8*hour, 1, 0)),
	say(`^container_state.*speedtest.*"running"`, during(5*hour, 4.6*hour, 0, 1)),
	say(`^container_state.*speedtest.*"exited"`, during(5*hour, 4.6*hour, 1, 0)),
	say(`^probe_success.*wallabag`, during(5*hour, 4.6*hour, 0, 1)),
	say(`^up.*"grafana"`, during(13*hour, 12.8*hour, 0, 1)),
	say(`^up\{`, is(1)),
	say(`nginx_log_responses_total.*"5xx"`, counts(0.002)),
	say(`^redis_up.*nextcloud`, during(18*hour, 17.8*hour, 0, 1)),
	say(`^home_assistant_api_up`, during(12*hour, 11.8*hour, 0, 1)),
	say(`^probe_success.*"dns"`, during(3.5*hour, 3.4*hour, 0, 1)),
	say(`^litellm_gateway_up`, during(3*hour, 2.9*hour, 0, 1)),
	say(`^node_timex_sync_status`, during(20*hour, 19*hour, 0, 1)),
	say(`^node_scrape_collector_success.*rapl`, is(0)), // no alert names it
	say(`^certificate_chain_valid.*grafana`, is(0)),
	say(`^certificate_chain_error.*grafana.*incomplete`, is(1)),
	say(`^vulcan_collector_up.*opnsense`, during(9*hour, 8.7*hour, 0, 1)),

	say(`_never_succeeded|_initialising|_insecure|_in_flight|_reboot_needed|_blocked|_corrupt|_readonly|_device_error|dropped|_stale|_failed_due|_unreadable|damaged|_update_available|_leaked|_freeing`, is(0)),
	say(`certificate_(file|key|chain|endpoint)_error|^backup_artifact_error|^mbsync_mailbox_error|^systemd_unit_load_error`, is(0)),
	say(`^systemd_unit_result`, is(0)),
	say(`_error(_|\{).*reason=|_error\{`, is(0)),
	say(`^litellm_database_part.*state="ok"`, is(1)),
	say(`(state|health|part|status|last_result)\{.*"(online|running|healthy|active|good|RUNNING|ok|success|finished)"`, is(1)),
	say(`(state|health|part|status|last_result)\{.*state="`, is(0)),
	say(`zfs_vdev_errors_total|zfs_vdev_slow|_corrections_total|_corrected_|gap|state_resets|rejected|evicted|deadlocks|oom_kill|_errors_total|skipped_total|failures_total|restart_total|restarts_total|unparsed|load_errors|not_delivered|_failed_|refused|shape_changes|exits_total|unit_failures`, is(0)),
	say(`_failed_count|zfs_pool_data_errors|_scan_errors|integrity_check_errors|broken_packs|blocked_connections|stale_locks|exclusive_locks`, is(0)),
	say(`_info\{|_info$|_up(\{|$)|_success(\{|$)|_active(\{|$)|_loaded|_configured|_matches|_valid|_exists|_ready|_readable|_imported|_clean|_trusted|_accepted|_available|_listening|_persistent|_successful|bgsave_status|write_status|_complete|_link_up|carrier(\{|$)|sync_status|_stapled|_monitored|_enabled|_default|healthy|^up`, is(1)),
	say(`canary_success|fields_known|facts`, is(1)),

	say(`oldest_query_start|oldest_transaction_start`, func(m moment, seed float64) (float64, bool) {
		v, _ := wave(40, 35)(m, seed)
		return m.unix - v, true
	}),
	say(`home_assistant_backup_last_attempt`, ahead(-10*hour)),
	say(`home_assistant_backup_last_completion`, ahead(-9.9*hour)),
	say(`litellm_canary_interval`, is(15*minute)),
	say(`litellm_canary_last|litellm_log_newest`, func(m moment, _ float64) (float64, bool) { return m.unix - 3*minute, true }),
	say(`backup_next_run|mbsync_next_run`, coming(day, 15*hour)),
	say(`mbsync_(last|summary_time)`, every(15*minute, 5*minute)),
	say(`mbsync_expected_interval`, is(15*minute)),
	say(`backup_expected_interval|_max_age_seconds|backup_expected`, is(26*hour)),
	say(`backup_last_|backup_newest|artifact_newest|snapshot_newest|expected_last_snapshot|last_snapshot_timestamp|group_last`, every(day, 9*hour)),
	say(`zfs_dataset_snapshot_newest`, every(hour, 10*minute)),
	say(`zfs_dataset_snapshot_due`, ahead(2*hour)),
	say(`zfs_dataset_snapshot_oldest`, ahead(-90*day)),
	say(`scrub_due`, ahead(12*day)),
	say(`last_scrub|scan_end|scan_start`, ahead(-18*day)),
	say(`scan_progress`, func(m moment, _ float64) (float64, bool) {
		return 1 - m.before/(9*hour), m.before < 9*hour
	}),
	say(`certificate_not_after.*(git|imap)`, ahead(24*day)),
	say(`certificate_not_after|earliest_cert_expiry|upstream_certificate_not_after`, ahead(61*day)),
	say(`certificate_not_before`, ahead(-30*day)),
	say(`next_update|_reset_timestamp|budget_expiry|next_elapse|blocklist_next`, coming(6*hour, 2*hour)),
	say(`ocsp_this_update|crl_this_update|blocklist_updated`, every(6*hour, 2*hour)),
	say(`timer_last_trigger`, every(6*hour, 2*hour)),
	say(`timer_interval`, is(6*hour)),
	say(`since_timestamp|start_time|boot_time|boot_timestamp|started_timestamp|server_start|oldest_state`, ahead(-20*day)),
	say(`integrity_check_interval|drill_interval`, is(7*day)),
	say(`integrity_check_(timestamp|cycle_timestamp)|drill_timestamp`, ahead(-3*day)),
	say(`integrity_check_parts`, is(52)),
	say(`cycle_parts.*"verified"`, is(31)),
	say(`cycle_parts`, is(0)),
	say(`retention_(expected_)?periods`, is(7)),
	say(`backup_duration|mbsync_duration`, func(m moment, seed float64) (float64, bool) {
		day_ := math.Floor(m.unix / day)
		return 300*(0.3+seed) + 20*math.Sin(day_*seed*9), true
	}),
	say(`mailbox_messages`, func(m moment, seed float64) (float64, bool) {
		v, _ := grows(12000, 40)(m, seed)
		return math.Round(v), true
	}),
	say(`collector_interval`, is(60)),
	say(`vulcan_collector_last_.*opnsense`, func(m moment, _ float64) (float64, bool) {
		if m.before < 9*hour && m.before > 8.7*hour {
			return m.unix + m.before - 9*hour, true
		}
		return m.unix - 20, true
	}),
	say(`vulcan_collector_last_`, func(m moment, seed float64) (float64, bool) { return m.unix - 60*seed, true }),
	say(`_timestamp_seconds|last_updated_time`, every(5*minute, minute)),

	say(`litellm_spend_usd_total`, counts(9.0/day)),
	say(`litellm_window_spend`, absent),
	say(`budget_spend.*family`, is(41)),
	say(`budget_spend`, is(12)),
	say(`budget_limit`, is(60)),
	say(`budget_projected`, is(55)),
	say(`ledger_difference_usd`, wave(0.1, 0.1)),
	say(`redis_queue_length`, wave(4, 3)),
	say(`litellm_tokens`, counts(40)),
	say(`max_connections`, is(100)),
	say(`superuser_reserved`, is(3)),
	say(`pg_connections`, wave(2, 1)),
	say(`frozen_.*_age`, grows(9e7, 1e6)),
	say(`memory_max_bytes`, is(512<<20)),
	say(`redis_memory_used`, wave(200<<20, 60<<20)),
	say(`total_system_memory|MemTotal|memory_total`, is(64<<30)),
	say(`MemAvailable`, wave(30<<30, 8<<30)),
	say(`node_zfs_arc_size`, is(8<<30)),
	say(`node_zfs_arc_c_min`, is(2<<30)),
	say(`filesystem_size_bytes.*boot`, is(1<<30)),
	say(`filesystem_avail_bytes.*boot`, is(700<<20)),
	say(`filesystem_size_bytes`, is(900<<30)),
	say(`filesystem_avail_bytes`, func(m moment, _ float64) (float64, bool) { return 420<<30 + m.before*1e5, true }),
	say(`filesystem_files_free`, is(8e6)),
	say(`filesystem_files`, is(1e7)),
	say(`timex_offset`, wave(0, 0.002)),
	say(`node_time_seconds`, func(m moment, _ float64) (float64, bool) { return m.unix, true }),
	say(`node_cpu_seconds_total.*"idle"`, func(m moment, _ float64) (float64, bool) { return 0.72 * (9*day - m.before), true }),
	say(`node_cpu_seconds_total`, counts(0.05)),
	say(`node_pressure`, counts(0.02)),
	say(`node_disk_io_time`, counts(0.1)),
	say(`node_load`, wave(1.2, 0.8)),
	say(`opnsense_cpu_ratio.*"idle"`, wave(0.8, 0.12)),
	say(`opnsense_cpu_ratio`, wave(0.05, 0.03)),
	say(`loss_ratio`, wave(0.005, 0.005)),
	say(`delay|ping_seconds|probe_duration|probe_http_duration|handshake|answer_seconds|response_seconds\{|response_seconds$|read_seconds|lookup_time`, wave(0.08, 0.05)),
	say(`canary_seconds`, wave(2, 1)),
	say(`probe_http_status_code`, is(200)),
	say(`temperature`, wave(52, 6)),
	say(`postfix_showq_message_age_seconds`, is(3)),
	say(`showq`, func(m moment, seed float64) (float64, bool) {
		v, _ := wave(3, 2)(m, seed)
		return math.Round(v), true
	}),
	say(`process_resident_memory`, wave(38<<20, 3<<20)),
	say(`process_cpu`, counts(0.01)),
	say(`scrape_duration`, wave(0.012, 0.004)),
	say(`exit_code|redirects`, is(0)),
	say(`dns_query_response_seconds|dns_query_loki_push`, counts(0.2)),
	say(`dns_query_cursor_lag|backlog|dns_query_loki_queue_(rows|bytes)`, wave(4, 3)),
	say(`dns_query_total.*ServerFailure`, counts(0.02)),
	say(`dns_query_(late|loki_dropped)`, is(0)),
	say(`dns_query_.*total`, counts(3)),
	say(`cached_entries|distinct|window_queries`, wave(4000, 900)),
	say(`queue_max_bytes`, is(256<<20)),
	say(`(bytes|octets).*_total|_bytes_total`, counts(2e6)),
	say(`cpu.*seconds_total`, counts(0.08)),
	say(`_total(\{|$)|_count(\{|$)|xact_commit|xact_rollback|blks_|states_written|connections_(accepted|handled)|temp_bytes`, counts(0.7)),
	say(`blks_read`, counts(0.01)),
	say(`_bytes`, grows(40<<30, 1<<28)),
	say(`_ratio`, wave(0.3, 0.05)),
	say(`_seconds`, wave(20, 8)),
}

func say(pattern string, v value) struct {
	series *regexp.Regexp
	value  value
} {
	return struct {
		series *regexp.Regexp
		value  value
	}{regexp.MustCompile(pattern), v}
}

// valueOf is what the story says of a series.
func valueOf(series string) value {
	for _, s := range said {
		if s.series.MatchString(series) {
			return s.value
		}
	}
	return func(m moment, seed float64) (float64, bool) {
		v, _ := wave(6, 3)(m, 1000*seed)
		return math.Round(v), true
	}
}

// seedOf makes series of one name differ, always in the same way.
func seedOf(series string) float64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(series))
	return float64(h.Sum32()%1000) / 1000
}

func at(t, end time.Time) moment {
	return moment{before: end.Sub(t).Seconds(), unix: float64(t.Unix())}
}

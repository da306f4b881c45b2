package main

func backups(all alerts) *board {
	b := &board{
		all: all, uid: "backups", title: "Backups", hours: 7 * 24,
		about:      "Did every backup job run, is every repository whole, and can it be restored?",
		watch:      append(all.named("backup_alerts", ""), all.named("storage_alerts", "Restic")...),
		collectors: []string{"backup", "restic"},
	}
	b.first(
		plain("How old is the oldest backup?", "The job whose last success is longest ago.", "dateTimeFromNow",
			q(`1000 * min(backup_last_success_timestamp_seconds{@})`, "")).w(5),
		number("How many jobs failed?", "Jobs whose last run failed.", "none",
			q(`count(backup_last_run_success{@} == 0) or 0 * count(backup_last_run_success{@})`, "")).limit(some(all, "BackupServiceFailed")).w(4),
		number("Are repositories in trouble?", "Repositories that cannot be listed or failed their integrity check.", "none",
			q(`count(restic_listing_success{@} == 0 or restic_integrity_check_success{@} == 0) or 0 * count(restic_listing_success{@})`, "")).
			limit(some(all, "ResticCheckFailed")).shows("ResticIntegrityCheckFailed").w(5),
	)
	b.line(10, list("Did every job succeed, and what is next?", "One row for each backup job that systemd runs.",
		[]string{"backup", "instance"},
		col("Last run", "none", `backup_last_run_success{@}`).yes("succeeded", "failed"),
		col("Last success", "dateTimeFromNow", `1000 * backup_last_success_timestamp_seconds{@}`),
		col("Next run", "dateTimeFromNow", `1000 * backup_next_run_timestamp_seconds{@}`),
		col("Took", "s", `backup_duration_seconds{@}`),
		col("Every", "s", `backup_expected_interval_seconds{@}`),
		col("Timer", "none", `backup_timer_active{@}`).yes("active", "inactive"),
		col("Unit", "none", `backup_job_loaded{@}`).yes("loaded", "MISSING"),
		col("Failures", "none", `backup_failures_total{@}`),
	).sorted("Last run", false).shows("BackupServiceFailed", "BackupTimerInactive", "BackupJobMissing"))
	late, limit1 := all.share("BackupNotRunning", "backup_last_success_timestamp_seconds")
	b.line(8,
		graph("Is a job late?", "Time since the last success as a part of what the alert allows; from 1 on the job is late.", "percentunit",
			q(late, "{{backup}} {{instance}}")).limit(limit1).shows("BackupIntervalUnknown"),
		graph("How long do the jobs take?", "Duration of each job's last run.", "s",
			q(`backup_duration_seconds{@}`, "{{backup}} {{instance}}")).stepped(),
	)
	b.line(8, states("When did a job fail?", "Result of each job's last run over time.",
		q(`backup_last_run_success{@}`, "{{backup}} {{instance}}")).yes("succeeded", "failed"))
	b.section("Repositories of restic")
	b.line(10, list("Is every repository whole?", "One row for each repository. A check reads one part of the data; a drill restores a file.",
		[]string{"repository", "instance"},
		col("Listed", "none", `restic_listing_success{@}`).yes("yes", "no"),
		col("Newest", "dateTimeFromNow", `1000 * restic_last_snapshot_timestamp_seconds{@}`),
		col("Snapshots", "none", `restic_snapshots{@}`),
		col("Stored", "bytes", `restic_repo_size_bytes{@}`),
		col("Sizes", "none", `restic_stats_success{@}`).yes("known", "not known"),
		col("First backup", "none", `restic_initialising{@}`).says(map[string]word{"1": {"awaited", "orange"}, "0": {"made", "text"}}),
		col("Stale locks", "none", `restic_stale_locks{@}`).limit(all.limit("ResticStaleLock", "")),
		col("Check", "none", `restic_integrity_check_success{@}`).yes("whole", "damaged"),
		col("Checked", "dateTimeFromNow", `1000 * restic_integrity_check_timestamp_seconds{@}`),
		col("Restore drill", "none", `restic_restore_drill_success{@}`).yes("restored", "failed"),
		col("Drilled", "dateTimeFromNow", `1000 * restic_restore_drill_timestamp_seconds{@}`),
	).sorted("Newest", false).shows("ResticCheckFailed", "ResticNoSnapshots", "ResticIntegrityCheckFailed", "ResticRestoreDrillFailed"))
	b.restic()
	b.section("Files that backups leave behind")
	b.artifacts()
	return b
}

func (b *board) restic() {
	recent, limit1 := b.all.share("ResticNoRecentSnapshot", "restic_expected_last_snapshot_timestamp_seconds")
	checked, limit2 := b.all.share("ResticIntegrityCheckStale", "")
	drilled, limit3 := b.all.share("ResticRestoreDrillStale", "")
	kept, limit4 := b.all.share("ResticRetentionNotMet", "")
	limit4.op, limit4.value = lowest, 1
	b.line(8,
		graph("Is the newest snapshot too old?", "Age of the newest snapshot as a part of the configured greatest age; above 1 it is too old.", "percentunit",
			q(recent, "{{repository}} {{host}} {{paths}}")).limit(limit1).shows("ResticExpectedSnapshotMissing", "ResticFirstSnapshotMissing"),
		graph("How much do the repositories grow?", "Bytes stored for the data of all snapshots.", "bytes",
			q(`restic_repo_size_bytes{@}`, "{{repository}} {{instance}}")).stepped().free().shows("ResticRepositorySizeGrowing", "ResticStatsFailing"),
	)
	b.line(8,
		ranking("Are checks and drills overdue?", "Time since the last conclusive one as a part of what the alerts allow; above 100 % it is overdue.", "percentunit",
			q(`topk(5, `+checked+`)`, "check of {{repository}}"), q(`topk(5, `+drilled+`)`, "drill of {{repository}}")).limit(limit2, limit3),
		ranking("How far is the present round of checks?", "Parts of the data that were verified in this round, of all parts.", "percentunit",
			q(`restic_integrity_check_cycle_parts{@, result="verified"} / ignoring (result) restic_integrity_check_parts{@}`, "{{repository}} {{instance}}")).
			neutral().between(0, 1),
	)
	b.line(8,
		graph("What did the last snapshots add?", "Bytes that the newest snapshot of each host and set of paths added, as stored.", "bytes",
			q(`restic_group_latest_added_packed_bytes{@}`, "{{repository}} {{host}} {{paths}}")).stepped(),
		ranking("Are enough snapshots kept?", "Periods with a snapshot, of those that should have one by now, by the worst keep rule; below 100 % the retention is not met.", "percentunit",
			q(`sort(min by (repository, instance) (`+kept+`))`, "{{repository}} {{instance}}")).limit(limit4).between(0, 1),
	)
}

func (b *board) artifacts() {
	age, limit1 := b.all.share("BackupArtifactStale", "")
	shrunk, limit2 := b.all.share("BackupArtifactShrunk", "")
	limit2.op = lowest
	b.line(8, list("Is every file there, fresh and whole?", "Dumps and archives, by their newest file.",
		[]string{"backup", "instance"},
		col("Written", "dateTimeFromNow", `1000 * backup_artifact_newest_timestamp_seconds{@}`),
		col("Allowed age", "s", `backup_artifact_max_age_seconds{@}`),
		col("Size", "bytes", `backup_artifact_size_bytes{@}`),
		col("Usual size", "bytes", `backup_artifact_median_size_bytes{@}`),
		col("Whole", "none", `backup_artifact_complete{@}`).yes("yes", "cut off"),
		col("Readable", "none", `1 - max by (backup, instance) (backup_artifact_error{@} == 1) or max by (backup, instance) (backup_artifact_newest_timestamp_seconds{@} >= bool 0)`).yes("yes", "no"),
	).sorted("Written", false).shows("BackupArtifactTruncated", "BackupArtifactUnreadable"))
	b.line(8,
		graph("Is a file too old?", "Age of the newest file as a part of the configured greatest age; above 1 it is stale.", "percentunit",
			q(age, "{{backup}} {{instance}}")).limit(limit1),
		graph("Did a file shrink?", "Size of the newest file as a part of the least that the alert allows; below 1 it shrank.", "percentunit",
			q(shrunk, "{{backup}} {{instance}}")).limit(limit2),
	)
}

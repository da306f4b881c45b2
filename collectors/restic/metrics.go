package restic

import "vulcan.lan/vulcan_exporter/internal/metric"

var (
	group    = metric.Labels("host", "paths")
	expected = metric.Labels("host", "tags", "paths")
	live     = metric.Live()

	repositoryConfigured = metric.NewGauge("restic_repository_configured",
		"1 for each configured repository.", live)
	watchedSince = metric.NewGauge("restic_watched_since_timestamp_seconds",
		"Unix time at which the repository was first watched, by this process or, with state, an earlier one.", live)
	initialising = metric.NewGauge("restic_initialising",
		"1 until the repository was first seen to hold a snapshot.", live)

	listingSuccess = metric.NewGauge("restic_listing_success",
		"1 if the snapshots could be listed in the last attempt, 0 if not; nothing is said of their content.", live)
	listingError = metric.NewGauge("restic_listing_error",
		"1 for the reason why the last attempt to list the snapshots failed.", live, metric.Closed("reason", reasonNames()...))
	listingTimestamp = metric.NewGauge("restic_last_listing_timestamp_seconds",
		"Unix time of the last successful listing, from which the counts and times of snapshots are.")

	snapshotCount = metric.NewGauge("restic_snapshots",
		"Snapshots in the repository.")
	lastSnapshot = metric.NewGauge("restic_last_snapshot_timestamp_seconds",
		"Unix time at which the newest snapshot began.")
	groupSnapshots = metric.NewGauge("restic_group_snapshots",
		"Snapshots of one host and set of paths.", group)
	groupLast = metric.NewGauge("restic_group_last_snapshot_timestamp_seconds",
		"Unix time at which the newest snapshot of the group began.", group)
	groupInfo = metric.NewInfo("restic_group_latest_info",
		"Facts of the group's newest snapshot; version is empty before restic 0.16.", metric.Labels("host", "paths", "tags", "username", "version"))
	latestFiles = metric.NewGauge("restic_group_latest_files",
		"Files of the group's newest snapshot by what became of them; absent before restic 0.17.", group, metric.Closed("change", "new", "changed", "unmodified"))
	latestAdded = metric.NewGauge("restic_group_latest_added_bytes",
		"Bytes that the group's newest snapshot added to the repository, before compression.", group)
	latestAddedPacked = metric.NewGauge("restic_group_latest_added_packed_bytes",
		"Bytes that the group's newest snapshot added to the repository, as stored.", group)
	latestProcessed = metric.NewGauge("restic_group_latest_processed_bytes",
		"Bytes of the files in the group's newest snapshot.", group)
	latestDuration = metric.NewGauge("restic_group_latest_duration_seconds",
		"Seconds that the backup of the group's newest snapshot took.", group)

	expectedSnapshots = metric.NewGauge("restic_expected_snapshots",
		"Snapshots that match an expectation; empty labels stand for any.", expected)
	expectedLast = metric.NewGauge("restic_expected_last_snapshot_timestamp_seconds",
		"Unix time at which the newest snapshot that matches the expectation began; absent where none matches.", expected)
	expectedMaxAge = metric.NewGauge("restic_expected_max_age_seconds",
		"Seconds after which the configuration calls the newest matching snapshot too old.", expected, live)

	retentionPeriods = metric.NewGauge("restic_retention_periods",
		"Periods of the keep rule (hours, days ...) that have a snapshot of the group, at most as many as the rule keeps.", group, metric.Closed("rule", ruleNames()...))
	retentionExpected = metric.NewGauge("restic_retention_expected_periods",
		"Periods that the keep rule should have kept by now, given how long the group is known.", group, metric.Closed("rule", ruleNames()...))

	statsSuccess = metric.NewGauge("restic_stats_success",
		"1 if the sizes are those of the present set of snapshots, 0 if they could not be determined.", live)
	statsTimestamp = metric.NewGauge("restic_stats_timestamp_seconds",
		"Unix time at which the sizes were determined; they are taken anew when the set of snapshots changes.")
	repoSize = metric.NewGauge("restic_repo_size_bytes",
		"Bytes stored for the data that snapshots refer to (stats --mode raw-data); unreferenced packs and the index are not counted.")
	repoUncompressed = metric.NewGauge("restic_repo_uncompressed_size_bytes",
		"Bytes of the same data before compression; repository version 2 and restic 0.15 or later.")
	compressionRatio = metric.NewGauge("restic_compression_ratio",
		"Bytes before compression divided by bytes stored; repository version 2 and restic 0.15 or later.")
	repoBlobs = metric.NewGauge("restic_repo_blobs",
		"Blobs that snapshots refer to.")
	repoFiles = metric.NewGauge("restic_repo_files",
		"Files and folders of all snapshots together, each counted once a snapshot (stats --mode restore-size).")
	restoreSize = metric.NewGauge("restic_restore_size_bytes",
		"Bytes that a restore of all snapshots would write; grows with their number.")
	uniqueFiles = metric.NewGauge("restic_unique_files",
		"Files with different content in all snapshots (stats --mode files-by-contents).")
	uniqueSize = metric.NewGauge("restic_unique_size_bytes",
		"Bytes of the files with different content.")

	lockCount = metric.NewGauge("restic_locks",
		"Locks in the repository, those of running backups included.")
	lockExclusive = metric.NewGauge("restic_exclusive_locks",
		"Exclusive locks, which keep backups from running.")
	lockStale = metric.NewGauge("restic_stale_locks",
		"Locks that were not renewed for 30 minutes or whose process on this host is gone.")
	lockOldest = metric.NewGauge("restic_oldest_lock_timestamp_seconds",
		"Unix time at which the oldest lock was last renewed.")
	lockInfo = metric.NewInfo("restic_lock_info",
		"Owner of a lock, for the first 16 locks.", metric.Labels("id", "host", "username", "pid", "exclusive"))
	locksTimestamp = metric.NewGauge("restic_locks_timestamp_seconds",
		"Unix time at which the locks were listed.")
)

// What is proven of the content.
var (
	checkInterval = metric.NewGauge("restic_integrity_check_interval_seconds",
		"Seconds between two integrity checks, as configured.", live)
	checkSince = metric.NewGauge("restic_integrity_check_since_timestamp_seconds",
		"Unix time since which checks are expected of this repository.", live)
	checkSuccess = metric.NewGauge("restic_integrity_check_success",
		"1 if nothing checked is known to be damaged, 0 if a check found errors, and again when it was repeated.")
	checkTimestamp = metric.NewGauge("restic_integrity_check_timestamp_seconds",
		"Unix time at which the last conclusive check ended; a skipped one does not renew it.")
	checkErrors = metric.NewGauge("restic_integrity_check_errors",
		"Errors that the last conclusive check found.")
	checkBroken = metric.NewGauge("restic_integrity_check_broken_packs",
		"Broken packs that the last conclusive check named; absent before restic 0.18.")
	checkParts = metric.NewGauge("restic_integrity_check_parts",
		"Parts into which the data is divided; a check reads one of them.")
	checkPart = metric.NewGauge("restic_integrity_check_part",
		"Number, from 1, of the part that was checked last.")
	checkCoverage = metric.NewGauge("restic_integrity_check_cycle_parts",
		"Parts by their latest result in the present cycle; the rest is yet to be checked.", metric.Closed("result", string(verified), string(skipped), string(damaged)))
	checkCycle = metric.NewGauge("restic_integrity_check_cycle_timestamp_seconds",
		"Unix time at which every part of the data had been verified.")
	checkSkipped = metric.NewCounter("restic_integrity_check_skipped_total",
		"Checks that proved nothing, since the repository is watched.", metric.Closed("reason", reasonNames()...))

	drillInterval = metric.NewGauge("restic_restore_drill_interval_seconds",
		"Seconds between two restore drills, as configured.", live)
	drillSince = metric.NewGauge("restic_restore_drill_since_timestamp_seconds",
		"Unix time since which restore drills are expected of this repository.", live)
	drillSuccess = metric.NewGauge("restic_restore_drill_success",
		"1 if the last restored file was whole, 0 if it could not be restored or differed.")
	drillTimestamp = metric.NewGauge("restic_restore_drill_timestamp_seconds",
		"Unix time at which the last conclusive restore drill ended.")
	drillBytes = metric.NewGauge("restic_restore_drill_bytes",
		"Bytes of the file that the last drill restored.")
	drillDuration = metric.NewGauge("restic_restore_drill_duration_seconds",
		"Seconds that the last drill took, the choice of a file included.")
	drillSkipped = metric.NewCounter("restic_restore_drill_skipped_total",
		"Drills that proved nothing, since the repository is watched.", metric.Closed("reason", reasonNames()...))
)

var declared = []metric.Metric{
	repositoryConfigured, watchedSince, initialising, listingSuccess, listingError, listingTimestamp,
	snapshotCount, lastSnapshot, groupSnapshots, groupLast, groupInfo, latestFiles, latestAdded,
	latestAddedPacked, latestProcessed, latestDuration,
	expectedSnapshots, expectedLast, expectedMaxAge, retentionPeriods, retentionExpected,
	statsSuccess, statsTimestamp, repoSize, repoUncompressed, compressionRatio, repoBlobs,
	repoFiles, restoreSize, uniqueFiles, uniqueSize,
	lockCount, lockExclusive, lockStale, lockOldest, lockInfo, locksTimestamp,
	checkInterval, checkSince, checkSuccess, checkTimestamp, checkErrors, checkBroken, checkParts, checkPart,
	checkCoverage, checkCycle, checkSkipped,
	drillInterval, drillSince, drillSuccess, drillTimestamp, drillBytes, drillDuration, drillSkipped,
}

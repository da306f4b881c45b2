package backup

import "vulcan.lan/vulcan_exporter/internal/metric"

var (
	job      = metric.Labels("name", "backup")
	artifact = metric.Labels("backup")

	jobConfigured = metric.NewGauge("backup_job_configured",
		"1 for each unit that the configuration names or whose name matches one of its globs.", job)
	jobLoaded = metric.NewGauge("backup_job_loaded",
		"1 if systemd could load the unit, 0 if it is missing, masked or wrong.", job)
	jobsMatched = metric.NewGauge("backup_jobs_matched",
		"Units that a configured name or glob matches.", metric.Labels("units"))
	serviceFailed = metric.NewGauge("backup_service_failed",
		"1 if the unit is in the failed state now.", job)
	running = metric.NewGauge("backup_running",
		"1 while a run is going on, its ExecStartPre included.", job)
	timerActive = metric.NewGauge("backup_timer_active",
		"1 if the job's timer is active; absent where the job has none.", job)
	nextRun = metric.NewGauge("backup_next_run_timestamp_seconds",
		"Unix time at which the job's timer elapses next; absent while it runs or is not scheduled.", job)
	lastStart = metric.NewGauge("backup_last_start_timestamp_seconds",
		"Unix time at which the last run that is known to have ended began.", job)
	lastExit = metric.NewGauge("backup_last_exit_timestamp_seconds",
		"Unix time at which the last run ended, whatever came of it.", job)
	lastSuccess = metric.NewGauge("backup_last_success_timestamp_seconds",
		"Unix time at which the last successful run ended; a failed run does not renew it.", job)
	lastRunSuccess = metric.NewGauge("backup_last_run_success",
		"1 if the last run succeeded, 0 if it failed; absent where none is known.", job)
	durationSeconds = metric.NewGauge("backup_duration_seconds",
		"Seconds that the last run took.", job)
	failuresTotal = metric.NewCounter("backup_failures_total",
		"Runs that failed, each once, since the job is watched.", job)
	neverSucceeded = metric.NewGauge("backup_never_succeeded",
		"1 if no successful run is known since the job is watched.", job)
	watchedSince = metric.NewGauge("backup_watched_since_timestamp_seconds",
		"Unix time at which the job was first seen, by this process or, with state, an earlier one.", job)
	expectedInterval = metric.NewGauge("backup_expected_interval_seconds",
		"Seconds between two runs, as configured or as the job's timer is set.", job)

	artifactConfigured = metric.NewGauge("backup_artifact_configured",
		"1 for each configured artifact.", artifact, metric.Live())
	artifactError = metric.NewGauge("backup_artifact_error",
		"1 for what keeps the artifact from being looked at.", artifact, metric.Live(),
		metric.Closed("reason", reasonMissing, reasonPermission, reasonFormat, reasonIO))
	artifactNewest = metric.NewGauge("backup_artifact_newest_timestamp_seconds",
		"Unix time at which the newest file of the artifact was written.", artifact, metric.Live())
	artifactMaxAge = metric.NewGauge("backup_artifact_max_age_seconds",
		"Seconds after which the configuration calls the artifact stale.", artifact, metric.Live())
	artifactSize = metric.NewGauge("backup_artifact_size_bytes",
		"Bytes of the newest file, or of all files of a folder.", artifact, metric.Live())
	artifactFiles = metric.NewGauge("backup_artifact_files",
		"Files that the artifact's path matches, or that its folder holds.", artifact, metric.Live())
	artifactMedian = metric.NewGauge("backup_artifact_median_size_bytes",
		"Median bytes of the earlier artifacts that were seen; absent before there are three.", artifact, metric.Live())
	artifactComplete = metric.NewGauge("backup_artifact_complete",
		"1 if the dump ends as pg_dump ends one, 0 if it is cut off; absent while it is written or read.", artifact, metric.Live())
)

var declared = []metric.Metric{
	jobConfigured, jobLoaded, jobsMatched, serviceFailed, running, timerActive, nextRun,
	lastStart, lastExit, lastSuccess, lastRunSuccess, durationSeconds, failuresTotal,
	neverSucceeded, watchedSince, expectedInterval,
	artifactConfigured, artifactError, artifactNewest, artifactMaxAge, artifactSize,
	artifactFiles, artifactMedian, artifactComplete,
}

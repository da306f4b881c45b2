package backup

import (
	"vulcan.lan/vulcan_exporter/internal/jobs"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

var (
	runs = jobs.Declare("backup_", "job", "backup")

	artifact = metric.Labels("backup")

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

var declared = append(runs.All(),
	artifactConfigured, artifactError, artifactNewest, artifactMaxAge, artifactSize,
	artifactFiles, artifactMedian, artifactComplete,
)

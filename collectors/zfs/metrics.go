package zfs

import "vulcan.lan/vulcan_exporter/internal/metric"

// peer is the exporter whose names of plain properties are taken over, with
// their types, units, labels and meanings.
const peer = "zfs_exporter"

// Which pools there are and what state they are in. Live: a pool that was fine
// before the commands failed is not fine now.
var (
	poolConfigured = metric.NewGauge("zfs_pool_configured",
		"1 for each pool that the configuration expects to be imported.", metric.Labels("pool"), metric.Live())
	poolImported = metric.NewGauge("zfs_pool_imported",
		"1 if the pool is imported, 0 if it is expected and is not.", metric.Labels("pool"), metric.Live())
	poolState = metric.NewState("zfs_pool_state",
		"1 for the state that ZFS reports of the pool as a whole; online does not mean free of errors.",
		[]string{"online", "degraded", "faulted", "offline", "removed", "unavail", "suspended"},
		metric.Labels("pool"), metric.Live())
	poolDatasetsSuccess = metric.NewGauge("zfs_pool_datasets_success",
		"1 if the datasets and snapshots of the pool could be listed in the latest run.", metric.Labels("pool"), metric.Live())
)

// The space of a pool.
var (
	poolSize      = metric.NewGauge("zfs_pool_size_bytes", "Total size in bytes of the storage pool, parity included.", metric.Labels("pool"), metric.Compat(peer))
	poolAllocated = metric.NewGauge("zfs_pool_allocated_bytes", "Bytes of the pool that are allocated, parity included.", metric.Labels("pool"), metric.Compat(peer))
	poolFree      = metric.NewGauge("zfs_pool_free_bytes", "Bytes of the pool that are not allocated, parity and the reserve that no dataset may use included.", metric.Labels("pool"), metric.Compat(peer))
	poolFreeing   = metric.NewGauge("zfs_pool_freeing_bytes", "Bytes that are still to be freed after datasets or snapshots were destroyed.", metric.Labels("pool"), metric.Compat(peer))
	poolLeaked    = metric.NewGauge("zfs_pool_leaked_bytes", "Bytes that were leaked in the pool.", metric.Labels("pool"), metric.Compat(peer))
	poolCapacity  = metric.NewGauge("zfs_pool_capacity_ratio", "Part of the pool that is allocated, 0 to 1, in whole percent.", metric.Labels("pool"), metric.Compat(peer))
	poolFragments = metric.NewGauge("zfs_pool_fragmentation_ratio", "Fragmentation of the free space of the pool, 0 to 1.", metric.Labels("pool"), metric.Compat(peer))
	poolReadonly  = metric.NewGauge("zfs_pool_readonly", "1 if the pool is imported read-only.", metric.Labels("pool"), metric.Compat(peer))
	poolDedup     = metric.NewGauge("zfs_pool_deduplication_factor", "Bytes referenced for each byte that deduplication stores; 1 is no gain.", metric.Labels("pool"))
	poolUsable    = metric.NewGauge("zfs_pool_usable_used_ratio",
		"Part of the space that datasets can use that is used or reserved, 0 to 1; at 1 writes fail, whatever the capacity ratio.", metric.Labels("pool"))
)

// The health of a pool.
var (
	poolClean = metric.NewGauge("zfs_pool_clean",
		"1 if the pool and each of its devices is online without an error counted and no resilver runs.", metric.Labels("pool"))
	poolDataErrors = metric.NewGauge("zfs_pool_data_errors",
		"Number of known permanent data errors: blocks that could not be repaired.", metric.Labels("pool"))
	poolStatus = metric.NewInfo("zfs_pool_status_info",
		"The documented condition that zpool status names, for example ZFS-8000-9P.", metric.Labels("pool", "message_id"))
	vdevState = metric.NewState("zfs_vdev_state",
		"1 for the state of the device or group of devices.",
		[]string{"online", "degraded", "faulted", "offline", "removed", "unavail", "split", "avail", "inuse"},
		metric.Labels("pool"), vdevClass, metric.Labels("vdev"))
	vdevErrors = metric.NewCounter("zfs_vdev_errors_total",
		"Errors of the device or group since the last zpool clear or import.",
		metric.Labels("pool"), vdevClass, metric.Labels("vdev"), metric.Closed("operation", "read", "write", "checksum"))
	vdevSlow = metric.NewCounter("zfs_vdev_slow_ios_total",
		"Requests that the device took longer for than zio_slow_io_ms, 30 seconds by default, since the last zpool clear or import.",
		metric.Labels("pool"), vdevClass, metric.Labels("vdev"))
	vdevClass = metric.Closed("class", "root", "normal", "special", "dedup", "log", "cache", "spare")
)

// Scrubs and resilvers. ZFS remembers only the last scan of either kind.
var (
	scanFunction = metric.Closed("function", "scrub", "resilver")
	scanState    = metric.NewState("zfs_pool_scan_state", "1 for the state of the last scan of the pool.",
		[]string{"in_progress", "paused", "finished", "canceled"}, metric.Labels("pool"), scanFunction)
	scanProgress = metric.NewGauge("zfs_pool_scan_progress_ratio",
		"Part of the scan in progress that is done, 0 to 1.", metric.Labels("pool"), scanFunction)
	scanErrors = metric.NewGauge("zfs_pool_scan_errors",
		"Number of errors that the last scan has found and could not repair.", metric.Labels("pool"), scanFunction)
	scanRepaired = metric.NewGauge("zfs_pool_scan_repaired_bytes",
		"Bytes that the last scan repaired or resilvered.", metric.Labels("pool"), scanFunction)
	scanStart = metric.NewGauge("zfs_pool_scan_start_timestamp_seconds",
		"Unix time at which the last scan started.", metric.Labels("pool"), scanFunction)
	scanEnd = metric.NewGauge("zfs_pool_scan_end_timestamp_seconds",
		"Unix time at which the last scan finished or was canceled.", metric.Labels("pool"), scanFunction)
	scrubCompleted = metric.NewGauge("zfs_pool_last_scrub_timestamp_seconds",
		"Unix time at which the last known scrub finished, remembered when a later scan hides it.", metric.Labels("pool"))
	scrubDue = metric.NewGauge("zfs_pool_scrub_due_timestamp_seconds",
		"Unix time by which a scrub must have finished: scrub_max_age after the last one, else after the pool was created or first seen.", metric.Labels("pool"))
)

// Datasets, with the labels of zfs_exporter.
var (
	datasetLabels  = metric.Labels("name", "pool", "type")
	dsUsed         = metric.NewGauge("zfs_dataset_used_bytes", "Bytes consumed by the dataset and all its descendants.", datasetLabels, metric.Compat(peer))
	dsAvailable    = metric.NewGauge("zfs_dataset_available_bytes", "Bytes available to the dataset and all its children.", datasetLabels, metric.Compat(peer))
	dsReferenced   = metric.NewGauge("zfs_dataset_referenced_bytes", "Bytes accessible by the dataset, shared with others or not.", datasetLabels, metric.Compat(peer))
	dsWritten      = metric.NewGauge("zfs_dataset_written_bytes", "Bytes written to the dataset since its latest snapshot.", datasetLabels, metric.Compat(peer))
	dsQuota        = metric.NewGauge("zfs_dataset_quota_bytes", "Most bytes that the dataset and its descendants may consume; absent without a quota.", datasetLabels, metric.Compat(peer))
	dsVolumeSize   = metric.NewGauge("zfs_dataset_volume_size_bytes", "Logical size of the volume in bytes.", datasetLabels, metric.Compat(peer))
	dsSnapshotUsed = metric.NewGauge("zfs_dataset_used_by_snapshot_bytes", "Bytes consumed by the snapshots of the dataset, which destroying all of them would free.", datasetLabels, metric.Compat(peer))
)

// Snapshots, aggregated by dataset.
var (
	dsSnapshots = metric.NewGauge("zfs_dataset_snapshots", "Number of snapshots of the dataset itself.", datasetLabels)
	dsNewest    = metric.NewGauge("zfs_dataset_snapshot_newest_timestamp_seconds", "Unix time at which the newest snapshot of the dataset was created.", datasetLabels)
	dsOldest    = metric.NewGauge("zfs_dataset_snapshot_oldest_timestamp_seconds", "Unix time at which the oldest snapshot of the dataset was created.", datasetLabels)
	dsDue       = metric.NewGauge("zfs_dataset_snapshot_due_timestamp_seconds",
		"Unix time by which the next snapshot of these names is expected: the maximum age after the newest one, else after the dataset was created.",
		datasetLabels, metric.Labels("names"))
	ruleDatasets = metric.NewGauge("zfs_snapshot_rule_datasets",
		"Number of datasets that the expectation applies to; 0 guards nothing.", metric.Labels("datasets", "names"))
	sanoidSuccess = metric.NewGauge("zfs_sanoid_config_success",
		"1 if the policy of sanoid could be read in the latest run.", metric.Live())
)

var declared = []metric.Metric{
	poolConfigured, poolImported, poolState, poolDatasetsSuccess,
	poolSize, poolAllocated, poolFree, poolFreeing, poolLeaked, poolCapacity, poolFragments, poolReadonly, poolDedup, poolUsable,
	poolClean, poolDataErrors, poolStatus, vdevState, vdevErrors, vdevSlow,
	scanState, scanProgress, scanErrors, scanRepaired, scanStart, scanEnd, scrubCompleted, scrubDue,
	dsUsed, dsAvailable, dsReferenced, dsWritten, dsQuota, dsVolumeSize, dsSnapshotUsed,
	dsSnapshots, dsNewest, dsOldest, dsDue, ruleDatasets, sanoidSuccess,
}

package main

func storage(all alerts) *board {
	b := &board{
		all: all, uid: "storage", title: "Storage", hours: 48,
		about:      "Are the ZFS pools whole, is there room, and are snapshots taken?",
		watch:      all.named("storage_alerts", "ZFS"),
		collectors: []string{"zfs"},
	}
	high, critical := all.limit("ZFSPoolCapacityHigh", ""), all.limit("ZFSPoolCapacityCritical", "zfs_pool_capacity_ratio")
	usable := all.limit("ZFSPoolCapacityCritical", "zfs_pool_usable_used_ratio")
	b.first(
		number("How full is the fullest pool?", "Allocated part of the pool.", "percentunit", q(`max(zfs_pool_capacity_ratio{@})`, "")).limit(high, critical).w(5),
		number("Are devices in trouble?", "Devices that are not online or have counted errors.", "none",
			q(`count((max without (state) (zfs_vdev_state{@, state=~"degraded|faulted|offline|removed|unavail|split"})) == 1 or sum without (operation) (zfs_vdev_errors_total{@, class!="root"}) > 0) or 0 * count(zfs_pool_clean{@})`, "")).
			limit(some(all, "ZFSDeviceUnavailable")).shows("ZFSDeviceErrors").w(4),
		number("Are snapshots overdue?", "Datasets whose next expected snapshot has not been taken in time.", "none",
			q(`count(time() - zfs_dataset_snapshot_due_timestamp_seconds{@} > 0) or 0 * count(zfs_dataset_snapshot_due_timestamp_seconds{@}) or 0 * count(zfs_pool_clean{@})`, "")).
			limit(some(all, "ZFSSnapshotAgeTooOld")).w(5),
	)
	b.line(7, list("Is every pool whole?", "One row for each pool that is imported or expected.", []string{"pool", "instance"},
		col("Online", "none", `zfs_pool_state{@, state="online"}`).yes("online", "NOT ONLINE"),
		col("Imported", "none", `zfs_pool_imported{@}`).yes("yes", "no"),
		col("Clean", "none", `zfs_pool_clean{@}`).yes("yes", "no"),
		col("Data errors", "none", `zfs_pool_data_errors{@}`).limit(all.limit("ZFSDataErrors", "")),
		col("Size", "bytes", `zfs_pool_size_bytes{@}`),
		col("Allocated", "percentunit", `zfs_pool_capacity_ratio{@}`).limit(high, critical),
		col("Fragmented", "percentunit", `zfs_pool_fragmentation_ratio{@}`),
		col("Last scrub", "dateTimeFromNow", `1000 * zfs_pool_last_scrub_timestamp_seconds{@}`),
		col("Scrub due", "dateTimeFromNow", `1000 * zfs_pool_scrub_due_timestamp_seconds{@}`),
	).shows("ZFSPoolDegraded", "ZFSPoolMissing", "ZFSScrubOverdue"))
	b.line(8,
		graph("Does the pool fill up?", "Allocated part of each pool.", "percentunit", q(`zfs_pool_capacity_ratio{@}`, "{{pool}} {{instance}}")).limit(high, critical).between(0, 1),
		graph("How much can still be written?", "Part of the space for datasets that is used or reserved; at 100 % writes fail.", "percentunit",
			q(`zfs_pool_usable_used_ratio{@}`, "{{pool}} {{instance}}")).limit(usable).between(0, 1),
	)
	b.line(7, states("When was a pool not clean?", "Clean: each device online, no error counted, no resilver.", q(`zfs_pool_clean{@}`, "{{pool}} {{instance}}")).yes("clean", "not clean").w(14),
		graph("How far is a scrub or resilver?", "Part that is done, while one is in progress.", "percentunit",
			q(`zfs_pool_scan_progress_ratio{@}`, "{{function}} {{pool}} {{instance}}")).between(0, 1).none("none is going on").w(10),
	)
	b.line(8,
		list("Which device has errors?", "Errors since the last zpool clear or import, and requests that took longer than 30 s.", []string{"pool", "class", "vdev", "instance"},
			col("Online", "none", `zfs_vdev_state{@, state="online"}`).yes("online", "no"),
			col("Read", "none", `zfs_vdev_errors_total{@, operation="read"}`).limit(all.limit("ZFSDeviceErrors", "")),
			col("Write", "none", `zfs_vdev_errors_total{@, operation="write"}`).limit(all.limit("ZFSDeviceErrors", "")),
			col("Checksum", "none", `zfs_vdev_errors_total{@, operation="checksum"}`).limit(all.limit("ZFSDeviceErrors", "")),
			col("Slow", "none", `zfs_vdev_slow_ios_total{@}`),
		).sorted("Checksum", true),
	)
	b.line(9,
		ranking("Which datasets are largest?", "Bytes of the dataset alone, without descendants: what it refers to and its snapshots.", "bytes",
			q(`topk(12, zfs_dataset_referenced_bytes{@} + zfs_dataset_used_by_snapshot_bytes{@})`, "{{name}} {{instance}}")).neutral(),
		ranking("Which snapshots hold most space?", "Bytes that destroying all snapshots of the dataset would free.", "bytes",
			q(`topk(12, zfs_dataset_used_by_snapshot_bytes{@})`, "{{name}} {{instance}}")).neutral(),
	)
	b.line(8,
		list("When was the last snapshot?", "Datasets with snapshots, the one with the oldest newest snapshot first.", []string{"name", "pool", "instance"},
			col("Newest", "dateTimeFromNow", `1000 * bottomk(50, zfs_dataset_snapshot_newest_timestamp_seconds{@})`),
			col("Expected by", "dateTimeFromNow", `1000 * zfs_dataset_snapshot_due_timestamp_seconds{@}`),
			col("Snapshots", "none", `zfs_dataset_snapshots{@}`),
		).sorted("Newest", false).w(14).shows("ZFSSnapshotAgeTooOld"),
		list("What guards the snapshots?", "Configured expectations, and to how many datasets each applies.", []string{"datasets", "names", "instance"},
			col("Applies to", "none", `zfs_snapshot_rule_datasets{@}`).limit(all.limit("ZFSSnapshotRuleUnmatched", "zfs_snapshot_rule_datasets")),
		).w(10).shows("ZFSDatasetsUnreadable"),
	)
	return b
}

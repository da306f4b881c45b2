package homeassistant

import (
	"vulcan.lan/vulcan_exporter/internal/httpjson"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// What is read apart from the API.
const (
	partBackups  = "backups"
	partSchedule = "schedule"
	partRecorder = "recorder"
)

var (
	readable = metric.NewGauge("home_assistant_readable",
		"1 if this configured part could be read whole, 0 if not; what is not configured is absent.",
		metric.Closed("part", partBackups, partSchedule, partRecorder), metric.Live())

	apiUp = metric.NewGauge("home_assistant_api_up",
		"1 if the API answered with its version, 0 if not.", metric.Live())
	apiError = metric.NewGauge("home_assistant_api_error",
		"1 for why the API gave no answer, 0 for the other reasons.",
		metric.Closed("reason", httpjson.Reasons()...), metric.Live())
	apiSeconds = metric.NewGauge("home_assistant_api_response_seconds",
		"Seconds that the API took to answer, as the exporter measured it.")
	info = metric.NewInfo("home_assistant_info",
		"1 with the version of Home Assistant.", metric.Labels("version"))
	coreState = metric.NewState("home_assistant_state",
		"1 for the state of the core, 0 for the others.",
		[]string{"NOT_RUNNING", "STARTING", "RUNNING", "STOPPING", "FINAL_WRITE", "STOPPED"})

	backups = metric.NewGauge("home_assistant_backups",
		"Whole backups in the folders.")
	backupsUnreadable = metric.NewGauge("home_assistant_backups_unreadable",
		"Files *.tar in the folders that are cut off, empty or no backup.")
	backupsSize = metric.NewGauge("home_assistant_backups_size_bytes",
		"Bytes of all whole backups.")
	newest = metric.NewGauge("home_assistant_backup_newest_timestamp_seconds",
		"Unix time of the newest whole backup, from inside of it.")
	newestSize = metric.NewGauge("home_assistant_backup_newest_size_bytes",
		"Bytes of the newest whole backup.")
	newestEncrypted = metric.NewGauge("home_assistant_backup_newest_encrypted",
		"1 if the newest whole backup is encrypted, 0 if not.")
	newestDatabase = metric.NewGauge("home_assistant_backup_newest_includes_database",
		"1 if the newest whole backup has the recorder's SQLite database in it, 0 if it was left out.")
	medianSize = metric.NewGauge("home_assistant_backup_median_size_bytes",
		"Median of the bytes of the whole backups.")
	oldest = metric.NewGauge("home_assistant_backup_oldest_timestamp_seconds",
		"Unix time of the oldest whole backup, from inside of it.")

	attempted = metric.NewGauge("home_assistant_backup_last_attempt_timestamp_seconds",
		"Unix time at which Home Assistant last began an automatic backup.")
	completed = metric.NewGauge("home_assistant_backup_last_completion_timestamp_seconds",
		"Unix time at which Home Assistant last completed an automatic backup.")
	expected = metric.NewGauge("home_assistant_backup_expected_interval_seconds",
		"Longest time between two automatic backups by their schedule, in seconds; absent where none is scheduled.")

	recorderSeconds = metric.NewGauge("home_assistant_recorder_read_seconds",
		"Seconds that reading the 1,000 newest states took, or after which it was given up.")
	newestState = metric.NewGauge("home_assistant_recorder_newest_state_timestamp_seconds",
		"Unix time of the newest state that the recorder has written.")
	oldestState = metric.NewGauge("home_assistant_recorder_oldest_state_timestamp_seconds",
		"Unix time of the oldest state that the recorder keeps.")
	statesWritten = metric.NewCounter("home_assistant_recorder_states_written_total",
		"States that the recorder has written, by the highest id.")
	recorderSize = metric.NewGauge("home_assistant_recorder_size_bytes",
		"Bytes of the recorder's database, the write-ahead log of SQLite included.")
	schema = metric.NewGauge("home_assistant_recorder_schema_version",
		"Version of the recorder's tables.")
)

var declared = []metric.Metric{
	readable, apiUp, apiError, apiSeconds, info, coreState,
	backups, backupsUnreadable, backupsSize, newest, newestSize, newestEncrypted, newestDatabase, medianSize, oldest,
	attempted, completed, expected,
	recorderSeconds, newestState, oldestState, statesWritten, recorderSize, schema,
}

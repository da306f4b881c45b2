package redis

import (
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/redisclient"
)

var (
	theirs = metric.Compat("redis_exporter")
	master = metric.Labels("master_host", "master_port")
	slave  = metric.Labels("slave_ip", "slave_port", "slave_state")
	db     = metric.Labels("db")

	up = metric.NewGauge("redis_up",
		"1 if the server answered, 0 if not.", metric.Live(), theirs)
	connectionError = metric.NewGauge("redis_connection_error",
		"1 for why the server gave no answer, 0 for the other reasons.",
		metric.Closed("reason", redisclient.Reasons()...), metric.Live())
	pingSeconds = metric.NewGauge("redis_ping_seconds",
		"Seconds from a PING to its answer, as the exporter measured it.")
	serverInfo = metric.NewInfo("redis_server_info",
		"1 with the version, role, mode and eviction policy of the server.",
		metric.Labels("version", "role", "mode", "maxmemory_policy"))
	startTime = metric.NewGauge("redis_start_time_seconds",
		"Unix time at which the server started.", theirs)

	keys = metric.NewGauge("redis_db_keys",
		"Keys in the database; one without keys is absent.", db, theirs)
	keysExpiring = metric.NewGauge("redis_db_keys_expiring",
		"Keys with a time to live in the database; one without keys is absent.", db, theirs)
	errorsKnown = metric.NewGauge("redis_error_kinds_known",
		"1 if the server tells its error answers apart by kind, 0 where scripts made up too many kinds, until CONFIG RESETSTAT; absent before Redis 6.2.")
	errorsTotal = metric.NewCounter("redis_errors_total",
		"Error answers that clients were given, by their first word, of the words that tell of a fault of the server or its use.",
		metric.Labels("err"), theirs)

	linkUp = metric.NewGauge("redis_master_link_up",
		"1 if a replica is connected to its master, 0 if not.", master, theirs)
	syncing = metric.NewGauge("redis_master_sync_in_progress",
		"1 while a replica receives all of its master's data.", master, theirs)
	replicaOffset = metric.NewGauge("redis_slave_repl_offset",
		"Bytes of the replication stream that a replica has processed.", master, theirs)
	slaveLag = metric.NewGauge("redis_connected_slave_lag_seconds",
		"Seconds since the replica's last acknowledgement.", slave, theirs)
	slaveOffset = metric.NewGauge("redis_connected_slave_offset_bytes",
		"Bytes of the replication stream that the replica has acknowledged.", slave, theirs)
)

// A field of INFO that is shown as it is, or as 1 for "ok".
type field struct {
	name    string
	gauge   metric.Gauge
	counter metric.Counter // where Desc is set
	status  bool
}

func gaugeField(info, name, help string) field {
	return field{name: info, gauge: metric.NewGauge(name, help, theirs)}
}

func statusField(info, name, help string) field {
	return field{name: info, gauge: metric.NewGauge(name, help, theirs), status: true}
}

func counterField(info, name, help string) field {
	return field{name: info, counter: metric.NewCounter(name, help, theirs)}
}

var fields = []field{
	gaugeField("connected_clients", "redis_connected_clients", "Connected clients, replicas left out."),
	gaugeField("blocked_clients", "redis_blocked_clients", "Clients that wait in a blocking command."),
	gaugeField("maxclients", "redis_max_clients", "Clients that the server admits."),
	counterField("rejected_connections", "redis_rejected_connections_total", "Connections that were refused because of the limit of clients, since the start."),
	counterField("total_connections_received", "redis_connections_received_total", "Connections that were accepted, since the start."),
	counterField("total_commands_processed", "redis_commands_processed_total", "Commands that were processed, since the start."),
	gaugeField("used_memory", "redis_memory_used_bytes", "Bytes that the server has allocated for data and itself."),
	gaugeField("used_memory_peak", "redis_memory_used_peak_bytes", "Most bytes that were allocated at any time."),
	gaugeField("used_memory_rss", "redis_memory_used_rss_bytes", "Bytes of memory that the system has given to the server."),
	gaugeField("maxmemory", "redis_memory_max_bytes", "Bytes at which the server evicts keys or refuses writes; 0 means that it has no limit of its own."),
	gaugeField("total_system_memory", "redis_total_system_memory_bytes", "Bytes of memory of the server's machine."),
	gaugeField("mem_fragmentation_ratio", "redis_mem_fragmentation_ratio", "Resident memory divided by allocated memory."),
	counterField("evicted_keys", "redis_evicted_keys_total", "Keys that were removed for want of memory, since the start."),
	counterField("expired_keys", "redis_expired_keys_total", "Keys whose time to live ended, since the start."),
	counterField("keyspace_hits", "redis_keyspace_hits_total", "Look-ups that found a key, since the start."),
	counterField("keyspace_misses", "redis_keyspace_misses_total", "Look-ups that found no key, since the start."),
	counterField("total_net_input_bytes", "redis_net_input_bytes_total", "Bytes that were received, since the start."),
	counterField("total_net_output_bytes", "redis_net_output_bytes_total", "Bytes that were sent, since the start."),
	gaugeField("loading", "redis_loading_dump_file", "1 while the server reads its data from disk."),
	gaugeField("rdb_changes_since_last_save", "redis_rdb_changes_since_last_save", "Changes since the last dump to disk."),
	gaugeField("rdb_bgsave_in_progress", "redis_rdb_bgsave_in_progress", "1 while a dump is being written."),
	gaugeField("rdb_last_save_time", "redis_rdb_last_save_timestamp_seconds", "Unix time of the last successful dump, or of the start where there was none since."),
	statusField("rdb_last_bgsave_status", "redis_rdb_last_bgsave_status", "1 if the last dump succeeded, 0 if it failed."),
	gaugeField("aof_enabled", "redis_aof_enabled", "1 if the append-only file is on."),
	statusField("aof_last_write_status", "redis_aof_last_write_status", "1 if the last write to the append-only file succeeded, 0 if it failed."),
	statusField("aof_last_bgrewrite_status", "redis_aof_last_bgrewrite_status", "1 if the last rewrite of the append-only file succeeded, 0 if it failed."),
	gaugeField("connected_slaves", "redis_connected_slaves", "Connected replicas."),
	gaugeField("master_repl_offset", "redis_master_repl_offset", "Bytes of the replication stream that the server has produced."),
}

var declared = func() []metric.Metric {
	list := []metric.Metric{
		up, connectionError, pingSeconds, serverInfo, startTime, keys, keysExpiring, errorsKnown, errorsTotal,
		linkUp, syncing, replicaOffset, slaveLag, slaveOffset,
	}
	for _, f := range fields {
		list = append(list, f.metric())
	}
	return list
}()

func (f field) metric() metric.Metric {
	if f.isCounter() {
		return f.counter
	}
	return f.gauge
}

func (f field) isCounter() bool { return f.counter != metric.Counter{} }

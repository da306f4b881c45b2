package postgres

import (
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/pgsession"
)

// States of client connections, as of pg_stat_activity.state. other is one that this version of
// the collector does not know; hidden is one that the role may not see.
const (
	stateOther  = "other"
	stateHidden = "hidden"
)

var states = []string{
	"active", "idle", "idle in transaction", "idle in transaction (aborted)",
	"fastpath function call", "disabled", stateOther, stateHidden,
}

// Names of the queries, in the order in which they are run.
const (
	querySettings    = "settings"
	queryActivity    = "activity"
	queryDatabases   = "databases"
	querySizes       = "sizes"
	queryReplication = "replication"
	querySlots       = "slots"
	queryWAL         = "wal"
	queryArchiver    = "archiver"
	queryStatements  = "statements"
)

// The names that postgres_exporter has too mean the same there; the label source stands for its
// instance or server.
var (
	theirs    = metric.Compat("postgres_exporter")
	database  = metric.Labels("datname")
	statDB    = metric.Labels("datid", "datname")
	slot      = metric.Labels("slot_name", "slot_type")
	statement = metric.Labels("datname", "queryid")

	up = metric.NewGauge("pg_up",
		"1 if the server was connected to and answered, 0 if not.", metric.Live(), theirs)
	connectionError = metric.NewGauge("pg_connection_error",
		"1 for why there is no session with the server, 0 for the other reasons.",
		metric.Closed("reason", pgsession.Reasons()...), metric.Live())
	querySuccess = metric.NewGauge("pg_query_success",
		"1 if this group of values could be read, 0 if it is missing, for want of a privilege or of time.",
		metric.Closed("query", querySettings, queryActivity, queryDatabases, querySizes,
			queryReplication, querySlots, queryWAL, queryArchiver, queryStatements), metric.Live())
	serverInfo = metric.NewInfo("pg_server_info",
		"1 with the version of the server.", metric.Labels("version"))
	startTime = metric.NewGauge("pg_postmaster_start_time_seconds",
		"Unix time at which the server started.", theirs)

	maxConnections = metric.NewGauge("pg_settings_max_connections",
		"Connections that the server admits, those reserved for superusers included.", theirs)
	reservedConnections = metric.NewGauge("pg_settings_superuser_reserved_connections",
		"Connections that are kept for superusers.", theirs)
	freezeMaxAge = metric.NewGauge("pg_settings_autovacuum_freeze_max_age",
		"Age in transactions at which autovacuum is forced, to prevent wraparound.", theirs)

	connections = metric.NewGauge("pg_connections",
		"Client connections in this state, the exporter's own left out.",
		database, metric.Closed("state", states...))
	oldestTransaction = metric.NewGauge("pg_oldest_transaction_start_timestamp_seconds",
		"Unix time at which the longest open transaction of the clients in this state began; absent where there is none.",
		metric.Closed("state", states...))
	oldestQuery = metric.NewGauge("pg_oldest_query_start_timestamp_seconds",
		"Unix time at which the longest running query of a client began; absent where none runs.")
	longQueries = metric.NewGauge("pg_long_queries",
		"Queries that run for longer than the limit.", metric.Labels("limit"))
	blocked = metric.NewGauge("pg_blocked_connections",
		"Client connections that wait for a lock.")

	backends = metric.NewGauge("pg_stat_database_numbackends",
		"Backends connected to the database, autovacuum and parallel workers included.", statDB, theirs)
	commits = metric.NewCounter("pg_stat_database_xact_commit",
		"Transactions that were committed since the statistics were reset.", statDB, theirs)
	rollbacks = metric.NewCounter("pg_stat_database_xact_rollback",
		"Transactions that were rolled back since the statistics were reset.", statDB, theirs)
	blocksRead = metric.NewCounter("pg_stat_database_blks_read",
		"Blocks that were read from disk or the system's cache since the statistics were reset.", statDB, theirs)
	blocksHit = metric.NewCounter("pg_stat_database_blks_hit",
		"Blocks that were found in the server's cache since the statistics were reset.", statDB, theirs)
	deadlocks = metric.NewCounter("pg_stat_database_deadlocks",
		"Deadlocks since the statistics were reset.", statDB, theirs)
	tempBytes = metric.NewCounter("pg_stat_database_temp_bytes",
		"Bytes that queries wrote to temporary files since the statistics were reset.", statDB, theirs)
	size = metric.NewGauge("pg_database_size_bytes",
		"Bytes on disk of the database; absent where the role may not connect to it.", database, theirs)
	frozenAge = metric.NewGauge("pg_database_frozen_xid_age",
		"Age in transactions of the oldest row that is not frozen; at 2,147,000,000 the server refuses writes.", database)
	multiAge = metric.NewGauge("pg_database_frozen_multixact_age",
		"Age in multixacts of the oldest one still referred to; at 2,147,000,000 the server refuses writes.", database)

	isReplica = metric.NewGauge("pg_replication_is_replica",
		"1 if the server is a standby, 0 if it is a primary.", theirs)
	replicationLag = metric.NewGauge("pg_replication_lag_seconds",
		"Seconds by which a standby's data lags, 0 on a primary and where all that was received is replayed.", theirs)
	replicaLag = metric.NewGauge("pg_replica_lag_bytes",
		"Bytes of WAL that a connected standby has still to replay.", metric.Labels("application_name", "client_addr"))
	slotActive = metric.NewGauge("pg_replication_slot_slot_is_active",
		"1 if a client streams from the slot, 0 if not: then the server keeps WAL for it.", slot, theirs)
	slotRetained = metric.NewGauge("pg_replication_slot_retained_wal_bytes",
		"Bytes of WAL that the server keeps for the slot.", slot)
	walSegments = metric.NewGauge("pg_wal_segments",
		"Files in the WAL folder.", theirs)
	walSize = metric.NewGauge("pg_wal_size_bytes",
		"Bytes of the files in the WAL folder.", theirs)
	archived = metric.NewCounter("pg_stat_archiver_archived_count",
		"WAL files that were archived since the statistics were reset.", theirs)
	archiveFailed = metric.NewCounter("pg_stat_archiver_failed_count",
		"Attempts to archive a WAL file that failed since the statistics were reset.", theirs)

	statementMean = metric.NewGauge("pg_top_statement_mean_seconds",
		"Mean seconds of one execution, of the statements with the highest mean among those executed at least 10 times.", statement)
	statementSeconds = metric.NewCounter("pg_top_statement_seconds_total",
		"Seconds that all executions of the statement took since the statistics were reset.", statement)
	statementCalls = metric.NewCounter("pg_top_statement_calls_total",
		"Executions of the statement since the statistics were reset.", statement)
)

var declared = []metric.Metric{
	up, connectionError, querySuccess, serverInfo, startTime,
	maxConnections, reservedConnections, freezeMaxAge,
	connections, oldestTransaction, oldestQuery, longQueries, blocked,
	backends, commits, rollbacks, blocksRead, blocksHit, deadlocks, tempBytes, size, frozenAge, multiAge,
	isReplica, replicationLag, replicaLag, slotActive, slotRetained, walSegments, walSize,
	archived, archiveFailed,
	statementMean, statementSeconds, statementCalls,
}

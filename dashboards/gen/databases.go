package main

func databases(all alerts) *board {
	b := &board{
		all: all, uid: "databases", title: "Databases", hours: 12,
		about:      "Do PostgreSQL and Redis answer, is there room for more, and what holds them up?",
		watch:      append(all.named("database_alerts", ""), all.named("redis_alerts", "")...),
		collectors: []string{"postgres", "redis"},
	}
	b.first(
		number("Does every PostgreSQL answer?", "Servers that were connected to and answered.", "none", q(`min(pg_up{@})`, "")).yes("yes", "NO").shows("PostgresDown").w(5),
		number("Does every Redis answer?", "Servers that answered a PING.", "none", q(`min(redis_up{@})`, "")).yes("yes", "NO").shows("RedisDown").w(5),
		number("How full is PostgreSQL?", "Of the fullest PostgreSQL.", "percentunit",
			q(`max(`+connections+`)`, "")).limit(all.limit("PostgresHighConnections", "pg_connections")).w(4),
	)
	b.section("PostgreSQL")
	b.line(8,
		graph("Is there room for connections?", "Client connections, of those that are admitted to ordinary users.", "percentunit",
			q(connections, "{{source}} {{instance}}")).limit(all.limit("PostgresHighConnections", "pg_connections")).between(0, 1).w(8),
		graph("What do connections do?", "Client connections by state.", "none", q(`sum by (state) (pg_connections{@})`, "{{state}}")).stacked().w(8),
		graph("How long does a query run?", "The oldest query and the oldest transaction in each state.", "s",
			q(`time() - pg_oldest_query_start_timestamp_seconds{@}`, "query {{source}}"),
			q(`time() - pg_oldest_transaction_start_timestamp_seconds{@, state=~"idle in transaction.*"}`, "{{state}} {{source}}")).
			limit(all.limit("PostgresSlowQueries", "pg_oldest_query_start_timestamp_seconds"), all.limit("PostgresIdleInTransaction", "")).w(8),
	)
	b.line(8,
		graph("How many transactions?", "Transactions a second, by database.", "ops",
			q(`sum by (datname) (rate(pg_stat_database_xact_commit{@}[$__rate_interval]) + rate(pg_stat_database_xact_rollback{@}[$__rate_interval]))`, "{{datname}}")).stacked().w(8),
		graph("Does the cache suffice?", "Part of the blocks that were found in the server's cache.", "percentunit",
			q(`sum by (datname) (rate(pg_stat_database_blks_hit{@}[$__rate_interval])) / sum by (datname) (rate(pg_stat_database_blks_hit{@}[$__rate_interval]) + rate(pg_stat_database_blks_read{@}[$__rate_interval]))`, "{{datname}}")).free().w(8),
		graph("Do transactions block each other?", "Deadlocks in the hour before, and connections that wait for a lock now.", "none",
			q(`sum by (datname) (increase(pg_stat_database_deadlocks{@}[1h]))`, "deadlocks {{datname}}"), q(`pg_blocked_connections{@}`, "waiting {{source}}")).w(8),
	)
	b.line(8,
		ranking("How large are the databases?", "Bytes on disk.", "bytes", q(`sort_desc(max by (datname, instance) (pg_database_size_bytes{@}))`, "{{datname}} {{instance}}")).neutral().w(8),
		ranking("Is a wraparound near?", "Age of the oldest row that is not frozen, in transactions.", "short",
			q(`sort_desc(pg_database_frozen_xid_age{@})`, "{{datname}} {{source}}")).limit(all.limit("PostgresWraparoundNear", "pg_database_frozen_xid_age")).w(8),
		list("Which statements take longest?", "Mean of one execution, by the id in pg_stat_statements; the text of a query is not shown.", []string{"datname", "queryid"},
			col("Mean", "s", `pg_top_statement_mean_seconds{@}`),
			col("Calls", "none", `pg_top_statement_calls_total{@}`),
		).sorted("Mean", true).w(8),
	)
	b.line(7,
		graph("How much WAL is kept?", "Bytes in the WAL folder, and those that a slot holds.", "bytes",
			q(`pg_wal_size_bytes{@}`, "folder {{instance}}"), q(`pg_replication_slot_retained_wal_bytes{@}`, "slot {{slot_name}}")),
		list("Can everything be read?", "Groups of values that the exporter asks for.", []string{"source", "query", "instance"},
			col("Read", "none", `pg_query_success{@}`).yes("yes", "no"),
		).sorted("Read", false).shows("PostgresNotFullyObserved").w(12),
	)
	b.section("Redis")
	b.redis()
	return b
}

const connections = `sum by (job, instance, source) (pg_connections{@}) / on (job, instance, source) (pg_settings_max_connections{@} - pg_settings_superuser_reserved_connections{@})`

func (b *board) redis() {
	memory := b.all.limit("RedisHighMemory", "redis_memory_max_bytes")
	b.line(8,
		graph("Is there room in memory?", "Used memory, of the limit that is set; a server without one is not shown.", "percentunit",
			q(`redis_memory_used_bytes{@} / (redis_memory_max_bytes{@} > 0)`, "{{source}} {{instance}}")).limit(memory).between(0, 1).w(8),
		graph("How much memory is used?", "Allocated by the server, and given to it by the system.", "bytes",
			q(`redis_memory_used_bytes{@}`, "used {{source}}"), q(`redis_memory_used_rss_bytes{@}`, "resident {{source}}")).w(8),
		graph("How busy is it?", "Commands a second.", "ops", q(`rate(redis_commands_processed_total{@}[$__rate_interval])`, "{{source}} {{instance}}")).w(8),
	)
	b.line(8,
		graph("Do look-ups find their keys?", "Part of the look-ups that found a key.", "percentunit",
			q(`rate(redis_keyspace_hits_total{@}[$__rate_interval]) / (rate(redis_keyspace_hits_total{@}[$__rate_interval]) + rate(redis_keyspace_misses_total{@}[$__rate_interval]) > 0)`, "{{source}} {{instance}}")).between(0, 1),
		graph("Are keys, clients or writes refused?", "In the hour before: keys evicted, connections refused, error answers.", "none",
			q(`increase(redis_evicted_keys_total{@}[1h])`, "evicted {{source}}"), q(`increase(redis_rejected_connections_total{@}[1h])`, "refused {{source}}"),
			q(`sum by (err) (increase(redis_errors_total{@}[1h]))`, "{{err}}")).shows("RedisRefusesWrites", "RedisRejectsConnections"),
	)
	b.line(6,
		list("Is it kept on disk?", "The last dump, and the append-only file where there is one.", []string{"source", "instance"},
			col("Dump", "none", `redis_rdb_last_bgsave_status{@}`).yes("written", "FAILED"),
			col("Last dump", "dateTimeFromNow", `1000 * redis_rdb_last_save_timestamp_seconds{@}`),
			col("Append-only", "none", `redis_aof_last_write_status{@}`).yes("well", "FAILED"),
			col("Clients", "none", `redis_connected_clients{@}`),
			col("Keys", "none", `sum without (db) (redis_db_keys{@})`),
		).shows("RedisPersistenceFailed"),
	)
}

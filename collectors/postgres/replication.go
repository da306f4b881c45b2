package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"vulcan.lan/vulcan_exporter/internal/metric"
)

// position is how far this server's own WAL goes, received WAL on a standby.
const position = `CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END`

func collectReplication(ctx context.Context, _ *server, conn *pgx.Conn, out *metric.Batch) error {
	var replica bool
	var lag *float64 // unknown on a standby that has not replayed a transaction yet
	row := conn.QueryRow(ctx, `
		SELECT pg_is_in_recovery(), CASE
		       WHEN NOT pg_is_in_recovery() THEN 0
		       WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
		       ELSE greatest(0, extract(epoch FROM now() - pg_last_xact_replay_timestamp())) END::float8`)
	if err := row.Scan(&replica, &lag); err != nil {
		return err
	}
	out.Bool(isReplica, replica)
	if lag != nil {
		out.Gauge(replicationLag, *lag)
	}
	rows, err := conn.Query(ctx, `
		SELECT coalesce(application_name, ''), coalesce(host(client_addr), ''),
		       max(pg_wal_lsn_diff(`+position+`, replay_lsn))::float8
		  FROM pg_stat_replication WHERE state IN ('catchup', 'streaming') GROUP BY 1, 2`)
	if err != nil {
		return err
	}
	var application, address string
	var behind *float64
	_, err = pgx.ForEachRow(rows, []any{&application, &address, &behind}, func() error {
		if behind != nil {
			out.Gauge(replicaLag, *behind, application, address)
		}
		return nil
	})
	return err
}

func collectSlots(ctx context.Context, _ *server, conn *pgx.Conn, out *metric.Batch) error {
	rows, err := conn.Query(ctx, `
		SELECT slot_name, slot_type, active, pg_wal_lsn_diff(`+position+`, restart_lsn)::float8
		  FROM pg_replication_slots`)
	if err != nil {
		return err
	}
	var name, kind string
	var active bool
	var retained *float64 // a slot that was never used keeps nothing
	_, err = pgx.ForEachRow(rows, []any{&name, &kind, &active, &retained}, func() error {
		out.Bool(slotActive, active, name, kind)
		if retained != nil {
			out.Gauge(slotRetained, max(0, *retained), name, kind)
		}
		return nil
	})
	return err
}

func collectWAL(ctx context.Context, _ *server, conn *pgx.Conn, out *metric.Batch) error {
	var files, bytes float64
	row := conn.QueryRow(ctx, `
		SELECT count(*)::float8, coalesce(sum(size), 0)::float8 FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'`)
	if err := row.Scan(&files, &bytes); err != nil {
		return err
	}
	out.Gauge(walSegments, files)
	out.Gauge(walSize, bytes)
	return nil
}

func collectArchiver(ctx context.Context, _ *server, conn *pgx.Conn, out *metric.Batch) error {
	var done, failed float64
	row := conn.QueryRow(ctx, "SELECT archived_count::float8, failed_count::float8 FROM pg_stat_archiver")
	if err := row.Scan(&done, &failed); err != nil {
		return err
	}
	out.Counter(archived, done)
	out.Counter(archiveFailed, failed)
	return nil
}

package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"vulcan.lan/vulcan_exporter/internal/metric"
)

func collectDatabases(ctx context.Context, _ *server, conn *pgx.Conn, out *metric.Batch) error {
	rows, err := conn.Query(ctx, `
		SELECT d.oid::text, d.datname, s.numbackends::float8, s.xact_commit::float8, s.xact_rollback::float8,
		       s.blks_read::float8, s.blks_hit::float8, s.deadlocks::float8, s.temp_bytes::float8,
		       age(d.datfrozenxid)::float8, mxid_age(d.datminmxid)::float8
		  FROM pg_database d JOIN pg_stat_database s ON s.datid = d.oid
		 WHERE d.datallowconn`)
	if err != nil {
		return err
	}
	var oid, name string
	var numbackends, commit, rollback, read, hit, dead, temp, xid, multi float64
	columns := []any{&oid, &name, &numbackends, &commit, &rollback, &read, &hit, &dead, &temp, &xid, &multi}
	_, err = pgx.ForEachRow(rows, columns, func() error {
		out.Gauge(backends, numbackends, oid, name)
		out.Counter(commits, commit, oid, name)
		out.Counter(rollbacks, rollback, oid, name)
		out.Counter(blocksRead, read, oid, name)
		out.Counter(blocksHit, hit, oid, name)
		out.Counter(deadlocks, dead, oid, name)
		out.Counter(tempBytes, temp, oid, name)
		out.Gauge(frozenAge, xid, name)
		out.Gauge(multiAge, multi, name)
		return nil
	})
	return err
}

func collectSizes(ctx context.Context, _ *server, conn *pgx.Conn, out *metric.Batch) error {
	rows, err := conn.Query(ctx, `
		SELECT datname, pg_database_size(oid)::float8
		  FROM pg_database
		 WHERE datallowconn
		   AND (has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE'))`)
	if err != nil {
		return err
	}
	var name string
	var bytes *float64 // NULL for a database that is being dropped
	_, err = pgx.ForEachRow(rows, []any{&name, &bytes}, func() error {
		if bytes != nil {
			out.Gauge(size, *bytes, name)
		}
		return nil
	})
	return err
}

// collectStatements reads the numbers of pg_stat_statements
// (https://www.postgresql.org/docs/current/pgstatstatements.html) without the texts: with them,
// some thousand long statements are a file of hundreds of megabytes that the server reads.
func collectStatements(ctx context.Context, s *server, conn *pgx.Conn, out *metric.Batch) error {
	if s.cfg.TopStatements == 0 {
		return nil
	}
	rows, err := conn.Query(ctx, `
		SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
		 WHERE e.extname = 'pg_stat_statements'`)
	if err != nil {
		return err
	}
	schema, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(schema) == 0 {
		return err // not installed in this database: nothing to show
	}
	column := "total_exec_time"
	if s.session.Version() < 13_00_00 {
		column = "total_time"
	}
	// The users of one statement are summed; a statement without a number is one that belongs
	// to another user and may not be seen.
	rows, err = conn.Query(ctx, `
		SELECT d.datname, s.queryid::text, sum(s.calls)::float8, sum(s.`+column+`)::float8 / 1000
		  FROM `+schema[0]+`.pg_stat_statements(false) s JOIN pg_database d ON d.oid = s.dbid
		 WHERE s.queryid IS NOT NULL
		 GROUP BY 1, 2 HAVING sum(s.calls) >= 10
		 ORDER BY 4 / sum(s.calls) DESC, 1, 2 LIMIT $1`, s.cfg.TopStatements)
	if err != nil {
		return err
	}
	var name, id string
	var calls, seconds float64
	_, err = pgx.ForEachRow(rows, []any{&name, &id, &calls, &seconds}, func() error {
		out.Gauge(statementMean, seconds/calls, name, id)
		out.Counter(statementSeconds, seconds, name, id)
		out.Counter(statementCalls, calls, name, id)
		return nil
	})
	return err
}

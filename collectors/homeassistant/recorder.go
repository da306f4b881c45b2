package homeassistant

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/pgsession"
)

// The recorder's tables (homeassistant/components/recorder/db_schema.py), the same in both
// databases. The extremes come from indexes; the timed read is what the history page does.
const (
	queryNewest = `SELECT max(last_updated_ts) FROM states`
	queryOldest = `SELECT min(last_updated_ts) FROM states`
	queryHighID = `SELECT max(state_id) FROM states`
	querySchema = `SELECT max(schema_version) FROM schema_changes`
	queryTimed  = `SELECT count(*) FROM (SELECT s.state_id FROM states s JOIN states_meta m ON m.metadata_id = s.metadata_id ORDER BY s.last_updated_ts DESC LIMIT 1000) AS newest`
	querySize   = `SELECT pg_database_size(current_database())`
)

// ask gives the one number that a query answers, nil for NULL.
type ask func(ctx context.Context, query string) (*float64, error)

func (h *home) readRecorder(ctx context.Context, out *metric.Batch) error {
	if h.postgres == nil {
		return readSQLite(ctx, h.cfg.RecorderSQLite, out)
	}
	conn, err := h.postgres.Conn(ctx)
	if err != nil {
		return err
	}
	number := func(ctx context.Context, query string) (n *float64, err error) {
		err = conn.QueryRow(ctx, "SELECT ("+query+")::float8").Scan(&n)
		return n, err
	}
	if err := readTables(ctx, number, out); err != nil {
		return err
	}
	size, err := number(ctx, querySize)
	if err == nil && size != nil {
		out.Gauge(recorderSize, *size)
	}
	return err
}

// readSQLite opens the file for this run only, so that no lock outlives it.
func readSQLite(ctx context.Context, path string, out *metric.Batch) error {
	size, err := sizeOf(path)
	if err != nil {
		return err // the driver's own error does not tell
	}
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: "mode=ro&_pragma=busy_timeout(2000)&_pragma=query_only(1)"}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	err = readTables(ctx, func(ctx context.Context, query string) (n *float64, err error) {
		err = db.QueryRowContext(ctx, query).Scan(&n)
		return n, err
	}, out)
	if err == nil {
		out.Gauge(recorderSize, size)
	}
	return err
}

func sizeOf(path string) (float64, error) {
	main, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	size := float64(main.Size())
	wal, err := os.Stat(path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return size, nil
	}
	if err != nil {
		return 0, err
	}
	return size + float64(wal.Size()), nil
}

// readTables emits all or nothing: the first error ends it, before anything is emitted. Only a
// timed read that was given up is shown with its error: it took at least that long.
func readTables(ctx context.Context, number ask, out *metric.Batch) error {
	begun := time.Now()
	_, err := number(ctx, queryTimed)
	took := time.Since(begun)
	if err != nil {
		if ctx.Err() != nil || pgsession.Reason(err) == pgsession.ReasonTimeout {
			out.Gauge(recorderSeconds, took.Seconds())
		}
		return err
	}
	var answers []*float64
	for _, q := range []string{queryNewest, queryOldest, queryHighID, querySchema} {
		n, err := number(ctx, q)
		if err != nil {
			return err
		}
		answers = append(answers, n)
	}
	out.Gauge(recorderSeconds, took.Seconds())
	for i, g := range []metric.Gauge{newestState, oldestState} {
		if answers[i] != nil {
			out.Gauge(g, *answers[i])
		}
	}
	if answers[2] != nil {
		out.Counter(statesWritten, *answers[2])
	}
	if answers[3] != nil {
		out.Gauge(schema, *answers[3])
	}
	return nil
}

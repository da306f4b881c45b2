package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"vulcan.lan/vulcan_exporter/internal/metric"
)

func collectSettings(ctx context.Context, _ *server, conn *pgx.Conn, out *metric.Batch) error {
	rows, err := conn.Query(ctx, `
		SELECT name, setting::float8 FROM pg_settings
		 WHERE name IN ('max_connections', 'superuser_reserved_connections', 'autovacuum_freeze_max_age')`)
	if err != nil {
		return err
	}
	gauges := map[string]metric.Gauge{
		"max_connections":                maxConnections,
		"superuser_reserved_connections": reservedConnections,
		"autovacuum_freeze_max_age":      freezeMaxAge,
	}
	var name string
	var value float64
	_, err = pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		out.Gauge(gauges[name], value)
		return nil
	})
	if err != nil {
		return err
	}
	var version string
	var started time.Time
	row := conn.QueryRow(ctx, "SELECT current_setting('server_version'), pg_postmaster_start_time()")
	if err := row.Scan(&version, &started); err != nil {
		return err
	}
	out.Info(serverInfo, version)
	out.Time(startTime, started)
	return nil
}

// client is one row of pg_stat_activity. Type, state and times are NULL for other roles' sessions
// where ours is not a member of pg_read_all_stats.
type client struct {
	Database    string
	State       *string
	Application string
	XactStart   *time.Time
	QueryStart  *time.Time
	Waiting     bool
}

const activitySQL = `
	SELECT datname, state, coalesce(application_name, ''), xact_start, query_start,
	       coalesce(wait_event_type = 'Lock', false)
	  FROM pg_stat_activity
	 WHERE coalesce(backend_type, 'client backend') = 'client backend' AND usesysid IS NOT NULL
	   AND pid <> pg_backend_pid() AND datname IS NOT NULL`

var errHidden = errors.New("the role may not see what others' sessions do; GRANT pg_monitor TO it")

func collectActivity(ctx context.Context, s *server, conn *pgx.Conn, out *metric.Batch) error {
	names, err := databaseNames(ctx, conn)
	if err != nil {
		return err
	}
	rows, err := conn.Query(ctx, activitySQL)
	if err != nil {
		return err
	}
	clients, err := pgx.CollectRows(rows, pgx.RowToStructByPos[client])
	if err != nil {
		return err
	}
	var now time.Time // the server's, as all times here are
	if err := conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now); err != nil {
		return err
	}
	return s.emitActivity(out, names, clients, now)
}

func databaseNames(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	rows, err := conn.Query(ctx, "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// emitActivity shows every state of every database, so that none of it first appears in trouble.
func (s *server) emitActivity(out *metric.Batch, names []string, clients []client, now time.Time) error {
	type place struct{ database, state string }
	count := map[place]int{}
	for _, name := range names {
		for _, state := range states {
			count[place{name, state}] = 0
		}
	}
	oldest := map[string]time.Time{}
	var longest time.Time
	var starts []time.Time
	waiting, hidden := 0, false
	for _, c := range clients {
		state := c.state()
		count[place{c.Database, state}]++
		hidden = hidden || state == stateHidden
		if c.Waiting {
			waiting++
		}
		if s.cfg.IgnoreApplications.Matches(c.Application) {
			continue
		}
		if c.XactStart != nil && (oldest[state].IsZero() || c.XactStart.Before(oldest[state])) {
			oldest[state] = *c.XactStart
		}
		if state == "active" && c.QueryStart != nil {
			starts = append(starts, *c.QueryStart)
			if longest.IsZero() || c.QueryStart.Before(longest) {
				longest = *c.QueryStart
			}
		}
	}
	for p, n := range count {
		out.Gauge(connections, float64(n), p.database, p.state)
	}
	if hidden {
		return errHidden // how long the others run is not known
	}
	for state, t := range oldest {
		out.Time(oldestTransaction, t, state)
	}
	out.Time(oldestQuery, longest)
	out.Gauge(blocked, float64(waiting))
	for _, limit := range s.cfg.QueryLimits {
		n := 0
		for _, start := range starts {
			if now.Sub(start) > limit.Std() {
				n++
			}
		}
		out.Gauge(longQueries, float64(n), limit.String())
	}
	return nil
}

func (c client) state() string {
	switch {
	case c.State == nil:
		return stateHidden
	case slices.Contains(states, *c.State):
		return *c.State
	}
	return stateOther
}

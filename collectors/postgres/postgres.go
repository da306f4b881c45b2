// Package postgres observes PostgreSQL servers (https://www.postgresql.org/docs/current/monitoring.html),
// version 10 and later: whether each answers, connections against their limit, long transactions
// and queries, databases, wraparound, replication and WAL, and the slowest statements by number.
//
// It is the small set for a host without postgres_exporter; observe a server with one of the two.
// Commands: nine SELECTs on the statistics views, in one session that stays open. Privileges: a
// role that is a member of pg_monitor; what it may not see is left out and said in
// pg_query_success. Cost: a few milliseconds a run, and one stat for each file of the databases
// for their sizes. No text of a query is ever read: the views' text columns are not selected.
package postgres

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/pgsession"
)

// Config names one server.
type Config struct {
	DSN                string            `yaml:"dsn" doc:"connection string without a password, such as host=/run/postgresql user=exporter dbname=postgres, a URL, or service=name"`
	PasswordFile       config.SecretFile `yaml:"password_file" doc:"file with the role's password"`
	QueryLimits        []config.Duration `yaml:"query_limits" doc:"times for which running queries are counted"`
	IgnoreApplications config.Regexp     `yaml:"ignore_applications" doc:"application names whose long transactions and queries are normal"`
	TopStatements      int               `yaml:"top_statements" doc:"how many of the slowest statements to show, where pg_stat_statements is installed; 0: none"`
}

const mostStatements = 50

// Validate implements config.Validator.
func (c *Config) Validate(report func(path, format string, args ...any)) {
	if err := (pgsession.Config{DSN: c.DSN}).Check(); err != nil {
		report("dsn", "%v", err)
	}
	if c.TopStatements < 0 || c.TopStatements > mostStatements {
		report("top_statements", "expected 0 to %d, found %d", mostStatements, c.TopStatements)
	}
	seen := map[config.Duration]bool{}
	for _, l := range c.QueryLimits {
		if l <= 0 || seen[l] {
			report("query_limits", "expected different durations above 0, found %s", l)
		}
		seen[l] = true
	}
}

// Definition registers the collector.
func Definition() *collector.Definition {
	spec := collector.Spec[Config]{
		Name:    "postgres",
		Summary: "PostgreSQL servers: up, connections, long queries, databases, wraparound, replication, slow statements.",
		Prefix:  "pg_",
		Metrics: declared,
		Every:   15 * time.Second,
		Timeout: 10 * time.Second,
		Sources: true,
		Defaults: Config{
			QueryLimits:   []config.Duration{config.Duration(time.Minute), config.Duration(5 * time.Minute)},
			TopStatements: 10,
		},
		New: open,
	}
	if err := spec.Defaults.IgnoreApplications.UnmarshalText([]byte("pg_dump|pg_dumpall|pg_restore|pg_basebackup")); err != nil {
		panic(err) // a constant of this file is wrong
	}
	return collector.Define(spec)
}

type server struct {
	cfg     Config
	logger  *slog.Logger
	session *pgsession.Session
	log     collector.Transitions
}

func open(cfg Config, env collector.Env) (collector.Collector, error) {
	return &server{
		cfg:     cfg,
		logger:  env.Logger,
		session: pgsession.New(pgsession.Config{DSN: cfg.DSN, PasswordFile: cfg.PasswordFile}, "vulcan_exporter"),
		log:     collector.Transitions{Logger: env.Logger},
	}, nil
}

// Close ends the session.
func (s *server) Close() error { return s.session.Close() }

// query is one group of values that is read, and fails, as a whole.
type query struct {
	name string
	run  func(ctx context.Context, s *server, conn *pgx.Conn, out *metric.Batch) error
}

var queries = []query{
	{querySettings, collectSettings},
	{queryActivity, collectActivity},
	{queryDatabases, collectDatabases},
	{querySizes, collectSizes},
	{queryReplication, collectReplication},
	{querySlots, collectSlots},
	{queryWAL, collectWAL},
	{queryArchiver, collectArchiver},
	{queryStatements, collectStatements},
}

// Collect implements collector.Collector. A server that cannot be reached is data.
func (s *server) Collect(ctx context.Context, out *metric.Batch) error {
	inner, cancel := collector.Margin(ctx, 0.1)
	defer cancel()
	conn, err := s.session.Conn(inner)
	for _, q := range queries {
		if err != nil {
			break // there is no session, or none any more
		}
		failed := q.run(inner, s, conn, out)
		s.log.Note(q.name, failed, why(failed))
		out.Bool(querySuccess, failed == nil, q.name)
		if conn.IsClosed() {
			err = failed
		}
	}
	if ctx.Err() != nil {
		return ctx.Err() // we are being stopped: that says nothing about the server
	}
	reason := why(err)
	s.log.Note("connection", err, reason)
	out.Bool(up, err == nil)
	for _, r := range pgsession.Reasons() {
		out.Bool(connectionError, r == reason, r)
	}
	return nil
}

// why is the reason of an error, none without one.
func why(err error) string {
	if err == nil {
		return ""
	}
	return pgsession.Reason(err)
}

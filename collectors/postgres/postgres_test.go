package postgres

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

const limit = time.Minute // for what takes a second or two

// monitored is a server with a monitoring role and a collector that uses it.
type monitored struct {
	*testenv.Postgres
	password string // file
	source   collector.Source
	c        collector.Collector
}

func monitor(t *testing.T, extra string, settings ...string) *monitored {
	t.Helper()
	m := &monitored{Postgres: testenv.StartPostgres(t, settings...)}
	m.Exec(t, "postgres", "CREATE ROLE exporter LOGIN PASSWORD 'p4ss' IN ROLE pg_monitor", "CREATE DATABASE app")
	m.password = filepath.Join(t.TempDir(), "password")
	write(t, m.password, "p4ss\n")
	m.source = m.load(t, extra)
	m.c = start(t, m.source)
	return m
}

func (m *monitored) load(t *testing.T, extra string) collector.Source {
	t.Helper()
	return collectortest.Load(t, Definition(), fmt.Sprintf(
		"sources:\n  - {name: main, dsn: %q, password_file: %q, timeout: 5s%s}",
		m.TCP("exporter", "postgres"), m.password, extra))[0]
}

func start(t *testing.T, s collector.Source) collector.Collector {
	t.Helper()
	c, err := s.New(collectortest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.(collector.Closer).Close() })
	return c
}

func (m *monitored) collect(t *testing.T) string {
	t.Helper()
	out := m.batch(t)
	return collectortest.Text(t, out)
}

func (m *monitored) batch(t *testing.T) *metric.Batch {
	t.Helper()
	out, err := collectortest.Collect(t, m.source, m.c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// has fails unless each expression matches a whole line.
func has(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(text) {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
}

func lacks(t *testing.T, text string, names ...string) {
	t.Helper()
	for _, name := range names {
		if regexp.MustCompile(`(?m)^` + name + `[ {]`).MatchString(text) {
			t.Errorf("%s is shown", name)
		}
	}
}

func TestDeclarations(t *testing.T) { collectortest.Lint(t, Definition()) }

// TestServer reads a server that has something of everything but standbys.
func TestServer(t *testing.T) {
	t.Parallel()
	m := monitor(t, ", query_limits: [1s, 1h]", "shared_preload_libraries=pg_stat_statements", "max_connections=20")
	m.Exec(t, "postgres", "CREATE EXTENSION pg_stat_statements",
		"SELECT pg_create_physical_replication_slot('spare', true)")
	for range 12 {
		m.Exec(t, "app", "SELECT 'secret text', pg_sleep(0.01)")
	}
	ctx := t.Context()
	idle := m.Conn(t, "app")
	if _, err := idle.Exec(ctx, "BEGIN; CREATE TABLE held (); SELECT"); err != nil {
		t.Fatal(err)
	}
	sleeper, blocked := m.Conn(t, "app"), m.Conn(t, "app")
	var busy sync.WaitGroup // before the connections are closed
	busy.Go(func() { _, _ = sleeper.Exec(ctx, "SELECT pg_sleep(600)") })
	dump := m.Conn(t, "app")
	if _, err := dump.Exec(ctx, "SET application_name = pg_dump"); err != nil {
		t.Fatal(err)
	}
	if _, err := idle.Exec(ctx, "LOCK pg_statistic IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	busy.Go(func() { _, _ = blocked.Exec(ctx, "SELECT count(*) FROM pg_statistic") })
	t.Cleanup(busy.Wait)
	var batch *metric.Batch
	var text string
	testenv.Eventually(t, limit, func() error {
		batch = m.batch(t)
		text = collectortest.Text(t, batch)
		for _, want := range []string{`pg_long_queries{source="main",limit="1s"} 2`, `pg_blocked_connections{source="main"} 1`} {
			if !strings.Contains(text, want) {
				return errors.New("not yet: " + want)
			}
		}
		return nil
	})
	has(t, text,
		`pg_up\{source="main"} 1`,
		`pg_server_info\{source="main",version="\d+\.\d+.*"} 1`,
		`pg_settings_max_connections\{source="main"} 20`,
		`pg_settings_superuser_reserved_connections\{source="main"} 3`,
		`pg_connections\{source="main",datname="app",state="active"} 2`,
		`pg_connections\{source="main",datname="app",state="idle in transaction"} 1`,
		`pg_connections\{source="main",datname="app",state="idle"} 1`,
		`pg_connections\{source="main",datname="app",state="hidden"} 0`,
		`pg_connections\{source="main",datname="postgres",state="active"} 0`,
		`pg_long_queries\{source="main",limit="1h"} 0`,
		`pg_database_size_bytes\{source="main",datname="app"} \S+`,
		`pg_replication_is_replica\{source="main"} 0`,
		`pg_replication_slot_slot_is_active\{source="main",slot_name="spare",slot_type="physical"} 0`,
		`pg_replication_slot_retained_wal_bytes\{source="main",slot_name="spare",slot_type="physical"} \d\S*`,
		`pg_wal_size_bytes\{source="main"} 1.6777216e\+07`,
		`pg_wal_segments\{source="main"} 1`,
		`pg_top_statement_calls_total\{source="main",datname="app",queryid="-?\d+"} 12`,
		`pg_stat_database_deadlocks\{source="main",datid="\d+",datname="app"} 0`,
	)
	for _, q := range queries {
		has(t, text, `pg_query_success\{source="main",query="`+q.name+`"} 1`)
	}
	if strings.Contains(text, "secret") {
		t.Error("text of a query is shown")
	}
	collectortest.Covered(t, Definition(), batch, replicated(t))
}

// replicated is what a primary with a standby shows, and only that shows.
func replicated(t *testing.T) *metric.Batch {
	t.Helper()
	d := Definition()
	out := metric.NewBatch(d.Metrics, "source", "made-up", 0)
	out.Gauge(replicaLag, 0, "walreceiver", "")
	return out
}

func TestStandby(t *testing.T) {
	t.Parallel()
	primary := monitor(t, "")
	standby := testenv.NewPostgresStandby(t, primary.Postgres)
	s := collectortest.Load(t, Definition(), fmt.Sprintf(
		"sources:\n  - {name: standby, dsn: %q, password_file: %q, timeout: 5s}", standby.TCP("exporter", "postgres"), primary.password))[0]
	onStandby := &monitored{Postgres: standby, source: s, c: start(t, s)}
	testenv.Eventually(t, limit, func() error {
		if !regexp.MustCompile(`(?m)^pg_replica_lag_bytes\{source="main",application_name="\w+",client_addr=""} 0$`).MatchString(primary.collect(t)) {
			return errors.New("the primary does not show the standby at lag 0")
		}
		return nil
	})
	has(t, onStandby.collect(t), `pg_up\{source="standby"} 1`, `pg_replication_is_replica\{source="standby"} 1`,
		`pg_replication_lag_seconds\{source="standby"} \S+`)
}

// TestWithoutPrivileges shows that a role without pg_monitor yields less, and says so.
func TestWithoutPrivileges(t *testing.T) {
	t.Parallel()
	m := monitor(t, "")
	m.Exec(t, "postgres", "REVOKE pg_monitor FROM exporter", "REVOKE CONNECT ON DATABASE app FROM PUBLIC")
	other := m.Conn(t, "app")
	if err := other.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	text := m.collect(t)
	has(t, text, `pg_up\{source="main"} 1`,
		`pg_connections\{source="main",datname="app",state="hidden"} 1`,
		`pg_query_success\{source="main",query="activity"} 0`,
		`pg_query_success\{source="main",query="wal"} 0`,
		`pg_query_success\{source="main",query="databases"} 1`,
		`pg_database_size_bytes\{source="main",datname="postgres"} \S+`)
	lacks(t, text, "pg_oldest_query_start_timestamp_seconds", "pg_long_queries", "pg_wal_segments")
	if strings.Contains(text, `pg_database_size_bytes{source="main",datname="app"}`) {
		t.Error("the size of a database that may not be connected to is shown")
	}
}

func down(reason string) []string {
	return []string{`pg_up\{source="main"} 0`, `pg_connection_error\{source="main",reason="` + reason + `"} 1`}
}

var up1 = []string{`pg_up\{source="main"} 1`, `pg_connection_error\{source="main",reason="(auth|refused|timeout)"} 0`}

// TestFaults goes through what happens to a server; after each, the collector must recover by
// itself.
func TestFaults(t *testing.T) {
	t.Parallel()
	m := monitor(t, "", "max_connections=10")
	has(t, m.collect(t), up1...)

	m.Stop()
	text := m.collect(t)
	has(t, text, down("refused")...)
	lacks(t, text, "pg_connections", "pg_settings_max_connections", "pg_database_size_bytes")
	m.Start(t)
	has(t, m.collect(t), up1...)
	m.Crash()
	m.Start(t)
	has(t, m.collect(t), up1...) // a session that the server ended is replaced within the run

	m.Stop()
	m.Start(t)
	write(t, m.password, "wrong")
	has(t, m.collect(t), down("auth")...)
	if err := os.Remove(m.password); err != nil {
		t.Fatal(err)
	}
	has(t, m.collect(t), down("credentials")...)
	write(t, m.password, "p4ss")
	has(t, m.collect(t), up1...)
	if n := m.sessions(t); n != 1 {
		t.Errorf("%d sessions of the exporter", n)
	}

	// All connections taken: ours is among them, and what a new one is told is known too.
	for range 7 - 1 {
		roleConn(t, m)
	}
	has(t, m.collect(t), append(up1, `pg_connections\{source="main",datname="postgres",state="idle"} 6`)...)
	second := &monitored{Postgres: m.Postgres, source: m.source, c: start(t, m.source)}
	has(t, second.collect(t), down("full")...)
}

// TestStuck stops the server's processes. However many runs pass, it is left with one session.
func TestStuck(t *testing.T) {
	t.Parallel()
	m := monitor(t, "")
	m.source.Timeout = time.Second
	has(t, m.collect(t), up1...)
	stop, resume := signals(t, m)
	stop()
	for range 3 {
		has(t, m.collect(t), down("timeout")...)
	}
	resume()
	testenv.Eventually(t, limit, func() error {
		text := m.collect(t)
		if !strings.Contains(text, `pg_up{source="main"} 1`) {
			return errors.New(text)
		}
		if n := m.sessions(t); n != 1 {
			return fmt.Errorf("%d sessions of the exporter", n)
		}
		return nil
	})
}

// TestSlow runs with a lock in the way: that group alone is missing, in time, and the query does
// not go on.
func TestLocked(t *testing.T) {
	t.Parallel()
	m := monitor(t, "")
	has(t, m.collect(t), up1...)
	holder := m.Conn(t, "postgres")
	if _, err := holder.Exec(t.Context(), "BEGIN; LOCK pg_extension IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	has(t, m.collect(t), append(up1, `pg_query_success\{source="main",query="statements"} 0`,
		`pg_query_success\{source="main",query="databases"} 1`)...)
	if n := m.sessions(t); n != 1 {
		t.Errorf("%d sessions of the exporter", n)
	}
	if _, err := holder.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	has(t, m.collect(t), `pg_query_success\{source="main",query="statements"} 1`)
}

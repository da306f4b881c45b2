package litellm

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/litellm/litellmtest"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

func down(reason string) []string {
	return []string{`litellm_database_up{source="main"} 0`, `litellm_database_error{source="main",reason="` + reason + `"} 1`}
}

const isUp = `litellm_database_up{source="main"} 1`

func partIs(name, state string) string {
	return `litellm_database_part{source="main",part="` + name + `",state="` + state + `"} 1`
}

// TestFaults goes through what happens to a database. What cannot be read is not shown, what the
// exporter itself has counted is, and nothing is counted twice when it is over.
func TestFaults(t *testing.T) {
	t.Parallel()
	m := monitor(t, litellmtest.Current, "")
	m.exec(t, seed...)
	m.text(t)
	m.exec(t, logged(`'r1', -5, -9, -9, 'gpt', 'openai', 'success', '', '{}'`))
	counted := []string{
		`litellm_request_duration_seconds_count{source="main",model_group="gpt",provider="openai"} 1`,
		`litellm_request_duration_seconds_sum{source="main",model_group="gpt",provider="openai"} 4`,
	}
	spent := `litellm_spend_usd_total{source="main",model_group="gpt",provider="openai",team="research",key="voice"} 1000.7`
	has(t, m.text(t), append(counted, isUp, spent)...)

	m.Stop()
	text := m.text(t)
	has(t, text, append(down("refused"), counted...)...)
	lacks(t, text, "litellm_spend_usd_total", "litellm_budget_limit_usd", "litellm_log_newest_timestamp_seconds", "litellm_database_part")
	m.Start(t)
	has(t, m.text(t), append(counted, isUp, spent)...)

	password, err := os.ReadFile(m.passwordFile)
	if err != nil {
		t.Fatal(err)
	}
	m.Stop()
	m.Start(t)
	writePassword(t, m.passwordFile, "wrong")
	has(t, m.text(t), append(down("auth"), counted...)...)
	writePassword(t, m.passwordFile, string(password))
	has(t, m.text(t), append(counted, isUp, spent)...)

	m.exec(t, `REVOKE SELECT (spend) ON "LiteLLM_DailyUserSpend" FROM `+litellmtest.Role)
	text = m.text(t)
	has(t, text, append(counted, isUp, partIs("ledger", "privilege"), partIs("requests", "ok"), partIs("budgets", "ok"))...)
	lacks(t, text, "litellm_spend_usd_total", "litellm_window_spend_usd")
	m.exec(t, `GRANT SELECT (spend) ON "LiteLLM_DailyUserSpend" TO `+litellmtest.Role)
	has(t, m.text(t), partIs("ledger", "ok"), spent)

	m.exec(t, `ALTER TABLE "LiteLLM_UserTable" RENAME TO gone`)
	text = m.text(t)
	has(t, text, append(counted, isUp, spent, partIs("budgets", "schema"), partIs("ledger", "ok"))...)
	lacks(t, text, "litellm_budget_limit_usd", "litellm_budgets")
	m.exec(t, `ALTER TABLE gone RENAME TO "LiteLLM_UserTable"`)
	has(t, m.text(t), partIs("budgets", "ok"))

	m.exec(t, `ALTER TABLE "LiteLLM_SpendLogs" RENAME COLUMN "startTime" TO other`)
	has(t, m.text(t), append(counted, spent, partIs("requests", "schema"), partIs("freshness", "schema"))...)
}

func writePassword(t *testing.T, path, password string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestLocked holds a lock on the log, as a migration does: that part is missing, in time, and no
// session of the exporter waits on.
func TestLocked(t *testing.T) {
	t.Parallel()
	m := monitor(t, litellmtest.Current, "")
	m.exec(t, seed...)
	m.text(t)
	holder := m.Conn(t, litellmtest.Database)
	if _, err := holder.Exec(t.Context(), `BEGIN; LOCK "LiteLLM_SpendLogs" IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		begun := time.Now()
		has(t, m.text(t), isUp, partIs("requests", "timeout"), partIs("freshness", "timeout"), partIs("ledger", "ok"), partIs("budgets", "ok"))
		if took := time.Since(begun); took > m.source.Timeout {
			t.Errorf("a run took %s", took)
		}
		if n := m.sessions(t, "true"); n != 1 {
			t.Errorf("%d sessions of the exporter", n)
		}
	}
	if n := m.sessions(t, "wait_event_type = 'Lock'"); n != 0 {
		t.Errorf("%d sessions of the exporter wait", n)
	}
	if _, err := holder.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	has(t, m.text(t), partIs("requests", "ok"), partIs("freshness", "ok"))
}

func (m *monitored) sessions(t *testing.T, condition string) int {
	t.Helper()
	conn := m.Conn(t, litellmtest.Database)
	defer func() { _ = conn.Close(t.Context()) }()
	var n int
	row := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'vulcan_exporter' AND "+condition)
	if err := row.Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestMidQuery stops the server while a statement of the exporter runs.
func TestMidQuery(t *testing.T) {
	t.Parallel()
	m := monitor(t, litellmtest.Current, "")
	m.exec(t, seed...)
	m.text(t)
	// A view in the place of the table makes the statement as slow as the test wants.
	m.exec(t, `ALTER TABLE "LiteLLM_DailyUserSpend" RENAME TO daily`,
		`CREATE VIEW "LiteLLM_DailyUserSpend" AS SELECT daily.* FROM daily, pg_sleep(600)`,
		`GRANT SELECT ON "LiteLLM_DailyUserSpend" TO `+litellmtest.Role, "CHECKPOINT")
	texts := make(chan string)
	go func() { texts <- m.text(t) }()
	testenv.Eventually(t, limit, func() error {
		if m.sessions(t, "wait_event = 'PgSleep'") == 0 {
			return errors.New("the statement does not run yet")
		}
		return nil
	})
	m.Crash()
	has(t, <-texts, down("refused")...)
	m.Start(t)
	m.exec(t, `DROP VIEW "LiteLLM_DailyUserSpend"`, `ALTER TABLE daily RENAME TO "LiteLLM_DailyUserSpend"`)
	has(t, m.text(t), isUp, partIs("ledger", "ok"))
}

// TestLatency puts 50 ms between exporter and database.
func TestLatency(t *testing.T) {
	t.Parallel()
	m := monitor(t, litellmtest.Current, "")
	m.exec(t, seed...)
	relay := newRelay(t, fmt.Sprintf("127.0.0.1:%d", m.Port), 25*time.Millisecond)
	m.source = collectortest.Load(t, Definition(), fmt.Sprintf(
		"sources:\n  - {name: main, postgres: {dsn: \"postgres://%s@%s/%s?sslmode=disable\", password_file: %q}}",
		litellmtest.Role, relay, litellmtest.Database, m.passwordFile))[0]
	m.restart(t)
	for range 2 {
		begun := time.Now()
		text := m.text(t)
		for _, p := range parts {
			has(t, text, partIs(p, "ok"))
		}
		t.Logf("a run takes %s", time.Since(begun).Round(time.Millisecond))
	}
}

// newRelay passes bytes on, each way after the delay.
func newRelay(t *testing.T, to string, delay time.Duration) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	pass := func(to io.WriteCloser, from io.Reader) {
		defer func() { _ = to.Close() }()
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)
			time.Sleep(delay) // the delay is the subject
			if _, failed := to.Write(buffer[:n]); failed != nil || err != nil {
				return
			}
		}
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			go pass(server, client)
			go pass(client, server)
		}
	}()
	return listener.Addr().String()
}

// TestStateFailure shows nothing that was not kept: a restart would show less.
func TestStateFailure(t *testing.T) {
	t.Parallel()
	m := monitor(t, litellmtest.Current, "")
	m.text(t)
	broken := &store{}
	m.env.State = broken
	m.restart(t)
	m.exec(t, seed...)
	out, err := collectortest.Collect(t, m.source, m.c)
	if err == nil || !strings.Contains(err.Error(), "no space") {
		t.Errorf("error %v", err)
	}
	lacks(t, collectortest.Text(t, out), "litellm_spend_usd_total", "litellm_logged_requests_total")
	broken.works = true
	has(t, m.text(t), partIs("ledger", "ok"), `litellm_state_persistent{source="main"} 1`)
}

type store struct{ works bool }

func (s *store) Load(any) (bool, error) { return false, nil }
func (s *store) Persistent() bool       { return true }
func (s *store) Save(any) error {
	if !s.works {
		return errors.New("no space left on device")
	}
	return nil
}

// TestRedis reads the queues of a Redis with a password, and one without the privilege.
func TestRedis(t *testing.T) {
	r := testenv.StartRedis(t, "--requirepass", "one")
	password := filepath.Join(t.TempDir(), "password")
	writePassword(t, password, "wrong")
	source := collectortest.Load(t, Definition(), fmt.Sprintf("sources: [{name: main, redis: {address: %q, password_file: %q}}]", r.Socket, password))[0]
	c, err := source.New(collectortest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.(collector.Closer).Close() })
	m := &monitored{source: source, c: c}
	text := m.text(t)
	has(t, text, `litellm_redis_up{source="main"} 0`, `litellm_redis_error{source="main",reason="auth"} 1`)
	lacks(t, text, "litellm_redis_queue_length", "litellm_redis_ping_seconds", "litellm_database_up", "litellm_gateway_up")
	writePassword(t, password, "one")
	has(t, m.text(t), `litellm_redis_up{source="main"} 1`, `litellm_redis_queue_length{source="main",queue="spend"} 0`)
	push(t, r, "litellm_spend_update_buffer", "a", "b", "c")
	has(t, m.text(t), `litellm_redis_queue_length{source="main",queue="spend"} 3`, `litellm_redis_queue_length{source="main",queue="daily"} 0`, `litellm_redis_ping_seconds{source="main"} *`)
	r.Stop()
	has(t, m.text(t), `litellm_redis_up{source="main"} 0`, `litellm_redis_error{source="main",reason="refused"} 1`)
}

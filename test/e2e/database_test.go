package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"vulcan.lan/vulcan_exporter/collectors/litellm/litellmtest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// databases is a host with PostgreSQL, Redis and the database of a LiteLLM gateway, of which the
// proxy alone is made up.
type databases struct {
	postgres *testenv.Postgres
	redis    *testenv.Redis
	proxy    string // URL
	config   string
}

func newDatabases(t *testing.T) *databases {
	t.Helper()
	d := &databases{
		postgres: testenv.StartPostgres(t, "max_connections=40"),
		redis:    testenv.StartRedis(t, "--maxmemory", "100mb"),
	}
	litellmtest.Create(t, d.postgres, litellmtest.Current)
	password := litellmtest.CreateRole(t, d.postgres)
	d.postgres.Exec(t, litellmtest.Database,
		"CREATE ROLE watcher LOGIN PASSWORD '"+litellmtest.RolePassword+"' IN ROLE pg_monitor",
		`INSERT INTO "LiteLLM_TeamTable" (team_id, team_alias, max_budget, spend) VALUES ('1', 'research', 10, 1)`)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"status":"healthy"}`)
	}))
	t.Cleanup(proxy.Close)
	d.proxy = proxy.URL
	d.config = fmt.Sprintf(`
postgres:
  interval: 1s
  timeout: 1s
  sources: [{name: main, dsn: %q, password_file: %q}]
redis:
  interval: 1s
  timeout: 1s
  sources: [{name: cache, address: %q}]
litellm:
  interval: 1s
  timeout: 2s
  sources: [{name: main, url: %q, redis: {address: %q}, postgres: {dsn: %q, password_file: %q}}]
`, d.postgres.TCP("watcher", litellmtest.Database), password, d.redis.Socket,
		proxy.URL, d.redis.Socket, d.postgres.TCP(litellmtest.Role, litellmtest.Database), password)
	return d
}

// fill opens sessions as an application does, and gives a function that closes them.
func (d *databases) fill(t *testing.T, n int) func() {
	t.Helper()
	cfg, err := pgx.ParseConfig(d.postgres.TCP("watcher", litellmtest.Database))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Password = litellmtest.RolePassword
	var open []*pgx.Conn
	for range n {
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	return func() {
		for _, conn := range open {
			_ = conn.Close(context.Background())
		}
	}
}

// waitValue returns when the expression has the value.
func (h *Harness) waitValue(promql string, want float64) {
	h.t.Helper()
	testenv.Eventually(h.t, Limit, func() error {
		if got := h.Query(promql); len(got) != 1 || got[0].Value != want {
			return fmt.Errorf("%s: %v, want %v", promql, got, want)
		}
		return nil
	})
}

// TestDatabases causes one fault after the other: each fires its alert and no other.
func TestDatabases(t *testing.T) {
	d := newDatabases(t)
	h := New(t, Options{
		Config: d.config,
		Rules:  []string{"database_alerts", "redis_alerts", "litellm_alerts", "exporter"},
		Fakes:  map[string]string{"LiteLLM": "LiteLLM's API and tables"},
	})
	h.waitValue(`count(pg_up == 1) + count(redis_up == 1) + count(litellm_database_up == 1)`, 3)
	h.ExactlyFiring()
	var fired []Alert
	expect := func(name string, labels map[string]string) (resolved func()) {
		t.Helper()
		h.WaitFiring(name, labels)
		h.ExactlyFiring(Alert{name, labels})
		fired = append(fired, Alert{name, labels})
		return func() {
			t.Helper()
			h.WaitResolved(name, labels)
			h.ExactlyFiring()
		}
	}
	main, cache := map[string]string{"source": "main"}, map[string]string{"source": "cache"}

	sleeper := d.postgres.Conn(t, litellmtest.Database)
	ctx, cancel := context.WithCancel(t.Context())
	slept := make(chan struct{})
	go func() { defer close(slept); _, _ = sleeper.Exec(ctx, "SELECT pg_sleep(600)") }()
	resolved := expect("PostgresSlowQueries", main)
	cancel()
	<-slept
	resolved()

	release := d.fill(t, 31)
	resolved = expect("PostgresHighConnections", main)
	release()
	resolved()

	spend := func(usd int) {
		d.postgres.Exec(t, litellmtest.Database, fmt.Sprintf(`UPDATE "LiteLLM_TeamTable" SET spend = %d`, usd))
	}
	spend(11)
	resolved = expect("LiteLLMBudgetExceeded", map[string]string{"kind": "team", "name": "research"})
	spend(0)
	resolved()

	client := redis.NewClient(&redis.Options{Network: "unix", Addr: d.redis.Socket})
	t.Cleanup(func() { _ = client.Close() })
	for i := range 9500 { // 10,240 bytes each, with what the allocator rounds up
		if err := client.Set(t.Context(), fmt.Sprint(i), make([]byte, 10_200), 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	resolved = expect("RedisHighMemory", cache)
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	resolved()

	d.redis.Stop()
	resolved = expect("RedisDown", cache)
	d.redis.Start(t)
	resolved()

	d.postgres.Stop()
	resolved = expect("PostgresDown", main)
	d.postgres.Start(t)
	resolved()

	h.ExactlyFired(fired...)
}

// slowTarget is what a target said last: postgres_exporter takes a second to find that its server
// is away, as long as the harness gives a scrape.
func slowTarget(t *testing.T, address string) string {
	t.Helper()
	var last atomic.Pointer[[]byte]
	last.Store(&[]byte{})
	go func() {
		for t.Context().Err() == nil {
			response, err := http.Get("http://" + address + "/metrics")
			if err != nil {
				time.Sleep(100 * time.Millisecond) // it is still starting
				continue
			}
			if body, err := io.ReadAll(response.Body); err == nil {
				last.Store(&body)
			}
			_ = response.Body.Close()
			time.Sleep(100 * time.Millisecond)
		}
	}()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(*last.Load()) }))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// TestBothExporters scrapes the same servers by postgres_exporter and redis_exporter too: each
// fault is told once, by vulcan_exporter, and by them where it is not configured.
func TestBothExporters(t *testing.T) {
	testenv.Need(t, "prometheus-postgres-exporter", "prometheus-redis-exporter")
	d := newDatabases(t)
	postgres, redis := freeAddress(t), freeAddress(t)
	cmd := exec.Command("prometheus-postgres-exporter", "--web.listen-address="+postgres)
	cmd.Env = append(os.Environ(), fmt.Sprintf("DATA_SOURCE_NAME=postgresql://watcher:%s@127.0.0.1:%d/%s?sslmode=disable",
		litellmtest.RolePassword, d.postgres.Port, litellmtest.Database))
	testenv.Start(t, cmd)
	testenv.Start(t, exec.Command("prometheus-redis-exporter", "-web.listen-address="+redis, "-redis.addr=redis://"+d.redis.Address()))
	h := New(t, Options{
		Config:  d.config,
		Rules:   []string{"database_alerts", "redis_alerts"},
		Targets: map[string]string{"postgres": slowTarget(t, postgres), "redis": redis},
	})
	h.waitValue(`count(pg_up == 1) + count(redis_up == 1)`, 4)
	ours := map[string]string{"job": "vulcan_exporter"}
	theirs := func(job string) map[string]string { return map[string]string{"job": job} }

	release := d.fill(t, 31)
	h.WaitFiring("PostgresHighConnections", ours)
	release()
	d.redis.Stop()
	h.WaitFiring("RedisDown", ours)
	d.postgres.Stop()
	h.WaitFiring("PostgresDown", ours)
	h.WaitResolved("PostgresHighConnections", ours)
	h.ExactlyFiring(Alert{"RedisDown", ours}, Alert{"PostgresDown", ours})

	// Without our collectors the other exporters' series tell it.
	h.Reload(fmt.Sprintf("litellm: {interval: 1s, sources: [{name: main, url: %q}]}", d.proxy))
	h.WaitFiring("RedisDown", theirs("redis"))
	h.WaitFiring("PostgresDown", theirs("postgres"))
	h.WaitResolved("RedisDown", ours)
	h.WaitResolved("PostgresDown", ours)
	d.redis.Start(t)
	d.postgres.Start(t)
	h.WaitResolved("RedisDown", theirs("redis"))
	h.WaitResolved("PostgresDown", theirs("postgres"))

	release = d.fill(t, 31)
	h.WaitFiring("PostgresHighConnections", theirs("postgres"))
	release()
	h.WaitResolved("PostgresHighConnections", theirs("postgres"))
	h.ExactlyFiring()
}

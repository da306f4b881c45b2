package redis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

const limit = time.Minute

type monitored struct {
	source collector.Source
	c      collector.Collector
}

func monitor(t *testing.T, yaml string) *monitored {
	t.Helper()
	m := &monitored{source: collectortest.Load(t, Definition(), "sources:\n  - {name: main, "+yaml+"}")[0]}
	c, err := m.source.New(collectortest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.(collector.Closer).Close() })
	m.c = c
	return m
}

func (m *monitored) collect(t *testing.T) (string, *metric.Batch) {
	t.Helper()
	out, err := collectortest.Collect(t, m.source, m.c)
	if err != nil {
		t.Fatal(err)
	}
	return collectortest.Text(t, out), out
}

func (m *monitored) text(t *testing.T) string {
	t.Helper()
	text, _ := m.collect(t)
	return text
}

func admin(t *testing.T, r *testenv.Redis, password string) *goredis.Client {
	t.Helper()
	client := goredis.NewClient(&goredis.Options{Network: "unix", Addr: r.Socket, Password: password})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func do(t *testing.T, client *goredis.Client, command string) {
	t.Helper()
	var args []any
	for _, word := range strings.Fields(command) {
		args = append(args, word)
	}
	if err := client.Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
}

func has(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(text) {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
}

func down(reason string) []string {
	return []string{`redis_up\{source="main"} 0`, `redis_connection_error\{source="main",reason="` + reason + `"} 1`}
}

const isUp = `redis_up\{source="main"} 1`

func TestDeclarations(t *testing.T) { collectortest.Lint(t, Definition()) }

// TestServers reads a primary through its socket and a replica over TCP, each with a password of
// its own.
func TestServers(t *testing.T) {
	dir := t.TempDir()
	secret := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	primary := testenv.StartRedis(t, "--requirepass", "one", "--maxmemory", "100mb", "--maxmemory-policy", "noeviction")
	replica := testenv.StartRedis(t, "--requirepass", "two", "--masterauth", "one", "--replicaof", fmt.Sprintf("127.0.0.1 %d", primary.Port))
	client := admin(t, primary, "one")
	do(t, client, "SET a 1")
	do(t, client, "SET b 1 EX 1000")
	_ = client.Do(t.Context(), "GET", "a", "b") // counted as hits or errors, whatever

	p := monitor(t, fmt.Sprintf("address: %s, password_file: %s", primary.Socket, secret("one", "one\n")))
	r := monitor(t, fmt.Sprintf("address: %q, username: default, password_file: %s", replica.Address(), secret("two", "two")))
	var ofPrimary, ofReplica *metric.Batch
	testenv.Eventually(t, limit, func() error {
		var text string
		text, ofReplica = r.collect(t)
		if !strings.Contains(text, `redis_master_link_up{source="main",master_host="127.0.0.1"`) || !strings.Contains(text, "} 1\n") {
			return errors.New("no link to the master")
		}
		text, ofPrimary = p.collect(t)
		if !strings.Contains(text, `slave_state="online"`) {
			return errors.New("no replica online")
		}
		return nil
	})
	has(t, collectortest.Text(t, ofPrimary),
		isUp, `redis_db_keys\{source="main",db="db0"} 2`, `redis_db_keys_expiring\{source="main",db="db0"} 1`,
		`redis_memory_max_bytes\{source="main"} 1.048576e\+08`, `redis_connected_slaves\{source="main"} 1`,
		`redis_server_info\{source="main",version="\S+",role="master",mode="standalone",maxmemory_policy="noeviction"} 1`,
		`redis_rdb_last_bgsave_status\{source="main"} 1`, `redis_errors_total\{source="main",err="OOM"} 0`,
		`redis_max_clients\{source="main"} 10000`, `redis_ping_seconds\{source="main"} \S+`,
		`redis_connected_slave_lag_seconds\{source="main",slave_ip="127.0.0.1",slave_port="\d+",slave_state="online"} \d+`)
	has(t, collectortest.Text(t, ofReplica), isUp, `redis_server_info\{source="main",version="\S+",role="slave".*`)
	collectortest.Covered(t, Definition(), ofPrimary, ofReplica)
}

// TestUnlimited shows that a server without a limit says 0, which rules must not divide by.
func TestUnlimited(t *testing.T) {
	m := monitor(t, "address: "+testenv.StartRedis(t).Socket)
	has(t, m.text(t), isUp, `redis_memory_max_bytes\{source="main"} 0`, `redis_total_system_memory_bytes\{source="main"} [1-9]\S+`)
}

func TestFaults(t *testing.T) {
	r := testenv.StartRedis(t, "--maxclients", "10")
	password := filepath.Join(t.TempDir(), "password")
	m := monitor(t, fmt.Sprintf("address: %q, username: watcher, password_file: %q", r.Address(), password))
	has(t, m.text(t), down("credentials")...)
	if err := os.WriteFile(password, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	has(t, m.text(t), down("auth")...)
	client := admin(t, r, "")
	do(t, client, "ACL SETUSER watcher on >x +ping")
	out, err := collectortest.Collect(t, m.source, m.c)
	if err == nil || !strings.Contains(err.Error(), "may not run INFO") {
		t.Errorf("without the privilege: %v", err)
	}
	has(t, collectortest.Text(t, out), isUp)
	do(t, client, "ACL SETUSER watcher +info")
	has(t, m.text(t), isUp)

	r.Stop()
	text := m.text(t)
	has(t, text, down("refused")...)
	if strings.Contains(text, "redis_memory") {
		t.Error("memory of a server that is down is shown")
	}
	r.Start(t)
	do(t, client, "ACL SETUSER watcher on >x +ping +info")
	has(t, m.text(t), isUp)
	r.Stop()
	r.Start(t) // a connection that a restart has cut is no failure
	do(t, client, "ACL SETUSER watcher on >x +ping +info")
	has(t, m.text(t), isUp)

	if err := r.Process().Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	m.source.Timeout = 500 * time.Millisecond
	has(t, m.text(t), down("timeout")...)
	if err := r.Process().Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	m.source.Timeout = 5 * time.Second
	has(t, m.text(t), isUp)
}

// TestFull takes all connections: a new one is told why.
func TestFull(t *testing.T) {
	r := testenv.StartRedis(t, "--maxclients", "1")
	client := admin(t, r, "")
	do(t, client, "PING")
	m := monitor(t, "address: "+r.Socket)
	has(t, m.text(t), down("full")...)
}

// TestOutOfMemory fills a server: it is up, its memory is at the limit, and refused writes are
// counted.
func TestOutOfMemory(t *testing.T) {
	r := testenv.StartRedis(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
	client := admin(t, r, "")
	for range 3 {
		if err := client.Do(t.Context(), "SET", "a", "b").Err(); err == nil || !strings.HasPrefix(err.Error(), "OOM") {
			t.Fatalf("no OOM but %v", err)
		}
	}
	has(t, monitor(t, "address: "+r.Socket).text(t), isUp, `redis_errors_total\{source="main",err="OOM"} 3`,
		`redis_memory_max_bytes\{source="main"} 1`)
}

// TestPersistence breaks the folder of dumps.
func TestPersistence(t *testing.T) {
	r := testenv.StartRedis(t)
	m := monitor(t, "address: "+r.Socket)
	client := admin(t, r, "")
	if err := os.Mkdir(filepath.Join(r.Dir, "dump.rdb"), 0o755); err != nil {
		t.Fatal(err)
	}
	do(t, client, "BGSAVE")
	testenv.Eventually(t, limit, func() error {
		if !strings.Contains(m.text(t), `redis_rdb_last_bgsave_status{source="main"} 0`) {
			return errors.New("the failed dump is not shown")
		}
		return nil
	})
}

func TestStopped(t *testing.T) {
	m := monitor(t, "address: 127.0.0.1:1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out := m.source.Batch()
	if err := m.c.Collect(ctx, out); err == nil || out.Series() != 0 {
		t.Errorf("error %v, series %d", err, out.Series())
	}
}

func TestConfig(t *testing.T) {
	for yaml, want := range map[string]string{
		`{name: a}`:                                 "address: expected host:port",
		`{name: a, address: redis}`:                 "address: expected host:port",
		`{name: a, address: "r:1", username: u}`:    "password_file: expected the password",
		`{name: a, address: "r:1", tls_ca_file: x}`: "tls_ca_file: expected tls: true",
		`{name: a, address: "r:1", password: x}`:    "password",
	} {
		_, err := collector.Load("x.yml", []byte("redis: {sources: ["+yaml+"]}"), []*collector.Definition{Definition()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", yaml, err, want)
		}
	}
}

package litellm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"vulcan.lan/vulcan_exporter/collectors/litellm/litellmtest"
	"vulcan.lan/vulcan_exporter/collectors/litellm/schema"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// TestRole holds the shipped script to what the collector reads, and to no more.
func TestRole(t *testing.T) {
	t.Parallel()
	m := monitor(t, litellmtest.Current, "")
	conn := m.Conn(t, litellmtest.Database)
	rows, err := conn.Query(t.Context(), `
		SELECT table_name, array_agg(column_name::text ORDER BY column_name) FROM information_schema.column_privileges
		 WHERE grantee = $1 AND privilege_type = 'SELECT' GROUP BY 1`, litellmtest.Role)
	if err != nil {
		t.Fatal(err)
	}
	granted := map[string][]string{}
	for rows.Next() {
		var table string
		var columns []string
		if err := rows.Scan(&table, &columns); err != nil {
			t.Fatal(err)
		}
		granted[table] = columns
	}
	for table, columns := range schema.Columns {
		// A column that only some versions have is in the list and not in this schema.
		wanted := slices.DeleteFunc(slices.Clone(columns), func(c string) bool { return c == "spend_at_last_reset" })
		slices.Sort(wanted)
		if !reflect.DeepEqual(granted[table], wanted) {
			t.Errorf("%s: granted %v, read %v", table, granted[table], wanted)
		}
		delete(granted, table)
	}
	if len(granted) > 0 {
		t.Errorf("granted and not read: %v", granted)
	}
	script, err := os.ReadFile(filepath.Join(testenv.Root(t), "deploy", "litellm", "create-role.sql"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(script), "'spend_at_last_reset'") {
		t.Error("the script does not grant spend_at_last_reset where it is there")
	}
	litellmtest.CreateRole(t, m.Postgres) // again, as after an upgrade
}

// TestCovered shows every declared metric, most of them of a gateway with all its parts.
func TestCovered(t *testing.T) {
	t.Parallel()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := `{"status":"healthy","litellm_version":"1.61.20"}`
		if r.Method == http.MethodPost {
			answer = `{"choices":[{"message":{"content":"ready"}}]}`
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(proxy.Close)
	r := testenv.StartRedis(t)
	m := monitor(t, litellmtest.Current, fmt.Sprintf(", url: %q, redis: {address: %q}, canary: {models: [m]}", proxy.URL, r.Socket))
	m.exec(t, seed...)
	m.batch(t)
	m.exec(t, logged(`'r1', -5, -9, -7, 'gpt', 'openai', 'success', '', '{}'`, `'r2', -5, -9, -7, 'gpt', 'openai', 'failure', '', '{}'`))
	m.exec(t, `INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, "startTime", "endTime", spend) VALUES ('y', '', `+utc+` - interval '1 day', `+utc+`, 1)`)
	m.restart(t) // compares again
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- m.c.(collector.Runner).Run(ctx) }()
	defer func() { cancel(); <-done }()
	testenv.Eventually(t, limit, func() error {
		if !strings.Contains(m.text(t), "litellm_canary_success") {
			return errors.New("the canary has not been answered yet")
		}
		return nil
	})
	old := monitor(t, litellmtest.Old, "")
	old.exec(t, `INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, "startTime", "endTime", model, spend) VALUES ('1', '', `+utc+`, `+utc+`, 'gpt', 0.25)`)
	collectortest.Covered(t, Definition(), m.batch(t), old.batch(t))
}

func TestConfig(t *testing.T) {
	for yaml, want := range map[string]string{
		`{name: a}`: "url: expected at least one of",
		`{name: a, postgres: {dsn: "postgres://u:pw@h/d"}}`:         "postgres.dsn: a password does not belong",
		`{name: a, postgres: {password_file: x}}`:                   "postgres.dsn: expected a connection string",
		`{name: a, redis: {address: r}}`:                            "redis.address: expected host:port",
		`{name: a, url: "127.0.0.1:4000"}`:                          "url: expected a URL",
		`{name: a, url: "http://u:p@h"}`:                            "url: a password does not belong",
		`{name: a, url: "http://h", max_label_values: 0}`:           "max_label_values: expected 1 to 1000",
		`{name: a, url: "http://h", overlap: 10s}`:                  "overlap: expected at least 1m",
		`{name: a, redis: {address: "r:1"}, canary: {models: [m]}}`: "canary.models: expected url",
		`{name: a, url: "http://h", canary: {models: [m, m]}}`:      "canary.models[1]: expected a model once",
		`{name: a, url: "http://h", canary: {interval: 1s}}`:        "canary.interval: expected at least the timeout",
		`{name: a, url: "http://h", by_user: true}`:                 "by_user",
	} {
		_, err := collector.Load("x.yml", []byte("litellm: {sources: ["+yaml+"]}"), []*collector.Definition{Definition()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", yaml, err, want)
		}
	}
}

package homeassistant

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// The recorder's tables as far as they are read, in the words that both databases know.
var tables = []string{
	`CREATE TABLE states_meta (metadata_id INTEGER PRIMARY KEY, entity_id VARCHAR(255))`,
	`CREATE TABLE states (state_id INTEGER PRIMARY KEY, metadata_id INTEGER REFERENCES states_meta, state VARCHAR(255), last_updated_ts FLOAT)`,
	`CREATE INDEX ix_states_last_updated_ts ON states (last_updated_ts)`,
	`CREATE TABLE schema_changes (change_id INTEGER PRIMARY KEY, schema_version INTEGER)`,
	`INSERT INTO schema_changes VALUES (1, 47), (2, 48)`,
	`INSERT INTO states_meta VALUES (1, 'sun.sun')`,
}

var rows = []string{`INSERT INTO states VALUES (10, 1, 'a', 1790000000.5), (11, 1, 'b', 1790000100.25), (12, 1, 'c', 1790000050)`}

func sqlite(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path}).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, s := range append([]string{"PRAGMA journal_mode=WAL"}, statements...) {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%v in %s", err, s)
		}
	}
}

var recorded = []string{
	`home_assistant_readable{part="recorder"} 1`,
	"home_assistant_recorder_newest_state_timestamp_seconds 1.79000010025e+09",
	"home_assistant_recorder_oldest_state_timestamp_seconds 1.7900000005e+09",
	"home_assistant_recorder_states_written_total 12", "home_assistant_recorder_schema_version 48",
}

func TestSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "home-assistant_v2 ?#.db")
	sqlite(t, path, tables...)
	_, text := collect(t, fmt.Sprintf("recorder_sqlite: %q", path))
	has(t, text, `home_assistant_readable{part="recorder"} 1`, "home_assistant_recorder_schema_version 48")
	if strings.Contains(text, "states_written") || strings.Contains(text, "newest_state") {
		t.Errorf("a recorder without states:\n%s", text)
	}
	sqlite(t, path, rows...) // a writer that stays open, with a write-ahead log
	_, text = collect(t, fmt.Sprintf("recorder_sqlite: %q", path))
	has(t, text, recorded...)

	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("noise"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{bad, "/nonexistent/x"} {
		_, text := collect(t, "recorder_sqlite: "+path)
		has(t, text, `home_assistant_readable{part="recorder"} 0`)
		if strings.Contains(text, "home_assistant_recorder_") {
			t.Errorf("of %s:\n%s", path, text)
		}
		if _, err := os.Stat("/nonexistent"); err == nil {
			t.Error("a database was made")
		}
	}
}

func TestPostgres(t *testing.T) {
	p := testenv.StartPostgres(t)
	p.Exec(t, "postgres", append(tables, rows...)...)
	yaml := fmt.Sprintf("recorder_dsn: %q", p.DSN("postgres"))
	_, text := collect(t, yaml)
	has(t, text, recorded...)
	p.Exec(t, "postgres", "DROP TABLE schema_changes")
	_, text = collect(t, yaml)
	has(t, text, `home_assistant_readable{part="recorder"} 0`)
	// A read that does not end is a slow one: it is shown with the time that it was given.
	p.Exec(t, "postgres", `ALTER TABLE states_meta RENAME TO fast`,
		`CREATE VIEW states_meta AS SELECT fast.* FROM fast, LATERAL (SELECT pg_sleep(600 + metadata_id)) AS slow`)
	_, text = collect(t, "timeout: 9s\n"+yaml)
	has(t, text, `home_assistant_readable{part="recorder"} 0`)
	line := regexp.MustCompile(`(?m)^home_assistant_recorder_read_seconds\{.*\} (.*)$`).FindStringSubmatch(text)
	if line == nil {
		t.Fatalf("no time of the read:\n%s", text)
	}
	if seconds, err := strconv.ParseFloat(line[1], 64); err != nil || seconds < 1 || seconds > 9 {
		t.Errorf("the read took %s (%v)", line[1], err)
	}
	p.Stop()
	_, text = collect(t, yaml)
	has(t, text, `home_assistant_readable{part="recorder"} 0`)
	if strings.Contains(text, "home_assistant_recorder_") {
		t.Error(text)
	}
}

func TestSchedule(t *testing.T) {
	for text, want := range map[string]string{
		`{"data":{"config":{"last_attempted_automatic_backup":"2026-10-31T04:45:00+01:00","last_completed_automatic_backup":"2026-10-30T04:45:00.123456+01:00","schedule":{"days":[],"recurrence":"daily"}}}}`: "2026-10-31 2026-10-30 24h0m0s",
		`{"data":{"config":{"last_attempted_automatic_backup":null,"schedule":{"days":["mon","thu"],"recurrence":"custom_days"}}}}`:                                                                            "0001-01-01 0001-01-01 96h0m0s",
		`{"data":{"config":{"schedule":{"days":["sun"],"recurrence":"custom_days"}}}}`:                                                                                                                         "0001-01-01 0001-01-01 168h0m0s",
		`{"data":{"config":{"schedule":{"state":"fri"}}}}`:                                                                                                                                                     "0001-01-01 0001-01-01 168h0m0s",
		`{"data":{"config":{"schedule":{"recurrence":"never"}}}}`:                                                                                                                                              "0001-01-01 0001-01-01 0s",
		`{}`: "error", `x`: "error", `{"data":{"config":{"last_attempted_automatic_backup":"x"}}}`: "error",
	} {
		got := "error"
		if s, err := parseSchedule(strings.NewReader(text)); err == nil {
			got = fmt.Sprint(s.attempted.Format(time.DateOnly), " ", s.completed.Format(time.DateOnly), " ", s.interval)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// All parts at once, and each metric is emitted.
func TestWhole(t *testing.T) {
	dir := t.TempDir()
	pack(t, dir, "one.tar", fmt.Sprintf(manifest, "2026-10-29T04:45:00+01:00", false, false), []byte("plain"))
	if err := os.Mkdir(filepath.Join(dir, ".storage"), 0o700); err != nil {
		t.Fatal(err)
	}
	storage := `{"data":{"config":{"last_attempted_automatic_backup":"2026-10-31T04:45:00Z","last_completed_automatic_backup":"2026-10-31T04:50:00Z","schedule":{"recurrence":"daily"}}}}`
	if err := os.WriteFile(filepath.Join(dir, ".storage", "backup"), []byte(storage), 0o600); err != nil {
		t.Fatal(err)
	}
	sqlite(t, filepath.Join(dir, "r.db"), append(tables, rows...)...)
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("t0ken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t0ken" || r.URL.Path != "/api/config" || r.Method != http.MethodGet {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"version":"2026.10.1","state":"RUNNING","components":["api"]}`)
	}))
	defer server.Close()
	yaml := fmt.Sprintf("backups: [%s]\nconfig_dir: %s\nrecorder_sqlite: %s/r.db\nurl: %s\ntoken_file: %s", dir, dir, dir, server.URL, token)
	out, text := collect(t, yaml)
	collectortest.Covered(t, Definition(), out)
	has(t, text, "home_assistant_api_up 1", `home_assistant_info{version="2026.10.1"} 1`, `home_assistant_state{state="RUNNING"} 1`,
		"home_assistant_backup_expected_interval_seconds 86400", "home_assistant_backup_last_completion_timestamp_seconds 1.7934222e+09",
		`home_assistant_readable{part="schedule"} 1`)

	if err := os.WriteFile(token, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, text = collect(t, yaml)
	has(t, text, "home_assistant_api_up 0", `home_assistant_api_error{reason="auth"} 1`, "home_assistant_backups 1")
	if strings.Contains(text, "home_assistant_info") {
		t.Error(text)
	}
}

// A core that is wedged holds up nothing else.
func TestHang(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer server.Close()
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("t"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, text := collect(t, fmt.Sprintf("timeout: 2s\nbackups: [%s]\nurl: %s\ntoken_file: %s", dir, server.URL, token))
	has(t, text, "home_assistant_api_up 0", `home_assistant_api_error{reason="timeout"} 1`, "home_assistant_backups 0")
}

func TestConfigErrors(t *testing.T) {
	for yaml, want := range map[string]string{
		"{}":                      "homeassistant.url: expected at least one",
		"{url: x}":                "homeassistant.url: expected http",
		"{url: 'http://a'}":       "homeassistant.token_file: expected",
		"{backups: [x]}":          "homeassistant.backups: expected an absolute",
		"{recorder_dsn: 'a b c'}": "homeassistant.recorder_dsn",
		"{recorder_sqlite: /x, recorder_dsn: 'host=a'}": "expected either",
	} {
		_, err := collector.Load("test.yml", []byte("homeassistant: "+yaml), []*collector.Definition{Definition()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", yaml, err)
		}
	}
}

func FuzzSchedule(f *testing.F) {
	f.Add(`{"data":{"config":{"schedule":{"days":["mon"],"recurrence":"custom_days"}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := parseSchedule(strings.NewReader(text)); err == nil && (s.interval < 0 || s.interval > 7*day) {
			t.Errorf("%+v", s)
		}
	})
}

// BenchmarkBackups is a run over 1,000 known backups, against a script that asks tar for the
// date in each, and against one that only looks at sizes and times, as find does.
func BenchmarkBackups(b *testing.B) {
	dir := b.TempDir()
	for i := range 1000 {
		at := time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC).Format(time.RFC3339)
		pack(b, dir, fmt.Sprintf("%d.tar", i), `{"slug":"a","date":"`+at+`"}`, make([]byte, 8192))
	}
	h := &home{cfg: Config{Backups: []string{dir}}, logger: collectortest.Logger(b), known: map[string]file{}}
	run := func() {
		out := metric.NewBatch(declared, "source", "default", 0)
		if err := h.readBackups(context.Background(), out); err != nil {
			b.Fatal(err)
		}
		has(b, collectortest.Text(b, out), "home_assistant_backups 1000")
	}
	begun := time.Now()
	run()
	first := time.Since(begun)
	script := func(text string) time.Duration {
		begun := time.Now()
		cmd := exec.Command("sh", "-c", text)
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil || strings.TrimSpace(string(out)) != "1000" {
			b.Fatalf("%s: %s, %v", text, out, err)
		}
		return time.Since(begun)
	}
	dates := script(`for f in *.tar; do tar -xOf "$f" ./backup.json | sed 's/.*"date":"//;s/".*/x/'; echo; done | grep -c x`)
	sizes := script(`find . -name '*.tar' -printf '%s %T@\n' | sort -u | wc -l`)
	for b.Loop() {
		run()
	}
	each := float64(b.Elapsed()) / float64(b.N)
	b.ReportMetric(float64(dates)/float64(first), "tar-loop/first-run")
	b.ReportMetric(float64(dates)/each, "tar-loop/run")
	b.ReportMetric(float64(sizes)/each, "find/run")
}

func TestLint(t *testing.T) { collectortest.Lint(t, Definition()) }
